"""Items of each kind become scenes, and what an item lacks is said."""

import json
import math
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from keenkite.catalog.stac_items import (
    ItemError,
    RawItem,
    scene_from_item,
)
from tests.support.earth_search import NOON, c1_item, legacy_item
from tests.support.paths import SHARED

URL = "https://stac.example/v1/search"
REQUIRED = ("red", "green", "blue", "scl")


def scene_of(item: dict[str, Any], base: Path | str = URL) -> Any:
    return scene_from_item(RawItem(item=item, base=base))


def nameless_item() -> dict[str, Any]:
    """Whose id, and its product's, say nothing."""
    item = c1_item()
    item["id"] = "mine"
    item["properties"] = {
        name: value
        for name, value in item["properties"].items()
        if not name.startswith(("mgrs:", "s2:"))
    }
    return item


def test_a_c1_item_becomes_a_scene() -> None:
    scene = scene_of(c1_item(cloud=7.5))
    assert scene.id == "S2B_T54SUE_20240512T013701_L2A"
    assert scene.collection == "sentinel-2-c1-l2a"
    assert (scene.epsg, scene.west, scene.north) == (32654, 300_000, 4_000_020)
    assert (scene.width, scene.height) == (10_980, 10_980)
    assert scene.datetime == NOON
    assert (scene.platform, scene.grid_code, scene.cloud) == ("S2B", "54SUE", 0.075)
    assert scene.baseline == "05.10"
    assert scene.boa_offset_applied is None
    assert {band: href.rpartition("/")[2] for band, href in scene.assets.items()} == {
        "red": "B04.tif", "green": "B03.tif", "blue": "B02.tif", "nir": "B08.tif", "scl": "SCL.tif"
    }  # fmt: skip


def test_a_legacy_item_says_that_its_offset_is_applied() -> None:
    scene = scene_of(legacy_item())
    assert scene.id == "S2B_54SUE_20240512_0_L2A"
    assert scene.boa_offset_applied is True
    assert scene.assets["red"].endswith("B04.tif")


def test_one_zone_digit_and_two_are_the_same_grid_tile() -> None:
    item = c1_item(grid="01WCR", epsg=32601, north=7_600_020)
    assert item["properties"]["grid:code"] == "MGRS-1WCR"
    assert scene_of(item).grid_code == "01WCR"
    item["properties"]["grid:code"] = "MGRS-01WCR"
    assert scene_of(item).grid_code == "01WCR"


@pytest.mark.parametrize(
    ("names", "changes"),
    [
        (("B04", "B03", "B02", "SCL"), {"s2:mgrs_tile": "54SUE", "platform": "Sentinel-2B"}),
        (("B04_10m", "B03_10m", "B02_10m", "SCL_20m"), {"grid:code": "MGRS-54SUE"}),
    ],
    ids=["Planetary Computer", "CDSE"],
)
def test_assets_of_other_catalogs_are_found(
    names: tuple[str, ...], changes: dict[str, Any]
) -> None:
    item = c1_item()
    old = item["assets"]
    item["assets"] = {
        new: old[key] for key, new in zip(("red", "green", "blue", "scl"), names, strict=True)
    }
    del item["properties"]["grid:code"], item["properties"]["proj:epsg"]
    item["properties"] |= changes | {"proj:code": "EPSG:32654"}
    scene, usual = scene_of(item), scene_of(c1_item())
    assert scene.assets == {key: usual.assets[key] for key in REQUIRED}
    assert (scene.epsg, scene.grid_code, scene.platform) == (32654, "54SUE", "S2B")


def test_the_grid_may_be_stated_for_the_whole_item() -> None:
    item = c1_item()
    for field in ("proj:shape", "proj:transform"):
        item["properties"][field] = item["assets"]["red"].pop(field)
    item["assets"]["red"]["proj:code"] = f"EPSG:{item['properties'].pop('proj:epsg')}"
    assert scene_of(item) == scene_of(c1_item())


def test_coarser_files_make_a_scene_of_as_much_ground() -> None:
    item = c1_item()
    item["assets"]["red"] |= {
        "proj:shape": [915, 915],
        "proj:transform": [120, 0, 300_000, 0, -120, 4_000_020, 0, 0, 1],
    }
    assert scene_of(item) == scene_of(c1_item())


