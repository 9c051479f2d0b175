"""Our conditions and payload indexes in the words of Qdrant's HTTP client."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qdrant_client import models

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
    "geo": models.GeoIndexParams(type=models.GeoIndexType.GEO, enable_hnsw=False),
    "datetime": models.DatetimeIndexParams(
        type=models.DatetimeIndexType.DATETIME, enable_hnsw=False
    ),
    "keyword": models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, enable_hnsw=False),
    "float": models.FloatIndexParams(type=models.FloatIndexType.FLOAT, enable_hnsw=False),
}
"""By kind of payload index, as `payload.INDEXES` names them."""


def client_filter(
    conditions: Sequence[Condition], *, ids: Sequence[str] | None = None
) -> models.Filter:
    """All conditions at once, of the points of some ids if any are given; none lets all through."""
    must: list[Any] = [_condition(condition) for condition in conditions]
    if ids is not None:
        must.append(models.HasIdCondition(has_id=list(ids)))
    return models.Filter(must=must)


def _condition(
    condition: Condition,
) -> models.FieldCondition | models.HasIdCondition | models.Filter:
    field = models.FieldCondition
    match condition:
        case TileIs(tile_ids=tile_ids):
            return models.HasIdCondition(has_id=[point_id(tile_id) for tile_id in tile_ids])
        case Only(key=key, value=value):
            one = models.ValuesCount(gte=1, lte=1)
            there = field(key=key, match=models.MatchValue(value=value))
            return models.Filter(must=[there, field(key=key, values_count=one)])
        case OneNumber(key=key, values=numbers):
            ranges = [models.Range(gte=number, lte=number) for number in numbers]
            return models.Filter(should=[field(key=key, range=each) for each in ranges])
        case OneOf(key=key, values=values):
            return field(key=key, match=models.MatchAny(any=list(values)))
        case Between(key=key, low=low, high=high):
            return field(key=key, range=models.Range(gte=low, lte=high))
        case During(key=key, start=start, before=before):
            moments = models.DatetimeRange(gte=start, lt=before)
            return field(key=key, range=moments)
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
