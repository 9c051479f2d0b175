"""Pictures of tiles and answers: what is drawn where, and files another program can read."""

import io
import json
from collections.abc import Sequence
from dataclasses import replace
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
from keenkite.export.geojson import hits_geojson
from keenkite.pictures import (
    contact_sheet,
    overlay,
    place,
    tile_image,
    tile_sheet,
    to_png,
    write_geotiff,
)
from keenkite.pictures.drawing import LUT, round_length
from keenkite.pictures.tile import advice, credit_of, numbers
from keenkite.retrieval.heatmap import Heatmap
from keenkite.retrieval.query import Query
from keenkite.retrieval.result import Hit, Result
from keenkite.sensors import SENTINEL2, Sensor
from keenkite.tiling import Tile


def make_tile(
    *, epsg: int = 32654, column: int = 345, row: int = 3550, day: int = 12, **others: Any
) -> Tile:
    facts = {"span": 2240, "cloud": 0.0, "regions": ("kanto",)} | others
    return Tile(
        epsg=epsg, column=column, row=row, datetime=datetime(2024, 5, day, 1, 27, tzinfo=UTC),
        platform="S2B", collection="sentinel-2-c1-l2a", scene_ids=("scene",), **facts,
    )  # fmt: skip


def picture_of(
    rgb: NDArray[np.uint8], heat: Heatmap, *, tile: Tile | None = None, **how: Any
) -> Image.Image:
    return overlay(rgb, heat, tile or make_tile(), sensor=SENTINEL2, **how)


def sheet_of(result: Result, images: Sequence[NDArray[np.uint8] | None], **how: Any) -> Image.Image:
    return contact_sheet(result, images, title="airport", sensor=SENTINEL2, **how)


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
    plain = np.asarray(picture_of(rgb, make_heat(0), scale=1), int)
    heated = np.asarray(picture_of(rgb, make_heat(spot()), scale=1), int)
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
    one = np.asarray(picture_of(rgb, faint, scale=1), int)[60, 150]
    other = np.asarray(picture_of(rgb, strong, scale=1), int)[60, at]
    assert np.abs(one - other).max() <= 6


def test_what_is_hidden_is_hatched_in_grey_and_nothing_else_changes() -> None:
    heat, rgb = make_heat(spot()), make_rgb()
    hidden = np.zeros((224, 224), bool)
    hidden[120:, :] = True
    plain = np.asarray(picture_of(rgb, heat, scale=2))[:448]
    drawn = np.asarray(picture_of(rgb, replace(heat, hidden=hidden), scale=2))[:448]
    assert (drawn[:240] == plain[:240]).all()
    below = drawn[240:420].astype(int)  # without the bar
    assert np.abs(below - below.mean(axis=-1, keepdims=True)).max() < 16  # grey
    assert below.mean() > 120
    shades = np.unique(below.mean(axis=-1).round(-1))
    assert np.ptp(shades) > 30  # lines


def test_a_picture_says_map_search_date_and_cloud_and_what_to_believe() -> None:
    heat, tile = replace(make_heat(spot()), confidence=0.1), make_tile(cloud=0.2)
    assert numbers(heat) == "map 1.00 · search 0.10"
    assert advice(heat) == "believe the search"
    assert advice(replace(heat, confidence=0.9)) == ""
    assert numbers(replace(heat, confidence=None)) == "map 1.00"
    assert numbers(replace(heat, hidden=np.ones((224, 224), bool))) == "all hidden"
    shown = np.asarray(picture_of(make_rgb(), heat, tile=tile))
    for other in (
        picture_of(make_rgb(), replace(heat, confidence=0.9), tile=tile),
        picture_of(make_rgb(), heat, tile=replace(tile, cloud=0.3)),
        picture_of(make_rgb(), heat, tile=replace(tile, cloud=None)),
    ):
        assert (np.asarray(other) != shown).any()


