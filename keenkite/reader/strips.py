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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning

from keenkite.reader.bands import Band
from keenkite.scene import Scene, Strip, Window
from keenkite.sensors import COLOURS, OffsetRule

logger = logging.getLogger(__name__)

STRIP_ROWS = 1024
"""The block height of Sentinel-2 COGs. Strips begin at multiples of it, counted from the scene's
upper edge, so that they hold whole rows of blocks."""
_SCALED_ROWS = 16
"""Rows scaled at a time. A take on indices that fit in the cache is 2.5 times as fast as indexing
the whole strip, a take on the whole strip several times slower."""


def read_strips(scene: Scene, window: Window, *, bands: Sequence[str] = ()) -> Iterator[Strip]:
    """Read a window's pixels, top to bottom, as RGB, scene classes, and what bands are wanted.

    Red, green and blue are reflectance (the offset of the digital numbers taken off) cut at the
    sensor's brightest and scaled to 0-255, rounded half to even. A pixel is no data where the
    classification says so (also set where all three colours are 0); everything outside the scene
    is 0. Each pixel of a file coarser than the scene is repeated.

    Args:
        scene: Its assets by key, GeoTIFF or JPEG 2000: uint16, and uint8 for the classification.
        window: Any rows and columns; need not lie on blocks, may reach beyond the scene.
        bands: Names of the sensor's bands to give as reflectance too, in this order.

    Yields:
        Strips of at most 1024 rows that cover exactly the window. Their arrays are the caller's.

    Raises:
        InputError: the sensor has no such band.
        SceneError: on the first strip if an asset is missing, cannot be opened or is not on the
            scene's grid; later if one cannot be read on. Nothing stays open, also when the caller
            stops early.
    """
    assert scene.sensor.classes is not None
    wanted = [scene.sensor.band(name).key for name in bands]
    keys = [*COLOURS, *(key for key in dict.fromkeys(wanted) if key not in COLOURS)]
    files = [Band(scene, key, window) for key in (*keys, scene.sensor.classes.key)]
    threads = [ThreadPoolExecutor(1, f"keenkite-{band.key}") for band in files]
    try:
        with warnings.catch_warnings():  # a file without georeference is dealt with by Band
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            _all(thread.submit(band.open) for thread, band in zip(threads, files, strict=True))
        offset = _offset(scene, files, threads)
        job = _Job(
            bands=dict(zip(keys, files[:-1], strict=True)),
            threads=dict(zip(keys, threads[:-1], strict=True)),
            classes=files[-1],
            class_thread=threads[-1],
            nodata=scene.sensor.classes.nodata,
            window=window,
            colour=scaling(offset, scene.sensor.brightest),
            reflectance=_reflectance(offset, scene.sensor.reflectance) if wanted else None,
            wanted=wanted,
        )
        spans = _spans(window)
        reading = _begin(job, next(spans, None))
        while reading is not None:
            strip = reading.finish()
            reading = _begin(job, next(spans, None))
            yield strip
    finally:
        for thread in threads:
            thread.shutdown(wait=False, cancel_futures=True)
        for thread, band in zip(threads, files, strict=True):
            thread.shutdown(wait=True)
            band.close()


def scaling(offset: int, brightest: int) -> NDArray[np.uint8]:
    """(65536,) digital number -> 0-255: 0 at the offset, 255 at `brightest` above it."""
    reflectance = np.clip(np.arange(65536) - offset, 0, brightest).astype(np.uint16)
    scaled: NDArray[np.uint8] = np.rint(reflectance * np.float32(255 / brightest)).astype(np.uint8)
    return scaled


def _reflectance(offset: int, unit: float) -> NDArray[np.uint16]:
    """(65536,) digital number -> reflectance × 10,000; none is below 0."""
    values = np.rint((np.arange(65536) - offset) * (unit * 1e4))
    reflectance: NDArray[np.uint16] = np.clip(values, 0, 65535).astype(np.uint16)
    return reflectance


