"""Encoders for servers in tests: FakeEncoder that takes its time, and a second one like it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from keenkite.encoder import Encoder
from keenkite_server.models import Downloaded, Source
from tests.support.fakes import FakeEncoder


class SlowEncoder(FakeEncoder):
    """Sleeps before each batch of pictures, so that a build can be met in its middle."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def encode_images(self, rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        time.sleep(self._seconds)
        return super().encode_images(rgb)


class TurnedEncoder(FakeEncoder):
    """The same space under another name, its axes turned: it answers every question alike, and
    its vectors mean nothing to FakeEncoder."""

    name = "fake-turned"

    def encode_images(self, rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        return np.roll(super().encode_images(rgb), 5, axis=-1)

    def encode_texts(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        return np.roll(super().encode_texts(texts), 5, axis=-1)

    def patch_features(self, rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        return np.roll(super().patch_features(rgb), 5, axis=-1)


class FakeModels:
    """A source of these encoders by their names."""

    def __init__(self, *, slow: float = 0.0, named: str | None = None) -> None:
        self.named = named
        self.loaded: list[str] = []
        """What was asked for, in order."""
        self._encoders: Mapping[str, Encoder] = {
            FakeEncoder.name: SlowEncoder(slow),
            TurnedEncoder.name: TurnedEncoder(),
        }

    @property
    def usual(self) -> str:
        return self.named or FakeEncoder.name

    def load(self, name: str, progress: Downloaded) -> Encoder:
        self.loaded.append(name)
        return self._encoders[name]


_fits: type[Source] = FakeModels
