"""An index in a folder: our words in those of Qdrant Edge, the engine in this process.

The engine never releases Python's global lock, so nothing long is done here: upserts go in slices,
scrolls in blocks, and the graph is built in another process (see `maintenance`).
"""

# ruff: noqa: D102  (`Backend` says what the methods do)

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import qdrant_edge as engine
from numpy.typing import NDArray

from keenkite.errors import IndexBusyError, TileIndexError
from keenkite.index import backend as policy
from keenkite.index.backend import VECTOR, Found, Meta, Progress, Tuning, stacked
from keenkite.index.embedded.filters import INDEX_PARAMETERS, engine_filter
from keenkite.index.filters import Condition
from keenkite.index.embedded.folder import Folder
from keenkite.index.embedded.lock import Hold, writing
from keenkite.index.embedded.maintenance import maintain
from keenkite.index.points import Points
from keenkite.index.embedded.shard import SharedShard
from keenkite.index.statistics import Moments, Statistics

SLICE = 500
"""Points per call of the engine: some 70 ms in which no other thread runs."""

BLOCK = 1000
"""Points per block of a scroll."""

ROOM = 256_000_000
"""Bytes that must be free for a change; see `Folder.require_room`."""


class EdgeBackend:
    """One folder; see `Backend`."""

    def __init__(self, folder: Folder, meta: Meta, *, wait: float, tuning: Tuning) -> None:
        self.meta = meta
        self._folder = folder
        self._wait = wait
        self._tuning = tuning
        self._moments: tuple[str, Moments] | None = None
        """Sums over all points, and their generation; looked at under the hold only."""
        self._statistics: tuple[str, Statistics] | None = None
        """What the sums said last, and their generation: every search asks for them."""
        self._shard = SharedShard(folder, create=self._create, wait=wait)

    @classmethod
    def open(
        cls,
        path: Path,
        meta: Meta | None,
        *,
        wait: float,
        tuning: Tuning = Tuning(),  # noqa: B008  (frozen)
    ) -> EdgeBackend:
        """Open the index of a folder, or make one of `meta` where there is none.

        Args:
            path: the folder, made if it does not exist.
            meta: what a new index is to hold; None opens an existing one only.
            wait: seconds that any operation waits for other processes.
            tuning: for tests; it becomes part of a new index.

        Raises:
            TileIndexError: the folder holds something else, or is damaged, or has no index.
            IndexBusyError: another process held it for longer than `wait`.
            StorageError: the folder cannot be made.
        """
        folder = Folder(path)
        found = folder.read_meta()
        if found is None:
            if meta is None:
                raise TileIndexError(
                    f"There is no index in {path}. Check the path, or build one there."
                )
            folder.make()
            hold = Hold(path)
            hold.acquire("making the index", wait)
            try:
                found = folder.read_meta()  # perhaps made while this process waited
                if found is None:
                    folder.write_meta(meta)
                    found = meta
            finally:
                hold.release()
        with suppress(IndexBusyError), writing(path, "opening", 0, shared=False):
            folder.remove_other_shards()
        return cls(folder, found, wait=wait, tuning=tuning)

    def upsert(self, points: Points) -> None:
        for begin in range(0, len(points.ids), SLICE):
            part = slice(begin, begin + SLICE)
            rows = zip(points.ids[part], points.vectors[part], points.payloads[part], strict=True)
            batch = [engine.Point(i, vector={VECTOR: v}, payload=p) for i, v, p in rows]
            operation = engine.UpdateOperation.upsert_points(batch)
            self._change(operation, "upserting", points.ids[part], points.vectors[part])

    def query(
        self,
        vector: NDArray[np.float32],
        *,
        limit: int,
        conditions: Sequence[Condition],
        exact: bool,
        with_vectors: bool,
    ) -> list[Found]:
        request = engine.QueryRequest(
            # Arrays are taken, though the stubs ask for lists.
            query=engine.Query.Nearest(vector, using=VECTOR),  # type: ignore[arg-type]
            filter=engine_filter(conditions),
            limit=limit,
            with_payload=True,
            with_vector=with_vectors,
            params=engine.SearchParams(
                hnsw_ef=max(policy.SEARCH_EF, limit),
                exact=exact,
                quantization=engine.QuantizationSearchParams(
                    rescore=True, oversampling=policy.OVERSAMPLING
                ),
                acorn=engine.AcornSearchParams(enable=True, max_selectivity=1.0),
            ),
        )
        with self._shard.opened("searching") as shard:
            return [_found(point, score=point.score) for point in shard.query(request)]

    def count(self, conditions: Sequence[Condition]) -> int:
        request = engine.CountRequest(exact=True, filter=engine_filter(conditions))
        with self._shard.opened("counting") as shard:
            return shard.count(request)

    def retrieve(self, ids: Sequence[str], *, with_vectors: bool) -> list[Found]:
        with self._shard.opened("reading tiles") as shard:
            return [_found(record) for record in shard.retrieve(list(ids), True, with_vectors)]

    def scroll(
        self, conditions: Sequence[Condition], *, fields: Sequence[str] | None, with_vectors: bool
    ) -> Iterator[list[Found]]:
        offset = None
        while True:
            request = engine.ScrollRequest(
                offset=offset,
                limit=BLOCK,
                filter=engine_filter(conditions),
                with_payload=True if fields is None else list(fields),
                with_vector=with_vectors,
            )
            # The shard is free for others between two blocks; ids keep the place.
            with self._shard.opened("reading many tiles") as shard:
                records, offset = shard.scroll(request)
                block = [_found(record) for record in records]
            if block:
                yield block
            if offset is None:
                return

    def delete(self, ids: Sequence[str]) -> None:
        for begin in range(0, len(ids), SLICE):
            part = ids[begin : begin + SLICE]
            operation = engine.UpdateOperation.delete_points(list(part))
            self._change(operation, "deleting", part, np.empty((0, self.meta.dim), np.float32))

    def flush(self) -> None:
        with self._shard.opened("flushing") as shard:
            shard.flush()
            moments = self._kept_moments()
            if moments is not None:
                self._folder.write_moments(moments, flushed=True)

    def statistics(self) -> Statistics:
        with self._shard.opened("reading statistics") as shard:
            generation = self._folder.generation()
            if self._statistics is not None and self._statistics[0] == generation:
                return self._statistics[1]
            moments = self._kept_moments()
            # Not by `count`, which looks at every point.
            if moments is not None and moments.n == shard.info().points_count:
                self._statistics = generation, moments.statistics()
                return self._statistics[1]
        moments = self._scanned_moments()
        if moments is None:  # points changed meanwhile: again, with writers kept out
            with writing(self._folder.path, "statistics", self._wait, shared=False):
                moments = self._scanned_moments()
        assert moments is not None
        return moments.statistics()

    def generation(self) -> str:
        return self._folder.generation()

    def records(self, kind: str) -> dict[str, dict[str, Any]]:
        return self._folder.records(kind)

    def read_record(self, key: str) -> dict[str, Any] | None:
        return self._folder.read_record(key)

    def write_record(self, key: str, value: dict[str, Any]) -> None:
        self._folder.write_record(key, value)

    def delete_records(self, keys: Sequence[str]) -> None:
        for key in keys:
            self._folder.delete_record(key)

    def unindexed(self) -> int:
        """Points that no graph covers yet, so that every search scans them."""
        with self._shard.opened("counting") as shard:
            info = shard.info()
            return info.points_count - info.indexed_vectors_count

    def maintain(self, progress: Progress | None) -> bool:
        with writing(self._folder.path, "maintenance", self._wait, shared=False):
            self._folder.remove_other_shards()
            if self.unindexed() < self._tuning.index_from:
                return False
            maintain(self._folder, self._shard, progress)
        return True

    def close(self) -> None:
        self._shard.close()

    def _change(
        self,
        operation: engine.UpdateOperation,
        purpose: str,
        ids: Sequence[str],
        vectors: NDArray[np.float32],
    ) -> None:
        """Apply an operation that leaves the points of `ids` with `vectors`, or without them."""
        with (
            writing(self._folder.path, purpose, self._wait, shared=True),
            self._shard.opened(purpose) as shard,
        ):
            self._folder.require_room(ROOM, "a change")
            moments = self._kept_moments()
            old = [] if moments is None else shard.retrieve(list(ids), False, True)
            self._moments = None
            generation = self._folder.change_generation()
            shard.update(operation)
            if moments is not None:
                moments.remove(stacked([_found(record) for record in old], self.meta.dim))
                moments.add(vectors)
                self._folder.write_moments(moments, flushed=False)
                self._moments = generation, moments

    def _scanned_moments(self) -> Moments | None:
        """Sums over all points, kept from now on; None when points changed during the scan."""
        with self._shard.opened("reading statistics"):
            generation = self._folder.generation()
        moments = Moments(self.meta.dim)
        for block in self.scroll((), fields=(), with_vectors=True):
            moments.add(stacked(block, self.meta.dim))
        with self._shard.opened("keeping statistics"):
            if self._folder.generation() != generation:
                return None
            self._folder.write_moments(moments, flushed=False)
            self._moments = generation, moments
        return moments

    def _kept_moments(self) -> Moments | None:
        """The sums over all points, or None when only a scan would tell; under the hold."""
        generation = self._folder.generation()
        if self._moments is None or self._moments[0] != generation:
            moments = self._folder.read_moments(self.meta.dim)
            if moments is None and not generation:  # no point was ever written
                moments = Moments(self.meta.dim)
            self._moments = None if moments is None else (generation, moments)
        return None if self._moments is None else self._moments[1]

    def _create(self, path: Path) -> engine.EdgeShard:
        parameters = engine.EdgeVectorParams(
            size=self.meta.dim,
            distance=engine.Distance.Dot,
            memory=engine.Memory.Cold,
            quantization_config=engine.ScalarQuantizationConfig(
                type=engine.ScalarType.Int8,
                quantile=policy.QUANTILE,
                memory=engine.Memory.Pinned,
            ),
        )
        config = engine.EdgeConfig(
            vectors={VECTOR: parameters},
            hnsw_config=engine.HnswIndexConfig(
                m=policy.HNSW_M,
                ef_construct=policy.HNSW_EF_CONSTRUCT,
                full_scan_threshold=self._tuning.full_scan_kb,
            ),
            optimizers=engine.EdgeOptimizersConfig(
                indexing_threshold=max(self._tuning.index_from * self.meta.dim * 4 // 1024, 1)
            ),
        )
        shard = engine.EdgeShard.create(str(path), config)
        for field, kind in policy.PAYLOAD_INDEXES.items():
            parameters = INDEX_PARAMETERS[kind](enable_hnsw=False)
            shard.update(engine.UpdateOperation.create_field_index(field, parameters))
        return shard


def _found(point: Any, score: float | None = None) -> Found:
    vector = None if point.vector is None else np.asarray(point.vector[VECTOR], dtype=np.float32)
    return Found(id=str(point.id), payload=point.payload or {}, score=score, vector=vector)
