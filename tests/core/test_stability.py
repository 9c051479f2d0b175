"""What a confidence depends on: words, ground and collection; not how the question is put."""

from __future__ import annotations

import dataclasses
from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from keenkite.area import Area
from keenkite.ground import shared_ground
from keenkite.index import Filters
from keenkite.retrieval.query import Near, Query
from keenkite.retrieval.result import Hit, Result
from keenkite.retrieval.search import search
from keenkite.tiling import Tile
from tests.support.memory_index import MemoryIndex
from tests.support.sown import COLOURS, ENCODER, mixed, plain, seen, tile

NEAR = (Near(text="red", within_km=4), Near(text="purple", within_km=9))
EXCLUDE = ("snow", Near(text="cyan", within_km=3))
CLOSE: dict[str, Any] = {"rtol": 1e-5, "atol": 1e-9}


def blend(seed: int) -> NDArray[np.float32]:
    """What a tile of two colours looks like, of which one is seen more than the other."""
    rng = np.random.default_rng(seed)
    first, second = rng.choice(COLOURS, 2, replace=False)
    vector = mixed(first, first, second) + rng.normal(0, 0.05, 16)
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


def mosaic(seed: int = 0) -> MemoryIndex:
    """600 tiles of two colours each: overlapping ones, of several dates, spans and regions."""
    rng = np.random.default_rng(seed)
    tiles: dict[str, Tile] = {}
    while len(tiles) < 600:
        span = int(rng.choice((1120, 2240, 2240, 2240, 4480)))
        column, row = (int(x) for x in rng.integers(0, 30, 2))
        one = tile(
            round(300 * 2240 / span) + column, round(3500 * 2240 / span) - row, span=span,
            day=int(rng.integers(1, 5)), cloud=float(rng.choice((0.0, 0.1, 0.4, 0.7))),
            regions=(str(rng.choice(("north", "south"))),),
        )  # fmt: skip
        tiles[one.id] = one
    return MemoryIndex(list(tiles.values()), [blend(1000 * seed + i) for i in range(600)])


def ask(index: MemoryIndex, text: str = "water", **asked: Any) -> Result:
    query = Query(text=text, **{"min_confidence": 0, **asked})
    return search(index, ENCODER, query, background=COLOURS)  # type: ignore[arg-type]


def everything(index: MemoryIndex, text: str = "water", **asked: Any) -> dict[str, Hit]:
    """Every tile as a hit."""
    hits = ask(index, text, limit=len(index.tiles), overlap=True, **asked).hits
    assert len(hits) == len(index.tiles)
    return {hit.tile.id: hit for hit in hits}


def confidences(hit: Hit) -> list[float]:
    return [hit.confidence, *(met.confidence for met in hit.conditions)]


def check(result: Result, known: dict[str, Hit], *, least: int = 1) -> None:
    """Every hit of an answer is as sure as it is among all tiles."""
    assert len(result.hits) >= least
    for hit in result.hits:
        np.testing.assert_allclose(confidences(hit), confidences(known[hit.tile.id]), **CLOSE)


@pytest.fixture(scope="module")
def index() -> MemoryIndex:
    return mosaic()


@pytest.fixture(scope="module")
def plainly(index: MemoryIndex) -> dict[str, Hit]:
    return everything(index)


@pytest.fixture(scope="module")
def related(index: MemoryIndex) -> dict[str, Hit]:
    return everything(index, near=NEAR, exclude=EXCLUDE)


def test_the_worlds_tiles_differ_in_what_is_said_of_them(plainly: dict[str, Hit]) -> None:
    sure = np.array([hit.confidence for hit in plainly.values()])
    assert (sure > 0.7).sum() > 10
    assert ((sure > 0.1) & (sure < 0.9)).sum() > 20
    assert (sure < 0.1).sum() > 100


@pytest.mark.parametrize("limit", [5, 10, 30, 50, 200])
@pytest.mark.parametrize("overlap", [False, True])
def test_the_limit_says_nothing_of_a_tile(
    index: MemoryIndex,
    plainly: dict[str, Hit],
    related: dict[str, Hit],
    limit: int,
    overlap: bool,
) -> None:
    check(ask(index, limit=limit, overlap=overlap), plainly, least=5)
    with_near = ask(index, limit=limit, overlap=overlap, near=NEAR, exclude=EXCLUDE)
    check(with_near, related, least=5)


@pytest.mark.parametrize(
    "asked",
    [
        {"start": date(2024, 5, 2)},
        {"start": date(2024, 5, 3), "end": date(2024, 5, 3)},
        {"spans": (1120,)},
        {"spans": (2240, 4480)},
        {"regions": ("south",)},
        {"scenes": ("scene-2",)},
        {"max_cloud": 0.2},
        {"cover": {"water": (0, 0.5)}},
        {"skip": 3},
        {"skip": 40, "limit": 7},
        {"strict": True},
        {"min_confidence": 0.5},
        {"exclude": ("snow",)},
    ],
    ids=str,
)
def test_filters_and_pages_say_nothing_of_a_tile(
    index: MemoryIndex, plainly: dict[str, Hit], related: dict[str, Hit], asked: dict[str, Any]
) -> None:
    if "exclude" not in asked:
        check(ask(index, **asked), plainly)
        check(ask(index, near=NEAR, exclude=EXCLUDE, **asked), related)
    else:
        for hit in ask(index, **asked).hits:
            (text,) = hit.of("text")
            assert text.confidence == pytest.approx(plainly[hit.tile.id].confidence)


