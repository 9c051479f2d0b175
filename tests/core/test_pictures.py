"""Pictures of tiles and answers: what is drawn where, and files another program can read."""

import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import shapely
from numpy.typing import NDArray
from PIL import Image

from keenkite import utm
from keenkite.errors import InputError, StorageError
from keenkite.pictures import (
    contact_sheet,
    hits_geojson,
    overlay,
    place,
    tile_image,
    tile_sheet,
    to_png,
    write_geotiff,
)
from keenkite.pictures.drawing import LUT
from keenkite.retrieval.heatmap import Heatmap
from keenkite.retrieval.search import Hit, Query, Result
from keenkite.tiling import Tile


def make_tile(*, epsg: int = 32654, column: int = 345, row: int = 3550, day: int = 12) -> Tile:
    x, y = column * 1120 + 1120, row * 1120 - 1120
    lon, lat = utm.unproject(epsg, x, y)
    return Tile(
        epsg=epsg, column=column, row=row, size=224, stride=112,
        datetime=datetime(2024, 5, day, 1, 27, tzinfo=UTC), platform="S2B", scene_id="scene",
        collection="sentinel-2-c1-l2a", region="kanto", lon=float(lon), lat=float(lat),
        bounds=(0, 0, 0, 0), cloud=0, water=0, vegetation=1, bare=0, snow=0, valid=1,
    )  # fmt: skip


def make_rgb(level: int = 90) -> NDArray[np.uint8]:
    noise = np.random.default_rng(level).integers(-30, 30, (224, 224, 3))
    return np.asarray(level + noise, np.uint8)


def make_heat(values: NDArray[np.floating[Any]] | float) -> Heatmap:
    full = np.broadcast_to(np.asarray(values, np.float32), (224, 224)).copy()
    row, col = divmod(int(full.argmax()), 224)
    return Heatmap(text="airport", values=full, grid=full[16::32, 16::32], peak=(row, col))


def make_result(number: int) -> Result:
    hits = tuple(
        Hit(rank=n + 1, tile=make_tile(column=345 + 2 * n), score=0.3 - 0.01 * n, confidence=0.9)
        for n in range(number)
    )
    verdict, reason = ("strong", None) if hits else ("none", "no tile passes the dates")
    return Result(query=Query(text="airport"), hits=hits, verdict=verdict, reason=reason)


def spot() -> NDArray[np.float32]:
    row, col = np.mgrid[:224, :224]
    return np.exp(-((row - 60) ** 2 + (col - 150) ** 2) / 800).astype(np.float32)


def test_the_colours_grow_only_lighter_so_every_eye_and_a_grey_print_keep_their_order() -> None:
    linear = (LUT / 255.0) ** 2.2
    lightness = linear @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(lightness) >= 0).all()
    # As seen without red or green cones: Viénot et al. (1999), both are mixed from the same two.
    for red, green in ((0.11238, 0.88762), (0.29275, 0.70725)):
        yellow = red * linear[:, 0] + green * linear[:, 1]
        assert (np.diff(yellow) >= -1e-3).all()


def test_a_picture_of_a_tile_is_its_pixels_enlarged() -> None:
    rgb = make_rgb()
    assert tile_image(rgb, scale=3).size == (672, 672)
    assert (np.asarray(tile_image(rgb, scale=1)) == rgb).all()


def test_colour_is_laid_where_the_map_is_high_and_nowhere_else() -> None:
    rgb = make_rgb()
    plain = np.asarray(overlay(rgb, make_heat(0), scale=1), int)
    heated = np.asarray(overlay(rgb, make_heat(spot()), scale=1), int)
    change = np.abs(heated - plain)[:224].sum(axis=-1)
    assert change[58:63, 148:153].min() > 100
    assert change[150:, :100].max() < 3
    # Warm and light at the maximum.
    assert heated[60, 150, 0] > 150 > heated[60, 150, 2]


def test_the_same_value_has_the_same_colour_in_every_picture() -> None:
    faint = make_heat(0.3 * spot())
    strong = make_heat(spot())
    rgb = np.full((224, 224, 3), 80, np.uint8)
    at = int(np.abs(strong.values[60] - 0.3).argmin())
    one = np.asarray(overlay(rgb, faint, scale=1), int)[60, 150]
    other = np.asarray(overlay(rgb, strong, scale=1), int)[60, at]
    assert np.abs(one - other).max() <= 6


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_the_legend_is_below_and_says_what_was_looked_for(scale: int) -> None:
    picture = overlay(make_rgb(), make_heat(spot()), scale=scale)
    assert picture.width == 224 * scale
    legend = np.asarray(picture.convert("L"))[224 * scale :]
    assert 30 <= len(legend) <= 80
    other = overlay(make_rgb(), make_heat(spot()), text="golf course", scale=scale)
    text = np.asarray(other.convert("L"))[224 * scale :]
    assert (legend != text).any()
    assert legend[0].min() == 255  # a margin, not the tile


def test_a_long_text_is_cut_to_its_room() -> None:
    picture = overlay(make_rgb(), make_heat(0), text="a very long text " * 600, scale=1)
    assert picture.width == 224


@pytest.mark.parametrize("with_heat", [False, True])
@pytest.mark.parametrize("number", [0, 1, 2, 5, 10, 50])
def test_a_sheet_has_room_for_every_hit_and_fits_a_chat(number: int, with_heat: bool) -> None:
    result = make_result(number)
    images = [make_rgb(40 + 3 * n) for n in range(number)]
    heats = [make_heat(spot())] * number if with_heat else None
    sheet = contact_sheet(result, images, title="airport", heats=heats)
    assert sheet.mode == "RGB"
    assert sheet.width <= 1000
    seen = np.asarray(sheet)
    for rgb in images:  # each tile is somewhere on the sheet, as it is
        row = rgb[100].tobytes()
        assert any(row in line.tobytes() for line in seen)
    margin = np.concatenate([seen[:, :10].ravel(), seen[:, -10:].ravel(), seen[:5].ravel()])
    assert margin.min() == 255


