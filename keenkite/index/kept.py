"""What is worked out of all tiles: statistics, and a summary of each region.

Maintenance keeps it as records of the index. Who only reads writes nothing: where a record does
not fit the tiles any more, it is worked out again, and remembered as long as the index is open.
"""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from keenkite.index.backend import BLOCK, Backend, stacked
from keenkite.index.filters import OneOf
from keenkite.index.region import FIELDS, Region, summarise
from keenkite.index.statistics import Statistics, statistics_of

SAMPLE = 16_384
"""Points that the statistics are of: the first by id. Ids are hashes, so these are a fair sample,
and the same one for every engine."""

DRIFT = 0.05
"""Statistics stand until this share of the tiles was added, replaced or removed."""

STATISTICS, REGIONS = "kept/statistics", "kept/regions"


@dataclass(frozen=True, kw_only=True)
class _Known:
    """Statistics, and how much had changed in this process when they were made."""

    statistics: Statistics
    changes: int


class Kept:
    """Of one open index. Threads may share it."""

    def __init__(self, backend: Backend, *, sample: int = SAMPLE) -> None:
        """Nothing is read yet."""
        self._backend = backend
        self._sample = sample
        self._mutex = threading.RLock()
        self._changes = 0
        """Points that this process wrote or deleted."""
        self._known: _Known | None = None
        self._touched: set[str] = set()
        """Regions that this process changed since they were summed up."""
        self._regions: dict[str, Region] | None = None

    def changed(self, number: int, regions: Iterable[str]) -> None:
        """Note that some points, of some regions, were written or deleted."""
        with self._mutex:
            self._changes += number
            self._touched.update(regions)

    def statistics(self) -> Statistics:
        """Those that are known, if they still fit, or new ones."""
        with self._mutex:
            n = self._backend.size()
            if not self._fits(self._known, n):
                kept = self._read_statistics()
                self._known = kept if self._fits(kept, n) else self._computed(n)
            assert self._known is not None
            return replace(self._known.statistics, n=n)

    def regions(self) -> list[Region]:
        """One for each name, by name."""
        with self._mutex:
            if self._regions is None:
                self._regions = self._read_regions()
            counts = self._backend.facet("regions")
            known = {
                name: region
                for name, region in self._regions.items()
                if counts.get(name) == region.tiles and name not in self._touched
            }
            stale = sorted(counts.keys() - known.keys())
            if stale:
                blocks = self._backend.scroll(
                    [OneOf(key="regions", values=tuple(stale))], fields=FIELDS, with_vectors=False
                )
                known |= summarise((found.payload for block in blocks for found in block), stale)
            self._regions, self._touched = known, set()
            return [known[name] for name in sorted(known)]

    def keep(self) -> None:
        """Write what does not stand in the records yet; for maintenance alone."""
        with self._mutex:
            n = self._backend.size()
            kept = self._read_statistics()
            if (n or kept) and not (kept and kept.statistics.n == n and not self._changes):
                self._known = self._computed(n)
                self._backend.write_record(STATISTICS, _to_json(self._known.statistics))
            regions = {region.name: region for region in self.regions()}
            if regions != self._read_regions():
                values = [region.to_json() for region in regions.values()]
                self._backend.write_record(REGIONS, {"regions": values})

    def _fits(self, known: _Known | None, n: int) -> bool:
        if known is None:
            return False
        before = known.statistics.n
        return (
            abs(n - before) <= DRIFT * before
            and self._changes - known.changes < max(DRIFT * before, 1)
        )  # fmt: skip

    def _computed(self, n: int) -> _Known:
        changes, rows, left = self._changes, [], self._sample
        dim = self._backend.meta.dim
        for block in self._backend.scroll(
            (), fields=(), with_vectors=True, block=min(BLOCK, self._sample)
        ):
            rows.append(stacked(block[:left], dim))
            left -= len(rows[-1])
            if not left:
                break
        vectors = np.concatenate([*rows, np.empty((0, dim), np.float32)])
        return _Known(statistics=statistics_of(vectors, n=n), changes=changes)

    def _read_statistics(self) -> _Known | None:
        record = self._backend.read_record(STATISTICS)
        try:
            # Those that this process keeps are known to it; others know nothing of its changes.
            return None if record is None else _Known(statistics=_from_json(record), changes=0)
        except (KeyError, TypeError, ValueError):  # of another version: as good as none
            return None

    def _read_regions(self) -> dict[str, Region]:
        record = self._backend.read_record(REGIONS) or {"regions": []}
        regions = [Region.from_json(value) for value in record["regions"]]
        return {region.name: region for region in regions}


def _to_json(statistics: Statistics) -> dict[str, Any]:
    triangle = statistics.covariance[np.triu_indices(len(statistics.mean))]
    return {
        "n": statistics.n,
        "sample": statistics.sample,
        "mean": _text(statistics.mean, "<f8"),
        "covariance": _text(triangle, "<f8"),
        "vectors": _text(np.asarray(statistics.vectors), "<f2"),
    }


def _from_json(value: dict[str, Any]) -> Statistics:
    mean, triangle = (
        np.frombuffer(base64.b64decode(value[name], validate=True), "<f8").astype(np.float64)
        for name in ("mean", "covariance")
    )
    covariance = np.zeros((len(mean), len(mean)))
    rows, cols = np.triu_indices(len(mean))
    covariance[rows, cols] = covariance[cols, rows] = triangle
    vectors = np.frombuffer(base64.b64decode(value["vectors"], validate=True), "<f2").astype(
        np.float32
    )
    vectors = vectors.reshape(-1, len(mean))
    for shared in (mean, covariance, vectors):  # by all who ask
        shared.flags.writeable = False
    return Statistics(
        n=value["n"], sample=value["sample"], mean=mean, covariance=covariance, vectors=vectors
    )


def _text(values: np.ndarray[Any, np.dtype[Any]], kind: str) -> str:
    return base64.b64encode(values.astype(kind).tobytes()).decode()
