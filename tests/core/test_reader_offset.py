"""The offset of the digital numbers: from full-resolution pixels, then from what items say."""

import logging
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from keenkite.reader import read_strips
from keenkite.scene import Scene, Window
from tests.support.scene_files import COLOURS, draw, expected, joined, write_image, write_scene

LEGACY, C1, OWN = "sentinel-2-l2a", "sentinel-2-c1-l2a", "own"
SHAPE = (400, 600)
WHOLE = Window(row=0, col=0, rows=SHAPE[0], cols=SHAPE[1])


def read(scene: Scene, window: Window = WHOLE) -> Any:
    return joined(list(read_strips(scene, window)))[0]


def offset_taken_off(scene: Scene, window: Window = WHOLE) -> int:
    """Which of the two offsets the pixels were read with."""
    rgb = read(scene, window)
    for offset in (0, 1000):
        if np.array_equal(rgb, expected(scene, window, offset=offset)[0]):
            return offset
    raise AssertionError("read with neither")


def bright(folder: Path, shape: tuple[int, int] = SHAPE, **facts: Any) -> Scene:
    """No blue below 1000: a desert without the offset, or any ground with it."""
    return write_scene(
        folder, draw(shape, low=1000), **({"collection": OWN, "baseline": None} | facts)
    )


@pytest.mark.parametrize(
    ("collection", "low", "baseline", "applied", "offset", "said"),
    [
        (C1, 1000, "05.10", None, 1000, ""),
        (C1, 960, "05.10", None, 1000, "though 1.0 % of its blue"),
        (C1, 0, "05.10", True, 0, ""),
        (C1, 0, "05.10", None, 0, "it is off already"),
        (C1, 500, None, False, 0, "it is off already"),
        (LEGACY, 0, "05.09", True, 0, ""),
        (LEGACY, 0, "05.09", False, 0, "it is off already"),
        (LEGACY, 0, "05.09", None, 0, "it is off already"),
        (LEGACY, 0, "02.14", None, 0, ""),
        (LEGACY, 0, None, None, 0, ""),
        (LEGACY, 1000, "05.10", False, 1000, ""),
        (LEGACY, 1000, "05.10", None, 1000, ""),
        (LEGACY, 1000, None, None, 1000, "a guess"),
        (LEGACY, 1000, None, False, 1000, "a guess"),
        (LEGACY, 1000, "04.00", True, 0, "nothing must be taken off"),
        (LEGACY, 1000, "03.01", None, 0, "nothing must be taken off"),
        (OWN, 960, None, None, 0, ""),
    ],
)
@pytest.mark.parametrize("overviews", [True, False])
def test_the_offset_is_decided_by_pixels_and_then_by_what_the_item_says(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    collection: str,
    low: int,
    baseline: str | None,
    applied: bool | None,
    offset: int,
    said: str,
    overviews: bool,
) -> None:
    options = (
        {"overview_resampling": "nearest"} if overviews else {"driver": "GTiff", "tiled": True}
    )
    scene = write_scene(
        tmp_path,
        draw(SHAPE, low=low),
        collection=collection,
        baseline=baseline,
        boa_offset_applied=applied,
        **options,
    )
    with caplog.at_level(logging.WARNING):
        assert offset_taken_off(scene) == offset
    assert said in caplog.text
    assert len(caplog.records) == bool(said), "said once, and only if there is doubt"


@pytest.mark.parametrize(
    ("facts", "offset"),
    [
        ({"baseline": "02.14"}, 0),
        ({"baseline": "04.00"}, 1000),
        ({"baseline": "05.10", "boa_offset_applied": False}, 1000),
        ({"baseline": "02.14", "boa_offset_applied": False}, 0),
        ({"raster_offset": 0.0}, 0),
        ({"raster_offset": -1000.0}, 1000),
        ({"raster_offset": 0.0, "baseline": "05.10"}, 0),
        ({"raster_offset": -1000.0, "baseline": "05.10", "boa_offset_applied": True}, 0),
        ({"raster_offset": -1000.0, "baseline": "02.14"}, 0),
        ({"collection": C1}, 1000),
        ({"collection": C1, "boa_offset_applied": True}, 0),
        ({"baseline": "unknown"}, 1000),
    ],
)
def test_over_bright_land_what_the_item_says_counts(
    tmp_path: Path, facts: dict[str, Any], offset: int
) -> None:
    assert offset_taken_off(replace(bright(tmp_path), **facts)) == offset


@pytest.mark.parametrize(("stated", "offset"), [((1e-4, 0.0), 0), ((1e-4, -0.1), 1000)])
def test_over_bright_land_the_scale_and_offset_of_the_file_itself_count_too(
    tmp_path: Path, stated: tuple[float, float], offset: int
) -> None:
    scene = bright(tmp_path, driver="GTiff")
    with rasterio.open(scene.assets["blue"], "r+") as file:
        file.scales, file.offsets = [stated[0]], [stated[1]]
    assert offset_taken_off(scene) == offset


