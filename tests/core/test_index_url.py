"""An index by URL: what goes over the wire, and what is said when the server does not answer."""

from __future__ import annotations

import socket

import numpy as np
import pytest
from qdrant_client import models

from keenkite.errors import InputError, TileIndexError
from keenkite.index import Filters, TileIndex
from keenkite.index.backend import PAYLOAD_INDEXES
from tests.support.points import Named, World, tile, vectors
from tests.support.qdrant_server import Server, serving

ENCODER = Named()


def test_payload_indexes_are_made_before_the_first_point() -> None:
    with serving() as server, TileIndex.open(server.url, encoder=ENCODER) as index:
        index.upsert([tile()], vectors(1))
        assert server.indexes["keenkite"] == PAYLOAD_INDEXES
        index_made = ("PUT", "/collections/keenkite/index")
        first_point = server.requests.index(("PUT", "/collections/keenkite/points"))
        assert server.requests.count(index_made) == len(PAYLOAD_INDEXES)
        assert server.requests[:first_point].count(index_made) == len(PAYLOAD_INDEXES)


def test_the_collection_is_named_by_the_url() -> None:
    with serving() as server:
        with TileIndex.open(f"{server.url}/alps", encoder=ENCODER) as index:
            index.upsert([tile()], vectors(1))
        assert server.engine.collection_exists("alps")
        with TileIndex.open(f"{server.url}/andes", encoder=ENCODER) as index:
            assert index.count() == 0
        assert index.location == f"{server.url}/andes"
        assert index.folder is None


def test_opening_it_again_makes_nothing() -> None:
    with serving() as server:
        TileIndex.open(server.url, encoder=ENCODER).close()
        server.requests.clear()
        TileIndex.open(server.url, encoder=ENCODER).close()
        assert {method for method, _ in server.requests} <= {"GET", "POST"}


def test_searching_writes_nothing_so_a_key_that_may_only_read_is_enough() -> None:
    def read_only(method: str, path: str) -> int | None:
        reads = path.endswith(("/exists", "/query", "/count", "/scroll")) or (
            method == "POST" and path.endswith("/points")
        )
        return None if reads or method == "GET" else 403

    with serving() as server:
        with TileIndex.open(server.url, encoder=ENCODER) as index:
            index.upsert([tile(i) for i in range(5)], vectors(5))
        server.fail = read_only
        with TileIndex.open(server.url, encoder=ENCODER) as index:
            assert len(index.nearest(vectors(1)[0], limit=3)) == 3
            assert index.statistics().n == 5
            with pytest.raises(TileIndexError, match=r"refuses access \(403\)"):
                index.upsert([tile(9)], vectors(1))


def test_the_key_is_sent_and_never_shown(caplog: pytest.LogCaptureFixture) -> None:
    with serving(api_key="s3cret") as server:
        with TileIndex.open(server.url, encoder=ENCODER, api_key="s3cret") as index:
            assert index.count() == 0
            assert "s3cret" not in index.location
        assert "unencrypted" in caplog.text
        for key in ("wr0ng", None):
            with pytest.raises(TileIndexError, match=r"refuses access \(401\)") as caught:
                TileIndex.open(server.url, encoder=ENCODER, api_key=key)
            assert "wr0ng" not in str(caught.value)
        assert "s3cret" not in caplog.text


def test_a_server_that_is_not_there_is_named() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(TileIndexError, match=f"{url} cannot be reached.*Check the URL"):
        TileIndex.open(url, encoder=ENCODER)


def test_a_server_that_takes_too_long_is_given_up() -> None:
    with serving() as server, TileIndex.open(server.url, encoder=ENCODER, wait=1) as index:
        server.delay = 1.5
        with pytest.raises(TileIndexError, match="timed out"):
            index.count()
        server.delay = 0.0
        assert index.count() == 0


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (500, "failed \\(500"),
        (503, "failed \\(503"),
        (404, "does not know the collection"),
        (400, "as the test wants it.*1.16"),
        (429, "429"),
    ],
)
def test_a_server_that_fails_is_quoted(status: int, says: str) -> None:
    with serving() as server, TileIndex.open(server.url, encoder=ENCODER) as index:
        server.fail = lambda method, path: status
        for work in (
            lambda: index.count(),
            lambda: index.nearest(vectors(1)[0], limit=1),
            lambda: index.upsert([tile()], vectors(1)),
            lambda: list(index.scroll()),
            lambda: index.statistics(),
            lambda: index.mark_complete("work", {}),
        ):
            with pytest.raises(TileIndexError, match=says):
                work()


@pytest.mark.parametrize("answer", [b"<html>hello</html>", b"{}", b'{"result": 7}', b""])
def test_a_server_of_another_kind_is_told_apart(answer: bytes) -> None:
    with (
        serving(answer=answer) as server,
        pytest.raises(TileIndexError, match="does not answer as one"),
    ):
        TileIndex.open(server.url, encoder=ENCODER)