def test_proj_shape_is_rows_first() -> None:
    item = c1_item()
    item["assets"]["red"]["proj:shape"] = [300, 500]
    scene = scene_of(item)
    assert (scene.width, scene.height) == (500, 300)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2024-05-12T10:37:01.25+09:00", NOON),
        ("2024-05-12T01:37:01.250Z", NOON),
        ("2024-05-12T01:37:01.250000000Z", NOON),
        ("2024-05-12T01:37:01.250", NOON),
    ],
)
def test_times_are_utc(written: str, meant: datetime) -> None:
    item = c1_item()
    item["properties"]["datetime"] = written
    assert scene_of(item).datetime == meant
    assert scene_of(item).datetime.tzinfo is UTC
    assert meant.astimezone(timezone(timedelta(hours=9))).hour == 10


def test_the_cloud_of_an_item_that_does_not_say_is_not_known() -> None:
    item = c1_item()
    del item["properties"]["eo:cloud_cover"]
    assert scene_of(item).cloud is None


def test_an_item_without_a_grid_code_is_known_by_its_place() -> None:
    item = nameless_item()
    del item["properties"]["grid:code"]
    assert scene_of(item).grid_code == "300000E4000020N"


@pytest.mark.parametrize(
    "stated",
    [
        {"grid:code": "MGRS-54SUE"},
        {"grid:code": None, "s2:mgrs_tile": "54SUE"},
        {"mgrs:utm_zone": 54, "mgrs:latitude_band": "S", "mgrs:grid_square": "UE"},
        {"s2:product_uri": "S2B_MSIL2A_20240512T013659_N0510_R117_T54SUE_20240512T040000.SAFE"},
    ],
)
def test_a_grid_code_is_found_wherever_it_is(stated: dict[str, Any]) -> None:
    item = nameless_item()
    item["properties"] |= {"grid:code": None} | stated
    assert scene_of(item).grid_code == "54SUE"


def test_an_id_never_becomes_a_path(tmp_path: Path) -> None:
    item = c1_item()
    item["id"] = "../../etc/passwd"
    item["assets"]["red"]["href"] = "./B04.tif"
    (tmp_path / "B04.tif").touch()
    scene = scene_of(item, tmp_path)
    assert scene.id == "../../etc/passwd"
    assert scene.assets["red"] == str(tmp_path / "B04.tif")


@pytest.mark.parametrize(
    ("where", "value", "message"),
    [
        (("id",), None, "it has no id"),
        (("properties",), [], "no properties"),
        (("assets",), None, "no assets"),
        (("assets", "red"), None, r"no red asset \(looked for red, B04, B04_10m among .*'green'"),
        (("assets", "scl"), "SCL.tif", "no scl asset"),
        (("assets", "blue", "href"), None, "blue asset has no href"),
        (("assets", "blue", "href"), "https://[", "blue asset cannot be used"),
        (("properties", "proj:epsg"), None, "neither proj:epsg nor proj:code"),
        (("properties", "proj:epsg"), 4326, "4326, not a UTM zone"),
        (("properties", "proj:epsg"), 32661, "32661, not a UTM zone"),
        (("properties", "proj:code"), "IAU_2015:30100", "not a UTM zone"),
        (("properties", "platform"), "worldview-3", "worldview-3"),
        (("properties", "datetime"), "yesterday", "no datetime"),
        (("properties", "datetime"), "0001-01-01T00:00:00+14:00", "no datetime"),
        (("assets", "red", "proj:shape"), None, "no proj:shape"),
        (("assets", "red", "proj:shape"), [10980], "proj:shape is not a list of 2 numbers"),
        (("assets", "red", "proj:shape"), [0, 10980], "not a number of rows and one of columns"),
        (("assets", "red", "proj:shape"), [1098.5, 10980], "not a number of rows"),
        (("assets", "red", "proj:shape"), [10980, "x"], "not a list of 2 numbers"),
        (("assets", "red", "proj:shape"), [math.nan, 10980], "not a list of 2 numbers"),
        (("assets", "red", "proj:shape"), [10**400, 10980], "not a list of 2 numbers"),
        (("assets", "red", "proj:shape"), [1e308, 1e308], "not a number of rows"),
        (("assets", "red", "proj:transform"), [0, 0, 300000, 0, 0, 4e6], "without a size"),
        (("assets", "red", "proj:transform"), [10, 1, 0, 0, -10, 0], "north up"),
        (("assets", "red", "proj:transform"), [10, 0, 0, 0, 10, 0], "north up"),
        (("assets", "red", "proj:transform"), [1 / 7, 0, 0, 0, -1 / 7, 0], "pixels of 10 m"),
    ],
)
def test_what_an_item_lacks_is_said(where: tuple[str, ...], value: Any, message: str) -> None:
    item = nameless_item()
    inner: Any = item
    for key in where[:-1]:
        inner = inner[key]
    inner[where[-1]] = value
    with pytest.raises(ItemError, match=message):
        scene_of(item)


