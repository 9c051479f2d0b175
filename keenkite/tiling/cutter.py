"""TileCutter: strips of a scene in, tiles and their pixels out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keenkite.errors import InputError
from keenkite.scene import Scene, Strip, Window
from keenkite.tiling.kinds import KindCounter
from keenkite.tiling.resample import resample
from keenkite.tiling.tile import Place, Tile, squares
from keenkite.tiling.window import pixels_of, upper_left, window_of

BATCH = 128
"""Tiles cut at a time: 19 MB of pixels at 224 px."""

MAX_NODATA, MAX_CLOUD = 0.10, 0.40
"""A tile with a larger fraction of nodata, or of cloud in what is left, is dropped."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Cut:
    """Some tiles of a scene, and what encoders are shown of them."""

    tiles: list[Tile]
    """n of them, 1 to 128."""
    rgb: NDArray[np.uint8]
    """(n, 224, 224, 3), contiguous."""
    bands: NDArray[np.uint16] | None
    """(n, 224, 224, bands) reflectance × 10,000, where the strips have it."""


class TileCutter:
    """Cuts the strips of one scene's window into tiles, top to bottom, each pixel held but once."""

    dropped: Counter[str]
    """Reason -> tiles not kept so far: "nodata" (too little data) or "cloud" (too much of it)."""

    def __init__(
        self,
        scene: Scene,
        corners: NDArray[np.float64],
        span: float,
        *,
        regions: tuple[str, ...],
        max_nodata: float = MAX_NODATA,
        max_cloud: float = MAX_CLOUD,
    ) -> None:
        """Get ready for a scene.

        Args:
            scene: What the strips are of.
            corners: (n, 2) easting and northing of the upper left corners of the tiles to cut,
                metres; on the lattice or not.
            span: Width of the tiles, metres.
            regions: Names that the tiles get.
            max_nodata: A tile with a larger fraction of nodata is dropped, 0-1.
            max_cloud: A tile with a larger fraction of cloud in what is left is dropped, 0-1.

        Raises:
            InputError: a fraction is not one, or there are no tiles.
            SceneError: see `window_of`.
        """
        for name, value in (("max_nodata", max_nodata), ("max_cloud", max_cloud)):
            if not 0 <= value <= 1:
                raise InputError(f"{name} is a fraction from 0 to 1, not {value}")
        self.dropped = Counter()
        self.lost: dict[str, list[tuple[float, float]]] = {"nodata": [], "cloud": []}
        """Reason -> corners of the tiles counted in `dropped`."""
        self.span = span
        """Width of its tiles, metres."""
        self._scene, self._regions = scene, regions
        self._scene_ids = scene.scene_ids
        self._extents = [(product, product.footprint.bounds) for product in scene.products]
        self._max_nodata, self._max_cloud = max_nodata, max_cloud
        self._window = window = window_of(scene, corners, span)
        self._side = pixels_of(scene, span)
        self._corners = corners[np.lexsort((corners[:, 0], -corners[:, 1]))]
        top, left = upper_left(scene, self._corners)
        self._top, self._left = top, left - window.col
        sides = np.full((len(corners), 1), span, dtype=np.float64)
        self._places = squares(scene.epsg, np.hstack([self._corners, sides]))
        self._done = 0
        self._row = window.row
        self._tail: _Rows = _Rows.none(window)
        edges = np.concatenate([top, top + self._side]).tolist()
        classes = scene.sensor.classification
        self._counter = KindCounter(classes, edges, window.cols, first_row=window.row)

    @property
    def left(self) -> int:
        """Tiles not cut and not dropped yet: 0 once the strips have reached the window's end."""
        return len(self._corners) - self._done

    def cut(self, strip: Strip) -> Iterator[Cut]:
        """The tiles that a strip completes, in batches, row of tiles by row of tiles.

        Args:
            strip: Goes on where the last one ended; the first begins at the window's first row.
                It holds all columns of the window, and may have more rows and columns. One that
                ends before this cutter's window begins, or begins after its end, gives nothing.

        Raises:
            InputError: rows were left out, or columns are missing.
        """
        rows, classes = self._next_rows(strip)
        self._counter.add(classes)
        at, tail = self._row, self._tail
        self._row += len(rows.rgb)
        bottoms = self._top + self._side
        done = range(self._done, int(np.searchsorted(bottoms, self._row, side="right")))
        kept, fractions = self._judge(done)
        self._done = done.stop
        if self.left:
            first = int(self._top[self._done])  # the first row that is needed again
            self._counter.forget(first)
            # A copy, so that the strip itself can go.
            self._tail = tail.after(first - (at - len(tail.rgb))).joined(rows.after(first - at))
        return self._batches(kept, fractions, tail, rows, at)

    def _next_rows(self, strip: Strip) -> tuple[_Rows, NDArray[np.uint8]]:
        """The rows of a strip not seen yet, in the columns of the window."""
        rows, cols = strip.classes.shape
        rows_left = self._window.row + self._window.rows - self._row
        if strip.row + rows <= self._window.row:  # above a window that begins further down
            rows_left = 0
        skip = self._row - strip.row if rows_left else rows
        left = self._window.col - strip.col
        if skip < 0 or left < 0 or left + self._window.cols > cols:
            raise InputError(
                f"scene {self._scene.id}: a strip of rows {strip.row} to {strip.row + rows} and "
                f"columns {strip.col} to {strip.col + cols}, where row {self._row} of "
                f"{self._window} comes next"
            )
        inside = np.s_[skip : skip + rows_left, left : left + self._window.cols]
        bands = None if strip.bands is None else strip.bands[inside]
        return _Rows(rgb=strip.rgb[inside], bands=bands), strip.classes[inside]

    def _judge(self, done: range) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Which of some complete tiles to keep, (n,), and the fractions of each, (n, kinds)."""
        side, kinds = self._side, self._counter.kinds
        counts = np.empty((len(done), len(kinds)), dtype=np.int64)
        tops, begins = np.unique(self._top[done.start : done.stop], return_index=True)
        ends = np.append(begins, len(done))[1:]
        for top, begin, end in zip(tops.tolist(), begins, ends, strict=True):
            left = self._left[done.start + begin : done.start + end]
            counts[begin:end] = self._counter.count(top, top + side, left, left + side).T
        valid = counts[:, :1]
        fractions = np.hstack([valid / side**2, counts[:, 1:] / np.maximum(valid, 1)])
        empty = fractions[:, 0] < 1 - self._max_nodata
        cloudy = np.zeros_like(empty)
        if "cloud" in kinds:
            cloudy = ~empty & (fractions[:, kinds.index("cloud")] > self._max_cloud)
        for why, lost in (("nodata", empty), ("cloud", cloudy)):
            self.dropped[why] += int(lost.sum())
            self.lost[why] += map(tuple, self._corners[done.start : done.stop][lost].tolist())
        kept = np.flatnonzero(~empty & ~cloudy)
        return kept + done.start, fractions[kept]

    def _batches(
        self,
        kept: NDArray[np.int64],
        fractions: NDArray[np.float64],
        tail: _Rows,
        rows: _Rows,
        at: int,
    ) -> Iterator[Cut]:
        """Tiles whose pixels are in `rows`, which begin at row `at`, and in `tail` before it."""
        for begin in range(0, len(kept), BATCH):
            batch = slice(begin, begin + BATCH)
            numbers = kept[batch]
            top, left = (self._top[numbers] - at).tolist(), self._left[numbers].tolist()
            bands = None
            if rows.bands is not None and tail.bands is not None:
                bands = resample(_squares(tail.bands, rows.bands, top, left, self._side))
            yield Cut(
                tiles=self._tiles(numbers, fractions[batch]),
                rgb=resample(_squares(tail.rgb, rows.rgb, top, left, self._side)),
                bands=bands,
            )

    def _tiles(self, numbers: NDArray[np.int64], fractions: NDArray[np.float64]) -> list[Tile]:
        scene, kinds = self._scene, self._counter.kinds
        return [
            Tile.at(
                epsg=scene.epsg,
                span=self.span,
                west=west_,
                north=north_,
                datetime=scene.datetime,
                platform=scene.platform,
                collection=scene.collection,
                scene_ids=self._scenes_of(west_, north_),
                regions=self._regions,
                **dict(zip(kinds, of_tile, strict=True)),
            ).placed(Place(lon, lat, (west, south, east, north)))
            for (west_, north_), (lon, lat, west, south, east, north), of_tile in zip(
                self._corners[numbers].tolist(),
                self._places[numbers].tolist(),
                fractions.tolist(),
                strict=True,
            )
        ]

    def _scenes_of(self, west: float, north: float) -> tuple[str, ...]:
        """The products that a tile may have pixels of, by where they lie."""
        if not self._extents:
            return self._scene_ids
        found = [
            product.id
            for product, (left, bottom, right, top) in self._extents
            if left < west + self.span and west < right
            and bottom < north and north - self.span < top
        ]  # fmt: skip
        return tuple(dict.fromkeys(found))


@dataclass(frozen=True, kw_only=True, eq=False)
class _Rows:
    """Some rows of the window."""

    rgb: NDArray[np.uint8]
    bands: NDArray[np.uint16] | None

    @classmethod
    def none(cls, window: Window) -> _Rows:
        return cls(
            rgb=np.empty((0, window.cols, 3), np.uint8),
            bands=np.empty((0, window.cols, 0), np.uint16),
        )

    def after(self, row: int) -> _Rows:
        """Those from a row on."""
        first = max(row, 0)
        return _Rows(rgb=self.rgb[first:], bands=None if self.bands is None else self.bands[first:])

    def joined(self, more: _Rows) -> _Rows:
        """These and then those, copied."""
        bands = None
        if self.bands is not None and more.bands is not None:
            own = self.bands if len(self.bands) else more.bands[:0]
            bands = np.concatenate([own, more.bands])
        return _Rows(rgb=np.concatenate([self.rgb, more.rgb]), bands=bands)


def _squares(
    tail: NDArray[Any],
    rows: NDArray[Any],
    tops: list[int],
    lefts: list[int],
    side: int,
) -> NDArray[Any]:
    """(n, side, side, channels) cut at rows and columns; a row below 0 is in the tail."""
    pixels = np.empty((len(tops), side, side, rows.shape[2]), dtype=rows.dtype)
    for square, top, left in zip(pixels, tops, lefts, strict=True):
        before = max(-top, 0)
        if before:
            begin = len(tail) + top
            square[:before] = tail[begin : begin + side, left : left + side]
        square[before:] = rows[max(top, 0) : top + side, left : left + side]
    return pixels
