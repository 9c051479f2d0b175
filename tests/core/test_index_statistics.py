"""What is worked out of all tiles: of a sample that is the same everywhere, and when it is kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from keenkite.index import Filters, Statistics, TileIndex
from keenkite.index.backend import Backend, Tuning
from keenkite.index.embedded.backend import EdgeBackend
from keenkite.index.kept import REGIONS, STATISTICS, Kept
from keenkite.index.payload import point_id
from keenkite.index.points import checked_points
from keenkite.index.server.backend import RemoteBackend
from keenkite.index.statistics import statistics_of
from tests.support.points import META, World, tile, vectors
from tests.support.qdrant_server import serving

WORLD = World.drawn(1000)
ENGINES = ["folder", "url"]


@contextmanager
def backend(engine: str, folder: Path) -> Iterator[Backend]:
    """An empty one of an engine."""
    if engine == "folder":
        edge = EdgeBackend.open(folder / "index", META, wait=10, tuning=Tuning())
        yield edge
        edge.close()
    else:
        with serving() as server:
            remote = RemoteBackend.open(server.url, META, api_key=None, timeout=10)
            yield remote
            remote.close()


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    with backend(request.param, tmp_path) as found:
        yield found


def fill(engine: Backend, rows: slice) -> None:
    engine.upsert(checked_points(WORLD.tiles[rows], WORLD.vectors[rows], META))


def expected(rows: slice, sample: int) -> Statistics:
    """By numpy alone: the first of the points by id, as numbers of 128 bits."""
    ids = [int(point_id(t.id).replace("-", ""), 16) for t in WORLD.tiles[rows]]
    first = np.argsort(np.array(ids, object))[:sample]
    values = WORLD.vectors[rows][first.astype(int)].astype(np.float64)
    return Statistics(
        n=len(ids), mean=values.mean(axis=0), covariance=np.cov(values.T, bias=True),
        vectors=values[:1024].astype(np.float16).astype(np.float32),
    )  # fmt: skip


def alike(found: Statistics, wanted: Statistics) -> bool:
    return (
        found.n == wanted.n
        and np.allclose(found.mean, wanted.mean, rtol=0, atol=1e-12)
        and np.allclose(found.covariance, wanted.covariance, rtol=0, atol=1e-12)
        and np.array_equal(found.vectors, wanted.vectors)
    )


@pytest.mark.parametrize("sample", [1, 100, 999, 1000, 5000])
def test_they_are_of_the_first_points_in_the_order_of_their_ids(
    engine: Backend, sample: int
) -> None:
    fill(engine, slice(1000))
    found = Kept(engine, sample=sample).statistics()
    assert alike(found, expected(slice(1000), sample))
    assert found.sample == min(sample, 1000)


def test_they_are_the_same_in_a_folder_and_by_url_whatever_the_order_of_writing(
    tmp_path: Path,
) -> None:
    found = {}
    for name in ENGINES:
        with backend(name, tmp_path) as engine:
            for begin in range(0, 1000, 250) if name == "url" else range(750, -1, -250):
                fill(engine, slice(begin, begin + 250))
            kept = Kept(engine, sample=300)
            kept.keep()
            found[name] = kept.statistics(), kept.regions(), engine.read_record(STATISTICS)
    (first, regions, record), (second, others, _) = found["folder"], found["url"]
    assert np.array_equal(first.mean, second.mean)
    assert np.array_equal(first.covariance, second.covariance)
    assert np.array_equal(first.vectors, second.vectors)
    assert (first.n, first.sample, regions) == (second.n, second.sample, others)
    assert record is not None


def test_they_stand_until_a_twentieth_has_changed(engine: Backend) -> None:
    fill(engine, slice(800))
    kept = Kept(engine)
    before = kept.statistics()
    fill(engine, slice(800, 839))
    kept.changed(39, [])
    now = kept.statistics()
    assert now.n == 839
    assert np.array_equal(now.mean, before.mean)
    fill(engine, slice(839, 841))
    kept.changed(2, [])
    assert alike(kept.statistics(), expected(slice(841), 16_384))


def test_replacing_a_twentieth_counts_too_though_the_number_stays(engine: Backend) -> None:
    fill(engine, slice(800))
    kept = Kept(engine)
    before = kept.statistics()
    kept.changed(39, [])
    assert np.array_equal(kept.statistics().mean, before.mean)
    others = checked_points(WORLD.tiles[:60], -WORLD.vectors[:60], META)
    engine.upsert(others)
    kept.changed(60, [])
    assert not np.allclose(kept.statistics().mean, before.mean, atol=1e-6)


def test_another_process_sees_what_was_added_without_a_maintenance(engine: Backend) -> None:
    fill(engine, slice(500))
    reader = Kept(engine)
    assert reader.statistics().n == 500
    fill(engine, slice(500, 1000))  # by another one: nobody tells the reader
    assert alike(reader.statistics(), expected(slice(1000), 16_384))


def test_only_maintenance_writes_and_readers_take_what_it_wrote(engine: Backend) -> None:
    fill(engine, slice(1000))
    reader = Kept(engine, sample=100)
    reader.statistics()
    reader.regions()
    assert engine.records("kept") == {}
    Kept(engine, sample=100).keep()
    assert set(engine.records("kept")) == {STATISTICS, REGIONS}
    # One whose sample would be another takes the record all the same.
    later = Kept(engine, sample=7)
    for kind in ("mean", "covariance", "vectors"):
        assert np.array_equal(getattr(later.statistics(), kind), getattr(reader.statistics(), kind))
    assert later.statistics().sample == 100
    engine.delete_records([STATISTICS])
    assert later.statistics().sample == 100


def test_a_record_that_does_not_fit_any_more_is_left_alone_and_not_used(engine: Backend) -> None:
    fill(engine, slice(500))
    Kept(engine).keep()
    record = engine.read_record(STATISTICS)
    fill(engine, slice(500, 600))
    reader = Kept(engine)
    assert alike(reader.statistics(), expected(slice(600), 16_384))
    assert engine.read_record(STATISTICS) == record
    Kept(engine).keep()
    assert engine.read_record(STATISTICS) != record


@pytest.mark.parametrize("damage", [{}, {"vectors": "?"}, {"mean": None}, {"covariance": "AAAA"}])
def test_a_record_that_this_version_cannot_read_is_as_good_as_none(
    tmp_path: Path, damage: dict[str, object]
) -> None:
    with backend("folder", tmp_path) as engine:
        fill(engine, slice(500))
        Kept(engine).keep()
        record = engine.read_record(STATISTICS)
        assert record is not None
        older = {name: value for name, value in record.items() if name != "vectors"}
        engine.write_record(STATISTICS, older | damage)
        assert alike(Kept(engine).statistics(), expected(slice(500), 16_384))
        Kept(engine).keep()
        assert engine.read_record(STATISTICS) == record


def test_a_process_that_changed_much_does_not_trust_the_record_from_before(engine: Backend) -> None:
    fill(engine, slice(500))
    Kept(engine).keep()
    writer = Kept(engine)
    engine.upsert(checked_points(WORLD.tiles[:100], -WORLD.vectors[:100], META))
    writer.changed(100, [])
    assert not np.allclose(writer.statistics().mean, expected(slice(500), 16_384).mean, atol=1e-6)
    writer.keep()
    assert np.array_equal(Kept(engine).statistics().mean, writer.statistics().mean)


def test_nothing_is_kept_of_an_index_without_tiles(engine: Backend) -> None:
    kept = Kept(engine)
    kept.keep()
    assert engine.records("kept") == {}
    assert kept.statistics().n == 0
    fill(engine, slice(10))
    kept.keep()
    engine.delete([point_id(t.id) for t in WORLD.tiles[:10]])
    kept.changed(10, ["more"])
    kept.keep()
    assert Kept(engine).statistics().n == 0
    assert not Kept(engine).statistics().covariance.any()
    assert Kept(engine).regions() == []


def test_of_some_vectors_they_are_numpys() -> None:
    values = vectors(50, dim=8)
    found = statistics_of(values)
    np.testing.assert_allclose(found.covariance, np.cov(values.T.astype(np.float64), bias=True))
    assert (found.n, statistics_of(values, n=70).n) == (50, 70)
    assert not statistics_of(values[:0]).mean.any()
    for shared in (found.mean, found.covariance, found.vectors):
        with pytest.raises(ValueError, match="read-only"):
            shared[0] = 1


def test_the_first_1024_vectors_are_kept_as_they_are_to_half_precision() -> None:
    values = vectors(1500, dim=8)
    found = statistics_of(values)
    assert found.vectors.shape == (1024, 8)
    assert found.vectors.dtype == np.float32
    np.testing.assert_allclose(found.vectors, values[:1024], atol=5e-4)
    assert np.array_equal(found.vectors, found.vectors.astype(np.float16))
    assert statistics_of(values[:7]).vectors.shape == (7, 8)


@pytest.mark.slow
def test_a_sample_tells_what_all_vectors_tell(tmp_path: Path) -> None:
    world = World.drawn(40_000)
    with TileIndex.open(tmp_path, encoder=_Encoder(), spans=META.spans) as index:
        index.upsert(world.tiles, world.vectors)
        found, exact = index.statistics(), statistics_of(world.vectors)
    assert (found.n, found.sample) == (40_000, 16_384)
    cosine = found.mean @ exact.mean / np.linalg.norm(found.mean) / np.linalg.norm(exact.mean)
    assert cosine >= 0.9999
    some, best = [], []
    for query in world.queries:
        of_sample, of_all = (_z(world, query, each) for each in (found, exact))
        top = np.argsort(-of_all)[:10]
        some.append(np.abs(of_sample - of_all)[:100])
        best.append(np.abs(of_sample / of_all - 1)[top])
    # Queries that mean one of the clusters: few tiles make most of their spread.
    assert np.median(some) < 0.02
    assert np.quantile(some, 0.95) < 0.05
    assert np.median(best) < 0.03
    assert np.max(best) < 0.1


def _z(world: World, query: np.ndarray, of: Statistics) -> np.ndarray:
    spread = np.sqrt(query @ of.covariance @ query)
    return np.asarray((world.vectors @ query - of.mean @ query) / spread)


class _Encoder:
    name, dim = "fake", 64


def test_regions_are_summed_up_again_only_where_they_changed(tmp_path: Path) -> None:
    with serving() as server:
        index = TileIndex(
            RemoteBackend.open(server.url, META, api_key=None, timeout=10), location=server.url
        )
        index.upsert([tile(1), tile(2, regions=("fiji",))], vectors(2))
        index.maintain()
        reader = TileIndex.open(server.url, encoder=None)
        scroll = ("POST", "/collections/keenkite/points/scroll")
        server.requests.clear()
        assert [r.name for r in reader.regions()] == ["fiji", "kanto"]
        assert scroll not in server.requests
        index.upsert([tile(3)], vectors(1))
        assert [r.tiles for r in reader.regions()] == [1, 2]
        assert server.requests.count(scroll) == 1
        assert [r.tiles for r in reader.regions()] == [1, 2]
        assert server.requests.count(scroll) == 1
        # A tile that is replaced changes no number, and its writer knows.
        index.upsert([tile(3, scene_ids=("another",))], vectors(1))
        assert index.regions()[1].scenes == 2
        index.remove(Filters(regions=("fiji",)))
        assert [r.name for r in index.regions()] == [r.name for r in reader.regions()] == ["kanto"]
        reader.close()
        index.close()
