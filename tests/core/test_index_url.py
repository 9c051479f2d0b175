"""An index by URL: what goes over the wire, and what is said when the server does not answer."""

from __future__ import annotations

import socket

import numpy as np
import pytest
from qdrant_client import models

from keenkite.errors import InputError, TileIndexError
from keenkite.index import Filters, TileIndex
from keenkite.index.payload import INDEXES
from tests.support.points import SPANS, Named, World, tile, vectors
from tests.support.qdrant_server import serving, writes

ENCODER = Named()


def test_payload_indexes_are_made_before_the_first_point() -> None:
    with serving() as server, TileIndex.open(server.url, encoder=ENCODER) as index:
        index.upsert([tile()], vectors(1))
        assert server.indexes["keenkite"] == INDEXES
        index_made = ("PUT", "/collections/keenkite/index")
        first_point = server.requests.index(("PUT", "/collections/keenkite/points"))
        assert server.requests.count(index_made) == len(INDEXES)
        assert server.requests[:first_point].count(index_made) == len(INDEXES)


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


def test_a_key_that_may_only_read_is_enough_for_all_that_reads() -> None:
    with serving(api_key="all", read_key="read") as server:
        with TileIndex.open(server.url, encoder=ENCODER, api_key="all") as index:
            index.upsert([tile(i) for i in range(5)], vectors(5))
            index.mark_complete("work", {"scene": "scene"})
        server.requests.clear()
        # Neither the statistics nor the regions were kept by a maintenance.
        for encoder in (ENCODER, None):
            with TileIndex.open(server.url, encoder=encoder, api_key="read") as index:
                assert len(index.nearest(vectors(1)[0], limit=3)) == 3
                assert index.statistics().n == 5
                assert [region.tiles for region in index.regions()] == [5]
                assert index.get([tile(3).id]) == [tile(3)]
                assert index.count(Filters(spans=(2240,))) == 5
                assert index.dates_of([tile(2).cell])[tile(2).cell] == [tile(2)]
                assert index.is_complete("work")
        assert all(not writes(*request) for request in server.requests)
        with TileIndex.open(server.url, encoder=ENCODER, api_key="read") as index:
            for work in (
                lambda: index.upsert([tile(9)], vectors(1)),
                lambda: index.label([tile(1)], "x"),
                lambda: index.remove(Filters(regions=("kanto",))),
                lambda: index.maintain(),
            ):
                with pytest.raises(TileIndexError, match=r"refuses access \(403\)"):
                    work()
            assert index.count() == 5


def test_what_a_maintenance_kept_is_not_worked_out_again() -> None:
    world = World.drawn(600)
    with serving() as server:
        with TileIndex.open(server.url, encoder=ENCODER, spans=SPANS) as index:
            index.upsert(world.tiles, world.vectors)
            assert index.maintain() is False  # a server builds its graph by itself
            kept, regions = index.statistics(), index.regions()
        server.requests.clear()
        with TileIndex.open(server.url, encoder=None) as index:
            assert np.array_equal(index.statistics().covariance, kept.covariance)
            assert index.regions() == regions
        assert ("POST", "/collections/keenkite/points/scroll") not in server.requests


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
            lambda: index.regions(),
            lambda: index.label([tile()], "x"),
            lambda: index.remove_region("x"),
            lambda: index.add_spans([560]),
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
        assert server.indexes["keenkite"] == INDEXES
