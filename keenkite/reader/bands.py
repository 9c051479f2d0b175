"""One file of a scene: opened with care, held against its item, read from top to bottom.

GDAL can open nearly anything, so what an item says is narrowed first: a file or an http(s) URL,
as GeoTIFF or JPEG 2000 and nothing else.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.errors import RasterioError
from rasterio.windows import Window as FileWindow

from keenkite.errors import SceneError
from keenkite.scene import Scene, Window
from keenkite.sensors import COLOURS

logger = logging.getLogger(__name__)

DRIVERS = ("GTiff", "JP2OpenJPEG")
CACHE_BYTES = 16_000_000
"""For decoded blocks, in the whole process. Each is used at once and only once: more is waste."""

_GDAL = {
    "GDAL_CACHEMAX": CACHE_BYTES,
    # No listing of the folder and no looking for side-car files: each costs a request.
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_HTTP_MERGE_CONSECUTIVE_RANGES": "YES",
    "GDAL_HTTP_MAX_RETRY": "5",
    "GDAL_HTTP_RETRY_DELAY": "0.5",
    "GDAL_HTTP_CONNECTTIMEOUT": "15",
    # A request that crawls is given up; a long one that moves is not.
    "GDAL_HTTP_LOW_SPEED_LIMIT": "1000",
    "GDAL_HTTP_LOW_SPEED_TIME": "30",
    "GDAL_HTTP_TIMEOUT": "600",
}
_SAMPLES, _SAMPLE_SIZE = 4, 256


class Band:
    """One asset of a scene, for one window; rows are asked for once, from top to bottom.

    Used by one thread at a time. Every error is a `SceneError`.
    """

    def __init__(self, scene: Scene, key: str, window: Window) -> None:
        self.scene, self.key = scene, key
        self._window = window
        self._source, self._shown = _source(scene, key)
        self._file: Any = None
        self._factor = 1  # pixels of the scene along the side of one of the file's
        self._rows: NDArray[Any] = np.empty((0, 0), np.uint8)  # of the file, used for every read
        self._first = self._next = 0  # the rows of the file that are in it

    def open(self) -> None:
        """Open the file and hold it against the scene."""
        with self._environment():
            try:
                self._file = self._open()
                self._factor = self._check()
            except RasterioError as error:
                raise self._failure(error) from None
        if self.key in COLOURS and self._factor > 1:
            logger.warning(
                "scene %s: asset %s has pixels of %g m; each is repeated %d times each way",
                self.scene.id, self.key, self.scene.metres * self._factor, self._factor,
            )  # fmt: skip

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            with self._environment():
                self._file.close()
            self._file = None

    def read(self, row: int, rows: int) -> NDArray[Any]:
        """Some rows, (rows, columns of the window), 0 beyond the file; to be used at once.

        A pixel of a coarser file is repeated. Whole rows of blocks are decoded and what the next
        rows need of them is kept, so no block is decoded twice.

        Args:
            row: Of the scene; where the call before ended.
            rows: How many.
        """
        factor, window = self._factor, self._window
        height = min(self._file.height * factor, self.scene.height)
        width = min(self._file.width * factor, self.scene.width)
        top, bottom = (min(max(edge, 0), height) for edge in (row, row + rows))
        left, right = (min(max(edge, 0), width) for edge in (window.col, window.col + window.cols))
        if top == bottom or left == right:
            return np.zeros((rows, window.cols), self._file.dtypes[0])
        last = min(max(window.row + window.rows, 0), height)
        part = self._decode(top // factor, -(-bottom // factor), -(-last // factor), left, right)
        if factor > 1:
            part = part.repeat(factor, axis=1).repeat(factor, axis=0)
            part = part[top % factor :, left % factor :][: bottom - top, : right - left]
        if part.shape == (rows, window.cols):
            return part
        whole = np.zeros((rows, window.cols), part.dtype)
        whole[top - row : bottom - row, left - window.col : right - window.col] = part
        return whole

    def sample(self) -> NDArray[Any]:
        """A coarse look at the whole file, 1-D: its smallest overview, or else some patches."""
        file = self._file
        with self._environment():
            try:
                if overviews := file.overviews(1):
                    shape = (-(-file.height // overviews[-1]), -(-file.width // overviews[-1]))
                    return np.ravel(file.read(1, out_shape=shape))
                middles = [(step + 0.5) / _SAMPLES for step in range(_SAMPLES)]
                patches = [
                    file.read(1, window=_patch(file.width * x, file.height * y), boundless=False)
                    for y in middles
                    for x in middles
                ]
            except RasterioError as error:
                raise self._failure(error) from None
        return np.concatenate([np.ravel(patch) for patch in patches])

    def _decode(self, first: int, stop: int, last: int, left: int, right: int) -> NDArray[Any]:
        """Rows first to stop of the file; blocks down to row `last` may be read with them."""
        if self._next < stop:
            kept = max(self._next - first, 0)
            block = self._file.block_shapes[0][0]
            begin, end = first + kept, min(-(-stop // block) * block, last)
            begin_col, end_col = left // self._factor, -(-right // self._factor)
            rows = self._rows
            if len(rows) < end - first:
                rows = np.empty((end - first, end_col - begin_col), self._file.dtypes[0])
            if kept:
                rows[:kept] = self._rows[first - self._first :][:kept]
            self._rows, self._first, self._next = rows, first, end
            window = FileWindow(begin_col, begin, end_col - begin_col, end - begin)
            with self._environment():
                try:
                    self._file.read(1, window=window, out=rows[kept : end - first])
                except RasterioError as error:
                    raise self._failure(error) from None
        return self._rows[first - self._first : stop - self._first]

    def _environment(self) -> rasterio.Env:
        """GDAL's settings; they belong to a thread, so each call enters them."""
        options = dict(_GDAL)
        if self._source.startswith("/vsicurl/"):
            # Else one failed request makes every later one for this URL fail without being sent.
            options["CPL_VSIL_CURL_NON_CACHED"] = self._source.partition("?")[0]
        return rasterio.Env(**options)

    def _open(self) -> Any:
        with rasterio.Env() as environment:
            known = environment.drivers()
        for driver in DRIVERS:
            if driver in known:
                try:
                    return rasterio.open(self._source, driver=driver)
                except RasterioError as error:
                    if "supported file format" not in str(error):
                        raise
        raise self._error("is not a GeoTIFF or JPEG 2000 image")

    def _check(self) -> int:
        """How many pixels of the scene lie along the side of one of the file's."""
        factor: int
        file, scene = self._file, self.scene
        pixel, classes = scene.metres, scene.sensor.classes
        wanted = "uint8" if classes is not None and self.key == classes.key else "uint16"
        if file.count != 1 or file.dtypes[0] != wanted:
            raise self._error(
                f"holds {file.count} band(s) of {file.dtypes[0]}, where one of {wanted} belongs"
            )
        transform = file.transform
        if file.crs is None and transform.is_identity:
            # Some JPEG 2000 files say nothing of where they are: the item must do.
            factor = max(round(scene.width / file.width), 1)
        else:
            if file.crs != CRS.from_epsg(scene.epsg):
                raise self._error(f"is in {_short(file.crs)}, its scene in EPSG:{scene.epsg}")
            factor = round(transform.a / pixel)
            expected = (pixel * factor, 0.0, scene.west, 0.0, -pixel * factor, scene.north)
            if factor < 1 or not np.allclose(transform[:6], expected, rtol=0, atol=1e-3):
                raise self._error(
                    f"has the grid {tuple(transform[:6])}, which does not lie north-up on the "
                    f"scene's pixels of {pixel:g} m from ({scene.west}, {scene.north})"
                )
        covered = (file.width * factor, file.height * factor)
        if any(
            abs(has - wants) >= factor
            for has, wants in zip(covered, (scene.width, scene.height), strict=True)
        ):
            raise self._error(
                f"covers {covered[0]}×{covered[1]} pixels of {pixel:g} m, "
                f"its scene {scene.width}×{scene.height}"
            )
        return factor

    def _failure(self, error: RasterioError) -> SceneError:
        reason = str(error.__cause__ or error)
        # GDAL quotes names, and a URL's query may hold a signature.
        reason = reason.replace(self._source, self._shown)
        reason = re.sub(r"(https?://)[^\s/@'\"]*@", r"\1", re.sub(r"\?[^\s'\"]*", "", reason))
        return self._error(f"cannot be read ({reason.strip().rstrip('.')})")

    def _error(self, what: str) -> SceneError:
        return _error(self.scene, self.key, self._shown, what)


