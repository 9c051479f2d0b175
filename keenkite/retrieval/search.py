"""Search: a query -> tiles, best first, each piece of ground once.

The flow is `search`; what a score means is in `scoring`, the other concepts of a query in `near`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from keenkite.encoder import Encoder
from keenkite.index import Filters, Match, TileIndex
from keenkite.retrieval.examples import example_tiles
from keenkite.ground import KeptGround
from keenkite.retrieval.near import BOUND, Reached, Surroundings, common, vectors_of
from keenkite.retrieval.near import Near as Near
from keenkite.retrieval.query import Query as Query
from keenkite.retrieval.result import Hit as Hit
from keenkite.retrieval.result import Result as Result
from keenkite.retrieval.result import verdict_of
from keenkite.retrieval.scoring import (
    BACKGROUND,
    Floats,
    Scorer,
    Wanted,
    confidence,
    judge,
    log_confidence,
    log_odds_of,
)
from keenkite.tiling import Tile

PER_HIT = 5
"""Tiles looked at for each hit wanted, at least: one thing is seen by several overlapping tiles,
on several dates."""

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
        return _nothing(query, f"the index {index.location} holds no tiles yet; build it first")
    scorer = Scorer(encoder, statistics, background)
    like, unlike = example_tiles(index, query.like), example_tiles(index, query.unlike)
    good = index.vectors([tile.id for tile in like]) if like else None
    bad = index.vectors([tile.id for tile in unlike]) if unlike else None
    wanted = scorer.wanted(query.text, like=good, unlike=bad)
    # With tiles it is like, the query has moved away from the unlike; without, they are excluded.
    unwanted = scorer.wanted(like=bad) if bad is not None and good is None else None
    surroundings = {
        near: Surroundings(index, scorer.wanted(near.text), near, tiles=statistics.n)
        for near in (*query.near, *query.exclude)
        if isinstance(near, Near)
    }
    hits: tuple[Hit, ...] = ()
    for matches in _growing(index, wanted, query, [surroundings[near] for near in query.near]):
        if not matches:
            break
        answers = _Answers(scorer, wanted, unwanted, query, surroundings, matches)
        kept = _kept(answers, query, [*like, *unlike])
        hits = tuple(answers.hit(i, rank, explain) for rank, i in enumerate(kept, start=1))
        if len(hits) == query.limit:
            break
    if not hits:
        return _nothing(query, _why_empty(index, query))
    return Result(query=query, hits=hits, verdict=verdict_of(hits[0].confidence))


def _growing(
    index: TileIndex, wanted: Wanted, query: Query, surroundings: Sequence[Surroundings]
) -> Iterator[list[Match]]:
    """The best matches, best z first, and more of them each time they were not enough."""
    least = query.limit if query.overlap else PER_HIT * query.limit
    number = CANDIDATES
    while number < least:
        number *= STEP
    number = max([number, *(each.bound for each in surroundings)])
    places = [common(query.area, area) for each in surroundings if (area := each.reach())]
    local = [
        match
        for area in places
        if area is not None
        for match in index.nearest(
            wanted.query, limit=BOUND, filters=replace(query.filters, area=area), with_vectors=True
        )
    ]
    while True:
        number = min(number, MAX_CANDIDATES)
        matches = index.nearest(
            wanted.query, limit=number, filters=query.filters, with_vectors=True
        )
        if local:
            both = {match.tile.id: match for match in [*matches, *local]}
            yield sorted(both.values(), key=lambda match: -match.score)
        else:
            yield matches
        if len(matches) < number or number == MAX_CANDIDATES:
            return
        number *= STEP


class _Answers:
    """Matches with all that the query says of them."""

    def __init__(
        self,
        scorer: Scorer,
        wanted: Wanted,
        unwanted: Wanted | None,
        query: Query,
        surroundings: Mapping[Near, Surroundings],
        matches: Sequence[Match],
    ) -> None:
        self.matches = matches
        self.wanted = wanted
        vectors = vectors_of(matches)
        odds, self.alone = judge(wanted, vectors)
        self.conditions: dict[str, Floats] = {
            "text" if query.text else "like": log_confidence(odds)
        }
        """Name -> (n,) ln p of each condition."""
        self.reached: list[Reached] = []
        """For each near concept."""
        tiles = [match.tile for match in matches]
        for near in query.near:
            self.reached.append(surroundings[near].of(tiles))
            self.conditions[f"near {near.text}"] = log_confidence(self.reached[-1].odds)
        for concept in query.exclude:
            if isinstance(concept, Near):
                odds = surroundings[concept].of(tiles).odds
                name = f"without {concept.text} within {concept.within_km:g} km"
            else:
                odds, _ = judge(scorer.wanted(concept), vectors)
                name = f"without {concept}"
            self.conditions[name] = log_confidence(-odds)
        if unwanted is not None:
            odds, _ = judge(unwanted, vectors)
            self.conditions["unlike"] = log_confidence(-odds)
        self.log_p: Floats = np.sum(list(self.conditions.values()), axis=0)
        """(n,) ln of each match's confidence."""

    def order(self, *, strict: bool) -> list[int]:
        """Which matches, best first."""
        order: list[int] = np.argsort(-self.log_p, kind="stable").tolist()
        if not strict:
            return order
        relations = list(self.conditions.values())[1:]
        return [i for i in order if all(each[i] >= np.log(0.5) for each in relations)]

    def hit(self, i: int, rank: int, explain: bool) -> Hit:
        """Match i as a hit."""
        found = [reached.neighbour(i) for reached in self.reached]
        return Hit(
            rank=rank,
            tile=self.matches[i].tile,
            score=float(log_odds_of(self.log_p[i])),
            confidence=float(np.exp(self.log_p[i])),
            neighbours=tuple(neighbour for neighbour in found if neighbour is not None),
            parts=self._parts(i) if explain else None,
        )

    def _parts(self, i: int) -> dict[str, float]:
        vector = self.matches[i].vector
        assert vector is not None  # asked for in `_growing`
        rows = vector[None]
        measured = {
            "z": self.wanted.z(rows),
            "fit": self.wanted.fit(rows),
            "contrast": self.wanted.contrast(rows),
            "evidence": self.wanted.evidence(rows),
            "alone": confidence(self.alone[i : i + 1]),
        }
        parts = {name: float(value[0]) for name, value in measured.items()}
        return parts | {name: float(np.exp(log_p[i])) for name, log_p in self.conditions.items()}


