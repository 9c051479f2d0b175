"""Pages of an answer: a cursor says how far one came, and of which query it is."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from keenkite.errors import InputError

if TYPE_CHECKING:
    from keenkite.retrieval.query import Query

DEEPEST = 500
"""Hits that paging goes down to."""


@dataclass(frozen=True, kw_only=True)
class Page:
    """The hits from `first` to before `last`, counted from 0."""

    first: int
    last: int
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
        return cls(first=first, last=min(first + query.limit, DEEPEST), mark=mark)

    def next(self, found: int) -> str | None:
        """The cursor of the page after this one, where so many hits were found in all."""
        if found <= self.last or self.last >= DEEPEST:
            return None
        content = json.dumps([self.last, self.mark]).encode()
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
