"""Answers for a map: GeoJSON (RFC 7946)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import shapely
from shapely.geometry import mapping
from shapely.geometry.polygon import orient

if TYPE_CHECKING:
    from keenkite.retrieval.result import Result
    from keenkite.tiling import Tile


def hits_geojson(result: Result) -> dict[str, Any]:
    """An answer as a lon/lat FeatureCollection: each hit's square of ground, and `Hit.to_json`.

    A tile that reaches across the antimeridian is two polygons, as the RFC asks.
    """
    return {
        "type": "FeatureCollection",
        "features": [
            {
                "type": "Feature",
                "id": hit.tile.id,
                "geometry": _ground(hit.tile),
                "properties": hit.to_json(),
            }
            for hit in result.hits
        ],
    }


def _ground(tile: Tile) -> dict[str, Any]:
    """A tile's square as a GeoJSON geometry."""
    # The corners' longitudes go on beyond ±180 where the square does: shift that part back.
    square = shapely.Polygon(tile.corners)
    parts = [
        shapely.transform(part, lambda at, turn=turn: at - (turn, 0))
        for turn in (-360, 0, 360)
        if (part := square.intersection(shapely.box(turn - 180, -90, turn + 180, 90))).area > 0
    ]
    # 1e-6 degrees are a tenth of a metre; the RFC wants outer rings counter-clockwise.
    parts = [orient(shapely.transform(part, lambda at: at.round(6))) for part in parts]
    shape = parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts)
    geometry: dict[str, Any] = mapping(shape)
    return geometry
