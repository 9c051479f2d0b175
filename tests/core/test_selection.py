"""Each acquisition once, and a cover of few clear scenes."""

import logging
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from keenkite import utm
from keenkite.area import Area
from keenkite.catalog.selection import AS_CLEAR, least_cloudy_cover, select_scenes
from keenkite.catalog.stac_items import RawItem, scene_from_item
from keenkite.errors import CatalogError
from keenkite.scene import Scene
from tests.support.earth_search import NOON, c1_item, legacy_item

KANTO = Area.from_bbox(139.0, 35.3, 139.6, 35.8)
FIJI = Area.from_bbox(179.5, -17.0, -179.5, -16.0)
START, END = date(2024, 4, 1), date(2024, 6, 30)
FOOTPRINT = shapely.box(300_000, 3_890_220, 409_800, 4_000_020)


def selected(items: list[dict[str, Any]], area: Area = KANTO, **options: Any) -> list[Scene]:
    found = [RawItem(item=item, base=Path("/items")) for item in items]
    return select_scenes(found, area, START, END, **{"max_cloud": 100} | options)


def scene(**options: Any) -> Scene:
    return scene_from_item(RawItem(item=c1_item(**options), base="https://stac.example"))


def ids(scenes: list[Scene]) -> list[str]:
    return [scene.id for scene in scenes]


def test_of_two_versions_the_one_processed_last_is_taken() -> None:
    old = c1_item(generated=NOON + timedelta(hours=3))
    new = c1_item(time=NOON + timedelta(minutes=4), generated=NOON + timedelta(days=200))
    assert ids(selected([old, new])) == ids(selected([new, old])) == [new["id"]]


def test_the_older_collection_only_fills_gaps() -> None:
    day = timedelta(days=5)
    both = [c1_item(), legacy_item(generated=NOON + timedelta(days=900))]
    gap = legacy_item(time=NOON + day)
    assert ids(selected([*both, gap])) == [both[0]["id"], gap["id"]]
    reverse = ("sentinel-2-l2a", "sentinel-2-c1-l2a")
    assert ids(selected(both, collections=reverse)) == [both[1]["id"]]


def test_other_platforms_days_and_grid_tiles_are_other_scenes() -> None:
    items = [
        c1_item(),
        c1_item(platform="S2A", time=NOON + timedelta(minutes=1)),
        c1_item(time=NOON + timedelta(days=10)),
        c1_item(grid="54SVE", west=399_960, time=NOON + timedelta(seconds=3)),
    ]
    assert len(selected(items, Area.from_bbox(139.0, 35.3, 140.5, 35.8))) == 4


def test_scenes_come_in_order_of_time() -> None:
    items = [c1_item(time=NOON + timedelta(days=days)) for days in (20, 0, 10)]
    times = [scene.datetime for scene in selected(items)]
    assert times == sorted(times)


def test_both_ends_of_the_days_are_included() -> None:
    def at(*times: str) -> list[dict[str, Any]]:
        return [c1_item(time=datetime.fromisoformat(time)) for time in times]

    inside = at("2024-04-01T00:00:00Z", "2024-06-30T23:59:59.999Z")
    outside = at("2024-03-31T23:59:59.999Z", "2024-07-01T00:00:00Z")
    assert ids(selected([*outside, *inside])) == [item["id"] for item in inside]


def test_scenes_with_more_cloud_than_the_limit_are_left_out() -> None:
    items = [c1_item(cloud=20), c1_item(cloud=20.01, time=NOON + timedelta(days=1))]
    assert ids(selected(items, max_cloud=20)) == [items[0]["id"]]


def test_scenes_beside_the_area_are_left_out() -> None:
    beside = c1_item(grid="54SVE", west=600_000)
    far = c1_item(grid="10SEG", epsg=32610)  # the same numbers of metres, in California
    assert ids(selected([beside, far, c1_item()])) == [c1_item()["id"]]
    assert selected([beside, far]) == []


