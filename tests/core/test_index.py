"""What an index promises, in a folder and by URL alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path

import numpy as np
import pytest
from tests.support.points import Named, World, tile, vectors
from tests.support.qdrant_server import serving

from keenkite.errors import EncoderMismatchError, InputError, TileIndexError
from keenkite.index import Filters, TileIndex

Open = Callable[..., TileIndex]


@pytest.fixture(params=["folder", "url"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Opens the one index of a test, as often as the test likes."""
    indexes: list[TileIndex] = []

    def open_at(location: str | Path) -> Open:
        def open_index(**options: object) -> TileIndex:
            settings = {"encoder": Named(), **options}
            indexes.append(TileIndex.open(location, **settings))  # type: ignore[arg-type]
            return indexes[-1]

        return open_index

    if request.param == "folder":
        yield open_at(tmp_path / "index")
    else:
        with serving() as server:
            yield open_at(server.url)
            for index in indexes:
                index.close()
    for index in indexes:
        index.close()


def test_a_tile_comes_back_as_it_was_written(opened: Open) -> None:
    index = opened()
    tiles = World.drawn(20).tiles
    written = vectors(20)
    index.upsert(tiles, written)
    ids = [t.id for t in tiles]
    assert index.count() == 20
    assert index.get(ids) == list(tiles)
    assert np.array_equal(index.vectors(ids), written)
    assert sorted(t.id for t in index.scroll()) == sorted(ids)
    assert [m.tile for m in index.nearest(written[7], limit=1)] == [tiles[7]]


def test_what_is_written_is_there_when_it_is_opened_again(opened: Open) -> None:
    index = opened()
    index.upsert([tile(1)], vectors(1))
    index.close()
    again = opened(encoder=None)
    assert again.get([tile(1).id]) == [tile(1)]
    assert (again.encoder_name, again.dim, again.grid) == ("fake", 64, (224, 112))


def test_a_second_upsert_replaces_and_never_doubles(opened: Open) -> None:
    index = opened()
    index.upsert([tile(1), tile(2)], vectors(2))
    newer = tile(1, cloud=0.5)
    index.upsert([newer], vectors(1, seed=9))
    assert index.count() == 2
    assert index.get([tile(1).id]) == [newer]
    assert np.array_equal(index.vectors([newer.id]), vectors(1, seed=9))


def test_of_a_tile_given_twice_at_once_the_last_counts(opened: Open) -> None:
    index = opened()
    newer = tile(1, cloud=0.5)
    index.upsert([tile(1), tile(2), newer], vectors(3))
    assert index.get([newer.id, tile(2).id]) == [newer, tile(2)]
    assert np.array_equal(index.vectors([newer.id, tile(2).id]), vectors(3)[[2, 1]])
    assert index.statistics().n == 2


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (tile(1, lon=500.0), "longitudes 500.0"),
        (tile(1, lon=float("nan")), "longitudes nan"),
        (tile(1, bounds=(139.0, 35.0, 500.0, 36.0)), "500.0"),
        (tile(1, lat=-91.0), "latitudes -91.0"),
        (tile(1, cloud=40.0), "cloud is 40.0"),
        (tile(1, snow=float("nan")), "snow is nan"),
        (tile(1, datetime=datetime(2024, 1, 1)), "no time zone"),
        (tile(1, size=256), "256 pixels every 112"),
    ],
)
def test_a_tile_that_cannot_be_is_refused_and_nothing_written(
    opened: Open, bad: object, says: str
) -> None:
    index = opened()
    with pytest.raises(InputError, match=says):
        index.upsert([tile(0), bad], vectors(2))  # type: ignore[list-item]
    assert index.count() == 0


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda v: v.__setitem__((1, 3), np.nan), "norm nan"),
        (lambda v: v.__setitem__((1, 3), np.inf), "norm inf"),
        (lambda v: v.__setitem__(1, v[1] * 1.1), "norm 1.1"),
        (lambda v: v.__setitem__(1, 0), "norm 0"),
    ],
)
def test_a_vector_that_cannot_be_is_refused_and_nothing_written(
    opened: Open, change: Callable[[object], None], says: str
) -> None:
    index = opened()
    bad = vectors(2)
    change(bad)
    with pytest.raises(InputError, match=says):
        index.upsert([tile(0), tile(1)], bad)
    assert index.count() == 0


