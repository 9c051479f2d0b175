"""What a near condition looks at: where in the index a concept is seen, and what that is near to.

Distances are from thing to thing, over the ellipsoid; where a thing is, and how surely, is told by
the tiles that show it (`position`).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import shapely
from scipy.spatial import cKDTree
from shapely.geometry.polygon import orient

from keenkite.area import Area
from keenkite.ground import apart, distance_km
from keenkite.index import Filters, Match
from keenkite.retrieval.calibration import confidence
from keenkite.retrieval.candidates import Candidates, together
from keenkite.retrieval.concepts import Floats
from keenkite.retrieval.look_alikes import POOL
from keenkite.retrieval.position import Sightings, Spots
from keenkite.retrieval.query import MAX_KM
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

Rows: TypeAlias = Sequence[int | None]
"""For each candidate one of the sightings; None for none."""

_SHORTER = 2e-5  # a straight line of 100 km is shorter than the way over the ground by half of this
_KM_PER_DEGREE = 110.5  # of latitude, at the equator, where it is least


@dataclass(frozen=True, kw_only=True)
class Neighbour:
    """A place of the concept that is named for a candidate; its fields are those of `Met`."""

    tile: Tile
    tile_confidence: float
    lon: float
    lat: float
    km: float
    km_error: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Neighbours:
    """What is near n candidates."""

    odds: Floats
    """(n,) log-odds that the concept is seen within the distance, `ABSENT` at least."""
    named: Rows
    """(n,) of `there`; None where nothing is looked at."""
    here: Spots
    """(n,) of the candidates' own things."""
    there: Sightings
    """Of the concept."""

    def of(self, i: int) -> Neighbour | None:
        """The one that is named for candidate i."""
        row = self.named[i]
        if row is None:
            return None
        spots = self.there.spots
        lon, lat = spots.lonlat(row)
        return Neighbour(
            tile=self.there.tiles[row],
            tile_confidence=float(confidence(self.there.odds[row])),
            lon=lon,
            lat=lat,
            km=_km_between(self.here, i, spots, row),
            km_error=math.hypot(self.here.error_km[i], spots.error_km[row]),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Surroundings:
    """Where a concept is seen in an index, to be asked what is within a distance of a thing.

    All tiles of the index count, of any date and span: the filters of a query speak of its hits.
    """

    sought: Sought
    """The concept, with as many of its best tiles as `looked_at` says."""
    main: Sought
    """The thing that it is to be near to."""
    within_km: float
    """From thing to thing."""
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
        return None if self.exact else self._around([m.tile for m in self.sought.best])

    def of(self, candidates: Candidates, *, beyond: bool = False) -> Neighbours | None:
        """What each of n candidates has within the distance.

        The log-odds are the highest within it. The neighbour named is the nearest convincing one
        within it, and where none is convincing, the surest. What a candidate's own ground shows is
        within any distance.

        Args:
            candidates: n tiles, best first.
            beyond: name the nearest convincing one even where it is farther away than that.

        Returns:
            None when nothing is looked at.
        """
        if not self.sought.best or not candidates.tiles:
            return None
        tiles = candidates.tiles
        here, there = self._here(candidates), self._there(tiles)
        own = there.rows_of(tiles)
        best = self._best(own, here, there)
        odds = [ABSENT if row is None else max(float(there.odds[row]), ABSENT) for row in best]
        reach = MAX_KM if beyond else self.within_km
        nearest = _nearest(own, here, there, within_km=reach)
        named = [best[i] if row is None else row for i, row in enumerate(nearest)]
        return Neighbours(odds=np.array(odds), named=named, here=here, there=there)

    def _best(self, own: Rows, here: Spots, there: Sightings) -> list[int | None]:
        """The surest sighting within the distance of each candidate, and on its own ground."""
        best = list(own)
        tree, metres = cKDTree(there.spots.points), 1000 * self.within_km
        found = tree.query_ball_point(here.points, metres, return_sorted=True)
        for i, rows in enumerate(found):
            mine = own[i]
            for row in rows:  # surest first; nearly always the first is in reach
                if mine is not None and mine <= row:
                    break
                if _reaches(here, i, there.spots, row, self.within_km):
                    best[i] = row
                    break
        return best

    def _there(self, tiles: Sequence[Tile]) -> Sightings:
        """The concept: anywhere, and around the candidates."""
        if self.exact:
            return self._everywhere
        ground = Filters(area=self._around(tiles))
        local = self.sought.index.nearest(
            self.sought.wanted.query, limit=BOUND, filters=ground, with_vectors=True
        )
        return _sightings(self.sought, together([*self.sought.best, *local]))

    def _here(self, candidates: Candidates) -> Spots:
        """The candidates' own things: by all tiles of the index, or else by the best and these."""
        tiles = candidates.tiles
        seen = self._mains if self.exact else self._among(candidates)
        rows = seen.rows_of(tiles)
        if None in rows:  # as when a build has just added some
            seen = self._among(candidates)
            rows = seen.rows_of(tiles)
        return seen.spots.at([row for row in rows if row is not None])

    def _among(self, candidates: Candidates) -> Sightings:
        best = self.main.candidates(self.main.best)
        odds = np.concatenate([self.main.seen(candidates), self.main.seen(best)])
        return Sightings.of([*candidates.tiles, *best.tiles], odds)

    def _around(self, tiles: Sequence[Tile]) -> Area:
        """The ground around tiles on which the centres of tiles count."""
        # Each of two things may be half a tile off the centre of the tile that shows it.
        return around(tiles, self.within_km + max(self.sought.index.spans) / 1000)

    @cached_property
    def _everywhere(self) -> Sightings:
        return _sightings(self.sought, self.sought.best)

    @cached_property
    def _mains(self) -> Sightings:
        return _sightings(self.main, self.sought.best)


def _sightings(sought: Sought, matches: Sequence[Match]) -> Sightings:
    """The thing as some tiles show it."""
    candidates = sought.candidates(matches)
    return Sightings.of(candidates.tiles, sought.seen(candidates))


def _nearest(own: Rows, here: Spots, there: Sightings, *, within_km: float) -> Rows:
    """The nearest convincing sighting of each of n things, where one is within the distance.

    Several tiles show one thing, each a little elsewhere; of those that are no farther from the
    nearest than it may itself be off, the surest is named.
    """
    sure = there.convincing
    if not sure:
        return [None] * len(own)
    tree = cKDTree(there.spots.points[:sure])
    _, nearest = tree.query(here.points)
    known = np.unique(nearest)
    off = 1000 * there.spots.error_km[known]
    same = tree.query_ball_point(there.spots.points[known], off, return_sorted=True)
    one = dict(zip(known.tolist(), same, strict=True))

    def counts(i: int, row: int) -> bool:
        return row == own[i] or _reaches(here, i, there.spots, row, within_km)

    return [
        next((row for row in one[j] if counts(i, row)), None)
        for i, j in enumerate(nearest.tolist())
    ]


def _reaches(a: Spots, i: int, b: Spots, j: int, within_km: float) -> bool:
    """Whether thing j of b is within a distance of thing i of a, over the ellipsoid."""
    straight = float(np.linalg.norm(a.points[i] - b.points[j])) / 1000
    if straight <= within_km * (1 - _SHORTER):
        return True
    return straight <= within_km and _km_between(a, i, b, j) <= within_km


def _km_between(a: Spots, i: int, b: Spots, j: int) -> float:
    """Kilometres over the ellipsoid from thing i of a to thing j of b."""
    return float(distance_km(*a.lonlat(i), *b.lonlat(j))[0])


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
