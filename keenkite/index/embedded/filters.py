"""Our conditions and payload indexes in the words of Qdrant Edge."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import qdrant_edge as engine

from keenkite.index.filters import (
    Between,
    Box,
    Circle,
    Condition,
    During,
    Inside,
    OneNumber,
    OneOf,
    Only,
    Shape,
    TileIs,
)
from keenkite.index.payload import point_id

INDEX_PARAMETERS: dict[str, Any] = {
    "geo": engine.GeoIndexParams,
    "datetime": engine.DatetimeIndexParams,
    "keyword": engine.KeywordIndexParams,
    "float": engine.FloatIndexParams,
}
"""By kind of payload index, as `payload.INDEXES` names them."""


def engine_filter(
    conditions: Sequence[Condition], *, ids: Sequence[str] | None = None
) -> engine.Filter:
    """All conditions at once, of the points of some ids if any are given; none lets all through."""
    must: list[Any] = [_condition(condition) for condition in conditions]
    if ids is not None:
        must.append(engine.HasIdCondition(set(ids)))
    return engine.Filter(must=must)


def _condition(
    condition: Condition,
) -> engine.FieldCondition | engine.HasIdCondition | engine.Filter:
    field = engine.FieldCondition
    match condition:
        case TileIs(tile_ids=tile_ids):
            return engine.HasIdCondition({point_id(tile_id) for tile_id in tile_ids})
        case Only(key=key, value=value):
            one = engine.ValuesCount(gte=1, lte=1)
            there = field(key, match=engine.MatchValue(value))
            return engine.Filter(must=[there, field(key, values_count=one)])
        case OneNumber(key=key, values=numbers):
            ranges = [engine.RangeFloat(gte=number, lte=number) for number in numbers]
            return engine.Filter(should=[field(key, range=each) for each in ranges])
        case OneOf(key=key, values=values):
            return field(key, match=engine.MatchAny(list(values)))
        case Between(key=key, low=low, high=high):
            return field(key, range=engine.RangeFloat(gte=low, lte=high))
        case During(key=key, start=start, before=before):
            moments = engine.RangeDateTime(gte=_text(start), lt=_text(before))
            return field(key, range=moments)
        case Inside(key=key, shapes=shapes):
            return engine.Filter(should=[_inside(key, shape) for shape in shapes])


def _inside(key: str, shape: Shape) -> engine.FieldCondition:
    point = engine.GeoPoint
    match shape:
        case Box(west=west, south=south, east=east, north=north):
            box = engine.GeoBoundingBox(
                top_left=point(west, north), bottom_right=point(east, south)
            )
            return engine.FieldCondition(key, geo_bounding_box=box)
        case Circle(lon=lon, lat=lat, metres=metres):
            circle = engine.GeoRadius(center=point(lon, lat), radius=metres)
            return engine.FieldCondition(key, geo_radius=circle)
        case _:
            outer, *holes = [[point(lon, lat) for lon, lat in ring] for ring in shape.rings]
            polygon = engine.GeoPolygon(exterior=outer, interiors=holes or None)
            return engine.FieldCondition(key, geo_polygon=polygon)


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
