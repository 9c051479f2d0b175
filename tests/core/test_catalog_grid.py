"""The grid that an item states, in whatever words, or else that of its file."""

from __future__ import annotations

import json
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from rasterio.transform import Affine

from keenkite.area import Area
from keenkite.catalog import ItemFolder
from keenkite.catalog.stac_items import ItemError, RawItem, scene_from_item
from keenkite.errors import CatalogError
from tests.support.earth_search import NOON, c1_item
from tests.support.range_server import serve

WEST, NORTH = 300_000.0, 4_000_020.0
GRID = (32654, WEST, NORTH, 10_980, 10_980)
BOUNDS = [WEST, NORTH - 109_800, WEST + 109_800, NORTH]
UTM = pyproj.CRS.from_epsg(32654)


def stated(**fields: Any) -> dict[str, Any]:
    """An item of this grid whose `proj:*` is this alone; "_" stands for ":"."""
    item = c1_item()
    for place in (item["properties"], *item["assets"].values()):
        for name in [name for name in place if name.startswith("proj:")]:
            del place[name]
    proj = {"epsg": 32654, "shape": [10_980, 10_980], "transform": [10, 0, WEST, 0, -10, NORTH]}
    item["properties"] |= {
        f"proj:{name}": value for name, value in (proj | fields).items() if value is not ...
    }
    return item


def grid_of(item: dict[str, Any]) -> tuple[int, float, float, int, int]:
    scene = scene_from_item(RawItem(item=item, base="https://stac.example/"))
    return scene.epsg, scene.west, scene.north, scene.width, scene.height


@pytest.mark.parametrize(
    "transform",
    [
        [10, 0, WEST, 0, -10, NORTH],
        [10, 0, WEST, 0, -10, NORTH, 0, 0, 1],
        [WEST, 10, 0, NORTH, 0, -10],
        [WEST, 10.0, -0.0, NORTH, 0.0, -10.0],
        [WEST, 10, 0, NORTH, 0, -10, 0, 0, 1],
    ],
    ids=["rasterio", "nine numbers", "GDAL", "GDAL, floats", "GDAL, nine"],
)
def test_a_transform_is_read_in_either_order(transform: list[float]) -> None:
    assert grid_of(stated(transform=transform)) == GRID


@given(
    *[st.floats(-0.001, 0.001)] * 2,
    st.floats(-5e-8, 5e-8),
    st.floats(-5e-8, 5e-8),
    st.sampled_from([False, True]),
)
def test_noise_of_a_millimetre_is_none(
    east: float, north: float, size: float, skew: float, gdal: bool
) -> None:
    numbers = [10 + size, skew, WEST + east, -skew, -10 - size, NORTH + north]
    if gdal:
        numbers = [numbers[n] for n in (2, 0, 1, 5, 3, 4)]
    assert grid_of(stated(transform=numbers)) == GRID


def test_what_is_more_than_noise_is_kept() -> None:
    moved = stated(transform=[10, 0, WEST + 0.25, 0, -10, NORTH - 0.004])
    assert grid_of(moved)[1:3] == (WEST + 0.25, NORTH - 0.004)


@pytest.mark.parametrize(
    "fields",
    [
        {"transform": ..., "bbox": BOUNDS},
        {"transform": None, "bbox": [BOUNDS[0], BOUNDS[1], 0, BOUNDS[2], BOUNDS[3], 100]},
        {"shape": ..., "bbox": BOUNDS},
        {"shape": [], "bbox": BOUNDS},
        {"transform": [20, 0, WEST, 0, -20, NORTH], "shape": [5_490, 5_490]},
        {"transform": [20, 0, WEST, 0, -20, NORTH], "shape": ..., "bbox": BOUNDS},
        {"bbox": [0, 0, 1, 1]},  # not needed, and not looked at
        {"centroid": {"lat": 0, "lon": 0}, "geometry": None},
        {"shape": [10_980.0, 10_980.0]},
    ],
)
def test_box_and_shape_or_transform_are_a_grid_too(fields: dict[str, Any]) -> None:
    assert grid_of(stated(**fields)) == GRID


