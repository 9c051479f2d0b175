"""Area: the ground a question or a build is about."""

import json
import math
import pickle

import numpy as np
import pyproj
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from keenkite.area import Area
from keenkite.errors import InputError

GEOD = pyproj.Geod(ellps="WGS84")
NAN, INF = float("nan"), float("inf")


def polygon(*ring):
    return {"type": "Polygon", "coordinates": [[list(position) for position in ring]]}


def square(west, south, east, north):
    return polygon((west, south), (east, south), (east, north), (west, north), (west, south))


def ellipsoid_km2(west, south, east, north):
    """Between two meridians and two parallels of WGS 84, in closed form (Snyder 1987, 3-11)."""
    a, e = GEOD.a, math.sqrt(GEOD.es)

    def below(lat):
        s = math.sin(math.radians(lat))
        return s / (1 - e * e * s * s) - math.log((1 - e * s) / (1 + e * s)) / (2 * e)

    strip = a * a * (1 - e * e) / 2 * (below(north) - below(south))
    return strip * math.radians(east - west) / 1e6


# Boxes


def test_a_box_is_its_corners_longitude_first():
    area = Area.from_bbox(139, 35, 140, 36)
    assert area.bboxes == ((139, 35, 140, 36),)
    assert [part.bounds for part in area.parts] == [(139, 35, 140, 36)]
    assert area.circle is None


def test_a_box_with_west_beyond_east_crosses_the_antimeridian():
    area = Area.from_bbox(178, -20, -177, -16)
    assert area.bboxes == ((178, -20, 180, -16), (-180, -20, -177, -16))
    assert area.km2 == pytest.approx(ellipsoid_km2(178, -20, 183, -16), rel=1e-6)


@pytest.mark.parametrize(
    ("box", "bounds"),
    [
        ((170, 0, -180, 5), (170, 0, 180, 5)),
        ((180, 0, -170, 5), (-180, 0, -170, 5)),
        ((-180, -90, 180, 90), (-180, -90, 180, 90)),
    ],
)
def test_a_box_that_ends_on_the_antimeridian_has_one_part(box, bounds):
    assert Area.from_bbox(*box).bboxes == (bounds,)
    assert len(Area.from_bbox(*box).parts) == 1


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ((35, 139, 36, 140), "south is 139, not a latitude.*longitude comes first"),
        ((139, 36, 140, 35), "south 36 is not below north 35.*west, south, east, north"),
        ((140, 35, 139, 36), "359° wide, so they seem swapped"),
        ((139, 35, 139, 36), "no width"),
        ((180, 35, -180, 36), "no width"),
        ((139, 35, 140, 35), "south 35 is not below north 35"),
        ((170, 35, 190, 36), "east is 190, not a longitude"),
        ((139, -91, 140, 35), "south is -91, not a latitude"),
        ((NAN, 35, 140, 36), "west must be a finite number, not nan"),
        ((139, 35, INF, 36), "east must be a finite number, not inf"),
        ((139, None, 140, 36), "south must be a finite number, not None"),
        ((139, 35, "140", 36), "east must be a finite number, not '140'"),
        ((139, 35, 140, True), "north must be a finite number, not True"),
        ((139, 35, 140, 10**400), "north must be a finite number"),
        ((0, 0, 5e-324, 5e-324), "too small"),
    ],
)
def test_a_box_that_cannot_be_meant_is_refused(box, message):
    with pytest.raises(InputError, match=message):
        Area.from_bbox(*box)


def test_numbers_of_numpy_are_numbers():
    assert Area.from_bbox(*np.array([139, 35, 140, 36])) == Area.from_bbox(139, 35, 140, 36)
    assert Area.around(*np.float32([139, 35, 2])) == Area.around(139, 35, 2)


# Circles


