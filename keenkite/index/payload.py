"""What the engines keep of a tile beside its vector, and the tile again from it."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, TypeAlias

from keenkite.index.meta import to_millimetres
from keenkite.tiling import FRACTIONS, Place, Tile, parse_cell

Payload: TypeAlias = dict[str, Any]
"""JSON values by field."""

_NAMESPACE = uuid.NAMESPACE_URL.bytes + b"keenkite:"

INDEXES = {
    "location": "geo",
    "datetime": "datetime",
    "regions": "keyword",
    "scene_ids": "keyword",
    "cell": "keyword",
    "span": "float",
    **dict.fromkeys(FRACTIONS, "float"),
}
"""Fields a filter may ask for -> kind of index; tiles themselves are asked for by point id."""


def point_id(tile_id: str) -> str:
    """The id of the tile's point: UUIDv5, so that a second build overwrites and never doubles.

    It is a hash: points in the order of their ids are in no order of any meaning.
    """
    digest = hashlib.sha1(_NAMESPACE + tile_id.encode(), usedforsecurity=False).hexdigest()
    # As uuid.uuid5 does, in a fifth of the time.
    variant = "89ab"[int(digest[16], 16) & 3]
    return f"{digest[:8]}-{digest[8:12]}-5{digest[13:16]}-{variant}{digest[17:20]}-{digest[20:32]}"


def payload_of(tile: Tile, place: Place) -> Payload:
    """What is kept of a tile that lies at a place.

    Decimals are cut to those that the engines' JSON gives back to the last bit; full doubles come
    back changed in theirs. A centimetre on the ground, and less than a pixel's share.
    """
    return {
        "tile_id": tile.id,
        "cell": tile.cell,
        "location": {"lon": round(place.lon, 7), "lat": round(place.lat, 7)},
        "bounds": [round(edge, 7) for edge in place.bounds],
        "datetime": tile.datetime.isoformat(),
        "scene_ids": list(tile.scene_ids),
        "collection": tile.collection,
        "regions": sorted(set(tile.regions)),
        "span": to_millimetres(tile.span),
        **{name: _rounded(getattr(tile, name)) for name in FRACTIONS},
        "valid": _rounded(tile.valid),
    }


def tile_of(payload: Mapping[str, Any]) -> Tile:
    """The tile of a payload, in its place."""
    west, south, east, north = payload["bounds"]
    # One by one, since every search makes hundreds of them.
    tile = Tile(
        **_ground(payload["cell"]),
        datetime=datetime.fromisoformat(payload["datetime"]),
        platform=platform_of(payload),
        collection=payload["collection"],
        scene_ids=tuple(payload["scene_ids"]),
        regions=tuple(payload["regions"]),
        cloud=payload["cloud"],
        water=payload["water"],
        vegetation=payload["vegetation"],
        bare=payload["bare"],
        snow=payload["snow"],
        valid=payload["valid"],
    )
    at = payload["location"]
    return tile.placed(Place(at["lon"], at["lat"], (west, south, east, north)))


def platform_of(payload: Mapping[str, Any]) -> str:
    """The platform of its tile."""
    return str(payload["tile_id"]).rpartition("-")[2]


def epsg_of(payload: Mapping[str, Any]) -> int:
    """The zone of its tile."""
    return int(payload["tile_id"].partition("-")[0])


@lru_cache(maxsize=1 << 14)
def _ground(cell: str) -> dict[str, Any]:
    # The same squares come again: on other dates, and in the next search.
    return parse_cell(cell)


def _rounded(fraction: float | None) -> float | None:
    return None if fraction is None else round(float(fraction), 6)
