"""The drawn world: deterministic, with everything in it, written as real scenes look."""

from tests.support.paths import SHARED
import json
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
from pyproj import Transformer

from keenkite.catalog import open_catalog
from keenkite.demo.concepts import BIT, CONCEPTS, NAMES
from keenkite.demo.scenes import write_scenes
from keenkite.demo.world import World, draw_world, shows
from keenkite.errors import InputError
from tests.support.worlds import DAYS, area_of

SIZE_KM = (20, 16)


@pytest.fixture(scope="module")
def world() -> World:
    return draw_world(31, size_km=SIZE_KM, per_concept=1)


@pytest.fixture(scope="module")
def items(world: World, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_scenes(world, tmp_path_factory.mktemp("scenes"))


def test_the_same_seed_draws_the_same_world_and_another_one_another() -> None:
    first, again, other = (draw_world(seed, size_km=(8, 8), per_concept=1) for seed in (4, 4, 5))
    assert np.array_equal(first.reflectance, again.reflectance)
    assert np.array_equal(first.masks, again.masks)
    assert first.truth_geojson() == again.truth_geojson()
    assert not np.array_equal(first.reflectance, other.reflectance)


def test_everything_people_look_for_is_drawn(world: World) -> None:
    placed = {feature.concept for feature in world.features}
    assert placed == {concept.name for concept in CONCEPTS if concept.placed}
    seen = np.bitwise_or.reduce(world.masks, axis=None)
    assert {name for name in NAMES if seen & BIT[name]} == set(NAMES)


def test_pixels_are_reflectance_and_classes_are_those_of_the_ground(world: World) -> None:
    assert world.reflectance.dtype == np.uint16
    assert world.reflectance.min() >= 1
    assert world.reflectance.max() <= 10_000
    assert set(np.unique(world.scl)) <= {4, 5, 6, 7}
    sea = (world.masks & np.uint32(BIT["sea"])) != 0
    assert (world.scl[sea] == 6).mean() > 0.97


def test_a_tile_round_a_thing_shows_it_and_one_far_from_it_does_not(world: World) -> None:
    for feature in world.features:
        middle = feature.polygon.centroid
        tile = shapely.box(middle.x - 1120, middle.y - 1120, middle.x + 1120, middle.y + 1120)
        if tile.area and shapely.box(*_bounds(world)).covers(tile):
            part = feature.polygon.intersection(tile).area / feature.polygon.area
            if part > 0.6:
                assert shows(world, feature.concept, tile.bounds) == 1, feature.concept
    airports = [f.polygon for f in world.features if f.concept == "airport"]
    rng = np.random.default_rng(0)
    west, south, east, north = _bounds(world)
    for x, y in zip(
        rng.uniform(west, east - 2240, 200), rng.uniform(south, north - 2240, 200), strict=True
    ):
        tile = shapely.box(x, y, x + 2240, y + 2240)
        if all(polygon.distance(tile) > 500 for polygon in airports):
            assert shows(world, "airport", tile.bounds) == 0


def test_what_is_left_out_is_not_there() -> None:
    world = draw_world(
        6, size_km=(10, 10), per_concept=1, leave_out=frozenset({"sea", "reservoir", "airport"})
    )
    gone = {"sea", "coast", "harbour", "dam", "reservoir", "airport"}
    assert not gone & {feature.concept for feature in world.features}
    seen = np.bitwise_or.reduce(world.masks, axis=None)
    assert not any(seen & BIT[name] for name in gone)


def test_a_name_that_cannot_be_left_out_is_refused() -> None:
    with pytest.raises(InputError, match="forest"):
        draw_world(1, size_km=(8, 8), leave_out=frozenset({"forest"}))


def test_bands_are_cogs_like_those_of_the_archive(world: World, items: list[Path]) -> None:
    home = items[0].parent
    for name, dtype, step in (("B02", "uint16", 10), ("B03", "uint16", 10), ("SCL", "uint8", 20)):
        with rasterio.open(home / f"{name}.tif") as file:
            assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
            assert file.block_shapes == [(1024, 1024)]
            assert file.compression.name == "deflate"
            assert (file.dtypes[0], file.nodata, file.res) == (dtype, 0, (step, step))
            assert file.crs.to_epsg() == world.epsg
            assert step == 20 or file.overviews(1)
    with rasterio.open(home / "B02.tif") as file:
        numbers = file.read(1)
    assert np.median(numbers[numbers > 0]) > 1000  # the offset of baseline 04.00 and later


def test_items_have_the_shape_of_sentinel_2_c1_l2a(items: list[Path]) -> None:
    real = SHARED / "data/stac/S2B_T38XNF_20250422T091553_L2A.json"
    if not real.exists():
        pytest.skip(f"the real item {real.name} is not on this machine")
    theirs, ours = (json.loads(path.read_text()) for path in (real, items[0]))
    assert set(ours) <= set(theirs) | {"links"}
    assert ours["collection"] == theirs["collection"]
    assert set(ours["properties"]) <= set(theirs["properties"])
    for key in ("red", "green", "blue", "scl"):
        assert set(ours["assets"][key]) <= set(theirs["assets"][key]) | {"proj:shape", "gsd"}
        for field in ("proj:shape", "proj:transform", "raster:bands"):
            assert type(ours["assets"][key][field]) is type(theirs["assets"][key][field])


def test_there_are_two_overlapping_grid_tiles_on_two_dates_and_one_is_cloudy(
    world: World, items: list[Path]
) -> None:
    scenes = open_catalog(str(items[0].parents[1])).search(area_of(world), *DAYS, max_cloud=100)
    assert len(scenes) == 4
    assert len({scene.date for scene in scenes}) == 2
    grids = {scene.grid_code: scene.footprint for scene in scenes}
    one, other = grids.values()
    assert 0.05 < one.intersection(other).area / one.area < 0.6
    clouds = sorted(scene.cloud for scene in scenes)
    assert clouds[0] < 0.01
    assert 0.05 < clouds[-1] < 0.4


def test_the_truth_is_in_lon_lat_where_the_world_is(world: World, items: list[Path]) -> None:
    truth = json.loads((items[0].parents[1] / "truth.geojson").read_text())
    assert len(truth["features"]) == len(world.features)
    to_utm = Transformer.from_crs(4326, world.epsg, always_xy=True)
    for found, feature in zip(truth["features"], world.features, strict=True):
        lon, lat = shapely.geometry.shape(found["geometry"]).centroid.coords[0]
        x, y = to_utm.transform(lon, lat)
        assert feature.polygon.centroid.distance(shapely.Point(x, y)) < 5


def test_dates_of_the_items_are_those_of_the_demo(items: list[Path]) -> None:
    for path in items:
        taken = datetime.fromisoformat(json.loads(path.read_text())["properties"]["datetime"])
        assert DAYS[0] <= taken.date() <= DAYS[1]


def _bounds(world: World) -> tuple[float, float, float, float]:
    rows, cols = world.shape
    return world.west, world.north - 10 * rows, world.west + 10 * cols, world.north
