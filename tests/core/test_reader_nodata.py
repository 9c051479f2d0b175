"""No data is what the files say too: declared numbers, masks, alpha, besides 0 and the classes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from keenkite.reader import read_strips
from keenkite.scene import Scene, Window
from tests.support.scene_files import COLOURS, draw, expected, joined, write_image, write_scene

SHAPE = (1100, 300)
WHOLE = Window(row=0, col=0, rows=SHAPE[0], cols=SHAPE[1])
GAP = np.s_[900:1060, 40:200]


def check(scene: Scene, *, gap: bool) -> Any:
    """Read and hold against plain rasterio and numpy; whether the gap has data."""
    rgb, classes = joined(list(read_strips(scene, WHOLE)))
    wanted = expected(scene, WHOLE, offset=1000)
    np.testing.assert_array_equal(rgb, wanted[0])
    np.testing.assert_array_equal(classes, wanted[1])
    assert classes[250:900].all(), "data elsewhere"
    assert classes[GAP].all() == (not gap)
    if gap:
        assert not classes[GAP].any()
        assert not rgb[GAP].any()
    return rgb, classes


def scene_with(folder: Path, values: dict[str, int], **options: Any) -> Scene:
    """A scene whose colours hold these numbers in the gap."""
    assets = draw(SHAPE, low=1000)
    for key, value in values.items():
        assets[key][GAP] = value
    return write_scene(folder, assets, **options)


def declare(scene: Scene, values: dict[str, float]) -> None:
    for key, value in values.items():
        with rasterio.open(scene.assets[key]) as file:
            pixels = file.read(1)
        write_image(Path(scene.assets[key]), pixels, driver="GTiff", tiled=True, nodata=value)


@pytest.mark.parametrize("value", [0, 1, 7, 1234, 65535])
def test_a_number_that_the_files_declare_is_no_data(tmp_path: Path, value: int) -> None:
    scene = scene_with(tmp_path, dict.fromkeys(COLOURS, value))
    declare(scene, dict.fromkeys(COLOURS, value))
    check(scene, gap=True)


def test_each_file_may_declare_its_own(tmp_path: Path) -> None:
    values = {"red": 65535, "green": 0, "blue": 1}
    scene = scene_with(tmp_path, values)
    declare(scene, values)
    check(scene, gap=True)


def test_a_number_is_only_nodata_where_all_three_colours_are(tmp_path: Path) -> None:
    scene = scene_with(tmp_path, {"red": 65535, "green": 65535}, nodata=65535)
    rgb, _ = check(scene, gap=False)
    assert not rgb[GAP][..., :2].any()
    assert rgb[GAP][..., 2].any()


def test_0_stays_no_data_where_another_number_is_declared(tmp_path: Path) -> None:
    scene = scene_with(tmp_path, dict.fromkeys(COLOURS, 65535), nodata=65535)
    _, classes = joined(list(read_strips(scene, WHOLE)))
    assert not classes[:200, :300].any()


@pytest.mark.parametrize("value", ["-99", "nan", "1.5", "inf", "1e9"])
def test_a_declared_number_that_no_pixel_can_be_changes_nothing(tmp_path: Path, value: str) -> None:
    scene = scene_with(tmp_path, {})
    declare(scene, {"red": 0})
    _set_nodata(Path(scene.assets["red"]), value)
    rgb, classes = joined(list(read_strips(scene, WHOLE)))
    wanted = expected(scene_with(tmp_path / "plain", {}), WHOLE, offset=1000)
    np.testing.assert_array_equal(rgb, wanted[0])
    np.testing.assert_array_equal(classes, wanted[1])


def _set_nodata(path: Path, text: str) -> None:
    """As other programs write it; rasterio refuses what does not fit."""
    data = path.read_bytes()
    tag = (42113).to_bytes(2, "little") + (2).to_bytes(2, "little")  # GDAL_NODATA, a text
    at = data.index(tag)
    value = (4).to_bytes(4, "little") + text.encode().ljust(4, b"\0")
    path.write_bytes(data[: at + 4] + value + data[at + 12 :])


@pytest.mark.parametrize("kind", ["internal", ".msk beside it"])
def test_a_mask_is_no_data_whatever_is_under_it(tmp_path: Path, kind: str) -> None:
    scene = scene_with(tmp_path, dict.fromkeys(COLOURS, 1777), driver="GTiff", tiled=True,
                       nodata=None)  # fmt: skip
    _mask(scene, COLOURS, internal=kind == "internal")
    assert (tmp_path / "red.tif.msk").exists() == (kind != "internal")
    check(scene, gap=True)


def test_where_all_have_masks_and_one_masks_a_pixel_that_is_dark_and_still_data(
    tmp_path: Path,
) -> None:
    scene = scene_with(tmp_path, {}, driver="GTiff", nodata=None)
    _mask(scene, COLOURS, internal=True)
    for key in ("red", "blue"):
        with (
            rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
            rasterio.open(scene.assets[key], "r+") as file,
        ):
            file.write_mask(np.full(SHAPE, 255, np.uint8))
    rgb, _ = check(scene, gap=False)
    assert not rgb[GAP][..., 1].any()
    assert rgb[GAP][..., 0].any()


@pytest.mark.parametrize("keys", [["red"], ["green", "blue"]])
def test_files_without_a_mask_go_by_that_of_the_others(tmp_path: Path, keys: list[str]) -> None:
    scene = scene_with(tmp_path, {}, driver="GTiff", nodata=None)
    _mask(scene, keys, internal=True)
    rgb, classes = joined(list(read_strips(scene, WHOLE)))
    assert not classes[GAP].any()
    assert not rgb[GAP].any()
    assert classes[250:900].all()


@pytest.mark.parametrize("keys", [["red"], ["green", "blue"]])
def test_files_that_declare_nothing_go_by_what_the_others_declare(
    tmp_path: Path, keys: list[str]
) -> None:
    scene = scene_with(tmp_path, dict.fromkeys(COLOURS, 65535), driver="GTiff", nodata=None)
    declare(scene, dict.fromkeys(keys, 65535))
    rgb, classes = joined(list(read_strips(scene, WHOLE)))
    assert not classes[GAP].any()
    assert not rgb[GAP].any()
    assert classes[250:900].all()


def _mask(scene: Scene, keys: Any, *, internal: bool) -> None:
    valid = np.full(SHAPE, 255, np.uint8)
    valid[GAP] = 0
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=internal):
        for key in keys:
            with rasterio.open(scene.assets[key], "r+") as file:
                file.write_mask(valid)


def test_a_transparent_pixel_is_no_data(tmp_path: Path) -> None:
    scene = scene_with(tmp_path, {})
    alpha = np.full(SHAPE, 65535, np.uint16)
    alpha[GAP] = 0
    for key in COLOURS:
        with rasterio.open(scene.assets[key]) as file:
            profile, pixels = file.profile, file.read(1)
        profile |= {"driver": "GTiff", "count": 2, "nodata": None, "ALPHA": "YES"}
        with rasterio.open(scene.assets[key], "w", **profile) as file:
            file.write(np.stack([pixels, alpha]))
    check(scene, gap=True)


def test_the_classification_has_its_own_number_and_mask(tmp_path: Path) -> None:
    scene = scene_with(tmp_path, {})
    with rasterio.open(scene.assets["scl"]) as file:
        scl = file.read(1)
    scl[450:530, 20:100] = 255
    path = Path(scene.assets["scl"])
    write_image(path, scl, pixel=20, nodata=255)
    _, classes = joined(list(read_strips(scene, WHOLE)))
    np.testing.assert_array_equal(classes, expected(scene, WHOLE, offset=1000)[1])
    assert not classes[GAP].any()
    write_image(path, np.where(scl == 255, 4, scl), pixel=20, nodata=None, driver="GTiff")
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as file:
        file.write_mask(np.where(scl == 255, 0, 255).astype(np.uint8))
    _, classes = joined(list(read_strips(scene, WHOLE)))
    assert not classes[GAP].any()
    assert classes[250:900].all()


def test_other_bands_are_0_where_their_own_file_has_no_data(tmp_path: Path) -> None:
    scene = scene_with(tmp_path, {"blue": 65535}, nodata=65535)
    strips = list(read_strips(scene, WHOLE, bands=["B02", "B03"]))
    found = np.concatenate([strip.bands for strip in strips if strip.bands is not None])
    assert not found[GAP][..., 0].any()
    assert found[GAP][..., 1].any()
    assert found[300:900].max() < 4000
