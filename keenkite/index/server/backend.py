"""An index on a Qdrant server or cluster: our words in those of its HTTP client.

The server needs version 1.16 at least: older ones ignore ACORN, and miss matches of narrow filters.
"""

# ruff: noqa: D102  (`Backend` says what the methods do)

from __future__ import annotations

import base64
import json
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qdrant_client import QdrantClient, models

from keenkite.errors import TileIndexError
from keenkite.index import backend as policy
from keenkite.index.backend import VECTOR, Found, Meta, Progress, stacked
from keenkite.index.filters import Condition
from keenkite.index.points import Points
from keenkite.index.server.client import connect, translated
from keenkite.index.server.filters import INDEX_PARAMETERS, client_filter
from keenkite.index.server.records import Records, create, pages
from keenkite.index.statistics import Moments, Statistics

SLICE = 256
"""Points per request: about 3 MB of JSON at 512 numbers."""

META, STATISTICS, STEPS = "index/meta", "cache/statistics", "steps"

CHANGE_LASTS = 120
"""Seconds after which a process that has not ended its change is taken for dead.

Several times what a request may take, and what the clocks of two machines may differ by.
"""
STEPS_KEPT = 7 * 24 * 3600
"""Seconds after which a process is forgotten that has made no change since."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """How often a process began and ended a change of the points."""

    number: int
    """Odd while the change is going on."""
    at: float
    """When, seconds since 1970 by the clock of that process."""


class RemoteBackend:
    """Two collections: the tiles, and `<name>-records` for what the index says about itself."""

    def __init__(
        self, client: QdrantClient, collection: str, meta: Meta | None, *, location: str
    ) -> None:
        """Open the index of a client, or make one of `meta` where there is none.

        Args:
            client: closed by `close`.
            collection: its name; letters, digits, and what else the server allows.
            meta: what a new index is to hold; None opens an existing one only.
            location: for messages.

        Raises:
            TileIndexError: the server cannot be reached or refuses, the collection is not ours,
                or there is none and `meta` is None.
        """
        self._client = client
        self._tiles = collection
        self._records = Records(client, f"{collection}-records", location=location)
        self._location = location
        self._mutex = threading.RLock()
        """Held during a change, and for what changes with it."""
        self._writer = f"{STEPS}/{uuid.uuid4().hex}"
        self._step = Step(number=0, at=0.0)
        self._moments: tuple[str, Moments] | None = None
        """Sums over all points, and their generation."""
        self._statistics: tuple[str, Statistics] | None = None
        """What the sums said last, and their generation: every search asks for them."""
        with self._translated():
            ours = self._records.exist()
            if not ours and client.collection_exists(collection):
                raise TileIndexError(
                    f"{location} has a collection {collection!r} that is not a keenkite index; "
                    "name another one in the URL: http://host:port/collection."
                )
            if not ours:
                if meta is None:
                    raise TileIndexError(
                        f"There is no index {collection!r} at {location}. "
                        "Check the URL, or build one there."
                    )
                self._records.make()
            found = self.read_record(META)
            if found is None:
                if meta is None:
                    raise TileIndexError(f"The index {collection!r} at {location} is not complete.")
                # Before the tiles' collection: killed in between, opening it again goes on.
                self.write_record(META, meta.to_json())
                found = meta.to_json()
            self.meta = Meta.from_json(found, location)
            self._make_tiles()

    @classmethod
    def open(
        cls, url: str, meta: Meta | None, *, api_key: str | None, timeout: float
    ) -> RemoteBackend:
        """Connect to http(s)://host[:port][/prefix...][/collection]; see `RemoteBackend`.

        Raises:
            InputError: the URL cannot be used.
            TileIndexError: as `RemoteBackend` does.
        """
        client, collection = connect(url, api_key=api_key, timeout=timeout)
        try:
            return cls(client, collection, meta, location=url)
        except BaseException:
            client.close()
            raise

    def upsert(self, points: Points) -> None:
        for begin in range(0, len(points.ids), SLICE):
            part = slice(begin, begin + SLICE)
            rows = zip(points.ids[part], points.vectors[part], points.payloads[part], strict=True)
            batch = [
                models.PointStruct(id=i, vector={VECTOR: v.tolist()}, payload=p) for i, v, p in rows
            ]
            with self._changing(points.ids[part], points.vectors[part]):
                self._client.upsert(self._tiles, batch, wait=True)

    def query(
        self,
        vector: NDArray[np.float32],
        *,
        limit: int,
        conditions: Sequence[Condition],
        exact: bool,
        with_vectors: bool,
    ) -> list[Found]:
        parameters = models.SearchParams(
            hnsw_ef=max(policy.SEARCH_EF, limit),
            exact=exact,
            quantization=models.QuantizationSearchParams(
                rescore=True, oversampling=policy.OVERSAMPLING
            ),
            acorn=models.AcornSearchParams(enable=True, max_selectivity=1.0),
        )
        with self._translated():
            answer = self._client.query_points(
                self._tiles,
                query=vector.tolist(),
                using=VECTOR,
                query_filter=client_filter(conditions),
                search_params=parameters,
                limit=limit,
                with_payload=True,
                with_vectors=with_vectors,
            )
        return [_found(point, score=point.score) for point in answer.points]

    def count(self, conditions: Sequence[Condition]) -> int:
        with self._translated():
            answer = self._client.count(
                self._tiles, count_filter=client_filter(conditions), exact=True
            )
        return answer.count

    def retrieve(self, ids: Sequence[str], *, with_vectors: bool) -> list[Found]:
        with self._translated():
            records = self._client.retrieve(
                self._tiles, list(ids), with_payload=True, with_vectors=with_vectors
            )
        return [_found(record) for record in records]

    def scroll(
        self, conditions: Sequence[Condition], *, fields: Sequence[str] | None, with_vectors: bool
    ) -> Iterator[list[Found]]:
        for records in pages(
            self._client,
            self._tiles,
            client_filter(conditions),
            location=self._location,
            fields=True if fields is None else list(fields) or False,
            with_vectors=with_vectors,
        ):
            yield [_found(record) for record in records]

    def delete(self, ids: Sequence[str]) -> None:
        if ids:
            with self._changing(ids, np.empty((0, self.meta.dim), np.float32)):
                selector = models.PointIdsList(points=list(ids))
                self._client.delete(self._tiles, selector, wait=True)

    def flush(self) -> None:
        """Nothing to do: a request is answered when the server has it in its log."""

    def statistics(self) -> Statistics:
        with self._mutex:
            steps = self._read_steps()
            generation = _generation(steps)
            if self._statistics is not None and self._statistics[0] == generation:
                return self._statistics[1]
            moments = self._kept_moments(generation)
            if moments is None or moments.n != self.count(()):
                moments = Moments(self.meta.dim)
                for block in self.scroll((), fields=(), with_vectors=True):
                    moments.add(stacked(block, self.meta.dim))
                if self._others_write(steps) or self._read_steps() != steps:
                    return moments.statistics()
                self._keep_moments(generation, moments)
            self._statistics = generation, moments.statistics()
            return self._statistics[1]

    def generation(self) -> str:
        return _generation(self._read_steps())

    def records(self, kind: str) -> dict[str, dict[str, Any]]:
        return self._records.all(kind)

    def read_record(self, key: str) -> dict[str, Any] | None:
        return self._records.read(key)

    def write_record(self, key: str, value: dict[str, Any]) -> None:
        self._records.write(key, value)

    def delete_records(self, keys: Sequence[str]) -> None:
        self._records.delete(keys)

    def maintain(self, progress: Progress | None) -> bool:  # noqa: ARG002
        return False  # a server does it by itself

    def close(self) -> None:
        self._client.close()

    @contextmanager
    def _changing(self, ids: Sequence[str], vectors: NDArray[np.float32]) -> Iterator[None]:
        """Around a change that leaves the points of `ids` with `vectors`, or without them.

        Nothing locks a server against other writers. So each has a record of the steps it made,
        one before and one after each change, and goes on with the sums only if nobody else was
        in a change when it began, or made a step until it ended.
        """
        with self._mutex, self._translated():
            steps = self._read_steps()
            kept = None if self._others_write(steps) else self._kept_moments(_generation(steps))
            self._moments = None
            # Even: no change is going on. It is odd already when the last one failed.
            number = self._step.number + 1 + self._step.number % 2
            steps = self._make_step(steps, number)
            old = self.retrieve(ids, with_vectors=True) if kept is not None else []
            yield
            undisturbed = self._read_steps() == steps
            steps = self._make_step(steps, number + 1)
            if kept is not None and undisturbed:
                kept.remove(stacked(old, self.meta.dim))
                kept.add(vectors)
                self._keep_moments(_generation(steps), kept)

    def _read_steps(self) -> dict[str, Step]:
        return {key: Step(**value) for key, value in self.records(STEPS).items()}

    def _make_step(self, steps: dict[str, Step], number: int) -> dict[str, Step]:
        """Record a step of this process; all steps after it, given those before it."""
        # After another process' first step nobody needs its older ones, and no generation can
        # come twice, since this step is a new one.
        old = [key for key, step in steps.items() if time.time() - step.at > STEPS_KEPT]
        self._step = Step(number=number, at=time.time())
        self.write_record(self._writer, asdict(self._step))
        self.delete_records([key for key in old if key != self._writer])
        others = {key: step for key, step in steps.items() if key not in old}
        return {**others, self._writer: self._step}

    def _others_write(self, steps: dict[str, Step]) -> bool:
        return any(
            step.number % 2 and time.time() - step.at < CHANGE_LASTS
            for key, step in steps.items()
            if key != self._writer
        )

    def _kept_moments(self, generation: str) -> Moments | None:
        """The sums of this generation over all points, or None when only a scan would tell."""
        if self._moments is None or self._moments[0] != generation:
            kept = self.read_record(STATISTICS)
            moments = None
            if kept is not None and kept["generation"] == generation:
                moments = Moments.from_bytes(base64.b64decode(kept["moments"]), self.meta.dim)
            elif not generation:  # no point was ever written
                moments = Moments(self.meta.dim)
            self._moments = None if moments is None else (generation, moments)
        return None if self._moments is None else self._moments[1]

    def _keep_moments(self, generation: str, moments: Moments) -> None:
        text = base64.b64encode(moments.to_bytes()).decode()
        self.write_record(STATISTICS, {"generation": generation, "moments": text})
        self._moments = generation, moments

    def _make_tiles(self) -> None:
        if not self._client.collection_exists(self._tiles):
            parameters = models.VectorParams(
                size=self.meta.dim,
                distance=models.Distance.DOT,
                on_disk=True,
                hnsw_config=models.HnswConfigDiff(
                    m=policy.HNSW_M,
                    ef_construct=policy.HNSW_EF_CONSTRUCT,
                    full_scan_threshold=policy.Tuning().full_scan_kb,
                ),
                quantization_config=models.ScalarQuantization(
                    scalar=models.ScalarQuantizationConfig(
                        type=models.ScalarType.INT8, quantile=policy.QUANTILE, always_ram=True
                    )
                ),
            )
            create(self._client, self._tiles, {VECTOR: parameters})
        made = self._client.get_collection(self._tiles).payload_schema
        for field, kind in policy.PAYLOAD_INDEXES.items():
            if field not in made:
                self._client.create_payload_index(self._tiles, field, INDEX_PARAMETERS[kind])

    def _translated(self) -> AbstractContextManager[None]:
        return translated(self._location)


def _generation(steps: dict[str, Step]) -> str:
    numbers = {key: step.number for key, step in steps.items()}
    return json.dumps(numbers, sort_keys=True) if numbers else ""


def _found(point: models.Record | models.ScoredPoint, score: float | None = None) -> Found:
    vector = None
    if isinstance(point.vector, dict):
        vector = np.asarray(point.vector[VECTOR], dtype=np.float32)
    return Found(id=str(point.id), payload=point.payload or {}, score=score, vector=vector)
