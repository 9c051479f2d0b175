"""What is told of a whole index: how its vectors are spread, what it holds of each region.

Both are worked out by maintenance and kept as records. A reader takes the record while it is near
enough to the truth, and works it out for itself otherwise, without writing anything: it may have a
key that reads only.
"""

from __future__ import annotations

import threading

import numpy as np

from keenkite.index.backend import Backend, stacked
from keenkite.index.region import FIELDS, Region, summarise
from keenkite.index.statistics import SAMPLE, Statistics, from_record, statistics_of, to_record

STATISTICS, REGIONS = "summary/statistics", "summary/regions"

DRIFT = 0.05
"""Part of the points that may be others than those the statistics were worked out for."""


class Summary:
    """Of one index; threads may share it."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._lock = threading.Lock()
        self._changed = 0
        """Points that this process wrote or deleted since the statistics at hand."""
        self._statistics: Statistics | None = None
        self._regions: tuple[object, list[Region]] | None = None

    def change(self, points: int) -> None:
        """So many points were written or deleted."""
        with self._lock:
            self._changed += points

    def statistics(self) -> Statistics:
        """See `TileIndex.statistics`."""
        n = self._backend.size()
        with self._lock:
            if self._statistics is None:
                record = self._backend.read_record(STATISTICS)
                self._statistics = None if record is None else from_record(record)
            known = self._statistics
            if known is not None and self._is_near(known, n):
                return known if known.n == n else Statistics(
                    n=n, mean=known.mean, covariance=known.covariance
                )  # fmt: skip
            self._statistics, self._changed = self._sampled(n), 0
            return self._statistics

    def regions(self) -> list[Region]:
        """See `TileIndex.regions`."""
        token = self._token()
        with self._lock:
            if self._regions is None:
                record = self._backend.read_record(REGIONS)
                if record is not None:
                    kept = [Region.from_json(value) for value in record["regions"]]
                    self._regions = record["token"], kept
            if self._regions is None or self._regions[0] != token:
                self._regions = token, self._summarised()
            return list(self._regions[1])

    def keep(self) -> None:
        """Work both out anew and keep them; for a writer."""
        n, token = self._backend.size(), self._token()
        with self._lock:
            self._statistics, self._changed = self._sampled(n), 0
            self._regions = token, self._summarised()
            values = [region.to_json() for region in self._regions[1]]
            self._backend.write_record(STATISTICS, to_record(self._statistics))
            self._backend.write_record(REGIONS, {"token": token, "regions": values})

    def _is_near(self, known: Statistics, n: int) -> bool:
        return max(abs(known.n - n), self._changed) <= DRIFT * known.n

    def _sampled(self, n: int) -> Statistics:
        """From the first points in the order of their ids."""
        blocks, left = [], SAMPLE
        for block in self._backend.scroll((), fields=(), with_vectors=True):
            blocks.append(stacked(block[:left], self._backend.meta.dim))
            left -= len(block)
            if left <= 0:
                break
        none = np.empty((0, self._backend.meta.dim), np.float32)
        return statistics_of(np.concatenate([none, *blocks]), n=n)

    def _summarised(self) -> list[Region]:
        blocks = self._backend.scroll((), fields=FIELDS, with_vectors=False)
        return summarise(found.payload for block in blocks for found in block)

    def _token(self) -> dict[str, object]:
        """Another one when a tile or a label was added or taken away."""
        return {"tiles": self._backend.size(), "labels": self._backend.facet("regions")}
