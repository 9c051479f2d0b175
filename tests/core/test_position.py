"""Where a thing is: held against a rule worked out tile by tile, and against where things are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Geod

from keenkite.ground import degrees, positions
from keenkite.retrieval.position import CONVINCING, Sightings, locate
from keenkite.tiling import Tile
from keenkite.utm import unproject
from tests.support.sown import inside, tile
from tests.support.things import things

GEOD = Geod(ellps="WGS84")
SURE, NOT = 3.0, -3.0


def lattice(side: int = 6, *, column: int = 300, row: int = 3500, epsg: int = 32654) -> list[Tile]:
    return [tile(column + i, row + j, epsg=epsg) for j in range(side) for i in range(side)]


@st.composite
def sightings(draw: st.DrawFn) -> tuple[list[Tile], list[float]]:
    """Tiles of several spans and dates, on both sides of a border of zones or of 180 degrees."""
    corners = draw(
        st.sampled_from([
            [(32654, 300, 3500)],
            [(32653, 672, 3500), (32654, 177, 3500)],
            [(32660, 556, 6600), (32601, 333, 6600)],
        ])
    )  # fmt: skip
    wide = draw(
        st.lists(
            st.tuples(st.sampled_from(corners), st.integers(0, 4), st.integers(0, 4),
                      st.integers(1, 3), st.sampled_from((1120, 2240, 4480))),
            min_size=1, max_size=40, unique=True,
        )
    )  # fmt: skip
    tiles = [
        inside(tile(column + i, row + j, epsg=epsg, day=day), span=span)
        for (epsg, column, row), i, j, day, span in wide
    ]
    tiles = list({t.id: t for t in tiles}.values())
    odds = st.floats(-4, 6).filter(lambda x: abs(x - CONVINCING) > 1e-6)
    return tiles, draw(st.lists(odds, min_size=len(tiles), max_size=len(tiles)))


@settings(max_examples=150, deadline=None)
@given(sightings(), st.randoms(use_true_random=False))
def test_things_are_where_a_rule_worked_out_tile_by_tile_puts_them(
    seen: tuple[list[Tile], list[float]], random: Any
) -> None:
    expected = things(*seen)
    shuffled = list(zip(*seen, strict=True))
    random.shuffle(shuffled)
    tiles, odds = zip(*shuffled, strict=True)
    found = Sightings.of(tiles, np.array(odds))
    assert {t.cell for t in found.tiles} == set(expected)
    assert (np.diff(found.odds) <= 0).all()
    assert found.convincing == sum(t.odds >= CONVINCING for t in expected.values())
    for i, t in enumerate(found.tiles):
        wanted = expected[t.cell]
        lon, lat = found.spots.lonlat(i)
        assert found.odds[i] == wanted.odds
        assert found.spots.error_km[i] == pytest.approx(wanted.error_km)
        assert GEOD.inv(lon, lat, wanted.lon, wanted.lat)[2] < 0.05  # metres


def test_a_thing_in_four_tiles_is_in_the_ground_they_have_in_common() -> None:
    tiles = lattice()
    four = [i for i, t in enumerate(tiles) if t.column in (302, 303) and t.row in (3502, 3503)]
    odds = np.full(len(tiles), NOT)
    odds[four] = SURE
    spots = locate(tiles, odds)
    middle = unproject(32654, 303.5 * 1120, 3501.5 * 1120)
    for i in four:
        assert GEOD.inv(*spots.lonlat(i), *middle)[2] < 1
        assert spots.error_km[i] == pytest.approx(1.12 / 2**0.5)  # half the diagonal of 1.12 km


def test_a_tile_that_shows_it_alone_says_no_more_than_its_own_ground() -> None:
    apart = [tile(300, 3500), tile(302, 3500), tile(300, 3502)]  # they touch
    spots = locate(apart, np.array([SURE, SURE, NOT]))
    for i, t in enumerate(apart):
        assert spots.lonlat(i) == pytest.approx((t.lon, t.lat), abs=1e-12)
        assert spots.error_km[i] == pytest.approx(2.24 / 2**0.5)


def test_what_is_not_convincing_moves_nothing() -> None:
    tiles = lattice(3)
    odds = np.full(9, CONVINCING - 1e-3)
    odds[4] = SURE
    spots = locate(tiles, odds)
    for i, t in enumerate(tiles):
        assert spots.lonlat(i) == pytest.approx((t.lon, t.lat), abs=1e-12)


def test_more_dates_of_the_same_ground_move_nothing() -> None:
    tiles = lattice(3)
    odds = np.linspace(-2, 4, 9)
    dates = [tile(t.column or 0, t.row or 0, day=day) for day in (2, 3) for t in tiles]
    once = Sightings.of(tiles, odds)
    often = Sightings.of([*dates, *tiles], np.concatenate([odds - 1, odds, odds]))
    assert [t.cell for t in often.tiles] == [t.cell for t in once.tiles]
    np.testing.assert_array_equal(often.spots.points, once.spots.points)


def test_a_narrow_tile_tells_more_than_a_wide_one() -> None:
    wide = tile(300, 3500)
    narrow = inside(wide, span=560, east=200, south=300)
    spots = locate([wide, narrow], np.array([SURE, SURE]))
    own = GEOD.inv(wide.lon, wide.lat, narrow.lon, narrow.lat)[2]
    for i in range(2):
        assert GEOD.inv(*spots.lonlat(i), narrow.lon, narrow.lat)[2] < 0.06 * own
        assert 0.19 < spots.error_km[i] < 0.396


def test_things_are_found_nearer_to_where_they_are_than_the_middle_of_a_tile() -> None:
    # A disc of 600 m anywhere; a tile is as sure as it shows much of it.
    rng = np.random.default_rng(0)
    tiles = lattice(7)
    centres = np.array([(t.west + 1120, t.north - 1120) for t in tiles])
    before, after, within = [], [], []
    for _ in range(300):
        thing = centres[24] + rng.uniform(-560, 560, 2)
        inside_by = 1120 - np.abs(centres - thing).max(axis=1)  # metres from the tile's edge
        odds = 4 * np.clip(inside_by / 300, -1, 1)
        spots = locate(tiles, odds)
        lon, lat = unproject(32654, *thing)
        for i in np.flatnonzero(odds > 0):
            off = GEOD.inv(*spots.lonlat(i), lon, lat)[2] / 1000
            before.append(GEOD.inv(tiles[i].lon, tiles[i].lat, lon, lat)[2] / 1000)
            after.append(off)
            within.append(off <= spots.error_km[i])
    assert np.median(after) < 0.6 * np.median(before)
    assert np.mean(within) > 0.95


@given(st.floats(-180, 180), st.floats(-89.9, 89.9))
def test_degrees_of_a_position_are_those_it_was_made_of(lon: float, lat: float) -> None:
    there = degrees(positions(lon, lat))
    assert GEOD.inv(lon, lat, float(there[0]), float(there[1]))[2] < 1e-6
