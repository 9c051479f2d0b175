"""The catalog against a real STAC API: pgstac, not a copy of our idea of one."""

import json
import logging
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from keenkite.area import Area
from keenkite.catalog import StacApi, open_catalog
from keenkite.scene import Scene
from tests.support.earth_search import NOON, c1_item, legacy_item
from tests.support.paths import SHARED
from tests.support.stac_server import MissingError, stac_server

pytestmark = pytest.mark.pgstac

KANTO = Area.from_bbox(139.0, 35.3, 139.6, 35.8)
FIJI = Area.from_bbox(179.5, -17.0, -179.5, -16.0)
FIRST_DAY = datetime(2023, 1, 1, 1, 37, 1, tzinfo=UTC)
DAYS = 260
"""More than two pages of items."""


def series() -> list[dict[str, Any]]:
    """A grid tile on 260 days, cloudier from day to day and clear again after ten."""
    return [
        c1_item(time=FIRST_DAY + timedelta(days=day), cloud=day % 10 * 10 + 0.5)
        for day in range(DAYS)
    ]


def fiji() -> list[dict[str, Any]]:
    return [
        c1_item(grid="60KYF", epsg=32760, west=799_980, north=8_200_000, time=NOON),
        c1_item(grid="01KAB", epsg=32701, west=199_980, north=8_200_000, time=NOON),
        c1_item(grid="01KFB", epsg=32701, west=600_000, north=8_200_000, time=NOON),
    ]


def real() -> list[dict[str, Any]]:
    files = sorted((SHARED / "data" / "stac").glob("S2*.json"))
    return [json.loads(file.read_text()) for file in files]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    gap = legacy_item(time=FIRST_DAY - timedelta(days=5))
    duplicate = legacy_item(time=FIRST_DAY, generated=NOON + timedelta(days=900))
    items = [*series(), *fiji(), gap, duplicate, *real()]
    try:
        with stac_server(items) as server:
            yield server
    except MissingError as missing:
        pytest.skip(str(missing))


def search(url: str, area: Area, start: date, end: date, max_cloud: float = 100) -> list[Scene]:
    return open_catalog(url).search(area, start, end, max_cloud=max_cloud)


def test_all_pages_are_read_and_each_acquisition_comes_once(url: str) -> None:
    scenes = search(url, KANTO, date(2022, 1, 1), date(2024, 1, 1))
    assert len(scenes) == DAYS + 1
    assert len({scene.id for scene in scenes}) == DAYS + 1
    assert [scene.collection for scene in scenes].count("sentinel-2-l2a") == 1
    assert scenes[0].collection == "sentinel-2-l2a", "the day that the other does not have"


def test_scenes_are_those_of_the_days_asked_for(url: str) -> None:
    scenes = search(url, KANTO, date(2023, 2, 3), date(2023, 2, 7))
    assert [scene.date.day for scene in scenes] == [3, 4, 5, 6, 7]


def test_clouds_are_compared_as_numbers(url: str) -> None:
    expected = [item for item in series() if item["properties"]["eo:cloud_cover"] <= 9.5]
    scenes = search(url, KANTO, date(2023, 1, 1), date(2024, 1, 1), max_cloud=9.5)
    assert [scene.id for scene in scenes] == [item["id"] for item in expected]


def test_the_scenes_of_an_api_are_those_of_a_folder_with_the_same_items(
    url: str, tmp_path: Path
) -> None:
    content = {"type": "FeatureCollection", "features": series()[:40]}
    (tmp_path / "items.json").write_text(json.dumps(content))
    days = date(2023, 1, 1), date(2023, 2, 9)
    assert search(str(tmp_path), KANTO, *days, max_cloud=40) == search(url, KANTO, *days, 40)


def test_an_area_across_the_antimeridian_is_searched_on_both_sides(url: str) -> None:
    scenes = search(url, FIJI, NOON.date(), NOON.date())
    assert {scene.grid_code for scene in scenes} == {"60KYF", "01KAB"}
    (scene,) = search(url, Area.from_bbox(179.85, -17, 179.95, -16), NOON.date(), NOON.date())
    assert scene.grid_code == "60KYF"


def test_an_area_without_scenes_has_none(url: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert search(url, Area.from_bbox(-60, 10, -59, 11), date(2023, 1, 1), NOON.date()) == []
    assert not caplog.messages


def test_collections_that_the_api_does_not_have_are_no_error(url: str) -> None:
    api = StacApi(url, ("sentinel-2-c1-l2a", "sentinel-2-of-nobody"))
    assert api.search(KANTO, FIRST_DAY.date(), FIRST_DAY.date(), max_cloud=100)


@pytest.mark.skipif(not SHARED.exists(), reason="needs ../shared: real items")
def test_a_real_item_across_the_antimeridian_is_found_from_both_sides(url: str) -> None:
    days = date(2025, 4, 1), date(2025, 4, 30)
    for west, east in ((179.6, 179.9), (-179.9, -179.6), (179.9, -179.9)):
        (scene,) = search(url, Area.from_bbox(west, 67.8, east, 68.2), *days)
        assert scene.id == "S2B_T01WCR_20250427T000611_L2A"
