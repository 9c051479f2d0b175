"""Where things are, and how far apart: tile by tile over the ellipsoid, an oracle for `near`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pyproj import Geod

from keenkite.tiling import Tile

GEOD = Geod(ellps="WGS84")
LINE = math.log(0.3 / 0.7)


class Thing(NamedTuple):
    """What a piece of ground shows."""

    odds: float
    lon: float
    lat: float
    error_km: float


def things(tiles: Sequence[Tile], odds: Sequence[float]) -> dict[str, Thing]:
    """Cell -> the thing there, by the date that shows it best."""
    best: dict[str, tuple[float, Tile]] = {}
    for tile, sure in zip(tiles, odds, strict=True):
        if tile.cell not in best or sure > best[tile.cell][0]:
            best[tile.cell] = sure, tile
    return {cell: _thing(tile, best) for cell, (_, tile) in best.items()}


def _thing(tile: Tile, best: Mapping[str, tuple[float, Tile]]) -> Thing:
    own, half = best[tile.cell][0], tile.span / math.sqrt(2)
    if own < LINE:
        return Thing(own, tile.lon, tile.lat, half / 1000)
    seen = []  # chance, half diagonal, metres east and north of the tile
    for sure, other in best.values():
        azimuth, _, metres = GEOD.inv(tile.lon, tile.lat, other.lon, other.lat)
        if sure >= LINE and metres < 0.95 * (tile.span + other.span) / 2:
            east, north = (f(math.radians(azimuth)) * metres for f in (math.sin, math.cos))
            seen.append((1 / (1 + math.exp(-sure)), other.span / math.sqrt(2), east, north))
    surest, least = max(s[0] for s in seen), min(s[1] for s in seen)
    weights = [chance / surest / half**2 for chance, half, _, _ in seen]
    east, north = (
        sum(w * s[axis] for w, s in zip(weights, seen, strict=True)) / sum(weights)
        for axis in (2, 3)
    )
    lon, lat, _ = GEOD.fwd(
        tile.lon, tile.lat, math.degrees(math.atan2(east, north)), math.hypot(east, north)
    )
    return Thing(own, lon, lat, max(sum(weights) ** -0.5, least / 2) / 1000)


def km_between(a: Thing, b: Thing) -> float:
    """Kilometres between two things."""
    return float(GEOD.inv(a.lon, a.lat, b.lon, b.lat)[2]) / 1000