def test_ground_of_its_own_says_nothing_of_a_tile(
    index: MemoryIndex, plainly: dict[str, Hit], related: dict[str, Hit]
) -> None:
    ranked = sorted(plainly.values(), key=lambda hit: -hit.confidence)
    for hit in ranked[::150]:
        one = hit.tile
        for asked in (
            {"area": Area.around(one.lon, one.lat, 2)},
            {"filters": Filters(cells=(one.cell,))},
            {"filters": Filters(tile_ids=(one.id,))},
        ):
            check(ask(index, overlap=True, **asked), plainly)
            check(ask(index, overlap=True, near=NEAR, exclude=EXCLUDE, **asked), related)


def test_other_conditions_and_their_order_say_nothing_of_a_condition(
    index: MemoryIndex, plainly: dict[str, Hit], related: dict[str, Hit]
) -> None:
    some = everything(index, near=NEAR[:1])
    turned = everything(index, near=NEAR[::-1], exclude=EXCLUDE[::-1])
    for name, hit in related.items():
        assert hit.of("text")[0].confidence == pytest.approx(plainly[name].confidence)
        assert hit.of("near")[0].confidence == pytest.approx(some[name].of("near")[0].confidence)
        assert set(turned[name].conditions) == set(hit.conditions)
        assert turned[name].confidence == hit.confidence


def test_the_verdict_of_a_text_is_the_same_beside_any_conditions(index: MemoryIndex) -> None:
    alone = {text: ask(index, text).verdicts[text] for text in ("water", "red", "purple")}
    for limit in (5, 100):
        beside = ask(index, "water", near=(*NEAR, Near(text="black", within_km=0.1)), limit=limit)
        assert alone.items() <= beside.verdicts.items()


# Dates


def dated(index: MemoryIndex, rows: range, dates: int) -> MemoryIndex:
    """An index with more dates of some of the ground, which look as the first one does."""
    more = [
        (dataclasses.replace(t, datetime=t.datetime + timedelta(days=30 * d)), index.all[i])
        for i, t in enumerate(index.tiles)
        if i in rows
        for d in range(1, dates)
    ]
    tiles, vectors = zip(*more, strict=True)
    return MemoryIndex([*index.tiles, *tiles], [*index.all, *vectors])


def drift(before: dict[str, Hit], after: dict[str, Hit]) -> NDArray[np.float64]:
    return np.array([abs(hit.confidence - after[name].confidence) for name, hit in before.items()])


def small() -> MemoryIndex:
    """As many tiles as may all be look-alikes of each other, which do not overlap."""
    tiles = [tile(300 + 2 * i, 3500) for i in range(30)]
    return MemoryIndex(tiles, [blend(i) for i in range(30)])


@pytest.mark.parametrize("rows", [range(10), range(20, 30), range(30)])
def test_more_dates_of_any_ground_say_nothing_of_a_tile_but_by_the_statistics(
    monkeypatch: pytest.MonkeyPatch, rows: range
) -> None:
    index = small()
    more = dated(index, rows, 4)
    before = everything(index)
    monkeypatch.setattr(more, "statistics", index.statistics)
    after = everything(more)
    assert drift(before, after).max() < 1e-5
    for hit in after.values():
        first = next(t for t in index.tiles if t.cell == hit.tile.cell)
        assert hit.confidence == pytest.approx(before[first.id].confidence, rel=1e-4)


