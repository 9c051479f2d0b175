"""Writing one window of a scene as a GeoTIFF, strip by strip, whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import RasterioError
from rasterio.transform import Affine
from rasterio.windows import Window as FileWindow

from keenkite.errors import StorageError
from keenkite.scene import Scene, Strip, Window
from keenkite.sensors import COLOURS, Sensor

BLOCK = 256
"""Rows and columns of a block: a tile of 224 px touches four at most."""
NODATA, CLEAR, CLOUD = 0, 1, 2
"""Values of the mask."""


class PixelWriter:
    """Takes the strips of one window; made by `PixelArchive.writer`."""

    def __init__(self, path: Path, scene: Scene, window: Window, bands: Sequence[str]) -> None:
        self._folder, self._scene, self._window = path.parent, scene, window
        # Strips end on multiples of 1024 rows of the scene. The file begins on a multiple of its
        # block's height too, so that no block is written, then filled up and written again.
        self._top = window.row // BLOCK * BLOCK
        self._masked = mask_values(scene.sensor)
        self._bands = bool(bands)
        names = tuple(bands) if bands else COLOURS
        metres = scene.metres
        self._file: Any = rasterio.open(
            path,
            "w",
            driver="GTiff",
            width=window.cols,
            height=window.row + window.rows - self._top,
            count=len(names) + 1,
            dtype="uint16" if bands else "uint8",
            crs=f"EPSG:{scene.epsg}",
            transform=Affine(
                metres, 0, scene.west + metres * window.col,
                0, -metres, scene.north - metres * self._top,
            ),
            photometric="MINISBLACK" if bands else "RGB",
            alpha="NO",
            interleave="pixel",
            tiled=True,
            blockxsize=BLOCK,
            blockysize=BLOCK,
            compress="ZSTD",
            zstd_level=1,
            predictor=2,
        )  # fmt: skip
        for number, name in enumerate((*names, "mask"), start=1):
            self._file.set_band_description(number, name)
        self._file.update_tags(sensor=scene.sensor.name, version=scene.version)

    def write(self, strip: Strip) -> None:
        """Keep the pixels of a strip of the window.

        Raises:
            StorageError: the disk is full, or the folder cannot be written.
        """
        shown: NDArray[Any] = strip.rgb
        if self._bands:
            assert strip.bands is not None
            shown = strip.bands
        col, cols = strip.col - self._window.col, shown.shape[1]
        first = strip.row - self._top
        end = first + len(shown)
        with storage_errors(self._folder, self._scene.id), environment():
            # A row of blocks at a time: rasterio makes a copy of what it writes.
            for top in range(first // BLOCK * BLOCK, end, BLOCK):
                begin, stop = max(top, first), min(top + BLOCK, end)
                rows = np.s_[begin - first : stop - first]
                pixels = np.moveaxis(shown[rows], 2, 0)
                stack = np.empty((len(pixels) + 1, *pixels.shape[1:]), shown.dtype)
                stack[:-1] = pixels
                stack[-1] = self._masked.take(strip.classes[rows])
                self._file.write(stack, window=FileWindow(col, begin, cols, stop - begin))

    def close(self) -> None:
        """Write what is still held back."""
        with storage_errors(self._folder, self._scene.id), environment():
            self._file.close()


def mask_values(sensor: Sensor) -> NDArray[np.uint8]:
    """(256,) class -> value of the mask."""
    values = np.full(256, CLEAR, np.uint8)
    values[list(sensor.classification.kinds.get("cloud", ()))] = CLOUD
    values[sensor.classification.nodata] = NODATA
    return values


def require_whole(path: Path) -> None:
    """A disk that fills up while the file is closed goes unnoticed by rasterio."""
    size = path.stat().st_size
    try:
        with rasterio.open(path, driver="GTiff") as file:
            for (row, col), _ in file.block_windows(1):
                begin, length = (
                    int(file.get_tag_item(f"BLOCK_{what}_{col}_{row}", "TIFF", 1) or size + 1)
                    for what in ("OFFSET", "SIZE")
                )
                if begin + length > size:
                    raise OSError
    except OSError:
        raise OSError("the file was cut short; is the disk full?") from None


def sync(path: Path) -> None:
    """Have a file on the disk."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def environment() -> rasterio.Env:
    """GDAL without side-car files, neither looked for nor written."""
    return rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR", GDAL_PAM_ENABLED="NO")


@contextmanager
def storage_errors(folder: Path, scene_id: str) -> Iterator[None]:
    """What the disk or GDAL raises, in our words."""
    try:
        yield
    except (OSError, RasterioError) as error:
        raise StorageError(
            f"The pixels of scene {scene_id} cannot be kept in {folder}: "
            f"{error.__cause__ or error}. Free some room there or make it writable, then build "
            "again; what was done is kept."
        ) from error