def test_scenes_with_no_data_in_the_area_are_left_out() -> None:
    west, east = shapely.box(300_000, 3_890_220, 310_000, 4_000_020), FOOTPRINT
    items = [c1_item(data=west), c1_item(data=east, time=NOON + timedelta(days=1))]
    assert ids(selected(items, Area.from_bbox(139.3, 35.3, 139.6, 35.8))) == [items[1]["id"]]


def test_across_the_antimeridian_neither_bbox_nor_geometry_is_trusted() -> None:
    # Two grid tiles of Fiji, one in the last zone and one in the first.
    west = c1_item(grid="60KYF", epsg=32760, west=799_980, north=8_200_000)
    east = c1_item(grid="01KAB", epsg=32701, west=199_980, north=8_200_000)
    for item in (west, east):
        item["bbox"] = [-180, -17.5, 180, -16]
        item["geometry"] = {
            "type": "Polygon",
            "coordinates": [[[-180, -17], [180, -17], [180, -16], [-180, -16], [-180, -17]]],
        }
    assert set(ids(selected([west, east], FIJI))) == {west["id"], east["id"]}
    assert selected([west, east], Area.from_bbox(0, -17, 10, -16)) == []


def test_an_unusable_item_is_left_out_and_named(caplog: pytest.LogCaptureFixture) -> None:
    broken = c1_item(time=NOON + timedelta(days=1))
    del broken["assets"]["red"]
    with caplog.at_level(logging.WARNING):
        assert ids(selected([broken, c1_item()])) == [c1_item()["id"]]
    (message,) = caplog.messages
    assert broken["id"] in message
    assert "no red asset" in message


def test_items_that_are_all_unusable_are_an_error() -> None:
    items = [c1_item(), c1_item(time=NOON + timedelta(days=1))]
    for item in items:
        del item["properties"]["proj:epsg"]
    with pytest.raises(CatalogError, match=r"none of the 2 STAC items.*20240512.*neither proj:"):
        selected(items)


def test_no_items_are_no_scenes() -> None:
    assert selected([]) == []
    assert least_cloudy_cover([], KANTO) == []


def test_the_clearest_of_many_dates_covers() -> None:
    scenes = [scene(cloud=c, time=NOON + timedelta(days=c)) for c in (9, 3, 7)]
    assert least_cloudy_cover(scenes, KANTO) == [scenes[1]]


def test_each_grid_tile_gives_its_clearest_scene() -> None:
    area = Area.from_bbox(139.0, 35.3, 140.5, 35.8)
    west = [scene(cloud=c, time=NOON + timedelta(days=c)) for c in (2, 8)]
    east = [
        scene(grid="54SVE", west=399_960, cloud=c, time=NOON + timedelta(days=c)) for c in (1, 9)
    ]
    assert least_cloudy_cover([*west, *east], area) == [east[0], west[0]]


def test_a_neighbour_that_adds_nothing_in_the_area_is_not_taken() -> None:
    neighbour = scene(grid="54SVE", west=399_960, cloud=0)
    whole = scene(cloud=4)
    only_west = Area.from_bbox(139.0, 35.3, 139.5, 35.8)
    assert least_cloudy_cover([neighbour, whole], only_west) == [whole]


def halves(cloud: float) -> list[Scene]:
    """Two swath edges of different days, which together fill their grid tile."""
    west, east = shapely.box(300_000, 0, 350_000, 1e7), shapely.box(345_000, 0, 500_000, 1e7)
    return [
        scene(cloud=cloud, data=FOOTPRINT.intersection(west)),
        scene(cloud=cloud, data=FOOTPRINT.intersection(east), time=NOON + timedelta(days=3)),
    ]


def test_one_whole_scene_is_better_than_two_halves_hardly_clearer() -> None:
    whole = scene(cloud=2 + 100 * AS_CLEAR, time=NOON + timedelta(days=9))
    assert least_cloudy_cover([*halves(2), whole], KANTO) == [whole]


def test_clear_halves_are_not_given_back_for_a_cloudy_whole() -> None:
    whole = scene(cloud=15, time=NOON + timedelta(days=9))
    assert least_cloudy_cover([whole, *halves(2)], KANTO) == halves(2)


