"""ground: what two tiles share, whatever their spans and zones, and which of many are kept."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

import numpy as np
import pyproj
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from keenkite import utm
from keenkite.ground import KeptGround, apart, distance_km, positions, shared_ground
from keenkite.tiling import Tile
from tests.support.sown import inside, tile

GEOD = pyproj.Geod(ellps="WGS84")
HERE = {32653: 138.0, 32654: 138.0, 32660: 180.0, 32601: -180.0}
"""Zone -> longitude of its border with the other one."""


def at(epsg: int, east: float, south: float, span: float, day: int = 1) -> Tile:
    """A tile so many metres from a place on the border of its zone, at 35° north."""
    x, y = utm.project(epsg, [HERE[epsg]], [35.0])
    west, north = round(float(x[0])) + east, round(float(y[0])) - south
    like = tile(0, 0, epsg=epsg, day=day)
    return inside(like, span=span, east=west - like.west, south=like.north - north)


def on_equal_areas(each: Tile, other: Tile) -> float:
    """What the two share of the smaller one, on a projection of their own that keeps areas."""
    there = pyproj.CRS.from_proj4(f"+proj=laea +lat_0={each.lat} +lon_0={each.lon}")
    shapes = []
    for one in (each, other):
        to = pyproj.Transformer.from_crs(4326, there, always_xy=True)
        shapes.append(shapely.Polygon([to.transform(lon, lat) for lon, lat in one.corners]))
    return shapes[0].intersection(shapes[1]).area / min(shape.area for shape in shapes)


@st.composite
def tiles(draw: st.DrawFn, zones: tuple[int, ...] = (32653, 32654)) -> Tile:
    step = st.integers(-8, 8)
    return at(
        draw(st.sampled_from(zones)),
        draw(step) * 560.0 + draw(st.sampled_from([0.0, 130.5])),
        draw(step) * 560.0,
        draw(st.sampled_from([1120.0, 2240.0, 4480.0, 1800.0])),
        day=draw(st.integers(1, 3)),
    )


@settings(max_examples=150, deadline=None)
@given(tiles(), tiles())
def test_shared_ground_is_measured_by_the_smaller_of_the_two(a: Tile, b: Tile) -> None:
    assert shared_ground(a, b) == pytest.approx(on_equal_areas(a, b), abs=2e-3)
    assert shared_ground(a, b) == pytest.approx(shared_ground(b, a), abs=2e-3)


def test_shared_ground_is_exact_on_the_lattice() -> None:
    outer = tile(300, 3500, span=4480)
    assert shared_ground(outer, outer) == 1
    assert shared_ground(outer, tile(301, 3500, span=4480)) == 0.5
    assert shared_ground(outer, tile(301, 3499, span=4480)) == 0.25
    assert shared_ground(outer, tile(302, 3500, span=4480)) == 0
    assert shared_ground(outer, tile(303, 3500, span=4480)) == 0
    assert shared_ground(outer, inside(outer, span=1120, east=1120, south=3360)) == 1
    assert shared_ground(outer, inside(outer, span=1120, east=-560, south=0)) == 0.5
    assert shared_ground(inside(outer, span=1120, east=-560, south=-560), outer) == 0.25
    assert shared_ground(outer, inside(outer, span=1120, east=4480, south=0)) == 0


def test_ground_on_both_sides_of_the_antimeridian_is_the_same_ground() -> None:
    west = at(32660, -1120, 0, 2240)
    east = at(32601, -1120, 0, 2240)
    assert abs(west.lon - east.lon) > 359 or abs(west.lon - east.lon) < 0.01
    assert shared_ground(west, east) > 0.9
    assert shared_ground(west, at(32601, 1500, 0, 2240)) == 0
    kept = KeptGround()
    kept.keep(west)
    assert kept.has(east)


def test_tiles_on_other_sides_of_the_globe_share_nothing() -> None:
    assert shared_ground(tile(300, 3500), tile(300, 3500, epsg=32624)) == 0


@settings(max_examples=150, deadline=None)
@given(st.lists(tiles(), min_size=1, max_size=25))
def test_a_tile_is_kept_unless_one_before_it_shows_half_of_the_smaller_ones_ground(
    offered: list[Tile],
) -> None:
    kept: list[int] = []
    for i, one in enumerate(offered):
        if all(shared_ground(one, offered[k]) < 0.5 - 1e-6 for k in kept):
            kept.append(i)
    assert list(apart(offered)) == kept


@settings(max_examples=100, deadline=None)
@given(st.lists(tiles(), min_size=1, max_size=10), tiles())
def test_ground_is_known_by_what_was_kept_and_not_by_what_was_asked(
    kept: list[Tile], asked: Tile
) -> None:
    ground = KeptGround()
    assert not ground.has(asked)
    for one in kept:
        ground.keep(one)
    expected = any(shared_ground(asked, one) >= 0.5 - 1e-6 for one in kept)
    assert ground.has(asked) == expected
    assert ground.has(asked) == expected  # asking keeps nothing


def test_a_small_hit_inside_a_large_one_is_the_same_place_and_the_first_stays() -> None:
    large = tile(100, 1000, span=4480)
    small, other = (inside(large, span=1120, east=e, south=2240) for e in (0, 3360))
    assert list(apart([large, small, other])) == [0]
    assert list(apart([small, large, other])) == [0, 2]  # the larger takes no place from the better


def test_another_date_of_the_same_ground_is_no_other_place() -> None:
    here = tile(300, 3500)
    later = dataclasses.replace(here, datetime=here.datetime + timedelta(days=5), platform="S2B")
    assert list(apart([here, later])) == [0]


@pytest.mark.parametrize("epsg", [32654, 32733, 32661 - 1])
def test_overlap_is_found_all_along_a_zone(epsg: int) -> None:
    # Wherever the cubes of space that tiles are looked up in have their walls.
    for k in range(60):
        a = tile(220 + k, 400 + 120 * k, epsg=epsg)
        for b in (
            tile(221 + k, 400 + 120 * k, epsg=epsg),
            inside(a, span=560, east=-280, south=1680),
            inside(a, span=4480, east=-2240, south=-3360),
        ):
            assert list(apart([a, b])) == list(apart([b, a])) == [0]


def test_straight_lines_are_a_little_shorter_than_the_ground() -> None:
    rng = np.random.default_rng(0)
    lon, lat = rng.uniform(-180, 180, 500), rng.uniform(-84, 84, 500)
    there = GEOD.fwd(lon, lat, rng.uniform(0, 360, 500), rng.uniform(1e3, 1e5, 500))
    over = distance_km(lon, lat, there[0], there[1]) * 1000
    straight = np.linalg.norm(positions(lon, lat) - positions(there[0], there[1]), axis=1)
    assert (straight <= over + 1e-6).all()
    assert (straight >= over * (1 - 2e-5)).all()
    np.testing.assert_allclose(over, GEOD.inv(lon, lat, there[0], there[1])[2])
