"""near: another concept within some kilometres, found and measured on the ellipsoid."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Geod

from keenkite.area import Area
from keenkite.index import Match, TileIndex
from keenkite.retrieval import near as near_module
from keenkite.retrieval.candidates import Candidates, together
from keenkite.retrieval.look_alikes import POOL
from keenkite.retrieval.near import ABSENT, Surroundings, around, common
from keenkite.retrieval.query import Near, Query
from keenkite.retrieval.result import Met, Result
from keenkite.retrieval.scoring import Scorer
from keenkite.retrieval.search import search
from keenkite.retrieval.sought import Sought
from keenkite.tiling import Tile
from tests.support.memory_index import MemoryIndex
from tests.support.sown import (
    COLOURS,
    ENCODER,
    PLAIN,
    close_all,
    inside,
    meadow,
    mixed,
    plain,
    seen,
    sow,
    tile,
)
from tests.support.things import LINE, Thing, things
from tests.support.things import km_between as km_of_things

GEOD = Geod(ellps="WGS84")


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    close_all()


def look(index: Any, text: str, **asked: Any) -> Result:
    query = Query(text=text, **{"min_confidence": 0, **asked})
    return search(index, ENCODER, query, background=COLOURS)


def ask(index: Any, text: str, near: str, km: float, **more: Any) -> Result:
    return look(index, text, near=(Near(text=near, within_km=km),), **more)


def best_near(result: Result) -> Met:
    (met,) = result.hits[0].of("near")
    return met


class Told:
    """In the place of `Sought`: log-odds that are one of the numbers of a tile's vector."""

    def __init__(self, index: MemoryIndex, axis: int) -> None:
        self.index, self.axis = index, axis
        self.wanted = SimpleNamespace(query=np.eye(2)[axis])
        self.best = index.nearest(self.wanted.query, limit=4096, with_vectors=True)

    def candidates(self, matches: Any) -> Candidates:
        return Candidates.of(matches, usual=2240)

    def seen(self, candidates: Candidates) -> Any:
        return candidates.vectors[:, self.axis].astype(float)


def told(tiles: list[Tile], reds: Any, waters: Any, km: float, *, beyond: bool = False) -> Any:
    """What is near each of some tiles, by given log-odds that they show red, and water."""
    vectors = np.column_stack([reds, waters]).astype(float)
    index = MemoryIndex(tiles, list(vectors))
    water: Any = Told(index, 1)
    red: Any = Told(index, 0)
    around = Surroundings(sought=water, main=red, within_km=km, tiles=len(tiles))
    matches = [Match(tile=t, score=0, vector=v) for t, v in zip(tiles, vectors, strict=True)]
    return around.of(red.candidates(matches), beyond=beyond)


def surroundings(index: MemoryIndex, text: str, main: str, km: float) -> Surroundings:
    """As a search makes them."""
    some: Any = index
    tiles = len(index.tiles)
    scorer = Scorer(ENCODER, index.statistics(), COLOURS)
    sought, thing = (
        Sought.of(some, scorer, scorer.wanted(each), number=number)
        for each, number in ((text, Surroundings.looked_at(tiles)), (main, POOL))
    )
    return Surroundings(sought=sought, main=thing, within_km=km, tiles=tiles)


def nearest(far: dict[str, float], there: dict[str, Thing], among: list[str]) -> str:
    """The nearest thing or, of those that may be the same one, the surest."""
    first = there[min(far, key=lambda c: far[c] if there[c].odds >= LINE else np.inf)]
    same = [c for c in among if km_of_things(first, there[c]) <= first.error_km]
    return max(same or among, key=lambda c: there[c].odds)


def km(a: Tile, b: Tile) -> float:
    return float(GEOD.inv(a.lon, a.lat, b.lon, b.lat)[2]) / 1000


