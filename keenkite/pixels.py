"""PixelArchive: the pixels of what was indexed, as GeoTIFF files, once for all collections.

One file for each window that was built, in a folder of its pass:

    <STAC collection>/<EPSG>-<time>-<platform>/<west>_<north>_<cols>x<rows>_<metres>m.<kind>.tif

in the scene's UTM zone, so that any GIS can open it. Lossless: what a picture or a heatmap shows is
what the encoder saw. Its bands are red, green, blue as uint8 (kind "rgb"), or more bands of the
sensor as reflectance × 10,000, uint16 (kind "bands"), the colours among them; and last a mask:
0 no data, 1 clear, 2 cloud. A full scene of real land takes about 200 MB (ZSTD level 1 with
differencing; DEFLATE is a tenth larger and takes three times as long).

A file is written under another name and put in its place when it is whole and on the disk.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
import uuid
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.transform import Affine
from rasterio.windows import Window as FileWindow

from keenkite.errors import SceneError, StorageError
from keenkite.files import FileLock, make_folder, sync_folder
from keenkite.reader import scaling
from keenkite.scene import Scene, Strip, Window
from keenkite.sensors import COLOURS, Sensor, find_sensor
from keenkite.tiling import Tile, resample
from keenkite.tiling.resample import resample_mask

BLOCK = 256
"""Rows and columns of a block: a tile of 224 px touches four at most."""
NODATA, CLEAR, CLOUD = 0, 1, 2
"""Values of the mask."""
_NAME = re.compile(r"(-?[\d.]+)_(-?[\d.]+)_(\d+)x(\d+)_([\d.]+)m\.(rgb|bands)\.tif")
_UNFINISHED = ".unfinished-"
_LONGEST_NAME = 150
_PATIENCE = 60.0
"""Seconds that a writer waits while unused pixels are removed."""


@dataclass(frozen=True, kw_only=True)
class _Kept:
    """A file of the archive, by its name."""

    path: Path
    west: float
    north: float
    cols: int
    rows: int
    metres: float
    kind: str

    @classmethod
    def of(cls, path: Path) -> _Kept | None:
        match = _NAME.fullmatch(path.name)
        if match is None:
            return None
        west, north, cols, rows, metres, kind = match.groups()
        return cls(
            path=path, west=float(west), north=float(north), cols=int(cols), rows=int(rows),
            metres=float(metres), kind=kind,
        )  # fmt: skip

    def holds(self, tile: Tile) -> bool:
        """Whether all of a tile is in it."""
        right, down = tile.west - self.west, self.north - tile.north
        return (
            0 <= right <= self.cols * self.metres - tile.span + 1e-6
            and 0 <= down <= self.rows * self.metres - tile.span + 1e-6
        )


class PixelArchive:
    """A folder of pixels. Several processes may read it and write it."""

    def __init__(self, folder: Path) -> None:
        """Use a folder; it is made by the first writer."""
        self.folder = folder

    @classmethod
    def beside(cls, collection: Path | None) -> PixelArchive | None:
        """The archive of the data folder that a collection's folder is in; None by URL."""
        if collection is None:
            return None
        alone = collection.parent.name != "collections"
        return cls((collection if alone else collection.parent.parent) / "pixels")

    @contextmanager
    def writer(
        self, scene: Scene, window: Window, *, bands: Sequence[str] = ()
    ) -> Iterator[PixelWriter]:
        """Keep a window's pixels; they can be read once the block has ended without an error.

        Args:
            scene: Whose pixels they are.
            window: Which of them.
            bands: Names of the sensor's bands that the strips have as reflectance.

        Raises:
            StorageError: the disk is full, or the folder cannot be written.
        """
        path = self._path(scene, window, "bands" if bands else "rgb")
        unfinished = self.folder / f"{_UNFINISHED}{uuid.uuid4().hex}.tif"
        lock: FileLock | None = None
        try:
            make_folder(path.parent)
            lock = self._tidy()
            with _storage_errors(self.folder, scene.id), _environment():
                writer = PixelWriter(unfinished, scene, window, bands)
            try:
                yield writer
            finally:
                writer.close()
            with _storage_errors(self.folder, scene.id), _environment():
                _require_whole(unfinished)
                _sync(unfinished)
                unfinished.replace(path)
                sync_folder(path.parent)
        finally:
            with suppress(OSError):
                unfinished.unlink(missing_ok=True)
            if lock is not None:
                lock.close()

    def has(self, scene: Scene, window: Window, bands: Sequence[str] = ()) -> bool:
        """Whether a window's pixels are kept already, of these products, with these bands."""
        for kind in ("bands", "rgb"):
            path = self._path(scene, window, kind)
            try:
                with _environment(), rasterio.open(path, driver="GTiff") as file:
                    if file.tags().get("version") == scene.version:
                        return set(bands) <= set(file.descriptions)
            except RasterioError:  # not there, or damaged: it is written again
                continue
        return False

    def size(self, scene: Scene, window: Window) -> int:
        """Bytes that a window takes; 0 when it was never written."""
        paths = [self._path(scene, window, kind) for kind in ("rgb", "bands")]
        return sum(path.stat().st_size for path in paths if path.exists())

    def tile(self, tile: Tile) -> NDArray[np.uint8]:
        """A tile's picture, uint8 (224, 224, 3), as it was indexed.

        Raises:
            SceneError: its pixels are not here, or cannot be read.
        """
        return self.tiles([tile])[0]

    def tiles(self, tiles: Sequence[Tile]) -> list[NDArray[np.uint8]]:
        """The picture of each tile, uint8 (224, 224, 3); each file is opened once.

        Raises:
            SceneError: the pixels of one are not here, or cannot be read.
        """
        return self._each(tiles, _picture)

    def mask(self, tile: Tile) -> NDArray[np.uint8]:
        """What each pixel of a tile is, uint8 (224, 224): 0 no data, 1 clear, 2 cloud.

        Raises:
            SceneError: its pixels are not here, or cannot be read.
        """
        (mask,) = self._each([tile], _mask)
        return np.asarray(mask, np.uint8)

    def bands(self, tile: Tile, names: Sequence[str]) -> NDArray[np.uint16]:
        """A tile as reflectance × 10,000, uint16 (224, 224, bands), as it was indexed.

        Raises:
            SceneError: its pixels are not here with these bands, or cannot be read.
        """

        def read(file: Any, tile: Tile) -> NDArray[Any]:
            if missing := [name for name in names if name not in file.descriptions]:
                raise SceneError(
                    f"The pixels of tile {tile.id} are kept without {', '.join(missing)}. Build "
                    "its area again with an encoder that wants these bands."
                )
            return _read(file, tile, [file.descriptions.index(name) + 1 for name in names])

        (bands,) = self._each([tile], read)
        return np.asarray(bands, np.uint16)

    def remove_unused(self, used: Iterable[Tile]) -> int:
        """Delete the files that none of these tiles is in; the bytes that are free again.

        Args:
            used: The tiles of every collection of the data folder.

        Raises:
            StorageError: builds are going on, whose tiles may not be written yet.
        """
        if not self.folder.is_dir():
            return 0
        lock = FileLock(self.folder / ".writers")
        try:
            if not lock.try_lock():
                raise StorageError(
                    f"Pixels in {self.folder} are being written. Try again when builds have ended."
                )
            needed: set[Path] = set()
            listed: dict[Path, list[_Kept]] = {}
            for tile in used:
                folder = self._folder_of(tile)
                if folder not in listed:
                    listed[folder] = _files(folder)
                needed.update(kept.path for kept in listed[folder] if kept.holds(tile))
            return self._remove(needed)
        finally:
            lock.close()

    def _remove(self, needed: set[Path]) -> int:
        freed = 0
        for path in list(self.folder.rglob("*.tif")):
            if path not in needed:
                freed += path.stat().st_size
                path.unlink(missing_ok=True)
        for folder in sorted(self.folder.rglob("*"), reverse=True):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
        return freed

    def _each(self, tiles: Sequence[Tile], read: Any) -> list[Any]:
        """What `read` gives of each tile, in the same order; each file is opened once."""
        found: dict[Path, list[int]] = {}
        for number, tile in enumerate(tiles):
            found.setdefault(self._find(tile), []).append(number)
        pixels: dict[int, Any] = {}
        for path, numbers in found.items():
            try:
                with warnings.catch_warnings(), _environment():
                    # A file cut short may still open, without its place on the ground.
                    warnings.simplefilter("error", NotGeoreferencedWarning)
                    with rasterio.open(path, driver="GTiff") as file:
                        for number in numbers:
                            pixels[number] = read(file, tiles[number])
            except (RasterioError, NotGeoreferencedWarning) as error:
                tile = tiles[numbers[0]]
                raise SceneError(
                    f"The pixels of tile {tile.id} (scene {tile.scene_ids[0]}) in {path} cannot be "
                    f"read: {error.__cause__ or error}. Delete that file and build its area again."
                ) from error
        return [pixels[number] for number in range(len(tiles))]

    def _find(self, tile: Tile) -> Path:
        """The file that holds all of a tile; one with more bands where there are two."""
        for kept in _files(self._folder_of(tile)):
            if kept.holds(tile):
                return kept.path
        raise SceneError(
            f"The pixels of tile {tile.id} (scene {tile.scene_ids[0]}) are not in {self.folder}. "
            "Build its area again, on the machine and in the data folder of this index."
        )

    def _path(self, scene: Scene, window: Window, kind: str) -> Path:
        west = scene.west + scene.metres * window.col
        north = scene.north - scene.metres * window.row
        size = f"{window.cols}x{window.rows}_{_plain(scene.metres)}m"
        folder = self._folder(scene.collection, scene.epsg, scene.datetime, scene.platform)
        return folder / f"{_plain(west)}_{_plain(north)}_{size}.{kind}.tif"

    def _folder_of(self, tile: Tile) -> Path:
        return self._folder(tile.collection, tile.epsg, tile.datetime, tile.platform)

    def _folder(self, collection: str, epsg: int, moment: datetime, platform: str) -> Path:
        taken = f"{moment.astimezone(UTC):%Y%m%dT%H%M%S}"
        return self.folder / _file_name(collection or "-") / f"{epsg}-{taken}-{platform}"

    def _tidy(self) -> FileLock:
        """Remove what dead writers left; while the answer is open, nobody takes ours for theirs."""
        lock = FileLock(self.folder / ".writers")
        if lock.try_lock():  # else others are at work, and what is here may be theirs
            for left in self.folder.glob(f"{_UNFINISHED}*"):
                left.unlink(missing_ok=True)
        if not lock.lock(time.monotonic() + _PATIENCE, shared=True):
            lock.close()
            raise StorageError(
                f"Pixels in {self.folder} are being removed by another process. Build again when "
                "it has ended."
            )
        return lock


