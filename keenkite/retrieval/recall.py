"""Recall: what the index is asked, and so which tiles a search looks at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from keenkite.index import Match, TileIndex
from keenkite.retrieval.conditions import Candidates, Conditions
from keenkite.retrieval.near import common, together
from keenkite.retrieval.query import Query
from keenkite.retrieval.spans import usual_span

PER_HIT = 5
"""Tiles looked at for each hit wanted, at least: one thing is seen by several overlapping tiles,
on several dates, in several spans."""

CANDIDATES, STEP = 64, 4
"""Tiles looked at: 64, or 4 times as many, and so on until it is enough for the limit. The steps
are far apart so that the pages of one answer agree with each other."""

MAX_CANDIDATES = 20_000
"""Tiles looked at, at most, to fill the limit with hits that do not overlap."""


def recall(index: TileIndex, query: Query, conditions: Conditions) -> Iterator[Candidates]:
    """The tiles that fit the main condition best, and more of them each time it goes on."""
    vector, filters = conditions.main.wanted.query, query.filters
    least = query.limit if query.overlap else PER_HIT * query.limit
    number = CANDIDATES
    while number < least:
        number *= STEP
    number = max([number, *(near.bound for near in conditions.near)])
    local: list[Match] = []
    for near in conditions.near:
        around = near.reach()
        area = None if around is None else common(filters.area, around)
        if area is not None:
            there = replace(filters, area=area)
            local += index.nearest(vector, limit=near.bound, filters=there, with_vectors=True)
    while True:
        number = min(number, MAX_CANDIDATES)
        matches = index.nearest(vector, limit=number, filters=filters, with_vectors=True)
        if matches:
            found = together([*matches, *local]) if local else matches
            yield Candidates.of(found, usual=usual_span(index))
        if len(matches) < number or number == MAX_CANDIDATES:
            return
        number *= STEP
