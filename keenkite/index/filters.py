"""What to look among: the caller's filters, and the plain conditions both engines understand."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

import shapely

from keenkite.cloud import cloud_fraction
from keenkite.errors import InputError
from keenkite.sensors import COVERS

if TYPE_CHECKING:
    from keenkite.area import Area


@dataclass(frozen=True, kw_only=True)
class Filters:
    """Which tiles to look among; what is not given does not restrict, and all of it must hold."""

    area: Area | None = None
    """The centre of the tile lies inside; a point on the very edge of a polygon does not. A circle
    is measured on a sphere by the engines, so its radius is right to 0.6 %."""
    start: date | None = None
    """First day, UTC, inclusive."""
    end: date | None = None
    """Last day, UTC, inclusive."""
    max_cloud: float | str | None = None
    """Largest cloudy fraction of the tile; see `cloud_fraction` for how it may be written. Kept as
    a fraction 0-1. Below 1 it leaves out tiles whose cloud is not known."""
    cover: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Lowest and highest fraction, 0-1, by kind: "water", "vegetation", "bare", "snow"."""
    regions: tuple[str, ...] = ()
    """Names of regions, any of them."""
    scenes: tuple[str, ...] = ()
    """Ids of scenes, any of them; a tile is of each scene that it has pixels of."""
    spans: tuple[float, ...] = ()
    """Widths of tiles, metres, any of them."""
    cells: tuple[str, ...] = ()
    """Squares of ground, any of them, of whatever date; see `Tile.cell`."""
    tile_ids: tuple[str, ...] = ()
    """Ids of tiles, any of them."""

    def __post_init__(self) -> None:
        for name in ("start", "end"):
            day = getattr(self, name)
            if isinstance(day, datetime):
                raise InputError(
                    f"Filters.{name} is a moment, {day}; pass its day, {day.date()!r}."
                )
        if self.start and self.end and self.start > self.end:
            raise InputError(
                f"Filters.start {self.start} is after Filters.end {self.end}; swap them."
            )
        if self.max_cloud is not None:
            cloud = cloud_fraction(self.max_cloud, "Filters.max_cloud")
            object.__setattr__(self, "max_cloud", cloud)
        for kind, limits in self.cover.items():
            if kind not in COVERS:
                raise InputError(f"Filters.cover knows {', '.join(COVERS)}, not {kind!r}.")
            if len(limits) != 2 or not 0 <= limits[0] <= limits[1] <= 1:
                raise InputError(
                    f"Filters.cover[{kind!r}] is (lowest, highest) with 0 <= lowest <= highest "
                    f"<= 1, not {limits!r}."
                )
        for name in ("regions", "scenes", "cells", "tile_ids"):
            if isinstance(getattr(self, name), str):
                raise InputError(
                    f"Filters.{name} is a tuple of names, not one name; "
                    f"write ({getattr(self, name)!r},)."
                )

        if isinstance(self.spans, int | float | str):
            raise InputError(
                f"Filters.spans is a tuple of widths in metres, not one; write ({self.spans},)."
            )

    def __bool__(self) -> bool:
        return bool(self.conditions())

    def conditions(self) -> tuple[Condition, ...]:
        """The same in plain conditions, all of which must hold; none when nothing is asked."""
        return self._conditions

    @cached_property
    def _conditions(self) -> tuple[Condition, ...]:
        # Once, since a search asks for them several times, and outlines take long.
        found: list[Condition] = []
        if self.tile_ids:
            found.append(TileIs(tile_ids=tuple(self.tile_ids)))
        texts = {"scene_ids": self.scenes, "regions": self.regions, "cell": self.cells}
        found += [OneOf(key=key, values=tuple(names)) for key, names in texts.items() if names]
        if self.spans:
            found.append(OneNumber(key="span", values=tuple(round(s, 3) for s in self.spans)))
        if self.start or self.end:
            found.append(
                During(key="datetime", start=_midnight(self.start), before=_after(self.end))
            )
        if self.area is not None:
            found.append(Inside(key="location", shapes=_shapes(self.area)))
        # All of a tile may be cloud: that is no condition, and lets those through whose cloud
        # nobody knows.
        cloud = None if self.max_cloud is None else cloud_fraction(self.max_cloud)
        if cloud is not None and cloud < 1:
            found.append(Between(key="cloud", low=None, high=cloud))
        found += [Between(key=k, low=low, high=high) for k, (low, high) in self.cover.items()]
        return tuple(found)


@dataclass(frozen=True, kw_only=True)
class TileIs:
    """It is one of these tiles."""

    tile_ids: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class OneOf:
    """The text at `key`, or one of the texts there, is one of `values`."""

    key: str
    values: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Only:
    """The list at `key` holds this text and nothing else."""

    key: str
    value: str


@dataclass(frozen=True, kw_only=True)
class OneNumber:
    """The number at `key` is one of `values`."""

    key: str
    values: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Between:
    """The number at `key` is from `low` to `high`, both included; None is open."""

    key: str
    low: float | None
    high: float | None


@dataclass(frozen=True, kw_only=True)
class During:
    """The moment at `key` is `start` or later and earlier than `before`; None is open."""

    key: str
    start: datetime | None
    before: datetime | None


@dataclass(frozen=True, kw_only=True)
class Box:
    """Degrees; west < east, never across ±180. The engines take what is strictly inside."""

    west: float
    south: float
    east: float
    north: float


@dataclass(frozen=True, kw_only=True)
class Circle:
    """Centre in degrees, radius in metres along the sphere of 6371 km."""

    lon: float
    lat: float
    metres: float


@dataclass(frozen=True, kw_only=True)
class Polygon:
    """Closed rings of (lon, lat) in degrees, never across ±180; all but the first are holes."""

    rings: tuple[tuple[tuple[float, float], ...], ...]


Shape: TypeAlias = Box | Circle | Polygon


@dataclass(frozen=True, kw_only=True)
class Inside:
    """The place at `key` is inside any of `shapes`."""

    key: str
    shapes: tuple[Shape, ...]


Condition: TypeAlias = TileIs | OneOf | Only | OneNumber | Between | During | Inside


def _midnight(day: date | None) -> datetime | None:
    return None if day is None else datetime(day.year, day.month, day.day, tzinfo=UTC)


def _after(day: date | None) -> datetime | None:
    return None if day is None or day == date.max else _midnight(day + timedelta(days=1))


def _shapes(area: Area) -> tuple[Shape, ...]:
    if area.circle is not None:
        lon, lat, radius_km = area.circle
        return (Circle(lon=lon, lat=lat, metres=radius_km * 1000),)
    return tuple(_shape(part) for part in area.parts)


def _shape(part: shapely.Polygon) -> Shape:
    # A box is the cheapest test the engines have, so a polygon that is one is sent as one.
    west, south, east, north = part.bounds
    corners = {(west, south), (west, north), (east, north), (east, south)}
    if not part.interiors and len(part.exterior.coords) == 5 and {*part.exterior.coords} == corners:
        return _box(west, south, east, north)
    rings = (part.exterior, *part.interiors)
    return Polygon(rings=tuple(tuple((x, y) for x, y in ring.coords) for ring in rings))


def _box(west: float, south: float, east: float, north: float) -> Box:
    """A closed box as the open one the engines want: its edges one float further out."""
    return Box(
        west=max(math.nextafter(west, -math.inf), -180.0),
        south=max(math.nextafter(south, -math.inf), -90.0),
        east=min(math.nextafter(east, math.inf), 180.0),
        north=min(math.nextafter(north, math.inf), 90.0),
    )
