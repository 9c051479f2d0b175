"""Which tiles show the same ground, and how far tiles are apart, wherever on the globe.

Places are compared as points in space (WGS 84, metres from the Earth's centre), where neither UTM
zones nor the antimeridian nor a pole are seams.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import TypeAlias

import numpy as np
import pyproj
import shapely
from numpy.typing import ArrayLike, NDArray

from keenkite.tiling import Tile

_Grid: TypeAlias = "defaultdict[tuple[int, int, int], list[Tile]]"

GEOD = pyproj.Geod(ellps="WGS84")

SHARED = 0.5
"""Two tiles show the same ground when they share this part of the smaller one, or more."""

_AXIS = 6_378_137.0  # metres, WGS 84
_ECCENTRICITY2 = 0.00669437999014
_ROUNDING = 1e-6  # of a tile: polygons taken from one zone to another are not exact
_REACH = (
    0.75  # of a tile's span: from its centre to that of a smaller one that shares half, and more
)


def positions(lon: ArrayLike, lat: ArrayLike) -> NDArray[np.float64]:
    """Degrees, (n,) each -> (n, 3) metres from the Earth's centre, on the ellipsoid.

    The straight line between two of them is never longer than the way over the ground, and at
    100 km shorter by a metre.
    """
    lam, phi = np.radians(np.asarray(lon, float)), np.radians(np.asarray(lat, float))
    normal = _AXIS / np.sqrt(1 - _ECCENTRICITY2 * np.sin(phi) ** 2)
    return np.stack(
        [
            normal * np.cos(phi) * np.cos(lam),
            normal * np.cos(phi) * np.sin(lam),
            normal * (1 - _ECCENTRICITY2) * np.sin(phi),
        ],
        axis=-1,
    )


def degrees(points: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(..., 3) metres from the Earth's centre -> longitude and latitude, (...) each.

    The inverse of `positions` for points on the ellipsoid; one that is 100 m off it in height is
    right to a metre.
    """
    x, y, z = np.moveaxis(np.asarray(points, float), -1, 0)
    lat = np.arctan2(z, (1 - _ECCENTRICITY2) * np.hypot(x, y))
    return np.degrees(np.arctan2(y, x)), np.degrees(lat)


def distance_km(
    lon_a: ArrayLike, lat_a: ArrayLike, lon_b: ArrayLike, lat_b: ArrayLike
) -> NDArray[np.float64]:
    """Kilometres over the ellipsoid between points in degrees, (n,) each -> (n,)."""
    ends = [np.atleast_1d(np.asarray(end, float)) for end in (lon_a, lat_a, lon_b, lat_b)]
    _, _, metres = GEOD.inv(ends[0], ends[1], ends[2], ends[3])
    return np.asarray(metres) / 1000


class KeptGround:
    """The ground of the tiles kept so far; to look a tile up takes a constant time.

    Two tiles show the same ground when they share half of the smaller one's, whatever their dates,
    spans and UTM zones. The rule has no side: a thing of 300 m is the same hit in a tile of 1,120 m
    and in one of 4,480 m round it, and of the two the first to be kept stays. So the order in which
    tiles are offered decides: best first, a wide tile never takes the place of a better one inside
    it, and, kept for being better, stands for all the tiles inside it.
    """

    def __init__(self) -> None:
        self._tiles: list[Tile] = []
        self._grids: dict[int, _Grid] = {}
        """Side of its cubes -> the kept tiles that are no larger than such a cube allows."""

    def has(self, tile: Tile) -> bool:
        """Whether a kept tile shows the same ground."""
        side = _side(tile)
        self._grid(side)
        # Larger tiles are found in the grids of their own size, the others in that of this one's.
        return any(
            shared_ground(tile, other) >= SHARED - _ROUNDING
            for each, grid in self._grids.items()
            if each >= side
            for other in grid.get(_cube(tile, each), ())
        )

    def keep(self, tile: Tile) -> None:
        """Remember it."""
        side = _side(tile)
        self._grid(side)
        self._tiles.append(tile)
        for each, grid in self._grids.items():
            if each >= side:
                _add(grid, each, tile)

    def _grid(self, side: int) -> _Grid:
        """The grid of cubes of this side, made when it is first asked for."""
        if side not in self._grids:
            grid = self._grids[side] = defaultdict(list)
            for tile in self._tiles:
                if _side(tile) <= side:
                    _add(grid, side, tile)
        return self._grids[side]


def apart(tiles: Iterable[Tile]) -> Iterator[int]:
    """Which of the tiles show ground that none before them shows."""
    ground = KeptGround()
    for i, tile in enumerate(tiles):
        if not ground.has(tile):
            ground.keep(tile)
            yield i


def shared_ground(a: Tile, b: Tile) -> float:
    """The part of the smaller of two tiles that the other covers too, 0-1, in whatever zones."""
    if a.epsg == b.epsg:
        wide = min(a.west + a.span, b.west + b.span) - max(a.west, b.west)
        high = min(a.north, b.north) - max(a.north - a.span, b.north - b.span)
        return max(wide, 0.0) * max(high, 0.0) / min(a.span, b.span) ** 2
    ring = np.array([(0, 0), (1, 0), (1, -1), (0, -1)]) * b.span + (b.west, b.north)
    x, y = _between(b.epsg, a.epsg).transform(ring[:, 0], ring[:, 1])
    if not np.isfinite(x).all():  # far outside the zone of `a`
        return 0.0
    square = shapely.box(a.west, a.north - a.span, a.west + a.span, a.north)
    other = shapely.Polygon(zip(x, y, strict=True))
    return float(other.intersection(square).area / min(square.area, other.area))


def _side(tile: Tile) -> int:
    """Side of the cubes to look a tile up in, metres: the power of two that its span asks for.

    A tile that shares half of it, and is no larger, has its centre within 0.71 of its span; so it
    is in a cube that touches this one's.
    """
    return 1 << max(math.ceil(math.log2(_REACH * tile.span)), 0)


def _add(grid: _Grid, side: int, tile: Tile) -> None:
    """Note a tile in its cube and in those that touch it."""
    x, y, z = _cube(tile, side)
    for i, j, k in itertools.product((-1, 0, 1), repeat=3):
        grid[x + i, y + j, z + k].append(tile)


def _cube(tile: Tile, side: int) -> tuple[int, int, int]:
    """Which cube of space a tile's centre is in."""
    # As in `positions`, but a tile at a time, for which arrays are slow.
    lam, phi = math.radians(tile.lon), math.radians(tile.lat)
    normal = _AXIS / math.sqrt(1 - _ECCENTRICITY2 * math.sin(phi) ** 2)
    level = normal * math.cos(phi)
    height = normal * (1 - _ECCENTRICITY2) * math.sin(phi)
    return (
        math.floor(level * math.cos(lam) / side),
        math.floor(level * math.sin(lam) / side),
        math.floor(height / side),
    )


@lru_cache(maxsize=64)
def _between(epsg: int, other: int) -> pyproj.Transformer:
    return pyproj.Transformer.from_crs(epsg, other, always_xy=True)