def test_a_collection_of_somebody_else_is_left_alone() -> None:
    with serving() as server:
        two = models.VectorParams(size=2, distance=models.Distance.DOT)
        server.engine.create_collection("theirs", vectors_config=two)
        with pytest.raises(TileIndexError, match="'theirs' that is not a keenkite index"):
            TileIndex.open(f"{server.url}/theirs", encoder=ENCODER)
        assert not server.engine.collection_exists("theirs-records")


@pytest.mark.parametrize(
    "url",
    [
        "http://user:secret@host:6333/c",
        "http://host:port",
        "http://host:99999999",
        "http://host/c?api_key=secret",
        "http:///c",
    ],
)
def test_a_url_that_cannot_be_used_is_refused(url: str) -> None:
    with pytest.raises(InputError) as caught:
        TileIndex.open(url, encoder=ENCODER)
    assert "secret" not in str(caught.value)


def test_an_index_half_made_is_finished_by_the_next_opening() -> None:
    with serving() as server:
        made: list[str] = []

        def dies_at_third_index(method: str, path: str) -> int | None:
            made.append(path)
            return 503 if made.count("/collections/keenkite/index") >= 3 else None

        server.fail = dies_at_third_index
        with pytest.raises(TileIndexError):
            TileIndex.open(server.url, encoder=ENCODER)
        server.fail = lambda method, path: None
        TileIndex.open(server.url, encoder=ENCODER).close()
        assert server.indexes["keenkite"] == PAYLOAD_INDEXES


def scans(server: Server) -> int:
    """How often all vectors were read since the last call."""
    number = server.requests.count(("POST", "/collections/keenkite/points/scroll"))
    server.requests.clear()
    return number


def check(index: TileIndex, world: World, rows: slice) -> None:
    statistics = index.statistics()
    values = world.vectors[rows].astype(np.float64)
    assert statistics.n == len(values)
    np.testing.assert_allclose(statistics.mean, values.mean(axis=0), rtol=0, atol=1e-12)
    np.testing.assert_allclose(
        statistics.covariance, np.cov(values.T, bias=True), rtol=0, atol=1e-12
    )


def test_statistics_need_no_scan_while_one_process_writes_and_another_reads() -> None:
    world = World.drawn(600)
    with serving() as server, TileIndex.open(server.url, encoder=ENCODER) as writer:
        reader = TileIndex.open(server.url, encoder=None)
        writer.upsert(world.tiles[:300], world.vectors[:300])
        check(reader, world, slice(300))
        writer.upsert(world.tiles[200:], world.vectors[200:])
        check(reader, world, slice(600))
        later = TileIndex.open(server.url, encoder=ENCODER)
        later.upsert(world.tiles[:100], world.vectors[:100])
        check(later, world, slice(600))
        check(writer, world, slice(600))
        assert later.delete(Filters(tile_ids=tuple(t.id for t in world.tiles[:50]))) == 50
        scans(server)  # deleting reads which tiles there are
        check(reader, world, slice(50, 600))
        assert scans(server) == 0


def test_statistics_are_scanned_again_after_a_change_that_was_cut_off() -> None:
    world = World.drawn(300)
    with serving() as server, TileIndex.open(server.url, encoder=ENCODER) as index:
        index.upsert(world.tiles[:200], world.vectors[:200])
        points = ("PUT", "/collections/keenkite/points")
        server.fail = lambda *request: 503 if request == points else None
        with pytest.raises(TileIndexError):
            index.upsert(world.tiles[200:], world.vectors[200:])
        server.fail = lambda method, path: None
        scans(server)
        check(index, world, slice(200))
        assert scans(server) == 1
        index.upsert(world.tiles[200:], world.vectors[200:])
        check(index, world, slice(300))
        assert scans(server) == 0


def test_statistics_are_right_though_another_process_wrote_in_the_middle_of_a_change() -> None:
    world = World.drawn(600)
    with serving() as server, TileIndex.open(server.url, encoder=ENCODER) as one:
        other = TileIndex.open(server.url, encoder=ENCODER)
        one.upsert(world.tiles[:100], world.vectors[:100])
        begun: list[str] = []

        def while_points_are_written(method: str, path: str) -> int | None:
            if (method, path) == ("PUT", "/collections/keenkite/points") and not begun:
                begun.append(path)
                # The same number of tiles as before, so that counting them tells nothing.
                other.upsert(world.tiles[:100], world.vectors[200:300])
            return None

        server.fail = while_points_are_written
        one.upsert(world.tiles[100:200], world.vectors[100:200])
        assert begun
        rows = np.r_[200:300, 100:200]
        now = World(world.tiles, world.vectors[rows], world.queries)
        for index in (one, other, one):
            check(index, now, slice(200))
