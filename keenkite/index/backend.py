"""What an engine must do for an index: a thin seam with two sides, `edge` and `remote`.

Ids are UUID texts, vectors are float32 arrays, payloads are JSON values, filters are our own
conditions. The engines' settings that were measured to matter stand here, once for both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from keenkite.errors import TileIndexError
from keenkite.index.filters import Condition
from keenkite.index.points import Payload, Points
from keenkite.index.statistics import Statistics

FORMAT = "keenkite-index"
FORMAT_VERSION = 1

VECTOR = "v"
"""Name of the one vector of a point."""

PAYLOAD_INDEXES = {
    "location": "geo",
    "datetime": "datetime",
    "region": "keyword",
    "scene_id": "keyword",
    "tile_id": "keyword",
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


Progress: TypeAlias = Callable[[str, float], None]
"""Called with a stage ("copying", "optimising", ...) and the seconds since maintenance began."""


@dataclass(frozen=True, kw_only=True)
class Meta:
    """What every tile of an index shares; never changes once the index is made."""

    encoder: str
    """Name of the encoder of the vectors."""
    dim: int
    """Length of a vector."""
    size: int
    """Side of a tile in pixels."""
    stride: int
    """Pixels from a tile to the next."""

    def to_json(self) -> dict[str, Any]:
        """As JSON values, with the name and version of the format."""
        return {"format": FORMAT, "version": FORMAT_VERSION, **asdict(self)}

    @classmethod
    def from_json(cls, value: object, location: str) -> Meta:
        """Raises TileIndexError when `value` is not what `to_json` writes."""
        if not isinstance(value, dict) or value.get("format") != FORMAT:
            raise TileIndexError(f"{location} is not a keenkite index; choose another place.")
        if value.get("version") != FORMAT_VERSION:
            raise TileIndexError(
                f"{location} has index format {value.get('version')!r}, this keenkite reads "
                f"{FORMAT_VERSION}; open it with the keenkite that made it, or build it anew."
            )
        fields = {name: value.get(name) for name in ("encoder", "dim", "size", "stride")}
        for name, kind in (("encoder", str), ("dim", int), ("size", int), ("stride", int)):
            if not isinstance(fields[name], kind):
                raise TileIndexError(
                    f"{location} is damaged: its description has no usable {name!r}. "
                    "Restore it from a copy, or delete the index and build it anew."
                )
        return cls(**fields)  # type: ignore[arg-type]  # checked just above


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

    def upsert(self, points: Points) -> None:
        """Write all points or raise; a point of the same id is replaced."""

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

    def retrieve(self, ids: Sequence[str], *, with_vectors: bool) -> list[Found]:
        """The points of these ids that exist, in any order."""

    def scroll(
        self, conditions: Sequence[Condition], *, fields: Sequence[str] | None, with_vectors: bool
    ) -> Iterator[list[Found]]:
        """All points that meet the conditions, by blocks, ordered by id; `fields` None is all."""

    def delete(self, ids: Sequence[str]) -> None:
        """Delete the points of these ids; those that are not there do not matter."""

    def flush(self) -> None:
        """Make durable what was written; until then a loss of power may take it."""

    def statistics(self) -> Statistics:
        """Of all vectors: from sums kept with every change, or by a scan where they are not sure.

        The sums name the generation they were made for. A writer changes the generation before
        the points, and writes the sums after them, so that sums cut off from a change are not
        taken for those of the index.
        """

    def generation(self) -> str:
        """A text that is another one after every upsert and delete, by whatever process."""

    def records(self, kind: str) -> dict[str, dict[str, Any]]:
        """Our own notes whose keys begin with `kind` and a slash."""

    def read_record(self, key: str) -> dict[str, Any] | None:
        """The note of this key, if any."""

    def write_record(self, key: str, value: dict[str, Any]) -> None:
        """Keep a note, durably, all of it or nothing."""

    def delete_records(self, keys: Sequence[str]) -> None:
        """Forget notes; keys that are not there do not matter."""

    def maintain(self, progress: Progress | None) -> bool:
        """Build the graph over what was added since; whether there was anything to do."""

    def close(self) -> None:
        """Release everything; the backend cannot be used afterwards."""
