"""Reading tiles out of a kept file, at the size that encoders see."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window as FileWindow

from keenkite.reader import scaling
from keenkite.sensors import COLOURS, find_sensor
from keenkite.tiling import Tile, resample
from keenkite.tiling.resample import resample_mask


def picture(file: Any, tile: Tile) -> NDArray[np.uint8]:
    """Red, green and blue, uint8 (224, 224, 3)."""
    if file.dtypes[0] == "uint8":
        return bands(file, tile, [1, 2, 3]).astype(np.uint8)
    sensor = find_sensor(file.tags()["sensor"])
    names = {band.key: band.name for band in sensor.bands}
    numbers = [file.descriptions.index(names[colour]) + 1 for colour in COLOURS]
    # Scaled at the size it was read in, as the encoder's pixels are, and resampled then.
    table = scaling(0, round(sensor.brightest * sensor.reflectance * 1e4))
    return _square(table.take(_native(file, tile, numbers)))


def mask(file: Any, tile: Tile) -> NDArray[np.uint8]:
    """The last band, uint8 (224, 224)."""
    (last,) = _native(file, tile, [file.count]).astype(np.uint8).transpose(2, 0, 1)
    return resample_mask(last)


def bands(file: Any, tile: Tile, numbers: Sequence[int]) -> NDArray[Any]:
    """Some bands by number, (224, 224, bands), of the file's dtype."""
    return _square(_native(file, tile, numbers))


def _square(pixels: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(resample(pixels[None])[0])


def _native(file: Any, tile: Tile, numbers: Sequence[int]) -> NDArray[Any]:
    """(side, side, bands) of a tile's ground, in the file's own pixels."""
    metres = file.transform.a
    col = round((tile.west - file.transform.c) / metres)
    row = round((file.transform.f - tile.north) / metres)
    side = round(tile.span / metres)
    bands = file.read(list(numbers), window=FileWindow(col, row, side, side))
    return np.ascontiguousarray(np.moveaxis(bands, 0, 2))
