"""Where tiles may lie, which of them a scene shows, and where they are on the globe."""

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import numpy as np
import pyproj
import pytest
import shapely

from keenkite.area import Area
from keenkite.errors import InputError, SceneError
from keenkite.scene import Window
from keenkite.tiling import Lattice, Tile, TileCutter, window_of
from tests.support.cutting import SCENE, corners_of, cut_all, places, strips


@pytest.mark.parametrize(
    "area",
    [
        shapely.box(420000, 3950000, 431000, 3957000),
        shapely.Point(450000, 3950000).buffer(7000),
        shapely.Polygon([(398000, 3990000), (412000, 4003000), (430000, 3985000)]),
        shapely.box(0, 0, 1e6, 1e7),
        shapely.MultiPolygon(
            [
                shapely.box(399960, 3999000, 401000, 4000020),
                shapely.box(505000, 3891000, 600000, 3895000),
            ]
        ),
    ],
    ids=["box", "circle", "over the corner", "everything", "two corners"],
)
@pytest.mark.parametrize("lattice", [Lattice(), Lattice(1120), Lattice(4480)], ids=repr)
def test_cells_are_those_whose_middle_meets_the_area_and_that_lie_in_the_scene(area, lattice):
    pitch, side = round(lattice.pitch), round(lattice.span)
    footprint = SCENE.footprint
    west, south, east, north = footprint.buffer(3 * side).bounds
    expected = [
        (column, row)
        for row in range(int(north // pitch), int(south // pitch), -1)
        for column in range(int(west // pitch), int(east // pitch))
        if footprint.covers(
            shapely.box(column * pitch, row * pitch - side, column * pitch + side, row * pitch)
        )
        and area.intersects(
            shapely.box(
                column * pitch + (side - pitch) / 2,
                row * pitch - (side + pitch) / 2,
                column * pitch + (side + pitch) / 2,
                row * pitch - (side - pitch) / 2,
            )
        )
    ]
    cells = lattice.cells(32654, footprint, area)
    assert cells.dtype == np.int64
    assert list(map(tuple, cells.tolist())) == expected


def test_a_place_has_one_tile_whose_middle_it_is_in():
    for lon, lat in np.random.default_rng(3).uniform((140, 35.3), (140.9, 36), (20, 2)):
        ten_metres = Area.around(lon, lat, 0.01)
        cells = Lattice().cells(32654, SCENE.footprint, ten_metres.in_utm(32654))
        assert len(cells) in (1, 2, 4)  # more than one at the edge of a middle
    assert len(cells) == 1


def test_a_footprint_with_slanted_edges_keeps_the_tiles_that_lie_in_it():
    west, south, east, north = SCENE.footprint.bounds
    half = shapely.Polygon([(west, north), (east, north), (west, south)])
    cells = Lattice().cells(32654, half, half)
    for column, row in cells.tolist():
        assert half.covers(
            shapely.box(column * 1120, row * 1120 - 2240, column * 1120 + 2240, row * 1120)
        )
    assert len(cells) == pytest.approx(9409 / 2, rel=0.1)  # those on the slant are out


def test_no_area_or_no_room_for_a_tile_gives_no_cells():
    lattice = Lattice()
    assert lattice.cells(32654, SCENE.footprint, shapely.Polygon()).shape == (0, 2)
    assert lattice.cells(32654, SCENE.footprint, shapely.box(0, 0, 9, 9)).shape == (0, 2)
    crumb = replace(SCENE, width=200, height=200).footprint
    assert lattice.cells(32654, crumb, crumb).shape == (0, 2)
    with pytest.raises(InputError, match="EPSG:4326 is not a UTM zone"):
        lattice.cells(4326, SCENE.footprint, SCENE.footprint)


def test_scenes_that_overlap_share_tiles_of_the_same_ground():
    # Like grid tiles, their origins differ by no multiple of 1,120 m.
    west = replace(SCENE, width=1098, height=1098)
    east = replace(west, id="neighbour", west=SCENE.west + 6_660)
    shared = west.footprint.intersection(east.footprint)
    ground = np.random.default_rng(0).integers(0, 256, (1098, 1098 + 666, 3), dtype=np.uint8)
    lattice = Lattice()
    cells, found = [], []
    for scene in (west, east):
        mine = lattice.cells(32654, scene.footprint, west.footprint.union(east.footprint))
        offset = round((scene.west - SCENE.west) / 10)
        rgb = ground[:, offset : offset + 1098]
        scl = np.full(rgb.shape[:2], 4, dtype=np.uint8)
        cutter = TileCutter(scene, corners_of(lattice, mine), lattice.span, regions=("r",))
        tiles, pixels = cut_all(
            cutter,
            strips(window_of(scene, corners_of(lattice, mine), lattice.span), rgb, scl, [512]),
        )
        cells.append(set(map(tuple, mine.tolist())))
        found.append({tile.id: shown for tile, shown in zip(tiles, pixels, strict=True)})
    both = cells[0] & cells[1]
    assert both == set(map(tuple, lattice.cells(32654, shared, shared).tolist()))
    assert found[0].keys() & found[1].keys() == {
        f"32654-2240-{c}-{r}-20240512T012659-S2B" for c, r in both
    }
    assert len(both) == 8
    for name in found[0].keys() & found[1].keys():
        np.testing.assert_array_equal(found[0][name], found[1][name])
    # No ground between the scenes is lost: the columns of their tiles join up.
    columns = {column for column, _ in cells[0] | cells[1]}
    assert columns == set(range(min(columns), max(columns) + 1))


def test_the_window_holds_just_the_pixels_of_the_cells():
    cells = np.array([[360, 3560], [362, 3550]])
    # The upper left corner of cell (360, 3560) is at 403,200 east and 3,987,200 north.
    assert window_of(SCENE, corners_of(Lattice(), cells), Lattice().span) == Window(
        row=1282, col=324, rows=10 * 112 + 224, cols=2 * 112 + 224
    )


def test_a_window_may_reach_beyond_the_scene():
    window = window_of(SCENE, corners_of(Lattice(), np.array([[356, 3560]])), 2240)
    assert (window.row, window.col) == (1282, 324 - 4 * 112)


def test_a_window_that_cannot_be_is_refused():
    lattice = Lattice()
    with pytest.raises(InputError, match="no tiles"):
        window_of(SCENE, corners_of(lattice, np.empty((0, 2), np.int64)), lattice.span)
    for shifted in (replace(SCENE, west=399965.0), replace(SCENE, north=4000020.5)):
        with pytest.raises(SceneError, match="not a multiple of 10 m"):
            window_of(shifted, corners_of(lattice, np.array([[360, 3560]])), lattice.span)


@pytest.mark.parametrize("span", [0, -2240, float("nan"), float("inf")])
def test_a_lattice_that_cannot_be_is_refused(span):
    with pytest.raises(InputError, match="span is its width in metres"):
        Lattice(span)


def test_a_span_that_ends_within_a_pixel_is_refused():
    with pytest.raises(InputError, match="2250 m is not an even number of pixels of 10 m"):
        window_of(SCENE, corners_of(Lattice(2250), np.array([[360, 3560]])), Lattice(2250).span)


# Where tiles are


@pytest.mark.parametrize(
    ("epsg", "west", "north"),
    [
        (32654, 399_960, 4_000_020),
        (32631, 600_000, 100_020),  # reaches south of the equator
        (32756, 300_000, 6_300_040),
        (32637, 300_000, 8_000_040),
        (32601, 320_040, 7_600_020),  # across the antimeridian
        (32760, 760_020, 7_900_000),
    ],
)
def test_tiles_know_where_they_are(epsg, west, north):
    scene = replace(SCENE, epsg=epsg, west=west, north=north)
    lattice = Lattice()
    cells = lattice.cells(epsg, scene.footprint, scene.footprint)
    # Every tile of a row that crosses ±180, and some of all rows.
    cells = cells[np.unique(np.r_[np.arange(97), np.arange(0, len(cells), 211)])]
    tiles = places(scene, lattice, cells)
    to_lonlat = pyproj.Transformer.from_crs(epsg, 4326, always_xy=True).transform
    for tile, (column, row) in zip(tiles, cells.tolist(), strict=True):
        assert (tile.west, tile.north) == (column * 1120, row * 1120)
        assert (tile.lon, tile.lat) == pytest.approx(
            to_lonlat(tile.west + 1120, tile.north - 1120), abs=1e-9
        )
        lon, lat = to_lonlat(
            tile.west + np.array([0, 2240, 2240, 0]), tile.north - np.array([0, 0, 2240, 2240])
        )
        west_, south, east, north_ = tile.bounds
        assert (south, north_) == pytest.approx((lat.min(), lat.max()), abs=1e-9)
        if np.ptp(lon) < 180:
            assert (west_, east) == pytest.approx((lon.min(), lon.max()), abs=1e-9)
        else:  # the ends of the two sides, not of the whole
            assert west_ == pytest.approx(lon[lon > 0].min(), abs=1e-9)
            assert east == pytest.approx(lon[lon < 0].max(), abs=1e-9)
        corners = np.array(tile.corners)
        assert np.ptp(corners[:, 0]) < 1
        assert abs(corners[:, 0].mean() - tile.lon) < 0.01
        np.testing.assert_allclose((corners[:, 0] - lon + 180) % 360, 180, atol=1e-9)
        np.testing.assert_allclose(corners[:, 1], lat, atol=1e-9)
    crossing = [tile for tile in tiles if tile.bounds[0] > tile.bounds[2]]
    assert bool(crossing) == (epsg in (32601, 32760))


def test_ids_are_readable_and_tell_tiles_apart():
    tile = places(SCENE, Lattice(), np.array([[360, 3560]]))[0]
    assert tile.id == "32654-2240-360-3560-20240512T012659-S2B"
    assert (tile.scene_ids, tile.regions) == ((SCENE.id,), ("r",))
    assert tile.collection == SCENE.collection
    late_in_tokyo = replace(
        tile, datetime=datetime(2024, 5, 13, 8, tzinfo=timezone(timedelta(hours=9)))
    )
    assert late_in_tokyo.id == "32654-2240-360-3560-20240512T230000-S2B"
    south_of_the_equator = replace(SCENE, epsg=32631, west=600_000, north=20)
    cells = Lattice().cells(32631, south_of_the_equator.footprint, south_of_the_equator.footprint)
    names = [tile.id for tile in places(south_of_the_equator, Lattice(), cells[:300])]
    assert names[0] == "32631-2240-536-0-20240512T012659-S2B"
    assert names[-1].startswith("32631-2240-547--3-")
    assert len(set(names)) == 300


def test_zones_side_by_side_each_hold_the_ground_between_them():
    area = Area.from_bbox(137.9, 35.9, 138.1, 36.1)  # the edge of zones 53 and 54 is at 138
    lattice = Lattice()
    for epsg in (32653, 32654):
        shape = area.in_utm(epsg)
        west, _, _, north = (round(edge, -4) for edge in shape.bounds)
        scene = replace(SCENE, epsg=epsg, west=west - 30_000, north=north + 30_000)
        tiles = places(scene, lattice, lattice.cells(epsg, scene.footprint, shape))
        middles = shapely.union_all(
            [shapely.box(t.west + 560, t.north - 1680, t.west + 1680, t.north - 560) for t in tiles]
        )
        assert middles.covers(shape)
        assert all(137.85 < tile.lon < 138.15 and 35.85 < tile.lat < 36.15 for tile in tiles)
        assert isinstance(tiles[0], Tile)
