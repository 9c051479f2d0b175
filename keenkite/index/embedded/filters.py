"""Our conditions and payload indexes in the words of Qdrant Edge."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import qdrant_edge as engine

from keenkite.index.filters import (
    AnyNumber,
    Between,
    Box,
    Circle,
    Condition,
    During,
    Inside,
    OneOf,
    Shape,
    WithId,
)

INDEX_PARAMETERS: dict[str, Any] = {
    "geo": engine.GeoIndexParams,
    "datetime": engine.DatetimeIndexParams,
    "keyword": engine.KeywordIndexParams,
    "float": engine.FloatIndexParams,
}
"""By kind of payload index, as `backend.PAYLOAD_INDEXES` names them."""


def engine_filter(conditions: Sequence[Condition]) -> engine.Filter:
    """All conditions at once; none lets everything through."""
    return engine.Filter(must=[_condition(condition) for condition in conditions])


def _condition(condition: Condition) -> Any:
    match condition:
        case WithId(ids=ids):
            return engine.HasIdCondition(set(ids))
        case AnyNumber(key=key, values=values):
            equal: list[Any] = [
                engine.FieldCondition(key, range=engine.RangeFloat(gte=v, lte=v)) for v in values
            ]
            return engine.Filter(should=equal)
        case OneOf(key=key, values=values):
            return engine.FieldCondition(key, match=engine.MatchAny(list(values)))
        case Between(key=key, low=low, high=high):
            return engine.FieldCondition(key, range=engine.RangeFloat(gte=low, lte=high))
        case During(key=key, start=start, before=before):
            moments = engine.RangeDateTime(gte=_text(start), lt=_text(before))
            return engine.FieldCondition(key, range=moments)
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
