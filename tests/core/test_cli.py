"""The command line, run in this process and as a program, on a small drawn world."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from PIL import Image

from keenkite.cli import main
from tests.support.worlds import write_world

TINY = ("--model", "keenkite-tiny")


class Shell:
    """Scenes and a data folder built from them by the command line."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.scenes, self.data = folder / "scenes", folder / "data"
        _, self.items, area = write_world(self.scenes)
        self.bbox = [repr(edge) for edge in area.bboxes[0]]
        self.request = [
            "build", "--bbox", *self.bbox, "--start", "2024-05-01", "--end", "2024-06-30",
            "--max-cloud", "100", "--catalog", str(self.scenes),
        ]  # fmt: skip
        self.build = [*self.request, "--data", str(self.data), *TINY]

    def corner(self, part: float) -> list[str]:
        """The western part of the box."""
        west, south, east, north = map(float, self.bbox)
        return [str(edge) for edge in (west, south, west + part * (east - west), north)]


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    shell = Shell(tmp_path_factory.mktemp("shell"))
    assert main([*shell.build, "--region", "colours"]) == 0
    return shell


def asked(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    capsys.readouterr()
    assert main(arguments) == code
    return capsys.readouterr().out


def told(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> Any:
    """The JSON of an answer."""
    return json.loads(asked(capsys, *arguments, "--json", code=code))


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
    command = [*shell.request, "--dry-run", "--data", str(tmp_path / "new")]
    plan = told(capsys, *command, *remote)
    assert len(plan["scenes"]) == 4
    assert plan["tiles"] > 100
    assert f"{plan['tiles']} tiles" in asked(capsys, *command, *remote).replace(",", "")
    assert not (tmp_path / "new").exists()
    done = told(capsys, *shell.build, "--region", "colours", "--dry-run")
    assert (done["scenes"], done["tiles"], done["done"]) == ([], 0, 4)


def test_a_dry_run_multiplies_by_spans_and_models(
    shell: Shell, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [*shell.request, "--dry-run", "--data", str(tmp_path / "new")]
    wide = told(capsys, *command)
    narrow = told(capsys, *command, "--span", "1120")
    both = told(capsys, *command, "--span", "1120", "--span", "2240")
    models = told(capsys, *command, *TINY, "--model", "ViT-B-16:openai", "--span", "2240")
    assert narrow["tiles"] > 3 * wide["tiles"]
    assert both["tiles"] == wide["tiles"] + narrow["tiles"]
    assert both["spans"] == [1120, 2240]
    assert models["tiles"] == 2 * wide["tiles"]
    assert both["disk_bytes"] > wide["disk_bytes"]
    assert models["disk_bytes"] < 2 * wide["disk_bytes"]  # the pixels are kept once


def test_a_dry_run_loads_no_torch(shell: Shell, tmp_path: Path) -> None:
    command = [*shell.request, "--dry-run", "--data", str(tmp_path), "--model", "ViT-B-16:openai"]
    code = (
        f"import sys\nfrom keenkite.cli import main\nassert main({command!r}) == 0\n"
        "print({'torch', 'open_clip'} & set(sys.modules))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.splitlines()[-1] == "set()"


@pytest.mark.parametrize("cloud", ["20", "0.2", "20%", "20 %"])
def test_cloud_is_said_in_one_way_or_another(
    shell: Shell, tmp_path: Path, capsys: pytest.CaptureFixture[str], cloud: str
) -> None:
    command = [*shell.request, "--dry-run", "--data", str(tmp_path)]
    plan = told(capsys, *command, "--max-cloud", cloud)
    assert 0 < len(plan["scenes"]) < 4 or plan == told(capsys, *command)
    assert plan == told(capsys, *command, "--max-cloud", "0.2")


def test_a_second_build_reports_that_all_is_done(
    shell: Shell, capsys: pytest.CaptureFixture[str]
) -> None:
    report = told(capsys, *shell.build, "--region", "colours")
    assert (report["scenes"], report["kept"], len(report["skipped"])) == ([], 0, 4)


def test_a_build_shows_progress_on_stderr_and_its_report_on_stdout(
    shell: Shell, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert main([*shell.build, "--data", str(tmp_path), "--choose", "least-cloudy"]) == 0
    out, err = capsys.readouterr()
    assert "scenes done" in out
    assert "tiles kept" in out
    assert "tiles/s" in err
    assert "tiles/s" not in out


def test_search_prints_hits_and_the_same_as_json(
    shell: Shell, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["search", "forest", "--index", str(shell.data), "--limit", "3"]
    command += ["--min-confidence", "0"]
    answer = json.loads(asked(capsys, *command, "--json"))
    assert [hit["rank"] for hit in answer["hits"]] == [1, 2, 3]
    table = asked(capsys, *command)
    assert table.splitlines()[0] == f"verdict: {answer['verdict']}"
    for hit in answer["hits"]:
        assert hit["tile_id"] in table
        west, south, east, north = hit["bounds"]
        assert west < hit["lon"] < east
        assert south < hit["lat"] < north


def test_a_table_has_every_verdict_the_cloud_and_each_condition(
    shell: Shell, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["search", "forests", "--data", str(shell.data), "--near", "sea", "9"]
    command += ["--exclude", "snow", "--min-confidence", "0", "--limit", "3"]
    answer = told(capsys, *command)
    lines = asked(capsys, *command).splitlines()
    for condition, words in zip(
        answer["conditions"], ("forests", "sea within 9 km", "without snow"), strict=True
    ):
        assert f"{words}: {condition['verdict']}" in lines[0]
    for text, verdict in answer["verdicts"].items():
        assert any("by itself" in line and f"{text}: {verdict}" in line for line in lines)
    assert {f"note: {note}" for note in answer["notes"]} <= set(lines)
    for hit in answer["hits"]:
        (line,) = (line for line in lines if hit["tile_id"] in line)
        assert f" {round(hit['cloud'] * 100)} % " in line
        assert all(f"{words} {value:.2f}" in line for words, value in hit["factors"].items())


def test_hits_are_cut_counted_and_skipped(shell: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["search", "forest", "--data", str(shell.data), "--limit", "6"]
    every = told(capsys, *command, "--min-confidence", "0")["hits"]
    pages = [
        told(capsys, *command, "--min-confidence", "0", "--limit", "3", "--skip", skip)["hits"]
        for skip in ("0", "3")
    ]
    assert [*pages[0], *pages[1]] == every
    cut = told(capsys, *command, "--min-confidence", "1")
    assert [hit["rank"] for hit in cut["hits"]] == [1]
    assert cut["below"] == 5
    assert (
        asked(capsys, *command, "--min-confidence", "1")
        .splitlines()[-1]
        .startswith("5 more below 1;")
    )


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
            str(shell.data),
            "--json",
            "--limit",
            "1",
            "--bbox",
            *east,
        )
    )["hits"][0]
    answer = json.loads(
        asked(
            capsys, "search", "farmland", "--index", str(shell.data), "--json",
            "--near", "sea", "5", "--exclude", "snow", "--like", first["tile_id"],
            "--unlike", f"{first['lon'] - 0.03},{first['lat']}", "--explain", "--overlap",
            "--around", str(first["lon"]), str(first["lat"]), "20", "--start", "2024-05-01",
            "--end", "2024-06-30", "--max-cloud", "30%", "--cover", "vegetation=0:0.9",
            "--region", "colours", "--limit", "4", "--span", "2240",
        )
    )  # fmt: skip
    assert answer["hits"]
    for hit in answer["hits"]:
        assert hit["cover"]["vegetation"] <= 0.9
        assert hit["cloud"] <= 0.3
        assert hit["span"] == 2240
        assert "near sea within 5 km" in hit["parts"]


def test_search_writes_a_contact_sheet_and_outlines_for_a_map(
    shell: Shell, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sheet, outlines = tmp_path / "sheet.png", tmp_path / "hits.geojson"
    asked(
        capsys, "search", "forest", "--index", str(shell.data), "--limit", "4",
        "--min-confidence", "0", "--sheet", str(sheet), "--geojson", str(outlines),
    )  # fmt: skip
    with Image.open(sheet) as picture:
        assert picture.width > 400
        assert len(np.unique(np.asarray(picture).reshape(-1, 3), axis=0)) > 100
    assert len(json.loads(outlines.read_text())["features"]) == 4


def test_heatmap_writes_a_picture_or_a_geotiff_and_says_where(
    shell: Shell, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["search", "forest", "--index", str(shell.data), "--limit", "1", "--json"]
    hit = json.loads(asked(capsys, *command))["hits"][0]
    where = ["--index", str(shell.data), "--catalog", str(shell.scenes)]
    for name in ("heat.png", "heat.tif"):
        answer = told(
            capsys, "heatmap", hit["tile_id"], "forest", "--out", str(tmp_path / name), *where
        )
        west, south, east, north = hit["bounds"]
        assert west <= answer["lon"] <= east
        assert south <= answer["lat"] <= north
        assert 0 <= answer["confidence"] <= 1
        assert answer["found"] == (answer["strength"] >= 0.5)
        assert answer["cloud"] == hit["cloud"]
    text = asked(capsys, "heatmap", hit["tile_id"], "forest", "--out", str(tmp_path / name), *where)
    assert f"confidence of the search {answer['confidence']:.2f}" in text
    assert answer["belief"] in text
    with rasterio.open(tmp_path / "heat.tif") as file:
        assert file.shape == (224, 224)
        highest = file.read(1, masked=True).max()  # where it is not hidden
        assert float(highest) == pytest.approx(answer["strength"], abs=1e-2)


def test_eval_measures_a_model_on_a_folder_of_classes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    colours = {"Forest": (25, 75, 35), "SeaLake": (15, 40, 90), "Desert": (215, 190, 140)}
    for name, colour in colours.items():
        (tmp_path / name).mkdir()
        for number in range(3):
            picture = Image.new("RGB", (64, 64), tuple(c + number for c in colour))
            picture.save(tmp_path / name / f"{number}.png")
    measured = told(capsys, "eval", str(tmp_path), *TINY, "--fit", "mosaic")
    assert measured["images"] == 9
    assert "mAP" in asked(capsys, "eval", str(tmp_path), *TINY)


def test_a_scene_that_cannot_be_read_leaves_a_build_incomplete_with_exit_code_1(
    shell: Shell, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scenes = tmp_path / "scenes"
    for item in shell.items:
        home = scenes / item.parent.name
        home.mkdir(parents=True)
        for file in item.parent.iterdir():
            os.link(file, home / file.name)
    (home / "B02.tif").unlink()
    command = [*shell.build, "--catalog", str(scenes), "--data", str(tmp_path / "data")]
    report = asked(capsys, *command, code=1)
    assert "1 failed" in report
    assert "failed: " in report
    assert f"{home.name}/B02.tif" in report


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["search", "--data", "DATA"], "nothing to look for"),
        (["search", "a", "--bbox", "35", "139", "36", "140", "--data", "DATA"], "longitude"),
        (["search", "a", "--near", "sea", "far", "--data", "DATA"], "kilometres"),
        (["search", "a", "--limit", "0", "--data", "DATA"], "limit"),
        (["search", "a", "--min-confidence", "2", "--data", "DATA"], "confidence"),
        (["search", "x" * 10_001, "--data", "DATA"], "10,000"),
        (["search", "a", "--area", "no.geojson", "--data", "DATA"], "no.geojson"),
        (["search", "a", "--like", "none-such", "--data", "DATA"], "none-such"),
        (["search", "a", "--model", "ViT-Z", "--data", "DATA"], "ViT-Z"),
        (["search", "a", "--model", "remoteclip-vit-b-32", "--data", "DATA"], "keenkite-tiny"),
        (["heatmap", "../../etc/passwd", "a", "--out", "x.png", "--data", "DATA"], "not in"),
        (["heatmap", "t", "a", "--out", "x.bmp", "--data", "DATA"], ".png"),
        (["heatmap", "t", "a", "--out", "nowhere/x.png", "--data", "DATA"], "no folder"),
        (["search", "forest", "--sheet", "/nowhere/x.png", "--data", "DATA"], "cannot be"),
        (["search", "forest", "--sheet", "x.jpg", "--data", "DATA"], ".png"),
        (["search", "a", "--sheet", "x.png", "--limit", "101", "--data", "DATA"], "100"),
        (["remove", "--region", "paris", "--data", "DATA"], "colours"),
    ],
)
def test_what_cannot_be_done_is_refused_on_stderr_with_exit_code_2(
    shell: Shell,
    arguments: list[str],
    says: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    assert main([str(shell.data) if word == "DATA" else word for word in arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert says in err
    assert err.startswith("keenkite: ")
    assert "Traceback" not in err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["build", "--bbox", "1", "2", "3", "--start", "2024-01-01"], "expected 4 arguments"),
        (["build", "--around", "1", "2", "3", "--start", "01.02.2024"], "2024-04-01"),
        (["search", "a", "--cover", "water:1"], "water=0.1:1"),
        (["search", "a", "--max-cloud", "much"], "per cent"),
        (["search", "a", "--max-cloud", "101"], "per cent"),
        (["remove"], "--region --before --all"),
        (["remove", "--all", "--before", "2024-01-01"], "not allowed with"),
        (["find", "a"], "invalid choice"),
        (["build", "--around", "1", "2", "3", "--stride", "56"], "--span"),
        (["build", "--stride"], "--span"),
    ],
)
def test_a_command_line_that_cannot_be_used_has_exit_code_2(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    assert says in capsys.readouterr().err


def test_a_collection_that_is_not_there_is_told_with_those_that_are(
    shell: Shell, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["search", "a", "--collection", "other", "--data", str(shell.data)]) == 1
    assert "keenkite-tiny" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["search", "airport"],
        ["search", "--like", "-58.38,-34.6"],
        ["search", "--unlike", "-.5,-34.6"],
        ["search", "a", "--like", "-58.38,-34.6", "--near", "sea", "-1e1"],
        ["info"],
        ["remove", "--all"],
    ],
)
def test_a_place_without_a_collection_is_named_with_exit_code_1(
    words: list[str],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*words, "--data", "nowhere"]) == 1
    assert "There is no collection in" in capsys.readouterr().err


def test_the_environment_names_the_data_and_the_collection(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, shell: Shell
) -> None:
    for name in ("KEENKITE_DATA", "KEENKITE_INDEX"):
        with monkeypatch.context() as patch:
            patch.setenv(name, str(shell.data))
            assert told(capsys, "search", "forest", "--limit", "1")["hits"]
    monkeypatch.setenv("KEENKITE_DATA", str(shell.data))
    monkeypatch.setenv("KEENKITE_COLLECTION", "none-such")
    assert main(["search", "forest"]) == 1
    assert "none-such" in capsys.readouterr().err
