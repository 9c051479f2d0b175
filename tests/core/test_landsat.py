"""Landsat Collection 2 Level-2 and NAIP: drawn items in the shape of Earth Search's."""

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from pyproj import Transformer
from rasterio.enums import ColorInterp
from rasterio.transform import Affine

from keenkite.area import Area
from keenkite.build import build_index
from keenkite.catalog import open_catalog
from keenkite.errors import InputError
from keenkite.index import TileIndex
from keenkite.pixels import PixelArchive
from keenkite.retrieval import Query, search
from keenkite.sensors import LANDSAT, NAIP
from tests.support.earth_search import c1_item
from tests.support.fakes import FakeEncoder
from tests.support.scene_files import write_image

ENCODER = FakeEncoder()
EPSG, WEST, NORTH = 32654, 382_215.0, 3_964_815.0
"""Landsat's pixels have their middles on multiples of 30 m."""
ROWS, COLS = 480, 600
ID = "LC09_L2SP_107035_20240512_20240513_02_T1"
FILL, CIRRUS, CLOUD, SHADOW, SNOW, CLEAR, WATER = 1, 4, 8, 16, 32, 64, 128
MAY = date(2024, 5, 1), date(2024, 5, 31)


def landsat_item() -> dict[str, Any]:
    files = {"red": "SR_B4", "green": "SR_B3", "blue": "SR_B2", "qa_pixel": "QA_PIXEL"}
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": ID,
        "collection": "landsat-c2-l2",
        "geometry": None,
        "bbox": _box(),
        "links": [],
        "properties": {
            "datetime": "2024-05-12T01:16:26.123456Z",
            "platform": "landsat-9",
            "instruments": ["oli", "tirs"],
            "gsd": 30,
            "eo:cloud_cover": 12.5,
            "landsat:wrs_path": "107",
            "landsat:wrs_row": "035",
            "proj:epsg": EPSG,
            "proj:shape": [ROWS, COLS],
            "proj:transform": [30, 0, WEST, 0, -30, NORTH],
        },
        "assets": {key: {"href": f"./{ID}_{name}.TIF"} for key, name in files.items()}
        | {"qa_radsat": {"href": f"./{ID}_QA_RADSAT.TIF"}, "ang": {"href": "./ang.txt"}},
    }


def _box() -> list[float]:
    back = Transformer.from_crs(EPSG, 4326, always_xy=True)
    return list(back.transform_bounds(WEST, NORTH - 30 * ROWS, WEST + 30 * COLS, NORTH))


