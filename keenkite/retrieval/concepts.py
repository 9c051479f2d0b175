"""Concepts: words as vectors, and the background of other things that pictures may show instead."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from importlib.resources import files
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from keenkite.encoder import Encoder
from keenkite.errors import InputError

Floats: TypeAlias = NDArray[np.float64]
Vectors: TypeAlias = NDArray[np.float32]


def read_data(name: str) -> str:
    """A text file that is shipped with this package."""
    return files("keenkite.retrieval").joinpath("data", name).read_text("utf-8")


def _lines(name: str) -> tuple[str, ...]:
    lines = (line.strip() for line in read_data(name).splitlines())
    return tuple(line for line in lines if line and not line.startswith("#"))


TEMPLATES = _lines("templates.txt")
"""Captions with "{}" for the concept."""

BACKGROUND = _lines("background.txt")
"""What overhead pictures show, one concept each."""

SYNONYM = 0.6
"""A background concept is left out when its vector is this near to the text's: the cosine between
both after the background's mean is subtracted, which differs less from model to model."""


def encode_concepts(encoder: Encoder, concepts: Sequence[str]) -> Floats:
    """n concepts -> (n, dim) unit vectors: the mean over `TEMPLATES`, normalised."""
    phrases = [caption.replace("{}", text) for text in concepts for caption in TEMPLATES]
    vectors = encoder.encode_texts(phrases).astype(np.float64)
    means = vectors.reshape(len(concepts), len(TEMPLATES), -1).mean(axis=1)
    return np.asarray(means / np.linalg.norm(means, axis=1, keepdims=True))


def concept_and_rivals(
    encoder: Encoder, text: str, background: Sequence[str] = BACKGROUND
) -> tuple[Floats, Floats]:
    """(dim,) a concept's vector, and (m, dim) those of the background that mean something else.

    Raises:
        InputError: the text or a background concept cannot be used.
    """
    (vector,) = encode_concepts(encoder, [text])
    names = background_of(encoder, tuple(background))
    return vector, names.vectors[names.others(vector)]


class Background:
    """What tiles may show instead of what is asked for, as vectors."""

    def __init__(self, vectors: Floats) -> None:
        """Of concepts' vectors, (n, dim) of unit norm."""
        self.vectors = vectors
        """(n, dim), unit norm."""
        self.mean = vectors.mean(axis=0) if len(vectors) else np.zeros(vectors.shape[1])
        self.centred = vectors - self.mean
        # Over their number less one, so that few names spread no less than many.
        self.gram = self.centred.T @ self.centred / max(len(vectors) - 1, 1)
        """(dim, dim)"""

    def others(self, text: Floats) -> NDArray[np.bool_]:
        """(m,): which of the concepts do not mean nearly the same as `text`."""
        if len(self.vectors) < 2:
            return np.ones(len(self.vectors), bool)
        aim = text - self.mean
        lengths = np.linalg.norm(self.centred, axis=1) * np.linalg.norm(aim)
        near = self.centred @ aim / np.maximum(lengths, 1e-12)
        return np.asarray(near < SYNONYM)


_known: weakref.WeakKeyDictionary[Encoder, dict[tuple[str, ...], Background]] = (
    weakref.WeakKeyDictionary()
)


def background_of(encoder: Encoder, concepts: tuple[str, ...]) -> Background:
    """The background of some concepts, encoded once per encoder and list.

    Raises:
        InputError: one of them is no text.
    """
    for concept in concepts:
        if not isinstance(concept, str) or not concept.strip():
            raise InputError(f"The background holds {concept!r}; its concepts are short texts.")
    known = _known.setdefault(encoder, {})
    if concepts not in known:
        vectors = encode_concepts(encoder, concepts) if concepts else np.zeros((0, encoder.dim))
        known[concepts] = Background(vectors)
    return known[concepts]
