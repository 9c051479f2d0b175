"""Areas out of GeoJSON as people and programs write it."""

import pytest

from keenkite.area import Area
from keenkite.errors import InputError

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
