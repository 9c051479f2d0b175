"""Lattice: where in a UTM zone tiles may lie, and which of them a scene shows."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from keenkite import utm
from keenkite.errors import InputError


@dataclass(frozen=True)
class Lattice:
    """Where tiles of one width lie: corners on multiples of half of it, in all scenes of a zone.

    Two scenes of the same ground so give the same tiles. A wider or narrower lattice by a power of
    two has its corners on the corners of this one.
    """

    span: float = 2240
    """Width of a tile, metres."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.span) and self.span > 0):
            raise InputError(f"a tile's span is its width in metres, above 0, not {self.span!r}")

    @property
    def pitch(self) -> float:
        """From one tile to the next, metres: half a span."""
        return self.span / 2

    def cells(
        self, epsg: int, footprint: shapely.Polygon, area_utm: shapely.Geometry
    ) -> NDArray[np.int64]:
        """The tiles of an area that a scene shows.

        A tile is one of the area's when its middle, the square of half a span round its centre,
        meets the area: middles cover the ground once, so a small area has few tiles. It is one of
        the scene's when all of it lies within the footprint: grid tiles overlap by 9.8 km, more
        than a tile, so one that sticks out is whole in the neighbour.

        Args:
            epsg: The UTM zone that both shapes are in.
            footprint: Of the scene, metres; see `Scene.footprint`.
            area_utm: Of the area, metres; see `Area.in_utm`. May be empty.

        Returns:
            (n, 2) (column, row), north to south and then west to east.

        Raises:
            InputError: the code is not one of a UTM zone.
        """
        utm.central_meridian(epsg)
        none = np.empty((0, 2), dtype=np.int64)
        if area_utm.is_empty or footprint.is_empty:
            return none
        pitch, side = self.pitch, self.span
        rim = (side - pitch) / 2  # from an edge of a tile to its middle
        west, south, east, north = footprint.bounds
        area_west, area_south, area_east, area_north = area_utm.bounds
        west, east = max(west, area_west - rim - pitch), min(east, area_east + rim + pitch)
        south, north = max(south, area_south - rim - pitch), min(north, area_north + rim + pitch)
        columns = np.arange(math.ceil(west / pitch), math.floor((east - side) / pitch) + 1)
        rows = np.arange(math.floor(north / pitch), math.ceil((south + side) / pitch) - 1, -1)
        if not len(columns) or not len(rows):
            return none
        row, column = (axis.ravel() for axis in np.meshgrid(rows, columns, indexing="ij"))
        x, y = column * pitch, row * pitch
        shapely.prepare([footprint, area_utm])
        found = shapely.intersects(
            area_utm, shapely.box(x + rim, y - side + rim, x + side - rim, y - rim)
        )
        if not footprint.equals(footprint.envelope):
            found &= shapely.covers(footprint, shapely.box(x, y - side, x + side, y))
        return np.column_stack([column[found], row[found]]).astype(np.int64)
