"""An index in a folder: our words in those of Qdrant Edge, the engine in this process.

The engine never releases Python's global lock, so nothing long is done here: upserts go in slices,
scrolls in blocks, and the graph is built in another process (see `maintenance`).
"""

# ruff: noqa: D102  (`Backend` says what the methods do)
from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import qdrant_edge as engine
from numpy.typing import NDArray

from keenkite.errors import IndexBusyError, NoIndexError
from keenkite.files import make_folder, require_room
from keenkite.index import backend as policy
from keenkite.index.backend import VECTOR, Found, Tell, Tuning
from keenkite.index.embedded.creation import create_shard
from keenkite.index.embedded.filters import engine_filter
from keenkite.index.embedded.folder import Folder
from keenkite.index.embedded.lock import Hold, writing
from keenkite.index.embedded.maintenance import maintain
from keenkite.index.embedded.shard import SharedShard
from keenkite.index.filters import Condition
from keenkite.index.meta import Meta
from keenkite.index.points import Points, labelled, relabelled

FACETS = 100_000
"""More texts at one field than these are not counted."""

GARBAGE, LEAST_GARBAGE = 0.2, 1000
"""Share of the points, and number, deleted since from which maintenance gives their room back: the
engine's own limits, below which it leaves a segment as it is."""

SLICE = 500
"""Points per call of the engine: some 70 ms in which no other thread runs."""

ROOM = 256_000_000
"""Bytes that must be free for a change; see `files.require_room`."""