def test_a_scene_without_data_in_part_of_the_area_does_not_cover_it() -> None:
    clear, _ = halves(1)
    whole = scene(cloud=15, time=NOON + timedelta(days=9))
    assert least_cloudy_cover([whole, clear], KANTO) == [clear, whole]


def test_ground_seen_from_two_zones_is_the_same_ground() -> None:
    # 138° E is the border of zones 53 and 54; both scenes hold the area whole.
    area = Area.from_bbox(137.9, 35.5, 138.0, 35.6)
    for clouds in ((1, 2), (2, 1)):
        from_53 = scene(grid="53SQV", epsg=32653, west=699_960, cloud=clouds[0])
        from_54 = scene(grid="54STE", epsg=32654, west=199_980, cloud=clouds[1])
        (one,) = least_cloudy_cover([from_53, from_54], area)
        assert one.cloud == 0.01


def test_an_area_of_the_whole_world_is_covered_from_all_its_zones() -> None:
    world = Area.from_bbox(-180, -80, 180, 80)
    scenes = [scene(), scene(grid="10SEG", epsg=32610), scene(grid="30SEG", epsg=32630)]
    assert set(ids(least_cloudy_cover(scenes, world))) == set(ids(scenes))


@settings(deadline=None, max_examples=30)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 3), st.integers(0, 3), st.integers(0, 100), st.integers(32653, 32654)
        ),
        min_size=1,
        max_size=8,
        unique=True,
    )
)
def test_a_cover_shows_all_that_all_scenes_show(drawn: list[tuple[int, int, int, int]]) -> None:
    scenes = [
        scene(
            grid=f"{epsg % 100}SUE",
            epsg=epsg,
            west=(300_000 if epsg == 32654 else 840_000) + 40_000 * col,
            north=4_000_020 - 40_000 * row,
            size=6_000,
            cloud=cloud,
            time=NOON + timedelta(days=number),
        )
        for number, (row, col, cloud, epsg) in enumerate(drawn)
    ]
    area = Area.from_bbox(138.5, 35.0, 140.0, 36.0)
    cover = least_cloudy_cover(scenes, area)

    def shown(some: list[Scene]) -> shapely.Geometry:
        """Points by points, in degrees: another way than the one tested."""
        return shapely.union_all([_lonlat(scene) for scene in some]).intersection(*area.parts)

    missed = shown(scenes).difference(shown(cover))
    assert missed.buffer(-0.0015).is_empty  # 0.0015° are 140 to 170 m
    assert set(ids(cover)) <= set(ids(scenes))


def _lonlat(scene: Scene) -> shapely.Geometry:
    return shapely.transform(
        shapely.segmentize(scene.footprint, 5_000),
        lambda xy: np.column_stack(utm.unproject(scene.epsg, *xy.T)),
    )


def _data(west: float, east: float) -> shapely.Geometry:
    return FOOTPRINT.intersection(shapely.box(west, 0, east, 1e7))


def test_the_halves_of_a_split_datastrip_both_count_until_one_whole_one_shows_them() -> None:
    minute = timedelta(minutes=1)
    west = c1_item(data=_data(300_000, 350_000))
    east = c1_item(data=_data(349_000, 410_000), time=NOON + minute)
    assert set(ids(selected([west, east]))) == {west["id"], east["id"]}
    whole = c1_item(time=NOON + 2 * minute, generated=NOON + timedelta(days=90))
    assert ids(selected([west, whole, east])) == [whole["id"]]
    sliver = c1_item(data=_data(300_000, 350_100), time=NOON + 3 * minute)
    first = c1_item(data=_data(300_000, 350_000), generated=NOON + timedelta(days=90))
    assert ids(selected([sliver, first])) == [first["id"]]


def test_an_earlier_pass_of_the_platform_does_not_stand_for_a_later_one() -> None:
    again = c1_item(time=NOON + timedelta(minutes=101))
    assert len(selected([c1_item(), again])) == 2


