"""Pictures of one's own: from a folder of GeoTIFFs to hits, held against rasterio and pyproj."""

from __future__ import annotations

import warnings
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from pyproj import Transformer
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning
from rasterio.transform import Affine

from keenkite.build import build_index
from keenkite.catalog import PictureFolder, open_catalog
from keenkite.catalog.own_pictures import picture_of_item
from keenkite.errors import CatalogError, EncoderMismatchError, InputError, KeenkiteError
from keenkite.index import TileIndex
from keenkite.pixels import PixelArchive
from keenkite.reader import read_strips
from keenkite.reader.picture import parse_moment
from keenkite.retrieval import Query, search
from keenkite.scene import Window
from keenkite.sensors import SENTINEL2
from tests.support.fakes import WORDS, FakeEncoder
from tests.support.paths import SHARED

ENCODER = FakeEncoder()
EPSG, WEST, NORTH = 32633, 504_000.0, 4_999_680.0


def write(
    path: Path,
    rgb: NDArray[Any],
    *,
    metres: float = 3.0,
    west: float = WEST,
    north: float = NORTH,
    crs: str | None = f"EPSG:{EPSG}",
    tags: dict[str, str] | None = None,
    colours: tuple[ColorInterp, ...] | None = None,
    mask: NDArray[np.uint8] | None = None,
    **how: Any,
) -> Path:
    """(rows, cols, bands) as a GeoTIFF."""
    path.parent.mkdir(parents=True, exist_ok=True)
    profile: dict[str, Any] = {
        "driver": "GTiff", "height": rgb.shape[0], "width": rgb.shape[1], "count": rgb.shape[2],
        "dtype": rgb.dtype, "crs": crs, "transform": Affine(metres, 0, west, 0, -metres, north),
    }  # fmt: skip
    with rasterio.open(path, "w", **(profile | how)) as file:
        if colours:
            file.colorinterp = colours
        file.write(np.moveaxis(rgb, 2, 0))
        if mask is not None:
            file.write_mask(mask)
        file.update_tags(**(tags or {}))
    return path


