"""Areas out of GeoJSON as people and programs write it."""

import json

import pytest
import shapely
from pyproj import Transformer

from keenkite.area import Area
from keenkite.cli.arguments import parser
from keenkite.cli.opening import area_of
from keenkite.errors import InputError
from keenkite.geojson import read_geojson
from keenkite.settings import Settings

NAN = float("nan")
BOX = Area.from_bbox(139, 35, 140, 36)
CROSSING = Area.from_bbox(170, -10, -170, 10)


def polygon(*ring):
    return {"type": "Polygon", "coordinates": [[list(position) for position in ring]]}


def square(west, south, east, north):
    return polygon((west, south), (east, south), (east, north), (west, north), (west, south))


@pytest.mark.parametrize(
    "obj",
    [
        square(139, 35, 140, 36),
        polygon((139, 35), (140, 35), (140, 36), (139, 36)),  # not closed
        polygon((139, 35), (139, 36), (140, 36), (140, 35), (139, 35)),  # clockwise
        polygon((139, 35, 7), (140, 35, 7), (140, 36, 7), (139, 36, 7), (139, 35, 7)),
        square(499, 35, 500, 36) | {"coordinates": square(-221, 35, -220, 36)["coordinates"]},
        {"type": "Feature", "properties": None, "geometry": square(139, 35, 140, 36)},
        {
            "type": "MultiPolygon",
            "coordinates": [
                square(139, 35, 139.75, 36)["coordinates"],
                square(139.5, 35, 140, 36)["coordinates"],
            ],
        },
        {
            "type": "FeatureCollection",
            "features": [
                {"type": "Feature", "geometry": None},
                {
                    "type": "Feature",
                    "geometry": {
                        "type": "GeometryCollection",
                        "geometries": [square(139, 35, 139.5, 36), square(139.5, 35, 140, 36)],
                    },
                },
            ],
        },
    ],
)
def test_the_same_ground_is_the_same_area_however_geojson_says_it(obj):
    area = Area.from_geojson(obj)
    assert area.bboxes == BOX.bboxes
    assert len(area.parts) == 1
    assert area.parts[0].equals(BOX.parts[0])
    assert area.km2 == pytest.approx(BOX.km2, rel=1e-9)


@pytest.mark.parametrize(
    "obj",
    [
        CROSSING.to_geojson(),  # cut, RFC 7946
        square(170, -10, 190, 10),  # goes on
        square(-190, -10, -170, 10),
        square(170, -10, -170, 10),  # jumps
        polygon((170, -10), (180, -10), (-180, -10), (-170, -10), (-170, 10), (170, 10)),
    ],
)
def test_outlines_across_the_antimeridian_are_understood_in_each_usual_style(obj):
    area = Area.from_geojson(obj)
    assert area.bboxes == CROSSING.bboxes
    for part, other in zip(area.parts, CROSSING.parts, strict=True):
        assert part.equals(other)


@pytest.mark.parametrize("turn", [0, -360])
def test_a_hole_beyond_the_antimeridian_stays_a_hole(turn):
    rings = square(170, -10, 190, 10)["coordinates"]
    rings += square(182 + turn, -5, 185 + turn, 5)["coordinates"]
    area = Area.from_geojson({"type": "Polygon", "coordinates": rings})
    hole = Area.from_bbox(-178, -5, -175, 5)
    assert area.km2 == pytest.approx(CROSSING.km2 - hole.km2, rel=1e-9)


def test_an_edge_from_minus_180_to_180_is_the_long_way_round():
    assert Area.from_geojson(square(-180, -60, 180, 60)) == Area.from_bbox(-180, -60, 180, 60)
    antarctica = polygon((-180, -90), (180, -90), (180, -80), (60, -70), (-60, -70), (-180, -80))
    assert Area.from_geojson(antarctica).bboxes == ((-180, -90, 180, -70),)


def test_parts_far_apart_are_boxed_the_short_way_round():
    two = {
        "type": "GeometryCollection",
        "geometries": [square(175, 0, 176, 1), square(-150, 0, -149, 1)],
    }
    assert Area.from_geojson(two).bboxes == ((175, 0, 176, 1), (-150, 0, -149, 1))
    two = {
        "type": "GeometryCollection",
        "geometries": [square(-9, 40, -8, 41), square(20, 50, 21, 51)],
    }
    assert Area.from_geojson(two).bboxes == ((-9, 40, 21, 51),)


@pytest.mark.parametrize(
    ("obj", "message"),
    [
        ("Tokyo", "'Tokyo' is not GeoJSON"),
        (None, "None is not GeoJSON"),
        ([[139, 35]], "is not GeoJSON"),
        ({}, 'has a "type"'),
        ({"type": "Point", "coordinates": [139, 35]}, "not of a 'Point'.*Area.around"),
        ({"type": "FeatureCollection", "features": []}, "holds no polygon"),
        ({"type": "Feature", "geometry": None}, "holds no polygon"),
        ({"type": "FeatureCollection"}, "features .* must be an array, not None"),
        ({"type": "Polygon", "coordinates": []}, "has no rings"),
        ({"type": "Polygon", "coordinates": [[]]}, "fewer than three corners"),
        ({"type": "Polygon", "coordinates": [[139, 35]]}, "must be an array, not 139"),
        (polygon((139, 35), (140, 36), (139, 35)), "fewer than three corners"),
        (polygon((139, 35), (140, 36), (141, 37), (139, 35)), "polygon 1"),
        (
            polygon((35, 139), (36, 139), (36, 140), (35, 140)),
            r"\[35, 139\].*longitude comes first",
        ),
        (polygon((139, 35), (NAN, 35), (140, 36)), "finite numbers"),
        (polygon((139, 35), ("140", 35), (140, 36)), "finite numbers"),
        (polygon((139,), (140, 35), (140, 36)), "finite numbers"),
        (polygon((0, 0), (1, 1), (1, 0), (0, 1)), "Self-intersection"),
        (polygon((0, 80), (120, 80), (-120, 80)), "goes round a pole"),
        (square(-200, 0, 200, 1), "round the world more than once"),
        (polygon((-200, 0), (-60, 0), (80, 0), (200, 0), (0, 9)), "round the world more than once"),
    ],
)
def test_geojson_that_is_no_area_is_refused_with_the_reason(obj, message):
    with pytest.raises(InputError, match=message):
        Area.from_geojson(obj)


