"""TileIndex: tiles and their vectors, to be searched; the same in a folder and by URL.

Long: it is the one face of the index, and most of it says what its methods promise.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from keenkite.errors import InputError
from keenkite.index.backend import BLOCK, Backend, Found, Tell, stacked
from keenkite.index.collections import COLLECTIONS, WAIT, folder_of, is_url
from keenkite.index.completion import Completion
from keenkite.index.embedded.backend import EdgeBackend
from keenkite.index.filters import Filters, OneOf
from keenkite.index.kept import Kept
from keenkite.index.meta import Meta, Named, require, sensor_of, to_millimetres
from keenkite.index.payload import point_id, tile_of
from keenkite.index.points import checked_points, checked_query, checked_region
from keenkite.index.region import Region
from keenkite.index.removal import Removal
from keenkite.index.statistics import Statistics
from keenkite.sensors import SENTINEL2, Sensor
from keenkite.tiling import Tile

CELLS = 500
"""Cells, or tile ids, asked for at a time."""


CALIBRATION = "kept/calibration"
"""Name of the record."""


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

    def __init__(
        self,
        backend: Backend,
        *,
        location: str,
        folder: Path | None = None,
        sensor: Sensor | None = None,
    ) -> None:
        """For an engine of your own; `TileIndex.open` is the usual way."""
        self._backend = backend
        self._kept = Kept(backend)
        self._use(sensor or sensor_of(backend.meta, location))
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
        sensor: Sensor | None = None,
        spans: Sequence[float] | None = None,
        wait: float = WAIT,
        api_key: str | None = None,
    ) -> TileIndex:
        """Open an index, or make it where there is none.

        Args:
            location: the folder of a collection, or a data folder that holds exactly one; or the
                URL of a Qdrant server: http(s)://host:port[/collection], with "keenkite" as the
                collection when none is named.
            encoder: whose vectors it holds. None opens an existing index, whatever its encoder.
            sensor: whose imagery it holds. None takes that of an existing index, and Sentinel-2
                for a new one.
            spans: widths of its tiles, metres; an existing index gets those that it lacks. None
                takes what it has, and the sensor's own for a new one.
            wait: seconds that any operation on a folder waits for other processes using it; by
                URL, seconds that a request may take.
            api_key: of the server; never part of a message.

        Raises:
            InputError: a data folder holds several, or the URL cannot be used.
            NoIndexError: there is none, and no encoder was given.
            EncoderMismatchError: it was made with another encoder, or for another sensor.
            IndexFormatError: another version made it.
            IndexBusyError: another process held it for longer than `wait`.
            TileIndexError: it holds something else, is damaged, or cannot be reached.
            StorageError: the folder cannot be made.
        """
        new = None
        if encoder is not None:
            of = sensor or SENTINEL2
            new = Meta.of(encoder, sensor=of.name, spans=spans or (of.span,))
        backend: Backend
        folder = None
        if is_url(location):
            # Here, since the client of the server takes longer to import than all the rest.
            from keenkite.index.server.backend import RemoteBackend

            backend = RemoteBackend.open(str(location), new, api_key=api_key, timeout=wait)
        else:
            folder = folder_of(location)
            backend = EdgeBackend.open(folder, new, wait=wait)
        try:
            where = str(folder or location)
            require(backend.meta, where, encoder=encoder, sensor=sensor)
            index = cls(backend, location=where, folder=folder, sensor=sensor)
            if spans is not None:
                index.add_spans(spans)
        except BaseException:
            backend.close()
            raise
        return index

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
        """What its encoder sees; None for red, green and blue as a picture."""
        return self._backend.meta.bands

    @property
    def sensor(self) -> Sensor:
        """What kind of imagery its tiles are of."""
        return self._sensor

    @property
    def spans(self) -> tuple[float, ...]:
        """Widths of its tiles, metres, from the narrowest."""
        return self._backend.meta.spans

    @property
    def data(self) -> Path | None:
        """The data folder it is in, where pixels and jobs are kept; None by URL.

        That is the folder above `collections`, or its own where it stands alone.
        """
        if self.folder is None:
            return None
        above = self.folder.absolute().parent
        return above.parent if above.name == COLLECTIONS else self.folder

    def require(self, encoder: Named) -> None:
        """Refuse an encoder whose vectors cannot be compared with those of this index.

        Raises:
            EncoderMismatchError: the index was made with another one.
        """
        require(self._backend.meta, self.location, encoder=encoder)

    def add_spans(self, spans: Sequence[float]) -> None:
        """Say that tiles of these widths, metres, are held too."""
        self._backend.add_spans(spans)

    def upsert(self, tiles: Sequence[Tile], vectors: ArrayLike) -> None:
        """Write tiles; one of the same id is replaced. A kill afterwards loses none of them.

        Their regions are labels: a tile that is there already keeps those it has.

        Args:
            tiles: n tiles.
            vectors: (n, dim), unit norm within 1e-3.

        Raises:
            InputError: a tile or a vector cannot be used; nothing was written.
            IndexBusyError: another process held the index, or was maintaining it, for too long.
            TileIndexError: the engine failed; some of the tiles may have been written.
            StorageError: the disk is full; some of the tiles may have been written.
        """
        if not len(tiles):
            return
        if not {to_millimetres(tile.span) for tile in tiles} <= {*self.spans}:
            self._backend.read_meta()  # perhaps another process added one
        points = checked_points(tiles, vectors, self._backend.meta)
        self._kept.changed(len(points.ids), {name for tile in tiles for name in tile.regions})
        replaced = self._backend.upsert(points)
        self._kept.changed(0, {name for regions in replaced.values() for name in regions})

    def label(self, tiles: Sequence[Tile | str], region: str) -> int:
        """Give tiles that are there a region more, given them or their ids; how many lacked it."""
        self._kept.changed(0, [checked_region(region)])
        return self._backend.label(_points(tiles), add=region, remove=None)

    def unlabel(self, tiles: Sequence[Tile | str], region: str) -> int:
        """Take a region away from tiles, given them or their ids; how many had it.

        They stay, even without any. What was done of their scenes for the region is done no more.
        """
        return self._removal.label(_points(tiles), checked_region(region))

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
        self, filters: Filters | None = None, *, size: int = BLOCK
    ) -> Iterator[tuple[list[Tile], NDArray[np.float32]]]:
        """The same with their vectors, (n, dim), `size` tiles at a time."""
        if size < 1:
            raise InputError(f"size is {size}; ask for blocks of one tile at least.")
        conditions = (filters or Filters()).conditions()
        for block in self._backend.scroll(conditions, fields=None, with_vectors=True, block=size):
            yield [tile_of(found.payload) for found in block], stacked(block, self.dim)

    def dates_of(self, cells: Sequence[str]) -> dict[str, list[Tile]]:
        """All tiles of some squares of ground, oldest first; see `Tile.cell`.

        Returns:
            A list for each of the cells, in their order; empty where there is no tile.
        """
        dates: dict[str, list[Tile]] = {cell: [] for cell in cells}
        for page in _pages(list(dates)):
            where = [OneOf(key="cell", values=tuple(page))]
            for block in self._backend.scroll(where, fields=None, with_vectors=False):
                for found in block:
                    dates[found.payload["cell"]].append(tile_of(found.payload))
        for tiles in dates.values():
            tiles.sort(key=lambda tile: (tile.datetime, tile.id))
        return dates

    def remove(self, filters: Filters) -> int:
        """Remove the tiles that the filters let through; how many they were.

        Scenes that lose a tile are no longer complete, so a next build does them again. The next
        maintenance gives their room back, where they were many.

        Raises:
            InputError: the filters let everything through.
        """
        conditions = filters.conditions()
        if not conditions:
            raise InputError("remove() without a filter would remove every tile; name a region.")
        return self._removal.tiles(conditions)

    def remove_region(self, name: str) -> int:
        """Take a region away from all its tiles, and remove those that have no other.

        Returns:
            How many were removed; those that stay have one label less.
        """
        return self._removal.region(checked_region(name))

    def retire(self, tiles: Sequence[Tile], keys: Sequence[str]) -> None:
        """Remove tiles whose place others took, and the records of the work that made them."""
        gone = set(keys)
        self._completion.forget(lambda key, _: key in gone)
        self._backend.delete(_points(tiles))
        self._kept.changed(len(tiles), {name for tile in tiles for name in tile.regions})

    def prepare(self, sensor: Sensor, spans: Sequence[float]) -> None:
        """Get ready for tiles of a sensor, of some widths in metres.

        An index without a tile becomes one of this sensor, with these spans.

        Raises:
            EncoderMismatchError: it holds tiles of another sensor.
        """
        if sensor.name == self._sensor.name:
            self.add_spans(spans)
        elif self._backend.size():
            require(self._backend.meta, self.location, sensor=sensor)
        else:
            self._backend.describe(self._backend.meta.for_sensor(sensor.name, spans))
            self._use(sensor)

    def statistics(self) -> Statistics:
        """Mean and covariance of the vectors, of a sample where they are many.

        The sample is the first 16,384 points in the order of their ids, which are hashes. What was
        worked out once stands until 5 % of the tiles have changed.
        """
        return self._kept.statistics()

    def calibration(self) -> dict[str, Any] | None:
        """What `calibrate` was last called with; None where searches go by the model's own."""
        record = self._backend.read_record(CALIBRATION)
        return record.get("weights") if record else None

    def calibrate(self, weights: dict[str, float] | None) -> None:
        """Keep how searches of this collection make confidence; see `retrieval.calibration`."""
        self._backend.write_record(CALIBRATION, {"weights": weights})

    def regions(self) -> list[Region]:
        """What the index has of each region, by name; read again only after a change."""
        return self._kept.regions()

    def is_complete(self, key: str) -> bool:
        """Whether `mark_complete` was called with this key."""
        return self._completion.has(key)

    def mark_complete(self, key: str, info: dict[str, Any]) -> None:
        """Record that some work is done; what was upserted for it is made durable first.

        Args:
            key: any text that names the work.
            info: JSON values. Its "scenes" or "scene" name what the tiles are of (the key does,
                when it has neither), its "region" the label they were given, its "platform",
                "epsg" and "datetime" the pass: removing such a tile, or its label, takes the
                record away.
        """
        self._completion.mark(key, info)

    def complete(self) -> dict[str, dict[str, Any]]:
        """All that `mark_complete` recorded: key -> info."""
        return self._completion.all()

    def maintain(self, progress: Tell | None = None) -> bool:
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
        done = self._backend.maintain(progress)
        self._kept.keep()
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

    def _use(self, sensor: Sensor) -> None:
        self._sensor = sensor
        self._completion = Completion(self._backend, pass_minutes=sensor.pass_minutes)
        self._removal = Removal(self._backend, self._kept, self._completion)

    def _retrieve(self, tile_ids: Sequence[str], *, with_vectors: bool) -> dict[str, Found]:
        return {
            found.payload["tile_id"]: found
            for page in _pages(list(dict.fromkeys(tile_ids)))
            for found in self._backend.retrieve(_points(page), with_vectors=with_vectors)
        }


def _points(tiles: Sequence[Tile | str]) -> list[str]:
    """Ids of the points of tiles."""
    ids = [tile if isinstance(tile, str) else tile.id for tile in tiles]
    return [point_id(tile_id) for tile_id in dict.fromkeys(ids)]


def _pages(names: Sequence[str]) -> Iterator[Sequence[str]]:
    return (names[begin : begin + CELLS] for begin in range(0, len(names), CELLS))
