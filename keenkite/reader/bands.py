"""One file of a scene: opened with care, laid on the scene's grid, read from top to bottom."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, MaskFlags, PhotometricInterp
from rasterio.errors import RasterioError
from rasterio.windows import Window as FileWindow

from keenkite.errors import SceneError
from keenkite.reader.layers import Layer
from keenkite.reader.laying import Axis, lay
from keenkite.reader.sources import FileError, Source, shown
from keenkite.scene import Scene, Window
from keenkite.sensors import COLOURS

logger = logging.getLogger(__name__)

STRIP_ROWS = 1024
"""The block height of Sentinel-2 COGs. Strips begin at multiples of it, counted from the scene's
upper edge, so that they hold whole rows of blocks."""
MOST_PIXELS = 1 << 28
"""Of a file, held at once: half a gigabyte of uint16. One that needs more, by its blocks, by its
fineness or for a strip of its whole width, is refused before anything of it is read."""

_HINTS = {
    "float32": ": write reflectance × 10,000 (gdal_translate -ot UInt16 -scale 0 1 0 10000)",
    "int16": ": write it as such (gdal_translate -ot UInt16)",
}


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Some rows of a file as its scene sees them. To be used at once."""

    numbers: NDArray[Any]
    """(rows, columns of the window) as the file has them; 0 outside it."""
    masked: NDArray[np.bool_] | None
    """The same shape: no data by the file's own mask. None where it masks nothing."""
    inside: tuple[slice, slice]
    """(rows, columns) that the file has; empty where it has none."""


class Band:
    """One asset of a scene, for one window; rows are asked for once, from top to bottom.

    Used by one thread at a time. Every error is a `SceneError`.
    """

    nodata: int | None = None
    """The number that is no data by the file, where it names one besides 0."""
    names_nodata: bool = False
    """Whether the file names a number at all, 0 or another."""
    stated: tuple[float, float] = (1.0, 0.0)
    """(scale, offset) that the file gives to its numbers; (1, 0) where it gives none."""

    def __init__(self, scene: Scene, key: str, window: Window) -> None:
        self.scene, self.key = scene, key
        self._window = window
        href = scene.assets.get(key)
        if href is None:
            raise SceneError(
                f"Scene {scene.id} has no asset {key!r} (it has: "
                f"{', '.join(sorted(scene.assets))}). "
                "Choose another collection, or leave this scene out."
            )
        self._shown = shown(href)
        with self._errors():
            self._source = Source.of(href)
        self._file: Any = None
        self._layers: list[Layer] = []  # the numbers, and the mask if there is one

    def open(self) -> None:
        """Open the file, see that it is what it must be, and lay it on the scene."""
        with self._errors(), self._source.environment():
            self._file = self._source.open()
            _require_kind(self._file, self._dtype())
            _require_size(self._file)
            self._laying = lay(self._file, self.scene, on_grid=self._on_grid)
            self._cols = _Span.of(
                self._laying.cols, self._window.col, self._window.cols, self.scene.width
            )
            self._layers = self._open_layers()
            self.nodata = _nodata(self._file)
            self.names_nodata = self._file.nodata is not None
            self.stated = (float(self._file.scales[0]), float(self._file.offsets[0]))
        if self.key in COLOURS:
            self._report()

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            with self._source.environment():
                self._file.close()
            self._file = None

    def read(self, row: int, rows: int) -> Rows:
        """Some rows of the window, laid.

        Whole rows of blocks are decoded and what the next rows need of them is kept, so no block
        is decoded twice.

        Args:
            row: Of the scene; where the call before ended.
            rows: How many.
        """
        down, across = _Span.of(self._laying.rows, row, rows, self.scene.height), self._cols
        shape = (rows, self._window.cols)
        if down is None or across is None:
            nothing = (slice(0, 0), slice(0, 0))
            return Rows(numbers=np.zeros(shape, self._dtype()), masked=None, inside=nothing)
        with self._errors(), self._source.environment():
            numbers, *masks = [
                _placed(layer.read(down.first, down.stop), down, across, shape)
                for layer in self._layers
            ]
        inside = (down.inside, across.inside)
        masked = masks[0] == 0 if masks and not masks[0][inside].all() else None
        return Rows(numbers=numbers, masked=masked, inside=inside)

    def extent(self, window: Window | None) -> FileWindow | None:
        """The file's own pixels that a window has; all for None, None where it has none of them."""
        if window is None:
            return FileWindow(0, 0, self._file.width, self._file.height)
        down = _Span.of(self._laying.rows, window.row, window.rows, self.scene.height)
        across = _Span.of(self._laying.cols, window.col, window.cols, self.scene.width)
        if down is None or across is None:
            return None
        width, height = across.stop - across.first, down.stop - down.first
        return FileWindow(across.first, down.first, width, height)

    @property
    def has_mask(self) -> bool:
        """Whether the file has a mask of its own, or alpha."""
        return len(self._layers) > 1

    @property
    def block(self) -> tuple[int, int]:
        """(rows, columns) of the file that are decoded together."""
        rows, cols = self._file.block_shapes[0]
        return int(rows), int(cols)

    def look(self, place: FileWindow) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Some of the file's own pixels out of turn, and which of them are no data."""
        with self._errors(), self._source.environment():
            numbers = self._file.read(1, window=place)
            empty = (numbers == 0) | (numbers == (self.nodata or 0))
            if self.has_mask:
                empty |= self._file.read_masks(1, window=place) == 0
        return numbers, empty

    def _open_layers(self) -> list[Layer]:
        down = _Span.of(self._laying.rows, self._window.row, self._window.rows, self.scene.height)
        if down is None or self._cols is None:
            return []
        rows = min(down.stop - down.first, int(STRIP_ROWS * self._laying.rows.step) + 1)
        held = (rows + self.block[0]) * (self._cols.stop - self._cols.first)
        if held > MOST_PIXELS:
            raise FileError(
                f"is too large to be read in strips: {held:,} of its pixels would be held at once. "
                "Write it as a Cloud Optimized GeoTIFF"
            )
        file, cols = self._file, (self._cols.first, self._cols.stop)
        layers = [Layer(file.read, self.block[0], cols, down.stop, file.dtypes[0])]
        if MaskFlags.per_dataset in file.mask_flag_enums[0]:
            layers.append(Layer(file.read_masks, self.block[0], cols, down.stop, "uint8"))
        return layers

    def _dtype(self) -> str:
        classes = self.scene.sensor.classes
        if classes is not None and self.key == classes.key:
            return "uint16" if classes.flags else "uint8"
        return "uint8" if self.scene.sensor.brightest <= 255 else "uint16"

    @property
    def _on_grid(self) -> bool:
        return self.key in COLOURS and not self.scene.sensor.beside

    def _report(self) -> None:
        times = self._laying.coarseness
        if times > 1:
            logger.warning(
                "scene %s: asset %s has pixels of %g m; each is repeated %g times each way",
                self.scene.id, self.key, self.scene.metres * times, times,
            )  # fmt: skip

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (RasterioError, FileError) as error:
            what = error if isinstance(error, FileError) else self._source.failure(error)
            raise SceneError(
                f"Scene {self.scene.id}: asset {self.key} ({self._shown}) {what}. "
                "Build again to try it again, or leave this scene out."
            ) from None


