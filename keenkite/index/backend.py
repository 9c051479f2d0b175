"""What an engine must do for an index: a thin seam with two sides, `embedded` and `server`.

Ids are UUID texts, vectors are float32 arrays, payloads are JSON values, filters are our own
conditions. The engines' settings that were measured to matter stand here, once for both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from keenkite.index.filters import Condition
from keenkite.index.meta import Meta
from keenkite.index.points import Payload, Points

VECTOR = "v"
"""Name of the one vector of a point."""

PAYLOAD_INDEXES = {
    "location": "geo",
    "datetime": "datetime",
    "regions": "keyword",
    "scene_ids": "keyword",
    "cell": "keyword",
    "span": "float",
    "cloud": "float",
    "water": "float",
    "vegetation": "float",
    "bare": "float",
    "snow": "float",
}
"""Fields a filter may ask for, made before loading and without HNSW links of their own.

Links per payload value make building the graph at a million points take hours instead of
minutes, and ACORN reaches the same recall without them.
"""

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


Told: TypeAlias = Callable[[str, float], None]
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


def merged_labels(points: Points, there: Sequence[Found]) -> list[Payload]:
    """The payloads of points, each with the labels of what is there under its id as well."""
    known = {found.id: found.payload["regions"] for found in there}
    return [
        payload
        if point not in known
        else {**payload, "regions": list(dict.fromkeys([*known[point], *payload["regions"]]))}
        for point, payload in zip(points.ids, points.payloads, strict=True)
    ]


def stacked(points: Sequence[Found], dim: int) -> NDArray[np.float32]:
    """The vectors of points that were asked for with them, (n, dim)."""
    return np.array([point.vector for point in points], np.float32).reshape(len(points), dim)


class Backend(Protocol):
    """One index in one engine. Every method raises TileIndexError, with what to do about it."""

    meta: Meta

    def write_meta(self, meta: Meta) -> None:
        """Change the description of the collection; only its spans may differ."""

    def upsert(self, points: Points) -> None:
        """Write all points or raise; a point of the same id is replaced, but for its labels.

        Those in its payload's "regions" are added to those that it has.
        """

    def label(self, labels: Mapping[str, Sequence[str]]) -> None:
        """Set the regions of points: id -> all of its labels. Points that are gone stay gone."""

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

    def retrieve(
        self, ids: Sequence[str], *, fields: Sequence[str] | None, with_vectors: bool
    ) -> list[Found]:
        """The points of these ids that exist, in any order; `fields` None is all."""

    def scroll(
        self, conditions: Sequence[Condition], *, fields: Sequence[str] | None, with_vectors: bool
    ) -> Iterator[list[Found]]:
        """All points that meet the conditions, by blocks, ordered by id; `fields` None is all."""

    def delete(self, ids: Sequence[str]) -> None:
        """Delete the points of these ids; those that are not there do not matter."""

    def flush(self) -> None:
        """Make durable what was written; until then a loss of power may take it."""

    def size(self) -> int:
        """How many points there are; fast, and exact but for points that are just being changed."""

    def facet(self, field: str) -> dict[str, int]:
        """Value of a keyword field -> how many points have it, exactly."""

    def records(self, kind: str) -> dict[str, dict[str, Any]]:
        """Our own notes whose keys begin with `kind` and a slash."""

    def read_record(self, key: str) -> dict[str, Any] | None:
        """The note of this key, if any."""

    def write_record(self, key: str, value: dict[str, Any]) -> None:
        """Keep a note, durably, all of it or nothing."""

    def delete_records(self, keys: Sequence[str]) -> None:
        """Forget notes; keys that are not there do not matter."""

    def maintain(self, tell: Told | None, *, compact: bool) -> bool:
        """Build the graph over what was added since; with `compact`, give the room of what was
        deleted back too. Whether there was anything to do."""

    def close(self) -> None:
        """Release everything; the backend cannot be used afterwards."""
