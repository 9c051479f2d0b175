"""How sure a search is of tiles that somebody looks at one by one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from keenkite.errors import InputError
from keenkite.index import Filters
from keenkite.retrieval.query import Query
from keenkite.retrieval.search import search

if TYPE_CHECKING:
    from keenkite.encoder import Encoder
    from keenkite.index import TileIndex


def confidence_of(
    index: TileIndex, encoder: Encoder, text: str, tile_ids: Sequence[str]
) -> list[float]:
    """That each of some tiles shows a concept, 0-1: the same as a search says of them.

    Args:
        index: Has the tiles.
        encoder: Of its vectors.
        text: One concept, such as "airport".
        tile_ids: At most 10,000.

    Raises:
        InputError: a tile is not in the index, or the text cannot be used.
        EncoderMismatchError: the index was made with another encoder.
        TileIndexError: the index cannot be read.
    """
    if not tile_ids:
        return []
    wanted = tuple(dict.fromkeys(tile_ids))
    query = Query(text=text, filters=Filters(tile_ids=wanted), limit=len(wanted), overlap=True)
    found = {hit.tile.id: hit.confidence for hit in search(index, encoder, query).hits}
    if missing := [tile_id for tile_id in wanted if tile_id not in found]:
        raise InputError(
            f"Tile {missing[0]!r:.120} is not in the index {index.location}. "
            "Take ids from a search."
        )
    return [found[tile_id] for tile_id in tile_ids]
