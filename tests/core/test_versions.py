"""Every place that states a version states the same one."""

import json
import re
import tomllib

import keenkite
from tests.support.paths import ROOT


def test_all_versions_agree() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    registry = json.loads((ROOT / "server" / "server.json").read_text())
    bundle = json.loads((ROOT / "server" / "manifest.json").read_text())
    dockerfile = (ROOT / "server" / "Dockerfile").read_text()
    found = {
        "pyproject.toml": project["version"],
        "keenkite.__version__": keenkite.__version__,
        "server.json": registry["version"],
        "server.json, package": registry["packages"][0]["version"],
        "manifest.json": bundle["version"],
        "Dockerfile": re.search(r"ARG VERSION=(\S+)", dockerfile)[1],  # type: ignore[index]
        "docs/server.md": re.search(r"keenkite==(\S+)", (ROOT / "docs" / "server.md").read_text())[
            1
        ],  # type: ignore[index]
    }
    assert set(found.values()) == {keenkite.__version__}, found


def test_the_registry_and_the_bundle_name_the_package_and_its_command() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    registry = json.loads((ROOT / "server" / "server.json").read_text())
    assert registry["packages"][0]["identifier"] == project["name"]
    bundle = json.loads((ROOT / "server" / "manifest.json").read_text())
    assert "keenkite-mcp" in bundle["server"]["mcp_config"]["args"]
    assert project["scripts"]["keenkite-mcp"] == "keenkite_server.cli:main"


def test_the_bundle_lists_the_servers_tools() -> None:
    bundle = json.loads((ROOT / "server" / "manifest.json").read_text())
    snapshots = {path.stem for path in (ROOT / "tests" / "server" / "snapshots").glob("*.json")}
    assert {tool["name"] for tool in bundle["tools"]} == snapshots
