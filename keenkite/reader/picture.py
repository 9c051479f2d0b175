"""Pictures of one's own: one file with all three colours, in any projection, laid on a UTM zone.

A file whose pixels are those of the scene's grid is read as it is; any other is warped onto it,
by the nearest pixel where it only lies between two, else smoothly.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.enums import ColorInterp, Resampling
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.transform import Affine
from rasterio.vrt import WarpedVRT
from rasterio.warp import calculate_default_transform, transform_bounds
from rasterio.windows import Window as FileWindow

from keenkite.errors import InputError, SceneError
from keenkite.reader.bands import STRIP_ROWS
from keenkite.reader.laying import crs_name, same_crs
from keenkite.reader.sources import FileError, Source, shown
from keenkite.scene import Scene, Strip, Window
from keenkite.sensors import COLOURS

FINEST, COARSEST = 0.1, 30.0
"""Metres: pixels of pictures."""

MOST_SIDE = 500_000
"""Pixels along a side: more is no picture but a header that lies."""

_TAGS = ("ACQUISITIONDATETIME", "ACQUISITION_DATETIME", "ACQUISITION_DATE", "TIFFTAG_DATETIME")


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a picture says of itself."""

    epsg: int
    """The UTM zone of its middle."""
    metres: float
    """Side of its pixels there."""
    bounds: tuple[float, float, float, float]
    """(west, south, east, north) in that zone, metres."""
    bytewise: bool
    """Whether its numbers are 0-255 already."""
    taken: datetime | None
    """What its tags say."""


def picture_facts(href: str) -> Facts:
    """Look at a picture's header.

    Raises:
        SceneError: it cannot be read as a picture that lies somewhere; says why.
    """
    try:
        source = Source.of(href)
        with source.environment(), _quiet():
            try:
                with source.open() as file:
                    return _facts(file)
            except RasterioError as error:
                raise source.failure(error) from None
    except FileError as error:
        raise SceneError(f"{shown(href)} {error}") from None


def read_picture(scene: Scene, window: Window) -> Iterator[Strip]:
    """Read a window of a picture, top to bottom; see `read_strips`.

    The classes are 1 where the picture has data by its nodata value, mask or alpha, else 0.

    Raises:
        SceneError: it cannot be opened, laid or read.
    """
    href = scene.assets["picture"]
    with ExitStack() as opened:
        with _reading(scene, href) as source:
            file = opened.enter_context(source.open())
            laid = opened.enter_context(_laid(file, scene))
            numbers = _colour_bands(file)
        for row in range(window.row, window.row + window.rows, STRIP_ROWS):
            rows = min(STRIP_ROWS, window.row + window.rows - row)
            # GDAL's settings are entered for each strip: between two the caller is at work.
            with _reading(scene, href):
                strip = _strip(laid, scene, window, row, rows, numbers)
            yield strip


@contextmanager
def _reading(scene: Scene, href: str) -> Iterator[Source]:
    """Around calls of GDAL: its settings, and its errors in our words."""
    try:
        source = Source.of(href)
        with source.environment(), _quiet():
            try:
                yield source
            except RasterioError as error:
                raise source.failure(error) from None
    except FileError as error:
        raise SceneError(f"Scene {scene.id}: {shown(href)} {error}.") from None


@contextmanager
def _quiet() -> Iterator[None]:
    """Without rasterio's warnings: of a file without a place, and of what it calls itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        yield


def _strip(
    laid: Any, scene: Scene, window: Window, row: int, rows: int, numbers: Sequence[int]
) -> Strip:
    rgb = np.zeros((rows, window.cols, 3), np.uint8)
    classes = np.zeros((rows, window.cols), np.uint8)
    top, bottom = max(row, 0), min(row + rows, scene.height)
    left, right = max(window.col, 0), min(window.col + window.cols, scene.width)
    if top < bottom and left < right:
        place = FileWindow(left, top, right - left, bottom - top)
        inside = np.s_[top - row : bottom - row, left - window.col : right - window.col]
        seen = laid.dataset_mask(window=place) > 0
        pixels = np.moveaxis(laid.read(list(numbers), window=place), 0, 2)
        rgb[inside] = np.where(seen[..., None], _bytes(pixels, scene), 0)
        classes[inside] = seen
    return Strip(row=row, col=window.col, rgb=rgb, classes=classes)


def _bytes(pixels: NDArray[Any], scene: Scene) -> NDArray[np.uint8]:
    low, high = scene.sensor.darkest, scene.sensor.darkest + scene.sensor.brightest
    if pixels.dtype == np.uint8 and (low, high) == (0, 255):
        return np.asarray(pixels, np.uint8)
    scaled = (pixels.astype(np.float32) - low) * np.float32(255 / (high - low))
    rounded: NDArray[np.uint8] = np.rint(np.clip(scaled, 0, 255)).astype(np.uint8)
    return rounded


def _laid(file: Any, scene: Scene) -> Any:
    """The file on the scene's grid."""
    grid = Affine(scene.metres, 0, scene.west, 0, -scene.metres, scene.north)
    same = same_crs(file.crs, scene.epsg)
    alike = same and abs(file.transform.a - scene.metres) < 1e-6 * scene.metres
    alike &= abs(file.transform.e + scene.metres) < 1e-6 * scene.metres
    has_alpha = ColorInterp.alpha in file.colorinterp
    smooth = Resampling.average if file.transform.a < scene.metres and same else Resampling.cubic
    return WarpedVRT(
        file,
        crs=CRS.from_epsg(scene.epsg),
        transform=grid,
        width=scene.width,
        height=scene.height,
        resampling=Resampling.nearest if alike else smooth,
        add_alpha=not has_alpha and file.nodata is None,
    )


