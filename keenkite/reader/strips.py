"""Scene + window -> strips of pixels: every block decoded once, the bands side by side.

A strip is as high as the blocks of Sentinel-2 COGs, so no block lies in two of them. Each file
has a thread of its own (rasterio lets go of the interpreter while it decodes), and the next strip
is read while the caller works on this one.

Memory does not grow with the height of the window. For 10,980 columns a strip is 45 MB and there
are two, the caller's and the next; the digital numbers of a row of blocks are 73 MB, GDAL's blocks
16 MB. A whole process that cuts tiles of these strips stays under 450 MB (benchmarks/strips.py).
Wider windows take that much more, up to 65,536 columns; files that cannot be read within these
bounds are refused, see `MOST_PIXELS`.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning

from keenkite.errors import SceneError
from keenkite.reader.bands import MOST_PIXELS, STRIP_ROWS, Band
from keenkite.reader.offset import offset_of
from keenkite.reader.tables import Tables, classes_of_flags
from keenkite.scene import Scene, Strip, Window
from keenkite.sensors import COLOURS, Classification

MOST_COLUMNS = MOST_PIXELS // STRIP_ROWS // 4
"""Of a window: 655 km at 10 m, which is a UTM zone."""
_SCALED_ROWS = 16
"""Rows scaled at a time. A take on indices that fit in the cache is 2.5 times as fast as indexing
the whole strip, a take on the whole strip several times slower."""


def read_strips(scene: Scene, window: Window, *, bands: Sequence[str] = ()) -> Iterator[Strip]:
    """Read a window's pixels, top to bottom, as RGB, scene classes, and what bands are wanted.

    Red, green and blue are reflectance (the offset of the digital numbers taken off) cut at the
    sensor's brightest and scaled to 0-255, rounded half to even. A pixel is no data where the
    classification says so (also set where all three colours are no data: 0, or what their file
    declares, or masks; one whose file declares nothing, or has no mask, goes by the others), and
    outside any of these files; everything outside the scene is 0. Each file is laid by its
    georeference, the nearest pixel counts.

    Args:
        scene: Its assets by key, GeoTIFF or JPEG 2000: uint16, and uint8 for the classification.
            The colours' pixels are those of the scene or whole groups of them, those of other
            files of any size; a file may show less than the scene, and more.
        window: Any rows and columns; need not lie on blocks, may reach beyond the scene.
        bands: Names of the sensor's bands to give as reflectance too, in this order.

    Yields:
        Strips of at most 1024 rows that cover exactly the window. Their arrays are the caller's.
        Where the sensor has no classification, the classes are 1 where there is data.

    Raises:
        InputError: the sensor has no such band.
        SceneError: on the first strip if an asset is missing, cannot be opened or cannot be laid
            on the scene's grid; later if one cannot be read on. Nothing stays open, also when the
            caller stops early.
    """
    if window.cols > MOST_COLUMNS:
        raise SceneError(
            f"Scene {scene.id}: {window.cols:,} columns are too many to be read at once, "
            f"{MOST_COLUMNS:,} can be. Build smaller areas of it."
        )
    wanted = [scene.sensor.band(name).key for name in bands]
    classes = scene.sensor.classes
    keys = [*COLOURS, *(key for key in dict.fromkeys(wanted) if key not in COLOURS)]
    keys += [] if classes is None else [classes.key]
    files = {key: Band(scene, key, window) for key in keys}
    threads = {key: ThreadPoolExecutor(1, f"keenkite-{key}") for key in keys}
    try:
        with warnings.catch_warnings():  # where a file lies is looked at by Band
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            _all(threads[key].submit(band.open) for key, band in files.items())
        _share_nodata([files[key] for key in COLOURS])
        job = _Job(
            scene=scene,
            files=files,
            threads=threads,
            window=window,
            wanted=wanted,
            tables=_tables(scene, files, threads, window),
        )
        spans = _spans(window)
        reading = _begin(job, next(spans, None))
        while reading is not None:
            strip = reading.finish()
            reading = _begin(job, next(spans, None))
            yield strip
    finally:
        for thread in threads.values():
            thread.shutdown(wait=False, cancel_futures=True)
        for key, band in files.items():
            threads[key].shutdown(wait=True)
            band.close()


def _share_nodata(colours: Sequence[Band]) -> None:
    """A colour whose file names no number for no data has that of the others, where they agree."""
    named = {band.nodata for band in colours if band.names_nodata}
    if len(named) == 1:
        (number,) = named
        for band in colours:
            band.nodata = number


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

    scene: Scene
    files: Mapping[str, Band]
    """By key: the colours, other bands that are wanted, and the classification if there is one."""
    threads: Mapping[str, ThreadPoolExecutor]
    """One for each file."""
    window: Window
    wanted: Sequence[str]
    """Keys of the bands that are wanted as reflectance, in order."""
    tables: Future[Tables]
    """Known once blue has been looked at; the other bands read on meanwhile."""


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """Where a band has data in a strip."""

    empty: NDArray[np.bool_] | None
    """(rows, cols) where it has none, by its numbers or its mask; None where it has all over."""
    masked: NDArray[np.bool_] | None
    """(rows, cols) where its mask says so; None where that masks nothing."""
    has_mask: bool
    inside: tuple[slice, slice]
    """(rows, cols) that lie in its file."""


@dataclass(frozen=True, kw_only=True)
class _Reading:
    """A strip that the threads are filling."""

    strip: Strip
    nodata: int
    """Its class for no data."""
    filling: Mapping[str, Future[_Seen]]
    """By key of the bands."""
    classifying: Future[None] | None

    def finish(self) -> Strip:
        strip = self.strip
        seen = dict(zip(self.filling, _all(self.filling.values()), strict=True))
        if self.classifying is not None:
            self.classifying.result()
        colours = [seen[key] for key in COLOURS]
        self._clear([one.empty for one in colours])
        masks = [one.masked for one in colours if one.has_mask]
        if 0 < len(masks) < len(COLOURS):
            self._clear(masks)
        for key in COLOURS:
            for outside in _outside(seen[key].inside, strip.classes.shape):
                strip.classes[outside] = self.nodata
                strip.rgb[outside] = 0
                if strip.bands is not None:
                    strip.bands[outside] = 0
        return strip

    def _clear(self, empty: Sequence[NDArray[np.bool_] | None]) -> None:
        """No data where all say so."""
        known = [one for one in empty if one is not None]
        if len(known) == len(empty):
            everywhere = np.logical_and.reduce(known)
            self.strip.classes[everywhere] = self.nodata
            self.strip.rgb[everywhere] = 0


def _begin(job: _Job, span: tuple[int, int] | None) -> _Reading | None:
    if span is None:
        return None
    row, rows = span
    shape, kinds = (rows, job.window.cols), job.scene.sensor.classes
    strip = Strip(
        row=row,
        col=job.window.col,
        rgb=np.empty((*shape, 3), np.uint8),
        classes=np.ones(shape, np.uint8) if kinds is None else np.empty(shape, np.uint8),
        bands=np.empty((*shape, len(job.wanted)), np.uint16) if job.wanted else None,
    )
    classifying = None
    if kinds is not None:
        band, thread = job.files[kinds.key], job.threads[kinds.key]
        classifying = thread.submit(_copy, band, row, strip.classes, kinds)
    return _Reading(
        strip=strip,
        nodata=0 if kinds is None else kinds.nodata,
        filling={
            key: job.threads[key].submit(_fill, job, key, strip)
            for key in job.files
            if kinds is None or key != kinds.key
        },
        classifying=classifying,
    )


def _fill(job: _Job, key: str, strip: Strip) -> _Seen:
    """A band's rows of a strip through its tables into their places."""
    band = job.files[key]
    read = band.read(strip.row, len(strip.classes))
    tables = job.tables.result().but(band.nodata)
    outs: list[tuple[NDArray[Any], NDArray[Any]]] = []
    if key in COLOURS:
        outs.append((tables.colour, strip.rgb[..., COLOURS.index(key)]))
    if strip.bands is not None and key in job.wanted:
        outs.append((tables.reflectance, strip.bands[..., job.wanted.index(key)]))
    for top in range(0, len(read.numbers), _SCALED_ROWS):
        rows = np.s_[top : top + _SCALED_ROWS]
        at = read.numbers[rows].astype(np.intp)
        for table, out in outs:
            out[rows] = table.take(at, mode="clip")
    empty = _empty(read.numbers, band.nodata, read.masked)
    if read.masked is not None:
        for _, out in outs:
            out[read.masked] = 0
    return _Seen(empty=empty, masked=read.masked, has_mask=band.has_mask, inside=read.inside)