def fields(rows: int, cols: int, block: int, seed: int = 0) -> NDArray[np.uint8]:
    """Squares in the colours that the fake encoder knows."""
    rng = np.random.default_rng(seed)
    chosen = rng.integers(0, len(WORDS), (rows // block + 1, cols // block + 1))
    chosen = chosen.repeat(block, 0).repeat(block, 1)[:rows, :cols]
    return np.array(list(WORDS.values()), np.uint8)[chosen]


def built(folder: Path, catalog: PictureFolder, into: Path, **options: Any) -> TileIndex:
    area, start, end = catalog.extent()
    index = TileIndex.open(into, encoder=ENCODER)
    build_index(index, ENCODER, area, start, end, catalog=catalog, **options)
    return index


@pytest.mark.parametrize("metres", [0.5, 3.0, 10.0])
def test_a_mosaic_of_many_files_is_one_ground_and_every_tile_has_its_pixels(
    tmp_path: Path, metres: float
) -> None:
    side, half = 700, 350
    whole = fields(side, side, 112)
    for number, (top, left) in enumerate([(0, 0), (0, half), (half, 0), (half, half)]):
        write(
            tmp_path / f"own/part{number}_20240512.tif",
            whole[top : top + half, left : left + half],
            metres=metres, west=WEST + metres * left, north=NORTH - metres * top,
        )  # fmt: skip
    with built(tmp_path / "own", PictureFolder(path=tmp_path / "own"), tmp_path / "index") as index:
        assert index.sensor.name == "rgb"
        assert index.spans == (224 * metres,)
        tiles = list(index.scroll())
        archive = PixelArchive.beside(index.folder)
        assert archive is not None
        covered = np.zeros((side, side), bool)
        to_lonlat = Transformer.from_crs(EPSG, 4326, always_xy=True).transform
        for tile in tiles:
            top, left = round((NORTH - tile.north) / metres), round((tile.west - WEST) / metres)
            np.testing.assert_array_equal(
                archive.tile(tile), whole[top : top + 224, left : left + 224]
            )
            covered[top : top + 224, left : left + 224] = True
            middle = to_lonlat(WEST + metres * (left + 112), NORTH - metres * (top + 112))
            assert (tile.lon, tile.lat) == pytest.approx(middle, abs=metres * 1e-6)
            assert tile.cloud is None
            assert tile.datetime == datetime(2024, 5, 12, tzinfo=UTC)
        assert covered.all(), "every pixel is in a tile, across the files too"
        assert any(len(tile.scene_ids) > 1 for tile in tiles)
        assert search(index, ENCODER, Query(text="water", limit=3), background=tuple(WORDS)).hits


def test_a_picture_in_degrees_is_laid_on_its_utm_zone_to_the_pixel(tmp_path: Path) -> None:
    # A bright square on dark ground, whose corners pyproj knows.
    rows = cols = 900
    to_lonlat = Transformer.from_crs(EPSG, 4326, always_xy=True).transform
    west, north = to_lonlat(WEST, NORTH)
    rgb = np.full((rows, cols, 3), 30, np.uint8)
    rgb[300:500, 400:640] = 220
    transform = Affine(4e-5, 0, west, 0, -3e-5, north)
    write(tmp_path / "2024-05-12.tif", rgb, crs="EPSG:4326", transform=transform)
    catalog = PictureFolder(path=tmp_path)
    (scene,) = catalog.search()
    assert scene.epsg == EPSG
    assert scene.metres == pytest.approx(3.2, abs=0.2)
    window = Window(row=0, col=0, rows=scene.height, cols=scene.width)
    strips = list(read_strips(scene, window))
    seen = np.concatenate([strip.rgb for strip in strips])[..., 0]
    found = np.argwhere(seen > 125)
    corners = [
        ((scene.north - y) / scene.metres, (x - scene.west) / scene.metres)
        for x, y in (
            Transformer.from_crs(4326, EPSG, always_xy=True).transform(
                west + col * 4e-5, north - row * 3e-5
            )
            for row, col in ((300, 400), (500, 640))
        )
    ]
    assert np.abs(found.min(axis=0) - corners[0]).max() < 1.5
    assert np.abs(found.max(axis=0) + 1 - corners[1]).max() < 1.5


def test_sixteen_bits_need_a_scaling_and_get_it(tmp_path: Path) -> None:
    numbers = np.zeros((300, 300, 4), np.uint16)
    numbers[..., 0], numbers[..., 1], numbers[..., 2], numbers[..., 3] = 100, 1600, 5000, 9
    path = write(tmp_path / "20240512.tif", numbers)
    with pytest.raises(InputError, match=r"20240512.tif, hold other numbers than 0-255.*--scale"):
        PictureFolder(path=path).search()
    (scene,) = PictureFolder(path=path, scale=(100, 3100)).search()
    (strip,) = read_strips(scene, Window(row=0, col=0, rows=300, cols=300))
    assert strip.rgb[150, 150].tolist() == [0, round(255 * 0.5), 255]


def test_bands_are_taken_by_what_they_say_they_are(tmp_path: Path) -> None:
    bands = np.stack([np.full((250, 250), value, np.uint8) for value in (9, 30, 20, 10)], -1)
    kinds = (ColorInterp.undefined, ColorInterp.blue, ColorInterp.green, ColorInterp.red)
    path = write(tmp_path / "20240512.tif", bands, colours=kinds, photometric="MINISBLACK")
    (scene,) = PictureFolder(path=path).search()
    (strip,) = read_strips(scene, Window(row=0, col=0, rows=250, cols=250))
    assert strip.rgb[100, 100].tolist() == [10, 20, 30]


@pytest.mark.parametrize("how", ["nodata", "mask", "alpha"])
def test_what_the_file_says_is_no_data_is_none(tmp_path: Path, how: str) -> None:
    rgb = fields(300, 300, 50)
    rgb[:100] = 7
    path = tmp_path / "20240512.tif"
    seen = np.full((300, 300), 255, np.uint8)
    seen[:100] = 0
    if how == "nodata":
        rgb[100:][(rgb[100:] == 7).all(-1)] = 8
        write(path, rgb, nodata=7)
    elif how == "mask":
        write(path, rgb, mask=seen)
    else:
        write(path, np.dstack([rgb, seen]))
    (scene,) = PictureFolder(path=path).search()
    (strip,) = read_strips(scene, Window(row=-5, col=0, rows=310, cols=300))
    assert not strip.classes[:105].any()
    assert strip.classes[105:305].all()
    assert not strip.rgb[:105].any()
    np.testing.assert_array_equal(strip.rgb[105:305], rgb[100:])


@pytest.mark.parametrize(
    ("name", "tags", "given", "meant", "source"),
    [
        ("a", {"TIFFTAG_DATETIME": "2023:06:01 10:20:30"}, None, "2023-06-01T10:20:30", "tags"),
        ("ortho_2022-03-04", {}, None, "2022-03-04T00:00:00", "name"),
        ("S20210102T030405", {}, None, "2021-01-02T03:04:05", "name"),
        ("a", {}, date(2020, 2, 3), "2020-02-03T00:00:00", "date"),
        ("a2019", {}, None, "2018-07-08T00:00:00", "start"),
    ],
)
def test_the_date_is_by_tags_then_name_then_what_is_given_and_the_report_says_which(
    tmp_path: Path, name: str, tags: dict[str, str], given: date | None, meant: str, source: str
) -> None:
    write(tmp_path / f"{name}.tif", fields(300, 300, 50), tags=tags)
    catalog = PictureFolder(path=tmp_path, day=given)
    (scene,) = catalog.search(start=date(2018, 7, 8))
    assert scene.datetime == datetime.fromisoformat(meant).replace(tzinfo=UTC)
    assert catalog.notes == [f"dates of pictures: 1 by {source}"]


def test_pictures_without_any_date_ask_for_one(tmp_path: Path) -> None:
    write(tmp_path / "ortho.tif", fields(300, 300, 50))
    with pytest.raises(CatalogError, match=r"ortho.tif does not say when.*--date"):
        PictureFolder(path=tmp_path).extent()


def test_days_and_area_choose_among_pictures(tmp_path: Path) -> None:
    for day in ("20240101", "20240201"):
        write(tmp_path / f"{day}.tif", fields(300, 300, 50))
    catalog = PictureFolder(path=tmp_path)
    assert [s.id for s in catalog.search(start=date(2024, 1, 15))] == ["20240201"]
    assert [s.id for s in catalog.search(end=date(2024, 1, 15))] == ["20240101"]
    area, first, last = catalog.extent()
    assert (first, last) == (date(2024, 1, 1), date(2024, 2, 1))
    assert len(catalog.search(area)) == 2
    assert catalog.search(type(area).around(0, 0, 10)) == []


def bad_files(folder: Path) -> dict[str, str]:
    """Files that are no pictures to be used, and what must be said of each."""
    rgb = fields(300, 300, 50)
    (folder / "text.tif").write_text("no image at all")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        write(folder / "nowhere.tif", rgb, crs=None, transform=Affine.identity())
    write(folder / "rotated.tif", rgb, transform=Affine(3, 1, WEST, 1, -3, NORTH))
    write(folder / "one.tif", rgb[..., :1])
    write(folder / "cmyk.tif", np.dstack([rgb, rgb[..., :1]]), photometric="CMYK")
    write(folder / "coarse.tif", rgb, metres=60)
    with rasterio.open(
        folder / "palette.tif", "w", driver="GTiff", width=300, height=300, count=1, dtype="uint8",
        crs=f"EPSG:{EPSG}", transform=Affine(3, 0, WEST, 0, -3, NORTH),
    ) as file:  # fmt: skip
        file.write(rgb[..., 0], 1)
        file.write_colormap(1, {0: (1, 2, 3)})
    with rasterio.open(
        folder / "huge.tif", "w", driver="GTiff", width=10**6, height=10**6, count=3,
        dtype="uint8", crs=f"EPSG:{EPSG}", transform=Affine(3, 0, WEST, 0, -3, NORTH),
        sparse_ok=True, tiled=True, bigtiff="YES", blockxsize=4096, blockysize=4096,
    ):  # fmt: skip
        pass
    return {
        "text.tif": "is not a GeoTIFF", "nowhere.tif": "does not say where it is",
        "rotated.tif": "rotated", "one.tif": "1 band", "cmyk.tif": "CMYK",
        "coarse.tif": "60 m", "palette.tif": "palette", "huge.tif": "1,000,000 × 1,000,000",
    }  # fmt: skip


def test_bad_files_are_named_and_the_rest_is_built(tmp_path: Path) -> None:
    folder = tmp_path / "own"
    write(folder / "good_20240512.tif", fields(500, 500, 50))
    wrong = bad_files(folder)
    catalog = PictureFolder(path=folder, day=date(2024, 5, 12))
    area, start, end = catalog.extent()
    with TileIndex.open(tmp_path / "index", encoder=ENCODER) as index:
        report = build_index(index, ENCODER, area, start, end, catalog=catalog)
        assert report.scenes == ["good_20240512"]
        assert report.kept == index.count() > 0
    assert report.failed.keys() == wrong.keys()
    for name, words in wrong.items():
        assert words in report.failed[name]
        assert name in report.failed[name]


def test_pictures_of_several_resolutions_are_not_mixed_unless_one_is_named(tmp_path: Path) -> None:
    for metres in (3.0, 5.0):
        write(tmp_path / f"{metres:g}_20240512.tif", fields(300, 300, 50), metres=metres)
    with pytest.raises(InputError, match="3 to 5 m a pixel"):
        PictureFolder(path=tmp_path).search()
    scenes = PictureFolder(path=tmp_path, resolution=5).search()
    assert {scene.metres for scene in scenes} == {5}
    assert sorted(scene.width for scene in scenes) == [180, 300]


def test_pictures_of_another_resolution_come_into_a_collection_with_their_own_span(
    tmp_path: Path,
) -> None:
    write(tmp_path / "fine/a_20240512.tif", fields(300, 300, 112), metres=0.5)
    write(tmp_path / "coarse/b_20240513.tif", fields(300, 300, 112, 1), metres=3)
    with built(tmp_path / "fine", PictureFolder(path=tmp_path / "fine"), tmp_path / "index") as one:
        before = one.count()
        assert one.spans == (112,)
    with built(
        tmp_path / "coarse", PictureFolder(path=tmp_path / "coarse"), tmp_path / "index"
    ) as two:
        assert sorted(two.spans) == [112, 672]
        assert two.count() > before
        assert {tile.span for tile in two.scroll()} == {112, 672}


@pytest.mark.parametrize(("side", "kept"), [(212, 0), (213, 1)])
def test_a_picture_smaller_than_a_tile_is_padded_as_far_as_nodata_may_go(
    tmp_path: Path, side: int, kept: int, caplog: pytest.LogCaptureFixture
) -> None:
    # 0.9 of 224 × 224 pixels are 212.5 squared.
    write(tmp_path / "own/chip_20240512.tif", fields(side, side, 112), metres=3)
    write(tmp_path / "own/other_20240513.tif", fields(300, 300, 112), metres=3)
    catalog = PictureFolder(path=tmp_path / "own")
    area, start, end = catalog.extent()
    with TileIndex.open(tmp_path / "index", encoder=ENCODER) as index:
        report = build_index(index, ENCODER, area, start, end, catalog=catalog)
        chips = [tile for tile in index.scroll() if "chip_20240512" in tile.scene_ids]
        assert len(chips) == kept
    assert report.uncovered is not None
    assert report.uncovered.reasons.get("too_small", 0) == 0  # the other one shows that ground
    assert ("chip_20240512" in caplog.text) == (kept == 0)


def test_a_collection_of_another_sensor_refuses_pictures(tmp_path: Path) -> None:
    write(tmp_path / "own/20240512.tif", fields(500, 500, 50))
    catalog = PictureFolder(path=tmp_path / "own")
    area, start, end = catalog.extent()
    with TileIndex.open(tmp_path / "index", encoder=ENCODER) as index:
        build_index(index, ENCODER, area, start, end, catalog=catalog)
    with (
        TileIndex.open(tmp_path / "index", encoder=ENCODER) as index,
        pytest.raises(EncoderMismatchError, match="'rgb'"),
    ):
        index.prepare(SENTINEL2, (2240,))


def test_a_folder_of_pictures_is_a_catalog_too(tmp_path: Path) -> None:
    path = write(tmp_path / "own/20240512.tif", fields(300, 300, 50))
    assert isinstance(open_catalog(str(path)), PictureFolder)
    assert isinstance(open_catalog(str(path.parent)), PictureFolder)
    (tmp_path / "own/item.json").write_text("{}")
    assert not isinstance(open_catalog(str(path.parent)), PictureFolder)


def test_an_item_with_one_asset_of_three_colours_is_a_picture(tmp_path: Path) -> None:
    write(tmp_path / "my ortho.tif", fields(300, 300, 50))
    item = {
        "id": "ortho", "collection": "own", "properties": {"datetime": "2024-05-12T10:00:31Z"},
        "assets": {"visual": {"href": "./my%20ortho.tif",
                              "eo:bands": [{"common_name": c} for c in ("red", "green", "blue")]}},
    }  # fmt: skip
    scene = picture_of_item(item, tmp_path)
    assert scene is not None
    assert (scene.id, scene.collection, scene.metres) == ("ortho", "own", 3)
    assert scene.datetime == datetime(2024, 5, 12, 10, 0, 31, tzinfo=UTC)
    assert picture_of_item({"id": "x", "assets": {}, "properties": {}}, tmp_path) is None


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("2024:05:12 10:00:31", "2024-05-12T10:00:31"), ("20240512", "2024-05-12"),
        ("a_2024_05_12_b", "2024-05-12"), ("2024-05-12T01:02:03Z", "2024-05-12T01:02:03"),
        ("20240512T010203", "2024-05-12T01:02:03"), ("120240512", None), ("20241312", None),
        ("202405", None), ("", None), ("20240230", None),
    ],
)  # fmt: skip
def test_dates_as_tags_and_names_write_them(text: str, meant: str | None) -> None:
    moment = meant and datetime.fromisoformat(meant).replace(tzinfo=UTC)
    assert parse_moment(text) == moment


@pytest.mark.skipif(not SHARED.exists(), reason="needs ../shared: a real crop")
def test_the_real_crop_is_built_from_its_own_numbers(tmp_path: Path) -> None:
    catalog = PictureFolder(
        path=SHARED / "data/sentinel2/crop_10m_utm33n.tif", day=date(2023, 8, 18), scale=(0, 3000)
    )
    with built(tmp_path, catalog, tmp_path / "index") as index:
        assert index.sensor.name == "rgb"
        assert index.count() >= 8
        assert index.spans == (2240,)
        archive = PixelArchive.beside(index.folder)
        assert archive is not None
        for tile in index.scroll():
            assert 20 < archive.tile(tile).mean() < 200


@pytest.mark.parametrize("wrong", [{"resolution": 0.01}, {"resolution": 31}, {"scale": (5, 5)}])
def test_what_cannot_be_meant_is_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        PictureFolder(path=tmp_path, **wrong)
    with pytest.raises(KeenkiteError, match="there is no"):
        PictureFolder(path=tmp_path / "none")
