"""STAC items of drawn scenes, in the shape of Earth Search's sentinel-2-c1-l2a."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
from pyproj import Transformer
from rasterio.transform import Affine

COLLECTION = "sentinel-2-c1-l2a"
BANDS = (("red", "B04", 0.665), ("green", "B03", 0.56), ("blue", "B02", 0.49))
_CLOUD_CLASSES = (8, 9, 10)
_EXTENSIONS: tuple[str, ...] = ("eo/v1.1.0", "grid/v1.1.0", "mgrs/v1.0.0", "projection/v1.1.0")
_EXTENSIONS += ("raster/v1.1.0", "sentinel-2/v1.0.0", "view/v1.0.0")


@dataclass(frozen=True, kw_only=True)
class Pass:
    """One overflight."""

    time: datetime
    platform: str
    cloudy: bool


@dataclass(frozen=True, kw_only=True)
class Grid:
    """One MGRS tile's window of the world, in 10 m pixels."""

    code: str
    row: int
    col: int
    rows: int
    cols: int

    @property
    def window(self) -> tuple[slice, slice]:
        """Its rows and columns of the world."""
        return np.s_[self.row : self.row + self.rows, self.col : self.col + self.cols]


def item_of(
    name: str,
    grid: Grid,
    overflight: Pass,
    transform: Affine,
    classes: npt.NDArray[np.uint8],
    epsg: int,
) -> dict[str, Any]:
    """The STAC item of a scene whose files lie beside it.

    Args:
        name: Its id.
        grid: Its window of the world.
        overflight: When it was taken, and by what.
        transform: Of its 10 m pixels.
        classes: (rows / 2, cols / 2) its scene classification; 0 where there is no data.
        epsg: The UTM zone.
    """
    x0, y0 = transform.c, transform.f
    x1, y1 = x0 + 10 * grid.cols, y0 - 10 * grid.rows
    to_lonlat = Transformer.from_crs(epsg, 4326, always_xy=True)
    ring = [to_lonlat.transform(x, y) for x, y in ((x0, y0), (x0, y1), (x1, y1), (x1, y0))]
    lons, lats = zip(*ring, strict=True)
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
        "properties": _properties(grid, overflight, classes, epsg=epsg, ring=ring),
        "links": [],
        "assets": _assets(transform, (grid.rows, grid.cols)),
    }


def _properties(
    grid: Grid,
    overflight: Pass,
    classes: npt.NDArray[np.uint8],
    *,
    epsg: int,
    ring: Sequence[tuple[float, float]],
) -> dict[str, Any]:
    seen = max(int(np.count_nonzero(classes)), 1)

    def percent(*wanted: int) -> float:
        return round(100 * float(np.isin(classes, wanted).sum()) / seen, 6)

    lons, lats = zip(*ring, strict=True)
    stamp = "%Y-%m-%dT%H:%M:%S.%fZ"
    made = overflight.time + timedelta(hours=3)
    return {
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


def _assets(transform: Affine, shape: tuple[int, int]) -> dict[str, Any]:
    media = "image/tiff; application=geotiff; profile=cloud-optimized"
    assets: dict[str, Any] = {}
    for key, stem, wavelength in BANDS:
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
        "proj:transform": list(coarser(transform))[:6],
        "raster:bands": [{"nodata": 0, "data_type": "uint8", "spatial_resolution": 20}],
        "roles": ["data"],
    }
    return assets


def coarser(transform: Affine) -> Affine:
    """The transform of pixels of 20 m with the same upper left corner."""
    return Affine(2 * transform.a, 0, transform.c, 0, 2 * transform.e, transform.f)