def write_landsat(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    folder.mkdir()
    rng = np.random.default_rng(3)
    numbers = rng.integers(7000, 20_000, (3, ROWS, COLS)).astype(np.uint16)
    flags = np.full((ROWS, COLS), CLEAR, np.uint16)
    flags[:100, :100] = CLOUD | 1 << 9
    flags[100:150, :100] = CIRRUS
    flags[200:260, 300:] = WATER | CLEAR
    flags[300:340] = SNOW
    flags[400:, 500:] = CLEAR | SHADOW
    flags[:, 590:] = FILL
    numbers[:, :, 590:] = 0
    item = landsat_item()
    place = {"pixel": 30, "west": WEST, "north": NORTH, "driver": "GTiff"}
    for key, band in zip(("red", "green", "blue"), numbers, strict=True):
        write_image(folder / item["assets"][key]["href"], band, **place)
    write_image(folder / item["assets"]["qa_pixel"]["href"], flags, nodata=FILL, **place)
    (folder / "item.json").write_text(json.dumps(item))
    return numbers, flags


def test_a_landsat_scene_is_built_in_its_own_numbers_flags_and_spans(tmp_path: Path) -> None:
    numbers, flags = write_landsat(tmp_path / "scenes")
    with TileIndex.open(tmp_path / "index", encoder=ENCODER) as index:
        report = build_index(
            index,
            ENCODER,
            Area.from_bbox(*_box()),
            *MAY,
            catalog=open_catalog(str(tmp_path / "scenes")),
        )
        tiles = list(index.scroll())
        assert (index.sensor, index.spans) == (LANDSAT, (6720.0,))
        assert search(index, ENCODER, Query(text="water")).hits
    assert report.kept == len(tiles) > 0
    archive = PixelArchive(tmp_path / "index" / "pixels")
    for tile in tiles:
        assert (tile.platform, tile.scene_ids, tile.span) == ("L9", (ID,), 6720)
        # Everything is shifted by half a pixel, onto multiples of 30 m.
        left, top = round((tile.west - WEST + 15) / 30), round((NORTH + 15 - tile.north) / 30)
        part = np.s_[top : top + 224, left : left + 224]
        reflectance = numbers[(slice(None), *part)] * 0.0000275 - 0.2
        wanted = np.moveaxis(np.clip(reflectance, 0, 0.3) * 850, 0, 2)
        fill = flags[part] == FILL
        wanted[fill] = 0
        assert np.abs(archive.tile(tile).astype(float) - wanted).max() <= 0.51
        seen = flags[part][~fill]
        for kind, mask in (("cloud", CLOUD | CIRRUS), ("snow", SNOW), ("water", WATER)):
            assert getattr(tile, kind) == pytest.approx(((seen & mask) > 0).mean(), abs=1e-5)
        assert tile.valid == pytest.approx(1 - fill.mean(), abs=1e-5)
        assert tile.vegetation is None


def test_an_item_of_landsat_says_what_it_is(tmp_path: Path) -> None:
    write_landsat(tmp_path / "scenes")
    (scene,) = open_catalog(str(tmp_path / "scenes")).search(
        Area.from_bbox(*_box()), *MAY, max_cloud=100
    )
    assert (scene.sensor, scene.platform, scene.grid_code) == (LANDSAT, "L9", "107035")
    assert (scene.west, scene.north) == (382_200, 3_964_830)
    assert scene.cloud == 0.125
    assert scene.processed == datetime(2024, 5, 13, tzinfo=UTC)
    assert "2024 imagery" in LANDSAT.credit((2024,))


def test_two_sensors_in_one_build_are_refused_by_name(tmp_path: Path) -> None:
    write_landsat(tmp_path / "scenes")
    other = c1_item(west=382_200, north=3_964_800, size=600)
    (tmp_path / "scenes" / "s2.json").write_text(json.dumps(other))
    with (
        TileIndex.open(tmp_path / "index", encoder=ENCODER) as index,
        pytest.raises(InputError, match="Landsat Collection 2 Level-2 and Sentinel-2 L2A"),
    ):
        build_index(
            index,
            ENCODER,
            Area.from_bbox(*_box()),
            *MAY,
            catalog=open_catalog(str(tmp_path / "scenes")),
        )


def test_quarter_quads_of_naip_are_one_ground(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    ground = rng.integers(1, 256, (4, 500, 900)).astype(np.uint8)
    west, north, metres = 500_000.4, 4_000_199.8, 0.6
    for number, (first, last) in enumerate(((0, 500), (450, 900))):
        name = f"m_3611{number}_ne_10_060_20220512"
        with rasterio.open(
            tmp_path / f"{name}.tif",
            "w",
            driver="GTiff",
            count=4,
            height=500,
            width=last - first,
            dtype="uint8",
            crs="EPSG:26910",
            transform=Affine(metres, 0, west + metres * first, 0, -metres, north),
        ) as file:
            file.write(ground[:, :, first:last])
            file.colorinterp = [
                ColorInterp.red,
                ColorInterp.green,
                ColorInterp.blue,
                ColorInterp.undefined,
            ]
        bands = [{"name": n, "common_name": n.lower()} for n in ("Red", "Green", "Blue")]
        item = {
            "type": "Feature",
            "stac_version": "1.0.0",
            "id": name,
            "collection": "naip",
            "geometry": None,
            "bbox": [-123.1, 36.0, -122.9, 36.2],
            "links": [],
            "properties": {"datetime": "2022-05-12T16:00:00Z", "gsd": 0.6, "naip:state": "ca"},
            "assets": {
                "image": {
                    "href": f"./{name}.tif",
                    "eo:bands": [*bands, {"name": "NIR", "common_name": "nir"}],
                },
                "thumbnail": {"href": "./t.jpg"},
            },
        }
        (tmp_path / f"{name}.json").write_text(json.dumps(item))
    with TileIndex.open(tmp_path / "index", encoder=ENCODER) as index:
        build_index(
            index,
            ENCODER,
            Area.from_bbox(-123.1, 36.0, -122.9, 36.2),
            date(2022, 5, 1),
            date(2022, 5, 31),
            catalog=open_catalog(str(tmp_path)),
        )
        tiles = [tile for tile in index.scroll() if tile.corner is None]
        assert index.sensor.name == NAIP.name
    archive = PixelArchive(tmp_path / "index" / "pixels")
    assert len(tiles) >= 10
    for tile in tiles:
        left, top = round((tile.west - west) / metres), round((north - tile.north) / metres)
        part = ground[:3, top : top + 224, left : left + 224]
        assert np.array_equal(archive.tile(tile), np.moveaxis(part, 0, 2))
