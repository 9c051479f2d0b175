"""Cloud in a search: it is no evidence, and a clear date speaks for its ground."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from keenkite.retrieval import recall
from keenkite.retrieval.query import Near, Query
from keenkite.retrieval.result import Result
from keenkite.retrieval.search import search
from keenkite.tiling import Tile
from tests.support.memory_index import MemoryIndex
from tests.support.sown import COLOURS, ENCODER, meadow, mixed, plain, seen, tile


def ask(index: Any, text: str = "red", **asked: Any) -> Result:
    query = Query(text=text, **{"min_confidence": 0, **asked})
    return search(index, ENCODER, query, background=COLOURS)


def shown(result: Result, of: Tile) -> list[str]:
    """Ids of the hits on the ground of a tile."""
    return [hit.tile.id for hit in result.hits if hit.tile.cell == of.cell]


def beside(*own: tuple[Tile, NDArray[np.float32]], better: int = 0) -> MemoryIndex:
    """Some tiles on plain ground, with so many others elsewhere that show red best of all."""
    tiles, vectors = [t for t, _ in own], [v for _, v in own]
    reds = [tile(500 + 2 * (i % 40), 3500 - 2 * (i // 40)) for i in range(better)]
    return MemoryIndex(
        [*tiles, *reds, *meadow(8, column=400)],
        [*vectors, *(seen("red", 0.002, i) for i in range(better)), *plain(64)],
    )


CLOUDY, CLEAR = tile(300, 3500, day=1, cloud=0.3), tile(300, 3500, day=2, cloud=0.1)


def test_a_cloudy_date_gives_way_to_the_clear_one_however_much_more_it_looks_like_it() -> None:
    index = beside((CLOUDY, seen("red")), (CLEAR, mixed("red", "green")))
    assert shown(ask(index), CLEAR) == [CLEAR.id]
    both = ask(index, overlap=True)
    assert shown(both, CLEAR) == [CLOUDY.id, CLEAR.id]
    # The other way round, and where both are clear or both cloudy, the better one is shown.
    for one, other in ((0.2, 0.0), (0.0, 0.2), (0.3, 0.4), (0.4, 0.3), (None, 0.0), (None, None)):
        first, second = (
            tile(300, 3500, day=day, cloud=cloud) for day, cloud in ((1, one), (2, other))
        )
        index = beside((first, seen("red")), (second, mixed("red", "green")))
        assert shown(ask(index), first) == [first.id]


@pytest.mark.parametrize("limit", [1, 3])
def test_the_clear_date_is_looked_for_where_it_is_not_among_the_best(limit: int) -> None:
    # On the clear date nothing is to be seen: 200 other tiles are better, but not the cloudy one.
    index = beside((CLOUDY, seen("red")), (CLEAR, seen("green")), better=200)
    for result in (ask(index, limit=limit), ask(index, limit=limit, regions=("kanto",))):
        assert CLOUDY.id not in {hit.tile.id for hit in result.hits}
        assert min(hit.confidence for hit in result.hits) > 0.7
    # All the hits there are: it comes with its clear date alone.
    assert shown(ask(index, limit=300), CLEAR) == [CLEAR.id]


def test_every_cloudy_place_has_its_clear_date_though_one_of_them_has_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The three cloudy ones are all that is looked at first; clear dates of one of them come next.
    monkeypatch.setattr(recall, "CANDIDATES", 3)
    monkeypatch.setattr(recall, "PER_HIT", 1)
    places = [tile(300 + 2 * i, 3500, day=20, cloud=0.4) for i in range(3)]
    many = [(tile(300, 3500, day=1 + i, cloud=0.0), mixed("red", "green")) for i in range(15)]
    others = [(tile(302 + 2 * i, 3500, day=3, cloud=0.0), seen("green")) for i in range(2)]
    index = beside(*((p, seen("red", 0.001, i)) for i, p in enumerate(places)), *many, *others)
    found = {hit.tile.id for hit in ask(index, limit=3, regions=("kanto",)).hits}
    assert not found & {p.id for p in places}


def test_a_clear_date_that_the_filters_leave_out_does_not_speak() -> None:
    index = beside((CLOUDY, seen("red")), (CLEAR, seen("green")))
    assert shown(ask(index, end=date(2024, 5, 1)), CLEAR) == [CLOUDY.id]
    assert shown(ask(index, scenes=("scene-1",)), CLEAR) == [CLOUDY.id]
    assert shown(ask(index, max_cloud=0.2, limit=80), CLEAR) == [CLEAR.id]
    assert shown(ask(index, max_cloud=0.05, limit=80), CLEAR) == []


def test_a_clear_date_beside_it_does_not_speak_for_other_ground() -> None:
    far = tile(304, 3500, day=2, cloud=0.0)
    assert ask(beside((CLOUDY, seen("red")), (far, seen("green")))).hits[0].tile == CLOUDY


def test_what_is_met_strictly_is_met_by_the_clear_date() -> None:
    index = beside((CLOUDY, seen("red")), (CLEAR, mixed("red", "water")))
    assert shown(ask(index, exclude=("water",), strict=True), CLEAR) == []
    assert shown(ask(index, exclude=("water",), strict=True, overlap=True), CLEAR) == [CLOUDY.id]


def test_half_a_tile_of_cloud_takes_nothing_and_more_of_it_ever_more() -> None:
    looks, cloud = seen("red"), (0.0, None, 0.3, 0.5, 0.6, 0.75, 0.9, 1.0)
    tiles = [tile(300 + 4 * i, 3500, cloud=each) for i, each in enumerate(cloud)]
    index = beside(*((t, looks) for t in tiles))
    found = {hit.tile.id: hit.confidence for hit in ask(index, limit=80).hits}
    sure = [found[t.id] for t in tiles]
    np.testing.assert_allclose(np.array(sure) / sure[0], [1, 1, 1, 1, 0.8, 0.5, 0.2, 0], atol=1e-6)
    assert sure[0] > 0.9
    assert 0 < sure[-1] < 1e-15


@pytest.mark.parametrize("colour", ["white", "red"])
def test_on_pure_cloud_there_is_nothing_and_no_verdict_comes_of_it(colour: str) -> None:
    index = beside((tile(300, 3500, cloud=1.0), seen(colour)))
    result = ask(index, colour, limit=80)
    assert result.verdict == result.verdicts[colour] == "none"
    assert result.hits[-1].tile == index.tiles[0]


def test_what_the_best_look_alikes_hide_under_cloud_the_next_ones_may_show() -> None:
    clouded = [(tile(300 + 4 * i, 3500, cloud=1.0), seen("red", 0.001, i)) for i in range(20)]
    clear = tile(300, 3520)
    index = beside(*clouded, (clear, mixed("red", "red", "red", "green")))
    for filters in ({}, {"regions": ("kanto",)}):
        result = ask(index, **filters)
        assert result.verdicts == {"red": "strong"}
        assert result.hits[0].tile == clear


def test_nothing_is_near_what_is_only_cloud_and_nothing_is_excluded_by_it() -> None:
    red, cloud = tile(300, 3500), tile(302, 3500, cloud=1.0)
    index = beside((red, seen("red")), (cloud, seen("water")))
    near = ask(index, near=(Near(text="water", within_km=4),))
    assert near.verdict == "none"
    away = ask(index, exclude=(Near(text="water", within_km=4),))
    assert away.hits[0].tile == red
    assert away.verdict == "strong"
    assert away.verdicts["water"] == "none"


def test_the_cloud_of_a_hit_is_in_the_answer() -> None:
    for cloud in (0.25, None):
        index = beside((tile(300, 3500, cloud=cloud), seen("red")))
        assert ask(index).to_json()["hits"][0]["cloud"] == cloud
