"""Pages of an answer: a cursor says how far one came, and of which query it is.

Whatever is wanted of it, every page looks at `AHEAD` hits. So all pages are parts of one list, in
one order, and limits may change on the way; and it is known whether more is to come.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from keenkite.errors import InputError

if TYPE_CHECKING:
    from keenkite.retrieval.query import Query
    from keenkite.retrieval.result import Hit, Result

LARGEST = 50
"""Hits on a page, at most."""

AHEAD = LARGEST + 1

DEEPEST = 500
"""Hits that paging goes down to."""


@dataclass(frozen=True, kw_only=True)
class Page:
    """Some hits of an answer, after those of the pages before."""

    query: Query
    """What to search for: its hits begin with those of the page."""
    limit: int
    """Hits of the page, at most."""
    mark: str
    """Names the query and the collection, whatever the limit."""

    @classmethod
    def of(cls, query: Query, collection: str, cursor: str | None) -> Page:
        """The page that a cursor leads to; the first one without a cursor.

        Raises:
            InputError: the cursor is of another query, or of another collection.
        """
        mark = _mark(query, collection)
        first = 0 if cursor is None else _first(cursor, mark)
        ahead = replace(query, skip=first, limit=AHEAD)
        return cls(query=ahead, limit=min(query.limit, DEEPEST - first), mark=mark)

    def hits(self, result: Result) -> tuple[Hit, ...]:
        """Those of the page, of the answer to its query."""
        return result.hits[: self.limit]

    def next(self, result: Result) -> str | None:
        """The cursor of the page after this one; None where there is nothing to be shown."""
        if len(result.hits) <= self.limit:
            return None
        last = result.hits[self.limit - 1].rank  # counts those that were cut
        if last >= DEEPEST:
            return None
        content = json.dumps([last, self.mark]).encode()
        return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _mark(query: Query, collection: str) -> str:
    area = query.filters.area
    # How an area shows itself is cut short where it has many corners.
    ground = None if area is None else [area.circle, area.to_geojson()]
    rest = replace(query, limit=1, filters=replace(query.filters, area=None))
    content = json.dumps([collection, ground, repr(rest)])
    return hashlib.sha256(content.encode("utf-8", "replace")).hexdigest()[:12]


def _first(cursor: str, mark: str) -> int:
    """How many hits were shown before."""
    try:
        first, found = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, TypeError):
        first, found = 0, None
    if found != mark or not isinstance(first, int) or not 0 < first < DEEPEST:
        raise InputError(
            "That cursor is not of this query. Repeat the arguments it came from, or leave it out."
        )
    return first
