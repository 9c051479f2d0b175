"""Files on other grids than their scene's: laid by georeference, or refused and named."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.crs import CRS
from rasterio.transform import Affine

from keenkite.errors import SceneError
from keenkite.reader import Grid, grid_of, read_strips
from keenkite.scene import Scene, Window
from keenkite.sensors import SENTINEL2
from tests.support.range_server import serve
from tests.support.scene_files import (
    COLOURS,
    EPSG,
    NORTH,
    WEST,
    cut,
    draw,
    expected,
    joined,
    laid,
    write_image,
    write_scene,
)

SHAPE = (400, 600)
WHOLE = Window(row=0, col=0, rows=SHAPE[0], cols=SHAPE[1])


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return write_scene(tmp_path, draw(SHAPE, low=1000))


def read(scene: Scene, window: Window = WHOLE) -> Any:
    return joined(list(read_strips(scene, window)))


def check(scene: Scene, window: Window = WHOLE) -> Any:
    """Read and hold against plain rasterio and numpy."""
    mine, wanted = read(scene, window), expected(scene, window, offset=1000)
    np.testing.assert_array_equal(mine[0], wanted[0])
    np.testing.assert_array_equal(mine[1], wanted[1])
    return mine


def numbers(shape: tuple[int, int], *, low: int = 1001, high: int = 4000, seed: int = 5) -> Any:
    return np.random.default_rng(seed).integers(low, high, shape).astype(np.uint16)


def classes(shape: tuple[int, int], seed: int = 6) -> Any:
    return np.random.default_rng(seed).integers(1, 12, shape).astype(np.uint8)


# Side files: any grid of the same zone


def test_scl_that_begins_ten_metres_earlier_is_laid_where_it_is(scene: Scene) -> None:
    """A crop at an odd multiple of 10 m, and the 20 m file cut to the pixels that cover it."""
    scl = classes((201, 301))
    write_image(Path(scene.assets["scl"]), scl, pixel=20, west=WEST - 10, north=NORTH + 10)
    _, found = check(scene)
    assert found[200:, 300:].all()
    # The first pixel of the scene is the last quarter of the first of the file.
    assert (found[399, 599], found[398, 598], found[397, 597]) == (scl[200, 300], scl[199, 299],
                                                                   scl[199, 299])  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(
    pixel=st.sampled_from([5.0, 10.0, 15.0, 20.0, 25.0, 60.0, 120.0]),
    right=st.integers(-90, 90),
    down=st.integers(-90, 90),
    rows=st.integers(20, 420),
    cols=st.integers(20, 620),
    row=st.integers(-50, 300),
    col=st.integers(-50, 400),
)
def test_scl_of_any_pixel_place_and_extent_is_laid_by_the_nearest_pixel(
    tmp_path_factory: pytest.TempPathFactory,
    pixel: float,
    right: int,
    down: int,
    rows: int,
    cols: int,
    row: int,
    col: int,
) -> None:
    """Whole files against numpy's own laying; what lies outside is no data."""
    folder = tmp_path_factory.mktemp("laid")
    scene = write_scene(folder, draw(SHAPE, low=1000))
    scl = classes((max(int(rows * 10 / pixel), 1), max(int(cols * 10 / pixel), 1)))
    west, north = WEST + right, NORTH - down
    write_image(Path(scene.assets["scl"]), scl, pixel=pixel, west=west, north=north)
    overlap = north - NORTH < 4000 and west - WEST < 6000
    assert overlap
    check(scene, Window(row=row, col=col, rows=200, cols=250))


def test_float_noise_of_a_millimetre_moves_nothing(scene: Scene) -> None:
    before = read(scene)
    for key in scene.assets:
        with rasterio.open(scene.assets[key]) as file:
            pixels, size = file.read(1), file.transform.a
        place = Affine(size + 1e-9, 0, WEST + 4e-4, 0, -size - 1e-9, NORTH - 7e-4)
        write_image(Path(scene.assets[key]), pixels, driver="GTiff", transform=place)
    for mine, wanted in zip(read(scene), before, strict=True):
        np.testing.assert_array_equal(mine, wanted)


