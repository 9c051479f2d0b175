"""Encoder: what the rest of keenkite asks of a model, whoever wrote it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

Rgb: TypeAlias = npt.NDArray[np.uint8]
Vectors: TypeAlias = npt.NDArray[np.float32]
Pixels: TypeAlias = npt.NDArray[Any]
"""What an encoder is shown: uint8 (n, 224, 224, 3) red, green, blue; or, for an encoder with
`bands`, uint16 (n, 224, 224, bands) of reflectance × 10,000, in the order of its bands."""


class Encoder(Protocol):
    """Anything that puts tiles and texts into one space of unit vectors.

    An encoder may also have some of these:

    - `bands: tuple[str, ...]`, the sensor's names of the bands it wants to be shown, such as
      ("B02", "B03", "B04", "B08"). One without it sees red, green and blue; see `bands_of`.
    - `vocabulary: Collection[str]`, all that it was taught to name, "golf course". As a mapping
      each leads to the other wordings of the same thing. One without it may be asked for anything.
    - `room(text) -> int`, how many more tokens it would read after a text; below 0, how many of
      the text's own are too many. One without it reads texts whole.
    - `patches_trained: bool`, whether its patches learnt what they show, and not only whole
      pictures. See `patches_trained`.
    """

    @property
    def name(self) -> str:
        """Names the space: vectors of encoders with different names cannot be compared."""

    @property
    def dim(self) -> int:
        """The length of every vector."""

    def encode_images(self, rgb: Pixels) -> Vectors:
        """(n, 224, 224, channels), see `Pixels` -> float32 (n, dim), unit norm."""

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """n strings -> float32 (n, dim), unit norm."""

    def patch_features(self, rgb: Pixels) -> Vectors:
        """(n, 224, 224, channels) -> float32 (n, rows, cols, dim), unit norm; row 0 is the top."""


def bands_of(encoder: object) -> tuple[str, ...] | None:
    """The bands that an encoder wants, in their order; None: red, green and blue as uint8."""
    bands = getattr(encoder, "bands", None)
    return None if bands is None else tuple(bands)


def vocabulary_of(encoder: object) -> Collection[str] | None:
    """All that an encoder was taught to name; None: it does not say, or has no such bounds."""
    vocabulary: Collection[str] | None = getattr(encoder, "vocabulary", None)
    return vocabulary


def room_of(encoder: object) -> Callable[[str], int] | None:
    """How an encoder counts the tokens that are free beside a text; None: it does not count."""
    room: Callable[[str], int] | None = getattr(encoder, "room", None)
    return room


def patches_trained(encoder: object) -> bool:
    """Whether an encoder learnt what single patches show, too; False where it does not say."""
    return bool(getattr(encoder, "patches_trained", False))