def _source(scene: Scene, key: str) -> tuple[str, str]:
    """(what GDAL is to open, what messages call it without query and credentials)."""
    href = scene.assets.get(key)
    if href is None:
        raise SceneError(
            f"Scene {scene.id} has no asset {key!r} (it has: {', '.join(sorted(scene.assets))}). "
            "Choose another collection, or leave this scene out."
        )
    parts = urlsplit(href)
    if parts.scheme in ("http", "https") and parts.hostname:
        port = f":{parts.port}" if parts.port else ""
        return f"/vsicurl/{href}", f"{parts.scheme}://{parts.hostname}{port}{parts.path}"
    if parts.scheme == "file" and parts.netloc in ("", "localhost"):
        path = Path(url2pathname(parts.path))
    elif len(parts.scheme) > 1 or href.startswith("/vsi"):
        # Also keeps out GDAL's own file systems and connection strings.
        shown = href.partition("?")[0]
        raise _error(scene, key, shown, "is neither a file nor an http(s) URL")
    else:
        path = Path(href)
    path = path.absolute()
    if not path.is_file() or str(path).startswith("/vsi"):
        raise _error(scene, key, str(path), "is not there, or is no file")
    return str(path), str(path)


def _error(scene: Scene, key: str, shown: str, what: str) -> SceneError:
    return SceneError(
        f"Scene {scene.id}: asset {key} ({shown}) {what}. "
        "Build again to try it again, or leave this scene out."
    )


def _patch(x: float, y: float) -> FileWindow:
    half = _SAMPLE_SIZE // 2
    col, row = max(int(x) - half, 0), max(int(y) - half, 0)
    return FileWindow(col, row, _SAMPLE_SIZE, _SAMPLE_SIZE)


def _short(crs: CRS | None) -> str:
    if crs is None:
        return "no coordinate system"
    code = crs.to_epsg()
    return f"EPSG:{code}" if code else "another coordinate system"
