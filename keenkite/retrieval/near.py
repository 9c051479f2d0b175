"""Near: which tiles have another concept within some kilometres, and where it is.

Distances are between the centres of tiles, over the ellipsoid. Two tiles that overlap are 1.1 km
apart, and a tile that shows both things is its own neighbour at 0 km.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from shapely.geometry.polygon import orient

from keenkite.area import Area
from keenkite.errors import InputError
from keenkite.index import Filters, Match, TileIndex
from keenkite.ground import apart, distance_km, positions
from keenkite.retrieval.scoring import Floats, Vectors, Wanted, confidence, judge
from keenkite.tiling import Tile

EXACT = 4096
"""With no more tiles than this, every tile of the index is looked at, on both sides."""

BOUND = 100
"""In a larger index: the tiles looked at for each near concept, as often as this over: its best
anywhere, its best around the best candidates, and the candidates' best around its best."""

SPOTS = 32
"""Places that "around the best" means: the best that do not overlap."""

MAX_KM = 100.0
"""How far a neighbour may be asked for."""

ABSENT = -8.0
"""Log-odds of a neighbour where none was found: a confidence of 0.0003."""

_SHORTER = 2e-5  # a straight line of 100 km is shorter than the way over the ground by half of this
_KM_PER_DEGREE = 110.5  # of latitude, at the equator, where it is least


@dataclass(frozen=True, kw_only=True)
class Near:
    """Another concept that must be seen not far away."""

    text: str
    """One concept, such as "sea"."""
    within_km: float
    """Between the centres of the two tiles; above 0, at most 100."""

    def __post_init__(self) -> None:
        if not self.text.strip():
            raise InputError("A near concept has no text. Say what must be near in a few words.")
        if not 0 < self.within_km <= MAX_KM:  # so written that NaN fails
            raise InputError(
                f"{self.text!r} within {self.within_km} km cannot be asked for; use a distance "
                f"above 0 and up to {MAX_KM:g} km. Tiles are 2.24 km wide."
            )


@dataclass(frozen=True, kw_only=True)
class Neighbour:
    """The best tile for a near concept within the distance."""

    text: str
    """What was asked to be near."""
    tile: Tile
    distance_km: float
    """Between the centres of the tiles, over the ellipsoid."""
    confidence: float
    """That it shows the concept, 0-1."""

    def to_dict(self) -> dict[str, Any]:
        """As plain types, for JSON."""
        return {
            "text": self.text,
            "tile_id": self.tile.id,
            "lon": self.tile.lon,
            "lat": self.tile.lat,
            "distance_km": round(self.distance_km, 2),
            "confidence": round(self.confidence, 3),
        }


@dataclass(frozen=True, kw_only=True)
class Reached:
    """What n candidates have of a near concept within the distance."""

    near: Near
    tiles: Sequence[Tile]
    """The candidates."""
    others: Sequence[Match]
    """Tiles looked at for the concept."""
    odds: Floats
    """(n,) log-odds that it is seen within the distance, `ABSENT` where nothing is."""
    which: NDArray[np.int64]
    """(n,) the best neighbour's place in `others`, -1 where there is none."""

    def neighbour(self, i: int) -> Neighbour | None:
        """The best neighbour of candidate i."""
        if self.which[i] < 0:
            return None
        other = self.others[self.which[i]].tile
        return Neighbour(
            text=self.near.text,
            tile=other,
            distance_km=_km(self.tiles[i], other),
            confidence=float(confidence(self.odds[i])),
        )


class Surroundings:
    """Where a near concept is seen in an index.

    All tiles of the index count, of any date: the filters of a query speak of its hits.
    """

    def __init__(self, index: TileIndex, wanted: Wanted, near: Near, *, tiles: int) -> None:
        """Look for the concept.

        Args:
            index: where to look.
            wanted: the concept.
            near: the same, as it was asked for.
            tiles: how many the index holds.
        """
        self._index = index
        self._wanted = wanted
        self._near = near
        self._exact = tiles <= EXACT
        self.bound = EXACT if self._exact else BOUND
        """How many tiles are looked at in one search of the index."""
        self._best = index.nearest(wanted.query, limit=self.bound, with_vectors=True)

    def reach(self) -> Area | None:
        """The ground around the concept's best places; None when there is no need to look there."""
        return None if self._exact else around([m.tile for m in self._best], self._near.within_km)

    def of(self, tiles: Sequence[Tile]) -> Reached:
        """What each of n candidates, best first, has within the distance."""
        others = self._others(tiles) if tiles else []
        odds = np.full(len(tiles), ABSENT)
        which = np.full(len(tiles), -1)
        reached = Reached(near=self._near, tiles=tiles, others=others, odds=odds, which=which)
        if not others:
            return reached
        theirs, _ = judge(self._wanted, vectors_of(others))
        rank = np.empty(len(others), int)
        rank[np.argsort(-theirs, kind="stable")] = np.arange(len(others))
        here = positions([t.lon for t in tiles], [t.lat for t in tiles])
        there = positions([m.tile.lon for m in others], [m.tile.lat for m in others])
        metres = 1000 * self._near.within_km
        for i, found in enumerate(cKDTree(there).query_ball_point(here, metres)):
            # From the best on: nearly always the first is within reach over the ellipsoid too.
            for j in sorted(found, key=rank.__getitem__):
                sure = np.linalg.norm(here[i] - there[j]) <= metres * (1 - _SHORTER)
                if sure or _km(tiles[i], others[j].tile) <= self._near.within_km:
                    odds[i], which[i] = max(theirs[j], ABSENT), j
                    break
        return reached

    def _others(self, tiles: Sequence[Tile]) -> list[Match]:
        """The concept's best tiles, best z first: anywhere, and around the candidates."""
        if self._exact:
            return self._best
        local = self._index.nearest(
            self._wanted.query,
            limit=BOUND,
            filters=Filters(area=around(tiles, self._near.within_km)),
            with_vectors=True,
        )
        both = {match.tile.id: match for match in [*self._best, *local]}
        return sorted(both.values(), key=lambda match: -match.score)


def vectors_of(matches: Sequence[Match]) -> Vectors:
    """(n, dim) of matches that were asked for with their vectors."""
    return np.stack([match.vector for match in matches if match.vector is not None])


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


def _km(a: Tile, b: Tile) -> float:
    return float(distance_km(a.lon, a.lat, b.lon, b.lat)[0])
