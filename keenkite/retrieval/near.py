"""What a near condition looks at: where in the index a concept is seen, and what that is near to.

Distances are between the centres of tiles, over the ellipsoid. Two tiles that overlap by half are
half a span apart, and a tile that shows both things is its own neighbour at 0 km.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from scipy.spatial import cKDTree
from shapely.geometry.polygon import orient

from keenkite.area import Area
from keenkite.ground import apart, distance_km, positions
from keenkite.index import Filters, Match
from keenkite.retrieval.candidates import together
from keenkite.retrieval.concepts import Floats
from keenkite.retrieval.look_alikes import POOL
from keenkite.retrieval.sought import Sought
from keenkite.tiling import Tile

EXACT = 4096
"""With no more tiles than this, every tile of the index is looked at, on both sides."""

BOUND = POOL
"""In a larger index: the tiles looked at for each near concept, as often as this over: its best
anywhere, its best around the best candidates, and the candidates' best around its best."""

SPOTS = 32
"""Places that "around the best" means: the best that do not overlap."""

ABSENT = -8.0
"""Log-odds of a neighbour where none was found: a confidence of 0.0003."""

_SHORTER = 2e-5  # a straight line of 100 km is shorter than the way over the ground by half of this
_KM_PER_DEGREE = 110.5  # of latitude, at the equator, where it is least


@dataclass(frozen=True, kw_only=True, eq=False)
class Surroundings:
    """Where a concept is seen in an index, to be asked what is within a distance of it.

    All tiles of the index count, of any date and span: the filters of a query speak of its hits.
    """

    sought: Sought
    """The concept, with as many of its best tiles as `looked_at` says."""
    within_km: float
    """Between the centres of two tiles."""
    tiles: int
    """How many the index holds."""

    @staticmethod
    def looked_at(tiles: int) -> int:
        """How many of a concept's best tiles are looked at in an index of so many."""
        return EXACT if tiles <= EXACT else BOUND

    @property
    def exact(self) -> bool:
        """Whether these are all tiles of the index."""
        return self.tiles <= EXACT

    @property
    def bound(self) -> int:
        """How many tiles are looked at in one search of the index."""
        return self.looked_at(self.tiles)

    def reach(self) -> Area | None:
        """The ground around the concept's best places; None when there is no need to look there."""
        return None if self.exact else around([m.tile for m in self.sought.best], self.within_km)

    def of(self, tiles: Sequence[Tile]) -> tuple[Floats, list[Tile | None]]:
        """What each of n candidates, best first, has within the distance.

        Returns:
            (n,) log-odds that the concept is seen there, `ABSENT` where nothing is looked at; and
            the n tiles that show it best, None where there is none.
        """
        odds = np.full(len(tiles), ABSENT)
        neighbours: list[Tile | None] = [None] * len(tiles)
        others = self._others(tiles) if tiles else []
        if not others:
            return odds, neighbours
        theirs = self.sought.seen(self.sought.candidates(others))
        rank = np.empty(len(others), int)
        rank[np.argsort(-theirs, kind="stable")] = np.arange(len(others))
        here = positions([t.lon for t in tiles], [t.lat for t in tiles])
        there = positions([m.tile.lon for m in others], [m.tile.lat for m in others])
        metres = 1000 * self.within_km
        for i, found in enumerate(cKDTree(there).query_ball_point(here, metres)):
            # From the best on: nearly always the first is within reach over the ellipsoid too.
            for j in sorted(found, key=rank.__getitem__):
                sure = np.linalg.norm(here[i] - there[j]) <= metres * (1 - _SHORTER)
                if sure or km_between(tiles[i], others[j].tile) <= self.within_km:
                    odds[i], neighbours[i] = max(theirs[j], ABSENT), others[j].tile
                    break
        return odds, neighbours

    def _others(self, tiles: Sequence[Tile]) -> Sequence[Match]:
        """The concept's best tiles, best z first: anywhere, and around the candidates."""
        if self.exact:
            return self.sought.best
        local = self.sought.index.nearest(
            self.sought.wanted.query,
            limit=BOUND,
            filters=Filters(area=around(tiles, self.within_km)),
            with_vectors=True,
        )
        return together([*self.sought.best, *local])


def km_between(a: Tile, b: Tile) -> float:
    """Kilometres between the centres of two tiles."""
    return float(distance_km(a.lon, a.lat, b.lon, b.lat)[0])


def around(tiles: Sequence[Tile], within_km: float) -> Area:
    """Ground that holds everything within a distance of the first `SPOTS` places of the tiles."""
    high = within_km / _KM_PER_DEGREE
    boxes = []
    for i in itertools.islice(apart(tiles), SPOTS):
        tile = tiles[i]
        pole = min(abs(tile.lat) + high, 89.0)
        wide = min(within_km / (_KM_PER_DEGREE * math.cos(math.radians(pole))), 90.0)
        south, north = max(tile.lat - high, -90.0), min(tile.lat + high, 90.0)
        for turn in (-360, 0, 360):
            west, east = tile.lon - wide + turn, tile.lon + wide + turn
            if east > -180 and west < 180:
                boxes.append(shapely.box(max(west, -180), south, min(east, 180), north))
    # One box per joined part: an outline of many corners costs the engine more than ground does.
    parts = [part.envelope for part in shapely.get_parts(shapely.union_all(boxes))]
    return Area(parts=tuple(map(orient, shapely.get_parts(shapely.union_all(parts)))))


def common(area: Area | None, other: Area) -> Area | None:
    """The ground that both areas hold; None when there is none. No first area is no limit."""
    if area is None:
        return other
    shape = shapely.MultiPolygon(area.parts).intersection(shapely.MultiPolygon(other.parts))
    parts = [part for part in shapely.get_parts(shape) if part.area > 0]
    return Area(parts=tuple(map(orient, parts))) if parts else None