@pytest.mark.parametrize("shape", [(2, 63), (1, 64), (3, 64), (64,), (2, 64, 1)])
def test_vectors_of_another_shape_are_refused(opened: Open, shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="shape"):
        opened().upsert([tile(0), tile(1)], np.ones(shape))


@pytest.mark.parametrize("query", [np.zeros(64), np.full(64, np.nan), np.ones(63), "airport"])
def test_a_query_that_cannot_be_is_refused(opened: Open, query: object) -> None:
    with pytest.raises(InputError, match="query vector"):
        opened().nearest(query, limit=3)  # type: ignore[arg-type]


def test_asking_for_no_tile_is_refused(opened: Open) -> None:
    with pytest.raises(InputError, match="limit is 0"):
        opened().nearest(vectors(1)[0], limit=0)


def test_an_empty_index_answers_with_nothing(opened: Open) -> None:
    index = opened()
    assert index.nearest(vectors(1)[0], limit=3) == []
    assert index.get(["nothing"]) == []
    assert index.vectors([]).shape == (0, 64)
    assert list(index.scroll()) == []
    assert index.regions() == []
    statistics = index.statistics()
    assert statistics.n == 0
    assert not statistics.mean.any()
    assert statistics.covariance.shape == (64, 64)


def test_vectors_of_a_tile_that_is_not_there_are_refused(opened: Open) -> None:
    with pytest.raises(InputError, match=tile(3).id):
        opened().vectors([tile(3).id])


def test_another_encoder_is_refused(opened: Open) -> None:
    opened().close()
    with pytest.raises(EncoderMismatchError, match=r"'fake' \(64 numbers\), not of 'other' \(64\)"):
        opened(encoder=Named("other"))
    with pytest.raises(EncoderMismatchError, match=r"not of 'fake' \(32\)"):
        opened(encoder=Named(dim=32))


def test_another_grid_is_refused(opened: Open) -> None:
    opened().close()
    with pytest.raises(EncoderMismatchError, match="224 pixels every 112, not 224 every 224"):
        opened(grid=(224, 224))


def test_opening_what_is_not_there_without_an_encoder_makes_nothing(
    opened: Open, tmp_path: Path
) -> None:
    with pytest.raises(TileIndexError, match="There is no index"):
        opened(encoder=None)
    assert list(tmp_path.iterdir()) == []


def test_deleting_tells_how_many_and_leaves_the_rest(opened: Open) -> None:
    index = opened()
    world = World.drawn(2500)
    index.upsert(world.tiles, world.vectors)
    filters = Filters(max_cloud=0.6)
    gone = world.mask(filters)
    assert index.delete(filters) == gone.sum() > 1000
    assert {t.id for t in index.scroll()} == {
        t.id for t, g in zip(world.tiles, gone, strict=True) if not g
    }
    assert index.delete(filters) == 0


def test_deleting_everything_by_accident_is_refused(opened: Open) -> None:
    index = opened()
    index.upsert([tile()], vectors(1))
    with pytest.raises(InputError, match="every tile"):
        index.delete(Filters())
    assert index.count() == 1


def test_a_record_of_work_stays_until_its_scene_loses_a_tile(opened: Open) -> None:
    index = opened()
    tiles = [tile(i, scene_id=f"scene/{i}", region=f"r{i}") for i in range(3)]
    index.upsert(tiles, vectors(3))
    for i in range(3):
        index.mark_complete(f"key {i}/é", {"scene": f"scene/{i}", "kept": 1})
    index.close()
    index = opened()
    assert index.is_complete("key 1/é")
    assert not index.is_complete("key 9")
    assert index.complete()["key 2/é"] == {"scene": "scene/2", "kept": 1}
    index.delete(Filters(regions=("r1",)))
    assert sorted(index.complete()) == ["key 0/é", "key 2/é"]


