"""Tile: a square of ground as one pass shows it, and what is known of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC
from datetime import datetime as DateTime
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from keenkite import utm
from keenkite.errors import InputError

TILE = 224
"""Pixels along the side of a tile as an encoder sees it, whatever its width on the ground."""

FRACTIONS = ("cloud", "water", "vegetation", "bare", "snow")
"""What a tile's pixels may be; None where the sensor does not tell."""

_CELL = re.compile(
    r"(?P<epsg>\d{5})-(?P<span>\d+(?:\.\d+)?)-"
    r"(?:(?P<column>-?\d+)-(?P<row>-?\d+)|@(?P<east>-?\d+(?:\.\d+)?)-(?P<north>-?\d+(?:\.\d+)?))"
)
_PLATFORM = re.compile(r"[A-Za-z0-9_]+")


class Place(NamedTuple):
    """Where a tile is, degrees of WGS 84."""

    lon: float
    """Of its centre."""
    lat: float
    bounds: tuple[float, float, float, float]
    """(west, south, east, north) of its corners; west > east across ±180. Its edges bulge out of
    this by up to 0.4 m."""


@dataclass(frozen=True, kw_only=True)
class Tile:
    """A square of ground as one pass shows it.

    It lies on the lattice of its UTM zone, at a column and a row, or anywhere, at a corner.
    """

    epsg: int
    """The UTM zone of its pixels."""
    span: float = 2240
    """Its width, metres."""
    column: int | None = None
    """Easting of its left edge / half a span; None off the lattice."""
    row: int | None = None
    """Northing of its upper edge / half a span: counts northwards, unlike rows of pixels. In a
    northern zone it is negative south of the equator. None off the lattice."""
    corner: tuple[float, float] | None = None
    """(easting, northing) of its upper left corner, metres, where it is off the lattice."""
    datetime: DateTime
    """When it was taken: the earliest of its scenes; has a time zone."""
    platform: str
    """"S2A", "S2B": letters, digits and underscores."""
    collection: str
    """Of the STAC items."""
    scene_ids: tuple[str, ...]
    """Of the STAC items its pixels come from, one or more."""
    regions: tuple[str, ...] = ()
    """The names that builds gave to its ground; labels, any number of them."""
    cloud: float | None = None
    """Fraction of its valid pixels, 0-1; cloud shadow is not in it."""
    water: float | None = None
    """Fraction of its valid pixels, 0-1."""
    vegetation: float | None = None
    """Fraction of its valid pixels, 0-1."""
    bare: float | None = None
    """Fraction of its valid pixels, 0-1; also holds what is built."""
    snow: float | None = None
    """Fraction of its valid pixels, 0-1."""
    valid: float = 1.0
    """Fraction of its pixels that have data, 0-1."""

    def __post_init__(self) -> None:
        on_lattice = self.column is not None and self.row is not None and self.corner is None
        off_lattice = self.column is None and self.row is None and self.corner is not None
        if not (on_lattice or off_lattice):
            raise InputError(
                "a tile has a column and a row on the lattice, or else a corner (easting, northing)"
            )
        for name in ("scene_ids", "regions"):
            if isinstance(getattr(self, name), str):
                raise InputError(f"Tile.{name} is a tuple of names, not one name")

    @classmethod
    def at(cls, *, epsg: int, span: float, west: float, north: float, **facts: Any) -> Tile:
        """A tile by its upper left corner, metres: on the lattice if the corner is, to 1 mm."""
        pitch = span / 2
        column, row = round(west / pitch), round(north / pitch)
        if max(abs(column * pitch - west), abs(row * pitch - north)) < 1e-3:
            return cls(epsg=epsg, span=span, column=column, row=row, **facts)
        return cls(epsg=epsg, span=span, corner=(west, north), **facts)

    @cached_property
    def id(self) -> str:
        """ "32654-2240-345-3550-20240512T012345-S2B": cell, time (UTC) and platform."""
        return f"{self.cell}-{self.datetime.astimezone(UTC):%Y%m%dT%H%M%S}-{self.platform}"

    @cached_property
    def cell(self) -> str:
        """ "32654-2240-345-3550", off the lattice "32654-2240-@386401.5-3976000": the ground,
        whatever the date."""
        where = (
            f"{self.column}-{self.row}"
            if self.corner is None
            else f"@{_metres(self.corner[0])}-{_metres(self.corner[1])}"
        )
        return f"{self.epsg}-{_metres(self.span)}-{where}"

    @property
    def west(self) -> float:
        """Easting of its left edge, metres."""
        return self.corner[0] if self.corner else (self.column or 0) * self.span / 2

    @property
    def north(self) -> float:
        """Northing of its upper edge, metres."""
        return self.corner[1] if self.corner else (self.row or 0) * self.span / 2

    @property
    def metres(self) -> float:
        """Side of a pixel as the encoder sees it."""
        return self.span / TILE

    @cached_property
    def place(self) -> Place:
        """Its centre and its bounds; worked out once."""
        return places([self])[0]

    @property
    def lon(self) -> float:
        """Of its centre, degrees."""
        return self.place.lon

    @property
    def lat(self) -> float:
        """Of its centre, degrees."""
        return self.place.lat

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """(west, south, east, north) of its corners, degrees; west > east across ±180."""
        return self.place.bounds

    @property
    def corners(self) -> tuple[tuple[float, float], ...]:
        """(lon, lat) of its upper left, upper right, lower right and lower left corner.

        Longitudes are continuous: a tile across ±180 has some beyond it, as map libraries want.
        """
        east, south = self.west + self.span, self.north - self.span
        lon, lat = utm.unproject(
            self.epsg, [self.west, east, east, self.west], [self.north, self.north, south, south]
        )
        lon = np.asarray(lon) + 360 * np.round((self.lon - np.asarray(lon)) / 360)
        return tuple(zip(lon.tolist(), list(lat), strict=True))

    def placed(self, place: Place) -> Tile:
        """The same tile with its place known already, as an index keeps it."""
        self.__dict__["place"] = place
        return self


