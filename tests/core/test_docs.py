"""What the documents say can be typed: every command is one, and the Python runs."""

import re
import shlex
from datetime import date
from pathlib import Path

import pytest

from keenkite.cli.arguments import parser
from keenkite.settings import Settings
from keenkite_server.cli import settings_of
from tests.support.paths import ROOT

DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def commands(document: Path) -> list[str]:
    """The lines of console blocks that begin with $, continued lines joined, comments cut."""
    text = document.read_text("utf-8")
    blocks = re.findall(r"```console\n(.*?)```", text, re.DOTALL)
    joined = "\n".join(blocks).replace("\\\n", " ")
    return [line[2:].split("  #")[0] for line in joined.splitlines() if line.startswith("$ ")]


ALL = [(document.name, command) for document in DOCUMENTS for command in commands(document)]


@pytest.mark.parametrize(("document", "command"), ALL)
def test_every_command_can_be_typed(document: str, command: str) -> None:
    words = shlex.split(command)
    match words[0]:
        case "keenkite":
            parser(Settings()).parse_args(words[1:])
        case "make":
            targets = re.findall(
                r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE
            )
            assert set(words[1:]) <= set(targets)
        case "keenkite-mcp":
            settings_of(words[1:])
        case other:
            assert other in {"pip", "export", "claude", "uvx", "docker"}, command


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_to_a_file_leads_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", document.read_text("utf-8")):
        assert (document.parent / target).exists(), target


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 160


def test_the_python_of_the_readme_runs_on_a_demo_world(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from keenkite.demo.scenes import write_scenes
    from keenkite.demo.world import draw_world
    from tests.support.worlds import DAYS, area_of

    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    world = draw_world(33, size_km=(9, 9), per_concept=1)
    write_scenes(world, tmp_path / "demo" / "scenes")
    middle = area_of(world).bboxes[0]
    lon, lat = (middle[0] + middle[2]) / 2, (middle[1] + middle[3]) / 2
    code, changed = re.subn(r"Area\.around\([^)]*\)", f"Area.around({lon}, {lat}, 5)", code)
    assert changed == 1
    assert date(2024, 5, 1) <= DAYS[0] <= date(2024, 5, 31)
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})  # the document's own code
    assert capsys.readouterr().out.splitlines()[-1] in {"strong", "weak", "none"}
