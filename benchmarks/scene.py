"""A drawn scene of full size, made once and kept in the system's folder for temporary files."""

from __future__ import annotations

import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from PIL import Image
from rasterio.transform import Affine

from keenkite.scene import Scene
from keenkite.sensors import SENTINEL2

SIDE = 10_980
EPSG, WEST, NORTH = 32654, 399_960.0, 3_900_000.0
_OFFSET, _GRAIN = 1000, 18.0


def full_scene() -> Scene:
    """10,980 × 10,980 px, three bands and SCL, as COGs of 1024 blocks (DEFLATE, PREDICTOR=2).

    Smooth land with grain, so that a band takes about as many bytes as a real one (180 MB). It is
    drawn by the first call, which takes a minute or two.
    """
    folder = Path(tempfile.gettempdir()) / "keenkite-benchmark-scene"
    folder.mkdir(exist_ok=True)
    assets = {}
    for number, key in enumerate(("red", "green", "blue", "scl")):
        path = folder / f"{key}.tif"
        if not path.exists():
            print(f"drawing {path} ...", file=sys.stderr)
            unfinished = path.with_suffix(".unfinished")
            if key == "scl":
                _write(unfinished, _classes(number), 20)
            else:
                _write(unfinished, _numbers(number), 10)
            unfinished.replace(path)
        assets[key] = str(path)
    return Scene(
        id="S2B_T54SUE_20240512T012701_L2A",
        sensor=SENTINEL2,
        collection="sentinel-2-c1-l2a",
        epsg=EPSG,
        west=WEST,
        north=NORTH,
        width=SIDE,
        height=SIDE,
        datetime=datetime(2024, 5, 12, 1, 27, 1, tzinfo=UTC),
        platform="S2B",
        grid_code="54SUE",
        cloud=0.0,
        assets=assets,
    )


def _numbers(seed: int) -> NDArray[np.uint16]:
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.gamma(4, 250, (700, 700)).astype(np.float32))
    land = np.asarray(coarse.resize((SIDE, SIDE), Image.Resampling.BILINEAR))
    numbers = np.empty((SIDE, SIDE), np.uint16)
    for top in range(0, SIDE, 512):
        part = land[top : top + 512]
        grain = rng.standard_normal(part.shape, dtype=np.float32) * _GRAIN
        numbers[top : top + 512] = np.maximum(part + grain, 1) + _OFFSET
    return numbers


def _classes(seed: int) -> NDArray[np.uint8]:
    coarse = np.random.default_rng(seed).choice(np.array([4, 5, 6, 7], np.uint8), (275, 275))
    return np.repeat(np.repeat(coarse, 20, axis=0), 20, axis=1)[: SIDE // 2, : SIDE // 2]


def _write(path: Path, pixels: NDArray[Any], pixel: float) -> None:
    with rasterio.open(
        path,
        "w",
        driver="COG",
        height=pixels.shape[0],
        width=pixels.shape[1],
        count=1,
        dtype=pixels.dtype,
        crs=f"EPSG:{EPSG}",
        transform=Affine(pixel, 0, WEST, 0, -pixel, NORTH),
        nodata=0,
        blocksize=1024,
        compress="DEFLATE",
        predictor="STANDARD",
        num_threads="ALL_CPUS",
    ) as file:
        file.write(pixels, 1)


if __name__ == "__main__":
    full_scene()