def test_a_hit_without_pixels_leaves_its_place_empty() -> None:
    images = [make_rgb(), None]
    sheet = contact_sheet(make_result(2), images, title="airport")
    assert sheet.size == contact_sheet(make_result(2), [make_rgb()] * 2, title="airport").size


def test_tiles_without_a_search_make_a_sheet_too() -> None:
    tiles = [make_tile(), make_tile(day=13)]
    sheet = tile_sheet(tiles, [make_rgb()] * 2, title="dam", heats=[make_heat(spot())] * 2)
    assert sheet.width <= 1000


def test_places_are_written_for_people() -> None:
    assert place(139.7671, 35.6812) == "35.681° N 139.767° E"
    assert place(-58.38, -34.6) == "34.600° S 58.380° W"


def test_a_sheet_needs_as_many_images_as_hits() -> None:
    with pytest.raises(InputError, match="2 tiles need as many images"):
        contact_sheet(make_result(2), [make_rgb()], title="airport")
    with pytest.raises(InputError, match="as many heatmaps"):
        contact_sheet(make_result(1), [make_rgb()], title="airport", heats=[])
    with pytest.raises(InputError, match="100 tiles at most"):
        tile_sheet([make_tile()] * 101, [None] * 101, title="airport")


def test_what_is_no_tile_is_refused() -> None:
    with pytest.raises(InputError, match="uint8"):
        tile_image(np.zeros((224, 224), np.uint8))
    with pytest.raises(InputError, match="uint8"):
        overlay(np.full((224, 224, 3), np.nan), make_heat(0))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="not of the same tile"):
        overlay(np.zeros((100, 100, 3), np.uint8), make_heat(0))
    with pytest.raises(InputError, match="1 to 8"):
        tile_image(make_rgb(), scale=0)


def test_a_png_keeps_to_its_bytes_and_all_colours_where_they_fit() -> None:
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 255, (600, 900, 3), np.uint8))
    small = to_png(noise, max_bytes=200_000)
    assert len(small) <= 200_000
    with Image.open(io.BytesIO(small)) as read:
        assert read.format == "PNG"
        assert read.width / read.height == pytest.approx(1.5, abs=0.02)
    whole = to_png(noise, max_bytes=5_000_000)
    with Image.open(io.BytesIO(whole)) as read:
        assert (np.asarray(read) == np.asarray(noise)).all()
    with pytest.raises(InputError, match="allow more"):
        to_png(noise, max_bytes=100)


def test_a_geotiff_is_read_by_rasterio_where_the_tile_is(tmp_path: Path) -> None:
    heat, tile = make_heat(spot()), make_tile()
    write_geotiff(tmp_path / "heat.tif", heat, tile)
    with rasterio.open(tmp_path / "heat.tif") as file:
        assert (file.read(1) == heat.values).all()
        assert file.crs.to_epsg() == tile.epsg
        assert file.bounds == (tile.west, tile.north - 2240, tile.west + 2240, tile.north)
        assert file.tags()["text"] == "airport"
        lon, lat = heat.peak_lonlat(tile)
        ((value,),) = file.sample([utm.project(tile.epsg, lon, lat)])
    assert value == pytest.approx(heat.strength)


def test_a_geotiff_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be written"):
        write_geotiff(tmp_path / "nowhere" / "heat.tif", make_heat(0), make_tile())


def test_hits_for_a_map_are_the_tiles_squares() -> None:
    result = make_result(2)
    collection = json.loads(json.dumps(hits_geojson(result)))
    assert collection["type"] == "FeatureCollection"
    for feature, hit in zip(collection["features"], result.hits, strict=True):
        shape = shapely.geometry.shape(feature["geometry"])
        assert shape.is_valid
        assert shape.exterior.is_ccw
        assert shape.contains(shapely.Point(hit.tile.lon, hit.tile.lat))
        x, y = utm.project(hit.tile.epsg, *np.array(shape.exterior.coords).T)
        assert shapely.Polygon(zip(x, y, strict=True)).area == pytest.approx(2240**2, rel=1e-3)
        assert feature["properties"]["rank"] == hit.rank


def test_a_tile_across_the_antimeridian_is_two_polygons_within_180_degrees() -> None:
    x, y = utm.project(32660, 180.0, 16.5)
    tile = make_tile(epsg=32660, column=int(x // 1120) - 1, row=int(y // 1120))
    hit = Hit(rank=1, tile=tile, score=0.3, confidence=0.9)
    result = Result(query=Query(text="island"), hits=(hit,), verdict="strong")
    (feature,) = hits_geojson(result)["features"]
    shape = shapely.geometry.shape(feature["geometry"])
    assert shape.geom_type == "MultiPolygon"
    assert shape.is_valid
    assert {round(part.bounds[0] / 180) for part in shape.geoms} == {1, -1}
    assert all(abs(edge) <= 180 for part in shape.geoms for edge in part.bounds)
    area = sum(
        shapely.Polygon(
            zip(*utm.project(32660, *np.array(part.exterior.coords).T), strict=True)
        ).area
        for part in shape.geoms
    )
    assert area == pytest.approx(2240**2, rel=1e-3)