# Files, and other coordinate systems


def utm_square(west=400_000.0, south=3_900_000.0, size=10_000.0):
    return polygon(
        (west, south),
        (west + size, south),
        (west + size, south + size),
        (west, south + size),
        (west, south),
    )


def crs(name):
    return {"type": "name", "properties": {"name": name}}


@pytest.mark.parametrize(
    "member",
    [
        crs("urn:ogc:def:crs:EPSG::32654"),
        crs("EPSG:32654"),
        crs("epsg:32654"),
        crs("+init=epsg:32654"),
        crs("http://www.opengis.net/def/crs/EPSG/0/32654"),
        {"type": "EPSG", "properties": {"code": 32654}},
        "EPSG:32654",
    ],
)
@pytest.mark.parametrize("place", ["geometry", "feature", "collection"])
def test_another_coordinate_system_is_reprojected(member, place):
    """By pyproj, corner by corner; and the edges lie where they lie on the ground."""
    obj = utm_square()
    if place == "geometry":
        obj |= {"crs": member}
    obj = {"type": "Feature", "geometry": obj} | ({"crs": member} if place == "feature" else {})
    obj = {"type": "FeatureCollection", "features": [obj]}
    if place == "collection":
        obj |= {"crs": member}
    area = Area.from_geojson(obj)
    to_degrees = Transformer.from_crs(32654, 4326, always_xy=True)
    (part,) = area.parts
    for x, y in utm_square()["coordinates"][0]:
        assert part.exterior.distance(shapely.Point(to_degrees.transform(x, y))) < 1e-9
    exact = shapely.box(400_000, 3_900_000, 410_000, 3_910_000)
    assert area.in_utm(32654).symmetric_difference(exact).area < 100, "square metres of 100 km2"


@pytest.mark.parametrize(
    "member",
    [
        crs("urn:ogc:def:crs:OGC:1.3:CRS84"),
        crs("OGC:CRS84"),
        crs("urn:ogc:def:crs:EPSG::4326"),
        {"type": "EPSG", "properties": {"code": 4326}},
        None,
    ],
)
def test_degrees_of_wgs_84_stay_as_they_are(member):
    assert Area.from_geojson(square(139, 35, 140, 36) | {"crs": member}) == BOX


def test_a_square_of_the_antimeridian_zone_is_cut_there():
    area = Area.from_geojson(utm_square(162_000, 8_000_000, 40_000) | {"crs": crs("EPSG:32701")})
    west, east = area.bboxes
    assert west[2] == 180
    assert east[0] == -180
    assert area.km2 == pytest.approx(1600, rel=0.01)


@pytest.mark.parametrize(
    ("member", "named"),
    [
        (crs("EPSG:999999"), "'EPSG:999999'"),
        (crs("our local grid"), "'our local grid'"),
        (crs("IAU_2015:30100"), "Moon"),
        (crs("EPSG:5773"), "'EPSG:5773'"),  # heights
        ({"type": "link", "properties": {"href": "http://example.com/crs"}}, "link"),
        (crs(None), "None"),
        (5.5, r"5\.5"),
    ],
)
def test_a_coordinate_system_that_is_not_known_is_refused_by_its_name(member, named):
    with pytest.raises(InputError, match=f"coordinate system .*{named}.*reproject it to longitude"):
        Area.from_geojson(utm_square() | {"crs": member})


@pytest.mark.parametrize("x", [1e30, -1e9])
def test_what_no_projection_reaches_is_refused(x):
    with pytest.raises(InputError, match=r"outside of where WGS 84 / UTM zone 54N|not on Earth"):
        Area.from_geojson(utm_square(x) | {"crs": crs("EPSG:32654")})


def test_metres_without_a_coordinate_system_are_told_how_to_name_it():
    with pytest.raises(InputError, match="in metres must name its system in a crs member"):
        Area.from_geojson(utm_square())


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-8", "utf-16"])
def test_a_file_may_begin_with_a_byte_order_mark(encoding, tmp_path):
    file = tmp_path / "area.geojson"
    text = json.dumps(square(139, 35, 140, 36) | {"name": "Süd"}, ensure_ascii=False)
    file.write_bytes(text.encode(encoding))
    assert Area.from_geojson(read_geojson(file)) == BOX


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe\x00", b"[" * 100_000, b"kml"])
def test_a_file_that_is_none_is_named(content, tmp_path):
    file = tmp_path / "area.geojson"
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"area\.geojson is no GeoJSON file to be read"):
        read_geojson(file)
    with pytest.raises(InputError, match="nowhere is no GeoJSON file to be read"):
        read_geojson(tmp_path / "nowhere")


def test_the_command_line_reads_such_files(tmp_path):
    file = tmp_path / "area.geojson"
    content = json.dumps(utm_square() | {"crs": crs("EPSG:32654")})
    file.write_bytes(b"\xef\xbb\xbf" + content.encode())
    words = ["build", "--area", str(file), "--start", "2024-05-01", "--end", "2024-05-02"]
    area = area_of(parser(Settings()).parse_args(words))
    assert area == Area.from_geojson(json.loads(content))
