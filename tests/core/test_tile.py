"""Tiles by themselves: their names, their place, and pictures of any width at 224 pixels."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyproj
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from keenkite.errors import InputError
from keenkite.tiling import Tile, parse_cell, places, resample
from keenkite.tiling.resample import resample_mask

NOON = datetime(2024, 5, 12, 1, 23, 45, tzinfo=UTC)
FACTS: dict[str, Any] = {
    "epsg": 32654, "datetime": NOON, "platform": "S2B", "collection": "s2", "scene_ids": ("a",),
}  # fmt: skip


def test_a_tile_on_the_lattice_is_named_by_column_and_row_and_one_off_it_by_its_corner() -> None:
    on = Tile(**FACTS, column=345, row=3550)
    assert on.id == "32654-2240-345-3550-20240512T012345-S2B"
    assert (on.west, on.north, on.span, on.metres) == (386_400, 3_976_000, 2240, 10)
    off = Tile(**FACTS, span=112, corner=(386_401.5, -40.25))
    assert off.id == "32654-112-@386401.5--40.25-20240512T012345-S2B"
    assert (off.west, off.north, off.metres) == (386_401.5, -40.25, 0.5)


def test_two_passes_of_one_day_are_two_tiles_of_one_cell() -> None:
    first = Tile(**FACTS, column=345, row=3550)
    second = replace(first, datetime=NOON + timedelta(minutes=90))
    assert first.id != second.id
    assert first.cell == second.cell == "32654-2240-345-3550"


@settings(deadline=None)
@given(
    epsg=st.sampled_from([32601, 32654, 32760]),
    span=st.sampled_from([2240, 1120, 4480, 22.4, 112, 672.5]),
    column=st.integers(-900, 900),
    row=st.integers(-9000, 9000),
    shift=st.sampled_from([0, 0, 10, 0.5, 0.125]),
)
def test_a_cell_says_where_its_ground_is(
    epsg: int, span: float, column: int, row: int, shift: float
) -> None:
    west, north = column * span / 2 + shift, row * span / 2
    tile = Tile.at(**FACTS | {"epsg": epsg}, span=span, west=west, north=north)
    assert (tile.west, tile.north) == pytest.approx((west, north))
    off = abs(west - round(west / (span / 2)) * span / 2)
    assert (tile.corner is None) == (off < 1e-3)
    again = Tile(**FACTS | parse_cell(tile.id))
    assert again.cell == tile.cell
    assert (again.west, again.north, again.span) == pytest.approx((west, north, span), abs=5e-4)


@pytest.mark.parametrize("text", ["", "airport", "32654-345-3550", "32654-2240-345"])
def test_what_is_no_cell_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="is not a cell such as"):
        parse_cell(text)


@pytest.mark.parametrize(
    "where", [{}, {"column": 1}, {"column": 1, "row": 2, "corner": (1.0, 2.0)}, {"row": 2}]
)
def test_a_tile_is_at_one_place(where: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="a column and a row on the lattice, or else a corner"):
        Tile(**FACTS, **where)


def test_one_name_in_place_of_several_is_refused() -> None:
    with pytest.raises(InputError, match="scene_ids is a tuple"):
        Tile(**FACTS | {"scene_ids": "a"}, column=1, row=2)
    with pytest.raises(InputError, match="regions is a tuple"):
        Tile(**FACTS, column=1, row=2, regions="kanto")  # type: ignore[arg-type]


def test_tiles_of_several_zones_and_spans_are_placed_at_once_as_singly() -> None:
    tiles = [
        Tile(**FACTS | {"epsg": epsg}, span=span, column=column, row=6000 + column)
        for column, (epsg, span) in enumerate([(32654, 2240), (32601, 1120), (32654, 4480)], 300)
    ]
    for tile, place in zip(tiles, places(tiles), strict=True):
        to_lonlat = pyproj.Transformer.from_crs(tile.epsg, 4326, always_xy=True).transform
        middle = to_lonlat(tile.west + tile.span / 2, tile.north - tile.span / 2)
        assert (place.lon, place.lat) == pytest.approx(middle, abs=1e-9)
        assert (tile.lon, tile.lat, tile.bounds) == tuple(place)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_wider_tiles_are_the_mean_of_their_pixels_and_narrower_ones_grow_smoothly(
    dtype: type,
) -> None:
    rng = np.random.default_rng(5)
    wide = rng.integers(0, np.iinfo(dtype).max, (3, 448, 448, 2)).astype(dtype)
    shrunk = resample(wide)
    assert (shrunk.shape, shrunk.dtype) == ((3, 224, 224, 2), dtype)
    four = np.stack([wide[:, i::2, j::2] for i in (0, 1) for j in (0, 1)]).astype(np.float64)
    assert np.abs(four.mean(axis=0) - shrunk).max() <= 0.51
    narrow = rng.integers(0, 256, (2, 112, 112, 3)).astype(dtype)
    grown = resample(narrow)
    assert (grown.shape, grown.dtype) == ((2, 224, 224, 3), dtype)
    bands = [Image.fromarray(narrow[1, ..., n].astype(np.float32)) for n in range(3)]
    theirs = np.stack([b.resize((224, 224), Image.Resampling.BICUBIC) for b in bands], -1)
    assert np.abs(np.clip(theirs, 0, None) - grown[1].astype(np.float64)).max() <= (
        0.51 if dtype is np.uint16 else max(0.51, float(theirs.max() - 255))
    )


def test_a_tile_of_its_own_size_is_left_as_it_is() -> None:
    pixels = np.zeros((2, 224, 224, 3), np.uint8)
    assert resample(pixels) is pixels
    assert resample(np.zeros((0, 112, 112, 3), np.uint8)).shape == (0, 224, 224, 3)
    with pytest.raises(InputError, match="square"):
        resample(np.zeros((1, 112, 100, 3), np.uint8))


@pytest.mark.parametrize("size", [112, 224, 448, 896])
def test_classes_are_never_mixed(size: int) -> None:
    mask = np.zeros((size, size), np.uint8)
    mask[size // 2 :] = 2
    shown = resample_mask(mask)
    assert not shown[:112].any()
    assert (shown[112:] == 2).all()
