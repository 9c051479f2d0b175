"""search: which tiles, in which order, what is left out, and what is said when there are none."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
import shapely
from tests.support.sown import COLOURS, ENCODER, close_all, meadow, seen, sow, tile

from keenkite import utm
from keenkite.area import Area
from keenkite.errors import EncoderMismatchError, InputError
from keenkite.index import TileIndex
from keenkite.retrieval.search import Near, Query, search
from keenkite.tiling import Tile

PLAIN = ("green", "yellow", "grey", "field", "desert", "orange")


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    close_all()


def ground(side: int = 20) -> tuple[list[Tile], list[np.ndarray]]:
    """Tiles of plain colours, all a little different."""
    tiles = meadow(side)
    colours = [PLAIN[i % len(PLAIN)] for i in range(len(tiles))]
    return tiles, [seen(colour, 0.02, i) for i, colour in enumerate(colours)]


def find(index: TileIndex, text: str | None = None, **asked: object) -> list[str]:
    query = Query(text=text, **asked)  # type: ignore[arg-type]
    return [hit.tile.id for hit in search(index, ENCODER, query, background=COLOURS).hits]


@pytest.fixture
def lake(tmp_path: Path) -> tuple[TileIndex, list[Tile]]:
    """Plain ground with three tiles of water in it."""
    tiles, vectors = ground()
    for n, i in enumerate((50, 51, 270)):
        vectors[i] = seen("water", 0.02, 1000 + n)
    return sow(tmp_path, tiles, vectors), [tiles[i] for i in (50, 51, 270)]


def test_what_is_asked_for_comes_first_and_the_verdict_is_strong(
    lake: tuple[TileIndex, list[Tile]],
) -> None:
    index, water = lake
    result = search(index, ENCODER, Query(text="water", limit=5), background=COLOURS)
    assert {hit.tile.id for hit in result.hits[:3]} == {t.id for t in water}
    assert [hit.rank for hit in result.hits] == [1, 2, 3, 4, 5]
    assert result.verdict == "strong"
    assert result.hits[2].confidence > 0.7 > 0.3 > result.hits[3].confidence


def test_what_is_not_there_gets_the_verdict_none(lake: tuple[TileIndex, list[Tile]]) -> None:
    result = search(lake[0], ENCODER, Query(text="purple"), background=COLOURS)
    assert result.verdict == "none"
    assert len(result.hits) == 10  # the least unlikely are still shown


def test_what_covers_most_of_the_ground_is_there_too(lake: tuple[TileIndex, list[Tile]]) -> None:
    # Its z is low everywhere: a common thing does not stand out of the index.
    tiles, _ = ground()
    lake[0].upsert(tiles, np.stack([seen("forest", 0.02, i) for i in range(len(tiles))]))
    assert search(lake[0], ENCODER, Query(text="forest"), background=COLOURS).verdict != "none"


def test_score_is_the_log_odds_of_confidence_and_falls(lake: tuple[TileIndex, list[Tile]]) -> None:
    result = search(lake[0], ENCODER, Query(text="water", limit=200), background=COLOURS)
    scores = np.array([hit.score for hit in result.hits])
    assert (np.diff(scores) <= 0).all()
    np.testing.assert_allclose(
        [hit.confidence for hit in result.hits], 1 / (1 + np.exp(-scores)), rtol=1e-6
    )


def test_every_filter_reaches_the_index(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    tiles = [
        tile(300 + 2 * (i % 15), 3500 + 2 * (i // 15), day=1 + i % 3, region="ab"[i % 2],
             cloud=float(rng.random()), water=float(rng.random() / 2))
        for i in range(225)
    ]  # fmt: skip
    index = sow(tmp_path, tiles, [seen(PLAIN[i % 6], 0.05, i) for i in range(225)])
    area = Area.from_bbox(tiles[18].lon, tiles[18].lat, tiles[27].lon, tiles[150].lat)
    found = find(
        index, "green", area=area, start=date(2024, 5, 1), end=date(2024, 5, 2), max_cloud=0.6,
        cover={"water": (0.05, 0.4)}, regions=("a",), scenes=("scene-1", "scene-2"), limit=225,
    )  # fmt: skip
    (shape,) = area.parts
    expected = {
        t.id for t in tiles
        if shape.contains(shapely.Point(t.lon, t.lat)) and t.datetime.day <= 2 and t.cloud <= 0.6
        and 0.05 <= t.water <= 0.4 and t.region == "a"
    }  # fmt: skip
    assert len(expected) > 3
    assert set(found) == expected


def test_of_overlapping_hits_the_best_is_kept_unless_asked_otherwise(tmp_path: Path) -> None:
    # A thing seen by 5 × 5 overlapping tiles on 2 dates, and a second one far away.
    tiles = [tile(300 + i, 3500 + j, day=day) for day in (1, 2) for i in range(5) for j in range(5)]
    tiles.append(tile(400, 3600))
    index = sow(tmp_path, tiles, [seen("water", 0.1, i) for i in range(len(tiles))])
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


def test_overlap_is_seen_across_utm_zones(tmp_path: Path) -> None:
    # The same place in both zones, at the meridian between them.
    west = tile(673, 3500, epsg=32653)
    x, y = utm.project(32654, [west.lon], [west.lat])
    column, row = round(float(x[0]) / 1120 - 1), round(float(y[0]) / 1120 + 1)
    east = tile(column, row, epsg=32654)
    far = tile(column + 3, row, epsg=32654)
    index = sow(tmp_path, [west, east, far], [seen("water", 0.02, i) for i in range(3)])
    found = find(index, "water")
    assert len(found) == 2
    assert far.id in found


def test_the_limit_is_filled_however_many_tiles_see_the_best_thing(tmp_path: Path) -> None:
    # 600 tiles of one place on 600 dates are better than the others.
    here = tile(300, 3500)
    same = [
        dataclasses.replace(here, datetime=here.datetime + timedelta(days=i)) for i in range(600)
    ]
    others = meadow(4, column=400)
    index = sow(
        tmp_path, [*same, *others],
        [seen("water", 0.01, i) for i in range(600)] + [seen("blue", 0.01, i) for i in range(16)],
    )  # fmt: skip
    assert len(find(index, "water", limit=10)) == 10


def test_an_excluded_concept_pushes_down_and_strict_leaves_out(tmp_path: Path) -> None:
    tiles, vectors = ground()
    both = seen("water") + seen("red")
    vectors[10] = seen("water", 0.01)
    vectors[200] = both / np.linalg.norm(both)
    index = sow(tmp_path, tiles, vectors)
    assert set(find(index, "water", limit=2)) == {tiles[10].id, tiles[200].id}
    result = search(
        index, ENCODER, Query(text="water", exclude=("red",)), background=COLOURS, explain=True
    )
    assert result.hits[0].tile.id == tiles[10].id
    strict = find(index, "water", exclude=("red",), strict=True, limit=400)
    assert tiles[10].id in strict


def test_like_finds_look_alikes_and_not_its_own_ground(tmp_path: Path) -> None:
    tiles, vectors = ground()
    places = (5, 33, 123, 250)
    for n, i in enumerate(places):
        vectors[i] = seen("purple", 0.02, n)
    overlapping = tile(tiles[5].column + 1, tiles[5].row)
    index = sow(tmp_path, [*tiles, overlapping], [*vectors, seen("purple", 0.02, 99)])
    expected = {tiles[i].id for i in places[1:]}
    assert set(find(index, like=(tiles[5].id,), limit=3)) == expected
    # A place inside the tile means the same.
    assert set(find(index, like=((tiles[5].lon - 0.003, tiles[5].lat),), limit=3)) == expected
    assert set(find(index, "purple", like=(tiles[5].id,), limit=3)) == expected


def test_unlike_moves_away(tmp_path: Path) -> None:
    tiles, vectors = ground()
    for n, i in enumerate((5, 33, 123)):
        mixed = seen("blue", 0.02, n) + seen("white", 0.02, n)
        vectors[i] = mixed / np.linalg.norm(mixed)
    for n, i in enumerate((60, 61, 300)):
        mixed = seen("blue", 0.02, n) + seen("black", 0.02, n)
        vectors[i] = mixed / np.linalg.norm(mixed)
    index = sow(tmp_path, tiles, vectors)
    found = find(index, "blue", like=(tiles[5].id,), unlike=(tiles[60].id,), limit=2)
    assert set(found) == {tiles[33].id, tiles[123].id}
    found = find(index, "blue", unlike=(tiles[60].id,), limit=3)
    assert set(found) == {tiles[5].id, tiles[33].id, tiles[123].id}


def test_the_parts_explain_the_confidence(lake: tuple[TileIndex, list[Tile]]) -> None:
    query = Query(text="water", near=(Near(text="green", within_km=5),), exclude=("red",), limit=3)
    for hit in search(lake[0], ENCODER, query, background=COLOURS, explain=True).hits:
        assert hit.parts is not None
        product = hit.parts["text"] * hit.parts["near green"] * hit.parts["without red"]
        assert hit.confidence == pytest.approx(product)
    assert search(lake[0], ENCODER, query, background=COLOURS).hits[0].parts is None


def test_an_answer_is_plain_json(lake: tuple[TileIndex, list[Tile]]) -> None:
    query = Query(text="water", near=(Near(text="water", within_km=5),))
    result = search(lake[0], ENCODER, query, background=COLOURS, explain=True)
    answer = json.loads(json.dumps(result.to_dict()))
    assert answer["verdict"] == result.verdict
    assert answer["hits"][0]["tile_id"] == result.hits[0].tile.id
    assert answer["hits"][0]["neighbours"][0]["confidence"] > 0.7


def test_an_empty_index_says_so(tmp_path: Path) -> None:
    result = search(sow(tmp_path, [], []), ENCODER, Query(text="water"))
    assert result.hits == ()
    assert result.verdict == "none"
    assert "no tiles yet" in (result.reason or "")


def test_an_empty_answer_names_the_filters_that_no_tile_passes(
    lake: tuple[TileIndex, list[Tile]],
) -> None:
    index, _ = lake

    def why(**filters: object) -> str:
        query = Query(text="water", **filters)  # type: ignore[arg-type]
        return search(index, ENCODER, query).reason or ""

    elsewhere = Area.around(0, 0, 5)
    assert "the area nor the regions" in why(area=elsewhere, regions=("nowhere",), max_cloud=0.5)
    assert "cover water" in why(cover={"water": (0.5, 1)})
    assert "but no tile passes all" in why(
        area=Area.around(139.9, 35.4, 900), scenes=("scene-1",), start=date(2024, 5, 2)
    ) or "the dates" in why(start=date(2024, 5, 2))


def test_another_encoder_is_refused(lake: tuple[TileIndex, list[Tile]]) -> None:
    class Other(type(ENCODER)):  # type: ignore[misc]
        name = "another"

    with pytest.raises(EncoderMismatchError, match="another"):
        search(lake[0], Other(), Query(text="water"))


def test_an_example_that_is_not_there_is_named(lake: tuple[TileIndex, list[Tile]]) -> None:
    with pytest.raises(InputError, match="32654-1-1-20240501-S2A is not in the index"):
        find(lake[0], like=("32654-1-1-20240501-S2A",))
    with pytest.raises(InputError, match=r"shows the place \(0, 0\)"):
        find(lake[0], like=((0, 0),))


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({}, "nothing to look for"),
        ({"text": "  "}, "text is empty"),
        ({"text": "a", "limit": 0}, "limit is 0"),
        ({"text": "a", "limit": 10**6}, "limit is 1000000"),
        ({"text": "a", "limit": True}, "whole number"),
        ({"text": "a", "start": date(2024, 2, 1), "end": date(2024, 1, 1)}, "is after"),
        ({"text": "a", "cover": {"water": (0.8, 1), "snow": (0.8, 1)}}, "more than 1"),
        ({"text": "a", "cover": {"lava": (0, 1)}}, "not 'lava'"),
        ({"text": "a", "max_cloud": 20}, "divide percent by 100"),
        ({"text": "a", "exclude": "b"}, "a list of concepts"),
        ({"text": "Sea", "exclude": ("sea ",)}, "both looked for and excluded"),
        ({"text": "a", "exclude": ("",)}, "in a few words"),
        ({"text": "a", "near": ("b",)}, "write Near"),
        ({"like": "32654-1-1-20240501-S2A"}, "a list of tiles"),
        ({"like": ((35.0, 139.0),)}, "longitude comes first"),
        ({"like": (3,)}, "the id of a tile"),
        ({"like": ("x",), "unlike": ("x",)}, "both like and unlike"),
        ({"text": "a", "regions": "kanto"}, "not one name"),
    ],
)
def test_a_query_that_cannot_be_meant_is_refused(asked: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Query(**asked)  # type: ignore[arg-type]