def test_regions_are_summed_up_and_follow_changes(opened: Open) -> None:
    index = opened()
    index.upsert([tile(1), tile(2, scene_id="other", region="kanto")], vectors(2))
    edge = {"lat": -17.0, "bounds": (179.99, -17.1, -179.98, -16.9), "lon": -179.995}
    index.upsert([tile(3, region="fiji", **edge)], vectors(1))
    fiji, kanto = index.regions()
    assert (fiji.name, fiji.tiles, fiji.bounds) == ("fiji", 1, (179.99, -17.1, -179.98, -16.9))
    assert (kanto.tiles, kanto.scenes, kanto.start) == (2, 2, date(2024, 1, 1))
    assert index.regions() == [fiji, kanto]
    index.delete(Filters(regions=("kanto",)))
    assert index.regions() == [fiji]


def exact(index: TileIndex) -> None:
    """Assert that the statistics are numpy's."""
    ids = [t.id for t in index.scroll()]
    values = index.vectors(ids).astype(np.float64)
    statistics = index.statistics()
    assert statistics.n == len(ids)
    np.testing.assert_allclose(statistics.mean, values.mean(axis=0), rtol=0, atol=1e-12)
    covariance = np.cov(values.T, bias=True)
    np.testing.assert_allclose(statistics.covariance, covariance, rtol=0, atol=1e-12)


def test_statistics_are_exact_after_adding_replacing_and_deleting(opened: Open) -> None:
    index = opened()
    world = World.drawn(1200)
    index.upsert(world.tiles[:700], world.vectors[:700])
    exact(index)
    index.upsert(world.tiles[600:], world.vectors[600:])
    exact(index)
    index.upsert(world.tiles[:400], world.vectors[400:800])
    exact(index)
    index.delete(Filters(max_cloud=0.3))
    exact(index)
    index.close()
    index = opened()
    exact(index)
    index.upsert(world.tiles[:10], world.vectors[10:20])
    exact(index)


def test_statistics_are_exact_when_two_open_indexes_write_in_turn(opened: Open) -> None:
    one, two = opened(), opened()
    world = World.drawn(600)
    for i in range(0, 600, 100):
        part = slice(i, i + 100)
        (one, two)[i // 100 % 2].upsert(world.tiles[part], world.vectors[part])
        exact(one)
        exact(two)
    two.upsert(world.tiles[:50], world.vectors[50:100])
    exact(one)


def test_a_polygon_that_is_a_box_and_the_box_let_the_same_through(opened: Open) -> None:
    from keenkite.area import Area

    index = opened()
    index.upsert([replace(tile(i), lon=139 + i / 10, lat=35.0) for i in range(11)], vectors(11))
    ring = [[139.3, 34], [139.7, 34], [139.7, 36], [139.3, 36], [139.3, 34]]
    polygon = Area.from_geojson({"type": "Polygon", "coordinates": [ring]})
    box = Area.from_bbox(139.3, 34, 139.7, 36)
    for area in (polygon, box):
        lons = sorted(t.lon for t in index.scroll(Filters(area=area)))
        assert lons == pytest.approx([139.3, 139.4, 139.5, 139.6, 139.7])


def test_days_are_whole_days_of_utc(opened: Open) -> None:
    index = opened()
    moments = [
        "2024-03-01T23:59:59.5+00:00",
        "2024-03-02T00:00:00+00:00",
        "2024-03-03T08:00:00+09:00",
    ]
    index.upsert(
        [tile(i, datetime=datetime.fromisoformat(m)) for i, m in enumerate(moments)], vectors(3)
    )
    only = Filters(start=date(2024, 3, 2), end=date(2024, 3, 2))
    assert {t.column for t in index.scroll(only)} == {301, 302}
    assert index.count(Filters(end=date(2024, 3, 1))) == 1
    assert index.count(Filters(start=date(2024, 3, 3))) == 0


def test_an_index_that_was_closed_says_so(opened: Open) -> None:
    index = opened()
    index.close()
    index.close()
    with pytest.raises((TileIndexError, RuntimeError), match="closed"):
        index.count()
