"""PixelArchive: the RGB pixels of what was indexed, as GeoTIFF files in a folder.

One file for each window that was built, `<collection>/<scene>/<west>_<north>_<cols>x<rows>.tif`,
in the scene's UTM zone, so that any GIS can open it. Lossless: what a picture or a heatmap shows
is what the encoder saw. A full scene of real land takes about 200 MB (ZSTD level 1 with
differencing; DEFLATE is a tenth larger and takes three times as long).

A file is written under another name and put in its place when it is whole.
"""

from __future__ import annotations

import hashlib
import re
import uuid
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.transform import Affine
from rasterio.windows import Window as FileWindow

from keenkite.errors import SceneError, StorageError
from keenkite.scene import PIXEL, Scene, Strip, Window
from keenkite.tiling import Tile

try:
    import fcntl
except ImportError:  # Windows: what a crash leaves behind is not cleared away there
    fcntl = None  # type: ignore[assignment]

BLOCK = 256
"""Rows and columns of a block: a tile of 224 px touches four at most."""
_NAME = re.compile(r"(-?\d+)_(-?\d+)_(\d+)x(\d+)\.tif")
_UNFINISHED = ".unfinished-"
_LONGEST_NAME = 150
_WRITE_ADVICE = "Free some room there or make it writable, then build again; what was done is kept."


class PixelArchive:
    """A folder of pixels. Several processes may read it and write it."""

    def __init__(self, folder: Path) -> None:
        """Use a folder; it is made by the first writer."""
        self.folder = folder

    @classmethod
    def beside(cls, index_folder: Path | None) -> PixelArchive | None:
        """The archive that belongs to an index in a folder; None for an index by URL."""
        return None if index_folder is None else cls(index_folder / "pixels")

    @contextmanager
    def writer(self, scene: Scene, window: Window) -> Iterator[PixelWriter]:
        """Keep a window's pixels; they can be read once the block has ended without an error.

        Raises:
            StorageError: the disk is full, or the folder cannot be written.
        """
        path = self._path(scene, window)
        unfinished = self.folder / f"{_UNFINISHED}{uuid.uuid4().hex}.tif"
        lock: IO[bytes] | None = None
        try:
            with _storage_errors(self.folder, scene.id), _environment():
                path.parent.mkdir(parents=True, exist_ok=True)
                lock = self._tidy()
                writer = PixelWriter(unfinished, scene, window)
            try:
                yield writer
            finally:
                writer.close()
            with _storage_errors(self.folder, scene.id), _environment():
                _require_whole(unfinished)
                unfinished.replace(path)
        finally:
            with suppress(OSError):
                unfinished.unlink(missing_ok=True)
            if lock is not None:
                lock.close()

    def size(self, scene: Scene, window: Window) -> int:
        """Bytes that a window takes; 0 when it was never written."""
        try:
            return self._path(scene, window).stat().st_size
        except FileNotFoundError:
            return 0

    def tile(self, tile: Tile) -> NDArray[np.uint8]:
        """A tile's pixels, uint8 (size, size, 3), as they were indexed.

        Raises:
            SceneError: they are not here, or cannot be read.
        """
        return self.tiles([tile])[0]

    def tiles(self, tiles: Sequence[Tile]) -> list[NDArray[np.uint8]]:
        """The pixels of each tile, in the same order; each file is opened once.

        Raises:
            SceneError: those of one are not here, or cannot be read.
        """
        found: dict[Path, list[int]] = {}
        for number, tile in enumerate(tiles):
            found.setdefault(self._find(tile), []).append(number)
        pixels: dict[int, NDArray[np.uint8]] = {}
        for path, numbers in found.items():
            try:
                with warnings.catch_warnings(), _environment():
                    # A file cut short may still open, without its place on the ground.
                    warnings.simplefilter("error", NotGeoreferencedWarning)
                    with rasterio.open(path, driver="GTiff") as file:
                        for number in numbers:
                            pixels[number] = _read(file, tiles[number])
            except (RasterioError, NotGeoreferencedWarning) as error:
                tile = tiles[numbers[0]]
                raise SceneError(
                    f"The pixels of tile {tile.id} (scene {tile.scene_id}) in {path} cannot be "
                    f"read: {error.__cause__ or error}. Delete that file and build its area again."
                ) from error
        return [pixels[number] for number in range(len(tiles))]

    def _find(self, tile: Tile) -> Path:
        """The file that holds all of a tile."""
        folder = self._scene_folder(tile.collection, tile.scene_id)
        side = round(tile.size * PIXEL)
        for path in sorted(folder.glob("*.tif")):
            if match := _NAME.fullmatch(path.name):
                west, north, cols, rows = map(int, match.groups())
                right, down = tile.west - west, north - tile.north
                if 0 <= right <= cols * PIXEL - side and 0 <= down <= rows * PIXEL - side:
                    return path
        raise SceneError(
            f"The pixels of tile {tile.id} (scene {tile.scene_id}) are not in {self.folder}. "
            "Build its area again, on the machine and in the folder of this index."
        )

    def _path(self, scene: Scene, window: Window) -> Path:
        west = round(scene.west + PIXEL * window.col)
        north = round(scene.north - PIXEL * window.row)
        name = f"{west}_{north}_{window.cols}x{window.rows}.tif"
        return self._scene_folder(scene.collection, scene.id) / name

    def _scene_folder(self, collection: str, scene_id: str) -> Path:
        return self.folder / _file_name(collection) / _file_name(scene_id)

    def _tidy(self) -> IO[bytes]:
        """Remove what dead writers left; while the answer is open, nobody takes ours for theirs."""
        lock = (self.folder / ".writers").open("ab")
        if fcntl is not None:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                pass  # others are at work, and what is here may be theirs
            else:
                for left in self.folder.glob(f"{_UNFINISHED}*"):
                    left.unlink(missing_ok=True)
            fcntl.flock(lock, fcntl.LOCK_SH)
        return lock


