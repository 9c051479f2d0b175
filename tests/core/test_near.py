"""near: another concept within some kilometres, found and measured on the ellipsoid."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pyproj import Geod
from tests.support.sown import COLOURS, ENCODER, close_all, meadow, seen, sow, tile

from keenkite.area import Area
from keenkite.errors import InputError
from keenkite.index import TileIndex
from keenkite.retrieval import near as near_module
from keenkite.ground import distance_km, positions
from keenkite.retrieval.near import around, common
from keenkite.retrieval.search import Near, Query, Result, search
from keenkite.tiling import Tile

GEOD = Geod(ellps="WGS84")
PLAIN = ("green", "yellow", "grey", "field", "desert", "orange")


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    close_all()


def ask(index: TileIndex, text: str, near: str, km: float, **more: object) -> Result:
    query = Query(text=text, near=(Near(text=near, within_km=km),), **more)  # type: ignore[arg-type]
    return search(index, ENCODER, query, background=COLOURS)


def km(a: Tile, b: Tile) -> float:
    return float(GEOD.inv(a.lon, a.lat, b.lon, b.lat)[2]) / 1000


def scattered(tmp_path: Path, side: int, seed: int) -> tuple[TileIndex, list[Tile], list[str]]:
    """Plain ground with red and water in random places."""
    rng = np.random.default_rng(seed)
    tiles = meadow(side)
    colours = [PLAIN[i % 6] for i in range(len(tiles))]
    places = rng.permutation(len(tiles))[:60]
    for n, i in enumerate(places):
        colours[i] = "red" if n < 30 else "water"
    vectors = [seen(c, 0.02, i) for i, c in enumerate(colours)]
    return sow(tmp_path, tiles, vectors), tiles, colours


@pytest.mark.parametrize("large", [False, True])
def test_hits_are_those_with_the_other_within_reach(
    tmp_path: Path, large: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if large:  # as if the index were too large to look at every tile
        monkeypatch.setattr(near_module, "EXACT", 0)
    index, tiles, colours = scattered(tmp_path, 30, seed=1)
    reds = [t for t, c in zip(tiles, colours, strict=True) if c == "red"]
    waters = [t for t, c in zip(tiles, colours, strict=True) if c == "water"]
    right = {r.id for r in reds if min(km(r, w) for w in waters) <= 5}
    assert 5 < len(right) < 25
    result = ask(index, "red", "water", 5, limit=len(right) + 5)
    assert {hit.tile.id for hit in result.hits[: len(right)]} == right
    for hit in result.hits[: len(right)]:
        (neighbour,) = hit.neighbours
        assert neighbour.text == "water"
        assert neighbour.tile.id in {w.id for w in waters}
        assert neighbour.distance_km == pytest.approx(km(hit.tile, neighbour.tile), abs=1e-6)
        assert neighbour.distance_km <= 5
        assert hit.confidence > 0.5
    assert result.hits[len(right)].confidence < 0.3


def test_nothing_is_claimed_when_the_other_is_nowhere_near(tmp_path: Path) -> None:
    tiles = [*meadow(10), tile(600, 3600)]
    vectors = [seen(PLAIN[i % 6], 0.02, i) for i in range(100)]
    vectors[44] = seen("red")
    index = sow(tmp_path, tiles, [*vectors, seen("water")])
    assert search(index, ENCODER, Query(text="red"), background=COLOURS).verdict == "strong"
    assert ask(index, "red", "water", 10).verdict == "none"
    assert ask(index, "red", "purple", 10).verdict == "none"


def test_a_tile_that_shows_both_is_its_own_neighbour(tmp_path: Path) -> None:
    tiles = meadow(10)
    vectors = [seen(PLAIN[i % 6], 0.02, i) for i in range(100)]
    both = seen("red") + seen("water")
    vectors[44] = both / np.linalg.norm(both)
    best = ask(sow(tmp_path, tiles, vectors), "red", "water", 1).hits[0]
    assert best.tile.id == tiles[44].id
    assert best.neighbours[0].distance_km == 0


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ((32653, 673, 3500), (32654, 177, 3500)),  # side by side at 138 degrees east
        ((32660, 558, 6600), (32601, 333, 6600)),  # at the antimeridian
    ],
)
def test_zones_and_the_antimeridian_are_no_borders(
    tmp_path: Path,
    ours: tuple[int, int, int],
    theirs: tuple[int, int, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    a = tile(ours[1], ours[2], epsg=ours[0])
    b = tile(theirs[1], theirs[2], epsg=theirs[0])
    apart = km(a, b)
    assert apart < 60
    others = meadow(6, epsg=ours[0], column=ours[1] - 100, row=ours[2])
    index = sow(
        tmp_path, [a, b, *others],
        [seen("red"), seen("water"), *(seen(PLAIN[i % 6], 0.02, i) for i in range(36))],
    )  # fmt: skip
    for exact in (4096, 0):
        monkeypatch.setattr(near_module, "EXACT", exact)
        best = ask(index, "red", "water", apart + 0.001).hits[0]
        assert best.tile.id == a.id
        assert best.neighbours[0].tile.id == b.id
        assert best.neighbours[0].distance_km == pytest.approx(apart)
        assert ask(index, "red", "water", apart - 0.001).verdict == "none"


def test_nothing_within_an_excluded_distance(tmp_path: Path) -> None:
    index, tiles, colours = scattered(tmp_path, 30, seed=2)
    reds = [t for t, c in zip(tiles, colours, strict=True) if c == "red"]
    waters = [t for t, c in zip(tiles, colours, strict=True) if c == "water"]
    away = {r.id for r in reds if min(km(r, w) for w in waters) > 5}
    query = Query(text="red", exclude=(Near(text="water", within_km=5),), limit=len(away))
    found = search(index, ENCODER, query, background=COLOURS)
    assert {hit.tile.id for hit in found.hits} == away


def test_filters_speak_of_the_hits_and_not_of_their_neighbours(tmp_path: Path) -> None:
    red = tile(300, 3500, day=1, region="ours")
    water = tile(302, 3500, day=9, region="theirs")
    others = meadow(6, column=400)
    index = sow(
        tmp_path, [red, water, *others],
        [seen("red"), seen("water"), *(seen(PLAIN[i % 6], 0.02, i) for i in range(36))],
    )  # fmt: skip
    result = ask(index, "red", "water", 5, regions=("ours",), scenes=("scene-1",))
    assert [hit.tile.id for hit in result.hits] == [red.id]
    assert result.hits[0].neighbours[0].tile.id == water.id


def test_the_ground_around_tiles_holds_everything_within_reach() -> None:
    rng = np.random.default_rng(0)
    for epsg, column, row in ((32654, 300, 3500), (32601, 280, 7900), (32733, 400, 5000)):
        tiles = [tile(column + int(i), row, epsg=epsg) for i in rng.integers(0, 100, 5)]
        ground = around(tiles, 30)
        for t in tiles:
            lon, lat, _ = GEOD.fwd([t.lon] * 64, [t.lat] * 64, np.arange(64) * 5.7, [29_990] * 64)
            assert all(inside(ground, x, y) for x, y in zip(lon, lat, strict=True))


def inside(area: Area, lon: float, lat: float) -> bool:
    import shapely

    return any(part.covers(shapely.Point(lon, lat)) for part in area.parts)


def test_ground_in_common_is_the_intersection() -> None:
    a, b = Area.from_bbox(0, 0, 2, 2), Area.from_bbox(1, 1, 3, 3)
    both = common(a, b)
    assert both is not None
    assert both.bboxes == ((1, 1, 2, 2),)
    assert common(None, b) == b
    assert common(a, Area.from_bbox(5, 5, 6, 6)) is None


def test_straight_lines_are_a_little_shorter_than_the_ground() -> None:
    rng = np.random.default_rng(0)
    lon, lat = rng.uniform(-180, 180, 500), rng.uniform(-84, 84, 500)
    there = GEOD.fwd(lon, lat, rng.uniform(0, 360, 500), rng.uniform(1e3, 1e5, 500))
    over = distance_km(lon, lat, there[0], there[1]) * 1000
    straight = np.linalg.norm(positions(lon, lat) - positions(there[0], there[1]), axis=1)
    assert (straight <= over + 1e-6).all()
    assert (straight >= over * (1 - 2e-5)).all()


@pytest.mark.parametrize("km", [0, -1, 10_000, float("nan")])
def test_a_distance_that_cannot_be_meant_is_refused(km: float) -> None:
    with pytest.raises(InputError, match="above 0 and up to 100 km"):
        Near(text="sea", within_km=km)


def test_a_near_concept_needs_words() -> None:
    with pytest.raises(InputError, match="no text"):
        Near(text=" ", within_km=3)
