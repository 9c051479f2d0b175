"""What an index on a server says about itself: notes in a collection of their own."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from typing import Any

from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse

from keenkite.index.backend import BLOCK
from keenkite.index.server.client import translated
from keenkite.index.server.filters import INDEX_PARAMETERS

RECORDS = "-records"
"""What the collection of an index' records is called, after its own name."""

META, SPANS = "index/meta", "spans"


class Records:
    """Notes by key, as points without a vector to speak of; see `Backend`."""

    def __init__(self, client: QdrantClient, collection: str, *, location: str) -> None:
        """Nothing is sent yet; `location` is for messages."""
        self._client = client
        self._collection = collection
        self._location = location

    def exist(self) -> bool:
        """Whether the server has the collection."""
        with translated(self._location):
            return self._client.collection_exists(self._collection)

    def make(self) -> None:
        """Make the collection."""
        # A vector of one number: every point has one, and these are found by id.
        one = models.VectorParams(size=1, distance=models.Distance.DOT)
        with translated(self._location):
            create(self._client, self._collection, one)
            self._client.create_payload_index(self._collection, "kind", INDEX_PARAMETERS["keyword"])

    def description(self) -> dict[str, Any] | None:
        """What the index says about itself: `Meta.to_json`; None where it was never written."""
        found = self.read(META)
        if found is None or not isinstance(found.get("spans"), list):
            return found
        # A note for each that was added, so that two builds that add one at a time lose none.
        added = [note["span"] for note in self.all(SPANS).values()]
        return {**found, "spans": [*found["spans"], *added]}

    def describe(self, description: dict[str, Any]) -> None:
        """Say that instead of what was said before."""
        self.delete(list(self.all(SPANS)))
        self.write(META, description)

    def add_span(self, span: float) -> None:
        """Say that tiles of this width are held too."""
        self.write(f"{SPANS}/{span:.3f}", {"span": span})

    def all(self, kind: str) -> dict[str, dict[str, Any]]:
        """Notes whose keys begin with `kind` and a slash."""
        of_kind = models.FieldCondition(key="kind", match=models.MatchValue(value=kind))
        where = models.Filter(must=[of_kind])
        found = {}
        for page in pages(self._client, self._collection, where, location=self._location):
            payloads = [record.payload or {} for record in page]
            found.update({payload["key"]: payload["value"] for payload in payloads})
        return found

    def read(self, key: str) -> dict[str, Any] | None:
        """The note of this key, if any."""
        with translated(self._location):
            records = self._client.retrieve(self._collection, [_id(key)], with_payload=True)
        return (records[0].payload or {})["value"] if records else None

    def write(self, key: str, value: dict[str, Any]) -> None:
        """Keep a note."""
        payload = {"key": key, "kind": key.partition("/")[0], "value": value}
        point = models.PointStruct(id=_id(key), vector=[1.0], payload=payload)
        with translated(self._location):
            self._client.upsert(self._collection, [point], wait=True)

    def delete(self, keys: Sequence[str]) -> None:
        """Forget notes."""
        if keys:
            selector = models.PointIdsList(points=[_id(key) for key in keys])
            with translated(self._location):
                self._client.delete(self._collection, selector, wait=True)


def create(
    client: QdrantClient, name: str, vectors: models.VectorParams | dict[str, models.VectorParams]
) -> None:
    """Make a collection, unless it was made by another process just now."""
    try:
        client.create_collection(name, vectors_config=vectors)
    except UnexpectedResponse as error:
        if error.status_code != 409:
            raise


def pages(
    client: QdrantClient,
    collection: str,
    where: models.Filter,
    *,
    location: str,
    fields: bool | list[str] = True,
    with_vectors: bool = False,
    block: int = BLOCK,
) -> Iterator[list[models.Record]]:
    """All points that meet a filter, by blocks."""
    offset = None
    while True:
        with translated(location):
            records, offset = client.scroll(
                collection,
                scroll_filter=where,
                limit=block,
                offset=offset,
                with_payload=fields,
                with_vectors=with_vectors,
            )
        if records:
            yield records
        if offset is None:
            return


def _id(key: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, key))