@dataclass(frozen=True, kw_only=True)
class _Span:
    """Rows or columns that both a window and a file have."""

    inside: slice
    """Of those of the window."""
    first: int
    """Of the file."""
    stop: int
    """Of the file, not included."""
    taken: NDArray[np.intp] | None
    """Which of the file's from `first` on each shows; None where each shows its own."""

    @classmethod
    def of(cls, axis: Axis, first: int, count: int, limit: int) -> _Span | None:
        """Those from `first` on, of a scene that has `limit`; None where there are none."""
        begin, end = max(first, 0), min(first + count, limit)
        places = axis.places(begin, max(end - begin, 0))
        has = np.flatnonzero((places >= 0) & (places < axis.count))
        if not len(has):
            return None
        places = places[has[0] : has[-1] + 1]
        at = begin - first + int(has[0])
        own = len(places) == places[-1] - places[0] + 1
        return cls(
            inside=slice(at, at + len(places)),
            first=int(places[0]),
            stop=int(places[-1]) + 1,
            taken=None if own else places - places[0],
        )


def _placed(part: NDArray[Any], down: _Span, across: _Span, shape: tuple[int, int]) -> NDArray[Any]:
    """What was read of a file, each pixel where the scene has it; 0 elsewhere."""
    if across.taken is not None:
        part = part.take(across.taken, axis=1)
    if down.taken is not None:
        part = part.take(down.taken, axis=0)
    if part.shape == shape:
        return part
    whole = np.zeros(shape, part.dtype)
    whole[down.inside, across.inside] = part
    return whole


def _require_kind(file: Any, dtype: str) -> None:
    """Refuse what cannot be one band of a scene."""
    colours = set(file.colorinterp)
    alone = file.count == 1 or (file.count == 2 and file.colorinterp[1] == ColorInterp.alpha)
    what = f"holds {file.count} band(s) of {file.dtypes[0]}"
    # GDAL shows CMYK as red, green, blue and alpha.
    if ColorInterp.cyan in colours or file.photometric == PhotometricInterp.cmyk:
        what = f"is a CMYK picture ({what})"
    elif ColorInterp.palette in colours and (dtype != "uint8" or not alone):
        what = f"is a picture with a palette ({what})"
    elif alone and file.dtypes[0] == dtype:
        return
    raise FileError(f"{what}, where one of {dtype} belongs{_HINTS.get(file.dtypes[0], '')}")


def _require_size(file: Any) -> None:
    """Refuse what would take more memory than any scene, before any is taken."""
    rows, cols = file.block_shapes[0]
    if max(file.width * STRIP_ROWS, rows * cols) > MOST_PIXELS:
        raise FileError(
            f"claims {file.width:,}×{file.height:,} pixels in blocks of {cols:,}×{rows:,}, more "
            "than can be held at once: is it sound? If so, cut it into files of at most "
            f"{MOST_PIXELS // STRIP_ROWS:,} columns, in blocks of 1024×1024"
        )


def _nodata(file: Any) -> int | None:
    """The number that a file declares as no data; None for 0 and for what no pixel can be."""
    value = file.nodata
    whole = value is not None and math.isfinite(value) and value == round(value)
    return int(value) if whole and 0 < value < 2**16 else None