@pytest.mark.parametrize("noise", [-9e-4, 0, 9e-4])
def test_a_middle_on_an_edge_is_in_the_later_pixel_whatever_the_noise(
    scene: Scene, noise: float
) -> None:
    scl = classes((420, 620))
    place = {"west": WEST - 5 + noise, "north": NORTH + 5 - noise}
    write_image(Path(scene.assets["scl"]), scl, driver="GTiff", **place)
    rgb, found = read(scene)
    wanted = np.where((rgb == 0).all(axis=-1), 0, scl[1:401, 1:601])
    np.testing.assert_array_equal(found[200:], wanted[200:])


@pytest.mark.parametrize("by", [-1e-3 * 0.9, 1e-3 * 0.9])
def test_a_scene_whose_own_place_has_noise_is_the_same_scene(scene: Scene, by: float) -> None:
    np.testing.assert_array_equal(read(replace(scene, west=scene.west + by))[0], read(scene)[0])


# Colours: the scene's pixels, or whole groups of them


@pytest.mark.parametrize(
    ("right", "down", "shape"),
    [(0, 0, (300, 450)), (700, -900, (400, 600)), (-2000, -1000, (900, 900)), (50, 60, (10, 10))],
    ids=["smaller", "moved", "larger", "a corner"],
)
@pytest.mark.parametrize("key", ["red", "blue"])
def test_a_colour_of_another_extent_is_laid_and_nothing_is_known_outside_it(
    scene: Scene, key: str, right: int, down: int, shape: tuple[int, int]
) -> None:
    write_image(Path(scene.assets[key]), numbers(shape), west=WEST + right, north=NORTH - down)
    rgb, found = check(scene)
    _, _, outside = laid(scene, key)
    if outside.any():
        assert not rgb[outside].any()
        assert not found[outside].any()
    check(scene, Window(row=-7, col=33, rows=390, cols=700))


@pytest.mark.parametrize(("right", "down"), [(0, 0), (10, 30), (-10, -10)])
def test_a_coarser_colour_is_laid_and_said_to_be_coarse(
    scene: Scene, right: int, down: int, caplog: pytest.LogCaptureFixture
) -> None:
    path = Path(scene.assets["green"])
    write_image(path, numbers((200, 300)), pixel=20, west=WEST + right, north=NORTH - down)
    with caplog.at_level(logging.WARNING):
        check(scene)
    assert "asset green has pixels of 20 m; each is repeated 2 times" in caplog.text


def test_bands_of_20_and_60_m_are_laid_wherever_they_begin(tmp_path: Path, scene: Scene) -> None:
    scene = replace(scene, assets={
        **scene.assets,
        "swir16": write_image(tmp_path / "a.tif", numbers((201, 301)), pixel=20, west=WEST - 10,
                              north=NORTH + 10),
        "nir": write_image(tmp_path / "b.tif", numbers((40, 60)), pixel=60, west=WEST + 30,
                           north=NORTH - 50),
    })  # fmt: skip
    window = Window(row=5, col=7, rows=390, cols=580)
    strips = list(read_strips(scene, window, bands=["B11", "B08"]))
    found = np.concatenate([strip.bands for strip in strips if strip.bands is not None])
    for n, name in enumerate(("B11", "B08")):
        whole, empty, _ = laid(scene, SENTINEL2.band(name).key)
        wanted = np.where(empty, 0, np.clip(whole - 1000, 0, None))[5:395, 7:587]
        np.testing.assert_array_equal(found[:, :, n], wanted)


def test_bands_are_0_where_a_colour_is_not(scene: Scene) -> None:
    write_image(Path(scene.assets["red"]), numbers((300, 450)))
    strips = list(read_strips(scene, WHOLE, bands=["B03"]))
    found = np.concatenate([strip.bands for strip in strips if strip.bands is not None])
    assert not found[300:].any()
    assert not found[:, 450:].any()
    assert found[200:300, 300:450].any()


# One coordinate system in many words

