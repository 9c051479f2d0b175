"""Tiles and their vectors, checked before the engines see them: these take anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np
from numpy.typing import ArrayLike, NDArray

from keenkite.errors import InputError
from keenkite.index.meta import Meta, to_millimetres
from keenkite.index.payload import Payload, payload_of, point_id
from keenkite.tiling import FRACTIONS, Place, Tile, places
from keenkite.tiling.tile import is_platform

_SHARES = (*FRACTIONS, "valid")
_UNKNOWN = {**dict.fromkeys(FRACTIONS, ", or None if not known"), "valid": ""}

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
    block = _block(vectors, len(tiles), meta.dim)
    for tile in tiles:
        _check_tile(tile, meta)
    norms = np.sqrt(np.einsum("ij,ij->i", block, block, dtype=np.float64))
    # `not <=` rather than `>`: a NaN norm fails too.
    for bad in np.flatnonzero(~(np.abs(norms - 1) <= UNIT_TOLERANCE)).tolist():
        raise InputError(
            f"The vector of tile {tiles[bad].id} has norm {norms[bad]:.4g}, not 1; "
            "normalise it, and look for NaN in the encoder's output."
        )
    found = _places(tiles)
    payloads = [payload_of(t, place) for t, place in zip(tiles, found, strict=True)]
    last = {payload["tile_id"]: i for i, payload in enumerate(payloads)}
    return Points(
        ids=[point_id(tile_id) for tile_id in last],
        vectors=block[list(last.values())],
        payloads=[payloads[i] for i in last.values()],
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


def checked_region(region: str) -> str:
    """A label that tiles can have; InputError otherwise."""
    if not isinstance(region, str) or not region.strip():
        raise InputError(f"A region is a name, not {region!r}.")
    return region


def _block(vectors: ArrayLike, number: int, dim: int) -> NDArray[np.float32]:
    try:
        block = np.ascontiguousarray(vectors, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise InputError(f"The vectors are not numbers of one length: {error}.") from error
    if block.shape != (number, dim):
        raise InputError(
            f"{number} tiles need vectors of shape ({number}, {dim}), not {block.shape}."
        )
    return block


def _check_tile(tile: Tile, meta: Meta) -> None:
    # Written so that a NaN fails, and for speed: every tile of every build comes through here.
    if not (isfinite(tile.span) and isfinite(tile.west) and isfinite(tile.north)):
        raise InputError(f"A tile at {tile.west}, {tile.north} of {tile.span} m is nowhere.")
    if tile.datetime.utcoffset() is None:
        raise _refused(tile, f"its datetime {tile.datetime} has no time zone; make it UTC.")
    if tile.span not in meta.spans and to_millimetres(tile.span) not in meta.spans:
        raise _refused(
            tile,
            f"it is {tile.span:g} m wide, and this index holds tiles of {_metres(meta)}. "
            f"Call add_spans(({tile.span:g},)) first, if it is to hold these too.",
        )
    for name in _SHARES:
        value = getattr(tile, name)
        if not (value is None or 0 <= value <= 1) or (value is None and name == "valid"):
            raise _refused(
                tile, f"{name} is {value}, and must be a fraction from 0 to 1{_UNKNOWN[name]}."
            )
    if not is_platform(tile.platform):
        raise _refused(
            tile, f"platform is {tile.platform!r}, and must be letters, digits and underscores."
        )
    _check_names(tile)


def _check_names(tile: Tile) -> None:
    if not tile.scene_ids:
        raise _refused(tile, "scene_ids is empty; name the scenes that its pixels come from.")
    for name in (*tile.scene_ids, *tile.regions):
        if not isinstance(name, str) or not name.strip():
            raise _refused(tile, f"{name!r} among its scenes or regions is no name.")


def _places(tiles: Sequence[Tile]) -> list[Place]:
    with np.errstate(invalid="ignore"):  # a place that is none is told of below
        found = places(tiles)
    numbers = np.array([(place.lon, place.lat, *place.bounds) for place in found])
    for bad in np.flatnonzero(~np.isfinite(numbers.reshape(len(tiles), 6)).all(axis=1)).tolist():
        raise _refused(tiles[bad], f"EPSG:{tiles[bad].epsg} has no such place as its corner.")
    return found


def _metres(meta: Meta) -> str:
    return ", ".join(f"{span:g}" for span in meta.spans) + " m"


def _refused(tile: Tile, problem: str) -> InputError:
    return InputError(f"Tile {tile.id}: {problem}")


def labelled(payload: Payload, more: Sequence[str]) -> Payload:
    """The same with more regions."""
    if set(more) <= set(payload["regions"]):
        return payload
    return {**payload, "regions": sorted({*payload["regions"], *more})}


def relabelled(
    labels: Mapping[str, Sequence[str]], *, add: str | None, remove: str | None
) -> dict[tuple[str, ...], list[str]]:
    """New regions -> ids of the points that get them; those that stay as they are are left out.

    Args:
        labels: id -> regions as they are.
        add: one that all get, if any.
        remove: one that all lose, if any.
    """
    groups: dict[tuple[str, ...], list[str]] = {}
    for point, regions in labels.items():
        wanted = ({*regions} | ({add} if add else set())) - {remove}
        if wanted != {*regions}:
            groups.setdefault(tuple(sorted(wanted)), []).append(point)
    return groups
