"""The library of a server: the collections of its data folder, their pixels, catalogue and jobs.

Everything is opened when first needed, so that a server answers tools/list before torch is
imported. Other processes may build into the folder, or remove from it, at any time.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from keenkite.errors import (
    EncoderMismatchError,
    InputError,
    KeenkiteError,
    NoIndexError,
    TileIndexError,
)

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

NO_INDEX = "Nothing is indexed yet. Call build_index with a region name, an area and two dates."


@dataclass(frozen=True, kw_only=True)
class Holding:
    """A collection that is open."""

    name: str
    index: TileIndex


@dataclass(frozen=True, kw_only=True)
class Site:
    """The collection that a build goes into: it is there, or the build makes it."""

    name: str
    model: str
    """Name of its encoder."""
    new: bool


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
        self._catalog: Catalog | None = None

    # --- which collections there are ----------------------------------------------------------

    def collections(self) -> list[Collection]:
        """Those that there are now, damaged ones too; none of them is opened for it.

        Raises:
            TileIndexError: the folder or the server cannot be asked.
        """
        from keenkite.index.collections import collections

        return collections(self.settings.place, api_key=self.settings.qdrant_api_key)

    def choose(self, name: str | None = None) -> Collection:
        """The collection of this name; without one that of the settings, or the only one.

        Raises:
            NoIndexError: there is none yet.
            InputError: there is none of this name, or there are several and none is named.
            TileIndexError: it is damaged.
            EncoderMismatchError: the operator names it, and a model that it was not made with.
        """
        there = self.collections()
        name = name or self.settings.collection
        found = _of_name(there, name) if name else self._usual(there)
        if found is None:
            raise NoIndexError(NO_INDEX)
        return self._checked(found)

    def site(self, name: str | None = None) -> Site:
        """Where a build goes that names this collection, or none.

        Raises:
            InputError, TileIndexError, EncoderMismatchError: see `choose`.
        """
        from keenkite.index.collections import name_for

        there = self.collections()
        fresh = self.settings.collection or name_for(self.models.source.usual)
        name = name or self.settings.collection
        if name is None:
            # A model that the operator names is the model of what is built.
            found = self._of_model(there) if self.models.source.named else self._usual(there)
        else:
            found = None if name == fresh and _new(there, name) else _of_name(there, name)
        if found is None:
            return Site(name=fresh, model=self.models.source.usual, new=True)
        found = self._checked(found)
        assert found.encoder is not None  # known of every collection that can be used
        return Site(name=found.name, model=found.encoder, new=False)

    def _usual(self, there: Sequence[Collection]) -> Collection | None:
        """The one that is meant where nobody names one; None where there is none at all."""
        usable = [each for each in there if each.problem is None] or list(there)
        if len(usable) < 2:
            return usable[0] if usable else None
        found = self._of_model(usable) if self.models.source.named else None
        if found is None:
            raise InputError(f"There are several collections: {_names(there)}. Name one of them.")
        return found

    def _of_model(self, there: Sequence[Collection]) -> Collection | None:
        """The collection of the operator's model; None where there is none."""
        found = [each for each in there if each.encoder == self.models.source.named]
        if len(found) > 1:
            raise InputError(f"Several collections are of that model: {_names(found)}. Name one.")
        return found[0] if found else None

    def _checked(self, found: Collection) -> Collection:
        if found.problem is not None:
            raise TileIndexError(f"The collection {found.name} cannot be used. {found.problem}")
        named = self.models.source.named
        if found.name == self.settings.collection and named not in (None, found.encoder):
            raise EncoderMismatchError(
                f"The collection {found.name} was made with the model {found.encoder}, and this "
                f"server is told to use {named}. Its operator must start it without --model, or "
                "with another --collection."
            )
        return found

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
        with self._lock:
            index = self._open_index(place_of(self.settings.place, name), encoder)
            self._open[name] = index
        return index, encoder

    def _open_index(self, location: str, encoder: Encoder | None) -> TileIndex:
        from keenkite.index import TileIndex

        return TileIndex.open(location, encoder=encoder, api_key=self.settings.qdrant_api_key)

    # --- tiles, pixels, catalogue -------------------------------------------------------------

    def tiles(self, tile_ids: Sequence[str], name: str | None = None) -> list[Tile]:
        """The tiles of these ids, in their order; of any collection where none is named.

        Raises:
            InputError: a tile is in none of them; says which and what to do.
        """
        holdings = [self.open(name)] if name else self.every()
        if not holdings:
            raise NoIndexError(NO_INDEX)
        found: dict[str, Tile] = {}
        for holding in holdings:
            missing = [tile_id for tile_id in tile_ids if tile_id not in found]
            if missing:
                found.update({tile.id: tile for tile in holding.index.get(missing)})
        for tile_id in tile_ids:
            if tile_id not in found:
                where = f"the collection {name}" if name else "the index"
                raise InputError(
                    f"There is no tile {tile_id} in {where}. Take tile ids from the answers of "
                    "search_tiles or find_similar."
                )
        return [found[tile_id] for tile_id in tile_ids]

    @cached_property
    def pixels(self) -> PixelArchive:
        """Where the pixels of indexed tiles are kept, once for all collections."""
        from keenkite.pixels import PixelArchive

        return PixelArchive(self.settings.files / "pixels")

    def images(self, tiles: Sequence[Tile]) -> NDArray[np.uint8]:
        """(n, 224, 224, 3) red, green, blue of tiles.

        Raises:
            StorageError: the pixels of a tile are gone.
        """
        import numpy as np

        return np.stack([self.pixels.tile(tile) for tile in tiles])

    def seen(
        self, tiles: Sequence[Tile], encoder: Encoder, images: NDArray[np.uint8]
    ) -> NDArray[Any]:
        """What an encoder sees of tiles: their images, or the bands that it wants."""
        from keenkite.encoder import bands_of

        bands = bands_of(encoder)
        if bands is None:
            return images
        import numpy as np

        return np.stack([self.pixels.bands(tile, bands) for tile in tiles])

    def catalog(self) -> Catalog:
        """Where scenes are looked up."""
        from keenkite.catalog import open_catalog

        with self._lock:
            if self._catalog is None:
                settings = self.settings
                self._catalog = open_catalog(settings.catalog, settings.stac_collection)
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


def _of_name(there: Sequence[Collection], name: str) -> Collection | None:
    """The one of this name; None where there is no collection at all."""
    found = next((each for each in there if each.name == name), None)
    if found is None and there:
        raise InputError(f"There is no collection {name!r}. There are: {_names(there)}.")
    return found


def _new(there: Sequence[Collection], name: str) -> bool:
    return all(each.name != name for each in there)


def _names(there: Sequence[Collection]) -> str:
    return ", ".join(each.name for each in there)
