"""One tile of an index, looked at: from the archive, from its scene, or a clear error."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image

from keenkite.build import build_index
from keenkite.catalog import Catalog, open_catalog
from keenkite.errors import InputError, SceneError, StorageError
from keenkite.index import Filters, TileIndex
from keenkite.pictures.show import answer_sheet, kept_heatmaps, look, tile_pixels
from keenkite.pixels import PixelArchive
from keenkite.retrieval.confidence import confidence_of
from keenkite.retrieval.query import Query
from keenkite.retrieval.search import search
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
    of_span: dict[float, Tile]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    folder = tmp_path_factory.mktemp("show")
    _, _, area = write_world(folder / "scenes")
    catalog = open_catalog(str(folder / "scenes"))
    with TileIndex.open(folder / "index", encoder=ENCODER) as index:
        build_index(
            index, ENCODER, area, *DAYS, catalog=catalog, max_cloud=1.0, spans=(1120, 2240, 4480)
        )
        tiles = sorted(index.scroll(), key=lambda tile: tile.id)
        archive = PixelArchive.beside(index.folder)
        assert archive is not None
        of_span = {tile.span: tile for tile in tiles}
        yield Made(index, archive, catalog, folder / "scenes", of_span[2240], of_span)


def test_a_tile_is_looked_at_and_saved_as_picture_and_geotiff(made: Made, tmp_path: Path) -> None:
    view = look(made.index, ENCODER, made.tile.id, text="forest", archive=made.archive)
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


def test_a_view_carries_whose_imagery_it_is(made: Made, tmp_path: Path) -> None:
    view = look(made.index, ENCODER, made.tile.id, text="forest", archive=made.archive)
    assert view.sensor == made.index.sensor
    view.save(tmp_path / "forest.tif")
    with rasterio.open(tmp_path / "forest.tif") as file:
        assert file.tags()["TIFFTAG_COPYRIGHT"] == view.sensor.credit((2024,))
        assert (file.bounds.left, file.bounds.top) == (made.tile.west, made.tile.north)


@pytest.mark.parametrize("span", [1120, 2240, 4480])
def test_pixels_that_are_gone_are_read_from_their_scene_again(
    made: Made, tmp_path: Path, span: float
) -> None:
    tile = made.of_span[span]
    empty = PixelArchive(tmp_path)
    again = tile_pixels(tile, empty, made.catalog)
    assert again.dtype == np.uint8
    assert again.shape == (224, 224, 3)
    assert (again == made.archive.tile(tile)).all()
    assert (tile_pixels(tile, None, made.catalog) == again).all()


def cloudy(made: Made) -> Tile:
    """A tile of which some is cloud and some is not."""
    tiles = made.index.scroll(Filters(spans=(2240,)))
    return next(tile for tile in tiles if tile.cloud is not None and 0.2 < tile.cloud < 0.8)


def test_cloud_in_a_tile_is_hidden_in_its_map(made: Made, tmp_path: Path) -> None:
    tile = cloudy(made)
    mask = made.archive.mask(tile)
    assert (mask == 2).mean() == pytest.approx(tile.cloud, abs=0.02)
    for archive in (made.archive, PixelArchive(tmp_path)):  # as kept, and as read again
        view = look(made.index, ENCODER, tile.id, text="white", archive=archive,
                    catalog=made.catalog)  # fmt: skip
        assert view.heat.hidden is not None
        assert view.heat.hidden[mask != 1].all()
        assert (view.heat.values[view.heat.hidden] == 0).all()
        assert mask[view.heat.peak] == 1 or not view.heat.found


def test_kept_maps_hide_what_no_ground_is_seen_of(made: Made) -> None:
    tiles = [cloudy(made), made.tile]
    heats = kept_heatmaps(ENCODER, made.archive, tiles, "white", [0.4, None])
    for heat, tile in zip(heats, tiles, strict=True):
        assert heat.hidden is None or heat.hidden[made.archive.hidden([tile])[0]].all()
    assert heats[0].hidden is not None
    assert [heat.confidence for heat in heats] == [0.4, None]
    assert kept_heatmaps(ENCODER, made.archive, [], "white", []) == []


def test_a_view_says_how_sure_the_search_is_of_its_tile(made: Made) -> None:
    (hit,) = search(made.index, ENCODER, Query(text="forest", limit=1)).hits
    view = look(made.index, ENCODER, hit.tile.id, text="forest", archive=made.archive)
    (sure,) = confidence_of(made.index, ENCODER, "forest", [hit.tile.id])
    assert view.heat.confidence == sure


def test_a_view_by_another_model_than_the_index_stands_alone(made: Made) -> None:
    class Other(FakeEncoder):
        name = "another"

    view = look(made.index, Other(), made.tile.id, text="forest", archive=made.archive)
    assert view.heat.confidence is None


def test_a_tile_of_several_scenes_has_the_pixels_of_each_where_another_has_none(
    made: Made,
) -> None:
    found = 0
    for tile in made.index.scroll(Filters(spans=(2240,))):
        (name,) = tile.scene_ids
        grid = name.split("_")[1]
        other = name.replace(grid, {"T54SUE": "T54SVE", "T54SVE": "T54SUE"}[grid])
        try:
            part = tile_pixels(replace(tile, scene_ids=(other,)), None, made.catalog)
        except SceneError:  # that scene shows nothing of this tile
            continue
        empty = (part == 0).all(axis=2)
        if not 0 < empty.mean() < 1:
            continue
        whole = tile_pixels(tile, None, made.catalog)
        both = tile_pixels(replace(tile, scene_ids=(other, name)), None, made.catalog)
        assert (both == whole).all() or (both == np.where(empty[..., None], whole, part)).all()
        found += 1
    assert found


def test_an_answer_makes_a_sheet_with_maps_where_there_is_a_text(made: Made) -> None:
    result = search(made.index, ENCODER, Query(text="forest", limit=4))
    sheet = answer_sheet(result, ENCODER, made.archive, sensor=made.index.sensor)
    alike = search(made.index, ENCODER, Query(like=(made.tile.id,), limit=4))
    plain = answer_sheet(alike, ENCODER, made.archive, sensor=made.index.sensor)
    assert sheet.width > plain.width / 2
    assert np.asarray(sheet).std() > 10
    empty = answer_sheet(
        result, ENCODER, PixelArchive(made.scenes), sensor=made.index.sensor, title="none"
    )
    assert empty.height > 200


def test_pixels_that_are_nowhere_are_an_error_that_names_the_tile(
    made: Made, tmp_path: Path
) -> None:
    with pytest.raises(SceneError, match=made.tile.id):
        tile_pixels(made.tile, PixelArchive(tmp_path))
    with pytest.raises(SceneError, match=made.tile.id):
        tile_pixels(made.tile, None)
    others = tmp_path / "others"
    shutil.copytree(
        made.scenes,
        others,
        ignore=lambda _, names: [n for n in names if n == made.tile.scene_ids[0]],
    )
    with pytest.raises(SceneError, match=f"{made.tile.id}.*{made.tile.scene_ids[0]}"):
        tile_pixels(made.tile, PixelArchive(tmp_path), open_catalog(str(others)))


@pytest.mark.parametrize(
    "tile_id", ["32654-2240-1-1-20240101T000000-S2A", "../../etc/passwd", "", "x" * 9999]
)
def test_an_unknown_tile_is_an_input_error(made: Made, tile_id: str) -> None:
    with pytest.raises(InputError, match="not in the index"):
        look(made.index, ENCODER, tile_id, text="forest", archive=made.archive)


def test_a_file_of_another_kind_or_nowhere_is_refused(made: Made, tmp_path: Path) -> None:
    view = look(made.index, ENCODER, made.tile.id, text="forest", archive=made.archive)
    with pytest.raises(InputError, match=r"\.png"):
        view.save(tmp_path / "forest.bmp")
    with pytest.raises(StorageError, match="cannot be written"):
        view.save(tmp_path / "nowhere" / "forest.png")