def places(tiles: Sequence[Tile]) -> list[Place]:
    """The place of each tile; all of a zone in one projection, which is far faster than singly."""
    found: dict[int, Place] = {}
    zones: dict[int, list[int]] = {}
    for number, tile in enumerate(tiles):
        zones.setdefault(tile.epsg, []).append(number)
    for epsg, numbers in zones.items():
        corners = np.array([(tiles[n].west, tiles[n].north, tiles[n].span) for n in numbers])
        rows = squares(epsg, corners).tolist()
        for number, (lon, lat, west, south, east, north) in zip(numbers, rows, strict=True):
            found[number] = Place(lon, lat, (west, south, east, north))
    return [found[number] for number in range(len(tiles))]


def squares(epsg: int, corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where squares of ground lie: (n, 3) west, north, side in metres of a zone -> (n, 6) degrees.

    Longitude and latitude of the centre, then west, south, east, north of the corners.
    """
    west, north, side = (column[:, None] for column in corners.T)
    # Columns: the centre, then the four corners.
    x = west + side * np.array([0.5, 0, 1, 1, 0])
    y = north - side * np.array([0.5, 0, 0, 1, 1])
    lon, lat = utm.unproject(epsg, x, y)
    # Round the centre without a jump at ±180, and back once west and east are known.
    lon[:, 1:] += 360 * np.round((lon[:, :1] - lon[:, 1:]) / 360)
    edges = np.column_stack([lon[:, 1:].min(axis=1), lon[:, 1:].max(axis=1)])
    edges -= 360 * np.round(edges / 360)
    low, high = lat[:, 1:].min(axis=1), lat[:, 1:].max(axis=1)
    return np.column_stack([lon[:, 0], lat[:, 0], edges[:, 0], low, edges[:, 1], high])


def parse_cell(text: str) -> dict[str, Any]:
    """What a cell says of a tile: its epsg, span, and column and row or else corner.

    Args:
        text: A cell, or anything that begins with one, such as a tile's id.

    Raises:
        InputError: It begins otherwise.
    """
    match = _CELL.match(text)
    if match is None:
        raise InputError(f"{text!r:.80} is not a cell such as 32654-2240-345-3550.")
    found: dict[str, Any] = {"epsg": int(match["epsg"]), "span": _number(match["span"])}
    if match["column"] is None:
        return found | {"corner": (float(match["east"]), float(match["north"]))}
    return found | {"column": int(match["column"]), "row": int(match["row"])}


def is_platform(text: str) -> bool:
    """Whether a text can be a platform's name in a tile's id."""
    return _PLATFORM.fullmatch(text) is not None


def _metres(value: float) -> str:
    """To the millimetre, without what is not needed: "2240", "386401.5"."""
    return f"{value:.3f}".rstrip("0").rstrip(".")


def _number(text: str) -> float:
    return float(text) if "." in text else int(text)
