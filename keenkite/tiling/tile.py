"""Tile: a square of ground as one scene shows it, and what is known of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC
from datetime import datetime as DateTime

import numpy as np

from keenkite import utm
from keenkite.scene import PIXEL


@dataclass(frozen=True, kw_only=True, slots=True)
class Tile:
    """A square of ground as one scene shows it."""

    epsg: int
    """The UTM zone of its pixels."""
    column: int
    """Easting of its left edge / (10 m × stride)."""
    row: int
    """Northing of its upper edge / (10 m × stride): counts northwards, unlike rows of pixels. In
    a northern zone it is negative south of the equator."""
    size: int
    """Side, in pixels of 10 m."""
    stride: int
    """From one tile to the next, in pixels of 10 m."""
    datetime: DateTime
    """When the scene was taken; has a time zone, UTC."""
    platform: str
    """"S2A", "S2B", "S2C"."""
    scene_id: str
    """Of the STAC item."""
    collection: str
    """Of the STAC item."""
    region: str
    """The name its build was given."""
    lon: float
    """Of its centre, degrees."""
    lat: float
    """Of its centre, degrees."""
    bounds: tuple[float, float, float, float]
    """(west, south, east, north) of its corners, degrees; west > east across ±180. Its edges
    bulge out of this by up to 0.4 m."""
    cloud: float
    """Fraction of its valid pixels, 0-1: SCL classes 8, 9, 10. Cloud shadow is not in it."""
    water: float
    """Fraction of its valid pixels, 0-1: SCL class 6."""
    vegetation: float
    """Fraction of its valid pixels, 0-1: SCL class 4."""
    bare: float
    """Fraction of its valid pixels, 0-1: SCL class 5, which also holds what is built."""
    snow: float
    """Fraction of its valid pixels, 0-1: SCL class 11."""
    valid: float
    """Fraction of its pixels that have data, 0-1: all SCL classes but 0."""

    @property
    def id(self) -> str:
        """ "32654-345-3550-20240512-S2B": zone, column, row, day (UTC) and platform."""
        day = self.datetime.astimezone(UTC)
        return f"{self.epsg}-{self.column}-{self.row}-{day:%Y%m%d}-{self.platform}"

    @property
    def west(self) -> float:
        """Easting of its left edge, metres."""
        return self.column * self.stride * PIXEL

    @property
    def north(self) -> float:
        """Northing of its upper edge, metres."""
        return self.row * self.stride * PIXEL

    @property
    def corners(self) -> tuple[tuple[float, float], ...]:
        """(lon, lat) of its upper left, upper right, lower right and lower left corner.

        Longitudes are continuous: a tile across ±180 has some beyond it, as map libraries want.
        """
        side = self.size * PIXEL
        east, south = self.west + side, self.north - side
        lon, lat = utm.unproject(
            self.epsg, [self.west, east, east, self.west], [self.north, self.north, south, south]
        )
        lon = np.asarray(lon) + 360 * np.round((self.lon - np.asarray(lon)) / 360)
        return tuple(zip(lon.tolist(), list(lat), strict=True))