ZONE = CRS.from_epsg(EPSG)
SAME = {
    "PROJ's text": CRS.from_proj4("+proj=utm +zone=54 +ellps=WGS84 +units=m +no_defs"),
    "transverse Mercator": CRS.from_proj4(
        "+proj=tmerc +lat_0=0 +lon_0=141 +k=0.9996 +x_0=500000 +y_0=0 +datum=WGS84 +units=m"
    ),
    "WKT without a code": CRS.from_wkt(
        'PROJCS["Sentinel tile",GEOGCS["WGS84",DATUM["D_WGS_1984",SPHEROID["WGS84",6378137,'
        '298.257223563]],PRIMEM["Greenwich",0],UNIT["Degree",0.0174532925199433]],'
        'PROJECTION["Transverse_Mercator"],PARAMETER["False_Easting",500000],'
        'PARAMETER["False_Northing",0],PARAMETER["Central_Meridian",141],'
        'PARAMETER["Scale_Factor",0.9996],PARAMETER["Latitude_Of_Origin",0],UNIT["Meter",1]]'
    ),
    "ESRI": CRS.from_wkt(ZONE.to_wkt(version="WKT1_ESRI")),
    "with heights": CRS.from_user_input(f"EPSG:{EPSG}+5773"),
}


@pytest.mark.parametrize("crs", SAME.values(), ids=SAME.keys())
def test_an_equal_coordinate_system_is_the_same_however_it_is_written(
    scene: Scene, crs: CRS
) -> None:
    path = Path(scene.assets["red"])
    write_image(path, numbers(SHAPE), driver="GTiff", crs=crs)
    check(scene)
    assert grid_of(str(path)).epsg == EPSG


@pytest.mark.parametrize(
    ("crs", "said"),
    [
        ("EPSG:32655", "is in EPSG:32655, its scene in EPSG:32654"),
        ("EPSG:32754", "EPSG:32754"),
        ("EPSG:32254", "EPSG:32254"),  # WGS 72: some metres off
        ("EPSG:4326", "EPSG:4326"),
        ("EPSG:3857", "EPSG:3857"),
        ("+proj=utm +zone=54 +ellps=WGS84 +units=us-ft", "another coordinate system"),
        ('LOCAL_CS["plant",UNIT["metre",1]]', "another coordinate system"),
        (None, "no coordinate system"),
    ],
)
def test_another_coordinate_system_is_refused_by_its_name(
    scene: Scene, crs: str | None, said: str
) -> None:
    write_image(Path(scene.assets["scl"]), classes((200, 300)), pixel=20, driver="GTiff", crs=crs)
    with pytest.raises(SceneError, match=rf"asset scl \(.*scl.tif\).*{said}"):
        read(scene)


@pytest.mark.parametrize(
    ("place", "said"),
    [
        (Affine(20, 0, WEST + 6000, 0, -20, NORTH), "do not overlap"),
        (Affine(20, 0, WEST, 0, -20, NORTH + 4000), "do not overlap"),
        (Affine(20, 1, WEST, 1, -20, NORTH), "is rotated"),
        (Affine(20, 0, WEST, 0, 20, NORTH - 4000), "north up"),
        (Affine(-20, 0, WEST + 6000, 0, -20, NORTH), "north up"),
        (Affine.identity(), "no georeference"),
    ],
)
@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_a_side_file_that_cannot_be_laid_is_refused_and_named(
    scene: Scene, place: Affine, said: str
) -> None:
    path = Path(scene.assets["scl"])
    write_image(path, classes((200, 300)), driver="GTiff", transform=place)
    with pytest.raises(SceneError, match=rf"asset scl .*{said}"):
        read(scene)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_a_file_that_says_nothing_of_its_place_must_cover_the_scene(scene: Scene) -> None:
    nowhere = {"driver": "GTiff", "crs": None, "transform": None}
    write_image(Path(scene.assets["red"]), numbers(SHAPE), **nowhere)
    write_image(Path(scene.assets["scl"]), classes((200, 300)), **nowhere)
    check(scene)
    write_image(Path(scene.assets["scl"]), classes((200, 200)), **nowhere)
    with pytest.raises(SceneError, match="does not say where it is, and its 200×200 pixels"):
        read(scene)


