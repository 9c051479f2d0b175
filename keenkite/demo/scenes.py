"""Scenes of a drawn world: COGs and STAC items in the shape of Earth Search's sentinel-2-c1-l2a."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
from pyproj import Transformer
from rasterio.transform import Affine

from keenkite.demo.terrain import Floats, noise, resize, smoothstep
from keenkite.demo.world import World
from keenkite.errors import StorageError

logger = logging.getLogger(__name__)

COLLECTION = "sentinel-2-c1-l2a"
OFFSET = 1000
"""What processing baselines from 04.00 on add to the digital numbers."""
_OVERLAP_M = 10_000
_CLOUDY_SHARE = 0.15
_CLOUD_CLASSES = (8, 9, 10)
# Shadows fall to the north-west of clouds about a kilometre up: rows, columns of 10 m.
_SHADOW_SHIFT = (-44, -56)
_BANDS = (("red", "B04", 0.665), ("green", "B03", 0.56), ("blue", "B02", 0.49))
_EXTENSIONS: tuple[str, ...] = ("eo/v1.1.0", "grid/v1.1.0", "mgrs/v1.0.0", "projection/v1.1.0")
_EXTENSIONS += ("raster/v1.1.0", "sentinel-2/v1.0.0", "view/v1.0.0")


@dataclass(frozen=True, kw_only=True)
class _Pass:
    """One overflight."""

    time: datetime
    platform: str
    cloudy: bool


_PASSES = (
    _Pass(time=datetime(2024, 5, 12, 1, 27, 1, tzinfo=UTC), platform="S2B", cloudy=False),
    _Pass(time=datetime(2024, 6, 6, 1, 26, 59, tzinfo=UTC), platform="S2A", cloudy=True),
)


@dataclass(frozen=True, kw_only=True)
class _Grid:
    """One MGRS tile's window of the world, in 10 m pixels."""

    code: str
    row: int
    col: int
    rows: int
    cols: int

    @property
    def window(self) -> tuple[slice, slice]:
        return np.s_[self.row : self.row + self.rows, self.col : self.col + self.cols]


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