def scattered(side: int, seed: int) -> tuple[list[Tile], list[Any], list[Tile], list[Tile]]:
    """Plain ground with red and water in random places: tiles, vectors, the reds, the waters."""
    rng = np.random.default_rng(seed)
    tiles = meadow(side)
    colours = [PLAIN[i % 6] for i in range(len(tiles))]
    places = rng.permutation(len(tiles))[:60]
    for n, i in enumerate(places):
        colours[i] = "red" if n < 30 else "water"
    vectors = [seen(c, 0.02, i) for i, c in enumerate(colours)]
    reds, waters = ([tiles[i] for i in some] for some in (places[:30], places[30:]))
    return tiles, vectors, reds, waters


@pytest.mark.parametrize("large", [False, True])
def test_hits_are_those_with_the_other_within_reach(
    tmp_path: Path, large: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if large:  # as if the index were too large to look at every tile
        monkeypatch.setattr(near_module, "EXACT", 0)
    tiles, vectors, reds, waters = scattered(30, seed=1)
    index = sow(tmp_path, tiles, vectors)
    right = {r.id for r in reds if min(km(r, w) for w in waters) <= 5}
    assert 5 < len(right) < 25
    result = ask(index, "red", "water", 5, limit=len(right) + 5)
    assert {hit.tile.id for hit in result.hits[: len(right)]} == right
    for hit in result.hits[: len(right)]:
        (neighbour,) = hit.of("near")
        assert (neighbour.text, neighbour.within_km) == ("water", 5)
        assert neighbour.tile is not None
        assert neighbour.tile.id in {w.id for w in waters}
        assert neighbour.km == pytest.approx(km(hit.tile, neighbour.tile), abs=1e-6)
        assert neighbour.km <= 5
        assert hit.confidence > 0.5
    assert result.hits[len(right)].confidence < 0.3
    strict = ask(index, "red", "water", 5, limit=900, strict=True)
    beside = {t.id for t in tiles if min(km(t, w) for w in waters) <= 5}
    assert {hit.tile.id for hit in strict.hits} <= beside
    assert right <= {hit.tile.id for hit in strict.hits}


def test_strict_keeps_exactly_those_with_the_other_within_reach() -> None:
    tiles, vectors, _, waters = scattered(20, seed=3)
    index = MemoryIndex(tiles, vectors)
    strict = ask(index, "red", "water", 5, limit=400, strict=True)
    assert {hit.tile.id for hit in strict.hits} == {
        t.id for t in tiles if min(km(t, w) for w in waters) <= 5
    }
    away = look(
        index, "red", exclude=(Near(text="water", within_km=5),), limit=400, strict=True
    )  # fmt: skip
    assert {hit.tile.id for hit in away.hits} == {
        t.id for t in tiles if min(km(t, w) for w in waters) > 5
    }


def test_the_neighbour_named_is_the_nearest_convincing_one() -> None:
    tiles = [tile(300 + 2 * i, 3500) for i in range(6)]
    waters = [-5, -3, 0.5, -5, 4, -5]  # the surest is 9 km away, a less sure one 4.5 km
    for km_asked, surest in ((10, 4), (5, 0.5)):
        found = told(tiles, [3] * 6, waters, km_asked)
        met = found.of(0)
        assert found.odds[0] == surest  # of the condition: the best in reach
        assert met.tile == tiles[2]
        assert met.tile_confidence == pytest.approx(1 / (1 + np.exp(-0.5)))
        assert met.km == pytest.approx(4.48, abs=0.01)


def test_where_none_is_convincing_the_surest_in_reach_is_named() -> None:
    tiles = [tile(300 + 2 * i, 3500) for i in range(4)]
    waters = [-5, -3, -1, 4]
    for beyond, named in ((False, tiles[2]), (True, tiles[3])):
        found = told(tiles, [3] * 4, waters, 5, beyond=beyond)
        assert found.odds[0] == -1
        assert found.of(0).tile == named
    nothing = told(tiles, [3] * 4, [-5, -3, -1, -2], 5, beyond=True)
    assert nothing.of(0).tile == tiles[2]


def test_what_its_own_ground_shows_is_near_a_thing_at_any_distance() -> None:
    # Red in the west of the tile, water in its east: seen by its neighbours on either side.
    tiles = [*overlapping(3, 1), tile(301, 3500, day=9)]
    found = told(tiles, [3, 3, -5, -5], [-5, -5, 3, 2], 0.1)
    assert found.odds[1] == 2  # on another date of the ground
    met = found.of(1)
    assert (met.tile, met.km) == (tiles[3], pytest.approx(1.12, abs=0.05))
    assert found.odds[0] == -5


def test_an_exclude_says_how_near_the_nearest_one_is_beyond_the_distance_too() -> None:
    tiles = [tile(300 + 2 * i, 3500) for i in range(4)]
    looks = [seen("red"), seen("green"), seen("green"), seen("water")]
    far = tile(300 + 2 * 50, 3500)  # 112 km away: too far to be of interest
    index = MemoryIndex([*tiles, far, *meadow(5, column=350)], [*looks, seen("blue"), *plain(25)])
    exclude = (Near(text="water", within_km=3), "snow", Near(text="blue", within_km=3))
    hit = look(index, "red", exclude=exclude).hits[0]
    water, snow, blue = hit.of("exclude")
    assert (hit.tile, water.tile, water.named) == (tiles[0], tiles[3], "nearest")
    assert water.km == pytest.approx(6.72, abs=0.01)
    assert water.confidence < 0.1 < 0.7 < (water.tile_confidence or 0)
    assert (snow.tile, snow.km) == (None, None)
    assert snow.confidence < 0.1
    assert blue.named == "surest"
    assert blue.km is not None
    assert blue.km <= 3


def overlapping(columns: int, rows: int, *, epsg: int = 32654, column: int = 300) -> list[Tile]:
    """Tiles at half their span from each other, as builds lay them."""
    return [tile(column + i, 3500 + j, epsg=epsg) for j in range(rows) for i in range(columns)]


def test_distances_are_from_thing_to_thing_and_not_from_centre_to_centre() -> None:
    # Each thing is in the ground that four tiles have in common, 1.12 km wide.
    tiles = overlapping(12, 3)
    shows = {(302, 3500): "red", (308, 3500): "water"}
    looks = plain(36)
    for (column, row), colour in shows.items():
        for i, t in enumerate(tiles):
            if t.column in (column, column + 1) and t.row in (row, row + 1):
                looks[i] = seen(colour, 0.02, i)
    for hit in ask(MemoryIndex(tiles, looks), "red", "water", 9, limit=4, overlap=True).hits:
        (met,) = hit.of("near")
        # The four do not differ, though their centres are 5.6 to 7.8 km from those of the others.
        assert met.km == pytest.approx(6 * 1.12, abs=0.05)
        assert met.km_error == pytest.approx(1.12, abs=0.01)  # of two squares of 1.12 km
        assert met.lon == pytest.approx(tile(308, 3500).bounds[2] - 0.0062, abs=0.0005)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000))