def test_four_and_eight_dates_of_everything_change_little() -> None:
    # More tiles than may be look-alikes: dates take places among these, and no more than that.
    tiles = [tile(300 + 2 * (i % 25), 3500 - 2 * (i // 25)) for i in range(250)]
    index = MemoryIndex(tiles, [blend(i) for i in range(250)])
    for text in ("water", "snow"):
        before = everything(index, text)
        for dates in (4, 8):
            change = drift(before, everything(dated(index, range(250), dates), text))
            sure = np.array([hit.confidence > 0.3 for hit in before.values()])
            assert change.mean() < 0.05
            assert change[sure].mean() < 0.1


def test_a_thing_that_is_not_there_does_not_come_by_dates() -> None:
    tiles = [tile(300 + 2 * i, 3500) for i in range(40)]
    index = MemoryIndex(tiles, plain(40, 0.1))
    once = ask(index, "purple").hits[0].confidence
    often = ask(dated(index, range(40), 8), "purple").hits[0].confidence
    assert once < 0.3
    assert often == pytest.approx(once, abs=0.05)


# Pages


def forty_five() -> MemoryIndex:
    """Plain ground, and 45 places of red, each seen by overlapping tiles on several dates."""
    tiles, vectors = [], []
    for place in range(45):
        column, row = 300 + 6 * (place % 9), 3500 - 6 * (place // 9)
        for i, (right, day) in enumerate(((0, 1), (0, 2), (1, 1), (1, 3))):
            tiles.append(tile(column + right, row, day=day))
            red = mixed("red", "red", "red", ("red", "green")[i % 2])
            vectors.append(red + np.random.default_rng(4 * place + i).normal(0, 0.03, 16))
    meadow = [tile(354 + 2 * (i % 10), 3500 - 2 * (i // 10)) for i in range(60)]
    looks = np.stack([*vectors, *plain(60)])
    looks /= np.linalg.norm(looks, axis=1, keepdims=True)
    return MemoryIndex([*tiles, *meadow], list(looks.astype(np.float32)))


def pages(index: MemoryIndex, limit: int, **asked: Any) -> list[Result]:
    found: list[Result] = []
    while not found or found[-1].hits:
        assert limit * len(found) <= 2 * len(index.tiles), "the pages never end"
        found.append(ask(index, "red", limit=limit, skip=limit * len(found), **asked))
    return found


@pytest.mark.parametrize("limit", [10, 20, 50])
@pytest.mark.parametrize("near", [(), (Near(text="green", within_km=100),)])
def test_pages_repeat_nothing_and_skip_nothing(limit: int, near: tuple[Near, ...]) -> None:
    index = forty_five()
    results = pages(index, limit, near=near)
    hits = [hit for result in results for hit in result.hits]
    assert [hit.rank for hit in hits] == list(range(1, len(hits) + 1))
    assert len({hit.tile.id for hit in hits}) == len(hits)
    for k, hit in enumerate(hits):
        assert all(shared_ground(hit.tile, other.tile) < 0.5 - 1e-6 for other in hits[:k])
    places = [t for t in index.tiles if t.column < 354][::4]
    shown = hits[:45]
    assert all(any(shared_ground(p, hit.tile) >= 0.5 - 1e-6 for hit in shown) for p in places)
    assert min(hit.confidence for hit in shown) > 0.5 > hits[45].confidence
    # And whatever page it is, the verdict is that of all.
    assert {(result.verdict, result.conditions) for result in results} == {
        (results[0].verdict, results[0].conditions)
    }
    assert results[-1].hits == ()
    assert results[-1].reason == "there are no more hits"


def test_pages_of_tiles_that_may_overlap_hold_every_tile_once() -> None:
    index = forty_five()
    hits = [hit for result in pages(index, 50, overlap=True) for hit in result.hits]
    assert sorted(hit.tile.id for hit in hits) == sorted(t.id for t in index.tiles)


@pytest.mark.parametrize("limit", [10, 20, 50])
def test_a_page_is_a_window_of_the_list_wherever_it_begins(limit: int) -> None:
    index = forty_five()
    names = [hit.tile.id for result in pages(index, limit) for hit in result.hits]
    for skip in (1, 7, 44, 45, 50):
        window = ask(index, "red", limit=limit, skip=skip).hits
        assert [hit.tile.id for hit in window] == names[skip : skip + limit]


def test_what_is_cut_from_a_page_is_counted_and_only_the_first_of_all_is_never_cut() -> None:
    index = forty_five()
    whole, cut = pages(index, 20), pages(index, 20, min_confidence=None)
    assert all(hit.confidence >= 0.15 for result in cut for hit in result.hits)
    for page, rest in zip(whole, cut, strict=False):
        assert len(rest.hits) + rest.below == len(page.hits)
        assert [hit.rank for hit in rest.hits] == [
            hit.rank for hit in page.hits if hit.confidence >= 0.15
        ]
    assert sum(len(result.hits) for result in cut) == 45
    nothing = ask(index, "purple", min_confidence=None, limit=20)
    assert len(nothing.hits) == 1
    assert nothing.hits[0].confidence < 0.15
    assert nothing.below == 19
    further = ask(index, "purple", min_confidence=None, limit=20, skip=20)
    assert (further.hits, further.below) == ((), 20)


def test_a_cut_of_ones_own_goes_by_it_and_none_cuts_nothing() -> None:
    index = forty_five()
    everyone = ask(index, "red", limit=90)
    assert (len(everyone.hits), everyone.below) == (90, 0)
    for cut in (0.01, 0.6, 1):
        some = ask(index, "red", limit=90, min_confidence=cut)
        left = [hit for hit in everyone.hits if hit.confidence >= cut] or [everyone.hits[0]]
        assert [hit.tile.id for hit in some.hits] == [hit.tile.id for hit in left]
        assert some.below == 90 - len(left)


def test_in_a_list_of_one_lot_the_best_come_first(index: MemoryIndex) -> None:
    sure = [hit.confidence for hit in ask(index, limit=50).hits]
    assert sure == sorted(sure, reverse=True)


def test_seen_plainly_it_is_surer_than_mixed_with_something_else() -> None:
    tiles = [tile(300 + 2 * i, 3500) for i in range(30)]
    looks = [seen("red"), mixed("red", "red", "green"), mixed("red", "green"), *plain(27)]
    hits = everything(MemoryIndex(tiles, looks), "red")
    first, second, third = (hits[t.id].confidence for t in tiles[:3])
    assert first > second > third > 0.1
