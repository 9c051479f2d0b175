"""Several collections in one data folder, by the command line: built, told, searched, removed."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from keenkite.cli import main
from keenkite.index import TileIndex
from keenkite.pixels import PixelArchive
from tests.support.worlds import write_world

SMALL = "small"


class Shell:
    """A data folder with two collections, built from one read of the scenes."""

    def __init__(self, folder: Path, checkpoint: Path) -> None:
        self.scenes, self.data = folder / "scenes", folder / "data"
        self.small = f"small-ViT-B-32:{checkpoint}"
        _, _, area = write_world(self.scenes)
        west, south, east, north = area.bboxes[0]
        middle = (west + east) / 2
        self.west = [repr(edge) for edge in (west, south, middle, north)]
        self.whole = [repr(edge) for edge in (west, south, east, north)]

    def build(self, data: Path, bbox: list[str], *more: str) -> list[str]:
        return [
            "build", "--bbox", *bbox, "--start", "2024-05-01", "--end", "2024-06-30",
            "--max-cloud", "100%", "--catalog", str(self.scenes), "--data", str(data), *more,
        ]  # fmt: skip


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory, small_clip_file: Path) -> Shell:
    shell = Shell(tmp_path_factory.mktemp("collections"), small_clip_file)
    models = ["--model", "keenkite-tiny", "--model", shell.small]
    assert main(shell.build(shell.data, shell.west, "--region", "west", *models)) == 0
    return shell


@pytest.fixture
def copied(shell: Shell, tmp_path: Path) -> Path:
    """The data folder, to be changed."""
    return Path(shutil.copytree(shell.data, tmp_path / "data"))


def told(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> Any:
    capsys.readouterr()
    assert main([*arguments, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def names(capsys: pytest.CaptureFixture[str], data: Path) -> dict[str, dict[str, Any]]:
    """Model -> what info tells of its collection."""
    answer = told(capsys, "info", "--data", str(data))
    return {each["model"] or each["name"]: each for each in answer["collections"]}


def test_two_models_make_two_collections_of_the_same_tiles_and_keep_pixels_once(
    shell: Shell, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny, small = sorted(names(capsys, shell.data).values(), key=lambda each: each["dim"])
    assert tiny["model"] == "keenkite-tiny"
    assert small["model"].startswith("small-ViT-B-32@")
    assert tiny["tiles"] == small["tiles"] > 50
    assert tiny["spans"] == small["spans"] == [2240]
    assert tiny["sensor"] == "sentinel-2-l2a"
    assert [region["name"] for region in tiny["regions"]] == ["west"]
    assert tiny["disk_bytes"] > 0
    with TileIndex.open(tiny["location"], encoder=None) as one:
        with TileIndex.open(small["location"], encoder=None) as other:
            tiles = list(one.scroll())
            assert {tile.id for tile in tiles} == {tile.id for tile in other.scroll()}
        archive = PixelArchive.beside(one.folder)
    assert archive is not None
    assert archive.folder == shell.data / "pixels"
    assert archive.tile(tiles[0]).shape == (224, 224, 3)


def test_the_same_search_in_both_needs_no_model_but_a_file_for_ones_own(
    shell: Shell, capsys: pytest.CaptureFixture[str]
) -> None:
    there = names(capsys, shell.data)
    small = next(model for model in there if model != "keenkite-tiny")
    where = ["--data", str(shell.data), "--limit", "2", "--min-confidence", "0"]
    collection = ["--collection", there["keenkite-tiny"]["name"]]
    assert len(told(capsys, "search", "forest", *where, *collection)["hits"]) == 2
    own = ["--collection", there[small]["name"]]
    assert len(told(capsys, "search", "forest", *where, *own, "--model", shell.small)["hits"]) == 2
    assert main(["search", "forest", *where, *own]) == 2
    assert f"checkpoint of your own, {small}" in capsys.readouterr().err
    weights = shell.small.partition(":")[2]
    assert told(capsys, "search", "forest", *where, *own, "--weights", weights)["hits"]


def test_which_collection_must_be_said_where_there_are_several(
    shell: Shell, capsys: pytest.CaptureFixture[str]
) -> None:
    there = names(capsys, shell.data)
    for verb in (["search", "forest"], ["remove", "--all"], ["remove", "--region", "west"]):
        assert main([*verb, "--data", str(shell.data)]) == 2
        err = capsys.readouterr().err
        assert all(each["name"] in err for each in there.values())
    assert len(names(capsys, shell.data)) == 2


def test_a_wrong_model_is_told_before_anything_is_loaded_or_fetched(
    shell: Shell, capsys: pytest.CaptureFixture[str]
) -> None:
    name = names(capsys, shell.data)["keenkite-tiny"]["name"]
    command = ["search", "forest", "--data", str(shell.data), "--collection", name]
    code = (
        "import sys, socket\n"
        "def refuse(*_): raise AssertionError('a network')\n"
        "socket.socket.connect = refuse\n"
        "from keenkite.cli import main\n"
        f"print(main({[*command, '--model', 'remoteclip-vit-b-32']!r}))\n"
        "print({'torch', 'open_clip', 'huggingface_hub'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["2", "set()"]
    assert "keenkite-tiny" in done.stderr
    assert "remoteclip-vit-b-32" in done.stderr


def test_a_build_adds_to_the_collection_that_has_its_model(
    shell: Shell, copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = names(capsys, copied)
    wide = ["--span", "4480", "--region", "wide", "--model", "keenkite-tiny"]
    assert main(shell.build(copied, shell.west, *wide)) == 0
    after = names(capsys, copied)
    assert len(after) == 2
    assert after["keenkite-tiny"]["spans"] == [2240, 4480]
    assert after["keenkite-tiny"]["tiles"] > before["keenkite-tiny"]["tiles"]
    name = after["keenkite-tiny"]["name"]
    where = ["--data", str(copied), "--collection", name, "--overlap", "--limit", "30"]
    answer = told(capsys, "search", "forest", *where, "--span", "4480")
    assert {hit["span"] for hit in answer["hits"]} == {4480}


def test_a_build_without_a_model_goes_on_with_the_collections_own(
    shell: Shell, copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = names(capsys, copied)["keenkite-tiny"]["name"]
    command = shell.build(copied, shell.west, "--region", "west", "--dry-run")
    plan = told(capsys, *command, "--collection", name)
    assert (plan["tiles"], plan["done"]) == (0, 4)
    assert main(command) == 2  # which of the two?
    # One that is not there yet is made with the usual model, which is not had here: only planned.
    assert told(capsys, *command, "--collection", "new")["tiles"] > 0


def test_words_that_do_not_go_together_are_refused(
    shell: Shell, copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    two = ["--model", "keenkite-tiny", "--model", shell.small]
    name = names(capsys, copied)["keenkite-tiny"]["name"]
    for more in (
        [*two, "--collection", "one"],
        [*two, "--weights", "some.pt"],
        ["--model", "keenkite-tiny", "--model", "keenkite-tiny"],
        ["--model", shell.small, "--collection", name],
    ):
        assert main(shell.build(copied, shell.west, *more)) == 2, more


def test_a_damaged_collection_does_not_hide_the_others(
    copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there = names(capsys, copied)
    small = next(model for model in there if model != "keenkite-tiny")
    for file in Path(there[small]["location"]).glob("*.json"):
        file.write_text("{")
    answer = told(capsys, "info", "--data", str(copied))["collections"]
    by_name = {each["name"]: each for each in answer}
    assert by_name[there["keenkite-tiny"]["name"]]["tiles"] == there["keenkite-tiny"]["tiles"]
    assert by_name[there[small]["name"]]["problem"]
    assert main(["info", "--data", str(copied)]) == 0
    shown = capsys.readouterr().out
    assert "cannot be used" in shown
    assert "keenkite-tiny" in shown
    where = ["--data", str(copied), "--collection", there["keenkite-tiny"]["name"]]
    assert told(capsys, "search", "forest", *where)["hits"]
    # Its tiles cannot be told, so no pixels are taken away: told, and not complete.
    assert main(["remove", "--region", "west", *where]) == 1
    assert "pixels were left" in capsys.readouterr().err
    assert list((copied / "pixels").rglob("*.tif"))


def test_removing_a_region_leaves_what_others_have_and_the_pixels_that_are_used(
    shell: Shell, copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny = names(capsys, copied)["keenkite-tiny"]
    models = ["--model", "keenkite-tiny"]
    assert main(shell.build(copied, shell.whole, "--region", "whole", *models)) == 0
    where = ["--data", str(copied), "--collection", tiny["name"]]
    whole = names(capsys, copied)["keenkite-tiny"]
    gone = told(capsys, "remove", "--region", "west", *where)
    assert gone["tiles"] == 0  # all of them are of the whole, too
    left = names(capsys, copied)["keenkite-tiny"]
    assert left["tiles"] == whole["tiles"]
    assert [region["name"] for region in left["regions"]] == ["whole"]
    files = set((copied / "pixels").rglob("*.tif"))
    gone = told(capsys, "remove", "--region", "whole", *where)
    assert gone["tiles"] == whole["tiles"]
    assert gone["pixel_bytes"] > 0  # of the east, which only this collection had
    kept = set((copied / "pixels").rglob("*.tif"))
    assert kept < files
    assert kept


def test_what_is_older_than_a_day_is_removed(
    copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny = names(capsys, copied)["keenkite-tiny"]
    where = ["--data", str(copied), "--collection", tiny["name"]]
    assert tiny["regions"][0]["start"] == "2024-05-12"
    assert told(capsys, "remove", "--before", "2024-05-12", *where)["tiles"] == 0
    gone = told(capsys, "remove", "--before", "2024-05-13", *where)
    left = names(capsys, copied)["keenkite-tiny"]
    assert gone["tiles"] + left["tiles"] == tiny["tiles"]
    assert left["regions"][0]["start"] == "2024-06-06"


def test_removing_a_collection_leaves_the_others_and_then_no_pixels(
    copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, last = names(capsys, copied).values()
    where = ["--data", str(copied)]
    gone = told(capsys, "remove", "--all", "--collection", first["name"], *where)
    assert (gone["collection"], gone["tiles"]) == (first["name"], first["tiles"])
    assert gone["pixel_bytes"] == 0
    assert not Path(first["location"]).exists()
    assert list(names(capsys, copied)) == [last["model"]]
    gone = told(capsys, "remove", "--all", *where)  # the only one need not be named
    assert gone["pixel_bytes"] > 0
    assert list((copied / "pixels").rglob("*.tif")) == []
    assert main(["info", *where]) == 1