class EdgeBackend:
    """One folder; see `Backend`."""

    def __init__(self, folder: Folder, meta: Meta, *, wait: float, tuning: Tuning) -> None:
        self.meta = meta
        self._folder = folder
        self._wait = wait
        self._tuning = tuning
        self._shard = SharedShard(
            folder, create=partial(create_shard, dim=meta.dim, tuning=tuning), wait=wait
        )

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
            NoIndexError: the folder has none, and `meta` is None.
            TileIndexError: the folder holds something else, or is damaged.
            IndexBusyError: another process held it for longer than `wait`.
            StorageError: the folder cannot be made.
        """
        folder = Folder(path)
        found = folder.read_meta()
        if found is None:
            if meta is None:
                raise NoIndexError(
                    f"There is no index in {path}. Check the path, or build one there."
                )
            make_folder(path)
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

    def read_meta(self) -> Meta:
        self.meta = self._folder.description()
        return self.meta

    def describe(self, meta: Meta) -> None:
        with writing(self._folder.path, "describing", self._wait, shared=False):
            self._folder.write_meta(meta)
            self.meta = meta

    def add_spans(self, spans: Sequence[float]) -> None:
        with writing(self._folder.path, "adding spans", self._wait, shared=False):
            meta = self.read_meta().with_spans(spans)
            if meta != self.meta:
                self._folder.write_meta(meta)
                self.meta = meta

    def upsert(self, points: Points) -> dict[str, list[str]]:
        replaced: dict[str, list[str]] = {}
        for begin in range(0, len(points.ids), SLICE):
            part = slice(begin, begin + SLICE)
            rows = zip(points.ids[part], points.vectors[part], points.payloads[part], strict=True)
            with self._changing("upserting") as shard:
                labels = _labels(shard, points.ids[part])
                # The engine reads a memoryview twice as fast as the array behind it.
                batch = [
                    engine.Point(
                        i,
                        vector={VECTOR: memoryview(v)},  # type: ignore[dict-item]
                        payload=labelled(p, labels.get(i, ())),
                    )
                    for i, v, p in rows
                ]
                shard.update(engine.UpdateOperation.upsert_points(batch))
                if labels and shard.info().indexed_vectors_count:
                    # What a graph was built over is not overwritten in its place.
                    self._note_garbage(len(labels))
            replaced |= labels
        return replaced

    def label(self, ids: Sequence[str], *, add: str | None, remove: str | None) -> int:
        changed = 0
        for begin in range(0, len(ids), SLICE):
            with self._changing("labelling") as shard:
                labels = _labels(shard, ids[begin : begin + SLICE])
                groups = relabelled(labels, add=add, remove=remove)
                for regions, members in groups.items():
                    payload = {"regions": list(regions)}
                    shard.update(engine.UpdateOperation.set_payload([*members], payload))
                    changed += len(members)
        return changed

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

    def size(self) -> int:
        with self._shard.opened("counting") as shard:
            return int(shard.info().points_count)

    def facet(self, key: str) -> dict[str, int]:
        request = engine.FacetRequest(key, limit=FACETS, exact=True)
        with self._shard.opened("counting") as shard:
            return {str(hit.value): hit.count for hit in shard.facet(request).hits}

    def retrieve(self, ids: Sequence[str], *, with_vectors: bool) -> list[Found]:
        with self._shard.opened("reading tiles") as shard:
            return [_found(record) for record in shard.retrieve(list(ids), True, with_vectors)]

    def scroll(
        self,
        conditions: Sequence[Condition],
        *,
        fields: Sequence[str] | None,
        with_vectors: bool,
        block: int = policy.BLOCK,
    ) -> Iterator[list[Found]]:
        offset = None
        while True:
            request = engine.ScrollRequest(
                offset=offset,
                limit=block,
                filter=engine_filter(conditions),
                with_payload=True if fields is None else list(fields),
                with_vector=with_vectors,
            )
            # The shard is free for others between two blocks; ids keep the place.
            with self._shard.opened("reading many tiles") as shard:
                records, offset = shard.scroll(request)
                found = [_found(record) for record in records]
            if found:
                yield found
            if offset is None:
                return

    def delete(self, ids: Sequence[str], conditions: Sequence[Condition] = ()) -> None:
        for begin in range(0, len(ids), SLICE):
            part = ids[begin : begin + SLICE]
            operation = engine.UpdateOperation.delete_points([*part])
            if conditions:
                where = engine_filter(conditions, ids=part)
                operation = engine.UpdateOperation.delete_points_by_filter(where)
            with self._changing("deleting") as shard:
                shard.update(operation)
                self._note_garbage(len(part))

    def flush(self) -> None:
        with self._shard.opened("flushing") as shard:
            shard.flush()

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

    def maintain(self, tell: Tell | None) -> bool:
        with writing(self._folder.path, "maintenance", self._wait, shared=False):
            self._folder.remove_other_shards()
            garbage = self._folder.garbage()
            full = garbage >= max(LEAST_GARBAGE, GARBAGE * (garbage + self.size()))
            if self.unindexed() < self._tuning.index_from and not full:
                return False
            maintain(self._folder, self._shard, tell)
            if full:
                self._folder.write_garbage(0)
        return True

    def close(self) -> None:
        self._shard.close()

    @contextmanager
    def _changing(self, purpose: str) -> Iterator[engine.EdgeShard]:
        """The shard, for one change: nobody reads or writes between what is done in here."""
        with (
            writing(self._folder.path, purpose, self._wait, shared=True),
            self._shard.opened(purpose) as shard,
        ):
            require_room(self._folder.path, ROOM, "a change of the index")
            yield shard

    def _note_garbage(self, points: int) -> None:
        """Count what is deleted and still on the disk; under the hold."""
        self._folder.write_garbage(self._folder.garbage() + points)


def _labels(shard: engine.EdgeShard, ids: Sequence[str]) -> dict[str, list[str]]:
    """Id -> regions, of those points that are there."""
    records = shard.retrieve(list(ids), ["regions"], False)
    return {str(record.id): (record.payload or {}).get("regions", []) for record in records}


def _found(point: Any, score: float | None = None) -> Found:
    vectors = point.vector  # a new list each time that it is asked for
    vector = None if vectors is None else np.asarray(vectors[VECTOR], dtype=np.float32)
    return Found(id=str(point.id), payload=point.payload or {}, score=score, vector=vector)
