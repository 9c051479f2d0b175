"""Tiles as the engines store them: checked, then turned into points, and back."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from keenkite.errors import InputError
from keenkite.tiling import Tile

if TYPE_CHECKING:
    from keenkite.index.backend import Meta

Payload: TypeAlias = dict[str, Any]

UNIT_TOLERANCE = 1e-3
"""How far a vector's norm may be from 1."""

FRACTIONS = ("cloud", "water", "vegetation", "bare", "snow", "valid")


def point_id(tile_id: str) -> str:
    """The id of the tile's point: UUIDv5, so that a second build overwrites and never doubles."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"keenkite:{tile_id}"))


@dataclass(frozen=True, kw_only=True)
class Points:
    """Tiles that passed every check, ready to be written."""

    ids: list[str]
    """UUIDs, n of them."""
    vectors: NDArray[np.float32]
    """(n, dim), unit norm."""
    payloads: list[Payload]
    """n of them, JSON values only."""


def checked_points(tiles: Sequence[Tile], vectors: ArrayLike, meta: Meta) -> Points:
    """Tiles and their vectors as points; of two tiles with one id, the last.

    The engines take NaN and a longitude of 500 without a word, so everything is looked at here.

    Args:
        tiles: n tiles.
        vectors: (n, dim), finite, each of norm 1 within 1e-3; kept as float32.
        meta: what the index holds.

    Raises:
        InputError: names the tile, what is wrong with it, and what was expected.
    """
    try:
        block = np.ascontiguousarray(vectors, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise InputError(f"The vectors are not numbers of one length: {error}.") from error
    if block.ndim != 2 or block.shape != (len(tiles), meta.dim):
        raise InputError(
            f"{len(tiles)} tiles need vectors of shape ({len(tiles)}, {meta.dim}), "
            f"not {block.shape}."
        )
    norms = np.linalg.norm(block.astype(np.float64), axis=1)
    # `not <=` rather than `>`: a NaN norm fails too.
    for bad in np.flatnonzero(~(np.abs(norms - 1) <= UNIT_TOLERANCE)).tolist():
        raise InputError(
            f"The vector of tile {tiles[bad].id} has norm {norms[bad]:.4g}, not 1; "
            "normalise it, and look for NaN in the encoder's output."
        )
    for tile in tiles:
        _check_tile(tile, meta)
    last = {tile.id: i for i, tile in enumerate(tiles)}
    return Points(
        ids=[point_id(tile_id) for tile_id in last],
        vectors=block[list(last.values())],
        payloads=[_payload(tiles[i]) for i in last.values()],
    )


def checked_query(vector: ArrayLike, dim: int) -> NDArray[np.float32]:
    """A query vector, (dim,) float32, finite and not zero; InputError otherwise."""
    try:
        query = np.asarray(vector, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise InputError(f"The query vector is not made of numbers: {error}.") from error
    if query.shape != (dim,):
        raise InputError(f"The query vector has shape {query.shape}; this index needs ({dim},).")
    if not np.isfinite(query).all() or not query.any():
        raise InputError("The query vector is zero or has NaN or infinite values.")
    return query


def tile_of(payload: Mapping[str, Any], meta: Meta) -> Tile:
    """The tile of a payload; what every tile of an index shares comes from `meta`."""
    west, south, east, north = payload["bounds"]
    return Tile(
        epsg=payload["epsg"],
        column=payload["column"],
        row=payload["row"],
        size=meta.size,
        stride=meta.stride,
        datetime=datetime.fromisoformat(payload["datetime"]),
        platform=payload["tile_id"].rsplit("-", 1)[1],
        scene_id=payload["scene_id"],
        collection=payload["collection"],
        region=payload["region"],
        lon=payload["location"]["lon"],
        lat=payload["location"]["lat"],
        bounds=(west, south, east, north),
        **{name: payload[name] for name in FRACTIONS},
    )


def _payload(tile: Tile) -> Payload:
    # Decimals that the engines' JSON gives back to the last bit; full doubles come back changed in
    # theirs. A centimetre on the ground, and less than a pixel's share.
    return {
        "tile_id": tile.id,
        "location": {"lon": round(float(tile.lon), 7), "lat": round(float(tile.lat), 7)},
        "bounds": [round(float(edge), 7) for edge in tile.bounds],
        "datetime": tile.datetime.isoformat(),
        "scene_id": tile.scene_id,
        "collection": tile.collection,
        "region": tile.region,
        "epsg": int(tile.epsg),
        "column": int(tile.column),
        "row": int(tile.row),
        **{name: round(float(getattr(tile, name)), 6) for name in FRACTIONS},
    }


def _check_tile(tile: Tile, meta: Meta) -> None:
    def refuse(problem: str) -> InputError:
        return InputError(f"Tile {tile.id}: {problem}")

    if (tile.size, tile.stride) != (meta.size, meta.stride):
        raise refuse(
            f"it is cut at {tile.size} pixels every {tile.stride}, this index holds "
            f"{meta.size} every {meta.stride}."
        )
    west, south, east, north = tile.bounds
    # Written so that a NaN fails.
    if not all(-180 <= lon <= 180 for lon in (tile.lon, west, east)):
        raise refuse(f"longitudes {tile.lon}, {west}, {east} must lie in -180 to 180.")
    if not all(-90 <= lat <= 90 for lat in (tile.lat, south, north)):
        raise refuse(f"latitudes {tile.lat}, {south}, {north} must lie in -90 to 90.")
    for name in FRACTIONS:
        if not 0 <= getattr(tile, name) <= 1:
            raise refuse(f"{name} is {getattr(tile, name)}, and must be a fraction from 0 to 1.")
    if tile.datetime.utcoffset() is None:
        raise refuse(f"its datetime {tile.datetime} has no time zone; make it UTC.")
