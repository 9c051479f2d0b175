"""Recall: what the index is asked, and so which tiles a search looks at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from keenkite.index import Match, TileIndex
from keenkite.retrieval.candidates import Candidates, together
from keenkite.retrieval.conditions import Conditions
from keenkite.retrieval.near import common
from keenkite.retrieval.query import Query

PER_HIT = 5
"""Tiles looked at for each hit wanted, at least: one thing is seen by several overlapping tiles,
on several dates, in several spans."""

CANDIDATES, STEP = 64, 4
"""Tiles looked at first: 64, or 4 times as many, and so on until it is enough for the limit."""

MAX_CANDIDATES = 20_000
"""Tiles looked at, at most, to fill the limit with hits that do not overlap."""

CLOUDY = 0.2
"""Cloudy part of a tile above which a clearer date of its ground is looked for."""


def recall(index: TileIndex, query: Query, conditions: Conditions) -> Iterator[Candidates]:
    """The tiles that fit the main condition best, and each time further ones that fit it less."""
    sought, filters = conditions.main.sought, query.filters
    number = first_number(query, conditions)
    matches = _near_both(index, query, conditions)
    known: set[str] = set()
    while True:
        number = min(number, MAX_CANDIDATES)
        best = sought.nearest(filters, number)
        matches = together([*matches, *best])
        matches = together([*matches, *_clearer(index, query, conditions, matches)])
        fresh = [match for match in matches if match.tile.id not in known]
        if fresh:
            yield sought.candidates(fresh)
        known.update(match.tile.id for match in fresh)
        if len(best) < number or number == MAX_CANDIDATES:
            return
        matches, number = [], STEP * number


def first_number(query: Query, conditions: Conditions) -> int:
    """How many tiles are looked at first."""
    least = query.limit if query.overlap else PER_HIT * query.limit
    number = CANDIDATES
    while number < least:
        number *= STEP
    return max([number, *(near.bound for near in conditions.near)])


def _near_both(index: TileIndex, query: Query, conditions: Conditions) -> list[Match]:
    """The best around the best places of what must be near."""
    found: list[Match] = []
    for near in conditions.near:
        around = near.reach()
        area = None if around is None else common(query.filters.area, around)
        if area is not None:
            there = replace(query.filters, area=area)
            vector = conditions.main.sought.wanted.query
            found += index.nearest(vector, limit=near.bound, filters=there, with_vectors=True)
    return found


def _clearer(
    index: TileIndex, query: Query, conditions: Conditions, matches: Sequence[Match]
) -> list[Match]:
    """Clear dates of the ground that is under cloud in the tiles that were found."""
    cells = {m.tile.cell for m in matches if (m.tile.cloud or 0) > CLOUDY}
    cells -= {m.tile.cell for m in matches if (m.tile.cloud or 0) <= CLOUDY}
    vector, found = conditions.main.sought.wanted.query, list[Match]()
    while cells:
        there = replace(query.filters, cells=tuple(sorted(cells)), max_cloud=CLOUDY)
        some = index.nearest(vector, limit=len(matches), filters=there, with_vectors=True)
        found += some
        if len(some) < len(matches):
            break
        cells -= {m.tile.cell for m in some}  # the dates of one cell may fill the limit
    return found
