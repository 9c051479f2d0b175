"""The imports run one way; heavy packages are loaded where they belong; modules stay small."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib

import numpy as np
import pytest

from tests.support.paths import ROOT
from tests.support.source import HOMES, circles, functions, imports, modules, tree

ORDER = (
    "errors", "files", "settings", "utm", "geojson", "cloud", "area", "sensors", "scene", "tiling",
    "ground", "encoder", "reader", "catalog", "pixels", "index", "build", "retrieval",
    "evaluation", "pictures", "export", "demo", "cli",
)  # fmt: skip
"""Each part of the core may import those that stand before it, and no others."""

HEAVY = {
    "torch": {"encoder", "demo.training"},
    "open_clip": {"encoder", "demo.training"},
    "safetensors": {"encoder", "demo.training"},
    "huggingface_hub": {"encoder"},
    "rasterio": {"reader", "pixels", "pictures", "demo"},
    "qdrant_client": {"index"},
    "qdrant_edge": {"index"},
    "requests": {"catalog"},
    "ray": {"build.ray"},
    "mcp": {"keenkite_server"},
    "mcp_types": {"keenkite_server"},
}
"""Package -> the parts, or modules of parts, that may import it."""

CORE = sorted(name for name in modules() if name.startswith("keenkite."))
SERVER = sorted(name for name in modules() if name.startswith("keenkite_server"))


def part(name: str) -> str:
    """ "index" for keenkite.index.embedded.lock, "area" for keenkite.area, "" for keenkite."""
    return name.partition(".")[2].partition(".")[0]


def ours(name: str) -> set[str]:
    return {other for other in imports(name) if other.partition(".")[0] in HOMES}


def test_every_part_of_the_core_has_its_place_in_the_order() -> None:
    assert {part(name) for name in CORE} == set(ORDER)


@pytest.mark.parametrize("name", CORE)
def test_a_module_imports_only_parts_that_stand_before_its_own(name: str) -> None:
    allowed = {*ORDER[: ORDER.index(part(name)) + 1]}
    # The package itself has the version, and imports its public names when they are asked for.
    assert {other for other in ours(name) if part(other) not in allowed | {""}} == set()


def test_no_module_imports_another_in_a_circle() -> None:
    assert circles() == []


@pytest.mark.parametrize("package", HEAVY)
def test_a_heavy_package_is_imported_where_it_belongs(package: str) -> None:
    users = {n for n in modules() if package in {other.partition(".")[0] for other in imports(n)}}
    allowed = HEAVY[package]
    for name in users:
        inside = name.removeprefix("keenkite.")
        assert any(inside == place or inside.startswith(f"{place}.") for place in allowed), name


def test_the_core_knows_nothing_of_the_server() -> None:
    for name in CORE:
        assert not any(other.startswith("keenkite_server") for other in imports(name)), name


def test_the_server_uses_the_core_alone_and_not_its_command_line_or_its_demo() -> None:
    for name in SERVER:
        used = {part(other) for other in ours(name) if other.startswith("keenkite.")}
        assert not used & {"cli", "demo"}, name


def test_the_demo_is_used_by_its_verb_alone_and_training_by_nothing() -> None:
    users = {n for n in CORE for o in ours(n) if part(o) == "demo" and part(n) != "demo"}
    assert users == {"keenkite.cli.demo"}
    trained = {
        name
        for name in modules()
        for other in ours(name)
        if other.startswith("keenkite.demo.training") and ".training" not in name
    }
    assert trained == set()


def test_the_environment_is_read_in_one_module() -> None:
    readers = set()
    for name in modules():
        for node in ast.walk(tree(name)):
            if isinstance(node, ast.Attribute) and node.attr in {"environ", "environb", "getenv"}:
                readers.add(name)
    assert readers == {"keenkite.settings"}


@pytest.mark.parametrize("command", ["import keenkite", "import keenkite.cli"])
def test_importing_the_package_or_the_command_line_loads_nothing_heavy(command: str) -> None:
    code = f"{command}; import sys; print(*{{name.partition('.')[0] for name in sys.modules}})"
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    allowed = set(sys.stdlib_module_names) | {"keenkite", "sitecustomize"}
    # What an editable installation and the interpreter's own start put there.
    loaded = {name for name in shown.split() if not name.startswith("_")}
    assert loaded - allowed == set()


def test_all_public_names_can_be_imported() -> None:
    import keenkite

    assert set(keenkite.__all__) >= {
        "Area", "Query", "Near", "Filters", "Encoder", "ClipEncoder", "TileIndex", "Tile",
        "build_index", "search", "heatmap",
    }  # fmt: skip
    for name in keenkite.__all__:
        assert getattr(keenkite, name).__name__ == name


def test_no_module_is_over_300_lines_without_saying_why() -> None:
    long = {}
    for name, path in modules().items():
        lines = len(path.read_text("utf-8").splitlines())
        why = ast.get_docstring(tree(name)) or ""
        if lines > 300 and not re.search(r"^Long: \w", why, re.MULTILINE):
            long[name] = lines
    assert long == {}


def test_nine_functions_of_ten_fit_half_a_screen() -> None:
    lengths = [
        (node.end_lineno or node.lineno) - node.lineno + 1
        for name in modules()
        for node in functions(name)
    ]
    assert np.percentile(lengths, 90) <= 30


def test_every_package_is_installed_but_the_training() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = {name for name, path in modules().items() if path.stem == "__init__"}
    assert set(project["tool"]["setuptools"]["packages"]) == packages - {"keenkite.demo.training"}
