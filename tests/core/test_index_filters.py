"""Filters: what is refused, and which plain conditions the rest becomes."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime

import pytest

from keenkite.area import Area
from keenkite.errors import InputError
from keenkite.index import Filters
from keenkite.index.filters import (
    Between,
    Box,
    Circle,
    Condition,
    During,
    Inside,
    OneNumber,
    OneOf,
    Polygon,
    TileIs,
)

RING = [(10.0, 50.0), (12.0, 50.0), (11.0, 52.0), (10.0, 50.0)]
HOLE = [(10.9, 50.5), (11.1, 50.5), (11.0, 50.7), (10.9, 50.5)]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"start": datetime(2024, 5, 1, 12)}, r"Filters.start is a moment.*datetime.date\(2024, 5"),
        ({"end": datetime(2024, 5, 1, 12)}, r"Filters.end is a moment"),
        ({"start": date(2024, 5, 2), "end": date(2024, 5, 1)}, "2024-05-02 is after .*swap them"),
        ({"max_cloud": -0.1}, r"Filters.max_cloud is -0.1"),
        ({"max_cloud": "lots"}, r"Filters.max_cloud is 'lots'"),
        ({"cover": {"sand": (0, 1)}}, "knows water, vegetation, bare, snow, not 'sand'"),
        ({"cover": {"cloud": (0, 1)}}, "not 'cloud'"),
        ({"cover": {"water": (0.5, 0.4)}}, r"\(lowest, highest\).*not \(0.5, 0.4\)"),
        ({"cover": {"water": (-0.1, 0.4)}}, "lowest"),
        ({"cover": {"water": (0.1, 1.1)}}, "lowest"),
        ({"cover": {"water": (math.nan, 1)}}, "lowest"),
        ({"cover": {"water": (0.1,)}}, "lowest"),
        ({"cover": {"water": (0.1, 0.2, 0.3)}}, "lowest"),
        ({"regions": "kanto"}, r"Filters.regions is a tuple.*write \('kanto',\)"),
        ({"scenes": "s"}, r"Filters.scenes is a tuple"),
        ({"cells": "c"}, r"Filters.cells is a tuple"),
        ({"tile_ids": "t"}, r"Filters.tile_ids is a tuple"),
        ({"spans": 2240}, r"Filters.spans is a tuple of widths.*write \(2240,\)"),
    ],
)
def test_what_cannot_be_meant_is_refused(wrong: dict[str, object], says: str) -> None:
    with pytest.raises(InputError, match=says):
        Filters(**wrong)  # type: ignore[arg-type]


NOTHING = (
    Filters(),
    Filters(max_cloud=1),
    Filters(max_cloud=100),
    Filters(max_cloud="100%"),
    Filters(regions=(), scenes=(), cells=(), tile_ids=(), spans=(), cover={}),
)


@pytest.mark.parametrize("filters", NOTHING)
def test_what_does_not_restrict_is_no_condition(filters: Filters) -> None:
    assert filters.conditions() == ()
    assert not filters


def of_day(day: int) -> datetime:
    return datetime(2024, 5, day, tzinfo=UTC)


@pytest.mark.parametrize(
    ("filters", "condition"),
    [
        (Filters(tile_ids=("a", "b")), TileIs(tile_ids=("a", "b"))),
        (Filters(cells=("a",)), OneOf(key="cell", values=("a",))),
        (Filters(scenes=("a", "b")), OneOf(key="scene_ids", values=("a", "b"))),
        (Filters(regions=("a",)), OneOf(key="regions", values=("a",))),
        (Filters(spans=(2240, 300.00049)), OneNumber(key="span", values=(2240, 300.0))),
        (Filters(max_cloud=0), Between(key="cloud", low=None, high=0.0)),
        (Filters(max_cloud=20), Between(key="cloud", low=None, high=0.2)),
        (Filters(max_cloud="1%"), Between(key="cloud", low=None, high=0.01)),
        (Filters(cover={"snow": (0.25, 1)}), Between(key="snow", low=0.25, high=1)),
        (Filters(cover={"bare": (0, 0)}), Between(key="bare", low=0, high=0)),
        (
            Filters(start=date(2024, 5, 3)),
            During(key="datetime", start=of_day(3), before=None),
        ),
        (
            Filters(end=date(2024, 5, 3)),
            During(key="datetime", start=None, before=of_day(4)),
        ),
        (
            Filters(start=date(2024, 5, 3), end=date(2024, 5, 3)),
            During(key="datetime", start=of_day(3), before=of_day(4)),
        ),
        (Filters(end=date.max), During(key="datetime", start=None, before=None)),
        (
            Filters(area=Area.around(10, 50, 3)),
            Inside(key="location", shapes=(Circle(lon=10, lat=50, metres=3000),)),
        ),
    ],
)
def test_what_is_asked_becomes_one_plain_condition(filters: Filters, condition: Condition) -> None:
    assert filters.conditions() == (condition,)
    assert filters


def test_everything_that_is_asked_must_hold() -> None:
    asked: dict[str, object] = {
        "tile_ids": ("t",), "cells": ("c",), "scenes": ("s",), "regions": ("r",),
        "spans": (2240,), "start": date(2024, 5, 1), "area": Area.around(10, 50, 3),
        "max_cloud": 0.3, "cover": {"water": (0.1, 1), "bare": (0, 0.5)},
    }  # fmt: skip
    found = Filters(**asked).conditions()  # type: ignore[arg-type]
    alone = [
        condition
        for name, value in asked.items()
        for condition in Filters(**{name: value}).conditions()  # type: ignore[arg-type]
    ]
    assert len(found) == 10
    assert sorted(map(repr, found)) == sorted(map(repr, alone))


def shapes(area: Area) -> tuple[object, ...]:
    (inside,) = Filters(area=area).conditions()
    assert isinstance(inside, Inside)
    return inside.shapes


def test_a_box_takes_in_its_edges_by_one_float() -> None:
    (box,) = shapes(Area.from_bbox(10, 50, 12, 52))
    assert isinstance(box, Box)
    assert box.west < 10 < 12 < box.east
    assert box.south < 50 < 52 < box.north
    for edge, given in ((box.west, 10), (box.south, 50), (box.east, 12), (box.north, 52)):
        assert abs(edge - given) < 1e-13


def test_a_box_goes_no_further_than_the_earth() -> None:
    (box,) = shapes(Area.from_bbox(-180, -90, 180, 90))
    assert box == Box(west=-180, south=-90, east=180, north=90)


def test_a_box_across_180_is_two() -> None:
    east, west = sorted(shapes(Area.from_bbox(170, -20, -170, -10)), key=repr, reverse=True)
    assert isinstance(west, Box)
    assert isinstance(east, Box)
    assert {west.west, east.east} == {-180.0, 180.0}


def test_a_polygon_keeps_its_holes_and_one_that_is_a_box_is_sent_as_one() -> None:
    whole = Area.from_geojson({"type": "Polygon", "coordinates": [RING, HOLE]})
    (polygon,) = shapes(whole)
    assert isinstance(polygon, Polygon)
    assert [set(ring) for ring in polygon.rings] == [set(RING), set(HOLE)]
    assert all(ring[0] == ring[-1] for ring in polygon.rings)
    square = [(10, 50), (12, 50), (12, 52), (10, 52), (10, 50)]
    (box,) = shapes(Area.from_geojson({"type": "Polygon", "coordinates": [square]}))
    assert isinstance(box, Box)