def _empty(
    numbers: NDArray[Any], nodata: int | None, masked: NDArray[np.bool_] | None
) -> NDArray[np.bool_] | None:
    """Where there is no data, if anywhere."""
    empty = masked
    if not numbers.all():
        empty = numbers == 0 if empty is None else empty | (numbers == 0)
    if nodata is not None and (declared := numbers == nodata).any():
        empty = declared if empty is None else empty | declared
    return empty


def _copy(band: Band, row: int, out: NDArray[np.uint8], kinds: Classification) -> None:
    """Rows of the classification, with its class for no data where its file has none."""
    read, nodata = band.read(row, len(out)), kinds.nodata
    out[...] = classes_of_flags(kinds.flags)[read.numbers] if kinds.flags else read.numbers
    if band.nodata is not None:
        out[read.numbers == band.nodata] = nodata
    if read.masked is not None:
        out[read.masked] = nodata
    for outside in _outside(read.inside, out.shape):
        out[outside] = nodata


def _outside(inside: tuple[slice, slice], shape: tuple[int, ...]) -> Iterator[tuple[slice, slice]]:
    """What is left of a shape besides a rectangle in it, as rectangles that may be empty."""
    rows, cols = inside
    if (rows, cols) != (slice(0, shape[0]), slice(0, shape[1])):
        yield slice(0, rows.start), slice(None)
        yield slice(rows.stop, None), slice(None)
        yield rows, slice(0, cols.start)
        yield rows, slice(cols.stop, None)


def _tables(
    scene: Scene,
    files: Mapping[str, Band],
    threads: Mapping[str, ThreadPoolExecutor],
    window: Window,
) -> Future[Tables]:
    """What the scene's digital numbers become, found out by the thread of its dark band."""
    rule = scene.sensor.offset
    key = COLOURS[0] if rule is None else rule.dark_band

    def find() -> Tables:
        if rule is None:
            return Tables.of(scene.sensor, scene.sensor.darkest)
        return Tables.of(scene.sensor, offset_of(files[key], rule, window))

    return threads[key].submit(find)


def _all(futures: Iterable[Future[Any]]) -> list[Any]:
    return [future.result() for future in list(futures)]
