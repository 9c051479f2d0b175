"""Small drawn scenes as files, and what plain rasterio and numpy read from them."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.transform import Affine

from keenkite.scene import Scene, Strip, Window
from keenkite.sensors import SENTINEL2

EPSG, WEST, NORTH = 32654, 399_960.0, 3_900_000.0
COLOURS = ("red", "green", "blue")


def write_image(
    path: Path,
    pixels: NDArray[Any],
    *,
    pixel: float = 10,
    west: float = WEST,
    north: float = NORTH,
    **options: Any,
) -> str:
    """One band as a COG (or as `options` say), its first corner there; its path."""
    profile: dict[str, Any] = {
        "driver": "COG",
        "height": pixels.shape[0],
        "width": pixels.shape[1],
        "count": 1,
        "dtype": pixels.dtype,
        "crs": f"EPSG:{EPSG}",
        "transform": Affine(pixel, 0, west, 0, -pixel, north),
        "nodata": 0,
        "blocksize": 256,
        "compress": "DEFLATE",
        "predictor": "STANDARD",
    }
    profile |= options
    if profile["driver"] != "COG":
        for name in ("blocksize", "predictor"):
            profile.pop(name)
    with rasterio.open(path, "w", **profile) as file:
        file.write(pixels, 1)
    return str(path)


def draw(
    shape: tuple[int, int], *, low: int = 0, seed: int = 0
) -> dict[str, NDArray[np.uint16] | NDArray[np.uint8]]:
    """Digital numbers from `low` to `low` + 4000 with a corner of no data, and SCL at 20 m."""
    rng = np.random.default_rng(seed)
    rows, cols = shape
    assets: dict[str, Any] = {
        key: rng.integers(low + 1, low + 4000, shape).astype(np.uint16) for key in COLOURS
    }
    assets["scl"] = rng.integers(1, 12, (-(-rows // 2), -(-cols // 2))).astype(np.uint8)
    for numbers in assets.values():
        step = rows // len(numbers) or 1
        numbers[: 200 // step, : 300 // step] = 0
    assets["red"][300:310] = 0  # dark, but not without data: green and blue are there
    return assets


def write_scene(
    folder: Path,
    assets: dict[str, Any],
    *,
    collection: str = "sentinel-2-c1-l2a",
    baseline: str | None = "05.10",
    boa_offset_applied: bool | None = None,
    **options: Any,
) -> Scene:
    """A scene of these arrays; SCL is half as fine as the colours."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {
        key: write_image(folder / f"{key}.tif", pixels, pixel=20 if key == "scl" else 10, **options)
        for key, pixels in assets.items()
    }
    rows, cols = assets["red"].shape
    return scene_of(
        paths,
        (rows, cols),
        collection=collection,
        baseline=baseline,
        boa_offset_applied=boa_offset_applied,
    )


def scene_of(assets: dict[str, str], shape: tuple[int, int], **facts: Any) -> Scene:
    """A scene with these files, `shape` in pixels of 10 m."""
    known: dict[str, Any] = {
        "id": "S2B_T54SUE_20240512T012701_L2A",
        "sensor": SENTINEL2,
        "collection": "sentinel-2-c1-l2a",
        "epsg": EPSG,
        "west": WEST,
        "north": NORTH,
        "datetime": datetime(2024, 5, 12, 1, 27, tzinfo=UTC),
        "platform": "S2B",
        "grid_code": "54SUE",
        "cloud": 0.0,
    }
    return Scene(assets=assets, height=shape[0], width=shape[1], **(known | facts))


def expected(
    scene: Scene, window: Window, *, offset: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """(rgb, scl) of a window by the documented rule, from whole files read by plain rasterio."""
    return cut(whole_expected(scene, offset=offset), window)


def whole_expected(scene: Scene, *, offset: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """(rgb, scl) of a whole scene."""
    colours = [laid(scene, key) for key in COLOURS]
    numbers = np.stack([number for number, _, _ in colours], axis=-1)
    empty = np.stack([empty for _, empty, _ in colours], axis=-1)
    reflectance = np.clip(numbers - offset, 0, 3000).astype(np.uint16)
    rgb = np.rint(reflectance * np.float32(255 / 3000)).astype(np.uint8)
    rgb[empty] = 0
    classes, nothing, beyond = laid(scene, "scl")
    outside = np.any([outside for _, _, outside in colours], axis=0)
    rgb[outside] = 0
    nodata = nothing | beyond | outside | empty.all(axis=-1)
    return rgb, np.where(nodata, 0, classes).astype(np.uint8)


def laid(scene: Scene, key: str) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.bool_]]:
    """(numbers, no data by the file or 0, outside the file) at the middle of each pixel.

    A file without georeference is taken to cover the scene.
    """
    with rasterio.open(scene.assets[key]) as file:
        whole, valid, place = file.read(1), file.read_masks(1) > 0, file.transform
    x = scene.west + (np.arange(scene.width) + 0.5) * 10
    y = scene.north - (np.arange(scene.height) + 0.5) * 10
    if place.is_identity:
        size = 10 * scene.width / whole.shape[1]
        place = Affine(size, 0, scene.west, 0, -size, scene.north)
    col = np.floor((x - place.c) / place.a + 1e-6).astype(int)[None, :]
    row = np.floor((y - place.f) / place.e + 1e-6).astype(int)[:, None]
    outside = (row < 0) | (row >= whole.shape[0]) | (col < 0) | (col >= whole.shape[1])
    at = row.clip(0, whole.shape[0] - 1), col.clip(0, whole.shape[1] - 1)
    numbers = np.where(outside, 0, whole[at].astype(np.int64))
    return numbers, ~valid[at] | (numbers == 0), outside


def cut(
    scene: tuple[NDArray[np.uint8], NDArray[np.uint8]], window: Window
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A window of (rgb, scl); 0 beyond."""
    rows, cols = (
        np.arange(first, first + count)
        for first, count in ((window.row, window.rows), (window.col, window.cols))
    )
    parts = []
    for array in scene:
        part = array[np.ix_(rows.clip(0, len(array) - 1), cols.clip(0, array.shape[1] - 1))]
        part[(rows < 0) | (rows >= len(array))] = 0
        part[:, (cols < 0) | (cols >= array.shape[1])] = 0
        parts.append(part)
    return parts[0], parts[1]


def joined(strips: list[Strip]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The strips under each other: (rgb, scl)."""
    return (
        np.concatenate([strip.rgb for strip in strips]),
        np.concatenate([strip.classes for strip in strips]),
    )
