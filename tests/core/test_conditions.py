"""Conditions: answers against those worked out tile by tile, on hypothesis' own little worlds."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keenkite.ground import shared_ground
from keenkite.index import Filters
from keenkite.retrieval import near as near_module
from keenkite.retrieval.calibration import Calibration
from keenkite.retrieval.look_alikes import Ground
from keenkite.retrieval.query import Near, Query
from keenkite.retrieval.result import Met, Result
from keenkite.retrieval.scoring import Scorer
from keenkite.retrieval.search import search
from tests.support.memory_index import MemoryIndex, passes
from tests.support.sown import CALIBRATION, COLOURS, ENCODER, mixed, seen, tile
from tests.support.things import LINE, Thing, km_between, things

HUES = ("red", "water", "green", "desert", "purple")


@st.composite
def worlds(draw: st.DrawFn) -> MemoryIndex:
    """Up to thirty tiles of several spans and dates, of one colour or of two."""
    corner, date = st.integers(0, 6), st.integers(1, 3)
    places = draw(
        st.lists(
            st.tuples(corner, corner, st.sampled_from((1120, 2240, 4480)), date),
            min_size=4, max_size=30, unique=True,
        )
    )  # fmt: skip
    tiles, vectors = [], []
    for n, (column, row, span, day) in enumerate(places):
        per_tile = 2240 / span  # 300 and 3500 of the usual lattice are the corner of all three
        at = round(300 * per_tile) + column, round(3500 * per_tile) + row
        cloud = draw(st.sampled_from((0.0, 0.0, 0.2, None, 0.21, 0.6, 0.9, 1.0)))
        tiles.append(tile(*at, span=span, day=day, cloud=cloud))
        colours = draw(st.lists(st.sampled_from(HUES), min_size=1, max_size=2))
        shaken = mixed(*colours) + 0.05 * seen(draw(st.sampled_from(COLOURS)), 0.3, n)
        vectors.append((shaken / np.linalg.norm(shaken)).astype(np.float32))
    return MemoryIndex(tiles, vectors)


nears = st.builds(
    Near, text=st.sampled_from(HUES), within_km=st.sampled_from((0.7, 1.3, 2.5, 4.0, 9.0, 40.0))
)


@st.composite
def queries(draw: st.DrawFn) -> Query:
    text = draw(st.sampled_from(HUES))
    excludable = st.sampled_from([hue for hue in HUES if hue != text])
    return Query(
        text=text,
        near=draw(st.lists(nears, max_size=3)),
        exclude=draw(st.lists(st.one_of(excludable, nears), max_size=3)),
        strict=draw(st.booleans()),
        overlap=draw(st.booleans()),
        limit=draw(st.integers(1, 12)),
        skip=draw(st.sampled_from((0, 0, 1, 5))),
        min_confidence=draw(st.sampled_from((None, 0, 0, 0.6))),
        filters=Filters(
            spans=draw(st.sampled_from(((), (2240,), (1120, 4480)))),
            scenes=draw(st.sampled_from(((), ("scene-1", "scene-2")))),
        ),
    )


def ask(index: MemoryIndex, query: Query, **more: Any) -> Result:
    return search(index, ENCODER, query, background=COLOURS, **more)  # type: ignore[arg-type]


def chance(odds: float) -> float:
    return 1 / (1 + math.exp(-odds))


def shown(index: MemoryIndex, text: str | None) -> list[float]:
    """(n,) log-odds that each tile shows something, judged one by one."""
    scorer = Scorer(
        ENCODER, index.statistics(), COLOURS, calibration=Calibration.from_json(CALIBRATION)
    )
    wanted, ground = scorer.wanted(text), Ground.of(index.tiles)
    judge = scorer.judge(wanted, index.all, ground)  # of so few tiles, all may be look-alikes
    usual = 2240 if 2240 in index.spans else min(index.spans)
    found = []
    for i, each in enumerate(index.tiles):
        one = np.array([i])
        octaves = abs(math.log2(each.span / usual))
        p = chance(float(judge.log_odds(index.all[one], ground.part(one), octaves)[0]))
        # Up to half a tile of cloud takes nothing away, and all of it everything.
        p *= max(min((1 - (each.cloud or 0)) / 0.5, 1), math.exp(-40))
        found.append(math.log(p) - math.log1p(-p))
    return found


def shown_things(index: MemoryIndex, text: str | None) -> dict[str, Thing]:
    """Cell -> the thing that is called so, as all tiles of the index show it."""
    return things(index.tiles, shown(index, text))


def in_reach(here: dict[str, Thing], there: dict[str, Thing], cell: str, km: float) -> list[Thing]:
    """What is within a distance of a thing, and what its own ground shows."""
    near = [t for c, t in there.items() if c == cell or km_between(here[cell], t) <= km]
    return sorted(near, key=lambda t: -t.odds)


def expected(index: MemoryIndex, query: Query) -> list[tuple[str, float]]:
    """(id, confidence) of each hit, one tile and one condition at a time, before any is cut."""
    among = [i for i, each in enumerate(index.tiles) if passes(each, query.filters)]
    asked = {each.text for each in query.conditions}
    odds = {each: shown(index, each) for each in asked}
    there = {each: things(index.tiles, odds[each]) for each in asked}
    text, here = odds[query.text], there[query.text]

    def surest(near: Near, i: int) -> float:
        reach = in_reach(here, there[near.text], index.tiles[i].cell, near.within_km)
        return max(reach[0].odds, -8.0)

    found = []
    for i in among:
        relations = [surest(near, i) for near in set(query.near)]
        for concept in set(query.exclude):
            if isinstance(concept, Near):
                relations.append(-surest(concept, i))
            else:
                relations.append(-odds[concept][i])
        if query.strict and min(relations, default=0) < 0:
            continue
        found.append((math.prod(map(chance, [text[i], *relations])), i))
    clear = {index.tiles[i].cell for i in among if (index.tiles[i].cloud or 0) <= 0.2}
    kept: list[tuple[float, int]] = []
    for p, i in sorted(found, key=lambda each: -each[0]):
        same = (shared_ground(index.tiles[i], index.tiles[k]) >= 0.5 - 1e-6 for _, k in kept)
        cloudy = (index.tiles[i].cloud or 0) > 0.2 and index.tiles[i].cell in clear
        if query.overlap or not (cloudy or any(same)):
            kept.append((p, i))
    page = kept[query.skip : query.skip + query.limit]
    return [(index.tiles[i].id, p) for p, i in page]


@settings(max_examples=120, deadline=None)
@given(worlds(), queries())
def test_an_answer_is_what_its_conditions_say_tile_by_tile(
    index: MemoryIndex, query: Query
) -> None:
    page = expected(index, query)
    cut = query.min_confidence
    if cut is None:
        cut = 0 if query.overlap else 0.15
    wanted = [
        (query.skip + i + 1, name, p)
        for i, (name, p) in enumerate(page)
        if p >= cut or query.skip + i == 0
    ]
    result = ask(index, query)
    assert [(hit.rank, hit.tile.id) for hit in result.hits] == [each[:2] for each in wanted]
    np.testing.assert_allclose(
        [hit.confidence for hit in result.hits], [p for *_, p in wanted], rtol=1e-3, atol=1e-9
    )
    assert result.below == len(page) - len(wanted)


@settings(max_examples=60, deadline=None)
@given(worlds(), queries(), st.randoms(use_true_random=False), st.booleans())
def test_the_order_of_conditions_changes_no_number(
    index: MemoryIndex, query: Query, random: Any, large: bool
) -> None:
    near, exclude = list(query.near), list(query.exclude)
    random.shuffle(near)
    random.shuffle(exclude)
    other = Query(
        text=query.text, near=near * 2, exclude=exclude * 2, strict=query.strict,
        overlap=query.overlap, limit=query.limit, filters=query.filters, skip=query.skip,
        min_confidence=query.min_confidence,
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        if large:
            patch.setattr(near_module, "EXACT", 0)
        one, two = ask(index, query, explain=True), ask(index, other, explain=True)
    assert [(hit.tile.id, hit.score) for hit in one.hits] == [
        (hit.tile.id, hit.score) for hit in two.hits
    ]
    assert one.verdict == two.verdict
    for a, b in zip(one.hits, two.hits, strict=True):
        assert a.parts == b.parts
        assert set(a.conditions) == set(b.conditions)
        assert len(b.conditions) == len(a.conditions)


@settings(max_examples=60, deadline=None)
@given(worlds(), queries())
def test_a_hit_says_how_each_condition_is_met_and_its_score_is_their_product(
    index: MemoryIndex, query: Query
) -> None:
    result = ask(index, query, explain=True)
    for hit in result.hits:
        assert len(hit.conditions) == len(result.conditions) == len(query.conditions)
        for told, asked in zip(result.conditions, query.conditions, strict=True):
            assert told.to_json() == asked.to_json() | {"verdict": told.verdict}
        odds = []
        for met, asked in zip(hit.conditions, query.conditions, strict=True):
            assert (met.kind, met.text, met.within_km) == (
                asked.kind, asked.text, asked.within_km,
            )  # fmt: skip
            p = 1 - met.confidence if met.unwanted else met.confidence
            assert hit.parts is not None
            assert hit.parts[asked.name] == pytest.approx(p, abs=1e-9)
            odds.append(math.log(max(p, 1e-300)))
            if met.within_km is None:
                assert (met.tile, met.km, met.named) == (None, None, None)
            else:
                check_neighbour(index, query, hit.tile.cell, met)
        assert math.log(hit.confidence) == pytest.approx(sum(odds), rel=1e-3, abs=1e-6)
        assert hit.score == pytest.approx(
            math.log(hit.confidence) - math.log1p(-hit.confidence), rel=1e-3, abs=1e-6
        )
        assert [met.confidence for met in hit.of("near")] == [
            met.confidence for met in hit.conditions if met.kind == "near"
        ]


def check_neighbour(index: MemoryIndex, query: Query, cell: str, met: Met) -> None:
    """The nearest convincing one is named, or else the surest; of what is within the distance."""
    here, there = shown_things(index, query.text), shown_things(index, met.text)
    reach = in_reach(here, there, cell, met.within_km or 0)
    looked_at = list(there.values()) if met.unwanted else reach  # all of it lies within 100 km
    convincing = [t for t in looked_at if t.odds >= LINE]
    mine = here[cell]
    assert met.tile is not None
    named = there[met.tile.cell]
    assert met.km == pytest.approx(km_between(mine, named), abs=1e-5)
    assert met.km_error == pytest.approx(math.hypot(mine.error_km, named.error_km))
    assert (met.lon, met.lat) == pytest.approx((named.lon, named.lat), abs=1e-7)
    assert met.tile_confidence == pytest.approx(chance(named.odds), rel=1e-3)
    if convincing:
        assert met.named == "nearest"
        first = min(convincing, key=lambda t: km_between(mine, t))
        same = [t for t in convincing if km_between(first, t) <= first.error_km + 1e-6]
        assert named in same  # the surest of them; scores are not worked out to the last digit
        assert named.odds > max(t.odds for t in same) - 1e-3
    else:
        assert met.named == "surest"
        assert named.odds == pytest.approx(reach[0].odds, abs=1e-3)


def test_two_conditions_of_one_text_are_two_whatever_their_order() -> None:
    # Water 6.7 km away is within 8 km and not within 3.
    tiles = [tile(300, 3500), tile(306, 3500), tile(360, 3500), tile(361, 3500)]
    index = MemoryIndex(
        tiles + [tile(400 + 2 * i, 3500) for i in range(9)],
        [seen("red"), seen("water"), seen("red", 0.02), seen("water", 0.02)]
        + [seen("green", 0.05, i) for i in range(9)],
    )
    narrow, wide = Near(text="water", within_km=3), Near(text="water", within_km=8)
    for near in ((narrow, wide), (wide, narrow)):
        hits = {
            hit.tile.id: hit
            for hit in ask(index, Query(text="red", near=near, min_confidence=0)).hits
        }
        far, close = hits[tiles[0].id], hits[tiles[2].id]
        assert far.confidence < 0.01 < 0.7 < close.confidence
        found = {met.within_km: met.tile for met in far.of("near")}
        assert found[8] == tiles[1]
        assert found[3] != tiles[1]
        strict = ask(index, Query(text="red", near=near, strict=True))
        assert [hit.tile.id for hit in strict.hits if hit.confidence > 0.1] == [tiles[2].id]
        assert tiles[0].id not in {hit.tile.id for hit in strict.hits}
    only = ask(index, Query(text="red", near=(wide,)))
    assert {hit.tile.id for hit in only.hits[:2]} == {tiles[0].id, tiles[2].id}
    apart = Query(text="red", exclude=(narrow,), near=(wide,))
    assert ask(index, apart).hits[0].tile.id == tiles[0].id