def _facts(file: Any) -> Facts:
    if file.crs is None or file.transform.is_identity:
        raise FileError("does not say where it is: it has no coordinate system or no grid")
    if max(file.width, file.height) > MOST_SIDE:
        raise FileError(
            f"claims {file.width:,} × {file.height:,} pixels, more than {MOST_SIDE:,} along a side"
        )
    _, b, _, d, _, _ = tuple(file.transform)[:6]
    if max(abs(b), abs(d)) > 1e-9 * abs(file.transform.a):
        raise FileError("is rotated or sheared: warp it so that north is up")
    _colour_bands(file)
    west, south, east, north = transform_bounds(file.crs, "EPSG:4326", *file.bounds)
    lon, lat = (west + east) / 2, (south + north) / 2
    if not (math.isfinite(lon) and -80 <= lat <= 84):
        raise FileError(f"lies outside of all UTM zones ({crs_name(file.crs)})")
    epsg = (32600 if lat >= 0 else 32700) + int((lon + 180) // 6) % 60 + 1
    zone = CRS.from_epsg(epsg)
    if same_crs(file.crs, epsg):
        metres = float(file.transform.a)
    else:
        grid, _, _ = calculate_default_transform(
            file.crs, zone, file.width, file.height, *file.bounds
        )
        metres = float(f"{grid.a:.3g}")
    if not FINEST * 0.99 <= metres <= COARSEST * 1.01:
        raise FileError(f"has pixels of {metres:.3g} m; pictures have {FINEST:g} to {COARSEST:g} m")
    bounds = transform_bounds(file.crs, zone, *file.bounds, densify_pts=21)
    return Facts(
        epsg=epsg,
        metres=metres,
        bounds=bounds,
        bytewise=file.dtypes[0] == "uint8",
        taken=_taken(file),
    )


def _colour_bands(file: Any) -> list[int]:
    """Numbers of the red, green and blue band: by what they say they are, else the first three.

    Raises:
        FileError: it has none, or their numbers cannot be used.
    """
    kinds = list(file.colorinterp)
    if ColorInterp.palette in kinds:
        raise FileError("is a picture with a palette: save it as red, green and blue")
    # GDAL shows CMYK as if it were red, green, blue and alpha.
    if file.tags(ns="IMAGE_STRUCTURE").get("SOURCE_COLOR_SPACE") == "CMYK":
        raise FileError("is a CMYK picture: save it as red, green and blue")
    wanted = [ColorInterp.red, ColorInterp.green, ColorInterp.blue]
    if all(kind in kinds for kind in wanted):
        numbers = [kinds.index(kind) + 1 for kind in wanted]
    else:
        names = [str(name or "").strip().lower() for name in file.descriptions]
        named = all(colour in names for colour in COLOURS)
        numbers = [names.index(c) + 1 for c in COLOURS] if named else [1, 2, 3]
    if file.count < 3:
        raise FileError(f"has {file.count} band(s), where red, green and blue belong")
    dtypes = {file.dtypes[number - 1] for number in numbers}
    if not dtypes <= {"uint8", "uint16", "int16", "float32"} or len(dtypes) > 1:
        raise FileError(f"holds numbers of type {', '.join(sorted(dtypes))}, which cannot be used")
    return numbers


def _taken(file: Any) -> datetime | None:
    """When, by the tags."""
    tags = {key.upper(): value for key, value in {**file.tags(ns="IMAGERY"), **file.tags()}.items()}
    for key in _TAGS:
        if moment := parse_moment(tags.get(key, "")):
            return moment
    return None


def parse_moment(text: str) -> datetime | None:
    """A date, with a time or not, as tags and names of files write it; UTC.

    "2024:05:12 10:00:31" (TIFF), "2024-05-12T10:00:31Z", "20240512", "ortho_2024_05_12".
    """
    match = re.search(
        r"(?<!\d)((?:19|20)\d\d)[-:_.]?(0[1-9]|1[0-2])[-:_.]?(0[1-9]|[12]\d|3[01])"
        r"(?:[T _](\d\d):?(\d\d):?(\d\d))?(?!\d)",
        text,
    )
    if match is None:
        return None
    try:
        numbers = [int(part) for part in match.groups() if part is not None]
        return datetime(*numbers, tzinfo=UTC)  # type: ignore[arg-type,misc]
    except ValueError:
        return None


def check_scaling(low: float, high: float) -> None:
    """InputError unless numbers from `low` to `high` can become 0 to 255."""
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise InputError(f"a scaling is LOW:HIGH with LOW below HIGH, not {low:g}:{high:g}")
