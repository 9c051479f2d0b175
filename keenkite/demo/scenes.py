"""Scenes of a drawn world: COGs and STAC items in the shape of Earth Search's sentinel-2-c1-l2a."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio.transform import Affine

from keenkite.demo.items import BANDS, Grid, Pass, coarser, item_of
from keenkite.demo.terrain import Floats, noise, resize, smoothstep
from keenkite.demo.world import World
from keenkite.errors import StorageError

logger = logging.getLogger(__name__)

OFFSET = 1000
"""What processing baselines from 04.00 on add to the digital numbers."""
_OVERLAP_M = 10_000
_CLOUDY_SHARE = 0.15
# Shadows fall to the north-west of clouds about a kilometre up: rows, columns of 10 m.
_SHADOW_SHIFT = (-44, -56)

_PASSES = (
    Pass(time=datetime(2024, 5, 12, 1, 27, 1, tzinfo=UTC), platform="S2B", cloudy=False),
    Pass(time=datetime(2024, 6, 6, 1, 26, 59, tzinfo=UTC), platform="S2A", cloudy=True),
)


def write_scenes(world: World, folder: Path) -> list[Path]:
    """Write two overlapping grid tiles on two dates, and the truth beside them.

    One date is clouded over the western tile, one scene ends at a swath edge with nodata.

    Args:
        world: at least 8 km in both directions.
        folder: gets `<item id>/<item id>.json` with `B04.tif`, `B03.tif`, `B02.tif` (uint16, 10 m,
            offset +1000) and `SCL.tif` (uint8, 20 m), and `truth.geojson`; made if need be.

    Returns:
        The paths of the items, sorted.

    Raises:
        StorageError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "truth.geojson").write_text(json.dumps(world.truth_geojson()))
        paths = []
        for number, overflight in enumerate(_PASSES):
            reflectance, scl = world.observe(number), world.scl
            if overflight.cloudy:
                reflectance, scl = _clouded(world, reflectance, _grids(world)[0])
            paths += [
                _write_scene(world, folder, grid, overflight, reflectance, scl)
                for grid in _grids(world)
            ]
    except (OSError, rasterio.errors.RasterioIOError) as error:
        raise StorageError(
            f"The demo scenes cannot be written to {folder}: {error}. Free some space there, or "
            "choose another folder."
        ) from error
    return sorted(paths)


def _grids(world: World) -> tuple[Grid, Grid]:
    rows, cols = world.shape
    overlap = min(_OVERLAP_M // 10, cols // 3)
    width = (cols + overlap) // 2 // 2 * 2 - 16
    height = (rows - 20) // 2 * 2
    # Even offsets keep the 20 m grid; 6 and 26 are no multiples of the lattice's 112 pixels.
    west = Grid(code="54SUE", row=6, col=6, rows=height - 10, cols=width)
    left = (cols - width - 6) // 2 * 2
    left -= 2 if (left - 6) % 112 == 0 else 0
    return west, Grid(code="54SVE", row=26 - 10, col=left, rows=height - 10, cols=width)


def _clouded(
    world: World, reflectance: npt.NDArray[np.uint16], west: Grid
) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.uint8]]:
    """Soft white clouds over `_CLOUDY_SHARE` of the western grid tile, with their shadows."""
    rng = np.random.default_rng([world.seed, 88])
    small = (world.shape[0] // 4, world.shape[1] // 4)
    field = noise(rng, small, 110, 6)
    # Beyond the western tile's own half the sky clears.
    x = np.arange(small[1], dtype=np.float32) * 4
    clear_from, clear_at = world.shape[1] * 0.3, west.cols
    field -= 3.2 * smoothstep(x, clear_from, clear_at)[None, :]
    over_west = field[: west.rows // 4, : west.cols // 4]
    edge = float(np.quantile(over_west, 1 - _CLOUDY_SHARE))
    thickness = resize(field, world.shape)
    alpha = smoothstep(thickness, edge - 0.12, edge + 0.55)
    shadow = np.roll(alpha, _SHADOW_SHIFT, (0, 1))
    shadow[_SHADOW_SHIFT[0] :] = 0
    shadow[:, _SHADOW_SHIFT[1] :] = 0
    tops = resize(noise(rng, small, 24, 4), world.shape)
    white: Floats = np.clip(5200 + 1500 * (thickness - edge) + 420 * tops, 3000, 9500)
    out = np.empty_like(reflectance)
    tint = np.array([0.985, 1.0, 1.03], np.float32)
    for top in range(0, world.shape[0], 512):
        rows = np.s_[top : top + 512]
        a, dark = alpha[rows][..., None], shadow[rows][..., None]
        part = reflectance[rows].astype(np.float32)
        part *= 1 - 0.55 * dark * (1 - a)
        part = part * (1 - a) + white[rows][..., None] * tint * a
        out[rows] = np.clip(part, 1, 10000)
    scl = world.scl.copy()
    scl[(shadow > 0.35) & (scl != 6)] = 3
    scl[alpha > 0.08] = 10
    scl[alpha > 0.3] = 8
    scl[alpha > 0.65] = 9
    return out, scl


def _write_scene(
    world: World,
    folder: Path,
    grid: Grid,
    overflight: Pass,
    reflectance: npt.NDArray[np.uint16],
    scl: npt.NDArray[np.uint8],
) -> Path:
    name = f"{overflight.platform}_T{grid.code}_{overflight.time:%Y%m%dT%H%M%S}_L2A"
    home = folder / name
    home.mkdir(exist_ok=True)
    valid: npt.NDArray[np.bool_] = np.ones((grid.rows, grid.cols), bool)
    if grid.code == "54SVE" and not overflight.cloudy:
        # The swath ends here: a slanted edge, as seen on real scenes.
        row, col = np.ogrid[: grid.rows, : grid.cols]
        valid = col < grid.cols - 12 - row * 0.03
    transform = Affine(10, 0, world.west + 10 * grid.col, 0, -10, world.north - 10 * grid.row)
    numbers = np.where(valid[..., None], reflectance[grid.window] + np.uint16(OFFSET), 0)
    for band, (_, stem, _) in enumerate(BANDS):
        pixels = np.ascontiguousarray(numbers[..., band], dtype=np.uint16)
        _write_cog(home / f"{stem}.tif", pixels, transform, world.epsg, "average")
    classes = np.where(valid, scl[grid.window], 0)[::2, ::2].astype(np.uint8)
    coarse = coarser(transform)
    _write_cog(home / "SCL.tif", classes, coarse, world.epsg, "nearest")
    item = item_of(name, grid, overflight, transform, classes, world.epsg)
    path = home / f"{name}.json"
    path.write_text(json.dumps(item, indent=1))
    logger.info("wrote %s: %.1f %% cloud", name, item["properties"]["eo:cloud_cover"])
    return path


def _write_cog(
    path: Path, pixels: npt.NDArray[Any], transform: Affine, epsg: int, resampling: str
) -> None:
    with rasterio.open(
        path,
        "w",
        driver="COG",
        height=pixels.shape[0],
        width=pixels.shape[1],
        count=1,
        dtype=pixels.dtype,
        crs=f"EPSG:{epsg}",
        transform=transform,
        nodata=0,
        blocksize=1024,
        compress="DEFLATE",
        level=4,
        predictor="STANDARD",
        overview_resampling=resampling,
    ) as file:
        file.write(pixels, 1)