class PixelWriter:
    """Takes the strips of one window; made by `PixelArchive.writer`."""

    def __init__(self, path: Path, scene: Scene, window: Window) -> None:
        self._folder, self._scene, self._window = path.parent, scene, window
        # Strips end on multiples of 1024 rows of the scene. The file begins on a multiple of its
        # block's height too, so that no block is written, then filled up and written again.
        self._top = window.row // BLOCK * BLOCK
        self._file: Any = rasterio.open(
            path,
            "w",
            driver="GTiff",
            width=window.cols,
            height=window.row + window.rows - self._top,
            count=3,
            dtype="uint8",
            nodata=0,
            crs=f"EPSG:{scene.epsg}",
            transform=Affine(
                PIXEL, 0, scene.west + PIXEL * window.col,
                0, -PIXEL, scene.north - PIXEL * self._top,
            ),
            photometric="RGB",
            interleave="pixel",
            tiled=True,
            blockxsize=BLOCK,
            blockysize=BLOCK,
            compress="ZSTD",
            zstd_level=1,
            predictor=2,
        )  # fmt: skip

    def write(self, strip: Strip) -> None:
        """Keep the pixels of a strip of the window.

        Raises:
            StorageError: the disk is full, or the folder cannot be written.
        """
        col, cols = strip.col - self._window.col, strip.rgb.shape[1]
        first = strip.row - self._top
        end = first + len(strip.rgb)
        with _storage_errors(self._folder, self._scene.id), _environment():
            # A row of blocks at a time: rasterio makes a copy of what it writes.
            for top in range(first // BLOCK * BLOCK, end, BLOCK):
                begin, stop = max(top, first), min(top + BLOCK, end)
                rgb = np.moveaxis(strip.rgb[begin - first : stop - first], 2, 0)
                self._file.write(rgb, window=FileWindow(col, begin, cols, stop - begin))

    def close(self) -> None:
        """Write what is still held back."""
        with _storage_errors(self._folder, self._scene.id), _environment():
            self._file.close()


def _read(file: Any, tile: Tile) -> NDArray[np.uint8]:
    col = round((tile.west - file.transform.c) / PIXEL)
    row = round((file.transform.f - tile.north) / PIXEL)
    bands = file.read(window=FileWindow(col, row, tile.size, tile.size))
    return np.ascontiguousarray(np.moveaxis(bands, 0, 2))


def _require_whole(path: Path) -> None:
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


def _environment() -> rasterio.Env:
    # No side-car files, neither looked for nor written.
    return rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR", GDAL_PAM_ENABLED="NO")


def _file_name(text: str) -> str:
    """A name that is never a path, the same for the same text and different for another."""
    name = quote(text, safe="").replace(".", "%2E")
    if len(name) <= _LONGEST_NAME:
        return name
    return f"{name[:100]}-{hashlib.sha256(text.encode()).hexdigest()[:32]}"


@contextmanager
def _storage_errors(folder: Path, scene_id: str) -> Iterator[None]:
    try:
        yield
    except (OSError, RasterioError) as error:
        raise StorageError(
            f"The pixels of scene {scene_id} cannot be kept in {folder}: "
            f"{error.__cause__ or error}. Free some room there or make it writable, then build "
            "again; what was done is kept."
        ) from error
