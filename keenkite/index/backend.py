"""What an engine must do for an index: a thin seam with two sides, `embedded` and `server`.

Ids are UUID texts, vectors are float32 arrays, payloads are JSON values, filters are our own
conditions. The engines' settings that were measured to matter stand here, once for both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from keenkite.index.filters import Condition
from keenkite.index.meta import Meta
from keenkite.index.payload import Payload
from keenkite.index.points import Points

VECTOR = "v"
"""Name of the one vector of a point."""

BLOCK = 1000
"""Points per block of a scroll, where nothing is said."""

HNSW_M, HNSW_EF_CONSTRUCT = 16, 100
QUANTILE = 0.99
SEARCH_EF = 256
OVERSAMPLING = 2.0
"""Candidates per hit taken by their int8 vectors, then scored again by the float32 originals."""


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """What depends on how much data there is; the defaults hold from nothing to millions."""

    full_scan_kb: int = 400_000
    """With less vector data than this to look at, scan it and leave the graph alone.

    The engine's estimate of how many points a place matches is far too high, so with its default
    of 10 MB it walks the graph where it should scan, and misses most matches (recall .16-.8).
    """
    index_from: int = 20_000
    """Points without a graph from which maintenance builds one; fewer are scanned in no time."""


Tell: TypeAlias = Callable[[str, float], None]
"""Called with a stage ("copying", "optimising", ...) and the seconds since maintenance began."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """A point as an engine gives it back."""

    id: str
    """UUID."""
    payload: Payload
    """All of it, or the fields asked for."""
    score: float | None = None
    """Dot product with the query; None when nothing was asked."""
    vector: NDArray[np.float32] | None = None
    """(dim,), None when not asked for."""


def stacked(points: Sequence[Found], dim: int) -> NDArray[np.float32]:
    """The vectors of points that were asked for with them, (n, dim)."""
    return np.array([point.vector for point in points], np.float32).reshape(len(points), dim)


class Backend(Protocol):
    """One index in one engine. Every method raises TileIndexError, with what to do about it."""

    meta: Meta
    """As it was last read."""

    def read_meta(self) -> Meta:
        """What the index says about itself now: another process may have added spans."""

    def describe(self, meta: Meta) -> None:
        """Say something else about an index that has no point; its vectors stay as they are."""

    def add_spans(self, spans: Sequence[float]) -> None:
        """Say that tiles of these widths are held too."""

    def upsert(self, points: Points) -> dict[str, list[str]]:
        """Write all points or raise; one of the same id is replaced, but keeps its `regions`.

        Returns:
            Id -> the regions it had, of those that were replaced.
        """

    def label(self, ids: Sequence[str], *, add: str | None, remove: str | None) -> int:
        """Change the `regions` of the points of these ids that are there; how many changed."""

    def query(
        self,
        vector: NDArray[np.float32],
        *,
        limit: int,
        conditions: Sequence[Condition],
        exact: bool,
        with_vectors: bool,
    ) -> list[Found]:
        """The `limit` points of highest dot product, best first; fewer when it missed some."""

    def count(self, conditions: Sequence[Condition]) -> int:
        """Points that meet all conditions, counted exactly."""

    def size(self) -> int:
        """Points there are, without looking at each."""

    def facet(self, key: str) -> dict[str, int]:
        """Text at `key` -> points that have it, counted exactly."""

    def retrieve(self, ids: Sequence[str], *, with_vectors: bool) -> list[Found]:
        """The points of these ids that exist, in any order."""

    def scroll(
        self,
        conditions: Sequence[Condition],
        *,
        fields: Sequence[str] | None,
        with_vectors: bool,
        block: int = BLOCK,
    ) -> Iterator[list[Found]]:
        """All points that meet the conditions, by blocks, ordered by id; `fields` None is all."""

    def delete(self, ids: Sequence[str], conditions: Sequence[Condition] = ()) -> None:
        """Delete those points of these ids that are there and meet the conditions."""

    def flush(self) -> None:
        """Make durable what was written; until then a loss of power may take it."""

    def records(self, kind: str) -> dict[str, dict[str, Any]]:
        """Our own notes whose keys begin with `kind` and a slash."""

    def read_record(self, key: str) -> dict[str, Any] | None:
        """The note of this key, if any."""

    def write_record(self, key: str, value: dict[str, Any]) -> None:
        """Keep a note, durably, all of it or nothing."""

    def delete_records(self, keys: Sequence[str]) -> None:
        """Forget notes; keys that are not there do not matter."""

    def maintain(self, tell: Tell | None) -> bool:
        """Build the graph over what was added since, and give back the room of what was deleted.

        Returns:
            Whether there was enough of either to do anything.
        """

    def close(self) -> None:
        """Release everything; the backend cannot be used afterwards."""
