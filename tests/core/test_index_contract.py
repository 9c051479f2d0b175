"""Every kind of filter finds what numpy finds, at every share of the points."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from pyproj import Geod

from keenkite.area import Area
from keenkite.index import Filters, TileIndex
from keenkite.index.backend import Tuning
from keenkite.index.server.backend import RemoteBackend
from tests.support import points
from tests.support.points import META, SPANS, Named, World
from tests.support.qdrant_server import serving

# What local mode says when it is given what only a server makes use of.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Payload indexes have no effect"),
    pytest.mark.filterwarnings("ignore:Local mode performs exact"),
]

GRAPHED = 24_000
SERVED = 1_200
WORLD = World.drawn(GRAPHED)
KINDS = list(WORLD.filters())

LARGE = Tuning()
"""As delivered: at this size, scans."""
SMALL = Tuning(full_scan_kb=1000, index_from=10_000)
"""Of this index' 6 MB as much is scanned as of a million points of 512 numbers, as delivered."""


@dataclass(frozen=True)
class Opened:
    """An index, and what it holds."""

    index: TileIndex
    world: World
    queries: int


@pytest.fixture(scope="module", params=["graph", "scan", "memory", "url"])
def opened(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Opened]:
    if request.param in ("memory", "url"):
        world = World.drawn(SERVED)
        with serving() as server:
            if request.param == "url":
                index = TileIndex.open(server.url, encoder=Named(), spans=SPANS)
            else:
                remote = RemoteBackend(server.engine, "tiles", META, location="memory")
                index = TileIndex(remote, location="memory")
            with index:
                index.upsert(world.tiles, world.vectors)
                yield Opened(index, world, queries=1)
        return
    tuning = SMALL if request.param == "graph" else LARGE
    folder = tmp_path_factory.mktemp("contract") / "index"
    with points.opened(folder, tuning=tuning) as index:
        # Some of it after the graph was made, as it is between two builds.
        part = GRAPHED - 1000
        index.upsert(WORLD.tiles[:part], WORLD.vectors[:part])
        assert index.maintain()
        index.upsert(WORLD.tiles[part:], WORLD.vectors[part:])
        yield Opened(index, WORLD, queries=50)


@pytest.mark.parametrize("kind", KINDS)
def test_a_filter_finds_what_numpy_finds(opened: Opened, kind: str) -> None:
    index, world = opened.index, opened.world
    filters = world.filters()[kind]
    matches = np.flatnonzero(world.mask(filters))
    assert index.count(filters) == len(matches)
    allowed = {world.tiles[i].id for i in matches}
    recalls = []
    for query in world.queries[: opened.queries]:
        found = index.nearest(query, limit=10, filters=filters)
        ids = [match.tile.id for match in found]
        assert len(set(ids)) == len(ids) == min(10, len(matches))
        assert set(ids) <= allowed
        scores = world.vectors[matches] @ query
        best = np.sort(scores)[::-1][:10]
        np.testing.assert_array_less(-1e-5, -np.diff([match.score for match in found]))
        # A hit counts as right when it scores as the last of the best does: ties are no misses.
        recalls += [match.score >= best[-1] - 1e-5 for match in found]
    if len(matches):
        assert np.mean(recalls) >= 0.99


def test_scores_are_dot_products_and_vectors_come_along(opened: Opened) -> None:
    index, world = opened.index, opened.world
    query = 3 * world.queries[0]
    found = index.nearest(query, limit=300, with_vectors=True)
    assert len(found) == 300
    of = {t.id: v for t, v in zip(world.tiles, world.vectors, strict=True)}
    for match in found:
        assert match.vector is not None
        assert np.array_equal(match.vector, of[match.tile.id])
        assert match.score == pytest.approx(float(match.vector @ query), abs=1e-5)


def test_more_hits_than_there_are_gives_all_that_match(opened: Opened) -> None:
    filters = Filters(regions=("region-1",), max_cloud=0.5)
    number = int(opened.world.mask(filters).sum())
    found = opened.index.nearest(opened.world.queries[0], limit=number + 100, filters=filters)
    assert len(found) == number > 0


def test_a_circle_is_right_to_half_a_percent_of_its_radius(opened: Opened) -> None:
    """The engines measure on a sphere, `Area.around` on the ellipsoid."""
    index, world = opened.index, opened.world
    ids = {t.id for t in index.scroll(Filters(area=Area.around(140, 36, 150)))}
    lon, lat = np.array([(t.lon, t.lat) for t in world.tiles]).T
    centre = np.full(len(lon), 140.0), np.full(len(lon), 36.0)
    metres = np.asarray(Geod(ellps="WGS84").inv(*centre, lon, lat)[2])
    for tile, distance in zip(world.tiles, metres, strict=True):
        if abs(distance - 150_000) > 0.006 * 150_000:
            assert (tile.id in ids) == (distance < 150_000)
