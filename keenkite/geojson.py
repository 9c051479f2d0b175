"""Polygons out of GeoJSON as people and programs write it (RFC 7946 and its usual departures)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from numbers import Real
from typing import Any, TypeAlias

import numpy as np
import shapely
from numpy.typing import NDArray

from keenkite.errors import InputError

Ring: TypeAlias = NDArray[np.float64]
"""(n, 2) closed, (lon, lat) in degrees, without jumps: may go on beyond ±180."""


def polygons(obj: Mapping[str, Any]) -> list[shapely.Polygon]:
    """Every polygon of a GeoJSON object: one or more, each valid, (lon, lat), maybe beyond ±180.

    Raises:
        InputError: says which polygon is wrong, and how.
    """
    found = [
        _polygon(rings, f"polygon {number}") for number, rings in enumerate(_find(obj), start=1)
    ]
    if not found:
        raise InputError("the GeoJSON holds no polygon: an area needs at least one")
    return found


def _find(obj: object) -> Iterator[object]:
    """The coordinates of each polygon, however deep."""
    todo: list[object] = [obj]
    while todo:
        item = todo.pop()
        kind = item.get("type") if isinstance(item, Mapping) else None
        if not isinstance(item, Mapping) or not isinstance(kind, str):
            raise InputError(f'{_short(item)} is not GeoJSON: pass an object that has a "type"')
        if kind == "Polygon":
            yield item.get("coordinates")
        elif kind == "MultiPolygon":
            yield from _list(item.get("coordinates"), "the coordinates of a MultiPolygon")
        elif kind == "GeometryCollection":
            todo += reversed(_list(item.get("geometries"), "the geometries of a collection"))
        elif kind == "FeatureCollection":
            todo += reversed(_list(item.get("features"), "the features of a collection"))
        elif kind == "Feature":
            if item.get("geometry") is not None:  # a feature may have no place, and then no ground
                todo.append(item["geometry"])
        else:
            raise InputError(
                f"an area is made of Polygons, not of a {_short(kind)}: "
                f"for the ground around a place use Area.around(lon, lat, radius_km)"
            )


def _polygon(rings: object, where: str) -> shapely.Polygon:
    checked = [_ring(ring, where) for ring in _list(rings, f"the coordinates of {where}")]
    if not checked:
        raise InputError(f"{where} has no rings")
    shell, *holes = checked
    polygon = shapely.Polygon(shell, [_beside(hole, shell) for hole in holes])
    if not polygon.is_valid:
        raise InputError(
            f"{where} is not valid: {shapely.is_valid_reason(polygon)} (lon lat); "
            f"draw it again without crossing lines, or repair it with shapely.make_valid"
        )
    if not polygon.area > 0:
        raise InputError(f"{where} has no area: its corners lie on one line")
    return polygon


def _ring(positions: object, where: str) -> Ring:
    points = [_position(position, where) for position in _list(positions, f"a ring of {where}")]
    if points and points[0] != points[-1]:
        points.append(points[0])
    if len(points) < 4:
        raise InputError(f"a ring of {where} has fewer than three corners")
    ring = np.array(points)
    spans = [np.ptp(ring[:, 0])]
    steps = np.diff(ring[:, 0])
    jumps = np.abs(steps) > 180
    # An edge from -180 to 180 closes a map of the whole world or of Antarctica, and is meant; but
    # beside true jumps it is the same meridian under its other name.
    if not (np.abs(steps[jumps]) == 360).all():
        turns = np.cumsum(np.where(jumps, -np.sign(steps), 0))
        ring[1:, 0] += 360 * turns
        spans.append(np.ptp(ring[:, 0]))
        if turns[-1] and spans[0] <= 360:
            raise InputError(
                f"a ring of {where} goes round a pole: "
                f"cut it at longitude ±180 as RFC 7946, 3.1.9, asks"
            )
    if max(spans) > 360:
        raise InputError(f"a ring of {where} goes round the world more than once")
    return ring


def _position(position: object, where: str) -> tuple[float, float]:
    lon, lat, *_ = [*map(as_number, _list(position, f"a position of {where}")[:2]), None, None]
    if lon is None or lat is None:
        raise InputError(
            f"{_short(position)} in {where} is not a position: "
            f"write [longitude, latitude], finite numbers"
        )
    if not (-360 <= lon <= 360 and -90 <= lat <= 90):
        raise InputError(
            f"position [{lon:g}, {lat:g}] in {where} is not on Earth: longitude comes first, "
            f"-180 to 180 degrees (to ±360 beyond the antimeridian), then latitude, -90 to 90"
        )
    return lon, lat


def _beside(hole: Ring, shell: Ring) -> Ring:
    """A hole may be written a turn of 360° away from its outer ring; bring it back."""
    west, east = shell[:, 0].min(), shell[:, 0].max()
    for turn in (0, -360, 360):
        if west <= hole[:, 0].min() + turn and hole[:, 0].max() + turn <= east:
            return hole + [turn, 0]
    return hole


def as_number(value: object) -> float | None:
    """As a float, or None: not a number (True is none), NaN, infinite, or too large."""
    if not isinstance(value, Real) or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _list(value: object, what: str) -> Sequence[Any]:
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if not isinstance(value, list | tuple):
        raise InputError(f"{what} must be an array, not {_short(value)}")
    return value


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
