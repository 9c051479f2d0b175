"""One tile of an index, looked at: from the archive, from its scene, or a clear error."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image

from keenkite.build import build_index
from keenkite.catalog import Catalog, open_catalog
from keenkite.errors import InputError, SceneError, StorageError
from keenkite.index import TileIndex
from keenkite.pictures.show import look, tile_pixels
from keenkite.pixels import PixelArchive
from keenkite.tiling import Tile
from tests.support.fakes import FakeEncoder
from tests.support.worlds import DAYS, write_world

ENCODER = FakeEncoder()


@dataclass
class Made:
    index: TileIndex
    archive: PixelArchive
    catalog: Catalog
    scenes: Path
    tile: Tile


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    folder = tmp_path_factory.mktemp("show")
    _, _, area = write_world(folder / "scenes")
    catalog = open_catalog(str(folder / "scenes"))
    with TileIndex.open(folder / "index", encoder=ENCODER) as index:
        build_index(index, ENCODER, area, *DAYS, catalog=catalog, max_cloud=100.0)
        tile = min(index.scroll(), key=lambda tile: tile.id)
        archive = PixelArchive(folder / "index" / "pixels")
        yield Made(index, archive, catalog, folder / "scenes", tile)


def test_a_tile_is_looked_at_and_saved_as_picture_and_geotiff(made: Made, tmp_path: Path) -> None:
    view = look(made.index, ENCODER, made.tile.id, "forest", archive=made.archive)
    assert view.tile == made.tile
    assert view.heat.text == "forest"
    west, south, east, north = made.tile.bounds
    lon, lat = view.heat.peak_lonlat(view.tile)
    assert west < lon < east
    assert south < lat < north
    view.save(tmp_path / "forest.png")
    with Image.open(tmp_path / "forest.png") as picture:
        assert picture.width == 448
    view.save(tmp_path / "forest.TIF")
    with rasterio.open(tmp_path / "forest.TIF") as file:
        assert file.crs.to_epsg() == made.tile.epsg


def test_pixels_that_are_gone_are_read_from_their_scene_again(made: Made, tmp_path: Path) -> None:
    empty = PixelArchive(tmp_path)
    again = tile_pixels(made.tile, empty, made.catalog)
    assert again.dtype == np.uint8
    assert (again == made.archive.tile(made.tile)).all()
    assert (tile_pixels(made.tile, None, made.catalog) == again).all()


def test_pixels_that_are_nowhere_are_an_error_that_names_the_tile(
    made: Made, tmp_path: Path
) -> None:
    with pytest.raises(SceneError, match=made.tile.id):
        tile_pixels(made.tile, PixelArchive(tmp_path))
    with pytest.raises(SceneError, match=made.tile.id):
        tile_pixels(made.tile, None)
    others = tmp_path / "others"
    shutil.copytree(
        made.scenes, others, ignore=lambda _, names: [n for n in names if n == made.tile.scene_id]
    )
    with pytest.raises(SceneError, match=f"{made.tile.id}.*{made.tile.scene_id}"):
        tile_pixels(made.tile, PixelArchive(tmp_path), open_catalog(str(others)))


@pytest.mark.parametrize("tile_id", ["32654-1-1-20240101-S2A", "../../etc/passwd", "", "x" * 9999])
def test_an_unknown_tile_is_an_input_error(made: Made, tile_id: str) -> None:
    with pytest.raises(InputError, match="not in the index"):
        look(made.index, ENCODER, tile_id, "forest", archive=made.archive)


def test_a_file_of_another_kind_or_nowhere_is_refused(made: Made, tmp_path: Path) -> None:
    view = look(made.index, ENCODER, made.tile.id, "forest", archive=made.archive)
    with pytest.raises(InputError, match=r"\.png"):
        view.save(tmp_path / "forest.bmp")
    with pytest.raises(StorageError, match="cannot be written"):
        view.save(tmp_path / "nowhere" / "forest.png")