def test_the_cloud_of_a_hit_is_in_its_caption() -> None:
    def caption(cloud: float | None) -> NDArray[np.uint8]:
        hit = Hit(rank=1, tile=make_tile(cloud=cloud), score=0.3, confidence=0.9)
        result = Result(query=Query(text="airport"), hits=(hit,), verdict="strong")
        return np.asarray(sheet_of(result, [make_rgb()]))[84 + 224 : -20]

    clear, cloudy, unknown = caption(0.0), caption(0.4), caption(None)
    assert (clear != cloudy).any()
    assert (clear != unknown).any()
    assert (caption(0.4) == cloudy).all()


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_the_legend_is_below_and_says_what_was_looked_for(scale: int) -> None:
    picture = picture_of(make_rgb(), make_heat(spot()), scale=scale)
    assert picture.width == 224 * scale
    legend = np.asarray(picture.convert("L"))[224 * scale :]
    assert 50 <= len(legend) <= 125
    other = picture_of(make_rgb(), make_heat(spot()), text="golf course", scale=scale)
    text = np.asarray(other.convert("L"))[224 * scale :]
    assert (legend != text).any()
    assert legend[0].min() == 255  # a margin, not the tile


def test_a_long_text_is_cut_to_its_room() -> None:
    picture = picture_of(make_rgb(), make_heat(0), text="a very long text " * 600, scale=1)
    assert picture.width == 224


@pytest.mark.parametrize("with_heat", [False, True])
@pytest.mark.parametrize("number", [0, 1, 2, 5, 10, 50])
def test_a_sheet_has_room_for_every_hit_and_fits_a_chat(number: int, with_heat: bool) -> None:
    result = make_result(number)
    images = [make_rgb(40 + 3 * n) for n in range(number)]
    heats = [make_heat(spot())] * number if with_heat else None
    sheet = sheet_of(result, images, heats=heats)
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
    sheet = sheet_of(make_result(2), images)
    assert sheet.size == sheet_of(make_result(2), [make_rgb()] * 2).size


def test_tiles_without_a_search_make_a_sheet_too() -> None:
    tiles = [make_tile(), make_tile(day=13)]
    sheet = tile_sheet(
        tiles, [make_rgb()] * 2, title="dam", sensor=SENTINEL2, heats=[make_heat(spot())] * 2
    )
    assert sheet.width <= 1000