def _spans(window: Window) -> Iterator[tuple[int, int]]:
    """(first row, rows) of each strip."""
    row, end = window.row, window.row + window.rows
    while row < end:
        stop = min((row // STRIP_ROWS + 1) * STRIP_ROWS, end)
        yield row, stop - row
        row = stop


@dataclass(frozen=True, kw_only=True)
class _Job:
    """What all strips of a window share."""

    bands: Mapping[str, Band]
    threads: Mapping[str, ThreadPoolExecutor]
    classes: Band
    class_thread: ThreadPoolExecutor
    nodata: int
    window: Window
    colour: NDArray[np.uint8]
    """(65536,) digital number -> a colour's value."""
    reflectance: NDArray[np.uint16] | None
    """(65536,) digital number -> reflectance × 10,000; None where no bands are wanted."""
    wanted: Sequence[str]
    """Keys of the bands wanted, in order."""


@dataclass(frozen=True, kw_only=True)
class _Reading:
    """A strip that the threads are filling."""

    row: int
    col: int
    rgb: NDArray[np.uint8]
    classes: NDArray[np.uint8]
    bands: NDArray[np.uint16] | None
    nodata: int
    filling: list[Future[NDArray[np.bool_] | None]]
    """Of each band, the colours first: where its digital number is 0."""
    classifying: Future[None]

    def finish(self) -> Strip:
        red, green, blue, *_ = _all(self.filling)
        self.classifying.result()
        if red is not None and green is not None and blue is not None:
            self.classes[red & green & blue] = self.nodata
        return Strip(
            row=self.row, col=self.col, rgb=self.rgb, classes=self.classes, bands=self.bands
        )


def _begin(job: _Job, span: tuple[int, int] | None) -> _Reading | None:
    if span is None:
        return None
    row, rows = span
    rgb = np.empty((rows, job.window.cols, 3), np.uint8)
    classes = np.empty((rows, job.window.cols), np.uint8)
    bands = None
    if job.reflectance is not None:
        bands = np.empty((rows, job.window.cols, len(job.wanted)), np.uint16)
    filling = []
    for key, band in job.bands.items():
        outs: list[tuple[NDArray[Any], NDArray[Any]]] = []
        if key in COLOURS:
            outs.append((job.colour, rgb[..., COLOURS.index(key)]))
        if bands is not None and job.reflectance is not None and key in job.wanted:
            outs.append((job.reflectance, bands[..., job.wanted.index(key)]))
        filling.append(job.threads[key].submit(_fill, band, row, outs))
    return _Reading(
        row=row,
        col=job.window.col,
        rgb=rgb,
        classes=classes,
        bands=bands,
        nodata=job.nodata,
        filling=filling,
        classifying=job.class_thread.submit(_copy, job.classes, row, classes),
    )


def _fill(
    band: Band, row: int, outs: Sequence[tuple[NDArray[Any], NDArray[Any]]]
) -> NDArray[np.bool_] | None:
    """Some rows of a band through tables into their places; where its numbers are 0, if any."""
    numbers = band.read(row, len(outs[0][1]))
    for top in range(0, len(numbers), _SCALED_ROWS):
        rows = np.s_[top : top + _SCALED_ROWS]
        at = numbers[rows].astype(np.intp)
        for table, out in outs:
            out[rows] = table.take(at, mode="clip")
    if numbers.all():
        return None
    empty: NDArray[np.bool_] = numbers == 0
    for _, out in outs:
        if out.dtype == np.uint16:
            out[empty] = 0
    return empty


def _copy(band: Band, row: int, out: NDArray[np.uint8]) -> None:
    out[...] = band.read(row, len(out))


def _offset(scene: Scene, files: Sequence[Band], threads: Sequence[ThreadPoolExecutor]) -> int:
    """What to take off the digital numbers; see `OffsetRule`.

    Items are often wrong about it: real ones of sentinel-2-l2a say that the offset is applied and
    give it again, others say that it is not where it is. So pixels come first.
    """
    rule = scene.sensor.offset
    if rule is None:
        return 0
    if scene.collection in rule.always:
        return rule.amount
    dark = next(n for n, band in enumerate(files) if band.key == rule.dark_band)
    sample = threads[dark].submit(files[dark].sample).result()
    valid = sample[sample > 0]
    share = float(np.mean(valid < rule.amount)) if valid.size else 0.0
    claimed = _claimed_offset(scene, rule)
    if share > rule.dark_share:
        if claimed:
            logger.warning(
                "scene %s: its item says that %d must be taken off its numbers, but %.1f %% of "
                "%s is below that: it is off already",
                scene.id, rule.amount, 100 * share, rule.dark_band,
            )  # fmt: skip
        return 0
    if valid.size and claimed == 0:
        logger.warning(
            "scene %s: its item says that nothing must be taken off its numbers, but none of %s "
            "is below %d: it is very bright, or the item is wrong",
            scene.id, rule.dark_band, rule.amount,
        )  # fmt: skip
    return rule.amount if claimed is None else claimed


def _claimed_offset(scene: Scene, rule: OffsetRule) -> int | None:
    """What the item says is to be taken off; None when it does not say."""
    if scene.boa_offset_applied:
        return 0
    try:
        baseline = float(scene.baseline or "")
    except ValueError:
        return None
    return rule.amount if baseline >= rule.from_baseline else 0


def _all(futures: Iterable[Future[Any]]) -> list[Any]:
    return [future.result() for future in list(futures)]
