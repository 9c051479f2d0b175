"""Polygons out of GeoJSON as people and programs write it (RFC 7946 and its usual departures)."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError, ProjError

from keenkite.errors import InputError

Ring: TypeAlias = NDArray[np.float64]
"""(n, 2) closed, (lon, lat) in degrees, without jumps: may go on beyond ±180."""

_MEMBERS = {
    "GeometryCollection": ("geometries", "the geometries of a collection"),
    "FeatureCollection": ("features", "the features of a collection"),
}
_PIECES = 64
"""Into so many the longest edge of a polygon is cut before it is reprojected, others alike: what
is straight in one system is bent in another, by 4,096 times less then."""


def read_geojson(path: Path) -> Any:
    """A parsed file, with or without a byte order mark.

    Raises:
        InputError: it cannot be read, or is no JSON.
    """
    try:
        # From bytes: json tells the UTF of a file by itself, with or without a mark.
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} is no GeoJSON file to be read: {error}") from None


def polygons(obj: Mapping[str, Any]) -> list[shapely.Polygon]:
    """Every polygon of a GeoJSON object: one or more, each valid, (lon, lat), maybe beyond ±180.

    What names another coordinate system in a `crs` member, as GeoJSON had it before RFC 7946, is
    reprojected.

    Raises:
        InputError: says which polygon is wrong, and how; or names the system that is not known.
    """
    found = [
        _polygon(_degrees(rings, crs, f"polygon {number}"), f"polygon {number}")
        for number, (rings, crs) in enumerate(_find(obj), start=1)
    ]
    if not found:
        raise InputError("the GeoJSON holds no polygon: an area needs at least one")
    return found


def point(geometry: Mapping[str, Any], crs: object = None) -> tuple[float, float]:
    """(lon, lat) of a Point, degrees, longitude from -180 to 180.

    Args:
        geometry: with "coordinates".
        crs: the `crs` member of what it is part of, if there is one.

    Raises:
        InputError: it is no position on Earth, or the coordinate system is not known.
    """
    system = None if crs is None else _system(crs)
    place = _numbers(geometry.get("coordinates"), "the point")
    if system is not None:
        x, y = Transformer.from_crs(system, 4326, always_xy=True).transform(*place)
        place = (x, y)
    lon, lat = _position(place, "the point")
    return (lon + 180) % 360 - 180, lat


def _find(obj: object) -> Iterator[tuple[object, CRS | None]]:
    """(coordinates, system that is not degrees of WGS 84) of each polygon, however deep."""
    todo: list[tuple[object, CRS | None]] = [(obj, None)]
    while todo:
        item, crs = todo.pop()
        kind = item.get("type") if isinstance(item, Mapping) else None
        if not isinstance(item, Mapping) or not isinstance(kind, str):
            raise InputError(f'{_short(item)} is not GeoJSON: pass an object that has a "type"')
        if item.get("crs") is not None:
            crs = _system(item["crs"])
        if kind == "Polygon":
            yield item.get("coordinates"), crs
        elif kind == "MultiPolygon":
            for one in _list(item.get("coordinates"), "the coordinates of a MultiPolygon"):
                yield one, crs
        elif kind in _MEMBERS:
            name, what = _MEMBERS[kind]
            todo += [(member, crs) for member in reversed(_list(item.get(name), what))]
        elif kind == "Feature":
            if item.get("geometry") is not None:  # a feature may have no place, and then no ground
                todo.append((item["geometry"], crs))
        else:
            raise InputError(
                f"an area is made of Polygons, not of a {_short(kind)}: "
                f"for the ground around a place use Area.around(lon, lat, radius_km)"
            )


def _system(member: object) -> CRS | None:
    """The coordinate system that a `crs` member names; None for degrees of WGS 84."""
    facts = member.get("properties") if isinstance(member, Mapping) else None
    name: object = member
    if isinstance(facts, Mapping):
        name = facts.get("name", f"EPSG:{facts.get('code')}" if "code" in facts else member)
    if isinstance(name, str):
        name = name.removeprefix("+init=")
    try:
        crs = CRS.from_user_input(name)
        if not (crs.is_projected or crs.is_geographic):
            raise CRSError("not one of places")
    except (CRSError, ValueError, TypeError):
        raise _unknown(name) from None
    return None if crs.equals(CRS.from_epsg(4326), ignore_axis_order=True) else crs


def _unknown(name: object) -> InputError:
    return InputError(
        f"the GeoJSON is in the coordinate system {_short(name)}, which is not known here: "
        f"reproject it to longitude and latitude (EPSG:4326)"
    )


def _degrees(rings: object, crs: CRS | None, where: str) -> object:
    """The rings of a polygon, (lon, lat), edges bent as they lie on the ground."""
    if crs is None:
        return rings
    try:
        project = Transformer.from_crs(crs, 4326, always_xy=True)
    except ProjError:
        raise _unknown(crs.name) from None
    found = []
    for ring in _list(rings, f"the coordinates of {where}"):
        points = [_numbers(position, where) for position in _list(ring, f"a ring of {where}")]
        line = shapely.linestrings([*points, *points[:1]]) if points else shapely.LineString()
        west, south, east, north = line.bounds
        if crs.is_projected and max(east - west, north - south) > 0:
            line = shapely.segmentize(line, max(east - west, north - south) / _PIECES)
        xy = shapely.get_coordinates(line)
        lonlat = np.column_stack(project.transform(*xy.T)) if len(xy) else xy
        if not np.isfinite(lonlat).all():
            raise InputError(f"{where} lies outside of where {crs.name} is of use: check it")
        found.append(lonlat.tolist())
    return found


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
    lon, lat = _numbers(position, where)
    if not (-360 <= lon <= 360 and -90 <= lat <= 90):
        metres = max(abs(lon), abs(lat)) > 1000
        raise InputError(
            f"position [{lon:g}, {lat:g}] in {where} is not on Earth: longitude comes first, "
            f"-180 to 180 degrees (to ±360 beyond the antimeridian), then latitude, -90 to 90"
            + ("; what is in metres must name its system in a crs member" if metres else "")
        )
    return lon, lat


def _numbers(position: object, where: str) -> tuple[float, float]:
    x, y, *_ = [*map(as_number, _list(position, f"a position of {where}")[:2]), None, None]
    if x is None or y is None:
        raise InputError(
            f"{_short(position)} in {where} is not a position: "
            f"write [longitude, latitude], finite numbers"
        )
    return x, y


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