@pytest.mark.parametrize(
    ("span", "metres"), [(2240, 500), (1120, 250), (4480, 1000), (560, 100), (143.36, 25)]
)
def test_the_bar_of_scale_is_a_round_part_of_the_tiles_width(span: float, metres: float) -> None:
    assert round_length(span / 4) == metres
    for width in (224, 448):
        ground = np.full((224, 224, 3), 90, np.uint8)
        tile = make_tile(span=span)
        picture = picture_of(ground, make_heat(0), tile=tile, scale=width // 224)
        bright = np.asarray(picture.convert("L"))[:width] > 250
        # The bar's lowest row has nothing beside it.
        lowest = max(row for row in range(width) if bright[row].any())
        assert bright[lowest].sum() == pytest.approx(metres / span * width, abs=1.5)


SOMEBODY = replace(SENTINEL2, attribution="Somebody {year}")


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_whose_imagery_it_is_stands_at_the_bottom_of_a_picture_whole(scale: int) -> None:
    def foot(sensor: Sensor) -> NDArray[np.uint8]:
        heat = make_heat(0)
        picture = overlay(make_rgb(), heat, make_tile(), sensor=sensor, scale=scale)
        return np.asarray(picture.convert("L"))[-16:]

    credit = foot(SENTINEL2)
    assert (credit != foot(SOMEBODY)).any()
    assert credit.min() < 200
    assert credit[:, -3:].min() == 255  # nothing runs over the edge


def test_whose_imagery_it_is_names_the_years_of_the_tiles_that_are_shown() -> None:
    tiles = [
        replace(make_tile(), datetime=datetime(year, 1, 1, tzinfo=UTC)) for year in (2024, 2019)
    ]
    assert credit_of(tiles[:1], SENTINEL2) == "Contains modified Copernicus Sentinel data 2024"
    later = replace(make_tile(), datetime=datetime(2025, 1, 1, tzinfo=UTC))
    assert credit_of([later, tiles[0]], SENTINEL2).endswith(" 2024-2025")
    of_one = np.asarray(tile_sheet([tiles[0]], [make_rgb()], title="a", sensor=SENTINEL2))
    of_other = np.asarray(tile_sheet([tiles[0]], [make_rgb()], title="a", sensor=SOMEBODY))
    assert (of_one[:-20] == of_other[:-20]).all()
    assert (of_one[-20:] != of_other[-20:]).any()
    assert np.asarray(sheet_of(make_result(0), []))[-20:].min() == 255  # no tile, nobody's imagery


def test_a_sheet_of_tiles_of_several_widths_says_them() -> None:
    wide = make_tile(span=4480)
    images = [make_rgb()] * 2
    one, other = (
        np.asarray(tile_sheet(tiles, images, title="a", sensor=SENTINEL2))
        for tiles in ([make_tile(), make_tile()], [make_tile(), wide])
    )
    assert (one[84 + 224 : -20] != other[84 + 224 : -20]).any()


def test_places_are_written_for_people() -> None:
    assert place(139.7671, 35.6812) == "35.681° N 139.767° E"
    assert place(-58.38, -34.6) == "34.600° S 58.380° W"


def test_a_sheet_needs_as_many_images_as_hits() -> None:
    with pytest.raises(InputError, match="2 tiles need as many images"):
        sheet_of(make_result(2), [make_rgb()])
    with pytest.raises(InputError, match="as many heatmaps"):
        sheet_of(make_result(1), [make_rgb()], heats=[])
    with pytest.raises(InputError, match="100 tiles at most"):
        tile_sheet([make_tile()] * 101, [None] * 101, title="x", sensor=SENTINEL2)


def test_what_is_no_tile_is_refused() -> None:
    with pytest.raises(InputError, match="uint8"):
        tile_image(np.zeros((224, 224), np.uint8))
    with pytest.raises(InputError, match="uint8"):
        picture_of(np.full((224, 224, 3), np.nan), make_heat(0))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="not of the same tile"):
        picture_of(np.zeros((100, 100, 3), np.uint8), make_heat(0))
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
    write_geotiff(tmp_path / "heat.tif", heat, tile, sensor=SENTINEL2)
    with rasterio.open(tmp_path / "heat.tif") as file:
        assert (file.read(1) == heat.values).all()
        assert file.crs.to_epsg() == tile.epsg
        assert file.bounds == (tile.west, tile.north - 2240, tile.west + 2240, tile.north)
        assert file.tags()["text"] == "airport"
        assert "Copernicus Sentinel data 2024" in file.tags()["TIFFTAG_COPYRIGHT"]
        lon, lat = heat.peak_lonlat(tile)
        ((value,),) = file.sample([utm.project(tile.epsg, lon, lat)])
    assert value == pytest.approx(heat.strength)


def test_a_geotiff_has_no_data_where_the_ground_is_hidden(tmp_path: Path) -> None:
    hidden = np.zeros((224, 224), bool)
    hidden[:, :50] = True
    heat = replace(make_heat(spot()), hidden=hidden)
    write_geotiff(tmp_path / "heat.tif", heat, make_tile(), sensor=SENTINEL2)
    with rasterio.open(tmp_path / "heat.tif") as file:
        read = file.read(1, masked=True)
    assert (read.mask == hidden).all()
    assert (read.data[~hidden] == heat.values[~hidden]).all()


def test_a_geotiff_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be written"):
        write_geotiff(
            tmp_path / "nowhere" / "heat.tif", make_heat(0), make_tile(), sensor=SENTINEL2
        )


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
