"""A scene, its pixels in strips, and the tiles cut out of them: for the tests of tiling."""

from datetime import UTC, datetime

import numpy as np

from keenkite.scene import Scene, Strip
from keenkite.sensors import SENTINEL2
from keenkite.tiling import TileCutter, window_of

SCENE = Scene(
    id="S2B_T54SUE_20240512T012659_L2A",
    sensor=SENTINEL2,
    collection="sentinel-2-c1-l2a",
    epsg=32654,
    west=399960.0,
    north=4000020.0,
    width=10980,
    height=10980,
    datetime=datetime(2024, 5, 12, 1, 26, 59, tzinfo=UTC),
    platform="S2B",
    grid_code="54SUE",
    cloud=0.03,
    assets={},
)


def draw(scene, seed=0):
    """Pixels of a scene: RGB of noise, SCL in blocks and specks."""
    rng = np.random.default_rng(seed)
    rgb = rng.integers(0, 256, (scene.height, scene.width, 3), dtype=np.uint8)
    blocks = rng.integers(0, 12, (scene.height // 8 + 1, scene.width // 8 + 1), dtype=np.uint8)
    scl = blocks.repeat(8, axis=0).repeat(8, axis=1)[: scene.height, : scene.width]
    specks = rng.random(scl.shape) < 0.1
    scl[specks] = rng.integers(0, 12, specks.sum(), dtype=np.uint8)
    return rgb, scl


def strips(window, rgb, scl, heights, *, margin=0):
    """A window of pictures as strips of the given heights in turn, with more columns around."""
    begin, end = max(window.col - margin, 0), window.col + window.cols + margin
    row, turn = window.row, 0
    while row < window.row + window.rows:
        stop = min(row + heights[turn % len(heights)], window.row + window.rows)
        yield Strip(
            row=row, col=begin, rgb=rgb[row:stop, begin:end], classes=scl[row:stop, begin:end]
        )
        row, turn = stop, turn + 1


def cut_all(cutter, some_strips):
    tiles, pixels = [], []
    for strip in some_strips:
        for cut in cutter.cut(strip):
            assert 1 <= len(cut.tiles) == len(cut.rgb) <= 128
            assert cut.rgb.flags.c_contiguous
            assert cut.rgb.dtype == np.uint8
            assert cut.rgb.shape[1:] == (224, 224, 3)
            tiles += cut.tiles
            pixels += list(cut.rgb)
    return tiles, pixels


def corners_of(lattice, cells):
    """(n, 2) upper left corners of (n, 2) columns and rows, metres."""
    return cells * lattice.pitch


def places(scene, lattice, cells):
    """The tiles of some cells of a scene without clouds."""
    corners = corners_of(lattice, cells)
    window = window_of(scene, corners, lattice.span)
    size = (window.rows, window.cols)
    strip = Strip(
        row=window.row,
        col=window.col,
        rgb=np.zeros((*size, 3), np.uint8),
        classes=np.full(size, 4, np.uint8),
    )
    return cut_all(TileCutter(scene, corners, lattice.span, regions=("r",)), [strip])[0]
