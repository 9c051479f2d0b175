"""The imports run one way, and heavy packages are loaded by those modules alone that need them."""

from tests.support.paths import ROOT
import ast
import subprocess
import sys
from pathlib import Path

import pytest

CORE = ROOT / "keenkite"

HEAVY = {
    "torch": {"encoder", "demo"},
    "open_clip": {"encoder", "demo"},
    "rasterio": {"reader", "pixels", "pictures", "demo"},
    "qdrant_client": {"index"},
    "qdrant_edge": {"index"},
    "pystac_client": {"catalog"},
    "mcp": set(),
}
"""Package -> the modules (first part of the name inside keenkite) that may import it."""

STAGES = ("catalog", "reader", "tiling", "encoder", "index", "pixels")
"""The stages of a build: none knows of what stands above it, or of the settings."""
ABOVE = {"build", "retrieval", "pictures", "cli", "demo", "settings"}


def _imports(path: Path) -> set[str]:
    """Every module that a file imports, anywhere in it, as absolute names."""
    package = ["keenkite", *path.relative_to(CORE).parts[:-1]]
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            stem = ".".join([*base, *([node.module] if node.module else [])])
            found |= {stem} | {f"{stem}.{alias.name}" for alias in node.names}
    return found


def _part(path: Path) -> str:
    """ "index" for keenkite/index/edge.py, "area" for keenkite/area.py."""
    return path.relative_to(CORE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("package", HEAVY)
def test_a_heavy_package_is_imported_where_it_belongs(package: str) -> None:
    users = {
        _part(path)
        for path in CORE.rglob("*.py")
        if any(name == package or name.startswith(f"{package}.") for name in _imports(path))
    }
    assert users <= HEAVY[package]


def test_the_core_knows_nothing_of_the_server() -> None:
    for path in CORE.rglob("*.py"):
        assert not any(name.startswith("keenkite_server") for name in _imports(path)), path


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_knows_nothing_of_what_stands_above_it(stage: str) -> None:
    paths = [CORE / f"{stage}.py"] if (CORE / f"{stage}.py").exists() else (CORE / stage).glob("*")
    for path in paths:
        if path.suffix == ".py":
            above = {f"keenkite.{name}" for name in ABOVE}
            assert not {
                name for name in _imports(path) if ".".join(name.split(".")[:2]) in above
            }, path


@pytest.mark.parametrize("command", ["import keenkite", "import keenkite.cli"])
def test_importing_the_package_or_the_command_line_loads_nothing_heavy(command: str) -> None:
    heavy = "{'torch', 'open_clip', 'rasterio', 'qdrant_edge', 'qdrant_client', 'numpy'}"
    code = f"{command}; import sys; print(sorted({heavy} & set(sys.modules)))"
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert shown.strip() == "[]"


def test_all_public_names_can_be_imported() -> None:
    import keenkite

    for name in keenkite.__all__:
        assert getattr(keenkite, name).__name__ == name
