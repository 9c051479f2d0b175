"""Paging: an answer, page by page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from keenkite.encoder import Encoder
from keenkite.index import TileIndex
from keenkite.retrieval import Query, search
from keenkite.retrieval.concepts import BACKGROUND

LIMITS = (10, 20, 50)


@dataclass(frozen=True, kw_only=True)
class Paged:
    """What all pages of an answer held."""

    ids: Sequence[str]
    """Of the tiles, page after page."""

    @property
    def repeated(self) -> int:
        """Hits that this page or an earlier one held already."""
        return len(self.ids) - len(set(self.ids))

    def skipped(self, whole: Sequence[str]) -> int:
        """Hits of an answer in one piece that no page held."""
        return len(set(whole) - set(self.ids))


def paged(
    index: TileIndex,
    encoder: Encoder,
    query: Query,
    *,
    first: int,
    background: Sequence[str] = BACKGROUND,
) -> Paged:
    """Pages of `query.limit` until there are `first` hits, or no more; whatever they are worth."""
    ids: list[str] = []
    while len(ids) < first:
        page = replace(query, skip=len(ids), min_confidence=0)
        hits = search(index, encoder, page, background=background).hits
        ids += [hit.tile.id for hit in hits]
        if len(hits) < query.limit:
            break
    return Paged(ids=ids[:first])