def test_what_is_not_known_to_show_all_of_its_ground_leaves_none_out() -> None:
    vague, better = c1_item(time=NOON + timedelta(minutes=1)), c1_item()
    better["properties"]["s2:generation_time"] = "2025-01-01T00:00:00Z"
    del better["properties"]["s2:nodata_pixel_percentage"]
    better["geometry"], better["properties"]["s2:generation_time"] = None, "2025-01-01T00:00:00Z"
    both = selected([vague, better])
    assert [scene.confirmed for scene in both] == [False, True]
    clear, only = replace(both[0], cloud=0.0), both[1]
    assert least_cloudy_cover([clear, only], KANTO) == [only]


def test_more_than_five_bad_items_of_a_kind_are_counted_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for count, more in ((5, None), (7, "and 2 more: ")):
        caplog.clear()
        broken = [c1_item(time=NOON + timedelta(days=n)) for n in range(count)]
        for item in broken:
            del item["assets"]["red"]
            item["id"] += "x" * 200
        with caplog.at_level(logging.WARNING):
            selected([*broken, c1_item(time=NOON + timedelta(days=30))])
        (message,) = caplog.messages
        named = [f"'{item['id'][:100]}'" for item in broken]
        assert [name in message for name in named] == [number < 5 for number in range(count)]
        assert named[0][:-1] + "x" not in message
        assert (more in message) if more else ("more" not in message)


def test_a_kind_of_bad_item_that_is_commoner_than_others_is_told() -> None:
    items = [c1_item(time=NOON + timedelta(days=n)) for n in range(3)]
    del items[0]["assets"]["red"]
    for item in items[1:]:
        del item["properties"]["proj:epsg"]
    with pytest.raises(CatalogError, match=r"none of the 3.*neither proj:"):
        selected(items)


def test_a_scene_that_does_not_tell_its_cloud_is_taken_but_after_all_others() -> None:
    item = c1_item(time=NOON - timedelta(days=3))
    del item["properties"]["eo:cloud_cover"]
    (silent,) = selected([item], max_cloud=0)
    cloudy, clear = scene(cloud=100), scene(cloud=0, time=NOON + timedelta(days=1))
    assert least_cloudy_cover([silent, cloudy], KANTO) == [cloudy]
    east = replace(clear, outline=_data(350_000, 410_000))
    assert least_cloudy_cover([silent, cloudy, east], KANTO) == [east, cloudy]


def test_a_whole_scene_as_clear_as_allowed_stands_for_halves_and_no_cloudier_one() -> None:
    for cloud, taken in ((6.9, 1), (7.1, 2)):
        whole = scene(cloud=cloud, time=NOON + timedelta(days=9))
        assert len(least_cloudy_cover([*halves(2), whole], KANTO)) == taken


def test_what_later_choices_made_needless_is_given_back() -> None:
    # The widest is taken first; then either side needs another, and these two show it too.
    around = Area.from_bbox(138.5, 35.3, 140.2, 35.8)
    wide = scene(cloud=1, data=_data(330_000, 381_000))
    west = scene(cloud=5, data=_data(306_000, 356_000), time=NOON + timedelta(days=3))
    east = scene(cloud=5, data=_data(355_000, 405_000), time=NOON + timedelta(days=6))
    assert least_cloudy_cover([wide, west, east], around) == [west, east]
    cloudier = [replace(each, cloud=0.065) for each in (west, east)]
    assert least_cloudy_cover([wide, *cloudier], around) == [wide, *cloudier]


def test_scenes_of_far_zones_show_nothing_of_each_other() -> None:
    # The same numbers of metres eight zones apart, and across 180° one zone apart.
    far = [scene(), scene(grid="46SUE", epsg=32646)]
    assert len(least_cloudy_cover(far, Area.from_bbox(80, 35, 150, 36.5))) == 2
    last = scene(grid="60KYF", epsg=32760, west=759_980, north=8_200_000, cloud=1)
    first = scene(grid="01KAB", epsg=32701, west=99_980, north=8_200_000, cloud=2)
    seam = Area.from_bbox(179.7, -17.0, 179.95, -16.5)
    assert least_cloudy_cover([first, last], seam) == [last]
