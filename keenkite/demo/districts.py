"""Districts of farming and building, and the colours of what grows in their fields."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw
from scipy.spatial import Voronoi

from keenkite.demo.terrain import Floats, noise

PALETTE = 2048
"""Colours per farming style; there are three styles: paddies, vegetable fields, large fields."""

Ints = npt.NDArray[np.int32]


def crop_palette(rng: np.random.Generator, season: float) -> Floats:
    """Colours (1 + 3*PALETTE, 3) of the parcels; `season` 0 is spring (bare), 1 is high summer."""
    green = np.array([600, 840, 500])
    lush = np.array([430, 690, 380])
    straw = np.array([1350, 1220, 800])
    soil = np.array([1450, 1180, 880])
    dark_soil = np.array([950, 800, 640])
    wet = np.array([520, 610, 560])
    plastic = np.array([2100, 2150, 2150])
    early = np.array(
        [[0.18, 0.05, 0.1, 0.2, 0.12, 0.35, 0], [0.3, 0.1, 0.15, 0.3, 0.12, 0, 0.03]]
        + [[0.35, 0.15, 0.15, 0.25, 0.1, 0, 0]]
    )
    late = np.array(
        [[0.4, 0.5, 0.02, 0.03, 0.0, 0.05, 0], [0.4, 0.25, 0.15, 0.13, 0.05, 0, 0.02]]
        + [[0.4, 0.25, 0.25, 0.1, 0, 0, 0]]
    )
    kinds = np.stack([green, lush, straw, soil, dark_soil, wet, plastic]).astype(np.float32)
    tables = [np.zeros((1, 3), np.float32)]
    for a, b in zip(early, late, strict=True):
        mix = a * (1 - season) + b * season
        pick = rng.choice(7, PALETTE, p=mix / mix.sum())
        light = rng.normal(1, 0.13, (PALETTE, 1)) + rng.normal(0, 0.04, (PALETTE, 3))
        tables.append((kinds[pick] * np.clip(light, 0.55, 1.6)).astype(np.float32))
    return np.concatenate(tables)


@dataclass(frozen=True, kw_only=True)
class Districts:
    """Cells of land with one direction of streets and fields each."""

    number: Ints
    """(rows, cols) int32 at 10 m: which district a pixel is in."""
    table: Floats
    """(districts, 8): cos, sin, parcel width and height (m), farming style 0-2, block width and
    height (m), brightness."""


def make_districts(rng: np.random.Generator, shape: tuple[int, int]) -> Districts:
    """Voronoi cells of about 1.1 km over a world of `shape` pixels."""
    step = 115.0
    rows, cols = int(shape[0] / step) + 7, int(shape[1] / step) + 7
    y, x = np.mgrid[-3 : rows - 3, -3 : cols - 3].reshape(2, -1) * step
    points = np.column_stack([x, y]) + rng.uniform(-0.45, 0.45, (len(x), 2)) * step
    diagram = Voronoi(points)
    image = Image.new("I", (shape[1], shape[0]))
    pen = ImageDraw.Draw(image)
    for k, region in enumerate(diagram.point_region):
        corners = diagram.regions[region]
        if -1 not in corners and len(corners) > 2:
            pen.polygon([(float(a), float(b)) for a, b in diagram.vertices[corners]], fill=k)
    n = len(points)
    base = noise(rng, (rows, cols), 7).ravel() * 0.5 + rng.uniform(0, np.pi)
    angle = base + rng.normal(0, 0.14, n) + (rng.random(n) < 0.12) * rng.uniform(0, 1.5, n)
    style = rng.choice(3, n, p=[0.45, 0.35, 0.2]).astype(np.float32)
    wide = np.choose(
        style.astype(int),
        [rng.uniform(40, 75, n), rng.uniform(45, 120, n), rng.uniform(150, 320, n)],
    )
    tall = np.choose(
        style.astype(int),
        [rng.uniform(90, 150, n), rng.uniform(100, 260, n), rng.uniform(180, 420, n)],
    )
    table = np.column_stack(
        [np.cos(angle), np.sin(angle), wide, tall, style, rng.uniform(42, 75, n)]
        + [rng.uniform(80, 150, n), rng.normal(1, 0.06, n)]
    )
    return Districts(number=np.asarray(image, dtype=np.int32), table=table.astype(np.float32))
