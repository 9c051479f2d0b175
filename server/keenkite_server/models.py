"""The models of a server: each loaded in the background, once, when it is first needed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from functools import cached_property
from typing import TYPE_CHECKING, Protocol, TypeAlias

from keenkite.errors import InputError, KeenkiteError, ModelError
from keenkite.settings import DEFAULT_MODEL

from .settings import ServerSettings

if TYPE_CHECKING:
    from keenkite.encoder import Encoder

logger = logging.getLogger(__name__)

PATIENCE = 25.0
"""Seconds a call waits for a model; clients give up on a call after 30 to 60."""

Downloaded: TypeAlias = Callable[[int, int], None]
"""Is told of a download: bytes so far, bytes in all."""


class Source(Protocol):
    """Where encoders come from; tests and encoders of one's own bring another than `ClipModels`."""

    @property
    def named(self) -> str | None:
        """Name of the encoder that the operator asks for; None where they ask for none."""

    @property
    def usual(self) -> str:
        """Name of the encoder that a new collection is made with."""

    def load(self, name: str, progress: Downloaded) -> Encoder:
        """The encoder of this name."""


class ClipModels:
    """CLIP models by the settings: --model for its own name, every other one by its name."""

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings

    @cached_property
    def named(self) -> str | None:
        """See `Source`; nothing is loaded or fetched for it."""
        from keenkite.encoder import name_of

        settings = self._settings
        return None if settings.model is None else name_of(settings.model, settings.weights)

    @property
    def usual(self) -> str:
        """See `Source`."""
        return self.named or DEFAULT_MODEL

    def load(self, name: str, progress: Downloaded) -> Encoder:
        """See `Source`.

        Raises:
            ModelError: it cannot be had, or is one of the operator's own that --model must name.
        """
        from keenkite.encoder import ClipEncoder

        settings = self._settings
        own = settings.model is None or self.named == name
        try:
            return ClipEncoder.load(
                (settings.model if self.named == name else None) or name,
                device=settings.device,
                weights=settings.weights if own else None,
                progress=progress,
            )
        except InputError as error:
            raise ModelError(
                f"The model {name} cannot be loaded by its name. Its operator must start this "
                f"server with --model and the checkpoint that it was built with ({error})"
            ) from error


class Models:
    """Encoders by name. Threads may share it."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._lock = threading.Lock()
        self._loading: dict[str, Future[Encoder]] = {}
        self._downloaded: dict[str, tuple[int, int]] = {}

    def start(self, name: str) -> Future[Encoder]:
        """Load a model in the background, unless it is there or on its way."""
        with self._lock:
            future = self._loading.get(name)
            if future is None or (future.done() and future.exception()):
                future = self._loading[name] = Future()
                threading.Thread(
                    target=self._load, args=(name, future), name=f"load {name}", daemon=True
                ).start()
            return future

    def encoder(self, name: str, wait: float | None = PATIENCE) -> Encoder:
        """A model, waiting some seconds for it; without end when `wait` is None.

        Raises:
            ModelError: it cannot be had, or is still loading.
        """
        try:
            return self.start(name).result(wait)
        except NotYet:
            raise ModelError(
                f"The model {name} is still loading{self._share(name)}. "
                "Make the same call again in half a minute."
            ) from None

    def _load(self, name: str, future: Future[Encoder]) -> None:
        def note(done: int, total: int) -> None:
            self._downloaded[name] = (done, total)

        try:
            future.set_result(self.source.load(name, note))
        except BaseException as error:  # whoever needs the model raises it again
            if not isinstance(error, KeenkiteError):
                logger.exception("The model %s could not be loaded", name)
            future.set_exception(error)

    def _share(self, name: str) -> str:
        if name not in self._downloaded:
            return ""
        done, total = self._downloaded[name]
        return f" ({done / 1e6:.0f} of {total / 1e6:.0f} MB downloaded)"
