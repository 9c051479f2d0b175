"""The command line, run in this process and as a program, on a small drawn world."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image

from keenkite.cli import main
from tests.support.worlds import write_world

TINY = ("--model", "keenkite-tiny")


class Shell:
    """Scenes and an index built from them by the command line."""

    def __init__(self, folder: Path) -> None:
        self.scenes, self.index = folder / "scenes", folder / "index"
        _, self.items, area = write_world(self.scenes)
        self.bbox = [repr(edge) for edge in area.bboxes[0]]
        self.build = [
            "build", "--bbox", *self.bbox, "--start", "2024-05-01", "--end", "2024-06-30",
            "--max-cloud", "100", "--catalog", str(self.scenes), "--index", str(self.index), *TINY,
        ]  # fmt: skip


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    shell = Shell(tmp_path_factory.mktemp("shell"))
    assert main([*shell.build, "--region", "colours"]) == 0
    return shell


def asked(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    capsys.readouterr()
    assert main(arguments) == code
    return capsys.readouterr().out


def test_help_is_quick_and_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom keenkite.cli import main\n"
        "try: main(['search', '--help'])\n"
        "except SystemExit as end:\n"
        "    print(end.code, {'torch', 'numpy', 'rasterio'} & set(sys.modules))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.splitlines()[-1] == "0 set()"


def test_a_dry_run_says_what_is_to_be_done_and_does_nothing(
    shell: Shell, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # A model that cannot be had here: a dry run does not ask for it.
    remote = ["--model", "remoteclip-vit-b-32", "--weights", "nowhere.pt"]
    command = [*shell.build, "--dry-run", "--index", str(tmp_path / "new"), *remote]
    plan = json.loads(asked(capsys, *command, "--json"))
    assert len(plan["scenes"]) == 4
    assert plan["tiles"] > 100
    assert f"{plan['tiles']} tiles" in asked(capsys, *command).replace(",", "")
    assert not (tmp_path / "new").exists()
    finer = json.loads(asked(capsys, *command, "--stride", "56", "--json"))
    assert finer["tiles"] > 3 * plan["tiles"]
    done = json.loads(asked(capsys, *shell.build, "--region", "colours", "--dry-run", "--json"))
    assert (done["scenes"], done["tiles"], done["done"]) == ([], 0, 4)


def test_a_second_build_reports_that_all_is_done(
    shell: Shell, capsys: pytest.CaptureFixture[str]
) -> None:
    report = json.loads(asked(capsys, *shell.build, "--region", "colours", "--json"))
    assert (report["scenes"], report["kept"], len(report["skipped"])) == ([], 0, 4)


def test_a_build_shows_progress_on_stderr_and_its_report_on_stdout(
    shell: Shell, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert main([*shell.build, "--index", str(tmp_path), "--choose", "least-cloudy"]) == 0
    out, err = capsys.readouterr()
    assert "tiles kept" in out
    assert "tiles/s" in err
    assert "tiles/s" not in out


def test_search_prints_hits_and_the_same_as_json(
    shell: Shell, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["search", "forest", "--index", str(shell.index), "--limit", "3"]
    answer = json.loads(asked(capsys, *command, "--json"))
    assert [hit["rank"] for hit in answer["hits"]] == [1, 2, 3]
    table = asked(capsys, *command)
    assert answer["verdict"] in table.splitlines()[0]
    for hit in answer["hits"]:
        assert hit["tile_id"] in table
        west, south, east, north = hit["bounds"]
        assert west < hit["lon"] < east
        assert south < hit["lat"] < north


def test_search_takes_every_filter_and_relation(
    shell: Shell, capsys: pytest.CaptureFixture[str]
) -> None:
    east = "139.62", "35.9", "139.8", "36.1"
    first = json.loads(
        asked(
            capsys,
            "search",
            "forest",
            "--index",
            str(shell.index),
            "--json",
            "--limit",
            "1",
            "--bbox",
            *east,
        )
    )["hits"][0]
    answer = json.loads(
        asked(
            capsys, "search", "farmland", "--index", str(shell.index), "--json",
            "--near", "sea", "5", "--exclude", "snow", "--like", first["tile_id"],
            "--unlike", f"{first['lon'] - 0.03},{first['lat']}", "--explain", "--overlap",
            "--around", str(first["lon"]), str(first["lat"]), "20", "--start", "2024-05-01",
            "--end", "2024-06-30", "--max-cloud", "30", "--cover", "vegetation=0:0.9",
            "--region", "colours", "--limit", "4",
        )
    )  # fmt: skip
    assert answer["hits"]
    for hit in answer["hits"]:
        assert hit["cover"]["vegetation"] <= 0.9
        assert hit["cover"]["cloud"] <= 0.3
        assert "near sea" in hit["parts"]


def test_search_writes_a_contact_sheet_and_outlines_for_a_map(
    shell: Shell, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sheet, outlines = tmp_path / "sheet.png", tmp_path / "hits.geojson"
    asked(
        capsys, "search", "forest", "--index", str(shell.index), "--limit", "4",
        "--sheet", str(sheet), "--geojson", str(outlines),
    )  # fmt: skip
    with Image.open(sheet) as picture:
        assert picture.width > 400
        assert len(np.unique(np.asarray(picture).reshape(-1, 3), axis=0)) > 100
    assert len(json.loads(outlines.read_text())["features"]) == 4


def test_heatmap_writes_a_picture_or_a_geotiff_and_says_where(
    shell: Shell, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["search", "forest", "--index", str(shell.index), "--limit", "1", "--json"]
    hit = json.loads(asked(capsys, *command))["hits"][0]
    where = ["--index", str(shell.index), "--catalog", str(shell.scenes)]
    for name in ("heat.png", "heat.tif"):
        told = json.loads(
            asked(capsys, "heatmap", hit["tile_id"], "forest", "--out", str(tmp_path / name),
                  *where, "--json")
        )  # fmt: skip
        west, south, east, north = hit["bounds"]
        assert west <= told["lon"] <= east
        assert south <= told["lat"] <= north
    with rasterio.open(tmp_path / "heat.tif") as file:
        assert file.shape == (224, 224)
        assert float(file.read(1).max()) == pytest.approx(told["strength"], abs=1e-2)


def test_info_says_what_the_index_holds(shell: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    told = json.loads(asked(capsys, "info", "--index", str(shell.index), "--json"))
    assert told["model"] == "keenkite-tiny"
    assert told["regions"][0]["name"] == "colours"
    assert told["regions"][0]["tiles"] == told["tiles"]
    assert "colours" in asked(capsys, "info", "--index", str(shell.index))


def test_eval_measures_a_model_on_a_folder_of_classes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    colours = {"Forest": (25, 75, 35), "SeaLake": (15, 40, 90), "Desert": (215, 190, 140)}
    for name, colour in colours.items():
        (tmp_path / name).mkdir()
        for number in range(3):
            picture = Image.new("RGB", (64, 64), tuple(c + number for c in colour))
            picture.save(tmp_path / name / f"{number}.png")
    told = json.loads(asked(capsys, "eval", str(tmp_path), *TINY, "--fit", "mosaic", "--json"))
    assert told["images"] == 9
    assert "mAP" in asked(capsys, "eval", str(tmp_path), *TINY)


def test_a_scene_that_cannot_be_read_gives_exit_code_3(
    shell: Shell, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scenes = tmp_path / "scenes"
    for item in shell.items:
        home = scenes / item.parent.name
        home.mkdir(parents=True)
        for file in item.parent.iterdir():
            os.link(file, home / file.name)
    (home / "B02.tif").unlink()
    command = [*shell.build, "--catalog", str(scenes), "--index", str(tmp_path / "index")]
    told = asked(capsys, *command, code=3)
    assert "1 failed" in told
    assert f"{home.name}/B02.tif" in told


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["search", "airport", "--index", "nowhere"], "nowhere"),
        (["search", "--index", "INDEX"], "nothing to look for"),
        (["search", "a", "--bbox", "35", "139", "36", "140", "--index", "INDEX"], "longitude"),
        (["search", "a", "--near", "sea", "far", "--index", "INDEX"], "kilometres"),
        (["search", "a", "--limit", "0", "--index", "INDEX"], "limit"),
        (["search", "x" * 10_001, "--index", "INDEX"], "10,000"),
        (["search", "a", "--area", "no.geojson", "--index", "INDEX"], "no.geojson"),
        (["search", "a", "--like", "none-such", "--index", "INDEX"], "none-such"),
        (["search", "a", "--model", "ViT-Z", "--index", "INDEX"], "ViT-Z"),
        (["heatmap", "../../etc/passwd", "a", "--out", "x.png", "--index", "INDEX"], "not in"),
        (["heatmap", "t", "a", "--out", "x.bmp", "--index", "INDEX"], ".png"),
        (["search", "forest", "--sheet", "/nowhere/x.png", "--index", "INDEX"], "cannot be"),
    ],
)
def test_what_cannot_be_done_is_said_on_stderr_with_exit_code_1(
    shell: Shell,
    arguments: list[str],
    says: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    assert main([str(shell.index) if word == "INDEX" else word for word in arguments]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert says in err
    assert err.startswith("keenkite: ")
    assert "Traceback" not in err
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["build", "--bbox", "1", "2", "3", "--start", "2024-01-01", "--end", "2024-02-01"],
        ["build", "--bbox", "1", "2", "3", "4", "--start", "01.02.2024", "--end", "2024-02-01"],
        ["search", "a", "--cover", "water:1"],
        ["find", "a"],
    ],
)
def test_a_command_line_that_cannot_be_used_has_exit_code_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
