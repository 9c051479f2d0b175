"""Area: the ground a question or a build is about. Degrees of WGS 84, longitude first."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import Geod
from shapely.affinity import translate
from shapely.geometry.polygon import orient

from keenkite import geojson, utm
from keenkite.errors import InputError

MIN_RADIUS_KM, MAX_RADIUS_KM = 0.001, 1000.0
"""Of a circle. Nothing on a 10 m pixel is smaller; a larger place is better told by its outline."""

_GEOD = Geod(ellps="WGS84")
_CIRCLE_POINTS = 360  # the chords of the outline leave out 0.004 % of the radius
_EDGE = 0.05
"""Degrees: edges are cut into pieces this long before they are bent onto the ground. A straight
piece of UTM then leaves the parallel it stands for by less than half a metre."""
_ZONE_REACH = 20.0
"""Degrees from a zone's central meridian that `in_utm` looks at. At 84° N, the end of UTM, the
109.8 km grid tiles at the edge of a 12° wide zone reach 15.4° from it."""
_ORDER = "the order is west, south, east, north: longitude comes first"


@dataclass(frozen=True, kw_only=True, repr=False)
class Area:
    """Polygons on the ground. Made by `from_bbox`, `around` and `from_geojson`, which check.

    Edges are straight in longitude and latitude, as GeoJSON has them (RFC 7946, 3.1.1). Areas of
    the same polygons are equal, hash alike, and can be pickled.
    """

    parts: tuple[shapely.Polygon, ...]
    """(lon, lat) in degrees; valid, apart from each other, none across ±180; outer rings
    counterclockwise."""
    circle: tuple[float, float, float] | None = None
    """(lon, lat, radius in km) when made by `around`; `parts` is then its outline."""

    @classmethod
    def from_bbox(cls, west: float, south: float, east: float, north: float) -> Area:
        """A box between two meridians and two parallels, degrees.

        Args:
            west: -180 to 180. Larger than `east` where the box crosses the antimeridian.
            south: -90 to 90.
            east: -180 to 180.
            north: -90 to 90.

        Raises:
            InputError: not four numbers in these ranges; south is not below north; west is not
                west of east, or only if the box went more than half way round the world.
        """
        numbers = zip(("west", "south", "east", "north"), (west, south, east, north), strict=True)
        west, south, east, north = (_number(value, name) for name, value in numbers)
        for name, lon in (("west", west), ("east", east)):
            if not -180 <= lon <= 180:
                raise InputError(f"{name} is {lon:g}, not a longitude from -180 to 180; {_ORDER}")
        for name, lat in (("south", south), ("north", north)):
            if not -90 <= lat <= 90:
                raise InputError(f"{name} is {lat:g}, not a latitude from -90 to 90; {_ORDER}")
        if south >= north:
            raise InputError(f"south {south:g} is not below north {north:g}; {_ORDER}")
        if west > east:
            east += 360
            if east - west > 180:
                raise InputError(
                    f"west {west:g} is east of east {east - 360:g}: a box across the antimeridian "
                    f"would be {east - west:g}° wide, so they seem swapped; {_ORDER}"
                )
        if west == east:
            raise InputError(f"west and east are both {west:g}: the box has no width; {_ORDER}")
        return cls(parts=_parts([shapely.box(west, south, east, north)]))

    @classmethod
    def around(cls, lon: float, lat: float, radius_km: float) -> Area:
        """Everything within a distance of a place, along the ellipsoid.

        Raises:
            InputError: not numbers; lon not in -180 to 180, lat not in -90 to 90; the radius is
                not 0.001 to 1000 km; the circle reaches a pole, where longitudes end.
        """
        lon, lat = _number(lon, "lon"), _number(lat, "lat")
        radius_km = _number(radius_km, "radius_km")
        if not (-180 <= lon <= 180 and -90 <= lat <= 90):
            raise InputError(
                f"({lon:g}, {lat:g}) is not a place: the order is longitude (-180 to 180), "
                f"latitude (-90 to 90), radius in km"
            )
        if not MIN_RADIUS_KM <= radius_km <= MAX_RADIUS_KM:
            raise InputError(
                f"radius_km is {radius_km:g}: it must be {MIN_RADIUS_KM:g} to {MAX_RADIUS_KM:g}; "
                f"for more ground use a box or a polygon"
            )
        metres = 1000 * radius_km
        if metres >= _GEOD.inv(lon, lat, lon, math.copysign(90, lat))[2]:
            raise InputError(
                f"the circle of {radius_km:g} km around ({lon:g}, {lat:g}) reaches the pole; "
                f"Sentinel-2 ends at 84° north: use a smaller radius or a box"
            )
        azimuths = np.linspace(0, 360, _CIRCLE_POINTS, endpoint=False)
        same = np.ones_like(azimuths)
        x, y, _ = _GEOD.fwd(lon * same, lat * same, azimuths, metres * same)
        x += 360 * np.round((lon - x) / 360)  # continuous round the centre
        outline = shapely.Polygon(np.column_stack([x, y]))
        return cls(parts=_parts([outline]), circle=(lon, lat, radius_km))

    @classmethod
    def from_geojson(cls, obj: Mapping[str, Any]) -> Area:
        """The polygons of a parsed GeoJSON object, taken together.

        Polygon, MultiPolygon, GeometryCollection, Feature or FeatureCollection. Outlines across
        the antimeridian may be cut there as RFC 7946 asks, go on beyond ±180 (170 to 190), or
        jump (170 to -170): an edge of more than 180° is taken the short way. A ring that is not
        closed is closed; altitudes are left out.

        Raises:
            InputError: not GeoJSON; no polygon in it; a position out of range (longitude comes
                first); a ring crosses itself, has no area, or goes round a pole.
        """
        return cls(parts=_parts(geojson.polygons(obj)))

    @property
    def bboxes(self) -> tuple[tuple[float, float, float, float], ...]:
        """(west, south, east, north) of one or two boxes that hold it, none across ±180.

        Two, west of ±180 first, where the shortest way round all parts crosses the antimeridian.
        """
        parts = sorted(self.parts, key=lambda part: part.bounds[0])
        bounds = np.array([part.bounds for part in parts])
        reach = np.maximum.accumulate(bounds[:, 2])
        gaps = bounds[1:, 0] - reach[:-1]
        outer = bounds[0, 0] + 360 - reach[-1]
        if len(gaps) and gaps.max() > outer:
            split = int(gaps.argmax()) + 1
            return _bounds(bounds[split:]), _bounds(bounds[:split])
        return (_bounds(bounds),)

    @property
    def km2(self) -> float:
        """Its size on the ellipsoid."""
        pieces = shapely.segmentize(self.parts, _EDGE)
        return sum(abs(_GEOD.geometry_area_perimeter(piece)[0]) for piece in pieces) / 1e6

    def in_utm(self, epsg: int) -> shapely.Polygon | shapely.MultiPolygon:
        """Its shape in a UTM zone, (easting, northing) in metres; whole across ±180.

        What lies more than 20° of longitude from the zone's middle, further than any image of the
        zone reaches, is cut off; the shape is empty when nothing is left.

        Raises:
            InputError: the code is not one of a UTM zone of WGS 84.
        """
        middle = utm.central_meridian(epsg)
        west, east = middle - _ZONE_REACH, middle + _ZONE_REACH
        near = shapely.box(west, -90, east, 90)
        # Joined where they meet at ±180 before anything is rounded, so that no seam is left.
        inside = shapely.union_all(
            [
                piece
                for part in self.parts
                for turn in (-360, 0, 360)
                if part.bounds[0] + turn < east and part.bounds[2] + turn > west
                for piece in _polygons(translate(part, turn).intersection(near))
            ]
        )
        if inside.is_empty:
            return shapely.Polygon()

        def bend(lonlat: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.column_stack(utm.project(epsg, lonlat[:, 0], lonlat[:, 1]))

        shape = shapely.transform(shapely.segmentize(inside, _EDGE), bend)
        if not shape.is_valid:
            # Edges less than half a metre apart may cross once they are bent.
            shape = shapely.union_all(list(_polygons(shapely.make_valid(shape))))
        return shape

    def to_geojson(self) -> dict[str, Any]:
        """Its geometry, cut at ±180: a Polygon or MultiPolygon by RFC 7946; a circle's outline."""
        shape = self.parts[0] if len(self.parts) == 1 else shapely.MultiPolygon(self.parts)
        return dict(shapely.geometry.mapping(shape))

    def __repr__(self) -> str:
        if self.circle:
            return "Area.around({:g}, {:g}, {:g})".format(*self.circle)
        boxes = " and ".join("({:g}, {:g}, {:g}, {:g})".format(*box) for box in self.bboxes)
        return f"<Area of {self.km2:,.1f} km² in {boxes}>"


