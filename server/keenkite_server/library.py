"""The library of a server: the collections of its data folder, their pixels, catalogue and jobs.

Everything is opened when first needed, so that a server answers tools/list before torch is
imported. Other processes may build into the folder, or remove from it, at any time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from keenkite.errors import InputError, KeenkiteError, NoIndexError

from .choice import NO_INDEX, Choice, Site
from .jobs import JobStore
from .models import PATIENCE, ClipModels, Models, Source
from .settings import ServerSettings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from keenkite.catalog import Catalog
    from keenkite.encoder import Encoder
    from keenkite.index import TileIndex
    from keenkite.index.collections import Collection
    from keenkite.pixels import PixelArchive
    from keenkite.tiling import Tile

FRESH = 5.0
"""Seconds that the list of a server's collections is good for: to ask takes some requests."""


@dataclass(frozen=True, kw_only=True)
class Holding:
    """A collection that is open."""

    name: str
    index: TileIndex


class Library:
    """Threads may share it."""

    def __init__(self, settings: ServerSettings, *, source: Source | None = None) -> None:
        """The source of encoders is for tests and for encoders of one's own."""
        self.settings = settings
        self.models = Models(source or ClipModels(settings))
        self.jobs = JobStore(settings.files / "jobs")
        """The records of builds, those of other servers on the same folder too."""
        self._lock = threading.Lock()
        self._open: dict[str, TileIndex] = {}
        self._listed: tuple[float, list[Collection]] | None = None
        self._catalog: Catalog | None = None

    # --- which collections there are ----------------------------------------------------------

    def collections(self) -> list[Collection]:
        """Those that there are now, damaged ones too; none of them is opened for it.

        Raises:
            TileIndexError: the Qdrant server cannot be asked.
        """
        from keenkite.index.collections import collections

        settings = self.settings
        if settings.by_url and self._listed and time.monotonic() - self._listed[0] < FRESH:
            return self._listed[1]
        found = collections(settings.place, api_key=settings.qdrant_api_key)
        self._listed = (time.monotonic(), found)
        return found

    def choose(self, name: str | None = None) -> Collection:
        """A collection to read; which, and what is raised: see `Choice.to_read`."""
        return self._choice().to_read(name)

    def site(self, name: str | None = None) -> Site:
        """Where a build goes that names this collection, or none: see `Choice.to_build`."""
        from keenkite.index.collections import name_for

        settings = self.settings
        in_url = urlsplit(settings.data).path.strip("/").rpartition("/")[2]
        fresh = settings.collection or (in_url if settings.by_url else "")
        return self._choice().to_build(name, fresh or name_for(self.models.source.usual))

    def _choice(self) -> Choice:
        return Choice(
            there=self.collections(),
            preferred=self.settings.collection,
            source=self.models.source,
        )

    # --- collections, opened ------------------------------------------------------------------

    def open(self, name: str | None = None) -> Holding:
        """A collection to read; which, and what is raised: see `choose`."""
        return self.opened(self.choose(name))

    def every(self) -> list[Holding]:
        """All that can be used."""
        found = []
        for collection in self.collections():
            if collection.problem is None:
                try:
                    found.append(self.opened(collection))
                except KeenkiteError:
                    continue  # list_indexes says what is wrong with it
        return found

    def opened(self, found: Collection) -> Holding:
        """A collection that is there, to read; it stays open."""
        with self._lock:
            index = self._open.get(found.name)
            if index is not None and index.encoder_name != found.encoder:
                index.close()  # it was removed, and another made under its name
                index = None
            if index is None:
                index = self._open[found.name] = self._open_index(found.location, None)
            return Holding(name=found.name, index=index)

    def encoder(self, holding: Holding, wait: float | None = PATIENCE) -> Encoder:
        """The encoder of its vectors.

        Raises:
            ModelError: it cannot be had, or is still loading.
            EncoderMismatchError: what was loaded by its name is another.
        """
        encoder = self.models.encoder(holding.index.encoder_name, wait)
        holding.index.require(encoder)
        return encoder

    def to_write(self, name: str) -> tuple[TileIndex, Encoder]:
        """A collection to build into, made where it is not there, and its encoder.

        Waits for the encoder without end.

        Raises:
            InputError: it is gone, and is not the one that this server would make.
            KeenkiteError: it cannot be opened, or its encoder cannot be had.
        """
        from keenkite.index.collections import place_of

        site = self.site(name)
        if not site.new:
            holding = self.open(name)
            return holding.index, self.encoder(holding, None)
        encoder = self.models.encoder(site.model, None)
        settings = self.settings
        with self._lock:
            place = place_of(settings.place, name, api_key=settings.qdrant_api_key)
            index = self._open[name] = self._open_index(place, encoder)
            self._listed = None
        return index, encoder

    def _open_index(self, location: str, encoder: Encoder | None) -> TileIndex:
        from keenkite.index import TileIndex

        return TileIndex.open(location, encoder=encoder, api_key=self.settings.qdrant_api_key)

    # --- tiles, pixels, catalogue -------------------------------------------------------------

    def tiles(self, tile_ids: Sequence[str], name: str | None = None) -> tuple[Holding, list[Tile]]:
        """The tiles of these ids, in their order, and the collection that has them all: the named
        one, or the first that does.

        Raises:
            NoIndexError: there is no collection that can be used.
            InputError: a tile is missing; says which and what to do.
        """
        holdings = [self.open(name)] if name else self.every()
        if not holdings:
            raise NoIndexError(NO_INDEX)
        best: set[str] = set()
        for holding in holdings:
            tiles = holding.index.get(tile_ids)
            if len(tiles) == len(tile_ids):
                return holding, tiles
            best = max(best, {tile.id for tile in tiles}, key=len)
        missing = next(tile_id for tile_id in tile_ids if tile_id not in best)
        where = f"the collection {name}" if name else "any collection that has the others"
        raise InputError(
            f"There is no tile {missing} in {where if name or best else 'any collection'}. "
            "Take tile ids from the answers of search_tiles or find_similar."
        )

    @cached_property
    def pixels(self) -> PixelArchive:
        """Where the pixels of indexed tiles are kept, once for all collections."""
        from keenkite.pixels import PixelArchive

        return PixelArchive(self.settings.files / "pixels")

    def images(self, tiles: Sequence[Tile]) -> list[NDArray[np.uint8]]:
        """The pictures of tiles, (224, 224, 3) each.

        Raises:
            SceneError: the pixels of a tile are gone.
        """
        return self.pixels.tiles(tiles)

    def catalog(self) -> Catalog:
        """Where scenes are looked up."""
        from keenkite.catalog import open_catalog

        with self._lock:
            if self._catalog is None:
                settings = self.settings
                self._catalog = open_catalog(
                    settings.catalog, settings.stac_collection, allow_s3=settings.allow_s3
                )
            return self._catalog

    def prepare(self) -> None:
        """Begin to load the model that the first search or build will most likely want.

        Raises:
            KeenkiteError: it cannot be told which.
        """
        try:
            model = self.choose().encoder
        except NoIndexError:
            model = None if self.settings.read_only else self.models.source.usual
        if model is not None:
            self.models.start(model)

    def close(self) -> None:
        """Release the collections and the jobs that this process holds."""
        self.jobs.close()
        with self._lock:
            while self._open:
                self._open.popitem()[1].close()

    def __enter__(self) -> Library:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()
