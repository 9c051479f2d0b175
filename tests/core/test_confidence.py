"""How sure a search is of single tiles: what it says of them beside all others."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from keenkite.errors import InputError
from keenkite.retrieval.confidence import confidence_of
from keenkite.retrieval.query import Query
from keenkite.retrieval.search import search
from tests.support.sown import ENCODER, close_all, meadow, plain, seen, sow, tile


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    close_all()


def test_each_tile_has_the_confidence_of_its_hit_in_the_order_asked_for(tmp_path: Path) -> None:
    tiles = meadow(8)
    vectors = plain(len(tiles))
    vectors[20] = seen("red")
    index = sow(tmp_path, tiles, vectors)
    ids = [tiles[n].id for n in (3, 20, 40, 3)]  # one of them twice
    sure = confidence_of(index, ENCODER, "red", ids)
    assert sure[0] == sure[3]
    assert sure[1] == max(sure)
    hits = search(index, ENCODER, Query(text="red", limit=len(tiles), overlap=True)).hits
    order = [hit.tile.id for hit in hits if hit.tile.id in ids]
    assert order[0] == ids[1]
    assert all(0 <= each <= 1 for each in sure)


def test_tiles_of_the_same_ground_each_have_their_own_however_weak(tmp_path: Path) -> None:
    dates = [tile(200, 3500, day=day, cloud=cloud) for day, cloud in ((1, 0.0), (2, 0.0), (3, 0.8))]
    others = meadow(8)
    looks = [seen("red"), seen("green"), seen("red")]
    index = sow(tmp_path, [*dates, *others], [*looks, *plain(len(others))])
    ids = [each.id for each in (*dates, *others)]
    clear, bare, cloudy, *rest = confidence_of(index, ENCODER, "red", ids)
    assert clear > 0.7 > cloudy > bare
    assert cloudy == pytest.approx(0.4 * clear, rel=1e-3)
    assert len(rest) == len(others)
    assert min(rest) < 0.01


def test_no_tiles_have_none(tmp_path: Path) -> None:
    tiles = meadow(2)
    assert confidence_of(sow(tmp_path, tiles, plain(len(tiles))), ENCODER, "red", []) == []


def test_a_tile_that_is_not_there_is_named(tmp_path: Path) -> None:
    tiles = meadow(2)
    index = sow(tmp_path, tiles, plain(len(tiles)))
    with pytest.raises(InputError, match="32654-2240-1-1-20240101T000000-S2A"):
        confidence_of(index, ENCODER, "red", ["32654-2240-1-1-20240101T000000-S2A"])
