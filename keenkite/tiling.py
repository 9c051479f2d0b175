"""The lattice of tiles in each UTM zone, and cutting a scene's strips into them.

Pure: arrays in, tiles and arrays out; nothing is read or written.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from . import utm
from .errors import InputError, SceneError
from .scene import PIXEL, Scene, Strip, Window
from .scl import KINDS, KindCounter
from .tile import Tile as Tile

BATCH = 128
"""Tiles cut at a time: 19 MB of pixels at 224 px."""


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


class TileCutter:
    """Cuts the strips of one scene's window into tiles, top to bottom, each pixel held but once."""

    dropped: Counter[str]
    """Reason -> tiles not kept so far: "nodata" (too little data) or "cloud" (too much of it)."""

    def __init__(
        self,
        scene: Scene,
        cells: NDArray[np.int64],
        lattice: Lattice,
        *,
        region: str,
        max_nodata: float = 0.10,
        max_cloud: float = 0.40,
    ) -> None:
        """Get ready for a scene.

        Args:
            scene: What the strips are of.
            cells: (n, 2) (column, row) of the tiles to cut; see `Lattice.cells`.
            lattice: What the cells are of.
            region: A name that the tiles get.
            max_nodata: A tile with a larger fraction of nodata is dropped, 0-1.
            max_cloud: A tile with a larger fraction of cloud in what is left is dropped, 0-1.

        Raises:
            InputError: a fraction is not one, or there are no cells.
            SceneError: see `Lattice.window`.
        """
        for name, value in (("max_nodata", max_nodata), ("max_cloud", max_cloud)):
            if not 0 <= value <= 1:
                raise InputError(f"{name} is a fraction from 0 to 1, not {value}")
        self.dropped = Counter()
        self._scene, self._lattice, self._region = scene, lattice, region
        self._max_nodata, self._max_cloud = max_nodata, max_cloud
        self._window = window = lattice.window(cells, scene)
        self._cells = cells[np.lexsort((cells[:, 0], -cells[:, 1]))]
        top, left = lattice.upper_left(self._cells, scene)
        self._top, self._left = top, left - window.col
        self._places = _places(scene.epsg, self._cells, lattice)
        self._done = 0
        self._row = window.row
        self._tail = np.empty((0, window.cols, 3), dtype=np.uint8)
        edges = np.concatenate([top, top + lattice.size]).tolist()
        self._counter = KindCounter(edges, window.cols, first_row=window.row)

    @property
    def left(self) -> int:
        """Tiles not cut and not dropped yet: 0 once the strips have reached the window's end."""
        return len(self._cells) - self._done

    def cut(self, strip: Strip) -> Iterator[tuple[list[Tile], NDArray[np.uint8]]]:
        """The tiles that a strip completes, in batches, row of tiles by row of tiles.

        Args:
            strip: Goes on where the last one ended; the first begins at the window's first row.
                It holds all columns of the window, and may have more rows and columns.

        Yields:
            n tiles, 1 to 128, and their pixels: uint8 (n, size, size, 3), contiguous.

        Raises:
            InputError: rows were left out, or columns are missing.
        """
        rgb, scl = self._next_rows(strip)
        self._counter.add(scl)
        at, tail = self._row, self._tail
        self._row += len(rgb)
        bottoms = self._top + self._lattice.size
        done = range(self._done, int(np.searchsorted(bottoms, self._row, side="right")))
        kept, fractions = self._judge(done)
        self._done = done.stop
        if self.left:
            first = int(self._top[self._done])  # the first row that is needed again
            self._counter.forget(first)
            # A copy, so that the strip itself can go.
            self._tail = np.concatenate(
                [tail[max(first - (at - len(tail)), 0) :], rgb[max(first - at, 0) :]]
            )
        return self._batches(kept, fractions, tail, rgb, at)

    def _next_rows(self, strip: Strip) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """RGB and SCL of the rows of a strip not seen yet, in the columns of the window."""
        rows, cols = strip.scl.shape
        skip, left = self._row - strip.row, self._window.col - strip.col
        if skip < 0 or left < 0 or left + self._window.cols > cols:
            raise InputError(
                f"scene {self._scene.id}: a strip of rows {strip.row} to {strip.row + rows} and "
                f"columns {strip.col} to {strip.col + cols}, where row {self._row} of "
                f"{self._window} comes next"
            )
        rows_left = self._window.row + self._window.rows - self._row
        inside = np.s_[skip : skip + rows_left, left : left + self._window.cols]
        return strip.rgb[inside], strip.scl[inside]

    def _judge(self, done: range) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Which of some complete tiles to keep, (n,), and the fractions of each, (n, 6)."""
        size = self._lattice.size
        counts = np.empty((len(done), len(KINDS)), dtype=np.int64)
        tops, begins = np.unique(self._top[done.start : done.stop], return_index=True)
        for top, begin, end in zip(tops.tolist(), begins, [*begins[1:], len(done)], strict=True):
            left = self._left[done.start + begin : done.start + end]
            counts[begin:end] = self._counter.count(top, top + size, left, left + size).T
        valid = counts[:, :1]
        fractions = np.hstack([valid / size**2, counts[:, 1:] / np.maximum(valid, 1)])
        empty = fractions[:, 0] < 1 - self._max_nodata
        cloudy = ~empty & (fractions[:, 1] > self._max_cloud)
        self.dropped.update(nodata=int(empty.sum()), cloud=int(cloudy.sum()))
        kept = np.flatnonzero(~empty & ~cloudy)
        return kept + done.start, fractions[kept]

    def _batches(
        self,
        kept: NDArray[np.int64],
        fractions: NDArray[np.float64],
        tail: NDArray[np.uint8],
        rgb: NDArray[np.uint8],
        at: int,
    ) -> Iterator[tuple[list[Tile], NDArray[np.uint8]]]:
        """Tiles whose pixels are in `rgb`, which begins at row `at`, and in `tail` before it."""
        size = self._lattice.size
        for begin in range(0, len(kept), BATCH):
            batch = slice(begin, begin + BATCH)
            numbers = kept[batch]
            pixels = np.empty((len(numbers), size, size, 3), dtype=np.uint8)
            places = zip(
                (self._top[numbers] - at).tolist(), self._left[numbers].tolist(), strict=True
            )
            for tile, (top, left) in zip(pixels, places, strict=True):
                before = max(-top, 0)
                if before:
                    begin_in_tail = len(tail) + top
                    tile[:before] = tail[begin_in_tail : begin_in_tail + size, left : left + size]
                tile[before:] = rgb[max(top, 0) : top + size, left : left + size]
            yield self._tiles(numbers, fractions[batch]), pixels

    def _tiles(self, numbers: NDArray[np.int64], fractions: NDArray[np.float64]) -> list[Tile]:
        scene, lattice = self._scene, self._lattice
        return [
            Tile(
                epsg=scene.epsg,
                column=column,
                row=row,
                size=lattice.size,
                stride=lattice.stride,
                datetime=scene.datetime,
                platform=scene.platform,
                scene_id=scene.id,
                collection=scene.collection,
                region=self._region,
                lon=lon,
                lat=lat,
                bounds=(west, south, east, north),
                **dict(zip(KINDS, of_tile, strict=True)),
            )
            for (column, row), (lon, lat, west, south, east, north), of_tile in zip(
                self._cells[numbers].tolist(),
                self._places[numbers].tolist(),
                fractions.tolist(),
                strict=True,
            )
        ]


def _places(epsg: int, cells: NDArray[np.int64], lattice: Lattice) -> NDArray[np.float64]:
    """(n, 6) longitude and latitude of the centre of each tile, then its bounds; degrees."""
    side = lattice.size * PIXEL
    west, north = (cells * (lattice.stride * PIXEL)).T
    # Columns: the centre, then the four corners.
    x = west[:, None] + side * np.array([0.5, 0, 1, 1, 0])
    y = north[:, None] - side * np.array([0.5, 0, 0, 1, 1])
    lon, lat = utm.unproject(epsg, x, y)
    # Round the centre without a jump at ±180, and back once west and east are known.
    lon[:, 1:] += 360 * np.round((lon[:, :1] - lon[:, 1:]) / 360)
    edges = np.column_stack([lon[:, 1:].min(axis=1), lon[:, 1:].max(axis=1)])
    edges -= 360 * np.round(edges / 360)
    return np.column_stack(
        [
            lon[:, 0],
            lat[:, 0],
            edges[:, 0],
            lat[:, 1:].min(axis=1),
            edges[:, 1],
            lat[:, 1:].max(axis=1),
        ]
    )