def test_a_side_file_too_fine_to_be_held_is_refused_before_it_is_read(scene: Scene) -> None:
    with rasterio.open(
        scene.assets["scl"], "w", driver="GTiff", width=100_000, height=100_000, count=1,
        dtype="uint8", crs=f"EPSG:{EPSG}", transform=Affine(0.06, 0, WEST, 0, -0.06, NORTH),
        tiled=True, SPARSE_OK=True, compress="DEFLATE",
    ):  # fmt: skip
        pass
    with pytest.raises(SceneError, match=r"asset scl .* too large to be read in strips"):
        read(scene)


# A file's own grid


@pytest.mark.parametrize(
    ("options", "grid"),
    [
        ({}, Grid(epsg=EPSG, west=WEST, north=NORTH, metres=10, width=60, height=40)),
        ({"pixel": 0.5, "west": 1.25}, Grid(epsg=EPSG, west=1.25, north=NORTH, metres=0.5,
                                            width=60, height=40)),
        ({"west": WEST + 4e-4, "north": NORTH - 1e-6}, Grid(epsg=EPSG, west=WEST, north=NORTH,
                                                            metres=10, width=60, height=40)),
        ({"crs": "EPSG:32701", "north": 9_000_000.0},
         Grid(epsg=32701, west=WEST, north=9_000_000, metres=10, width=60, height=40)),
        ({"crs": CRS.from_proj4("+proj=utm +zone=60 +south +ellps=WGS84"), "west": 166_000.0},
         Grid(epsg=32760, west=166_000, north=NORTH, metres=10, width=60, height=40)),
        ({"crs": CRS.from_user_input(f"EPSG:{EPSG}+5773"), "west": 100_000.0},
         Grid(epsg=EPSG, west=100_000, north=NORTH, metres=10, width=60, height=40)),
    ],
    ids=["plain", "fine", "noise", "south", "south, without a code, at the antimeridian",
         "without a code, in the next zone's degrees"],
)  # fmt: skip
def test_a_file_says_its_own_grid(tmp_path: Path, options: dict[str, Any], grid: Grid) -> None:
    options = {"pixel": 10.0, "driver": "GTiff"} | options
    path = write_image(tmp_path / "a.tif", numbers((40, 60)), **options)
    assert grid_of(path) == grid
    assert grid_of(Path(path).as_uri()) == grid
    with serve(tmp_path) as server:
        assert grid_of(f"{server.url}/a.tif?sig=SECRET") == grid


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"crs": "EPSG:4326", "transform": Affine(1e-4, 0, 14, 0, -1e-4, 45)}, "is in EPSG:4326"),
        ({"crs": "EPSG:3857"}, "is in EPSG:3857, not in a UTM zone"),
        ({"crs": None}, "no coordinate system"),
        ({"transform": Affine(10, 0, WEST, 0, -20, NORTH)}, "10 by 20 m"),
        ({"transform": Affine(10, 3, WEST, 3, -10, NORTH)}, "is rotated"),
        ({"transform": Affine(10, 0, WEST, 0, 10, NORTH)}, "north up"),
        ({"crs": 'LOCAL_CS["plant",UNIT["metre",1]]'}, "not in a UTM zone"),
    ],
)
def test_a_grid_that_cannot_be_used_is_refused_and_the_file_named(
    tmp_path: Path, options: dict[str, Any], said: str
) -> None:
    path = write_image(tmp_path / "a.tif", numbers((40, 60)), driver="GTiff", **options)
    with pytest.raises(SceneError, match=rf"a\.tif .*{said}"):
        grid_of(path)


@pytest.mark.parametrize("content", [None, b"", b"hello" * 999])
def test_what_is_no_image_has_no_grid(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "a.tif"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SceneError, match=r"a\.tif is not"):
        grid_of(str(path))
    with pytest.raises(SceneError, match="is neither a file"):
        grid_of("ftp://example/a.tif")


def test_a_window_beyond_every_file_is_no_data(scene: Scene) -> None:
    window = Window(row=390, col=10, rows=100, cols=50)
    rgb, found = read(scene, window)
    np.testing.assert_array_equal(found, cut(expected(scene, WHOLE, offset=1000), window)[1])
    assert not rgb[10:].any()
    assert not found[10:].any()
    for key in COLOURS:
        write_image(Path(scene.assets[key]), numbers((20, 20)))
    rgb, found = read(scene, Window(row=100, col=100, rows=50, cols=50))
    assert not rgb.any()
    assert not found.any()
