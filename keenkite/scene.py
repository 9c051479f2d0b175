"""What the stages hand on: a scene of the catalog, a window of its pixels, a strip as it was read.

Plain facts without work of their own, so every stage can import them and none imports another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date as Date
from datetime import datetime as DateTime

import numpy as np
import shapely
from numpy.typing import NDArray

from keenkite.sensors import Sensor


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One acquisition of one grid tile, and where its pixels are."""

    id: str
    """Of the STAC item."""
    sensor: Sensor
    """What kind of imagery it is."""
    collection: str
    """Of the STAC item."""
    epsg: int
    """The UTM zone its pixels are in."""
    west: float
    """Easting of the left edge of its first pixel, metres."""
    north: float
    """Northing of the upper edge of its first pixel, metres."""
    width: int
    """Columns, pixels of the sensor's size."""
    height: int
    """Rows, pixels of the sensor's size."""
    datetime: DateTime
    """When it was taken; has a time zone, UTC."""
    platform: str
    """"S2A", "S2B", "S2C": letters, digits and underscores."""
    grid_code: str
    """"54SUE": the MGRS grid tile, without a prefix."""
    cloud: float | None
    """Fraction of it that is cloud, 0-1; None where that is not known."""
    assets: Mapping[str, str]
    """Key of a band or of the classification, such as "red" and "scl" -> a file or an http(s) URL
    that can be read now, or s3://bucket/key where the operator allows it. Looked up when they are
    to be read: a URL that is signed for an hour is signed then, and SceneError says why it cannot
    be."""
    products: tuple[Scene, ...] = ()
    """Of a unit of several products of one pass: these, the one whose pixels go first at the
    beginning. Empty where it is one itself."""
    baseline: str | None = None
    """Processing baseline, such as "05.10", however the item writes it; None when it does not
    say."""
    boa_offset_applied: bool | None = None
    """What the item claims: True when the offset is already removed from its numbers."""
    raster_offset: float | None = None
    """What the item's description of its colours says must be added to their digital numbers:
    -1000 for a scale of 0.0001 with an offset of -0.1. None when it does not say."""
    product: str | None = None
    """Id of the product that it was made of, such as
    "S2B_MSIL2A_20240512T013659_N0510_R117_T54SUE_20240512T040000"; None when it does not say."""
    processed: DateTime | None = None
    """When its pixels were processed, UTC: of two that show the same the later is the better. None
    when the item does not say."""
    outline: shapely.Polygon | shapely.MultiPolygon | None = None
    """Where its pixels hold data, metres in its UTM zone; None when they do all over it, or when
    that is not known."""
    confirmed: bool = False
    """Whether the item's own figures agree on where it holds data. Otherwise `ground` is only where
    it may hold some, and must not stand for what it shows."""

    @property
    def scene_ids(self) -> tuple[str, ...]:
        """Of the STAC items that its pixels come from, its own at the beginning."""
        others = (product.id for product in self.products)
        return tuple(dict.fromkeys([self.id, *others]))

    @property
    def version(self) -> str:
        """Names its products, and when each was processed."""
        products = self.products or (self,)
        facts = [(p.id, "-" if p.processed is None else p.processed.isoformat()) for p in products]
        return " ".join(f"{name}/{made}" for name, made in sorted(facts))

    @property
    def metres(self) -> float:
        """Side of every pixel once it is read, whatever its files hold."""
        return self.sensor.metres

    @property
    def date(self) -> Date:
        """The day it was taken, UTC."""
        return self.datetime.date()

    @property
    def footprint(self) -> shapely.Polygon:
        """Its rectangle in its UTM zone, metres; parts of it may hold no data, see `ground`."""
        return shapely.box(
            self.west,
            self.north - self.metres * self.height,
            self.west + self.metres * self.width,
            self.north,
        )

    @property
    def ground(self) -> shapely.Polygon | shapely.MultiPolygon:
        """The ground it shows, metres in its UTM zone: to 100 m or so, as outlines are drawn."""
        return self.footprint if self.outline is None else self.outline


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Where the pixels of one file lie, as the file itself says."""

    epsg: int
    """The UTM zone."""
    west: float
    """Easting of the left edge of its first pixel, metres."""
    north: float
    """Northing of the upper edge of its first pixel, metres."""
    metres: float
    """Side of a pixel; they are square, and north is up."""
    width: int
    """Columns of the file."""
    height: int
    """Rows of the file."""


@dataclass(frozen=True, kw_only=True)
class Window:
    """A rectangle of a scene's pixels; may reach beyond the scene, where there is no data."""

    row: int
    """First row, from the scene's upper edge."""
    col: int
    """First column, from the scene's left edge."""
    rows: int
    cols: int


@dataclass(frozen=True, kw_only=True)
class Strip:
    """Some whole rows of a window, top to bottom, as `read_strips` yields them."""

    row: int
    """Row of the scene that is row 0 of the arrays."""
    col: int
    """Column of the scene that is column 0 of the arrays."""
    rgb: NDArray[np.uint8]
    """(rows, cols, 3) red, green, blue: reflectance from 0 to the sensor's brightest as 0-255; 0
    where there is no data."""
    classes: NDArray[np.uint8]
    """(rows, cols) of the scene's classification; its class for nodata where there is none."""
    bands: NDArray[np.uint16] | None = None
    """(rows, cols, n) reflectance × 10,000 of the bands that were asked for, in their order; 0
    where there is no data. None where none were asked for."""
