"""Lattice: where in a UTM zone tiles may lie, and which of them a scene shows."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from keenkite import utm
from keenkite.errors import InputError, SceneError
from keenkite.scene import PIXEL, Scene, Window


@dataclass(frozen=True)
class Lattice:
    """Where tiles may lie: corners on multiples of 10 m × stride, in all scenes of a zone alike.

    Scene origins are multiples of 10 m, so every tile lies on the pixels of every scene, and two
    scenes of the same ground give the same tiles.
    """

    size: int = 224
    """Side of a tile, pixels of 10 m."""
    stride: int = 112
    """From one tile to the next, pixels of 10 m; 1 to `size`."""

    def __post_init__(self) -> None:
        for name in ("size", "stride"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise InputError(f"{name} is a whole number of pixels, 1 or more, not {value!r}")
        if self.stride > self.size:
            raise InputError(
                f"stride {self.stride} is larger than size {self.size}: "
                f"ground between the tiles would be lost"
            )

    def cells(
        self, epsg: int, footprint: shapely.Polygon, area_utm: shapely.Geometry
    ) -> NDArray[np.int64]:
        """The tiles of an area that a scene shows.

        A tile is one of the area's when its middle, the stride × stride square round its centre,
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
        pitch, side = self.stride * PIXEL, self.size * PIXEL
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

    def window(self, cells: NDArray[np.int64], scene: Scene) -> Window:
        """The pixels of a scene that its tiles need.

        Args:
            cells: (n, 2) (column, row), one or more.
            scene: Of the same zone.

        Raises:
            InputError: there are no cells.
            SceneError: the scene's origin is not a multiple of 10 m, or a tile reaches beyond it.
        """
        if not len(cells):
            raise InputError(f"scene {scene.id}: no cells, so no window; leave the scene out")
        top, left = self.upper_left(cells, scene)
        row, col = int(top.min()), int(left.min())
        window = Window(
            row=row,
            col=col,
            rows=int(top.max()) + self.size - row,
            cols=int(left.max()) + self.size - col,
        )
        if min(row, col) < 0 or row + window.rows > scene.height or col + window.cols > scene.width:
            raise SceneError(
                f"scene {scene.id}: {window} reaches beyond its {scene.height} rows and "
                f"{scene.width} columns; take cells from Lattice.cells with its footprint"
            )
        return window

    def upper_left(
        self, cells: NDArray[np.int64], scene: Scene
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(row, col) in the scene of the first pixel of each tile: two arrays of (n,).

        Raises:
            SceneError: the scene's origin is not a multiple of 10 m.
        """
        if scene.west % PIXEL or scene.north % PIXEL:
            raise SceneError(
                f"scene {scene.id}: its origin ({scene.west}, {scene.north}) is not a multiple of "
                f"10 m, so its pixels are not those of the lattice; resample it first"
            )
        col = cells[:, 0] * self.stride - round(scene.west / PIXEL)
        row = round(scene.north / PIXEL) - cells[:, 1] * self.stride
        return row, col
