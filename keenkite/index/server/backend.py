"""An index on a Qdrant server or cluster: our words in those of its HTTP client.

The server needs version 1.16 at least: older ones ignore ACORN, and miss matches of narrow filters.
"""

# ruff: noqa: D102  (`Backend` says what the methods do)

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qdrant_client import QdrantClient, models

from keenkite.errors import NoIndexError, TileIndexError
from keenkite.index import backend as policy
from keenkite.index.backend import VECTOR, Found, Tell
from keenkite.index.filters import Condition
from keenkite.index.meta import Meta
from keenkite.index.payload import INDEXES
from keenkite.index.points import Points, labelled, relabelled
from keenkite.index.server.client import connect, translated
from keenkite.index.server.filters import INDEX_PARAMETERS, client_filter
from keenkite.index.server.records import META, RECORDS, Records, create, pages

SLICE = 256
"""Points per request: about 3 MB of JSON at 512 numbers."""

FACETS = 100_000
"""More texts at one field than these are not counted."""


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
            NoIndexError: there is none, and `meta` is None.
            TileIndexError: the server cannot be reached or refuses, or the collection is not ours.
        """
        self._client = client
        self._tiles = collection
        self._records = Records(client, f"{collection}{RECORDS}", location=location)
        self._location = location
        with self._translated():
            ours = self._records.exist()
            if not ours and client.collection_exists(collection):
                raise TileIndexError(
                    f"{location} has a collection {collection!r} that is not a keenkite index; "
                    "name another one in the URL: http://host:port/collection."
                )
            if not ours:
                if meta is None:
                    raise NoIndexError(
                        f"There is no index {collection!r} at {location}. "
                        "Check the URL, or build one there."
                    )
                self._records.make()
            if self.read_record(META) is None:
                if meta is None:
                    raise NoIndexError(
                        f"The index {collection!r} at {location} is not complete; "
                        "build into it again."
                    )
                # Before the tiles' collection: killed in between, opening it again goes on.
                self.write_record(META, meta.to_json())
            self.meta = self.read_meta()
            if meta is not None:
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

    def read_meta(self) -> Meta:
        found = self._records.description()
        if found is None:
            raise NoIndexError(f"The index {self._location} was removed; build it anew.")
        self.meta = Meta.from_json(found, self._location)
        return self.meta

    def describe(self, meta: Meta) -> None:
        self._records.describe(meta.to_json())
        self.meta = meta

    def add_spans(self, spans: Sequence[float]) -> None:
        for span in self.meta.with_spans(spans).spans:
            if span not in self.meta.spans:
                self._records.add_span(span)
        self.read_meta()

    def upsert(self, points: Points) -> dict[str, list[str]]:
        replaced: dict[str, list[str]] = {}
        for begin in range(0, len(points.ids), SLICE):
            part = slice(begin, begin + SLICE)
            rows = zip(points.ids[part], points.vectors[part], points.payloads[part], strict=True)
            labels = self._labels(points.ids[part])
            batch = [
                models.PointStruct(
                    id=i, vector={VECTOR: v.tolist()}, payload=labelled(p, labels.get(i, ()))
                )
                for i, v, p in rows
            ]
            with self._translated():
                self._client.upsert(self._tiles, batch, wait=True)
            replaced |= labels
        return replaced

    def label(self, ids: Sequence[str], *, add: str | None, remove: str | None) -> int:
        changed = 0
        for begin in range(0, len(ids), SLICE):
            labels = self._labels(ids[begin : begin + SLICE])
            for regions, members in relabelled(labels, add=add, remove=remove).items():
                payload = {"regions": list(regions)}
                with self._translated():
                    self._client.set_payload(self._tiles, payload, [*members], wait=True)
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

    def size(self) -> int:
        with self._translated():
            return self._client.count(self._tiles, exact=False).count

    def facet(self, key: str) -> dict[str, int]:
        with self._translated():
            answer = self._client.facet(self._tiles, key, limit=FACETS, exact=True)
        return {str(hit.value): hit.count for hit in answer.hits}

    def retrieve(self, ids: Sequence[str], *, with_vectors: bool) -> list[Found]:
        with self._translated():
            records = self._client.retrieve(
                self._tiles, list(ids), with_payload=True, with_vectors=with_vectors
            )
        return [_found(record) for record in records]

    def scroll(
        self,
        conditions: Sequence[Condition],
        *,
        fields: Sequence[str] | None,
        with_vectors: bool,
        block: int = policy.BLOCK,
    ) -> Iterator[list[Found]]:
        for records in pages(
            self._client,
            self._tiles,
            client_filter(conditions),
            location=self._location,
            fields=True if fields is None else list(fields) or False,
            with_vectors=with_vectors,
            block=block,
        ):
            yield [_found(record) for record in records]

    def delete(self, ids: Sequence[str], conditions: Sequence[Condition] = ()) -> None:
        for begin in range(0, len(ids), policy.BLOCK):
            part = ids[begin : begin + policy.BLOCK]
            selector: models.PointsSelector = models.PointIdsList(points=[*part])
            if conditions:
                selector = models.FilterSelector(filter=client_filter(conditions, ids=part))
            with self._translated():
                self._client.delete(self._tiles, selector, wait=True)

    def flush(self) -> None:
        """Nothing to do: a request is answered when the server has it in its log."""

    def records(self, kind: str) -> dict[str, dict[str, Any]]:
        return self._records.all(kind)

    def read_record(self, key: str) -> dict[str, Any] | None:
        return self._records.read(key)

    def write_record(self, key: str, value: dict[str, Any]) -> None:
        self._records.write(key, value)

    def delete_records(self, keys: Sequence[str]) -> None:
        self._records.delete(keys)

    def maintain(self, tell: Tell | None) -> bool:  # noqa: ARG002
        return False  # a server does it by itself

    def close(self) -> None:
        self._client.close()

    def _labels(self, ids: Sequence[str]) -> dict[str, list[str]]:
        """Id -> regions, of those points that are there."""
        with self._translated():
            records = self._client.retrieve(self._tiles, list(ids), with_payload=["regions"])
        return {str(record.id): (record.payload or {}).get("regions", []) for record in records}

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
        for field, kind in INDEXES.items():
            if field not in made:
                self._client.create_payload_index(self._tiles, field, INDEX_PARAMETERS[kind])

    def _translated(self) -> AbstractContextManager[None]:
        return translated(self._location)


def _found(point: models.Record | models.ScoredPoint, score: float | None = None) -> Found:
    vector = None
    if isinstance(point.vector, dict):
        vector = np.asarray(point.vector[VECTOR], dtype=np.float32)
    return Found(id=str(point.id), payload=point.payload or {}, score=score, vector=vector)
