"""Where files may be, what GDAL is told of the network, and files that cannot be a scene's."""

import re
import subprocess
import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine

from keenkite.errors import SceneError
from keenkite.reader import grid_of, read_strips, sources
from keenkite.scene import Scene, Window
from keenkite.settings import CA_BUNDLES
from tests.support.range_server import serve
from tests.support.scene_files import EPSG, NORTH, WEST, draw, expected, joined, write_scene

SHAPE = (400, 600)
WHOLE = Window(row=0, col=0, rows=SHAPE[0], cols=SHAPE[1])
GRID = Affine(10, 0, WEST, 0, -10, NORTH)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return write_scene(tmp_path / "files", draw(SHAPE, low=1000))


def folder_of(scene: Scene) -> Path:
    return Path(scene.assets["red"]).parent


def at(scene: Scene, base: str) -> Scene:
    """The same scene with its files there."""
    assets = {key: f"{base}/{Path(href).name}" for key, href in scene.assets.items()}
    return replace(scene, assets=assets)


def check(scene: Scene, there: Scene) -> None:
    """The scene reads from there as its files are."""
    rgb, classes = joined(list(read_strips(there, WHOLE)))
    wanted = expected(scene, WHOLE, offset=1000)
    np.testing.assert_array_equal(rgb, wanted[0])
    np.testing.assert_array_equal(classes, wanted[1])


def refusal(scene: Scene) -> str:
    with pytest.raises(SceneError) as caught:
        list(read_strips(scene, WHOLE))
    return str(caught.value)


# URLs as people write them


@pytest.mark.parametrize(
    ("folder", "written"),
    [
        ("my scene", "my scene"),
        ("my scene", "my%20scene"),
        ("Tōkyō 東京", "Tōkyō 東京"),
        ("Tōkyō", "T%C5%8Dky%C5%8D"),
        ("100%", "100%"),
        ("100%", "100%25"),
        ("a+b(1)[2]&c", "a+b(1)[2]&c"),
    ],
)
def test_a_url_may_hold_what_people_type_and_what_is_encoded_stays(
    tmp_path: Path, folder: str, written: str
) -> None:
    scene = write_scene(tmp_path / folder, draw(SHAPE, low=1000))
    with serve(tmp_path) as server:
        check(scene, at(scene, f"{server.url}/{written}"))


@pytest.mark.parametrize(
    ("href", "url"),
    [
        ("https://a/b%20c d/100%/x.tif", "https://a/b%20c%20d/100%25/x.tif"),
        ("https://a/x.tif?sig=a%2Bb/c=&se=1 2#part", "https://a/x.tif?sig=a%2Bb/c=&se=1%202"),
    ],
)
def test_a_url_is_sent_as_one_may_be(href: str, url: str) -> None:
    source = sources.Source.of(href)
    assert (source.url, source.path) == (url, f"/vsicurl/{url}")
    assert "sig" not in source.shown


def test_a_path_is_taken_as_it_is(tmp_path: Path) -> None:
    scene = write_scene(tmp_path / "50%20 of it", draw(SHAPE, low=1000))
    check(scene, scene)


# Servers without byte ranges


def test_a_server_without_byte_ranges_is_named_as_that(scene: Scene) -> None:
    with serve(folder_of(scene), parts=False) as server:
        message = refusal(at(scene, server.url))
        with pytest.raises(SceneError, match="does not support byte ranges"):
            grid_of(f"{server.url}/red.tif?sig=SECRET")
    assert f"asset red ({server.url}/red.tif)" in message
    assert "does not support byte ranges" in message
    assert "download it" in message


def test_what_is_no_image_is_called_so_where_the_server_is_well(scene: Scene) -> None:
    (folder_of(scene) / "green.tif").write_bytes(b"hello" * 9999)
    with serve(folder_of(scene)) as server:
        message = refusal(at(scene, server.url))
    assert "asset green" in message
    assert "is not a GeoTIFF or JPEG 2000 image" in message