def test_a_wider_distance_never_lowers_the_confidence_and_a_far_tile_changes_nothing(
    seed: int,
) -> None:
    reds, waters = np.random.default_rng(seed).normal(-1, 2, (2, 48))
    tiles, before = overlapping(8, 6), None
    far = [*tiles, tile(900, 3500)]
    for km_asked in (0.3, 1.0, 2.0, 3.5, 6.0, 12.0):
        found = told(tiles, reds, waters, km_asked)
        assert before is None or (found.odds >= before.odds).all()
        before = found
        more = told(far, [*reds, 5], [*waters, 5], km_asked, beyond=False)
        assert (more.odds[:48] == found.odds).all()
        assert [more.of(i) for i in range(48)] == [found.of(i) for i in range(48)]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from((0.5, 1.6, 4.0, 9.0)), st.booleans())
def test_what_is_near_is_what_every_pair_of_tiles_says(
    seed: int, within_km: float, beyond: bool
) -> None:
    rng = np.random.default_rng(seed)
    west = {"epsg": 32653, "column": 671}  # the same ground as the other, in the next zone
    tiles = [*overlapping(5, 4), *overlapping(5, 4, **west)]
    reds, waters = rng.normal(-1, 2, (2, 40))
    found = told(tiles, reds, waters, within_km, beyond=beyond)
    here, there = things(tiles, reds), things(tiles, waters)
    for i, t in enumerate(tiles):
        far = {c: km_of_things(here[t.cell], thing) for c, thing in there.items()}
        reach = [c for c in there if far[c] <= within_km or c == t.cell]
        best = max(there[c].odds for c in reach)
        convincing = [c for c in (there if beyond else reach) if there[c].odds >= LINE]
        named = nearest(far, there, convincing) if convincing else None
        met = found.of(i)
        assert found.odds[i] == pytest.approx(max(best, ABSENT))
        assert met.km == pytest.approx(far[met.tile.cell], abs=1e-4)
        if named is None:
            assert there[met.tile.cell].odds == best
        else:
            assert met.km == pytest.approx(far[named], abs=1e-4)