def values(inner: Any) -> list[tuple[Any, Any]]:
    """Every place of a JSON value where another value could be: (container, key)."""
    pairs = list(inner.items() if isinstance(inner, dict) else enumerate(inner))
    nested = [
        pair for _, value in pairs if isinstance(value, dict | list) for pair in values(value)
    ]
    return [(inner, key) for key, _ in pairs] + nested


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.floats(0, 1, exclude_max=True), JSON), min_size=1, max_size=3))
def test_an_item_with_nonsense_in_it_is_read_or_refused(changes: list[tuple[float, Any]]) -> None:
    item = c1_item()
    item["properties"]["s2:nodata_pixel_percentage"] = 3
    item["assets"] = {band: item["assets"][band] for band in ("red", "green", "blue", "scl")}
    for where, value in changes:
        places = values(item)
        container, key = places[int(where * len(places))]
        container[key] = value
    for base in (URL, Path("/items")):
        try:
            scene = scene_of(item, base)
        except ItemError:
            continue
        assert scene.ground.area > 0


def test_the_outline_of_a_swath_edge_is_kept() -> None:
    data = shapely.Polygon(
        [(340_000, 4_000_020), (300_000, 3_890_220), (300_000, 4_000_020)]
    )  # the western triangle
    scene = scene_of(c1_item(data=data))
    assert scene.outline.symmetric_difference(data).area < 0.001 * data.area
    assert scene.ground == scene.outline


def test_a_full_scene_shows_its_whole_footprint() -> None:
    scene = scene_of(c1_item())
    assert scene.outline is None
    assert scene.ground == scene.footprint == shapely.box(300_000, 3_890_220, 409_800, 4_000_020)


@pytest.mark.parametrize(
    "geometry",
    [
        None,
        {"type": "Polygon"},
        {"type": "Polygon", "coordinates": [[[139, 35], [139, "x"], [140, 36]]]},
        {"type": "Polygon", "coordinates": [[[139, 35], [139, 95], [140, 36], [139, 35]]]},
        {"type": "Polygon", "coordinates": [[[-180, -90], [180, -90], [180, 90], [-180, -90]]]},
        {"type": "Point", "coordinates": [139, 35]},
    ],
)
def test_a_geometry_that_is_not_confirmed_is_not_used(geometry: Any) -> None:
    item = c1_item()
    item["properties"]["s2:nodata_pixel_percentage"] = 40.0
    item["geometry"] = geometry
    assert scene_of(item).outline is None


@pytest.mark.skipif(not SHARED.exists(), reason="needs ../shared: real items")
def test_real_items_are_read() -> None:
    files = sorted((SHARED / "data").glob("stac/S2*.json"))
    files += sorted((SHARED / "data/sentinel2").glob("*/*.json"))
    scenes = {}
    for file in files:
        item = json.loads(file.read_text())
        scene = scenes[item["id"]] = scene_of(item, file.parent)
        nodata = item["properties"]["s2:nodata_pixel_percentage"]
        shown = 100 * scene.ground.area / scene.footprint.area
        assert shown == pytest.approx(100 - nodata, abs=1), "geometry and nodata agree"
    assert len(scenes) == 6
    across = scenes["S2B_T01WCR_20250427T000611_L2A"]
    assert (across.epsg, across.grid_code, across.platform) == (32601, "01WCR", "S2B")
    assert across.footprint.bounds == (300_000, 7_490_220, 409_800, 7_600_020)
    local = scenes["S2B_33TWM_20230820_0_L2A"]
    assert all(Path(local.assets[key]).is_file() for key in REQUIRED)
