"""Worlds of plain colours, written as real scenes: quickly made, and FakeEncoder reads them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from keenkite.area import Area
from keenkite.demo.scenes import write_scenes
from keenkite.demo.tour import DAYS, area_of
from keenkite.demo.world import EPSG, NORTH, WEST, World
from tests.support.fakes import WORDS

__all__ = ["DAYS", "area_of", "colour_world", "write_world"]

BLOCK = 112
CLASSES = {"water": 6, "blue": 6, "forest": 4, "green": 4, "field": 4, "desert": 5, "snow": 11}
"""Word -> SCL class; every other colour is unclassified."""


def colour_world(seed: int = 0, *, size_km: tuple[float, float] = (14, 10)) -> World:
    """Squares of 1.12 km in random colours of FakeEncoder, with grain; nothing else in it."""
    rng = np.random.default_rng(seed)
    cols, rows = (round(km * 100) // 2 * 2 for km in size_km)
    words = rng.integers(0, len(WORDS), (rows // BLOCK + 1, cols // BLOCK + 1))
    words = np.repeat(np.repeat(words, BLOCK, 0), BLOCK, 1)[:rows, :cols]
    colours = np.array(list(WORDS.values()))[words] * (3000 / 255)
    classes = np.array([CLASSES.get(word, 7) for word in WORDS], np.uint8)
    grain = rng.normal(0, 30, (rows, cols, 1))
    nothing = np.zeros((rows, cols), np.uint16)
    return World(
        reflectance=np.clip(colours + grain, 1, 10_000).astype(np.uint16),
        scl=classes[words],
        masks=nothing.astype(np.uint32),
        parcel=nothing,
        instance=nothing.astype(np.int16),
        features=(),
        feature_pixels=np.array([rows * cols]),
        epsg=EPSG,
        west=WEST,
        north=NORTH,
        seed=seed,
    )


def write_world(folder: Path, seed: int = 0) -> tuple[World, Sequence[Path], Area]:
    """Draw a colour world and write its scenes: (world, paths of the items, box round it)."""
    world = colour_world(seed)
    return world, write_scenes(world, folder), area_of(world)