@pytest.mark.parametrize(
    "fields",
    [
        {"epsg": "32654"},
        {"epsg": 32654.0},
        {"epsg": "EPSG:32654"},
        {"epsg": "+init=epsg:32654"},
        {"epsg": None, "code": "EPSG:32654"},
        {"epsg": ..., "code": "epsg:32654"},
        {"epsg": ..., "code": " EPSG:32654 "},
        {"epsg": ..., "code": 32654},
        {"epsg": 4326, "code": "EPSG:32654"},  # the newer field goes first
        {"epsg": ..., "code": "urn:ogc:def:crs:EPSG::32654"},
        {"epsg": ..., "code": "urn:ogc:def:crs:EPSG:9.8:32654"},
        {"epsg": ..., "code": "http://www.opengis.net/def/crs/EPSG/0/32654"},
        {"epsg": None, "code": None, "wkt2": UTM.to_wkt()},
        {"epsg": ..., "wkt2": UTM.to_wkt("WKT1_GDAL")},
        {"epsg": ..., "wkt2": UTM.to_wkt("WKT1_ESRI")},
        {"epsg": ..., "wkt2": UTM.to_wkt().replace("WGS 84 / UTM zone 54N", "grid of ours")},
        {"epsg": ..., "wkt2": "", "projjson": json.loads(UTM.to_json())},
        {"epsg": ..., "wkt2": "+proj=utm +zone=54 +datum=WGS84 +units=m"},
    ],
)
def test_the_same_system_is_the_same_in_other_words(fields: dict[str, Any]) -> None:
    assert grid_of(stated(**fields)) == GRID


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"epsg": 25833}, "EPSG:25833, not a UTM zone"),
        ({"epsg": ..., "code": "EPSG:3857"}, "EPSG:3857, not a UTM zone"),
        ({"epsg": ..., "code": "IAU_2015:30100"}, "Moon.*not a UTM zone"),
        ({"epsg": ..., "code": "ours"}, "'ours', not a UTM zone"),
        ({"epsg": ..., "wkt2": pyproj.CRS(3035).to_wkt()}, "not a UTM zone"),
        (
            {"epsg": ..., "wkt2": "+proj=utm +zone=54 +ellps=intl +towgs84=-148,507,685"},
            "not a UTM zone of WGS 84",
        ),
        ({"epsg": ..., "projjson": {"type": "x"}}, "not a UTM zone"),
        ({"epsg": True}, "not a UTM zone"),
        ({"epsg": [32654]}, "not a UTM zone"),
        ({"transform": [10, 0, WEST, 0, -20, NORTH]}, "square pixels"),
        ({"transform": [WEST, 10, 1, NORTH, 1, -10]}, "north up"),
        ({"transform": ..., "bbox": [*BOUNDS[:3], NORTH + 10]}, "square pixels"),
        ({"shape": [10_980, 10_979], "transform": [15, 0, WEST, 0, -15, NORTH]}, "whole number"),
    ],
)
def test_what_is_no_grid_of_ours_is_said(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ItemError, match=message):
        grid_of(stated(**fields))


def test_what_an_asset_states_goes_before_the_item() -> None:
    item = stated(transform=[20, 0, 0, 0, -20, 0], shape=[1, 1], code="EPSG:32601")
    item["assets"]["red"] |= {
        "proj:code": "EPSG:32654",
        "proj:transform": [10, 0, WEST, 0, -10, NORTH],
        "proj:shape": [10_980, 10_980],
    }
    assert grid_of(item) == GRID


# The file's own


def write(folder: Path, item: dict[str, Any], *, size: float = 10.0, **options: Any) -> None:
    """The item beside a red file of a small grid."""
    folder.mkdir(parents=True, exist_ok=True)
    for key in ("red", "green", "blue", "scl"):
        item["assets"][key]["href"] = f"./{key}.tif"
    profile: dict[str, Any] = {
        "driver": "GTiff", "count": 1, "dtype": "uint16", "height": 300, "width": 400,
        "crs": "EPSG:32654", "transform": Affine(size, 0, WEST, 0, -size, NORTH),
    }  # fmt: skip
    with rasterio.open(folder / "red.tif", "w", **(profile | options)) as file:
        file.write(np.ones((1, 300, 400), np.uint16))
    (folder / "item.json").write_text(json.dumps(item))


