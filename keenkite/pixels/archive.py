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

import time
import uuid
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from keenkite.errors import SceneError, StorageError
from keenkite.files import FileLock, make_folder, sync_folder
from keenkite.pixels import reading
from keenkite.pixels.names import Kept, file_name, files_of, plain
from keenkite.pixels.writer import (
    CLEAR,
    PixelWriter,
    environment,
    require_whole,
    storage_errors,
    sync,
)
from keenkite.scene import Scene, Window
from keenkite.tiling import Tile

_UNFINISHED = ".unfinished-"
_PATIENCE = 60.0
"""Seconds that a writer waits while unused pixels are removed."""


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
            with storage_errors(self.folder, scene.id), environment():
                writer = PixelWriter(unfinished, scene, window, bands)
            try:
                yield writer
            finally:
                writer.close()
            with storage_errors(self.folder, scene.id), environment():
                require_whole(unfinished)
                sync(unfinished)
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
                with environment(), rasterio.open(path, driver="GTiff") as file:
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
        return self._each(tiles, reading.picture)

    def mask(self, tile: Tile) -> NDArray[np.uint8]:
        """What each pixel of a tile is, uint8 (224, 224): 0 no data, 1 clear, 2 cloud.

        Raises:
            SceneError: its pixels are not here, or cannot be read.
        """
        (mask,) = self._each([tile], reading.mask)
        return np.asarray(mask, np.uint8)

    def hidden(self, tiles: Sequence[Tile]) -> list[NDArray[np.bool_]]:
        """Where each tile shows no ground, bool (224, 224): cloud, or no data.

        Raises:
            SceneError: the pixels of one are not here, or cannot be read.
        """
        return [mask != CLEAR for mask in self._each(tiles, reading.mask)]

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
            return reading.bands(file, tile, [file.descriptions.index(name) + 1 for name in names])

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
            listed: dict[Path, list[Kept]] = {}
            for tile in used:
                folder = self._folder_of(tile)
                if folder not in listed:
                    listed[folder] = files_of(folder)
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
                with warnings.catch_warnings(), environment():
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
        for kept in files_of(self._folder_of(tile)):
            if kept.holds(tile):
                return kept.path
        raise SceneError(
            f"The pixels of tile {tile.id} (scene {tile.scene_ids[0]}) are not in {self.folder}. "
            "Build its area again, on the machine and in the data folder of this index."
        )

    def _path(self, scene: Scene, window: Window, kind: str) -> Path:
        west = scene.west + scene.metres * window.col
        north = scene.north - scene.metres * window.row
        size = f"{window.cols}x{window.rows}_{plain(scene.metres)}m"
        folder = self._folder(scene.collection, scene.epsg, scene.datetime, scene.platform)
        return folder / f"{plain(west)}_{plain(north)}_{size}.{kind}.tif"

    def _folder_of(self, tile: Tile) -> Path:
        return self._folder(tile.collection, tile.epsg, tile.datetime, tile.platform)

    def _folder(self, collection: str, epsg: int, moment: datetime, platform: str) -> Path:
        taken = f"{moment.astimezone(UTC):%Y%m%dT%H%M%S}"
        return self.folder / file_name(collection or "-") / f"{epsg}-{taken}-{platform}"

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
