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


def write_image(path: Path, pixels: NDArray[Any], *, pixel: float = 10, **options: Any) -> str:
    """One band as a COG (or as `options` say); its path."""
    profile: dict[str, Any] = {
        "driver": "COG",
        "height": pixels.shape[0],
        "width": pixels.shape[1],
        "count": 1,
        "dtype": pixels.dtype,
        "crs": f"EPSG:{EPSG}",
        "transform": Affine(pixel, 0, WEST, 0, -pixel, NORTH),
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
    layers = []
    for key in (*COLOURS, "scl"):
        with rasterio.open(scene.assets[key]) as file:
            numbers = file.read(1)
        times = round(scene.width / numbers.shape[1])
        row, col = np.ogrid[: scene.height, : scene.width]
        layers.append(numbers[row // times, col // times])
    numbers = np.stack(layers[:3], axis=-1).astype(np.int32)
    reflectance = np.clip(numbers - offset, 0, 3000).astype(np.uint16)
    rgb = np.rint(reflectance * np.float32(255 / 3000)).astype(np.uint8)
    return rgb, np.where((numbers == 0).all(axis=-1), 0, layers[3]).astype(np.uint8)


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
