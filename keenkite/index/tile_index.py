"""TileIndex: tiles and their vectors, to be searched; the same in a folder and by URL.

Long: it is the one face of the index, and most of it says what its methods promise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from keenkite.errors import InputError
from keenkite.index.backend import Backend, Found, Told, stacked
from keenkite.index.filters import Filters, point_id
from keenkite.index.opening import WAIT, Named, mismatch, open_backend
from keenkite.index.points import checked_points, checked_query, tile_of
from keenkite.index.region import Region
from keenkite.index.statistics import Statistics
from keenkite.index.summary import Summary
from keenkite.sensors import SENTINEL2, Sensor
from keenkite.tiling import Tile

COMPLETE, DELETED = "complete", "maintenance/deleted"

COMPACT_FROM = 0.2
"""Part of the points that must have been deleted for maintenance to give their room back."""

BLOCK = 1000
"""Tiles in a block."""


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
        self._summary = Summary(backend)
        self.location = location
        """Where it is, for messages; an API key is never in it."""
        self.folder = folder
        """The folder of an embedded collection; None for one by URL."""
        self.sensor: Sensor = backend.meta.kind(location)
        """What kind of imagery its tiles are."""

    @classmethod
    def open(
        cls,
        location: str | Path,
        *,
        encoder: Named | None,
        sensor: Sensor = SENTINEL2,
        spans: Sequence[float] | None = None,
        wait: float = WAIT,
        api_key: str | None = None,
    ) -> TileIndex:
        """Open a collection, or make it where there is none.

        Args:
            location: the folder of a collection, or a data folder that holds exactly one; or the
                URL of a Qdrant server: http(s)://host:port[/collection], with "keenkite" as the
                collection when none is named.
            encoder: whose vectors it holds. None opens what is there, whatever its encoder.
            sensor: the imagery of a new collection; of no account where there is one.
            spans: widths of tiles, metres, of a new collection; added to those of one that is
                there. None is the sensor's own, or what is there.
            wait: seconds that any operation on a folder waits for other processes using it; by
                URL, seconds that a request may take.
            api_key: of the server; never part of a message.

        Raises:
            NoIndexError: there is none, and no encoder to make it for.
            EncoderMismatchError: it was made with another encoder.
            IndexFormatError: it is of a format that this version does not read.
            IndexBusyError: another process held it for longer than `wait`.
            TileIndexError: it holds something else, is damaged, or cannot be reached.
            StorageError: the folder cannot be made.
        """
        backend, folder = open_backend(
            location, encoder, sensor=sensor, spans=spans, wait=wait, api_key=api_key
        )
        try:
            index = cls(backend, location=str(folder or location), folder=folder)
            if encoder is not None:
                index.require(encoder)
            if spans is not None:
                index.add_spans(spans)
        except BaseException:
            backend.close()
            raise
        return index

    @property
    def data(self) -> Path | None:
        """The data folder it is in, where pixels and jobs are; None by URL."""
        if self.folder is None:
            return None
        alone = self.folder.parent.name != "collections"
        return self.folder if alone else self.folder.parent.parent

    @property
    def encoder_name(self) -> str:
        """Name of the encoder of its vectors."""
        return self._backend.meta.encoder

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self._backend.meta.dim

    @property
    def bands(self) -> tuple[str, ...] | None:
        """Bands that its encoder sees; None for red, green and blue."""
        return self._backend.meta.bands

    @property
    def spans(self) -> tuple[float, ...]:
        """Widths of its tiles, metres, ascending."""
        return self._backend.meta.spans

    def require(self, encoder: Named) -> None:
        """Refuse an encoder whose vectors cannot be compared with those of this index.

        Raises:
            EncoderMismatchError: the index was made with another one.
        """
        meta = self._backend.meta
        if (encoder.name, encoder.dim) != (meta.encoder, meta.dim):
            raise mismatch(self.location, meta, encoder)

    def add_spans(self, spans: Sequence[float]) -> None:
        """Let it hold tiles of these widths too, metres.

        Raises:
            InputError: one is not above 0.
        """
        for span in spans:
            if not 0 < span < float("inf"):
                raise InputError(f"A span is the width of tiles in metres, above 0, not {span}.")
        every = tuple(sorted({*self.spans, *spans}))
        if every != self.spans:
            self._backend.write_meta(replace(self._backend.meta, spans=every))

    def upsert(self, tiles: Sequence[Tile], vectors: ArrayLike) -> None:
        """Write tiles; one of the same id is replaced, and keeps the labels that it has.

        A kill afterwards loses none of them.

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
            self._backend.upsert(checked_points(tiles, vectors, self._backend.meta))
            self._summary.change(len(tiles))

    def label(self, tile_ids: Sequence[str], region: str) -> None:
        """Add a region to tiles, which keep those they have; ids that are not there do not matter.

        Raises:
            InputError: the region has no name.
        """
        if not region.strip():
            raise InputError("A region needs a name.")
        for begin in range(0, len(tile_ids), BLOCK):
            ids = [point_id(tile_id) for tile_id in tile_ids[begin : begin + BLOCK]]
            there = self._backend.retrieve(ids, fields=["regions"], with_vectors=False)
            self._backend.label(
                {
                    found.id: [*found.payload["regions"], region]
                    for found in there
                    if region not in found.payload["regions"]
                }
            )

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
            Match(tile=tile_of(f.payload), score=f.score or 0.0, vector=f.vector) for f in found
        ]

    def count(self, filters: Filters | None = None) -> int:
        """How many tiles the filters let through, exactly."""
        return self._backend.count((filters or Filters()).conditions())

    def get(self, tile_ids: Sequence[str]) -> list[Tile]:
        """The tiles of these ids, in their order; those that are not in the index are left out."""
        found = self._retrieve(tile_ids, with_vectors=False)
        return [tile_of(found[i].payload) for i in tile_ids if i in found]

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
                yield tile_of(found.payload)

    def blocks(
        self, filters: Filters | None = None
    ) -> Iterator[tuple[list[Tile], NDArray[np.float32]]]:
        """Tiles that the filters let through and their vectors, (n, dim), n up to 1,000 at a time,
        in an order of no meaning; `upsert` takes each as it is."""
        conditions = (filters or Filters()).conditions()
        for block in self._backend.scroll(conditions, fields=None, with_vectors=True):
            yield [tile_of(found.payload) for found in block], stacked(block, self.dim)

    def dates_of(self, cells: Sequence[str]) -> dict[str, list[Tile]]:
        """Every tile of these squares of ground, the oldest first; cells without any are empty."""
        found: dict[str, list[Tile]] = {cell: [] for cell in cells}
        for begin in range(0, len(cells), BLOCK):
            for tile in self.scroll(Filters(cells=tuple(cells[begin : begin + BLOCK]))):
                found[tile.cell].append(tile)
        for tiles in found.values():
            tiles.sort(key=lambda tile: (tile.datetime, tile.id))
        return found

    def remove(self, filters: Filters) -> int:
        """Delete the tiles that the filters let through; how many they were.

        Scenes that lose a tile are no longer complete, so a next build does them again. The room
        on the disk is given back by `maintain`.

        Raises:
            InputError: the filters let everything through.
        """
        conditions = filters.conditions()
        if not conditions:
            raise InputError(
                "remove() without a filter would delete every tile; name a region, or remove the "
                "collection."
            )
        number, seen = 0, set[str]()
        for block in self._backend.scroll(conditions, fields=["scene_ids"], with_vectors=False):
            scenes = {scene for found in block for scene in found.payload["scene_ids"]} - seen
            seen |= scenes
            # The records first: killed in between, a scene is done again, and never left undone.
            self._forget(lambda info, scenes=scenes: info.get("scene") in scenes)  # type: ignore[misc]
            self._delete([found.id for found in block])
            number += len(block)
        return number

    def remove_region(self, region: str) -> int:
        """Take a label away, and delete the tiles that have none left; how many were deleted.

        Raises:
            InputError: there is no such region; names those there are.
        """
        conditions = Filters(regions=(region,)).conditions()
        if not self._backend.count(conditions):
            known = ", ".join(each.name for each in self.regions()) or "none"
            raise InputError(f"There is no region {region!r} in {self.location}. Known: {known}.")
        self._forget(lambda info: info.get("region") == region)
        number = 0
        for block in self._backend.scroll(conditions, fields=["regions"], with_vectors=False):
            labels = {
                found.id: [name for name in found.payload["regions"] if name != region]
                for found in block
            }
            bare = [point for point, left in labels.items() if not left]
            self._backend.label({point: left for point, left in labels.items() if left})
            self._delete(bare)
            number += len(bare)
        return number

    def statistics(self) -> Statistics:
        """Mean and covariance of the vectors, of the first 16,384 in the order of their ids.

        Those of the last maintenance, unless more than a twentieth of the points are others since
        then; the same in a folder and by URL.
        """
        return self._summary.statistics()

    def regions(self) -> list[Region]:
        """What the index has of each region, by name; a tile counts in each of its own."""
        return self._summary.regions()

    def is_complete(self, key: str) -> bool:
        """Whether `mark_complete` was called with this key."""
        return self._backend.read_record(f"{COMPLETE}/{key}") is not None

    def mark_complete(self, key: str, info: dict[str, Any]) -> None:
        """Record that some work is done; what was upserted for it is made durable first.

        Args:
            key: any text that names the work.
            info: JSON values. Its "scene" names the scene whose tiles were written, and its
                "region" their label: removing a tile of that scene, or that region, takes the
                record away.
        """
        self._backend.flush()
        self._backend.write_record(f"{COMPLETE}/{key}", info)

    def complete(self) -> dict[str, dict[str, Any]]:
        """All that `mark_complete` recorded: key -> info."""
        records = self._backend.records(COMPLETE)
        return {key.removeprefix(f"{COMPLETE}/"): info for key, info in records.items()}

    def maintain(self, tell: Told | None = None) -> bool:
        """Make searches of what was added fast, and give the room of what was removed back;
        whether there was enough of it to do anything.

        Searches go on meanwhile, in this process and in others; upserts wait for its end. Ended
        at any point, it leaves the index as it was. By URL the server does it by itself.

        Args:
            tell: called about once a second with the stage ("copying", "optimising", "done")
                and the seconds so far. What it raises ends the maintenance.

        Raises:
            IndexBusyError: upserts of other processes left no gap.
            StorageError: the disk has no room for a second copy of the index.
            TileIndexError: the optimising process failed.
        """
        deleted = (self._backend.read_record(DELETED) or {"points": 0})["points"]
        compact = deleted > COMPACT_FROM * (deleted + self._backend.size())
        done = self._backend.maintain(tell, compact=compact)
        if deleted and done:
            self._backend.delete_records([DELETED])
        self._summary.keep()
        return done

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
        found = self._backend.retrieve(points, fields=None, with_vectors=with_vectors)
        return {f.payload["tile_id"]: f for f in found}

    def _forget(self, which: Callable[[dict[str, Any]], bool]) -> None:
        """Take away the records of complete work that are such."""
        gone = [f"{COMPLETE}/{key}" for key, info in self.complete().items() if which(info)]
        self._backend.delete_records(gone)

    def _delete(self, ids: Sequence[str]) -> None:
        if not ids:
            return
        before = (self._backend.read_record(DELETED) or {"points": 0})["points"]
        self._backend.write_record(DELETED, {"points": before + len(ids)})
        self._backend.delete(ids)
        self._summary.change(len(ids))
