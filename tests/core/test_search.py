"""search: which tiles, in which order, what is left out, and what is said when there are none."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from numpy.typing import NDArray

from keenkite import utm
from keenkite.area import Area
from keenkite.errors import EncoderMismatchError, InputError
from keenkite.index import Filters
from keenkite.retrieval.query import Near, Query
from keenkite.retrieval.result import Hit, Met, Result, verdict_of
from keenkite.retrieval.search import search
from keenkite.tiling import Tile
from tests.support.memory_index import MemoryIndex
from tests.support.sown import (
    CALIBRATION,
    COLOURS,
    ENCODER,
    close_all,
    inside,
    meadow,
    mixed,
    plain,
    seen,
    sow,
    tile,
)


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    close_all()


def ground(side: int = 20) -> tuple[list[Tile], list[NDArray[np.float32]]]:
    """Tiles of plain colours, all a little different."""
    tiles = meadow(side)
    return tiles, plain(len(tiles))


def ask(index: Any, text: str | None = None, *, explain: bool = False, **asked: Any) -> Result:
    query = Query(text=text, **{"min_confidence": 0, **asked})
    return search(index, ENCODER, query, background=COLOURS, explain=explain)


def ask_mildly(index: Any, text: str, **asked: Any) -> Result:
    """The same where one tile can show both red and water."""
    background = [colour for colour in COLOURS if colour not in ("red", "water")]
    query = Query(text=text, min_confidence=0, **asked)
    return search(index, ENCODER, query, background=background)


def find(index: Any, text: str | None = None, **asked: Any) -> list[str]:
    return [hit.tile.id for hit in ask(index, text, **asked).hits]


def hit_of(result: Result, of: Tile) -> Hit:
    (hit,) = (hit for hit in result.hits if hit.tile == of)
    return hit


def lake() -> tuple[list[Tile], list[NDArray[np.float32]], list[Tile]]:
    """Plain ground with three tiles of water in it."""
    tiles, vectors = ground()
    for n, i in enumerate((50, 51, 270)):
        vectors[i] = seen("water", 0.02, 1000 + n)
    return tiles, vectors, [tiles[i] for i in (50, 51, 270)]


@pytest.fixture
def water() -> MemoryIndex:
    tiles, vectors, _ = lake()
    return MemoryIndex(tiles, vectors)


def test_what_is_asked_for_comes_first_and_the_verdict_is_strong(tmp_path: Path) -> None:
    tiles, vectors, lakes = lake()
    result = ask(sow(tmp_path, tiles, vectors), "water", limit=5)
    assert {hit.tile.id for hit in result.hits[:3]} == {t.id for t in lakes}
    assert [hit.rank for hit in result.hits] == [1, 2, 3, 4, 5]
    assert result.verdict == "strong"
    assert result.hits[2].confidence > 0.7 > 0.3 > result.hits[3].confidence
    # The index that most of these tests ask, since it is quick, answers alike.
    quick = ask(MemoryIndex(tiles, vectors), "water", limit=5)
    assert [hit.tile for hit in quick.hits] == [hit.tile for hit in result.hits]
    np.testing.assert_allclose(
        [hit.score for hit in quick.hits], [hit.score for hit in result.hits], rtol=1e-4
    )


def test_what_is_not_there_gets_the_verdict_none(water: MemoryIndex) -> None:
    result = ask(water, "purple")
    assert result.verdict == "none"
    assert len(result.hits) == 10  # the least unlikely are still shown


def test_what_covers_most_of_the_ground_is_there_too() -> None:
    # Its z is low everywhere: a common thing does not stand out of the index.
    tiles = meadow()
    index = MemoryIndex(tiles, [seen("forest", 0.02, i) for i in range(len(tiles))])
    assert ask(index, "forest").verdict != "none"


def test_score_is_the_log_odds_of_confidence_and_falls(water: MemoryIndex) -> None:
    result = ask(water, "water", limit=200)
    scores = np.array([hit.score for hit in result.hits])
    assert (np.diff(scores) <= 0).all()
    np.testing.assert_allclose(
        [hit.confidence for hit in result.hits], 1 / (1 + np.exp(-scores)), rtol=1e-6
    )


def test_every_filter_reaches_the_index(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    tiles = [
        tile(300 + 2 * (i % 15), 3500 + 2 * (i // 15), day=1 + i % 3, regions=("ab"[i % 2],),
             cloud=float(rng.random()), water=float(rng.random() / 2))
        for i in range(225)
    ]  # fmt: skip
    index = sow(tmp_path, tiles, plain(225, 0.05))
    area = Area.from_bbox(tiles[18].lon, tiles[18].lat, tiles[27].lon, tiles[150].lat)
    found = find(
        index, "green", area=area, start=date(2024, 5, 1), end=date(2024, 5, 2), max_cloud=60,
        cover={"water": (0.05, 0.4)}, regions=("a",), scenes=("scene-1", "scene-2"), limit=225,
    )  # fmt: skip
    (shape,) = area.parts
    expected = {
        t.id for t in tiles
        if shape.contains(shapely.Point(t.lon, t.lat)) and t.datetime.day <= 2 and t.cloud <= 0.6
        and 0.05 <= t.water <= 0.4 and t.regions == ("a",)
    }  # fmt: skip
    assert len(expected) > 3
    assert set(found) == expected


def test_spans_are_all_looked_at_unless_some_are_named(tmp_path: Path) -> None:
    tiles = [tile(300 + 2 * i, 3500, span=span) for i in range(5) for span in (1120, 2240, 4480)]
    index = sow(tmp_path, tiles, [seen("water", 0.02, i) for i in range(15)])
    every = {span: {t.id for t in tiles if t.span == span} for span in (1120, 2240, 4480)}
    assert set(find(index, "water", limit=15, overlap=True)) == set().union(*every.values())
    asked = find(index, "water", limit=15, overlap=True, spans=(1120, 4480))
    assert set(asked) == every[1120] | every[4480]
    assert set(find(index, "water", limit=15, overlap=True, spans=[2240])) == every[2240]


def test_tiles_of_which_not_all_is_known_can_be_found(tmp_path: Path) -> None:
    unknown = dict.fromkeys(("cloud", "water", "vegetation", "bare", "snow"))
    tiles = [tile(300 + 2 * i, 3500, **unknown) for i in range(8)]
    index = sow(tmp_path, tiles, [seen("water", 0.02, i) for i in range(8)])
    result = ask(index, "water", unlike=((tiles[0].lon, tiles[0].lat),))
    assert len(result.hits) == 7
    assert result.to_json()["hits"][0]["cloud"] is None
    assert ask(index, "water", max_cloud=0.5).hits == ()


# Each piece of ground once


def test_of_overlapping_hits_the_best_is_kept_unless_asked_otherwise() -> None:
    # A thing seen by 5 × 5 overlapping tiles on 2 dates, and a second one far away.
    tiles = [tile(300 + i, 3500 + j, day=day) for day in (1, 2) for i in range(5) for j in range(5)]
    tiles.append(tile(400, 3600))
    index = MemoryIndex(tiles, [seen("water", 0.1, i) for i in range(len(tiles))])
    apart = [t for name in find(index, "water", limit=60) for t in tiles if t.id == name]
    for k, a in enumerate(apart):
        for b in apart[:k]:
            overlap = max(0, 2 - abs(a.column - b.column)) * max(0, 2 - abs(a.row - b.row))
            assert overlap < 2
    # Every tile left out shares half its ground or more with one that is kept.
    for t in tiles:
        assert any(
            max(0, 2 - abs(t.column - b.column)) * max(0, 2 - abs(t.row - b.row)) >= 2
            for b in apart
        )
    together = find(index, "water", limit=60, overlap=True)
    assert len(together) == len(tiles)
    assert apart[0].id == together[0]


def test_of_several_dates_and_spans_of_a_place_the_best_is_shown() -> None:
    # The thing fills a tile of 1,120 m, half of the ground of another date, little of a wide one.
    usual = [tile(300, 3500, day=day) for day in (1, 2, 3)]
    small = inside(usual[1], span=1120, east=560, south=560)
    wide = inside(usual[0], span=4480, east=-1120, south=-1120)
    looks = [
        mixed("red", "red", "red", "green", "green"), mixed("red", "red", "green"),
        mixed("red", "green"), seen("red"), mixed("red", "green"),
    ]  # fmt: skip
    others = meadow(5, column=400)
    index = MemoryIndex([*usual, small, wide, *others], [*looks, *plain(25)])
    assert find(index, "red", limit=2)[0] == small.id
    assert not {t.id for t in (*usual, wide)} & set(find(index, "red", limit=20))
    assert find(index, "red", limit=2, spans=(2240, 4480))[0] == usual[1].id
    assert find(index, "red", limit=2, end=date(2024, 5, 1))[0] == usual[0].id


def test_a_wide_tile_takes_no_place_from_two_better_ones_inside_it() -> None:
    wide = tile(150, 1750, span=4480)
    left, right = (inside(wide, span=1120, east=east, south=1120) for east in (0, 3360))
    others = meadow(5, column=400)
    index = MemoryIndex(
        [wide, left, right, *others],
        [mixed("red", "green"), seen("red", 0.01, 1), seen("red", 0.01, 2), *plain(25)],
    )  # fmt: skip
    assert set(find(index, "red", limit=2)) == {left.id, right.id}
    assert wide.id not in find(index, "red", limit=28)


def test_a_tile_of_another_span_must_be_surer_where_the_model_is_worse_at_it() -> None:
    tiles = [tile(300 + 8 * i, 3500) for i in range(12)]
    tiles += [
        inside(tiles[i], span=span, east=7000) for i, span in ((0, 1120), (1, 4480), (2, 560))
    ]
    vectors = [*plain(12), *[seen("red")] * 3]
    vectors[5] = seen("red")
    result = ask(MemoryIndex(tiles, vectors), "red", limit=4, explain=True)
    assert [hit.tile.span for hit in result.hits] == [2240, 1120, 4480, 560]
    scores = np.array([hit.score for hit in result.hits])
    np.testing.assert_allclose(scores[0] - scores, [0, 0.5, 0.5, 1.0], atol=1e-5)
    for hit in result.hits:
        assert hit.parts is not None
        assert hit.parts["look-alikes"] == pytest.approx(0, abs=1e-5)  # these are its equals
    # Of what is near, too; and an index of one span has no other.
    near = (Near(text="red", within_km=8),)
    beside = ask(MemoryIndex(tiles, vectors), "green", near=near, limit=30)
    mets = [met for hit in beside.hits for met in hit.of("near") if met.confidence > 0.1]
    odds = {met.tile.span: np.log(met.confidence / (1 - met.confidence)) for met in mets}
    assert odds[2240] - odds[1120] == pytest.approx(0.5, abs=1e-4)
    small = [dataclasses.replace(each, span=1120) for each in tiles[:12]]
    alone = ask(MemoryIndex(small, vectors[:12]), "red", limit=1)
    usual = ask(MemoryIndex(tiles[:12], vectors[:12]), "red", limit=1)
    assert alone.hits[0].score == pytest.approx(usual.hits[0].score)
    calm = MemoryIndex(tiles, vectors, calibration=CALIBRATION | {"doubt": 0.0})
    scores = np.array([hit.score for hit in ask(calm, "red", limit=4).hits])
    np.testing.assert_allclose(scores, scores[0], atol=1e-5)


def test_overlap_is_seen_across_utm_zones() -> None:
    # The same place in both zones, at the meridian between them.
    west = tile(673, 3500, epsg=32653)
    x, y = utm.project(32654, [west.lon], [west.lat])
    column, row = round(float(x[0]) / 1120 - 1), round(float(y[0]) / 1120 + 1)
    east = tile(column, row, epsg=32654)
    far = tile(column + 3, row, epsg=32654)
    index = MemoryIndex([west, east, far], [seen("water", 0.02, i) for i in range(3)])
    found = find(index, "water")
    assert len(found) == 2
    assert far.id in found


# Recall


def many_dates(number: int) -> list[Tile]:
    here = tile(300, 3500)
    return [
        dataclasses.replace(here, datetime=here.datetime + timedelta(days=i)) for i in range(number)
    ]


def test_the_limit_is_filled_however_many_tiles_see_the_best_thing(tmp_path: Path) -> None:
    # 600 tiles of one place on 600 dates are better than the others.
    index = sow(
        tmp_path, [*many_dates(600), *meadow(4, column=400)],
        [seen("water", 0.01, i) for i in range(600)] + [seen("blue", 0.01, i) for i in range(16)],
    )  # fmt: skip
    assert len(find(index, "water", limit=10)) == 10


def test_more_is_looked_at_only_while_there_are_too_few_hits() -> None:
    vectors = [seen("water", 0.01, i) for i in range(300)]
    vectors += [seen("blue", 0.01, i) for i in range(16)]
    index = MemoryIndex([*many_dates(300), *meadow(4, column=400)], vectors)
    pool = 128  # look-alikes, and the first candidates where there is no filter
    for limit, found, asked in (
        (1, 1, [pool]),
        (2, 2, [pool, 256, 1024]),
        (17, 17, [pool, 256, 1024]),  # at least five for each hit
        (18, 17, [pool, 256, 1024]),  # there are no more
    ):
        index.limits.clear()
        assert len(find(index, "water", limit=limit)) == found
        assert index.limits == asked
    index.limits.clear()
    assert len(find(index, "water", limit=64, overlap=True)) == 64
    assert index.limits == [pool]
    index.limits.clear()
    assert len(find(index, "water", limit=1, max_cloud=0.5)) == 1
    assert index.limits == [pool, 64]  # and candidates that pass, which tell the text's verdict too
    index.limits.clear()
    assert len(find(index, "water", limit=17, max_cloud=0.5)) == 17
    assert index.limits == [pool, 256, 1024]


def test_more_than_the_most_is_never_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keenkite.retrieval.recall.MAX_CANDIDATES", 200)
    index = MemoryIndex(many_dates(300), [seen("water", 0.01, i) for i in range(300)])
    assert len(find(index, "water", limit=2)) == 1
    assert index.limits == [128, 200]


# Exclude


def red_water() -> tuple[list[Tile], list[NDArray[np.float32]], dict[str, Tile]]:
    """Plain ground with water alone, and water with red in it."""
    tiles, vectors = ground()
    vectors[10] = seen("water", 0.01)
    for n, i in enumerate((200, 210, 220)):
        both = mixed("water", "red") + seen("red", 0.01, n) / 20
        vectors[i] = both / np.linalg.norm(both)
    return tiles, vectors, {"clean": tiles[10], "red": tiles[200]}


def test_an_excluded_concept_pushes_a_tile_down() -> None:
    tiles, vectors, there = red_water()
    index = MemoryIndex(tiles, vectors)
    before = ask_mildly(index, "water", limit=400)
    assert {hit.tile.id for hit in before.hits[:4]} >= {each.id for each in there.values()}
    after = ask_mildly(index, "water", exclude=("red",), limit=400)
    assert after.hits[0].tile.id == there["clean"].id
    # By the chance that red is not there, and by nothing else.
    red = ask_mildly(index, "red", limit=400)
    text, other = ({hit.tile.id: hit.confidence for hit in result.hits} for result in (before, red))
    for hit in after.hits:
        (left_out,) = hit.of("exclude")
        assert left_out.confidence == pytest.approx(other[hit.tile.id], rel=1e-4)
        expected = text[hit.tile.id] * (1 - left_out.confidence)
        assert hit.confidence == pytest.approx(expected)
    assert len(after.hits) == 400
    assert hit_of(after, there["red"]).of("exclude")[0].confidence > 0.5
    assert hit_of(after, there["red"]).confidence < 0.6 * hit_of(before, there["red"]).confidence


def test_strict_leaves_out_what_shows_an_excluded_concept_and_nothing_else() -> None:
    tiles, vectors, there = red_water()
    index = MemoryIndex(tiles, vectors)
    loose = ask_mildly(index, "water", exclude=("red", "orange"), limit=400)
    strict = ask_mildly(index, "water", exclude=("red", "orange"), limit=400, strict=True)
    shows = {
        hit.tile.id for hit in loose.hits if max(met.confidence for met in hit.of("exclude")) > 0.5
    }
    assert there["red"].id in shows
    assert len(shows) > 10  # the orange ones, though no water
    assert [hit.tile.id for hit in strict.hits] == [
        hit.tile.id for hit in loose.hits if hit.tile.id not in shows
    ]
    weak = ask_mildly(index, "water", limit=400, strict=True)
    assert len(weak.hits) == 400  # the text alone may be as weak as it likes


# Examples


def test_like_finds_look_alikes_and_not_its_own_ground(tmp_path: Path) -> None:
    tiles, vectors = ground()
    places = (5, 33, 123, 250)
    for n, i in enumerate(places):
        vectors[i] = seen("purple", 0.02, n)
    example = tiles[5]
    same = [
        tile(example.column + 1, example.row),
        tile(example.column, example.row, day=7),
        inside(example, span=1120, east=560, south=560),
        inside(example, span=4480, east=-1120, south=-1120),
    ]
    index = sow(
        tmp_path, [*tiles, *same], [*vectors, *(seen("purple", 0.02, 99 + i) for i in range(4))]
    )
    expected = {tiles[i].id for i in places[1:]}
    assert set(find(index, like=(example.id,), limit=3)) == expected
    # A place inside the tile means the same.
    assert set(find(index, like=((example.lon - 0.003, example.lat),), limit=3)) == expected
    assert set(find(index, "purple", like=(example.id,), limit=3)) == expected
    overlapping = find(index, like=(example.id,), limit=500, overlap=True)
    assert len(overlapping) == 403  # all but the example itself
    assert example.id not in overlapping


def test_the_ground_of_what_a_query_is_unlike_is_no_hit() -> None:
    tiles, vectors = ground(6)
    index = MemoryIndex(
        [*tiles, tile(tiles[5].column, tiles[5].row, day=9)], [*vectors, vectors[5]]
    )
    found = find(index, "green", unlike=(tiles[5].id,), limit=50)
    assert set(found) == {t.id for t in tiles if t != tiles[5]}


def test_unlike_moves_away() -> None:
    tiles, vectors = ground()
    for n, i in enumerate((5, 33, 123)):
        blend = seen("blue", 0.02, n) + seen("white", 0.02, n)
        vectors[i] = blend / np.linalg.norm(blend)
    for n, i in enumerate((60, 61, 300)):
        blend = seen("blue", 0.02, n) + seen("black", 0.02, n)
        vectors[i] = blend / np.linalg.norm(blend)
    index = MemoryIndex(tiles, vectors)
    found = find(index, "blue", like=(tiles[5].id,), unlike=(tiles[60].id,), limit=2)
    assert set(found) == {tiles[33].id, tiles[123].id}
    found = find(index, "blue", unlike=(tiles[60].id,), limit=3)
    assert set(found) == {tiles[5].id, tiles[33].id, tiles[123].id}


def test_unlike_without_like_is_a_condition_of_its_own() -> None:
    tiles, vectors = ground(8)
    places = {"forest": (5, 33), "blue": (50, 61)}
    for colour, numbers in places.items():
        for n, i in enumerate(numbers):
            vectors[i] = seen(colour, 0.01, n)
    index = MemoryIndex(tiles, vectors)
    result = ask(index, "forest", unlike=(tiles[50].id,), limit=63, explain=True)
    assert len(result.hits) == 63
    (unlike,) = hit_of(result, tiles[61]).of("unlike")
    assert unlike.confidence > 0.9  # it is just like the example
    assert hit_of(result, tiles[5]).of("unlike")[0].confidence < 0.5
    for hit in result.hits:
        assert hit.parts is not None
        assert hit.parts["unlike"] == pytest.approx(1 - hit.of("unlike")[0].confidence)
        assert hit.confidence == pytest.approx(hit.parts["text"] * hit.parts["unlike"])
    strict = find(index, "forest", unlike=(tiles[50].id,), limit=60, strict=True)
    assert tiles[61].id not in strict
    assert tiles[5].id in strict


def test_a_place_means_the_clearest_date_of_the_nearest_tile_on_its_ground() -> None:
    here, beside = tile(300, 3500), tile(301, 3500)

    def dated(day: int, cloud: float | None) -> Tile:
        return tile(300, 3500, day=day, cloud=cloud)

    dates = [dated(1, 0.4), dated(2, None), dated(3, 0.1), dated(4, 0.2)]
    index = MemoryIndex([*dates, beside, tile(340, 3500)], plain(6))
    place = (here.lon + 0.1 * (beside.lon - here.lon), here.lat)
    left = set(find(index, like=(place,), overlap=True))
    assert left == {t.id for t in index.tiles} - {dates[2].id}
    unknown = MemoryIndex([dates[1], dates[0], beside], plain(3))
    assert dates[0].id not in find(unknown, like=(place,), overlap=True)
    alone = MemoryIndex([dates[1], tile(340, 3500)], plain(2))
    assert dates[1].id not in find(alone, like=(place,), overlap=True)


def test_a_place_means_a_tile_of_the_usual_span_unless_another_is_asked_for() -> None:
    usual = tile(300, 3500)
    small = inside(usual, span=1120, east=560, south=560)
    wide = inside(usual, span=4480, east=-1120, south=-1120)
    index = MemoryIndex([small, wide, usual, tile(340, 3500)], plain(4))
    place = (usual.lon, usual.lat)

    def meant(**asked: Any) -> Tile:
        rest = set(find(index, like=(place,), overlap=True, **asked))
        spans = asked.get("spans") or index.spans
        (missing,) = (t for t in index.tiles if t.id not in rest and t.span in spans)
        return missing

    assert meant() == usual
    assert meant(spans=(1120,)) == small
    assert meant(spans=(4480,)) == wide
    assert meant(spans=(1120, 4480)) in (small, wide)
    index = MemoryIndex([small, wide, tile(340, 3500)], plain(3))
    assert meant() in (small, wide)  # where the usual one was never cut


def test_a_place_beside_every_tile_is_refused() -> None:
    usual = tile(300, 3500)
    index = MemoryIndex([usual, inside(usual, span=1120, east=560, south=560)], plain(2))
    west = usual.corners[0][0]
    assert ask(index, like=((west + 0.0005, usual.lat),), overlap=True).hits
    with pytest.raises(InputError, match="No tile of the index memory shows the place"):
        find(index, like=((west - 0.02, usual.lat),))
    beyond = usual.lon - 0.85 * (usual.lon - west) * 2  # no corner of a tile is as far
    with pytest.raises(InputError, match="shows the place"):
        find(index, like=((beyond, usual.lat),))


def test_an_example_that_is_not_there_is_named(water: MemoryIndex) -> None:
    missing = "32654-2240-1-1-20240501T000000-S2A"
    with pytest.raises(InputError, match=f"{missing} is not in the index"):
        find(water, like=(missing,))
    with pytest.raises(InputError, match=r"shows the place \(0, 0\)"):
        find(water, like=((0, 0),))


# What is said of a hit


def test_the_parts_explain_the_confidence(water: MemoryIndex) -> None:
    asked = {
        "near": (Near(text="green", within_km=5), Near(text="green", within_km=2.5)),
        "exclude": ("red", Near(text="red", within_km=4)),
        "limit": 3,
    }
    for hit in ask(water, "water", explain=True, **asked).hits:
        assert hit.parts is not None
        factors = [
            hit.parts[name]
            for name in (
                "text", "near green within 5 km", "near green within 2.5 km", "without red",
                "without red within 4 km",
            )
        ]  # fmt: skip
        assert hit.confidence == pytest.approx(np.prod(factors))
        assert [m.confidence for m in hit.of("text")] == pytest.approx([hit.parts["text"]])
        assert [m.confidence for m in hit.of("near")] == pytest.approx(factors[1:3])
        assert [1 - m.confidence for m in hit.of("exclude")] == pytest.approx(factors[3:])
        assert set(hit.parts) == {
            "z", "cosine", "fit", "contrast", "evidence", "look-alikes", "stands out", "spread",
            "text", "near green within 5 km", "near green within 2.5 km", "without red",
            "without red within 4 km",
        }  # fmt: skip
        assert hit.parts["evidence"] == pytest.approx(
            0.75 * hit.parts["fit"] + 0.25 * hit.parts["contrast"]
        )
        odds = sum(
            CALIBRATION[kind] * hit.parts[kind.replace("_", " ").replace("look ", "look-")]
            for kind in ("cosine", "contrast", "look_alikes", "stands_out", "spread")
        )
        odds += CALIBRATION["constant"]
        assert hit.parts["text"] == pytest.approx(1 / (1 + np.exp(-odds)))
    assert ask(water, "water", **asked).hits[0].parts is None


def test_without_a_background_the_parts_rest_on_z(water: MemoryIndex) -> None:
    query = Query(text="water", limit=3)
    for hit in search(water, ENCODER, query, background=(), explain=True).hits:
        assert hit.parts is not None
        assert [hit.parts[name] for name in ("fit", "contrast", "evidence")] == [0, 0, 0]
        assert hit.parts["text"] == pytest.approx(hit.confidence)
    alone = MemoryIndex([tile(300, 3500), tile(302, 3500)], [seen("water"), seen("red")])
    (hit, _) = search(alone, ENCODER, Query(text="water", min_confidence=0), background=()).hits
    assert hit.confidence == pytest.approx(1 / (1 + np.exp(3 - 1)))  # two tiles: z is 1


def test_a_hit_is_one_shape_of_json() -> None:
    tiles = [tile(300 + 2 * i, 3500, day=1 + i) for i in range(4)]
    tiles.append(tile(340, 3500))
    looks = [seen("red"), seen("water"), *plain(3)]
    index = MemoryIndex(tiles, looks)
    result = ask(
        index, "red", near=(Near(text="water", within_km=3),),
        exclude=("snow", Near(text="water", within_km=1), Near(text="blue", within_km=3)), limit=2,
        explain=True,
    )  # fmt: skip
    hit, answer = result.hits[0], result.to_json()
    near, exclude = hit.of("near")[0], hit.of("exclude")
    assert answer["text"] == "red"
    assert answer["verdict"] == result.verdict
    assert answer["reason"] is None
    assert answer["conditions"] == [
        {"kind": "text", "text": "red", "within_km": None, "verdict": "strong"},
        {"kind": "near", "text": "water", "within_km": 3, "verdict": "strong"},
        {"kind": "exclude", "text": "snow", "within_km": None, "verdict": "strong"},
        {"kind": "exclude", "text": "water", "within_km": 1, "verdict": "strong"},
        {"kind": "exclude", "text": "blue", "within_km": 3, "verdict": "strong"},
    ]
    assert answer["verdicts"] == {
        "red": "strong", "water": "strong", "snow": "none", "blue": "none",
    }  # fmt: skip
    assert (answer["notes"], answer["calibrated"], answer["below"]) == ([], True, 0)
    assert len(answer["hits"]) == 2
    first = answer["hits"][0]
    assert near.km == pytest.approx(2.24, abs=0.01)
    snow, close, blue = exclude
    assert close.confidence < 0.1 < 0.7 < near.confidence
    water = {
        "text": "water", "named": "nearest", "km": 2.24, "km_error": 2.24,
        "tile_id": tiles[1].id, "tile_confidence": round(near.confidence, 4),
        "lon": round(tiles[1].lon, 4), "lat": round(tiles[1].lat, 4),
    }  # fmt: skip
    assert first == {
        "rank": 1,
        "tile_id": "32654-2240-300-3500-20240501T000000-S2A",
        "lon": round(tiles[0].lon, 5),
        "lat": round(tiles[0].lat, 5),
        "datetime": "2024-05-01T00:00:00+00:00",
        "confidence": round(hit.confidence, 4),
        "factors": {
            "red": round(hit.of("text")[0].confidence, 4),
            "water within 3 km": round(near.confidence, 4),
            "without snow": round(1 - snow.confidence, 4),
            "without water within 1 km": round(1 - close.confidence, 4),
            "without blue within 3 km": round(1 - blue.confidence, 4),
        },
        "score": round(hit.score, 4),
        "cloud": 0.0,
        "cover": {"water": 0.0, "vegetation": 0.5, "bare": 0.5, "snow": 0.0},
        "bounds": [round(edge, 5) for edge in tiles[0].bounds],
        "regions": ["kanto"],
        "scene_ids": ["scene-1"],
        "span": 2240,
        "near": [water | {"within_km": 3, "confidence": round(near.confidence, 4)}],
        "exclude": [
            dict.fromkeys(water)
            | {"text": "snow", "within_km": None, "confidence": round(snow.confidence, 4)},
            water | {"within_km": 1, "confidence": round(close.confidence, 4)},
            {
                "text": "blue", "within_km": 3, "confidence": round(blue.confidence, 4),
                "named": "surest", "km": round(blue.km, 2), "km_error": 2.24,
                "tile_id": blue.tile.id, "tile_confidence": round(blue.tile_confidence, 4),
                "lon": round(blue.tile.lon, 4), "lat": round(blue.tile.lat, 4),
            },
        ],
        "parts": {name: round(value, 4) for name, value in hit.parts.items()},
    }  # fmt: skip
    plainly = ask(index, "red", limit=1).to_json()["hits"][0]
    assert "parts" not in plainly
    assert (plainly["near"], plainly["exclude"]) == ([], [])


def test_distances_are_told_to_ten_metres() -> None:
    met = Met(
        kind="near", text="sea", within_km=3, confidence=0.12345678, tile=tile(1, 1), km=2.3456
    )
    assert (met.to_json()["km"], met.to_json()["confidence"]) == (2.35, 0.1235)


@pytest.mark.parametrize(
    ("confidence", "verdict"),
    [(1, "strong"), (0.7, "strong"), (0.699, "weak"), (0.3, "weak"), (0.299, "none"), (0, "none")],
)
def test_the_verdict_is_that_of_the_best_hit(confidence: float, verdict: str) -> None:
    assert verdict_of(confidence) == verdict


# No hits


def test_an_empty_index_says_so(tmp_path: Path) -> None:
    query = Query(text="water", near=(Near(text="sea", within_km=3),))
    result = search(sow(tmp_path, [], []), ENCODER, query)
    assert result.hits == ()
    assert result.verdict == "none"
    assert "no tiles yet" in (result.reason or "")
    assert result.verdicts == {"water": "none", "sea": "none"}
    assert result.conditions == ()


def test_an_empty_answer_names_the_filters_that_no_tile_passes() -> None:
    tiles = [tile(300 + 2 * i, 3500, cloud=0.3, water=0.2, day=1 + i % 2) for i in range(6)]
    index = MemoryIndex(tiles, plain(6))
    nowhere = Area.around(0, 0, 5)
    impossible: dict[str, tuple[dict[str, Any], str]] = {
        "area": ({"area": nowhere}, "the area"),
        "start": ({"start": date(2024, 6, 1)}, "the dates"),
        "end": ({"end": date(2024, 4, 1)}, "the dates"),
        "cloud": ({"max_cloud": 0.1}, "max_cloud"),
        "cover": ({"cover": {"water": (0.5, 1), "bare": (0, 1)}}, "cover water"),
        "regions": ({"regions": ("nowhere",)}, "the regions"),
        "scenes": ({"scenes": ("none",)}, "the scenes"),
        "spans": ({"spans": (1120,)}, "the spans"),
    }
    possible: dict[str, Any] = {"regions": ("kanto",), "max_cloud": 0.5, "spans": (2240,)}
    for asked, name in impossible.values():
        result = ask(index, "water", **{**possible, **asked})
        assert result.hits == ()
        assert result.verdict == "none"
        assert result.reason == f"no tile of 6 passes {name}"
    both = ask(index, "water", area=nowhere, regions=("nowhere",), max_cloud=0.5)
    assert both.reason == "no tile of 6 passes the area nor the regions"
    cells = ask(index, "water", filters=Filters(cells=("32654-2240-1-1",), tile_ids=("x",)))
    assert cells.reason == "no tile of 6 passes the cells nor the tile ids"


def test_an_empty_answer_says_when_only_all_filters_together_let_nothing_through() -> None:
    tiles = [tile(300, 3500, day=1), tile(302, 3500, day=2)]
    result = ask(MemoryIndex(tiles, plain(2)), "water", scenes=("scene-1",), start=date(2024, 5, 2))
    assert result.reason == (
        "each filter lets some of 2 tiles through, but no tile passes all of them"
    )


def test_an_empty_answer_says_when_nothing_meets_the_conditions_strictly() -> None:
    index = MemoryIndex(meadow(3), plain(9))
    near = (Near(text="water", within_km=5),)
    assert ask(index, "green", near=near).hits
    result = ask(index, "green", near=near, strict=True)
    assert result.hits == ()
    assert "without strict" in (result.reason or "")
    assert result.to_json()["hits"] == []


def test_an_empty_answer_says_when_only_the_examples_are_left() -> None:
    index = MemoryIndex([tile(300, 3500)], plain(1))
    result = ask(index, like=(index.tiles[0].id,))
    assert result.hits == ()
    assert "examples' own ground" in (result.reason or "")


def test_another_encoder_is_refused(water: MemoryIndex) -> None:
    class Other(type(ENCODER)):  # type: ignore[misc]
        name = "another"

    with pytest.raises(EncoderMismatchError, match="another"):
        search(water, Other(), Query(text="water"))
