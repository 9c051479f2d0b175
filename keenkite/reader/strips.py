"""Scene + window -> strips of pixels: every block decoded once, the bands side by side.

A strip is as high as the blocks of Sentinel-2 COGs, so no block lies in two of them. Each file
has a thread of its own (rasterio lets go of the interpreter while it decodes), and the next strip
is read while the caller works on this one.

Memory does not grow with the height of the window. For 10,980 columns a strip is 45 MB and there
are two, the caller's and the next; the digital numbers of a row of blocks are 73 MB, GDAL's blocks
16 MB. A whole process that cuts tiles of these strips stays under 450 MB (benchmarks/strips.py).
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning

from keenkite.reader.bands import COLOURS, Band
from keenkite.scene import Scene, Strip, Window

logger = logging.getLogger(__name__)

STRIP_ROWS = 1024
"""The block height of Sentinel-2 COGs. Strips begin at multiples of it, counted from the scene's
upper edge, so that they hold whole rows of blocks."""
BRIGHTEST = 3000
"""Reflectance × 10,000 that becomes 255; what is brighter is cut."""
OFFSET = 1000
"""What processing baselines from 04.00 on add to the digital numbers."""
_ALWAYS_OFFSET = "sentinel-2-c1-l2a"
_DARK_SHARE = 0.005
"""More of valid blue below 1000 than this: the offset is off already."""
_SCALED_ROWS = 16
"""Rows scaled at a time. A take on indices that fit in the cache is 2.5 times as fast as indexing
the whole strip, a take on the whole strip several times slower."""


def read_strips(scene: Scene, window: Window) -> Iterator[Strip]:
    """Read a window's pixels, top to bottom, as RGB and scene classes.

    Red, green and blue are reflectance (the offset of the digital numbers taken off) cut to
    0-3000 and scaled to 0-255, rounded half to even. A pixel is no data where SCL is 0 (also set
    where all three bands are 0); everything outside the scene is 0. A file coarser than 10 m
    (SCL always is) has each pixel repeated.

    Args:
        scene: Its assets "red", "green", "blue" (uint16) and "scl" (uint8), GeoTIFF or JPEG 2000.
        window: Any rows and columns; need not lie on blocks, may reach beyond the scene.

    Yields:
        Strips of at most 1024 rows that cover exactly the window. Their arrays are the caller's.

    Raises:
        SceneError: on the first strip if an asset is missing, cannot be opened or is not on the
            scene's grid; later if one cannot be read on. Nothing stays open, also when the caller
            stops early.
    """
    bands = [Band(scene, key, window) for key in (*COLOURS, "scl")]
    threads = [ThreadPoolExecutor(1, f"keenkite-{band.key}") for band in bands]
    try:
        with warnings.catch_warnings():  # a file without georeference is dealt with by Band
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            _all(thread.submit(band.open) for thread, band in zip(threads, bands, strict=True))
        scale = scaling(_offset(scene, bands[2], threads[2]))
        spans = _spans(window)
        reading = _begin(bands, threads, window, scale, next(spans, None))
        while reading is not None:
            strip = reading.finish()
            reading = _begin(bands, threads, window, scale, next(spans, None))
            yield strip
    finally:
        for thread in threads:
            thread.shutdown(wait=False, cancel_futures=True)
        for thread, band in zip(threads, bands, strict=True):
            thread.shutdown(wait=True)
            band.close()


def scaling(offset: int) -> NDArray[np.uint8]:
    """(65536,) digital number -> 0-255, for an offset of 0 or 1000."""
    reflectance = np.clip(np.arange(65536) - offset, 0, BRIGHTEST).astype(np.uint16)
    scaled: NDArray[np.uint8] = np.rint(reflectance * np.float32(255 / BRIGHTEST)).astype(np.uint8)
    return scaled


def _spans(window: Window) -> Iterator[tuple[int, int]]:
    """(first row, rows) of each strip."""
    row, end = window.row, window.row + window.rows
    while row < end:
        stop = min((row // STRIP_ROWS + 1) * STRIP_ROWS, end)
        yield row, stop - row
        row = stop


@dataclass(frozen=True, kw_only=True)
class _Reading:
    """A strip that the threads are filling."""

    row: int
    col: int
    rgb: NDArray[np.uint8]
    scl: NDArray[np.uint8]
    empty: list[Future[NDArray[np.bool_] | None]]
    """Of each colour: where its digital number is 0."""
    classes: Future[None]

    def finish(self) -> Strip:
        red, green, blue = _all(self.empty)
        self.classes.result()
        if red is not None and green is not None and blue is not None:
            self.scl[red & green & blue] = 0
        return Strip(row=self.row, col=self.col, rgb=self.rgb, scl=self.scl)


def _begin(
    bands: list[Band],
    threads: list[ThreadPoolExecutor],
    window: Window,
    scale: NDArray[np.uint8],
    span: tuple[int, int] | None,
) -> _Reading | None:
    if span is None:
        return None
    row, rows = span
    rgb = np.empty((rows, window.cols, 3), np.uint8)
    scl = np.empty((rows, window.cols), np.uint8)
    return _Reading(
        row=row,
        col=window.col,
        rgb=rgb,
        scl=scl,
        empty=[
            threads[n].submit(_fill, bands[n], row, scale, rgb[..., n]) for n in range(len(COLOURS))
        ],
        classes=threads[-1].submit(_copy, bands[-1], row, scl),
    )


def _fill(
    band: Band, row: int, scale: NDArray[np.uint8], out: NDArray[np.uint8]
) -> NDArray[np.bool_] | None:
    """Scale some rows of a colour into its place in the strip; where its numbers are 0, if any."""
    numbers = band.read(row, len(out))
    for top in range(0, len(out), _SCALED_ROWS):
        rows = np.s_[top : top + _SCALED_ROWS]
        out[rows] = scale.take(numbers[rows].astype(np.intp), mode="clip")
    return None if numbers.all() else numbers == 0


def _copy(band: Band, row: int, out: NDArray[np.uint8]) -> None:
    out[...] = band.read(row, len(out))


def _offset(scene: Scene, blue: Band, thread: ThreadPoolExecutor) -> int:
    """What to take off the digital numbers: 0 or 1000.

    Items are often wrong about it: real ones of sentinel-2-l2a say that the offset is applied and
    give it again, others say that it is not where it is. So pixels come first. Reflectance of blue
    is below 0.1 (1000) on nearly all ground; digital numbers below 1000 are rare with the offset.
    """
    if scene.collection == _ALWAYS_OFFSET:
        return OFFSET
    sample = thread.submit(blue.sample).result()
    valid = sample[sample > 0]
    share = float(np.mean(valid < OFFSET)) if valid.size else 0.0
    claimed = _claimed_offset(scene)
    if share > _DARK_SHARE:
        if claimed:
            logger.warning(
                "scene %s: its item says that %d must be taken off its numbers, but %.1f %% of "
                "blue is below that: it is off already", scene.id, OFFSET, 100 * share,
            )  # fmt: skip
        return 0
    if valid.size and claimed == 0:
        logger.warning(
            "scene %s: its item says that nothing must be taken off its numbers, but none of blue "
            "is below %d: it is very bright, or the item is wrong", scene.id, OFFSET,
        )  # fmt: skip
    return OFFSET if claimed is None else claimed


def _claimed_offset(scene: Scene) -> int | None:
    """What the item says is to be taken off; None when it does not say."""
    if scene.boa_offset_applied:
        return 0
    try:
        baseline = float(scene.baseline or "")
    except ValueError:
        return None
    return OFFSET if baseline >= 4 else 0


def _all(futures: Iterable[Future[Any]]) -> list[Any]:
    return [future.result() for future in list(futures)]