class PixelWriter:
    """Takes the strips of one window; made by `PixelArchive.writer`."""

    def __init__(self, path: Path, scene: Scene, window: Window, bands: Sequence[str]) -> None:
        self._folder, self._scene, self._window = path.parent, scene, window
        # Strips end on multiples of 1024 rows of the scene. The file begins on a multiple of its
        # block's height too, so that no block is written, then filled up and written again.
        self._top = window.row // BLOCK * BLOCK
        self._masked = _mask_values(scene.sensor)
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
        with _storage_errors(self._folder, self._scene.id), _environment():
            # A row of blocks at a time: rasterio makes a copy of what it writes.
            for top in range(first // BLOCK * BLOCK, end, BLOCK):
                begin, stop = max(top, first), min(top + BLOCK, end)
                rows = np.s_[begin - first : stop - first]
                mask = self._masked.take(strip.classes[rows])
                stack = np.concatenate([shown[rows], mask[..., None].astype(shown.dtype)], axis=2)
                window = FileWindow(col, begin, cols, stop - begin)
                self._file.write(np.moveaxis(stack, 2, 0), window=window)

    def close(self) -> None:
        """Write what is still held back."""
        with _storage_errors(self._folder, self._scene.id), _environment():
            self._file.close()


def _mask_values(sensor: Sensor) -> NDArray[np.uint8]:
    """(256,) class -> value of the mask."""
    values = np.full(256, CLEAR, np.uint8)
    if sensor.classes is not None:
        values[list(sensor.classes.kinds.get("cloud", ()))] = CLOUD
        values[sensor.classes.nodata] = NODATA
    return values


def _files(folder: Path) -> list[_Kept]:
    """The files of a pass, those of more bands first, then by name."""
    kept = [found for path in folder.glob("*.tif") if (found := _Kept.of(path)) is not None]
    return sorted(kept, key=lambda each: (each.kind, each.path.name))


def _picture(file: Any, tile: Tile) -> NDArray[np.uint8]:
    if file.dtypes[0] == "uint8":
        return _read(file, tile, [1, 2, 3]).astype(np.uint8)
    sensor = find_sensor(file.tags()["sensor"])
    names = {band.key: band.name for band in sensor.bands}
    numbers = [file.descriptions.index(names[colour]) + 1 for colour in COLOURS]
    # Scaled at the size it was read in, as the encoder's pixels are, and resampled then.
    table = scaling(0, round(sensor.brightest * sensor.reflectance * 1e4))
    return _square(table.take(_native(file, tile, numbers)))


def _mask(file: Any, tile: Tile) -> NDArray[np.uint8]:
    (last,) = _native(file, tile, [file.count]).astype(np.uint8).transpose(2, 0, 1)
    return resample_mask(last)


def _read(file: Any, tile: Tile, numbers: Sequence[int]) -> NDArray[Any]:
    return _square(_native(file, tile, numbers))


def _square(pixels: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(resample(pixels[None])[0])


def _native(file: Any, tile: Tile, numbers: Sequence[int]) -> NDArray[Any]:
    """(side, side, bands) of a tile's ground, in the file's own pixels."""
    metres = file.transform.a
    col = round((tile.west - file.transform.c) / metres)
    row = round((file.transform.f - tile.north) / metres)
    side = round(tile.span / metres)
    bands = file.read(list(numbers), window=FileWindow(col, row, side, side))
    return np.ascontiguousarray(np.moveaxis(bands, 0, 2))


def _sync(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _plain(value: float) -> str:
    """To the millimetre, without what is not needed."""
    return f"{value:.3f}".rstrip("0").rstrip(".")


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