def search(folder: Path, day: datetime = NOON) -> list[tuple[int, float, float, int, int]]:
    area = Area.around(138.85, 36.11, 8)
    scenes = ItemFolder(folder).search(area, day.date(), day.date())
    return [(s.epsg, s.west, s.north, s.width, s.height) for s in scenes]


@pytest.mark.parametrize(
    "fields",
    [
        {"epsg": ..., "shape": ..., "transform": ...},
        {"epsg": None, "shape": None, "transform": None},
        {"epsg": ...},
        {"shape": ...},
        {"transform": ...},
        {"transform": [0, 0, 0, 0, 0, 0]},
        {"transform": [None] * 6},
        {"shape": [0, 0]},
        {"shape": ["300", "400"]},
        {"epsg": ..., "shape": ..., "transform": ..., "bbox": BOUNDS},
    ],
)
def test_an_item_that_states_none_has_the_grid_of_its_file(
    fields: dict[str, Any], tmp_path: Path
) -> None:
    write(tmp_path, stated(**fields))
    assert search(tmp_path) == [(32654, WEST, NORTH, 400, 300)]


def test_a_file_on_the_network_is_asked_for_its_header_alone(tmp_path: Path) -> None:
    write(tmp_path / "files", stated(epsg=..., shape=..., transform=...))
    item = json.loads((tmp_path / "files" / "item.json").read_text())
    with serve(tmp_path / "files") as files:
        for key in ("red", "green", "blue", "scl"):
            item["assets"][key]["href"] = f"{files.url}/{key}.tif"
        (tmp_path / "item.json").write_text(json.dumps(item))
        (tmp_path / "files" / "item.json").unlink()
        assert search(tmp_path) == [(32654, WEST, NORTH, 400, 300)]
        assert set(files.requests) == {"red.tif"}
        assert sum(length for _, length in files.ranges["red.tif"]) < 40_000


def test_a_coarser_file_gives_as_much_ground(tmp_path: Path) -> None:
    write(tmp_path, stated(epsg=..., shape=..., transform=...), size=20)
    assert search(tmp_path) == [(32654, WEST, NORTH, 800, 600)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"crs": "EPSG:3857"}, "EPSG:3857"),
        ({"crs": None}, "no coordinate system"),
        ({"size": 7.31}, "whole number of pixels"),
    ],
)
def test_a_file_that_does_not_tell_either_is_said(
    options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    write(tmp_path, stated(epsg=..., shape=..., transform=...), **options)
    with pytest.raises(CatalogError, match=message):
        search(tmp_path)


def test_a_file_that_is_not_there_sinks_none_of_the_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path / "good", stated())
    lost = stated(epsg=..., shape=..., transform=...) | {"id": "lost"}
    write(tmp_path / "lost", lost)
    (tmp_path / "lost" / "red.tif").unlink()
    assert len(search(tmp_path)) == 1
    assert "'lost'" in caplog.text
    assert "nor does its file say it" in caplog.text


def test_no_file_is_opened_that_the_search_is_not_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other: dict[str, Any] = {"epsg": ..., "shape": ..., "transform": ...}
    for name, change in {
        "day": {"properties": {"datetime": "2020-01-01T00:00:00Z"}},
        "cloud": {"properties": {"eo:cloud_cover": 99}},
        "place": {"bbox": [10, 10, 11, 11]},
        "geometry": {"bbox": None, "geometry": {"type": "Point", "coordinates": [10, 10]}},
    }.items():
        item = stated(**other)
        item["properties"] |= change.pop("properties", {})
        item |= change
        write(tmp_path / name, item | {"id": name})
        (tmp_path / name / "red.tif").unlink()  # opening it would be said
    area = Area.around(138.85, 36.11, 8)
    scenes = ItemFolder(tmp_path).search(area, date(2024, 5, 1), date(2024, 5, 31), max_cloud=20)
    assert scenes == []
    assert scenes.account.counts == {"found": 4, "day": 1, "cloud": 1}
