"""The lie of the land: noise, shore, mountains, heights and their shading."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

Floats = npt.NDArray[np.float32]
STEP = 4
"""Pixels of 10 m per cell of the terrain grid."""


def resize(values: npt.NDArray[Any], shape: tuple[int, int]) -> Floats:
    """Bicubic resampling of (rows, cols) to `shape`, float32."""
    picture = Image.fromarray(np.ascontiguousarray(values, dtype=np.float32))
    scaled = picture.resize((shape[1], shape[0]), Image.Resampling.BICUBIC)
    return np.asarray(scaled, dtype=np.float32)


def noise(
    rng: np.random.Generator, shape: tuple[int, int], scale: float, octaves: int = 1
) -> Floats:
    """Smooth value noise (rows, cols), about unit deviation; `scale` is its longest wave in cells.

    Each octave is a random grid enlarged bicubically, half as high and half as long as the last.
    """
    total: Floats = np.zeros(shape, np.float32)
    power = 0.0
    for octave in range(octaves):
        step = scale / 2**octave / 2
        if step < 0.75:
            break
        grid = (int(np.ceil(shape[0] / step)) + 2, int(np.ceil(shape[1] / step)) + 2)
        big = (round(grid[0] * step), round(grid[1] * step))
        values = resize(rng.standard_normal(grid), big)
        gain = 0.5**octave
        off = int(step)
        part = values[off : off + shape[0], off : off + shape[1]]
        if part.shape != shape:
            part = resize(values, shape)
        total += gain * part
        power += gain**2
    # Bicubic enlargement smooths: its deviation is about 0.72 of the random grid's.
    return (total / np.float32(0.72 * np.sqrt(max(power, 1e-6)))).astype(np.float32)


def smoothstep(values: npt.NDArray[Any], low: float, high: float) -> Floats:
    """0 below `low`, 1 above `high`, smooth between."""
    x = np.clip((values - low) / (high - low), 0, 1)
    return np.asarray(x * x * (3 - 2 * x), dtype=np.float32)


@dataclass(frozen=True, kw_only=True)
class Terrain:
    """Fields on a grid of 40 m cells."""

    shore: Floats
    """(rows, cols) float32, metres: about the distance to the shore, negative at sea."""
    mountain: Floats
    """(rows, cols) float32, 0 in the plain to 1 in the mountains."""
    height: Floats
    """(rows, cols) float32, metres above the sea."""
    inland: tuple[float, float]
    """(east, south) unit vector pointing away from the sea."""


def make_terrain(rng: np.random.Generator, shape: tuple[int, int], *, sea: bool) -> Terrain:
    """Draw the terrain of a world of `shape` (rows, cols) pixels of 10 m, a coast on one side."""
    rows, cols = shape[0] // STEP, shape[1] // STEP
    size = (rows, cols)
    cell = 10.0 * STEP
    angle = rng.choice([0.0, 0.5, 1.0, 1.5]) * np.pi + rng.uniform(-0.35, 0.35)
    inland = (float(np.cos(angle)), float(np.sin(angle)))
    y, x = np.mgrid[0:rows, 0:cols].astype(np.float32) * cell
    along = (x * inland[0] + y * inland[1]).astype(np.float32)
    along += 1500 * noise(rng, size, 9000 / cell) + 380 * noise(rng, size, 2600 / cell)
    along += 110 * noise(rng, size, 800 / cell, 3)
    level = float(np.quantile(along, rng.uniform(0.15, 0.2))) if sea else float(along.min()) - 9e3
    shore = along - level
    # Dividing by the slope turns the noisy field into something near a distance.
    slope = np.hypot(*np.gradient(shore, cell)).astype(np.float32)
    shore = (shore / np.maximum(slope, 0.45)).astype(np.float32)
    rise = along + 2600 * noise(rng, size, 11000 / cell, 2)
    low, high = np.quantile(rise, [0.62, 0.74])
    mountain = smoothstep(rise, float(low), float(high)) * smoothstep(shore, 300, 1500)
    ridge = 1 - np.abs(noise(rng, size, 3600 / cell, 2))
    fine = 1 - np.abs(noise(rng, size, 1100 / cell, 3))
    hills = smoothstep(noise(rng, size, 3800 / cell, 2), 0.95, 1.6) * smoothstep(shore, 250, 900)
    height = mountain * (260 + 330 * ridge + 170 * fine) + hills * (50 + 55 * fine)
    height = np.maximum(height, 0) + np.clip(shore, 0, 20000) * 0.002
    mountain = np.maximum(mountain, 0.75 * hills)
    return Terrain(
        shore=shore,
        mountain=mountain.astype(np.float32),
        height=height.astype(np.float32),
        inland=inland,
    )


def shade(height: Floats, cell: float, *, sun_azimuth: float = 140, sun_up: float = 58) -> Floats:
    """How much light the slopes of `height` get: (rows, cols) float32, 1 on level ground."""
    down, right = np.gradient(height, cell)
    azimuth, up = np.radians(sun_azimuth), np.radians(sun_up)
    east, south, top = np.sin(azimuth) * np.cos(up), -np.cos(azimuth) * np.cos(up), np.sin(up)
    light = (top - right * east - down * south) / np.sqrt(1 + right**2 + down**2)
    return np.asarray(np.clip(light / top, 0.3, 1.5), np.float32)
