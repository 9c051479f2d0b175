"""Search: a query -> tiles, best first, each piece of ground once.

One way: recall (what the index is asked) -> judge (the conditions, in `conditions`; what a score
means is in `scoring`) -> keep (each piece of ground once) -> result.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from keenkite.encoder import Encoder
from keenkite.ground import KeptGround
from keenkite.index import Filters, TileIndex
from keenkite.retrieval.concepts import BACKGROUND
from keenkite.retrieval.conditions import Candidates, Conditions, Judgement
from keenkite.retrieval.examples import Examples
from keenkite.retrieval.near import BOUND, common, together
from keenkite.retrieval.query import Near as Near
from keenkite.retrieval.query import Query as Query
from keenkite.retrieval.result import Hit as Hit
from keenkite.retrieval.result import Result as Result
from keenkite.retrieval.result import verdict_of
from keenkite.retrieval.scoring import Scorer

PER_HIT = 5
"""Tiles looked at for each hit wanted, at least: one thing is seen by several overlapping tiles,
on several dates, in several spans."""

CANDIDATES, STEP = 64, 4
"""Tiles looked at: 64, or 4 times as many, and so on until it is enough for the limit. The steps
are far apart so that the pages of one answer agree with each other."""

MAX_CANDIDATES = 20_000
"""Tiles looked at, at most, to fill the limit with hits that do not overlap."""


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
    for candidates in _recall(index, query, conditions):
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


def _recall(index: TileIndex, query: Query, conditions: Conditions) -> Iterator[Candidates]:
    """The tiles that fit the main condition best, and more of them each time it goes on."""
    vector, filters = conditions.main.wanted.query, query.filters
    least = query.limit if query.overlap else PER_HIT * query.limit
    number = CANDIDATES
    while number < least:
        number *= STEP
    number = max([number, *(near.bound for near in conditions.near)])
    places = [common(filters.area, area) for near in conditions.near if (area := near.reach())]
    local = [
        match
        for area in places
        if area is not None
        for match in index.nearest(
            vector, limit=BOUND, filters=replace(filters, area=area), with_vectors=True
        )
    ]
    while True:
        number = min(number, MAX_CANDIDATES)
        matches = index.nearest(vector, limit=number, filters=filters, with_vectors=True)
        if matches:
            yield Candidates.of(together([*matches, *local]) if local else matches)
        if len(matches) < number or number == MAX_CANDIDATES:
            return
        number *= STEP


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
