"""Search: a query -> tiles, best first, each piece of ground once.

One way: recall (what the index is asked) -> judge (by each condition of the query; what a score
means is in `scoring`) -> keep (each piece of ground once) -> result.
"""

from __future__ import annotations

from collections.abc import Sequence

from keenkite.encoder import Encoder
from keenkite.ground import KeptGround
from keenkite.index import Filters, TileIndex
from keenkite.retrieval.concepts import BACKGROUND
from keenkite.retrieval.conditions import Conditions, Judgement
from keenkite.retrieval.examples import Examples
from keenkite.retrieval.query import Query
from keenkite.retrieval.recall import recall
from keenkite.retrieval.result import Hit, Result, verdict_of
from keenkite.retrieval.scoring import Scorer


def search(
    index: TileIndex,
    encoder: Encoder,
    query: Query,
    *,
    background: Sequence[str] = BACKGROUND,
    explain: bool = False,
) -> Result:
    """The tiles that show best what the query asks for.

    Args:
        index: of vectors of this encoder.
        encoder: for the query's texts.
        query: what to look for.
        background: what tiles may show instead; concepts that mean nearly the same as a text of
            the query are left out for it.
        explain: give the parts of each score.

    Raises:
        EncoderMismatchError: the index was made with another encoder.
        InputError: an example is not in the index, or a text cannot be read.
        TileIndexError: the index cannot be read.
    """
    index.require(encoder)
    statistics = index.statistics()
    if statistics.n == 0:
        reason = f"the index {index.location} holds no tiles yet; build it first"
        return Result(query=query, hits=(), verdict="none", reason=reason)
    scorer, examples = Scorer(encoder, statistics, background), Examples.of(query, index)
    conditions = Conditions.of(
        query, index=index, scorer=scorer, examples=examples, tiles=statistics.n
    )
    hits: list[Hit] = []
    for candidates in recall(index, query, conditions):
        judgement = conditions.judge(candidates)
        hits = [
            judgement.hit(i, rank=rank, parts=conditions.parts(judgement, i) if explain else None)
            for rank, i in enumerate(_keep(judgement, query, examples), start=1)
        ]
        if len(hits) == query.limit:
            break
    if not hits:
        return Result(query=query, hits=(), verdict="none", reason=_why_empty(index, query))
    return Result(query=query, hits=tuple(hits), verdict=verdict_of(hits[0].confidence))


def _keep(judgement: Judgement, query: Query, examples: Examples) -> list[int]:
    """The best candidates up to the limit, without the examples' ground and without repetition."""
    kept: list[int] = []
    ground = KeptGround()
    for tile in examples.tiles:
        ground.keep(tile)
    known = {tile.id for tile in examples.tiles}
    for i in judgement.order(strict=query.strict):
        tile = judgement.candidates.tiles[i]
        if tile.id in known or (not query.overlap and ground.has(tile)):
            continue
        if not query.overlap:
            ground.keep(tile)
        kept.append(i)
        if len(kept) == query.limit:
            break
    return kept


def _why_empty(index: TileIndex, query: Query) -> str:
    """Why no tile is a hit."""
    total, filters = index.count(), query.filters
    if index.count(filters):
        if query.strict:
            return "no tile meets all of near and exclude; without strict, the closest are shown"
        return "all tiles that pass the filters are of the examples' own ground"
    alone = {
        "the area": Filters(area=filters.area),
        "the dates": Filters(start=filters.start, end=filters.end),
        "max_cloud": Filters(max_cloud=filters.max_cloud),
        **{f"cover {kind}": Filters(cover={kind: part}) for kind, part in filters.cover.items()},
        "the regions": Filters(regions=filters.regions),
        "the scenes": Filters(scenes=filters.scenes),
        "the spans": Filters(spans=filters.spans),
        "the cells": Filters(cells=filters.cells),
        "the tile ids": Filters(tile_ids=filters.tile_ids),
    }
    to_blame = [name for name, each in alone.items() if each and index.count(each) == 0]
    if to_blame:
        return f"no tile of {total:,} passes {' nor '.join(to_blame)}"
    return f"each filter lets some of {total:,} tiles through, but no tile passes all of them"
