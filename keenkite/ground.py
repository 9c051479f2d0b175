"""Which tiles show the same ground, and how far tiles are apart, wherever on the globe.

Places are compared as points in space (WGS 84, metres from the Earth's centre), where neither UTM
zones nor the antimeridian nor a pole are seams.
"""

import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import lru_cache

import numpy as np
import pyproj
import shapely
from numpy.typing import ArrayLike, NDArray

from keenkite.scene import PIXEL
from keenkite.tiling import Tile

GEOD = pyproj.Geod(ellps="WGS84")

SHARED = 0.5
"""Two tiles show the same ground when they share this part of a tile or more."""

_AXIS = 6_378_137.0  # metres, WGS 84
_ECCENTRICITY2 = 0.00669437999014
_ROUNDING = 1e-6  # of a tile: polygons taken from one zone to another are not exact


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


def distance_km(
    lon_a: ArrayLike, lat_a: ArrayLike, lon_b: ArrayLike, lat_b: ArrayLike
) -> NDArray[np.float64]:
    """Kilometres over the ellipsoid between points in degrees, (n,) each -> (n,)."""
    ends = [np.atleast_1d(np.asarray(end, float)) for end in (lon_a, lat_a, lon_b, lat_b)]
    _, _, metres = GEOD.inv(ends[0], ends[1], ends[2], ends[3])
    return np.asarray(metres) / 1000


class KeptGround:
    """The ground of the tiles kept so far; to look a tile up takes a constant time."""

    def __init__(self) -> None:
        self._near: defaultdict[tuple[int, ...], list[Tile]] = defaultdict(list)
        """Cell -> the kept tiles of this cell and those that touch it."""

    def has(self, tile: Tile) -> bool:
        """Whether a kept tile shares `SHARED` of this one's ground or more, of whatever date."""
        kept = self._near.get(_cell(tile), ())
        return any(shared_ground(tile, other) >= SHARED - _ROUNDING for other in kept)

    def keep(self, tile: Tile) -> None:
        """Remember it."""
        x, y, z = _cell(tile)
        for i, j, k in itertools.product((-1, 0, 1), repeat=3):
            self._near[x + i, y + j, z + k].append(tile)


def apart(tiles: Iterable[Tile]) -> Iterator[int]:
    """Which of the tiles show ground that none before them shows."""
    ground = KeptGround()
    for i, tile in enumerate(tiles):
        if not ground.has(tile):
            ground.keep(tile)
            yield i


def shared_ground(a: Tile, b: Tile) -> float:
    """The part of `a` that `b` covers too, 0-1; they may be in different UTM zones."""
    side = PIXEL * a.size
    if a.epsg == b.epsg:
        wide = min(a.west, b.west) + side - max(a.west, b.west)
        high = min(a.north, b.north) - max(a.north, b.north) + side
        return max(wide, 0.0) * max(high, 0.0) / side**2
    ring = np.array([(0, 0), (1, 0), (1, -1), (0, -1)]) * PIXEL * b.size + (b.west, b.north)
    x, y = _between(b.epsg, a.epsg).transform(ring[:, 0], ring[:, 1])
    if not np.isfinite(x).all():  # far outside the zone of `a`
        return 0.0
    square = shapely.box(a.west, a.north - side, a.west + side, a.north)
    return float(shapely.Polygon(zip(x, y, strict=True)).intersection(square).area / side**2)


def _cell(tile: Tile) -> tuple[int, int, int]:
    """Cubes as wide as a tile: tiles with ground in common are in cubes that touch."""
    # As in `positions`, but a tile at a time, for which arrays are slow.
    lam, phi, side = math.radians(tile.lon), math.radians(tile.lat), PIXEL * tile.size
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
