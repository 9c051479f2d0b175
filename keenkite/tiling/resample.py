"""Tiles of any width to the 224 pixels that encoders see."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from keenkite.errors import InputError
from keenkite.tiling.tile import TILE


def resample(pixels: NDArray[Any], side: int = TILE) -> NDArray[Any]:
    """Square pictures at another size: the mean where they shrink, bicubic where they grow.

    Args:
        pixels: uint8 or uint16 (n, size, size, channels).
        side: Pixels wanted along the side.

    Returns:
        (n, side, side, channels) of the same dtype; the array itself where nothing has to be done.

    Raises:
        InputError: The pictures are not square.
    """
    n, rows, cols, channels = pixels.shape
    if rows != cols:
        raise InputError(f"tiles are square, not {rows} × {cols} pixels")
    if rows == side or n == 0:
        return pixels if rows == side else np.empty((0, side, side, channels), pixels.dtype)
    if rows % side == 0:
        factor = rows // side
        blocks = pixels.reshape(n, side, factor, side, factor, channels)
        means: NDArray[Any] = np.rint(blocks.mean(axis=(2, 4), dtype=np.float32))
        return means.astype(pixels.dtype)
    resized = np.empty((n, side, side, channels), pixels.dtype)
    top = np.iinfo(pixels.dtype).max
    way = Image.Resampling.BICUBIC if rows < side else Image.Resampling.BOX
    for picture, out in zip(pixels, resized, strict=True):
        for channel in range(channels):
            band = Image.fromarray(picture[..., channel].astype(np.float32))
            grown = np.asarray(band.resize((side, side), way))
            out[..., channel] = np.clip(np.rint(grown), 0, top)
    return resized


def resample_mask(mask: NDArray[np.uint8], side: int = TILE) -> NDArray[np.uint8]:
    """(size, size) classes at another size: the nearest pixel's."""
    at = ((np.arange(side) + 0.5) * len(mask) / side).astype(np.intp)
    return np.ascontiguousarray(mask[np.ix_(at, at)])