@settings(deadline=None)
@given(
    lon=st.floats(-180, 180),
    lat=st.floats(-80, 80),
    radius=st.floats(0.001, 1000),
)
def test_every_corner_of_a_circle_is_its_radius_away(lon, lat, radius):
    area = Area.around(lon, lat, radius)
    assert area.circle == (lon, lat, radius)
    assert all(part.is_valid for part in area.parts)
    corners = np.concatenate([shapely.get_coordinates(part) for part in area.parts])
    assert (np.abs(corners) <= [180, 90]).all()
    corners = corners[np.abs(corners[:, 0]) < 180]  # the cut at ±180 runs through the inside
    same = np.ones(len(corners))
    _, _, away = GEOD.inv(lon * same, lat * same, *corners.T)
    np.testing.assert_allclose(away, 1000 * radius, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("lon", [139.7, 179.95, -179.95, 180.0])
def test_a_circle_has_the_area_of_a_disc_wherever_it_is(lon):
    assert Area.around(lon, 10, 30).km2 == pytest.approx(math.pi * 30**2, rel=2e-4)


def test_a_circle_across_the_antimeridian_has_a_box_on_each_side():
    (west, _, edge, _), (other_edge, _, east, _) = Area.around(179.9, 10, 100).bboxes
    assert (edge, other_edge) == (180, -180)
    assert 178.9 < west < 179
    assert -179.3 < east < -179.1


@pytest.mark.parametrize(
    ("circle", "message"),
    [
        ((35.7, 139.7, 10), "longitude"),
        ((200, 35, 10), "order is longitude"),
        ((139, 35, 0), "radius_km is 0"),
        ((139, 35, -5), "radius_km is -5"),
        ((139, 35, 20_000), "radius_km is 20000"),
        ((139, 35, NAN), "radius_km must be a finite number"),
        ((139, 35, "10"), "radius_km must be a finite number"),
        ((None, 35, 10), "lon must be a finite number"),
        ((10, 89, 200), "reaches the pole"),
        ((10, -89, 200), "reaches the pole"),
        ((10, 90, 1), "reaches the pole"),
    ],
)
def test_a_circle_that_cannot_be_meant_is_refused(circle, message):
    with pytest.raises(InputError, match=message):
        Area.around(*circle)


# Equality, and as text

BOX = Area.from_bbox(139, 35, 140, 36)
CROSSING = Area.from_bbox(170, -10, -170, 10)


def test_an_area_survives_json_and_pickle():
    rings = square(170, -10, 190, 10)["coordinates"] + square(-178, -5, -175, 5)["coordinates"]
    for area in (BOX, CROSSING, Area.from_geojson({"type": "Polygon", "coordinates": rings})):
        again = Area.from_geojson(json.loads(json.dumps(area.to_geojson())))
        assert again == area
        assert hash(again) == hash(area)
        assert pickle.loads(pickle.dumps(area)) == area
    assert BOX != CROSSING
    assert all(part.exterior.is_ccw for part in CROSSING.parts)


def test_an_area_is_short_in_a_log():
    assert repr(BOX) == "<Area of 10,066.3 km² in (139, 35, 140, 36)>"
    assert repr(Area.around(139.7, 35.6, 3)) == "Area.around(139.7, 35.6, 3)"


# Size, and shape in a UTM zone


@given(
    west=st.floats(-180, 170),
    south=st.floats(-85, 80),
    width=st.floats(0.01, 60),
    height=st.floats(0.01, 5),
)
@settings(deadline=None, max_examples=50)
def test_the_size_is_that_on_the_ellipsoid(west, south, width, height):
    east, north = west + width, south + height
    area = Area.from_bbox(west, south, (east + 180) % 360 - 180, north)
    assert area.km2 == pytest.approx(ellipsoid_km2(west, south, east, north), rel=1e-4)


@given(
    zone=st.sampled_from([1, 2, 31, 54, 59, 60]),
    hemisphere=st.sampled_from([32600, 32700]),
    offset=st.floats(-9, 9),
    south=st.floats(-78, 76),
    width=st.floats(0.05, 8),
    height=st.floats(0.05, 6),
)
@settings(deadline=None, max_examples=60)
def test_a_place_is_in_the_area_where_it_is_in_its_shape_in_utm(
    zone, hemisphere, offset, south, width, height
):
    west = 6 * zone - 183 + offset - width / 2
    turn = [360 if lon < -180 else -360 if lon > 180 else 0 for lon in (west, west + width)]
    area = Area.from_bbox(west + turn[0], south, west + width + turn[1], south + height)
    shape = area.in_utm(hemisphere + zone)
    assert shape.is_valid
    assert shape.geom_type == "Polygon"
    # Places as near as two metres to the edges of the area, inside and out.
    near = 2 / 111_000 / math.cos(math.radians(south + height))
    x, y = np.meshgrid(
        [-0.3, -near / width, near / width, 0.4, 1 - near / width, 1 + near / width, 1.2],
        [-0.3, -near / height, near / height, 0.6, 1 - near / height, 1 + near / height, 1.2],
    )
    lon, lat = west + width * x, south + height * y
    inside = (x > 0) & (x < 1) & (y > 0) & (y < 1)
    project = pyproj.Transformer.from_crs(4326, hemisphere + zone, always_xy=True).transform
    found = shapely.contains_xy(shape, *project(lon, lat))
    np.testing.assert_array_equal(found, inside)


@pytest.mark.parametrize("epsg", [32660, 32601, 32760, 32701])
def test_an_area_across_the_antimeridian_is_one_piece_in_either_zone(epsg):
    area = Area.from_bbox(179, 60, -179, 61)
    shape = area.in_utm(epsg)
    assert shape.geom_type == "Polygon"
    assert not shape.interiors
    # Near the zone's edge lengths are 0.9996 to 1.0003 of those on the ground.
    assert shape.area / 1e6 == pytest.approx(area.km2, rel=1.5e-3)


def test_southern_zones_differ_by_their_false_northing():
    area = Area.from_bbox(-60, -1, -59, 1)
    north, south = area.in_utm(32621), area.in_utm(32721)
    assert shapely.get_coordinates(south - north).size == shapely.get_coordinates(south).size
    np.testing.assert_allclose(np.subtract(south.bounds, north.bounds), [0, 1e7, 0, 1e7], atol=1e-6)


def test_what_no_image_of_the_zone_reaches_is_cut_off():
    assert Area.from_bbox(-100, 30, -90, 40).in_utm(32654).is_empty
    far = {
        "type": "GeometryCollection",
        "geometries": [square(139, 35, 140, 36), square(0, 0, 1, 1)],
    }
    assert Area.from_geojson(far).in_utm(32654).equals(BOX.in_utm(32654))
    for epsg in (32601, 32631, 32760):
        world = Area.from_bbox(-180, -90, 180, 90).in_utm(epsg)
        assert world.is_valid
        assert np.isfinite(shapely.get_coordinates(world)).all()


def test_edges_closer_than_their_bend_do_not_make_an_invalid_shape():
    # The middle corner of the upper edge lies under the straight line between the lower corners.
    sliver = polygon(
        (140.98, 60), (141.02, 60), (141.02, 60.000001), (141, 60.0000005), (140.98, 60.000001)
    )
    shape = Area.from_geojson(sliver).in_utm(32654)
    assert shape.is_valid
    assert shape.area > 0


@pytest.mark.parametrize("epsg", [4326, 32600, 32661, 32800, 3857])
def test_a_zone_that_is_none_is_refused(epsg):
    with pytest.raises(InputError, match=f"EPSG:{epsg} is not a UTM zone"):
        BOX.in_utm(epsg)
