"""Near: which tiles have another concept within some kilometres, and where it is.

Distances are between the centres of tiles, over the ellipsoid. Two tiles that overlap are 1.1 km
apart, and a tile that shows both things is its own neighbour at 0 km.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from scipy.spatial import cKDTree

from .area import Area
from .errors import InputError
from .ground import distance_km, positions
from .index import Filters, Match, TileIndex
from .scoring import Floats, Vectors, Wanted, confidence, judge
from .tiling import Tile

NEIGHBOURS = 512
"""Tiles looked at for the other concept: its best in the whole index, and as many of its best
around the candidates. With no more tiles than this in the index, the answer is exact."""

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


def find_neighbours(
    index: TileIndex, wanted: Wanted, near: Near, tiles: Sequence[Tile]
) -> tuple[Floats, list[Neighbour | None]]:
    """The best neighbour of each tile.

    Neighbours are looked for among all tiles of the index, of any date: the filters of a query
    speak of its hits.

    Args:
        index: where to look.
        wanted: the near concept.
        near: the same, as it was asked for.
        tiles: n candidates.

    Returns:
        (n,) log-odds that the concept is within reach, `ABSENT` where nothing is; and the
        neighbours, None where nothing is.
    """
    values = np.full(len(tiles), ABSENT)
    found: list[Neighbour | None] = [None] * len(tiles)
    others = _candidates(index, wanted, near.within_km, tiles) if tiles else []
    if not others:
        return values, found
    odds, _ = judge(wanted, vectors_of(others))
    order = np.argsort(-odds, kind="stable")
    others, odds = [others[i] for i in order], odds[order]

    here = positions([t.lon for t in tiles], [t.lat for t in tiles])
    there = positions([m.tile.lon for m in others], [m.tile.lat for m in others])
    metres = 1000 * near.within_km
    tree = cKDTree(there)
    for i, reached in enumerate(tree.query_ball_point(here, metres)):
        # From the best on: nearly always the first is within reach by the exact distance too.
        for j in sorted(reached):
            tile, other = tiles[i], others[j].tile
            straight = float(np.linalg.norm(here[i] - there[j]))
            if straight > metres * (1 - _SHORTER) and _km(tile, other) > near.within_km:
                continue
            values[i] = max(float(odds[j]), ABSENT)
            found[i] = Neighbour(
                text=near.text,
                tile=other,
                distance_km=_km(tile, other),
                confidence=float(confidence(odds[j])),
            )
            break
    return values, found


def vectors_of(matches: Sequence[Match]) -> Vectors:
    """(n, dim) of matches that were asked for with their vectors."""
    return np.stack([match.vector for match in matches if match.vector is not None])


def _candidates(
    index: TileIndex, wanted: Wanted, within_km: float, tiles: Sequence[Tile]
) -> list[Match]:
    """The best tiles for the near concept, everywhere and around the candidates."""
    best = index.nearest(wanted.query, limit=NEIGHBOURS, with_vectors=True)
    if len(best) < NEIGHBOURS:
        return best
    area = _around(tiles, within_km)
    local = index.nearest(
        wanted.query, limit=NEIGHBOURS, filters=Filters(area=area), with_vectors=True
    )
    both = {match.tile.id: match for match in [*best, *local]}
    return sorted(both.values(), key=lambda match: -match.score)


def _around(tiles: Sequence[Tile], within_km: float) -> Area:
    """Boxes that hold everything within a distance of the tiles, joined where they overlap."""
    high = within_km / _KM_PER_DEGREE
    boxes = []
    for tile in tiles:
        pole = min(abs(tile.lat) + high, 89.0)
        wide = min(within_km / (_KM_PER_DEGREE * math.cos(math.radians(pole))), 90.0)
        south, north = max(tile.lat - high, -90.0), min(tile.lat + high, 90.0)
        boxes.append(shapely.box(tile.lon - wide, south, tile.lon + wide, north))
    joined = shapely.union_all(boxes)
    # One box per joined part: an outline of many corners costs the engine more than ground does.
    parts = shapely.union_all([part.envelope for part in shapely.get_parts(joined)])
    return Area.from_geojson(shapely.geometry.mapping(parts))


def _km(a: Tile, b: Tile) -> float:
    return float(distance_km(a.lon, a.lat, b.lon, b.lat)[0])
