"""What the tools work on: one server's encoder, index, pixels and catalog.

Each is made when first needed, so that a server answers tools/list before torch is imported.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keenkite.errors import (
    EncoderMismatchError,
    InputError,
    KeenkiteError,
    ModelError,
    TileIndexError,
)

from .settings import ServerSettings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from keenkite.catalog import Catalog
    from keenkite.encoder import Encoder
    from keenkite.index import TileIndex
    from keenkite.pixels import PixelArchive
    from keenkite.tiling import Tile

    from .builder import Builder

logger = logging.getLogger(__name__)

PATIENCE = 25.0
"""Seconds a call waits for the model; clients give up on a call after 30 to 60."""

NO_INDEX = "Nothing is indexed yet. Call build_index with a region name, an area and two dates."

Loader = Callable[[Callable[[int, int], None]], "Encoder"]
"""Makes the encoder; is given a callback for (bytes so far, bytes in all) of a download."""


class Workspace:
    """Threads may share it."""

    def __init__(self, settings: ServerSettings, *, load_encoder: Loader | None = None) -> None:
        """The loader is for tests and for encoders of one's own; by default ClipEncoder.load."""
        self.settings = settings
        self._load = load_encoder or self._load_clip
        self._lock = threading.Lock()
        self._loading: Future[Encoder] | None = None
        self._downloaded: tuple[int, int] | None = None
        self._index: TileIndex | None = None
        self._catalog: Catalog | None = None
        self._builder: Builder | None = None

    # --- the encoder --------------------------------------------------------------------------

    def start_loading(self) -> Future[Encoder]:
        """Load the model in the background, unless it is there or on its way."""
        with self._lock:
            if self._loading is None or (self._loading.done() and self._loading.exception()):
                self._loading = Future()
                threading.Thread(
                    target=self._run_loading, args=(self._loading,), name="load", daemon=True
                ).start()
            return self._loading

    def encoder(self, wait: float | None = PATIENCE) -> Encoder:
        """The model, waiting some seconds for it; without end when `wait` is None.

        Raises:
            ModelError: it cannot be had, or is still loading.
        """
        loading = self.start_loading()
        try:
            return loading.result(wait)
        except NotYet:
            raise ModelError(
                f"The model {self._model_name()} is still loading{self._download_text()}. "
                "Make the same call again in half a minute."
            ) from None

    def _run_loading(self, future: Future[Encoder]) -> None:
        try:
            future.set_result(self._load(self._note_download))
        except BaseException as error:  # whoever needs the model raises it again
            if not isinstance(error, KeenkiteError):
                logger.exception("The model could not be loaded")
            future.set_exception(error)

    def _note_download(self, done: int, total: int) -> None:
        self._downloaded = (done, total)

    def _download_text(self) -> str:
        if not self._downloaded:
            return ""
        done, total = self._downloaded
        return f" ({done / 1e6:.0f} of {total / 1e6:.0f} MB downloaded)"

    def _model_name(self) -> str:
        # A checkpoint's path is the host's business.
        return Path(self.settings.model).name

    def _load_clip(self, progress: Callable[[int, int], None]) -> Encoder:
        from keenkite.encoder import ClipEncoder

        settings = self.settings
        return ClipEncoder.load(
            settings.model, device=settings.device, weights=settings.weights, progress=progress
        )

    # --- the index ----------------------------------------------------------------------------

    def find_index(self) -> TileIndex | None:
        """The index, or None where there is none yet: another process may make it any time."""
        with self._lock:
            if self._index is None:
                try:
                    self._index = self._open(None)
                except TileIndexError as error:
                    # The core has no class of its own for this one.
                    if not str(error).startswith("There is no index"):
                        raise
            return self._index

    def index(self) -> TileIndex:
        """The index.

        Raises:
            InputError: there is none yet.
        """
        index = self.find_index()
        if index is None:
            raise InputError(NO_INDEX)
        return index

    def search_index(self) -> tuple[TileIndex, Encoder]:
        """The index and the encoder of its vectors.

        Raises:
            EncoderMismatchError: the operator's model is not the index's.
        """
        index = self.index()
        encoder = self.encoder()
        self._check_encoder(index, encoder)
        return index, encoder

    def index_to_write(self, wait: float | None = PATIENCE) -> tuple[TileIndex, Encoder]:
        """The same; an index is made where there is none."""
        encoder = self.encoder(wait)
        with self._lock:
            if self._index is None:
                self._index = self._open(encoder)
            index = self._index
        self._check_encoder(index, encoder)
        return index, encoder

    def _open(self, encoder: Encoder | None) -> TileIndex:
        from keenkite.index import TileIndex

        settings = self.settings
        return TileIndex.open(settings.index, encoder=encoder, api_key=settings.qdrant_api_key)

    def _check_encoder(self, index: TileIndex, encoder: Encoder) -> None:
        if (encoder.name, encoder.dim) != (index.encoder_name, index.dim):
            raise EncoderMismatchError(
                f"The index was made with the model {index.encoder_name!r} and this server runs "
                f"{encoder.name!r}. Its operator must start it with --model {index.encoder_name}, "
                "or with another --data folder."
            )

    def tiles(self, tile_ids: Sequence[str]) -> list[Tile]:
        """The tiles of these ids, in their order.

        Raises:
            InputError: a tile is not in the index; says which and what to do.
        """
        found = {tile.id: tile for tile in self.index().get(tile_ids)}
        missing = [tile_id for tile_id in tile_ids if tile_id not in found]
        if missing:
            raise InputError(
                f"There is no tile {missing[0]} in the index. Take tile ids from the answers of "
                "search_tiles or find_similar."
            )
        return [found[tile_id] for tile_id in tile_ids]

    # --- pixels and catalog -------------------------------------------------------------------

    def pixels(self) -> PixelArchive:
        """Where the pixels of indexed tiles are kept."""
        from keenkite.pixels import PixelArchive

        return PixelArchive(self.settings.data / "pixels")

    def images(self, tiles: Sequence[Tile]) -> list[NDArray[np.uint8]]:
        """The pixels of tiles: uint8 (224, 224, 3) each.

        Raises:
            StorageError: the pixels of a tile are gone.
        """
        archive = self.pixels()
        return [archive.tile(tile) for tile in tiles]

    def catalog(self) -> Catalog:
        """Where scenes are looked up."""
        from keenkite.catalog import open_catalog

        with self._lock:
            if self._catalog is None:
                self._catalog = open_catalog(self.settings.catalog)
            return self._catalog

    @property
    def builder(self) -> Builder:
        """Who does the builds."""
        from .builder import Builder
        from .jobs import JobStore

        with self._lock:
            if self._builder is None:
                self._builder = Builder(self, JobStore(self.settings.data / "jobs"))
            return self._builder

    def close(self) -> None:
        """Stop building and release the index; unfinished builds go on with the next server."""
        if self._builder is not None:
            self._builder.stop()
        with self._lock:
            if self._index is not None:
                self._index.close()
                self._index = None

    def __enter__(self) -> Workspace:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()