def test_what_is_near_depends_on_no_limit_and_no_other_candidate() -> None:
    tiles, vectors, _, _ = scattered(12, seed=5)
    index = MemoryIndex(tiles, vectors)
    whole = {hit.tile.id: hit.of("near") for hit in ask(index, "red", "water", 6, limit=144).hits}
    for asked in ({"limit": 3}, {"limit": 30, "overlap": True}, {"limit": 9, "spans": (2240,)}):
        for hit in ask(index, "red", "water", 6, **asked).hits:
            assert hit.of("near") == whole[hit.tile.id]


def test_a_neighbour_may_be_of_any_span_and_date() -> None:
    red = tile(300, 3500)
    small = inside(red, span=1120, east=4480, south=560)
    wide = inside(red, span=4480, east=-8960, south=-1120)
    others = meadow(5, column=400)
    for other in (small, wide):
        looks = [seen("red"), seen("water"), *plain(25)]
        index = MemoryIndex([red, other, *others], looks)
        far = km(red, other)
        for spans in ((), (2240,)):  # which hits are wanted says nothing of their neighbours
            met = best_near(ask(index, "red", "water", far + 0.01, spans=spans))
            assert met.tile == other
            assert met.km == pytest.approx(far)
        assert ask(index, "red", "water", far - 0.01).hits[0].confidence < 0.1


def test_distances_are_over_the_ellipsoid_to_the_last_centimetre() -> None:
    red, water = tile(300, 3500), tile(376, 3544)
    index = MemoryIndex(
        [red, water, *meadow(4, column=600)], [seen("red"), seen("water"), *plain(16)]
    )
    far = km(red, water)
    assert far > 95
    for within, found in ((far + 1e-5, water), (far - 1e-5, red)):
        assert best_near(ask(index, "red", "water", within)).tile == found


def test_nothing_is_claimed_when_the_other_is_nowhere_near() -> None:
    tiles = [*meadow(10), tile(600, 3600)]
    vectors = plain(100)
    vectors[44] = seen("red")
    index = MemoryIndex(tiles, [*vectors, seen("water")])
    assert look(index, "red").verdict == "strong"
    assert ask(index, "red", "water", 10).verdict == "none"
    assert ask(index, "red", "purple", 10).verdict == "none"


def test_where_nothing_is_looked_at_nothing_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    # In a large index, a red tile with no other tile of any kind around it but itself.
    monkeypatch.setattr(near_module, "EXACT", 0)
    monkeypatch.setattr(near_module, "BOUND", 3)
    alone = tile(900, 3500)
    looks = [seen("water", 0.02, i) for i in range(100)]
    index = MemoryIndex([*meadow(10), alone], [*looks, seen("red")])
    result = ask(index, "red", "water", 1, limit=101)
    hit = next(hit for hit in result.hits if hit.tile == alone)
    (met,) = hit.of("near")
    assert met.tile in (None, alone)
    monkeypatch.setattr(near_module, "SPOTS", 0)
    there = surroundings(index, "water", "red", 1)
    nobody = replace(there.sought.candidates(there.sought.best), tiles=[])
    assert there.of(nobody) is None


