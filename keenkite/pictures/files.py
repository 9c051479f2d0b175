"""Pictures as bytes for a chat, and heatmaps as files for a GIS."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from keenkite.errors import InputError, StorageError
from keenkite.pictures.tile import credit_of

if TYPE_CHECKING:
    from keenkite.retrieval.heatmap import Heatmap
    from keenkite.sensors import Sensor
    from keenkite.tiling import Tile


def to_png(image: Image.Image, *, max_bytes: int = 500_000) -> bytes:
    """A picture as PNG of at most some bytes: in all colours, else in 256, else smaller.

    Raises:
        InputError: not even a picture of 64 pixels fits.
    """
    while True:
        # MEDIANCUT keeps the colours of a map apart, where the faster FASTOCTREE shows bands.
        few = image.quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
        for candidate in (image, few):
            buffer = io.BytesIO()
            candidate.save(buffer, "PNG", optimize=True)
            if buffer.tell() <= max_bytes:
                return buffer.getvalue()
        width, height = round(image.width * 0.85), round(image.height * 0.85)
        if min(width, height) < 64:
            raise InputError(f"No picture fits into {max_bytes:,} bytes; allow more.")
        image = image.resize((width, height), Image.Resampling.LANCZOS)


def write_geotiff(path: Path, heat: Heatmap, tile: Tile, *, sensor: Sensor) -> None:
    """A heatmap as a GeoTIFF in the tile's UTM zone: one band, float32, 0-1, 224 × 224 pixels.

    Where the ground is hidden it has no data (NaN). Its tags hold the text, the tile's id, and
    whose imagery it was made of.

    Raises:
        StorageError: the file cannot be written.
    """
    import rasterio
    from rasterio.errors import RasterioError

    try:
        with rasterio.open(
            path,
            "w",
            driver="GTiff",
            height=heat.values.shape[0],
            width=heat.values.shape[1],
            count=1,
            dtype="float32",
            nodata=np.nan,
            crs=f"EPSG:{tile.epsg}",
            transform=rasterio.Affine(tile.metres, 0, tile.west, 0, -tile.metres, tile.north),
            compress="DEFLATE",
            predictor=3,
        ) as file:
            hidden = False if heat.hidden is None else heat.hidden
            file.write(np.where(hidden, np.float32(np.nan), heat.values), 1)
            file.set_band_description(1, f"like {heat.text!r}, 0-1")
            file.update_tags(
                text=heat.text, tile=tile.id, TIFFTAG_COPYRIGHT=credit_of([tile], sensor)
            )
    except (OSError, RasterioError) as error:
        raise StorageError(
            f"The heatmap of {tile.id} cannot be written to {path}: {error}. "
            f"Name a file in a folder that exists and has room."
        ) from error
