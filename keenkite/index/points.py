"""Tiles as the engines store them: checked, then turned into points, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from keenkite.errors import InputError
from keenkite.index.filters import point_id
from keenkite.index.meta import Meta
from keenkite.tiling import FRACTIONS, Place, Tile, parse_cell, places
from keenkite.tiling.tile import is_platform

Payload: TypeAlias = dict[str, Any]

UNIT_TOLERANCE = 1e-3
"""How far a vector's norm may be from 1."""


@dataclass(frozen=True, kw_only=True)
class Points:
    """Tiles that passed every check, ready to be written."""

    ids: list[str]
    """UUIDs, n of them."""
    vectors: NDArray[np.float32]
    """(n, dim), unit norm."""
    payloads: list[Payload]
    """n of them, JSON values only."""

    def part(self, begin: int, end: int) -> Points:
        """Some of them."""
        some = slice(begin, end)
        return Points(ids=self.ids[some], vectors=self.vectors[some], payloads=self.payloads[some])


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
    norms = np.sqrt(np.einsum("ij,ij->i", block, block, dtype=np.float64))
    # `not <=` rather than `>`: a NaN norm fails too.
    for bad in np.flatnonzero(~(np.abs(norms - 1) <= UNIT_TOLERANCE)).tolist():
        raise InputError(
            f"The vector of tile {tiles[bad].id} has norm {norms[bad]:.4g}, not 1; "
            "normalise it, and look for NaN in the encoder's output."
        )
    for tile in tiles:
        _check_tile(tile, meta)
    last = {tile.id: i for i, tile in enumerate(tiles)}
    rows = list(last.values())
    chosen = tiles if rows == list(range(len(tiles))) else [tiles[i] for i in rows]
    pairs = zip(last, chosen, _places(chosen), strict=True)
    return Points(
        ids=[point_id(tile_id) for tile_id in last],
        vectors=block if chosen is tiles else block[rows],
        payloads=[_payload(tile_id, tile, place) for tile_id, tile, place in pairs],
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


def tile_of(payload: Mapping[str, Any]) -> Tile:
    """The tile of a payload."""
    west, south, east, north = payload["bounds"]
    location = payload["location"]
    fractions: dict[str, Any] = {name: payload.get(name) for name in FRACTIONS}
    tile = Tile(
        **parse_cell(payload["cell"]),
        datetime=datetime.fromisoformat(payload["datetime"]),
        platform=payload["tile_id"].rsplit("-", 1)[1],
        collection=payload["collection"],
        scene_ids=tuple(payload["scene_ids"]),
        regions=tuple(payload["regions"]),
        valid=payload["valid"],
        **fractions,
    )
    return tile.placed(Place(location["lon"], location["lat"], (west, south, east, north)))


def _places(tiles: Sequence[Tile]) -> list[Place]:
    """Where they are: known of tiles that were cut or read, worked out at once of others."""
    unknown = [tile for tile in tiles if "place" not in tile.__dict__]
    for tile, place in zip(unknown, places(unknown), strict=True):
        tile.placed(place)
    return [tile.place for tile in tiles]


def _payload(tile_id: str, tile: Tile, place: Place) -> Payload:
    # Decimals that the engines' JSON gives back to the last bit; full doubles come back changed in
    # theirs. A centimetre on the ground, and less than a pixel's share.
    return {
        "tile_id": tile_id,
        "cell": tile.cell,
        "span": tile.span,
        "location": {"lon": round(place.lon, 7), "lat": round(place.lat, 7)},
        "bounds": [round(edge, 7) for edge in place.bounds],
        "datetime": tile.datetime.isoformat(),
        "scene_ids": list(tile.scene_ids),
        "collection": tile.collection,
        "regions": list(tile.regions),
        "valid": round(float(tile.valid), 6),
        **{
            name: None if (share := getattr(tile, name)) is None else round(float(share), 6)
            for name in FRACTIONS
        },
    }


def _check_tile(tile: Tile, meta: Meta) -> None:
    def refuse(problem: str) -> InputError:
        return InputError(f"Tile {tile.id}: {problem}")

    if tile.span not in meta.spans:
        spans = ", ".join(f"{span:g}" for span in meta.spans)
        raise refuse(
            f"it is {tile.span:g} m wide, and this collection holds tiles of {spans} m; "
            "add the span first (TileIndex.add_spans)."
        )
    for name in ("valid", *FRACTIONS):
        share = getattr(tile, name)
        # Written so that a NaN fails.
        if share is not None and not 0 <= share <= 1:
            raise refuse(f"{name} is {share}, and must be a fraction from 0 to 1.")
    if tile.datetime.utcoffset() is None:
        raise refuse(f"its datetime {tile.datetime} has no time zone; make it UTC.")
    if not is_platform(tile.platform):
        raise refuse(f"its platform {tile.platform!r} is not letters, digits and underscores.")
    if not tile.scene_ids:
        raise refuse("it names no scene that its pixels come from.")