@pytest.mark.parametrize("year", [2017, 2022, 2026])
def test_the_day_it_was_taken_decides_nothing(tmp_path: Path, year: int) -> None:
    scene = replace(bright(tmp_path), datetime=datetime(year, 6, 1, tzinfo=UTC))
    assert offset_taken_off(replace(scene, baseline="02.14")) == 0
    assert offset_taken_off(replace(scene, baseline="05.10")) == 1000


def test_pixels_mixed_with_nodata_at_an_edge_are_not_dark_ground(tmp_path: Path) -> None:
    """Whoever resamples a scene makes them, and an overview is full of them."""
    assets = draw(SHAPE, low=1200)
    for key in COLOURS:
        for rim, share in ((205, 0.2), (204, 0.2), (203, 0.4), (202, 0.6), (201, 0.8)):
            assets[key][:rim, : rim + 100] = (assets[key][:rim, : rim + 100] * share).astype(
                np.uint16
            )
        assets[key][:200, :300] = 0
    with_rim = write_scene(tmp_path, assets, baseline="05.10", collection=LEGACY,
                           overview_resampling="average", nodata=None)  # fmt: skip
    near = np.asarray(assets["blue"])[200:205, :300]
    assert ((near > 0) & (near < 1000)).mean() > 0.5
    assert offset_taken_off(with_rim) == 1000


def test_a_mask_hides_dark_ground_from_the_decision(tmp_path: Path) -> None:
    assets = draw(SHAPE, low=1000)
    for key in COLOURS:
        assets[key][200:, :300] = 400
    scene = write_scene(tmp_path, assets, collection=LEGACY, driver="GTiff", nodata=None)
    valid = np.full(SHAPE, 255, np.uint8)
    valid[200:, :300] = 0
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        for key in COLOURS:
            with rasterio.open(scene.assets[key], "r+") as file:
                file.write_mask(valid)
    assert offset_taken_off(scene) == 1000


def test_a_little_very_dark_ground_is_proof_and_a_little_noise_round_0_is_not(
    tmp_path: Path,
) -> None:
    for low, offset in ((300, 0), (940, 1000)):
        assets = draw(SHAPE, low=1000)
        lake = np.random.default_rng(8).integers(low, 1000, (60, 60)).astype(np.uint16)
        for key in COLOURS:
            assets[key][200:260, 300:360] = lake
        scene = write_scene(tmp_path / str(low), assets, collection=C1)
        assert offset_taken_off(scene) == offset


@pytest.mark.parametrize("value", [65535, 7])
def test_what_the_file_declares_as_nodata_is_not_ground(tmp_path: Path, value: int) -> None:
    """Neither bright nor dark: two thirds of the scene are it, the rest is dark ground or not."""
    for low, offset in ((1000, 1000), (100, 0)):
        assets = draw(SHAPE, low=low)
        for key in COLOURS:
            assets[key][:, 200:] = value
        scene = write_scene(tmp_path / str(low), assets, nodata=value, collection=LEGACY)
        assert offset_taken_off(scene) == offset


def test_little_data_in_a_corner_is_found(tmp_path: Path) -> None:
    assets = draw((2000, 2000), low=0)
    for numbers in assets.values():
        side = len(numbers)
        numbers[: side * 19 // 20] = 0
        numbers[:, : side * 19 // 20] = 0
    scene = write_scene(tmp_path, assets, collection=LEGACY)
    assert offset_taken_off(scene, Window(row=0, col=0, rows=2000, cols=2000)) == 0


def test_where_a_window_is_too_bright_to_tell_the_rest_of_the_scene_is_asked(
    tmp_path: Path,
) -> None:
    assets = draw((1500, 1500), low=100)
    for key in COLOURS:
        assets[key][500:900, 500:900] = np.maximum(assets[key][500:900, 500:900], 1500)
    scene = write_scene(tmp_path, assets, collection=LEGACY, boa_offset_applied=False)
    assert offset_taken_off(scene, Window(row=520, col=530, rows=300, cols=300)) == 0


def test_a_scene_without_any_data_falls_back_on_its_item(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assets = {key: np.zeros_like(pixels) for key, pixels in draw((300, 300)).items()}
    scene = write_scene(tmp_path, assets, collection=LEGACY, baseline=None)
    rgb, scl = joined(list(read_strips(scene, Window(row=0, col=0, rows=300, cols=300))))
    assert not rgb.any()
    assert not scl.any()
    assert not caplog.records


def test_blue_decides_whatever_the_other_colours_are(tmp_path: Path) -> None:
    scene = bright(tmp_path, baseline="05.10")
    numbers = draw(SHAPE, low=0)["red"]
    write_image(Path(scene.assets["red"]), numbers)
    assert offset_taken_off(scene) == 1000
