"""Cutting strips into tiles."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keenkite.errors import InputError
from keenkite.scene import Window
from keenkite.tiling import Lattice, TileCutter, resample, window_of
from tests.support.cutting import SCENE, corners_of, cut_all, draw, strips

SMALL = Lattice(120)


@given(
    seed=st.integers(0, 1000),
    shape=st.tuples(st.integers(12, 90), st.integers(12, 90)),
    origin=st.tuples(st.integers(0, 9), st.integers(0, 9)),
    half=st.integers(1, 6),
    heights=st.lists(st.integers(1, 40), min_size=1, max_size=4),
    share=st.floats(0.05, 1),
    margin=st.integers(0, 3),
    limits=st.tuples(st.sampled_from([0, 0.1, 0.5, 1]), st.sampled_from([0, 0.2, 0.4, 1])),
)
@settings(deadline=None, max_examples=80)
def test_every_tile_is_a_plain_slice_of_the_scene_however_it_is_cut_into_strips(
    seed, shape, origin, half, heights, share, margin, limits
):
    size = 2 * half
    lattice = Lattice(10 * size)
    max_nodata, max_cloud = limits
    scene = replace(
        SCENE,
        height=shape[0],
        width=shape[1],
        west=SCENE.west + 10 * origin[0],
        north=SCENE.north + 10 * origin[1],
    )
    rgb, scl = draw(scene, seed)
    cells = lattice.cells(scene.epsg, scene.footprint, scene.footprint)
    rng = np.random.default_rng(seed)
    cells = rng.permutation(cells)[: max(round(share * len(cells)), 1)]
    if not len(cells):
        return

    expected, dropped = {}, {"nodata": 0, "cloud": 0}
    for column, row in sorted(cells.tolist(), key=lambda cell: (-cell[1], cell[0])):
        left = round(column * half - scene.west / 10)
        top = round(scene.north / 10 - row * half)
        square = np.s_[top : top + size, left : left + size]
        classes = scl[square]
        valid = (classes != 0).sum()
        cloud = np.isin(classes, [8, 9, 10]).sum()
        if (size**2 - valid) / size**2 > max_nodata + 1e-12:
            dropped["nodata"] += 1
        elif cloud / max(valid, 1) > max_cloud:
            dropped["cloud"] += 1
        else:
            shares = [cloud, *((classes == kind).sum() for kind in (6, 4, 5, 11))]
            expected[column, row] = (
                rgb[square],
                [*(share / max(valid, 1) for share in shares), valid / size**2],
            )

    cutter = TileCutter(
        scene,
        corners_of(lattice, cells),
        lattice.span,
        regions=("r",),
        max_nodata=max_nodata,
        max_cloud=max_cloud,
    )
    assert cutter.left == len(cells)
    window = window_of(scene, corners_of(lattice, cells), lattice.span)
    tiles, pixels = cut_all(cutter, strips(window, rgb, scl, heights, margin=margin))
    assert [(tile.column, tile.row) for tile in tiles] == list(expected)
    for tile, shown in zip(tiles, pixels, strict=True):
        slice_, fractions = expected[tile.column, tile.row]
        np.testing.assert_array_equal(shown, resample(slice_[None])[0])
        np.testing.assert_allclose(
            [tile.cloud, tile.water, tile.vegetation, tile.bare, tile.snow, tile.valid], fractions
        )
    assert dict(cutter.dropped) == dropped
    assert cutter.left == 0


def test_fractions_are_right_for_tiles_of_more_rows_than_a_byte_counts():
    lattice = Lattice(6000)
    scene = replace(SCENE, width=1300, height=1300)
    cells = lattice.cells(scene.epsg, scene.footprint, scene.footprint)
    rgb = np.zeros((1300, 1300, 3), np.uint8)
    window = window_of(scene, corners_of(lattice, cells), lattice.span)
    for kind, name in {6: "water", 4: "vegetation", 5: "bare", 11: "snow"}.items():
        cutter = TileCutter(scene, corners_of(lattice, cells), lattice.span, regions=("r",))
        tiles, _ = cut_all(
            cutter, strips(window, rgb, np.full((1300, 1300), kind, np.uint8), [700])
        )
        assert len(tiles) == len(cells) > 0
        assert {(getattr(tile, name), tile.valid, tile.cloud) for tile in tiles} == {(1, 1, 0)}


def test_strips_may_begin_above_the_window_and_end_below_it():
    scene = replace(SCENE, width=60, height=60)
    rgb, scl = draw(scene)
    scl[:] = 4
    cells = SMALL.cells(scene.epsg, scene.footprint, scene.footprint)
    cells = cells[(cells[:, 1] < cells[0, 1] - 2) & (cells[:, 1] > cells[-1, 1] + 2)]
    window = window_of(scene, corners_of(SMALL, cells), SMALL.span)
    whole = Window(row=0, col=0, rows=60, cols=60)
    found = [
        cut_all(TileCutter(scene, corners_of(SMALL, cells), SMALL.span, regions=("r",)), some)
        for some in (strips(window, rgb, scl, [9]), strips(whole, rgb, scl, [7]))
    ]
    assert found[0][0] == found[1][0]
    assert len(found[0][0]) == len(cells)
    np.testing.assert_array_equal(found[0][1], found[1][1])


def test_tiles_left_out_by_a_lost_strip_are_told():
    scene = replace(SCENE, width=60, height=60)
    rgb, scl = draw(scene)
    cells = SMALL.cells(scene.epsg, scene.footprint, scene.footprint)
    window = window_of(scene, corners_of(SMALL, cells), SMALL.span)
    first, second, *rest = strips(window, rgb, scl, [15])
    cutter = TileCutter(scene, corners_of(SMALL, cells), SMALL.span, regions=("r",))
    cut_all(cutter, [first, second])
    assert 0 < cutter.left < len(cells)
    with pytest.raises(InputError, match=f"rows {rest[1].row} to .* where row {rest[0].row} of"):
        cutter.cut(rest[1])
    _, cols = rest[0].classes.shape
    for some, col in ((np.s_[:, 1:], 1), (np.s_[:, : cols - 1], 0)):
        narrow = replace(
            rest[0], col=rest[0].col + col, rgb=rest[0].rgb[some], classes=rest[0].classes[some]
        )
        with pytest.raises(InputError, match="comes next"):
            cutter.cut(narrow)
    cut_all(cutter, rest)
    assert cutter.left == 0


@pytest.mark.parametrize(
    "limits", [{"max_nodata": 1.1}, {"max_cloud": -0.1}, {"max_cloud": np.nan}]
)
def test_limits_that_are_no_fractions_are_refused(limits):
    with pytest.raises(InputError, match="is a fraction from 0 to 1"):
        TileCutter(SCENE, np.array([[403_200.0, 3_987_200.0]]), 2240, regions=("r",), **limits)