def _grids(world: World) -> tuple[_Grid, _Grid]:
    rows, cols = world.shape
    overlap = min(_OVERLAP_M // 10, cols // 3)
    width = (cols + overlap) // 2 // 2 * 2 - 16
    height = (rows - 20) // 2 * 2
    # Even offsets keep the 20 m grid; 6 and 26 are no multiples of the lattice's 112 pixels.
    west = _Grid(code="54SUE", row=6, col=6, rows=height - 10, cols=width)
    left = (cols - width - 6) // 2 * 2
    left -= 2 if (left - 6) % 112 == 0 else 0
    return west, _Grid(code="54SVE", row=26 - 10, col=left, rows=height - 10, cols=width)


def _clouded(
    world: World, reflectance: npt.NDArray[np.uint16], west: _Grid
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
    grid: _Grid,
    overflight: _Pass,
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
    for band, (_, stem, _) in enumerate(_BANDS):
        pixels = np.ascontiguousarray(numbers[..., band], dtype=np.uint16)
        _write_cog(home / f"{stem}.tif", pixels, transform, world.epsg, "average")
    classes = np.where(valid, scl[grid.window], 0)[::2, ::2].astype(np.uint8)
    coarse = _coarser(transform)
    _write_cog(home / "SCL.tif", classes, coarse, world.epsg, "nearest")
    item = _item(name, grid, overflight, transform, classes, world.epsg)
    path = home / f"{name}.json"
    path.write_text(json.dumps(item, indent=1))
    logger.info("wrote %s: %.1f %% cloud", name, item["properties"]["eo:cloud_cover"])
    return path


def _coarser(transform: Affine) -> Affine:
    """The transform of pixels of 20 m with the same upper left corner."""
    return Affine(2 * transform.a, 0, transform.c, 0, 2 * transform.e, transform.f)


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


def _item(
    name: str,
    grid: _Grid,
    overflight: _Pass,
    transform: Affine,
    classes: npt.NDArray[np.uint8],
    epsg: int,
) -> dict[str, Any]:
    seen = max(int(np.count_nonzero(classes)), 1)

    def percent(*wanted: int) -> float:
        return round(100 * float(np.isin(classes, wanted).sum()) / seen, 6)

    x0, y0 = transform.c, transform.f
    x1, y1 = x0 + 10 * grid.cols, y0 - 10 * grid.rows
    to_lonlat = Transformer.from_crs(epsg, 4326, always_xy=True)
    ring = [to_lonlat.transform(x, y) for x, y in ((x0, y0), (x0, y1), (x1, y1), (x1, y0))]
    lons, lats = zip(*ring, strict=True)
    stamp = "%Y-%m-%dT%H:%M:%S.%fZ"
    made = overflight.time + timedelta(hours=3)
    properties = {
        "created": made.strftime(stamp),
        "updated": made.strftime(stamp),
        "platform": f"sentinel-{overflight.platform[1:].lower()}",
        "constellation": "sentinel-2",
        "instruments": ["msi"],
        "eo:cloud_cover": percent(*_CLOUD_CLASSES),
        "proj:epsg": epsg,
        "proj:centroid": {"lat": round(sum(lats) / 4, 5), "lon": round(sum(lons) / 4, 5)},
        "mgrs:utm_zone": int(grid.code[:2]),
        "mgrs:latitude_band": grid.code[2],
        "mgrs:grid_square": grid.code[3:],
        "grid:code": f"MGRS-{grid.code}",
        "view:sun_azimuth": 140.0,
        "view:sun_elevation": 58.0,
        "s2:nodata_pixel_percentage": round(100 * (1 - seen / classes.size), 6),
        "s2:cloud_shadow_percentage": percent(3),
        "s2:vegetation_percentage": percent(4),
        "s2:not_vegetated_percentage": percent(5),
        "s2:water_percentage": percent(6),
        "s2:medium_proba_clouds_percentage": percent(8),
        "s2:high_proba_clouds_percentage": percent(9),
        "s2:thin_cirrus_percentage": percent(10),
        "s2:snow_ice_percentage": 0,
        "s2:product_type": "S2MSI2A",
        "s2:processing_baseline": "05.10",
        "s2:generation_time": made.strftime(stamp),
        "datetime": overflight.time.strftime(stamp),
    }
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": [
            f"https://stac-extensions.github.io/{part}/schema.json" for part in _EXTENSIONS
        ],
        "id": name,
        "collection": COLLECTION,
        "bbox": [min(lons), min(lats), max(lons), max(lats)],
        "geometry": {"type": "Polygon", "coordinates": [[*ring, ring[0]]]},
        "properties": properties,
        "links": [],
        "assets": _assets(transform, (grid.rows, grid.cols)),
    }


def _assets(transform: Affine, shape: tuple[int, int]) -> dict[str, Any]:
    media = "image/tiff; application=geotiff; profile=cloud-optimized"
    assets: dict[str, Any] = {}
    for key, stem, wavelength in _BANDS:
        assets[key] = {
            "href": f"./{stem}.tif",
            "type": media,
            "title": f"{key.title()} - 10m",
            "eo:bands": [{"name": stem, "common_name": key, "center_wavelength": wavelength}],
            "gsd": 10,
            "proj:shape": list(shape),
            "proj:transform": list(transform)[:6],
            "raster:bands": [
                {
                    "nodata": 0,
                    "data_type": "uint16",
                    "spatial_resolution": 10,
                    "scale": 0.0001,
                    "offset": -0.1,
                }
            ],
            "roles": ["data", "reflectance"],
        }
    assets["scl"] = {
        "href": "./SCL.tif",
        "type": media,
        "title": "Scene classification map (SCL)",
        "gsd": 20,
        "proj:shape": [shape[0] // 2, shape[1] // 2],
        "proj:transform": list(_coarser(transform))[:6],
        "raster:bands": [{"nodata": 0, "data_type": "uint8", "spatial_resolution": 20}],
        "roles": ["data"],
    }
    return assets