def test_a_tile_that_shows_both_is_its_own_neighbour() -> None:
    tiles, vectors = meadow(10), plain(100)
    vectors[44] = mixed("red", "water")
    best = ask(MemoryIndex(tiles, vectors), "red", "water", 1).hits[0]
    assert best.tile.id == tiles[44].id
    assert best.of("near")[0].km == 0


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ((32653, 673, 3500), (32654, 177, 3500)),  # side by side at 138 degrees east
        ((32660, 558, 6600), (32601, 333, 6600)),  # at the antimeridian
    ],
)
@pytest.mark.parametrize("exact", [4096, 0])
def test_zones_and_the_antimeridian_are_no_borders(
    tmp_path: Path,
    ours: tuple[int, int, int],
    theirs: tuple[int, int, int],
    exact: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    a = tile(ours[1], ours[2], epsg=ours[0])
    b = tile(theirs[1], theirs[2], epsg=theirs[0])
    apart = km(a, b)
    assert apart < 60
    others = meadow(6, epsg=ours[0], column=ours[1] - 100, row=ours[2])
    index = sow(tmp_path, [a, b, *others], [seen("red"), seen("water"), *plain(36)])
    monkeypatch.setattr(near_module, "EXACT", exact)
    result = ask(index, "red", "water", apart + 0.001)
    assert result.hits[0].tile.id == a.id
    met = best_near(result)
    assert met.tile is not None
    assert met.tile.id == b.id
    assert met.km == pytest.approx(apart)
    assert ask(index, "red", "water", apart - 0.001).verdict == "none"


@pytest.mark.parametrize("exact", [4096, 0])
def test_nothing_within_an_excluded_distance(exact: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near_module, "EXACT", exact)
    tiles, vectors, reds, waters = scattered(30, seed=2)
    index = MemoryIndex(tiles, vectors)
    away = {r.id for r in reds if min(km(r, w) for w in waters) > 5}
    found = look(index, "red", exclude=(Near(text="water", within_km=5),), limit=len(away) + 5)
    assert {hit.tile.id for hit in found.hits[: len(away)]} == away
    for hit in found.hits:
        (met,) = hit.of("exclude")
        water = min(waters, key=lambda w: km(hit.tile, w))
        if hit.rank <= len(away):
            assert met.confidence < 0.3
        assert met.tile is not None
        assert met.km == pytest.approx(km(hit.tile, met.tile), abs=1e-6)
        if met.confidence > 0.5:
            assert met.tile == water


def test_filters_speak_of_the_hits_and_not_of_their_neighbours(tmp_path: Path) -> None:
    red = tile(300, 3500, day=1, regions=("ours",))
    water = tile(302, 3500, day=9, regions=("theirs",))
    others = meadow(6, column=400)
    index = sow(tmp_path, [red, water, *others], [seen("red"), seen("water"), *plain(36)])
    result = ask(index, "red", "water", 5, regions=("ours",), scenes=("scene-1",))
    assert [hit.tile.id for hit in result.hits] == [red.id]
    assert best_near(result).tile == water


# In an index too large to look at every tile


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """As few tiles looked at in one go as make no difference but to the time it takes."""
    monkeypatch.setattr(near_module, "EXACT", 50)
    monkeypatch.setattr(near_module, "BOUND", 8)
    monkeypatch.setattr(near_module, "SPOTS", 4)
    monkeypatch.setattr("keenkite.retrieval.recall.CANDIDATES", 8)


def patch(colour: str, number: int, *, column: int) -> tuple[list[Tile], list[Any]]:
    """Many tiles side by side that show a colour best of all."""
    tiles = [tile(column + 2 * (i % 10), 3500 - 2 * (i // 10)) for i in range(number)]
    return tiles, [seen(colour, 0.002, i) for i in range(number)]


@pytest.mark.usefixtures("large")
def test_candidates_are_looked_for_around_what_they_must_be_near() -> None:
    # 60 reds, 200 km away, are better than the only one that has water near.
    (more, best), (waters, lake) = patch("red", 60, column=480), patch("water", 12, column=300)
    red = tile(300, 3504)
    looks = [mixed("red", "red", "red", "orange"), *best, *lake]
    index = MemoryIndex([red, *more, *waters], looks)
    assert red.id not in {hit.tile.id for hit in look(index, "red", limit=8).hits}
    result = ask(index, "red", "water", 5, limit=1)
    assert result.hits[0].tile == red
    assert best_near(result).tile in waters
    # With an area, only what lies in it.
    elsewhere = Area.around(more[0].lon, more[0].lat, 60)
    others = ask(index, "red", "water", 5, limit=1, area=elsewhere)
    assert others.hits[0].tile in more
    assert others.verdict == "none"
    here = ask(index, "red", "water", 5, limit=1, area=Area.around(red.lon, red.lat, 9))
    assert here.hits[0].tile == red
    not_here = ask(index, "red", "water", 5, limit=1, scenes=("another",))
    assert not_here.hits == ()


@pytest.mark.usefixtures("large")
def test_what_must_be_near_is_looked_for_around_the_candidates() -> None:
    # 60 waters, 200 km away, are better than the only one that has red near.
    (more, best), (reds, glow) = patch("water", 60, column=480), patch("red", 12, column=300)
    water = tile(300, 3504)
    looks = [mixed("water", "water", "water", "blue"), *best, *glow]
    index = MemoryIndex([water, *more, *reds], looks)
    result = ask(index, "red", "water", 5, limit=1)
    assert result.hits[0].tile in reds
    assert best_near(result).tile == water
    assert result.verdict != "none"
    without = look(index, "red", exclude=(Near(text="water", within_km=5),), limit=12)
    beside = {red.id for red in reds if km(red, water) <= 5}
    assert 0 < len(beside) < 8
    assert {hit.tile.id for hit in without.hits if hit.confidence < 0.5} >= beside
    assert without.hits[0].tile.id not in beside


@pytest.mark.usefixtures("large")
def test_each_near_condition_is_looked_for_by_itself() -> None:
    more, best = patch("red", 60, column=480)
    (waters, lake), (purples, field) = (
        patch("water", 12, column=300), patch("purple", 12, column=330),
    )  # fmt: skip
    red = tile(324, 3500)
    index = MemoryIndex(
        [red, *waters, *purples, *more], [mixed("red", "red", "orange"), *lake, *field, *best]
    )
    for near in (
        (Near(text="water", within_km=9), Near(text="purple", within_km=9)),
        (Near(text="purple", within_km=9), Near(text="water", within_km=9)),
    ):
        result = look(index, "red", near=near, limit=1)
        assert result.hits[0].tile == red
        found = {met.text: met.tile for met in result.hits[0].of("near")}
        assert found["water"] in waters
        assert found["purple"] in purples


def test_every_tile_is_looked_at_up_to_a_number_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    index = MemoryIndex(meadow(6), plain(36))

    def looked() -> Surroundings:
        return surroundings(index, "water", "water", 5)

    monkeypatch.setattr(near_module, "EXACT", 36)
    assert looked().reach() is None
    assert (looked().bound, len(looked().sought.best)) == (36, 36)
    monkeypatch.setattr(near_module, "EXACT", 35)
    monkeypatch.setattr(near_module, "BOUND", 7)
    assert looked().reach() is not None
    assert (looked().bound, len(looked().sought.best)) == (7, 7)
    index.limits.clear()
    ask(index, "green", "water", 5, limit=1)
    # It, the greens' look-alikes, greens around it, candidates, it around them, it by itself.
    assert index.limits == [7, 128, 7, 64, 7, 32]
    monkeypatch.setattr(near_module, "EXACT", 100)
    index.limits.clear()
    ask(index, "green", "water", 5, limit=1)
    # It, the greens' look-alikes, candidates: all tiles there are.
    assert index.limits == [100, 128, 100]


def test_matches_of_several_questions_are_each_there_once_best_first() -> None:
    a, b, c = tile(300, 3500), tile(302, 3500), tile(304, 3500)
    scores = {b.id: 0.9, c.id: 0.5, a.id: 0.5}

    def match(of: Tile) -> Match:
        return Match(tile=of, score=scores[of.id], vector=None)

    for some in ([c, a, b, a], [a, b, b, c]):
        assert [each.tile for each in together([match(t) for t in some])] == [b, a, c]


def test_no_neighbour_is_less_sure_than_none() -> None:
    tiles, vectors = meadow(6), [seen("green", 0.01, i) for i in range(36)]
    result = ask(MemoryIndex(tiles, vectors), "green", "purple", 5, limit=36)
    lowest = 1 / (1 + np.exp(-ABSENT))
    confidences = [hit.of("near")[0].confidence for hit in result.hits]
    assert min(confidences) == pytest.approx(lowest)
    assert all(hit.of("near")[0].tile is not None for hit in result.hits)


def test_the_ground_around_tiles_holds_everything_within_reach() -> None:
    rng = np.random.default_rng(0)
    for epsg, column, row in ((32654, 300, 3500), (32601, 280, 7900), (32733, 400, 5000)):
        tiles = [tile(column + int(i), row, epsg=epsg) for i in rng.integers(0, 100, 5)]
        ground = around(tiles, 30)
        for t in tiles:
            lon, lat, _ = GEOD.fwd([t.lon] * 64, [t.lat] * 64, np.arange(64) * 5.7, [29_990] * 64)
            assert all(holds(ground, x, y) for x, y in zip(lon, lat, strict=True))
        size = sum(shapely.area(part) * 111**2 for part in ground.parts)
        assert size < 170**2 * 3.2 / np.cos(np.radians(tiles[0].lat))  # and not much more


def test_the_ground_around_tiles_is_that_of_the_first_places(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(near_module, "SPOTS", 2)
    tiles = [tile(300, 3500), tile(300, 3500, day=2), tile(400, 3500), tile(500, 3500)]
    ground = around(tiles, 5)
    assert [holds(ground, t.lon, t.lat) for t in tiles] == [True, True, True, False]


@pytest.mark.parametrize("edge", [tile(558, 6600, epsg=32660), tile(333, 6600, epsg=32601)])
def test_the_ground_around_the_antimeridian_is_in_two_parts(edge: Tile) -> None:
    ground = around([edge], 60)
    for azimuth in range(0, 360, 15):
        lon, lat, _ = GEOD.fwd(edge.lon, edge.lat, azimuth, 59_990)
        assert holds(ground, lon, lat)
    assert len(ground.parts) == 2
    for west, south, east, north in ground.bboxes:
        assert -180 <= west < east <= 180
        assert -90 <= south < north <= 90
    assert not holds(ground, 0, edge.lat)


def holds(area: Area, lon: float, lat: float) -> bool:
    return any(part.covers(shapely.Point(lon, lat)) for part in area.parts)


def test_ground_in_common_is_the_intersection() -> None:
    a, b = Area.from_bbox(0, 0, 2, 2), Area.from_bbox(1, 1, 3, 3)
    both = common(a, b)
    assert both is not None
    assert both.bboxes == ((1, 1, 2, 2),)
    assert common(None, b) == b
    assert common(a, Area.from_bbox(5, 5, 6, 6)) is None
    assert common(a, Area.from_bbox(2, 0, 3, 2)) is None  # an edge is no ground


def test_a_real_index_of_more_tiles_than_are_looked_at_answers_alike(tmp_path: Path) -> None:
    # 4,225 tiles, more than EXACT: nothing is patched here.
    tiles, vectors, reds, waters = scattered(65, seed=4)
    index: TileIndex = sow(tmp_path, tiles, vectors)
    right = {r.id for r in reds if min(km(r, w) for w in waters) <= 12}
    assert 5 < len(right) < 30
    result = ask(index, "red", "water", 12, limit=len(right))
    assert {hit.tile.id for hit in result.hits} == right
    strict = ask(index, "red", "water", 12, limit=400, strict=True)
    confident = {hit.tile.id for hit in strict.hits if hit.confidence > 0.3}
    assert confident == right
