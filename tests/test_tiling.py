"""The lattice of tiles, and cutting strips into them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pyproj
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from keenkite.area import Area
from keenkite.errors import InputError, SceneError
from keenkite.scene import Scene, Strip, Window
from keenkite.tiling import Lattice, Tile, TileCutter

SCENE = Scene(
    id="S2B_T54SUE_20240512T012659_L2A",
    collection="sentinel-2-c1-l2a",
    epsg=32654,
    west=399960.0,
    north=4000020.0,
    width=10980,
    height=10980,
    datetime=datetime(2024, 5, 12, 1, 26, 59, tzinfo=UTC),
    platform="S2B",
    grid_code="54SUE",
    cloud=3.0,
    assets={},
)
SMALL = Lattice(size=12, stride=5)


def draw(scene, seed=0):
    """Pixels of a scene: RGB of noise, SCL in blocks and specks."""
    rng = np.random.default_rng(seed)
    rgb = rng.integers(0, 256, (scene.height, scene.width, 3), dtype=np.uint8)
    blocks = rng.integers(0, 12, (scene.height // 8 + 1, scene.width // 8 + 1), dtype=np.uint8)
    scl = blocks.repeat(8, axis=0).repeat(8, axis=1)[: scene.height, : scene.width]
    specks = rng.random(scl.shape) < 0.1
    scl[specks] = rng.integers(0, 12, specks.sum(), dtype=np.uint8)
    return rgb, scl


def strips(window, rgb, scl, heights, *, margin=0):
    """A window of pictures as strips of the given heights in turn, with more columns around."""
    begin, end = max(window.col - margin, 0), window.col + window.cols + margin
    row, turn = window.row, 0
    while row < window.row + window.rows:
        stop = min(row + heights[turn % len(heights)], window.row + window.rows)
        yield Strip(row=row, col=begin, rgb=rgb[row:stop, begin:end], scl=scl[row:stop, begin:end])
        row, turn = stop, turn + 1


def cut_all(cutter, some_strips):
    tiles, pixels = [], []
    for strip in some_strips:
        for batch, rgb in cutter.cut(strip):
            assert 1 <= len(batch) == len(rgb) <= 128
            assert rgb.flags.c_contiguous
            assert rgb.dtype == np.uint8
            tiles += batch
            pixels += list(rgb)
    return tiles, pixels


# The lattice


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
@pytest.mark.parametrize("lattice", [Lattice(), Lattice(224, 224), Lattice(256, 100)], ids=repr)
def test_cells_are_those_whose_middle_meets_the_area_and_that_lie_in_the_scene(area, lattice):
    pitch, side = 10 * lattice.stride, 10 * lattice.size
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
    # Grid tiles next to each other: their origins differ by 99,960 m, no multiple of 1,120 m.
    east = replace(SCENE, id="neighbour", west=SCENE.west + 99_960)
    shared = SCENE.footprint.intersection(east.footprint)
    lattice = Lattice()
    cells = [lattice.cells(32654, scene.footprint, shared) for scene in (SCENE, east)]
    both = set(map(tuple, cells[0].tolist())) & set(map(tuple, cells[1].tolist()))
    inside = {
        (column, row)
        for column, row in both
        if shared.covers(
            shapely.box(column * 1120, row * 1120 - 2240, column * 1120 + 2240, row * 1120)
        )
    }
    assert len(both) == len(inside) == 7 * 96
    # No ground between them is lost: with each scene's own tiles, the middles join up.
    together = {column for column, _ in cells[0].tolist()} | {
        column for column, _ in cells[1].tolist()
    }
    assert together == set(range(min(together), max(together) + 1))

    world_rgb = np.random.default_rng(0).integers(0, 256, (10_980, 20_976, 3), dtype=np.uint8)
    some = np.array(sorted(both)[::97])
    found = []
    for scene in (SCENE, east):
        offset = round((scene.west - SCENE.west) / 10)
        rgb = world_rgb[:, offset : offset + 10_980]
        scl = np.full(rgb.shape[:2], 4, dtype=np.uint8)
        window = lattice.window(some, scene)
        cutter = TileCutter(scene, some, lattice, region="r")
        tiles, pixels = cut_all(cutter, strips(window, rgb, scl, [1024]))
        found.append({tile.id: shown for tile, shown in zip(tiles, pixels, strict=True)})
    assert found[0].keys() == found[1].keys()
    assert len(found[0]) == len(some)
    for name, shown in found[0].items():
        np.testing.assert_array_equal(shown, found[1][name])


def test_the_window_holds_just_the_pixels_of_the_cells():
    cells = np.array([[360, 3560], [362, 3550]])
    # The upper left corner of cell (360, 3560) is at 403,200 east and 3,987,200 north.
    assert Lattice().window(cells, SCENE) == Window(
        row=1282, col=324, rows=10 * 112 + 224, cols=2 * 112 + 224
    )


def test_a_window_that_cannot_be_is_refused():
    lattice = Lattice()
    with pytest.raises(InputError, match="no cells"):
        lattice.window(np.empty((0, 2), np.int64), SCENE)
    for cell in ((356, 3560), (455, 3560), (360, 3572), (360, 3474)):
        with pytest.raises(SceneError, match="reaches beyond its 10980 rows"):
            lattice.window(np.array([cell]), SCENE)
    for shifted in (replace(SCENE, west=399965.0), replace(SCENE, north=4000020.5)):
        with pytest.raises(SceneError, match="not a multiple of 10 m"):
            lattice.window(np.array([[360, 3560]]), shifted)


@pytest.mark.parametrize(
    ("size", "stride"), [(0, 1), (224, 0), (112, 224), (224.0, 112), ("224", 112), (True, True)]
)
def test_a_lattice_that_cannot_be_is_refused(size, stride):
    with pytest.raises(InputError, match=r"(size|stride) (is|2)"):
        Lattice(size, stride)


# Cutting


@given(
    seed=st.integers(0, 1000),
    shape=st.tuples(st.integers(12, 90), st.integers(12, 90)),
    origin=st.tuples(st.integers(0, 9), st.integers(0, 9)),
    size=st.integers(1, 12),
    stride=st.integers(1, 12),
    heights=st.lists(st.integers(1, 40), min_size=1, max_size=4),
    share=st.floats(0.05, 1),
    margin=st.integers(0, 3),
    limits=st.tuples(st.sampled_from([0, 0.1, 0.5, 1]), st.sampled_from([0, 0.2, 0.4, 1])),
)
@settings(deadline=None, max_examples=150)
def test_every_tile_is_a_plain_slice_of_the_scene_however_it_is_cut_into_strips(
    seed, shape, origin, size, stride, heights, share, margin, limits
):
    lattice = Lattice(size=size, stride=min(size, stride))
    max_nodata, max_cloud = limits
    scene = replace(
        SCENE,
        height=shape[0],
        width=shape[1],
        west=SCENE.west + 10 * origin[0],
        north=SCENE.north + 10 * origin[1],
    )
    rgb, scl = draw(scene, seed)
    cells = lattice.cells(scene.epsg, scene.footprint, scene.footprint)
    rng = np.random.default_rng(seed)
    cells = rng.permutation(cells)[: max(round(share * len(cells)), 1)]
    if not len(cells):
        return

    expected, dropped = {}, {"nodata": 0, "cloud": 0}
    for column, row in sorted(cells.tolist(), key=lambda cell: (-cell[1], cell[0])):
        left = round(column * lattice.stride - scene.west / 10)
        top = round(scene.north / 10 - row * lattice.stride)
        square = np.s_[top : top + size, left : left + size]
        classes = scl[square]
        valid = (classes != 0).sum()
        cloud = np.isin(classes, [8, 9, 10]).sum()
        if (size**2 - valid) / size**2 > max_nodata + 1e-12:
            dropped["nodata"] += 1
        elif cloud / max(valid, 1) > max_cloud:
            dropped["cloud"] += 1
        else:
            shares = [cloud, *((classes == kind).sum() for kind in (6, 4, 5, 11))]
            expected[column, row] = (
                rgb[square],
                [*(share / max(valid, 1) for share in shares), valid / size**2],
            )

    cutter = TileCutter(
        scene, cells, lattice, region="r", max_nodata=max_nodata, max_cloud=max_cloud
    )
    assert cutter.left == len(cells)
    window = lattice.window(cells, scene)
    tiles, pixels = cut_all(cutter, strips(window, rgb, scl, heights, margin=margin))
    assert [(tile.column, tile.row) for tile in tiles] == list(expected)
    for tile, shown in zip(tiles, pixels, strict=True):
        slice_, fractions = expected[tile.column, tile.row]
        np.testing.assert_array_equal(shown, slice_)
        np.testing.assert_allclose(
            [tile.cloud, tile.water, tile.vegetation, tile.bare, tile.snow, tile.valid], fractions
        )
    assert dict(cutter.dropped) == dropped
    assert cutter.left == 0


def test_fractions_are_right_for_tiles_of_more_rows_than_a_byte_counts():
    lattice = Lattice(size=600, stride=300)
    scene = replace(SCENE, width=1300, height=1300)
    cells = lattice.cells(scene.epsg, scene.footprint, scene.footprint)
    rgb = np.zeros((1300, 1300, 3), np.uint8)
    window = lattice.window(cells, scene)
    for kind, name in {6: "water", 4: "vegetation", 5: "bare", 11: "snow"}.items():
        cutter = TileCutter(scene, cells, lattice, region="r")
        tiles, _ = cut_all(
            cutter, strips(window, rgb, np.full((1300, 1300), kind, np.uint8), [700])
        )
        assert len(tiles) == len(cells) > 0
        assert {(getattr(tile, name), tile.valid, tile.cloud) for tile in tiles} == {(1, 1, 0)}


def test_strips_may_begin_above_the_window_and_end_below_it():
    scene = replace(SCENE, width=60, height=60)
    rgb, scl = draw(scene)
    scl[:] = 4
    cells = SMALL.cells(scene.epsg, scene.footprint, scene.footprint)
    cells = cells[(cells[:, 1] < cells[0, 1] - 2) & (cells[:, 1] > cells[-1, 1] + 2)]
    window = SMALL.window(cells, scene)
    whole = Window(row=0, col=0, rows=60, cols=60)
    found = [
        cut_all(TileCutter(scene, cells, SMALL, region="r"), some)
        for some in (strips(window, rgb, scl, [9]), strips(whole, rgb, scl, [7]))
    ]
    assert found[0][0] == found[1][0]
    assert len(found[0][0]) == len(cells)
    np.testing.assert_array_equal(found[0][1], found[1][1])


def test_tiles_left_out_by_a_lost_strip_are_told():
    scene = replace(SCENE, width=60, height=60)
    rgb, scl = draw(scene)
    cells = SMALL.cells(scene.epsg, scene.footprint, scene.footprint)
    window = SMALL.window(cells, scene)
    first, second, *rest = strips(window, rgb, scl, [15])
    cutter = TileCutter(scene, cells, SMALL, region="r")
    cut_all(cutter, [first, second])
    assert 0 < cutter.left < len(cells)
    with pytest.raises(InputError, match=f"rows {rest[1].row} to .* where row {rest[0].row} of"):
        cutter.cut(rest[1])
    narrow = replace(rest[0], col=1, rgb=rest[0].rgb[:, 1:], scl=rest[0].scl[:, 1:])
    short = replace(rest[0], rgb=rest[0].rgb[:, :-1], scl=rest[0].scl[:, :-1])
    if window.col == 0:
        with pytest.raises(InputError, match="comes next"):
            cutter.cut(narrow)
    with pytest.raises(InputError, match="comes next"):
        cutter.cut(short)


@pytest.mark.parametrize(
    "limits", [{"max_nodata": 1.1}, {"max_cloud": -0.1}, {"max_cloud": np.nan}]
)
def test_limits_that_are_no_fractions_are_refused(limits):
    with pytest.raises(InputError, match="is a fraction from 0 to 1"):
        TileCutter(SCENE, np.array([[360, 3560]]), Lattice(), region="r", **limits)


# Where tiles are


def places(scene, lattice, cells):
    """The tiles of some cells of a scene without clouds."""
    window = lattice.window(cells, scene)
    size = (window.rows, window.cols)
    strip = Strip(
        row=window.row,
        col=window.col,
        rgb=np.zeros((*size, 3), np.uint8),
        scl=np.full(size, 4, np.uint8),
    )
    return cut_all(TileCutter(scene, cells, lattice, region="r"), [strip])[0]


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
    assert tile.id == "32654-360-3560-20240512-S2B"
    assert (tile.scene_id, tile.collection, tile.region) == (SCENE.id, SCENE.collection, "r")
    late_in_tokyo = replace(
        tile, datetime=datetime(2024, 5, 13, 8, tzinfo=timezone(timedelta(hours=9)))
    )
    assert late_in_tokyo.id == "32654-360-3560-20240512-S2B"
    south_of_the_equator = replace(SCENE, epsg=32631, west=600_000, north=20)
    cells = Lattice().cells(32631, south_of_the_equator.footprint, south_of_the_equator.footprint)
    names = [tile.id for tile in places(south_of_the_equator, Lattice(), cells[:300])]
    assert names[0] == "32631-536-0-20240512-S2B"
    assert names[-1].startswith("32631-547--3-")
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