def _kept(answers: _Answers, query: Query, examples: Sequence[Tile]) -> list[int]:
    """The best matches up to the limit, without the examples' ground and without repetition."""
    kept: list[int] = []
    ground = KeptGround()
    for tile in examples:
        ground.keep(tile)
    known = {tile.id for tile in examples}
    for i in answers.order(strict=query.strict):
        tile = answers.matches[i].tile
        if tile.id in known or (not query.overlap and ground.has(tile)):
            continue
        if not query.overlap:
            ground.keep(tile)
        kept.append(i)
        if len(kept) == query.limit:
            break
    return kept


def _nothing(query: Query, reason: str) -> Result:
    return Result(query=query, hits=(), verdict="none", reason=reason)


def _why_empty(index: TileIndex, query: Query) -> str:
    total, filters = index.count(), query.filters
    if index.count(filters):
        if query.strict:
            return "no tile meets all of near and exclude; without strict, the closest are shown"
        return "all tiles that pass the filters are of the examples' own ground"
    alone = {
        "the area": Filters(area=filters.area),
        "the dates": Filters(start=filters.start, end=filters.end),
        "max_cloud": Filters(max_cloud=filters.max_cloud),
        **{f"cover {kind}": Filters(cover={kind: span}) for kind, span in filters.cover.items()},
        "the regions": Filters(regions=filters.regions),
        "the scenes": Filters(scenes=filters.scenes),
    }
    to_blame = [name for name, each in alone.items() if each and index.count(each) == 0]
    if to_blame:
        return f"no tile of {total:,} passes {' nor '.join(to_blame)}"
    return f"each filter lets some of {total:,} tiles through, but no tile passes all of them"
