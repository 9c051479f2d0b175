"""TileIndex: tiles and their vectors, to be searched; the same in a folder and by URL."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from keenkite.errors import EncoderMismatchError, InputError
from keenkite.index.backend import Backend, Found, Meta, Progress
from keenkite.index.embedded.backend import EdgeBackend
from keenkite.index.filters import Filters
from keenkite.index.points import checked_points, checked_query, point_id, tile_of
from keenkite.index.region import FIELDS, Region, summarise
from keenkite.index.statistics import Statistics
from keenkite.tiling import Lattice, Tile

GRID = (Lattice.size, Lattice.stride)
"""Side of a tile and step between tiles, pixels."""

WAIT = 30.0
"""Seconds to wait for other processes that use the same folder."""

COMPLETE = "complete"
REGIONS = "cache/regions"


class Named(Protocol):
    """What an index asks of an encoder."""

    @property
    def name(self) -> str:
        """Tells its vectors from those of other encoders."""

    @property
    def dim(self) -> int:
        """Length of a vector."""


@dataclass(frozen=True, kw_only=True)
class Match:
    """A tile that a search found."""

    tile: Tile
    score: float
    """Dot product of its vector with the query: the cosine, when the query has norm 1."""
    vector: NDArray[np.float32] | None
    """(dim,), unit norm; None unless asked for."""


class TileIndex:
    """Tiles with one vector each. Threads may share it; processes may open the same one.

    It is a context manager: leaving it closes it.
    """

    def __init__(self, backend: Backend, *, location: str, folder: Path | None = None) -> None:
        """For an engine of your own; `TileIndex.open` is the usual way."""
        self._backend = backend
        self._meta = backend.meta
        self.location = location
        """Where it is, for messages; an API key is never in it."""
        self.folder = folder
        """The folder of an embedded index; None for one by URL."""

    @classmethod
    def open(
        cls,
        location: str | Path,
        *,
        encoder: Named | None,
        grid: tuple[int, int] | None = None,
        wait: float = WAIT,
        api_key: str | None = None,
    ) -> TileIndex:
        """Open an index, or make it where there is none.

        Args:
            location: a folder, or the URL of a Qdrant server: http(s)://host:port[/collection],
                with "keenkite" as the collection when none is named.
            encoder: whose vectors it holds. None opens an existing index, whatever its encoder
                and grid.
            grid: side of a tile, and step between tiles, in pixels. None takes what an existing
                index has, and (224, 112) for a new one.
            wait: seconds that any operation on a folder waits for other processes using it; by
                URL, seconds that a request may take.
            api_key: of the server; never part of a message.

        Raises:
            EncoderMismatchError: the index was made with another encoder, or another grid.
            IndexBusyError: another process held it for longer than `wait`.
            TileIndexError: it holds something else, is damaged, or cannot be reached.
            StorageError: the folder cannot be made.
        """
        meta = None
        if encoder is not None:
            size, stride = grid or GRID
            meta = Meta(encoder=encoder.name, dim=encoder.dim, size=size, stride=stride)
        backend: Backend
        folder = None
        if isinstance(location, str) and location.startswith(("http://", "https://")):
            # Here, since the client of the server takes longer to import than all the rest.
            from keenkite.index.server.backend import RemoteBackend

            backend = RemoteBackend.open(location, meta, api_key=api_key, timeout=wait)
        else:
            folder = Path(location).expanduser()
            backend = EdgeBackend.open(folder, meta, wait=wait)
        index = cls(backend, location=str(folder or location), folder=folder)
        if meta is not None and grid is None:
            meta = replace(meta, size=backend.meta.size, stride=backend.meta.stride)
        if meta is not None and meta != backend.meta:
            index.close()
            raise _mismatch(index.location, backend.meta, meta)
        return index

    @property
    def encoder_name(self) -> str:
        """Name of the encoder of its vectors."""
        return self._meta.encoder

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self._meta.dim

    @property
    def grid(self) -> tuple[int, int]:
        """Side of a tile, and step between tiles, in pixels."""
        return self._meta.size, self._meta.stride

    def require(self, encoder: Named) -> None:
        """Refuse an encoder whose vectors cannot be compared with those of this index.

        Raises:
            EncoderMismatchError: the index was made with another one.
        """
        wants = replace(self._meta, encoder=encoder.name, dim=encoder.dim)
        if wants != self._meta:
            raise _mismatch(self.location, self._meta, wants)

    def upsert(self, tiles: Sequence[Tile], vectors: ArrayLike) -> None:
        """Write tiles; one of the same id is replaced. A kill afterwards loses none of them.

        Args:
            tiles: n tiles.
            vectors: (n, dim), unit norm within 1e-3.

        Raises:
            InputError: a tile or a vector cannot be used; nothing was written.
            IndexBusyError: another process held the index, or was maintaining it, for too long.
            TileIndexError: the engine failed; some of the tiles may have been written.
            StorageError: the disk is full; some of the tiles may have been written.
        """
        if len(tiles):
            self._backend.upsert(checked_points(tiles, vectors, self._meta))

    def nearest(
        self,
        vector: ArrayLike,
        *,
        limit: int,
        filters: Filters | None = None,
        with_vectors: bool = False,
    ) -> list[Match]:
        """The tiles whose vectors have the highest dot product with `vector`, best first.

        As many as `limit`, or all that the filters let through when those are fewer.

        Args:
            vector: (dim,), of any norm but 0.
            limit: how many, at least 1.
            filters: which tiles to look among; None is all.
            with_vectors: give the vectors of the tiles too.

        Raises:
            InputError: the vector or the limit cannot be used.
            TileIndexError: the engine failed, or the index is busy (IndexBusyError).
        """
        if limit < 1:
            raise InputError(f"limit is {limit}; ask for one tile at least.")
        query = checked_query(vector, self.dim)
        conditions = (filters or Filters()).conditions()

        def ask(exact: bool) -> list[Found]:
            return self._backend.query(
                query, limit=limit, conditions=conditions, exact=exact, with_vectors=with_vectors
            )

        found = ask(exact=False)
        # Walking the graph under a narrow filter can miss matches, and the engine does not say so.
        if len(found) < limit and len(found) < self._backend.count(conditions):
            found = ask(exact=True)
        return [
            Match(tile=tile_of(f.payload, self._meta), score=f.score or 0.0, vector=f.vector)
            for f in found
        ]

    def count(self, filters: Filters | None = None) -> int:
        """How many tiles the filters let through, exactly."""
        return self._backend.count((filters or Filters()).conditions())

    def get(self, tile_ids: Sequence[str]) -> list[Tile]:
        """The tiles of these ids, in their order; those that are not in the index are left out."""
        found = self._retrieve(tile_ids, with_vectors=False)
        return [tile_of(found[i].payload, self._meta) for i in tile_ids if i in found]

    def vectors(self, tile_ids: Sequence[str]) -> NDArray[np.float32]:
        """The vectors of these tiles, (n, dim), in their order.

        Raises:
            InputError: a tile is not in the index; says which.
        """
        found = self._retrieve(tile_ids, with_vectors=True)
        for tile_id in tile_ids:
            if tile_id not in found:
                raise InputError(f"Tile {tile_id} is not in the index {self.location}.")
        rows = [found[tile_id].vector for tile_id in tile_ids]
        return np.array(rows, dtype=np.float32).reshape(len(rows), self.dim)

    def scroll(self, filters: Filters | None = None) -> Iterator[Tile]:
        """Every tile that the filters let through, in an order of no meaning."""
        conditions = (filters or Filters()).conditions()
        for block in self._backend.scroll(conditions, fields=None, with_vectors=False):
            for found in block:
                yield tile_of(found.payload, self._meta)

    def delete(self, filters: Filters) -> int:
        """Delete the tiles that the filters let through; how many they were.

        Scenes that lose a tile are no longer complete, so a next build does them again.

        Raises:
            InputError: the filters let everything through.
        """
        conditions = filters.conditions()
        if not conditions:
            raise InputError("delete() without a filter would delete every tile; name a region.")
        number, seen = 0, set[str]()
        for block in self._backend.scroll(conditions, fields=["scene_id"], with_vectors=False):
            scenes = {found.payload["scene_id"] for found in block} - seen
            seen |= scenes
            # The records first: killed in between, a scene is done again, and never left undone.
            gone = [
                key for key, info in self.complete().items() if info.get("scene", key) in scenes
            ]
            self._backend.delete_records([f"{COMPLETE}/{key}" for key in gone])
            self._backend.delete([found.id for found in block])
            number += len(block)
        return number

    def statistics(self) -> Statistics:
        """Mean and covariance of all vectors, exact.

        From sums that every upsert and delete keeps up to date. Only after a process was killed
        in the middle of a change are all vectors read once more.
        By URL, that also happens after two processes wrote at the same moment.
        """
        return self._backend.statistics()

    def regions(self) -> list[Region]:
        """What the index has of each region, by name; read again only after a change."""
        token = self._token()
        kept = self._backend.read_record(REGIONS)
        if kept is not None and kept["token"] == token:
            return [Region.from_json(value) for value in kept["regions"]]
        blocks = self._backend.scroll((), fields=FIELDS, with_vectors=False)
        regions = summarise(found.payload for block in blocks for found in block)
        values = [region.to_json() for region in regions]
        self._backend.write_record(REGIONS, {"token": token, "regions": values})
        return regions

    def is_complete(self, key: str) -> bool:
        """Whether `mark_complete` was called with this key."""
        return self._backend.read_record(f"{COMPLETE}/{key}") is not None

    def mark_complete(self, key: str, info: dict[str, Any]) -> None:
        """Record that some work is done; what was upserted for it is made durable first.

        Args:
            key: any text that names the work.
            info: JSON values. Its "scene" names the scene whose tiles were written (the key does,
                when it has none): deleting a tile of that scene takes the record away.
        """
        self._backend.flush()
        self._backend.write_record(f"{COMPLETE}/{key}", info)

    def complete(self) -> dict[str, dict[str, Any]]:
        """All that `mark_complete` recorded: key -> info."""
        records = self._backend.records(COMPLETE)
        return {key.removeprefix(f"{COMPLETE}/"): info for key, info in records.items()}

    def maintain(self, progress: Progress | None = None) -> bool:
        """Make searches of what was added fast; whether there was enough of it to do anything.

        Searches go on meanwhile, in this process and in others; upserts wait for its end. Ended
        at any point, it leaves the index as it was. Nothing needs doing by URL.

        Args:
            progress: called about once a second with the stage ("copying", "optimising", "done")
                and the seconds so far. What it raises ends the maintenance.

        Raises:
            IndexBusyError: upserts of other processes left no gap.
            StorageError: the disk has no room for a second copy of the index.
            TileIndexError: the optimising process failed.
        """
        return self._backend.maintain(progress)

    def close(self) -> None:
        """Release it; it cannot be used afterwards. A second call does nothing."""
        self._backend.close()

    def __enter__(self) -> TileIndex:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _retrieve(self, tile_ids: Sequence[str], *, with_vectors: bool) -> dict[str, Found]:
        points = [point_id(tile_id) for tile_id in dict.fromkeys(tile_ids)]
        found = self._backend.retrieve(points, with_vectors=with_vectors)
        return {f.payload["tile_id"]: f for f in found}

    def _token(self) -> str:
        return f"{self._backend.generation()}/{self.count()}"


def _mismatch(location: str, has: Meta, wants: Meta) -> EncoderMismatchError:
    if (has.encoder, has.dim) != (wants.encoder, wants.dim):
        return EncoderMismatchError(
            f"The index {location} holds vectors of encoder {has.encoder!r} ({has.dim} numbers), "
            f"not of {wants.encoder!r} ({wants.dim}). Search it with {has.encoder!r}, or build "
            f"another index with {wants.encoder!r} in another place."
        )
    return EncoderMismatchError(
        f"The index {location} holds tiles of {has.size} pixels every {has.stride}, not "
        f"{wants.size} every {wants.stride}. Use its grid, or another place."
    )
