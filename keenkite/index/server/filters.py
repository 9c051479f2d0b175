"""Our conditions and payload indexes in the words of Qdrant's HTTP client."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qdrant_client import models

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
    "geo": models.GeoIndexParams(type=models.GeoIndexType.GEO, enable_hnsw=False),
    "datetime": models.DatetimeIndexParams(
        type=models.DatetimeIndexType.DATETIME, enable_hnsw=False
    ),
    "keyword": models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, enable_hnsw=False),
    "float": models.FloatIndexParams(type=models.FloatIndexType.FLOAT, enable_hnsw=False),
}
"""By kind of payload index, as `backend.PAYLOAD_INDEXES` names them."""


def client_filter(conditions: Sequence[Condition]) -> models.Filter:
    """All conditions at once; none lets everything through."""
    return models.Filter(must=[_condition(condition) for condition in conditions])


def _condition(condition: Condition) -> models.Condition:
    match condition:
        case WithId(ids=ids):
            return models.HasIdCondition(has_id=list(ids))
        case AnyNumber(key=key, values=values):
            equal: list[models.Condition] = [
                models.FieldCondition(key=key, range=models.Range(gte=v, lte=v)) for v in values
            ]
            return models.Filter(should=equal)
        case OneOf(key=key, values=values):
            return models.FieldCondition(key=key, match=models.MatchAny(any=list(values)))
        case Between(key=key, low=low, high=high):
            return models.FieldCondition(key=key, range=models.Range(gte=low, lte=high))
        case During(key=key, start=start, before=before):
            moments = models.DatetimeRange(gte=start, lt=before)
            return models.FieldCondition(key=key, range=moments)
        case Inside(key=key, shapes=shapes):
            return models.Filter(should=[_inside(key, shape) for shape in shapes])


def _inside(key: str, shape: Shape) -> models.FieldCondition:
    def point(lon: float, lat: float) -> models.GeoPoint:
        return models.GeoPoint(lon=lon, lat=lat)

    match shape:
        case Box(west=west, south=south, east=east, north=north):
            box = models.GeoBoundingBox(
                top_left=point(west, north), bottom_right=point(east, south)
            )
            return models.FieldCondition(key=key, geo_bounding_box=box)
        case Circle(lon=lon, lat=lat, metres=metres):
            circle = models.GeoRadius(center=point(lon, lat), radius=metres)
            return models.FieldCondition(key=key, geo_radius=circle)
        case _:
            outer, *holes = [
                models.GeoLineString(points=[point(lon, lat) for lon, lat in ring])
                for ring in shape.rings
            ]
            polygon = models.GeoPolygon(exterior=outer, interiors=holes or None)
            return models.FieldCondition(key=key, geo_polygon=polygon)