def _parts(polygons: Sequence[shapely.Polygon]) -> tuple[shapely.Polygon, ...]:
    """Valid polygons, maybe beyond ±180 -> the same ground, cut there, overlaps merged."""
    cut: list[shapely.Polygon] = []
    for polygon in polygons:
        west, _, east, _ = polygon.bounds
        for turn in range(math.floor((west + 180) / 360), math.floor((east + 180) / 360) + 1):
            world = shapely.box(360 * turn - 180, -90, 360 * turn + 180, 90)
            cut += _polygons(translate(polygon.intersection(world), -360 * turn))
    if not cut:
        raise InputError("the area is too small: it has no extent in floating point")
    merged = cut[0] if len(cut) == 1 else shapely.union_all(cut)
    return tuple(orient(part) for part in _polygons(shapely.normalize(merged)))


def _polygons(shape: shapely.Geometry) -> Iterable[shapely.Polygon]:
    """Those of a geometry that have an area; lines and points where shapes only touch are not."""
    return (part for part in shapely.get_parts(shape).tolist() if part.area > 0)


def _bounds(bounds: NDArray[np.float64]) -> tuple[float, float, float, float]:
    """(n, 4) bounds -> the box that holds all of them."""
    west, south = bounds[:, :2].min(axis=0).tolist()
    east, north = bounds[:, 2:].max(axis=0).tolist()
    return west, south, east, north


def _number(value: object, name: str) -> float:
    number = geojson.as_number(value)
    if number is None:
        raise InputError(f"{name} must be a finite number, not {value!r}")
    return number