# Certificates of one's own


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A (certificate, key) of localhost that nobody has heard of."""
    folder = tmp_path_factory.mktemp("authority")
    paths = folder / "own.pem", folder / "key.pem"
    try:
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
             "-out", paths[0], "-keyout", paths[1], "-subj", "/CN=localhost",
             "-addext", "subjectAltName=DNS:localhost"],
            check=True, capture_output=True,
        )  # fmt: skip
    except FileNotFoundError:
        pytest.skip("openssl is not here to make a certificate")
    return paths


@pytest.fixture
def no_bundles(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in CA_BUNDLES:
        monkeypatch.delenv(name, raising=False)
    # A server that is not trusted is not asked six times.
    monkeypatch.setitem(sources.GDAL, "GDAL_HTTP_MAX_RETRY", "0")
    return


@pytest.mark.usefixtures("no_bundles")
@pytest.mark.parametrize("variable", CA_BUNDLES)
def test_own_certificates_hold_for_pixels_too(
    scene: Scene,
    certificate: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    variable: str,
) -> None:
    where = certificate[0]
    if variable == "SSL_CERT_DIR":  # a folder has them under their hashes
        name = subprocess.run(["openssl", "x509", "-hash", "-noout", "-in", certificate[0]],
                              check=True, capture_output=True, text=True)  # fmt: skip
        where = tmp_path / "trusted"
        where.mkdir()
        (where / f"{name.stdout.strip()}.0").write_bytes(certificate[0].read_bytes())
    monkeypatch.setenv(variable, str(where))
    with serve(folder_of(scene), certificate=certificate) as server:
        check(scene, at(scene, server.url))


@pytest.mark.usefixtures("no_bundles")
def test_a_server_that_is_not_trusted_is_named_as_that(
    scene: Scene, certificate: tuple[Path, Path]
) -> None:
    with serve(folder_of(scene), certificate=certificate) as server:
        message = refusal(at(scene, server.url))
    assert f"asset red ({server.url}/red.tif)" in message
    assert re.search("certificate", message)
    assert "REQUESTS_CA_BUNDLE" in message


@pytest.mark.usefixtures("no_bundles")
def test_a_bundle_that_is_not_there_is_named(
    scene: Scene, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/own.pem")
    with serve(folder_of(scene), certificate=certificate) as server:
        assert "/nowhere/own.pem" in refusal(at(scene, server.url))


# S3, through GDAL's own credentials


def test_an_object_in_s3_is_read_as_gdal_is_told(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve(folder_of(scene).parent) as server:
        for name, value in {
            "AWS_S3_ENDPOINT": server.url.removeprefix("http://"),
            "AWS_HTTPS": "NO",
            "AWS_VIRTUAL_HOSTING": "FALSE",
            "AWS_NO_SIGN_REQUEST": "YES",
        }.items():
            monkeypatch.setenv(name, value)
        folder_of(scene).rename(folder_of(scene).parent / "my-bucket")
        moved = at(scene, str(folder_of(scene).parent / "my-bucket"))
        check(moved, at(scene, "s3://my-bucket"))
        assert grid_of("s3://my-bucket/red.tif").epsg == EPSG
        message = refusal(replace(moved, assets={**moved.assets, "blue": "s3://my-bucket/no.tif"}))
    assert "asset blue (s3://my-bucket/no.tif)" in message
    assert "404" in message


@pytest.mark.parametrize("href", ["s3://", "s3://bucket", "s3://../x.tif", "s3:///red.tif"])
def test_what_names_no_object_in_s3_is_refused(scene: Scene, href: str) -> None:
    assert "neither a file" in refusal(replace(scene, assets={**scene.assets, "red": href}))


# Files that are not what they should be


def write(path: Path, count: int, dtype: str, **options: Any) -> None:
    profile = {"driver": "GTiff", "height": 400, "width": 600, "count": count, "dtype": dtype,
               "crs": f"EPSG:{EPSG}", "transform": GRID} | options  # fmt: skip
    with rasterio.open(path, "w", **profile) as file:
        file.write(np.ones((count, 400, 600), dtype))


@pytest.mark.parametrize(
    ("count", "dtype", "options", "said"),
    [
        (4, "uint8", {"photometric": "CMYK"}, r"is a CMYK picture \(holds 4 band\(s\) of uint8\)"),
        (3, "uint8", {"photometric": "RGB"}, r"holds 3 band\(s\) of uint8, where one of uint16"),
        (1, "int16", {}, ".*int16, where one of uint16 belongs: .*gdal_translate -ot UInt16"),
        (1, "float32", {}, ".*float32, where one of uint16 belongs: .*-scale 0 1 0 10000"),
        (1, "uint8", {}, ".*uint8, where one of uint16 belongs"),
        (1, "complex64", {}, ".*complex64"),
    ],
)
def test_another_kind_of_picture_is_refused_by_its_name(
    scene: Scene, count: int, dtype: str, options: dict[str, Any], said: str
) -> None:
    write(Path(scene.assets["red"]), count, dtype, **options)
    assert re.search(rf"asset red \(.*red\.tif\) {said}", refusal(scene))


def test_a_palette_is_no_colour_but_may_be_of_classes(scene: Scene) -> None:
    with rasterio.open(scene.assets["scl"], "r") as file:
        classes, profile = file.read(1), file.profile
    with rasterio.open(
        scene.assets["scl"], "w", **(profile | {"driver": "GTiff"}), photometric="PALETTE"
    ) as file:
        file.write(classes, 1)
        file.write_colormap(1, {n: (n, n, n, 255) for n in range(256)})
    check(scene, scene)
    path = Path(scene.assets["red"])
    write(path, 1, "uint16", photometric="PALETTE")
    with rasterio.open(path, "r+") as file:
        file.write_colormap(1, {0: (1, 2, 3, 255)})
    assert "is a picture with a palette" in refusal(scene)


BLOCKS = {
    "tiles": {"tiled": True, "blockxsize": 512, "blockysize": 512},
    "rows": {"tiled": False},
    "one block": {"tiled": False, "blockysize": 10**6},
    "huge tiles": {"tiled": True, "blockxsize": 65536, "blockysize": 65536},
}


@pytest.mark.parametrize("blocks", BLOCKS.values(), ids=BLOCKS.keys())
@pytest.mark.parametrize("key", ["red", "scl"])
def test_a_file_that_claims_a_million_pixels_each_way_is_refused_before_it_is_read(
    scene: Scene, blocks: dict[str, Any], key: str
) -> None:
    with rasterio.open(
        scene.assets[key], "w", driver="GTiff", width=10**6, height=10**6, count=1,
        dtype="uint8" if key == "scl" else "uint16", crs=f"EPSG:{EPSG}", transform=GRID,
        SPARSE_OK=True, BIGTIFF="YES", compress="DEFLATE", **blocks,
    ):  # fmt: skip
        pass
    tracemalloc.start()
    began = time.monotonic()
    message = refusal(scene)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert f"asset {key}" in message
    assert "claims 1,000,000×1,000,000 pixels" in message
    assert peak < 20e6
    assert time.monotonic() - began < 10


def test_a_block_too_large_to_be_decoded_is_refused(scene: Scene) -> None:
    with rasterio.open(
        scene.assets["blue"], "w", driver="GTiff", width=20_000, height=20_000, count=1,
        dtype="uint16", crs=f"EPSG:{EPSG}", transform=GRID, SPARSE_OK=True, blockysize=20_000,
        compress="DEFLATE",
    ):  # fmt: skip
        pass
    assert "in blocks of 20,000×20,000" in refusal(scene)


def test_a_large_block_of_an_honest_scene_is_read(tmp_path: Path) -> None:
    """A TIFF in one piece: 3,000 rows decoded together, though a strip has 1,024."""
    scene = write_scene(tmp_path, draw((3000, 250), low=1000), driver="GTiff", tiled=False,
                        blockysize=3000, compress="DEFLATE")  # fmt: skip
    window = Window(row=100, col=3, rows=2800, cols=240)
    rgb, _ = joined(list(read_strips(scene, window)))
    np.testing.assert_array_equal(rgb, expected(scene, window, offset=1000)[0])


def test_a_window_of_a_claimed_million_columns_is_refused(scene: Scene) -> None:
    wide = replace(scene, width=10**6, height=10**6)
    with pytest.raises(SceneError, match=r"1,000,000 columns are too many"):
        next(read_strips(wide, Window(row=0, col=0, rows=10**6, cols=10**6)))
