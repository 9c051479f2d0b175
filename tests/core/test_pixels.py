import logging
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from keenkite.errors import SceneError, StorageError
from keenkite.pixels import PixelArchive
from keenkite.reader import scaling
from keenkite.scene import Scene, Strip, Window
from keenkite.tiling import Tile, resample
from tests.support.paths import ROOT
from tests.support.scene_files import EPSG, NORTH, WEST, scene_of

SHAPE = (2300, 700)
SCENE = scene_of({}, SHAPE)
WINDOW = Window(row=50, col=20, rows=2200, cols=650)


@pytest.fixture(scope="session")
def drawn() -> NDArray[np.uint8]:
    """(rows, cols, 3): the whole scene."""
    return np.random.default_rng(3).integers(0, 256, (*SHAPE, 3)).astype(np.uint8)


def strips_of(pixels: NDArray[np.uint8], window: Window) -> Iterator[Strip]:
    """As the reader yields them: cut at multiples of 1024 rows of the scene."""
    row = window.row
    while row < window.row + window.rows:
        end = min((row // 1024 + 1) * 1024, window.row + window.rows)
        rgb = pixels[row:end, window.col : window.col + window.cols]
        yield Strip(row=row, col=window.col, rgb=rgb, classes=np.ones(rgb.shape[:2], np.uint8))
        row = end


def keep(archive: PixelArchive, scene: Scene, window: Window, pixels: NDArray[np.uint8]) -> None:
    with archive.writer(scene, window) as writer:
        for strip in strips_of(pixels, window):
            writer.write(strip)


def tile_at(row: int, col: int, *, span: float = 2240, scene: Scene = SCENE) -> Tile:
    """The tile whose first pixel is that of the scene; off the lattice, so that it may be any."""
    return Tile(
        epsg=EPSG,
        span=span,
        corner=(WEST + 10 * col, NORTH - 10 * row),
        datetime=scene.datetime,
        platform=scene.platform,
        scene_ids=(scene.id,),
        collection=scene.collection,
    )


def visible(archive: PixelArchive) -> list[Path]:
    """Finished files."""
    return sorted(archive.folder.glob("*/*/*.tif"))


def unfinished(archive: PixelArchive) -> list[Path]:
    return sorted(archive.folder.glob(".unfinished-*"))


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory, drawn: NDArray[np.uint8]) -> PixelArchive:
    archive = PixelArchive(tmp_path_factory.mktemp("kept") / "pixels")
    keep(archive, SCENE, WINDOW, drawn)
    return archive


@settings(max_examples=25, deadline=None)
@given(row=st.integers(50, 2250 - 224), col=st.integers(20, 670 - 224))
def test_a_tile_comes_back_as_it_was_written(
    kept: PixelArchive, drawn: NDArray[np.uint8], row: int, col: int
) -> None:
    pixels = kept.tile(tile_at(row, col))
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous
    np.testing.assert_array_equal(pixels, drawn[row : row + 224, col : col + 224])


def test_many_tiles_come_in_the_order_asked_for(
    kept: PixelArchive, drawn: NDArray[np.uint8]
) -> None:
    places = [(700, 300), (50, 20), (2026, 446), (50, 20), (1000, 30)]
    for (row, col), pixels in zip(
        places, kept.tiles([tile_at(*place) for place in places]), strict=True
    ):
        np.testing.assert_array_equal(pixels, drawn[row : row + 224, col : col + 224])
    assert kept.tiles([]) == []


def test_the_file_is_a_geotiff_that_lies_where_the_scene_does(
    kept: PixelArchive, drawn: NDArray[np.uint8]
) -> None:
    (path,) = visible(kept)
    with rasterio.open(path) as file:
        assert (file.driver, file.count, file.dtypes[0]) == ("GTiff", 4, "uint8")
        assert file.crs.to_epsg() == EPSG
        assert file.res == (10, 10)
        assert file.bounds.left == WEST + 200
        assert file.bounds.bottom == NORTH - 22_500
        pixels = file.read(window=file.window(WEST + 1000, NORTH - 3000, WEST + 3000, NORTH - 1000))
    np.testing.assert_array_equal(np.moveaxis(pixels[:3], 0, 2), drawn[100:300, 100:300])
    assert (pixels[3] == 1).all()  # clear


def test_its_size_is_that_of_its_file(kept: PixelArchive) -> None:
    (path,) = visible(kept)
    assert kept.size(SCENE, WINDOW) == path.stat().st_size > 0
    assert kept.size(SCENE, replace(WINDOW, rows=300)) == 0


@pytest.mark.parametrize(
    ("row", "col"), [(49, 20), (50, 19), (2027, 20), (50, 447), (-500, 20), (5000, 5000)]
)
def test_a_tile_that_is_not_wholly_there_is_not_given(
    kept: PixelArchive, row: int, col: int
) -> None:
    with pytest.raises(SceneError, match=r"32654-.*S2B.*Build its area again"):
        kept.tile(tile_at(row, col))


def test_an_archive_that_was_never_written_has_no_tiles(tmp_path: Path) -> None:
    with pytest.raises(SceneError, match="Build its area again"):
        PixelArchive(tmp_path / "none").tile(tile_at(50, 20))
    assert not (tmp_path / "none").exists()


def test_windows_of_one_scene_and_scenes_of_one_ground_live_side_by_side(
    tmp_path: Path, drawn: NDArray[np.uint8]
) -> None:
    archive = PixelArchive(tmp_path)
    north, south = (
        Window(row=0, col=0, rows=300, cols=300),
        Window(row=200, col=0, rows=400, cols=300),
    )
    later = SCENE.datetime + timedelta(days=5)
    other, twin = replace(SCENE, datetime=later), replace(SCENE, collection="sentinel-2-l2a")
    keep(archive, SCENE, north, drawn)
    keep(archive, SCENE, south, drawn)
    keep(archive, other, north, 255 - drawn)
    keep(archive, twin, north, drawn // 2)
    tiles = [
        tile_at(0, 0),
        tile_at(300, 10),
        tile_at(0, 0, scene=other),
        tile_at(0, 0, scene=twin),
    ]
    first, second, third, fourth = archive.tiles(tiles)
    np.testing.assert_array_equal(first, drawn[:224, :224])
    np.testing.assert_array_equal(second, drawn[300:524, 10:234])
    np.testing.assert_array_equal(third, 255 - first)
    np.testing.assert_array_equal(fourth, first // 2)


@pytest.mark.parametrize(
    "name", ["../../escape", "..", ".", "a/b", "/etc/x", "a\\b", "x" * 400, "é中", "a b\n", "CON:1"]
)
def test_no_id_of_a_scene_leads_out_of_the_folder(
    tmp_path: Path, drawn: NDArray[np.uint8], name: str
) -> None:
    archive = PixelArchive(tmp_path / "pixels")
    scene = replace(SCENE, id=name, collection=name)
    window = Window(row=0, col=0, rows=224, cols=224)
    keep(archive, scene, window, drawn)
    assert len(visible(archive)) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["pixels"]
    np.testing.assert_array_equal(archive.tile(tile_at(0, 0, scene=scene)), drawn[:224, :224])


def test_long_names_that_begin_alike_are_not_mixed_up(
    tmp_path: Path, drawn: NDArray[np.uint8]
) -> None:
    archive = PixelArchive(tmp_path)
    keep(archive, replace(SCENE, collection="x" * 300 + "1"), WINDOW, drawn)
    with pytest.raises(SceneError):
        archive.tile(tile_at(50, 20, scene=replace(SCENE, collection="x" * 300 + "2")))


def test_windows_beyond_the_scene_keep_their_place(
    tmp_path: Path, drawn: NDArray[np.uint8]
) -> None:
    archive = PixelArchive(tmp_path)
    padded = np.pad(drawn[:400, :400], ((300, 0), (300, 0), (0, 0)))
    window = Window(row=-300, col=-300, rows=700, cols=700)
    with archive.writer(SCENE, window) as writer:
        for row, rgb in ((-300, padded[:300]), (0, padded[300:])):
            seen = np.ones(rgb.shape[:2], np.uint8)
            writer.write(Strip(row=row, col=-300, rgb=rgb, classes=seen))
    np.testing.assert_array_equal(archive.tile(tile_at(-100, -50)), padded[200:424, 250:474])


@pytest.mark.parametrize("span", [1120, 2240, 4480])
def test_tiles_of_any_width_come_at_224_pixels(
    kept: PixelArchive, drawn: NDArray[np.uint8], span: int
) -> None:
    side = span // 10
    picture = kept.tile(tile_at(500, 100, span=span))
    ground = drawn[500 : 500 + side, 100 : 100 + side]
    np.testing.assert_array_equal(picture, resample(ground[None])[0])


def test_the_mask_tells_cloud_and_nodata_from_clear_ground(
    tmp_path: Path, drawn: NDArray[np.uint8]
) -> None:
    archive = PixelArchive(tmp_path)
    window = Window(row=0, col=0, rows=448, cols=448)
    classes = np.full((448, 448), 4, np.uint8)
    classes[:100], classes[100:200], classes[200:224] = 0, 9, 3  # a shadow is clear
    with archive.writer(SCENE, window) as writer:
        writer.write(Strip(row=0, col=0, rgb=drawn[:448, :448], classes=classes))
    expected = np.repeat([0, 2, 1], [100, 100, 24]).astype(np.uint8)
    np.testing.assert_array_equal(archive.mask(tile_at(0, 0)), np.tile(expected[:, None], 224))
    wide = archive.mask(tile_at(0, 0, span=4480))
    assert set(np.unique(wide[:50])) == {0}
    assert set(np.unique(wide[50:100])) == {2}


BANDS = ("B02", "B03", "B04", "B11")


def keep_bands(archive: PixelArchive, window: Window, seed: int = 0) -> NDArray[np.uint16]:
    """Reflectance of noise, kept; (rows, cols, 4)."""
    bands = np.random.default_rng(seed).integers(0, 9000, (window.rows, window.cols, 4))
    bands = bands.astype(np.uint16)
    table = scaling(0, 3000)
    seen = np.ones(bands.shape[:2], np.uint8)
    with archive.writer(SCENE, window, bands=BANDS) as writer:
        rgb = table.take(bands[..., [2, 1, 0]])
        writer.write(Strip(row=0, col=0, rgb=rgb, classes=seen, bands=bands))
    return bands


def test_more_bands_are_kept_as_reflectance_and_the_picture_is_made_of_them(tmp_path: Path) -> None:
    archive = PixelArchive(tmp_path)
    bands = keep_bands(archive, Window(row=0, col=0, rows=300, cols=300))
    tile = tile_at(20, 30)
    ground = bands[20:244, 30:254]
    np.testing.assert_array_equal(archive.bands(tile, BANDS), ground)
    np.testing.assert_array_equal(archive.bands(tile, ["B11", "B02"]), ground[..., [3, 0]])
    picture = np.rint(np.clip(ground[..., [2, 1, 0]], 0, 3000) * np.float32(255 / 3000))
    np.testing.assert_array_equal(archive.tile(tile), picture)
    assert (archive.mask(tile) == 1).all()
    with pytest.raises(SceneError, match="kept without B12"):
        archive.bands(tile, ["B12"])


def test_what_is_kept_with_more_bands_serves_encoders_of_fewer(
    tmp_path: Path, drawn: NDArray[np.uint8]
) -> None:
    archive = PixelArchive(tmp_path)
    window = Window(row=0, col=0, rows=300, cols=300)
    assert not archive.has(SCENE, window)
    keep(archive, SCENE, window, drawn)
    assert archive.has(SCENE, window)
    assert not archive.has(SCENE, window, BANDS)
    keep_bands(archive, window)
    assert archive.has(SCENE, window, ("B11", "B02"))
    assert not archive.has(SCENE, window, ("B12",))
    # The file with more bands goes first.
    assert archive.bands(tile_at(0, 0), ["B11"]).shape == (224, 224, 1)


def test_pixels_that_no_tile_uses_are_given_back(tmp_path: Path, drawn: NDArray[np.uint8]) -> None:
    archive = PixelArchive(tmp_path / "pixels")
    north = Window(row=0, col=0, rows=300, cols=300)
    south = Window(row=1000, col=0, rows=300, cols=300)
    later = replace(SCENE, datetime=SCENE.datetime + timedelta(days=5))
    for scene, window in ((SCENE, north), (SCENE, south), (later, north)):
        keep(archive, scene, window, drawn)
    lost = archive.size(SCENE, south) + archive.size(later, north)
    assert archive.remove_unused([tile_at(10, 20)]) == lost
    np.testing.assert_array_equal(archive.tile(tile_at(10, 20)), drawn[10:234, 20:244])
    with pytest.raises(SceneError):
        archive.tile(tile_at(1000, 0))
    assert len(visible(archive)) == 1
    assert archive.remove_unused([]) > 0
    assert not visible(archive)
    assert PixelArchive(tmp_path / "none").remove_unused([]) == 0


def test_pixels_are_not_given_back_while_somebody_writes(
    tmp_path: Path, drawn: NDArray[np.uint8]
) -> None:
    archive = PixelArchive(tmp_path)
    with archive.writer(SCENE, WINDOW) as writer:
        with pytest.raises(StorageError, match="when builds have ended"):
            archive.remove_unused([])
        for strip in strips_of(drawn, WINDOW):
            writer.write(strip)
    assert len(visible(archive)) == 1


def test_the_archive_is_that_of_the_data_folder(tmp_path: Path) -> None:
    def beside(folder: Path | None) -> Path | None:
        archive = PixelArchive.beside(folder)
        return None if archive is None else archive.folder

    assert beside(tmp_path / "collections" / "tiny") == tmp_path / "pixels"
    assert beside(tmp_path / "alone") == tmp_path / "alone" / "pixels"
    assert beside(None) is None


# What goes wrong


def test_a_build_that_fails_leaves_nothing_and_its_own_error(
    tmp_path: Path, drawn: NDArray[np.uint8]
) -> None:
    archive = PixelArchive(tmp_path)

    def fail(error: Exception) -> None:
        with archive.writer(SCENE, WINDOW) as writer:
            writer.write(next(strips_of(drawn, WINDOW)))
            assert len(unfinished(archive)) == 1
            raise error

    for error in (SceneError("the scene"), OSError("the network")):
        with pytest.raises(type(error), match=str(error)):
            fail(error)
        assert not visible(archive)
        assert not unfinished(archive)


def test_written_again_a_window_is_replaced_and_readable_all_along(
    tmp_path: Path, drawn: NDArray[np.uint8]
) -> None:
    archive = PixelArchive(tmp_path)
    window = Window(row=0, col=0, rows=300, cols=300)
    keep(archive, SCENE, window, drawn)
    with archive.writer(SCENE, window) as writer:
        for strip in strips_of(255 - drawn, window):
            writer.write(strip)
        np.testing.assert_array_equal(archive.tile(tile_at(0, 0)), drawn[:224, :224])
    np.testing.assert_array_equal(archive.tile(tile_at(0, 0)), 255 - drawn[:224, :224])
    assert len(visible(archive)) == 1


def run(folder: Path, script: str, **options: Any) -> "subprocess.Popen[str]":
    """Another process that writes to an archive in `folder`."""
    begin = f"""
        import sys
        sys.path.insert(0, {str(ROOT)!r})
        from tests.core.test_pixels import *
        archive = PixelArchive(Path({str(folder)!r}))
        pixels = np.random.default_rng(3).integers(0, 256, (*SHAPE, 3)).astype(np.uint8)
    """
    code = textwrap.dedent(begin) + textwrap.dedent(script)
    return subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


HALF_A_WINDOW = """
    with archive.writer(SCENE, WINDOW) as writer:
        writer.write(next(strips_of(pixels, WINDOW)))
        print("half", flush=True)
        sys.stdin.readline()
        for strip in list(strips_of(pixels, WINDOW))[1:]:
            writer.write(strip)
    print("done", flush=True)
"""


def test_a_killed_writer_leaves_nothing_to_see_and_the_next_one_tidies(
    tmp_path: Path, drawn: NDArray[np.uint8]
) -> None:
    archive = PixelArchive(tmp_path)
    with run(tmp_path, HALF_A_WINDOW) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "half\n"
        writer.send_signal(signal.SIGKILL)
    assert len(unfinished(archive)) == 1
    assert not visible(archive)
    with pytest.raises(SceneError):
        archive.tile(tile_at(50, 20))
    keep(archive, SCENE, WINDOW, drawn)
    assert not unfinished(archive)
    np.testing.assert_array_equal(archive.tile(tile_at(50, 20)), drawn[50:274, 20:244])


def test_what_a_living_writer_has_under_way_is_left_alone(
    tmp_path: Path, drawn: NDArray[np.uint8]
) -> None:
    archive = PixelArchive(tmp_path)
    with run(tmp_path, HALF_A_WINDOW) as writer:
        assert writer.stdout is not None
        assert writer.stdin is not None
        assert writer.stdout.readline() == "half\n"
        keep(archive, replace(SCENE, platform="S2C"), WINDOW, drawn)
        assert len(unfinished(archive)) == 1
        writer.stdin.write("\n")
        writer.stdin.flush()
        assert writer.stdout.readline() == "done\n"
    assert writer.returncode == 0
    np.testing.assert_array_equal(archive.tile(tile_at(50, 20)), drawn[50:274, 20:244])


@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of files as Linux does")
@pytest.mark.parametrize("share", [0.0, 0.3, 0.99, 0.9999])
def test_a_disk_that_fills_up_is_a_storage_error_and_leaves_nothing(
    tmp_path: Path, kept: PixelArchive, share: float
) -> None:
    limit = int(kept.size(SCENE, WINDOW) * share)
    script = f"""
        import resource, signal
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
        try:
            keep(archive, SCENE, WINDOW, pixels)
        except StorageError as error:
            print(error)
    """
    with run(tmp_path, script) as writer:
        out, err = writer.communicate()
    assert writer.returncode == 0, err
    assert f"The pixels of scene {SCENE.id} cannot be kept in {tmp_path}" in out, out + err
    assert "Free some room" in out
    archive = PixelArchive(tmp_path)
    assert not visible(archive)
    assert not unfinished(archive)


def test_a_folder_that_cannot_be_made_is_a_storage_error(
    tmp_path: Path, drawn: NDArray[np.uint8]
) -> None:
    (tmp_path / "pixels").write_text("a file")
    with pytest.raises(StorageError, match="pixels"):
        keep(PixelArchive(tmp_path / "pixels"), SCENE, WINDOW, drawn)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write all")
def test_a_folder_that_may_not_be_written_is_a_storage_error(
    tmp_path: Path, drawn: NDArray[np.uint8]
) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(StorageError, match="writable"):
            keep(PixelArchive(tmp_path), SCENE, WINDOW, drawn)
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.parametrize("size", [0, 500, 100_000])
def test_a_damaged_file_is_named(
    tmp_path: Path, drawn: NDArray[np.uint8], size: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    archive = PixelArchive(tmp_path)
    keep(archive, SCENE, WINDOW, drawn)
    (path,) = visible(archive)
    os.truncate(path, size)
    with pytest.raises(SceneError, match=r"Delete that file and build its area again") as caught:
        archive.tile(tile_at(2000, 300))
    assert str(path) in str(caught.value)
