"""TileCutter: strips of a scene in, tiles and their pixels out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from keenkite import utm
from keenkite.errors import InputError
from keenkite.scene import PIXEL, Scene, Strip
from keenkite.tiling.lattice import Lattice
from keenkite.tiling.scl import KINDS, KindCounter
from keenkite.tiling.tile import Tile

BATCH = 128
"""Tiles cut at a time: 19 MB of pixels at 224 px."""


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
        rows_left = self._window.row + self._window.rows - self._row
        skip = self._row - strip.row if rows_left else rows
        left = self._window.col - strip.col
        if skip < 0 or left < 0 or left + self._window.cols > cols:
            raise InputError(
                f"scene {self._scene.id}: a strip of rows {strip.row} to {strip.row + rows} and "
                f"columns {strip.col} to {strip.col + cols}, where row {self._row} of "
                f"{self._window} comes next"
            )
        inside = np.s_[skip : skip + rows_left, left : left + self._window.cols]
        return strip.rgb[inside], strip.scl[inside]

    def _judge(self, done: range) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Which of some complete tiles to keep, (n,), and the fractions of each, (n, 6)."""
        size = self._lattice.size
        counts = np.empty((len(done), len(KINDS)), dtype=np.int64)
        tops, begins = np.unique(self._top[done.start : done.stop], return_index=True)
        ends = np.append(begins, len(done))[1:]
        for top, begin, end in zip(tops.tolist(), begins, ends, strict=True):
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
