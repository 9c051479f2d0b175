"""What is wanted of a tile, as vectors, and what they say of each tile by itself."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from keenkite.retrieval.concepts import Floats, Vectors

CORRECTION = 0.5
"""Part of the background's mean that is subtracted. All of it ranks better where the background
names everything that can be confused, and worse where it does not, or tiles show several things."""

CONTRAST = 0.25
"""Weight of the contrast in the evidence; the fit has the rest."""

DRAWN = 6
"""Rivals of which the best counts in the contrast."""

USUAL, SPREAD = -0.8, 0.9
"""Evidence of the usual ground for a text that is not there, and its spread, as is supposed of an
index before its own tiles are looked at."""

ALIKE_EVEN, ALIKE_SLOPE = 0.45, 0.1
"""How evidence of examples becomes log-odds, for every model: it is 0 for the mean tile of the
index and 1 for the examples themselves."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Wanted:
    """One thing to look for, as vectors; `Scorer` makes them."""

    query: Floats
    """(dim,) what the index is asked for; of no particular norm."""
    offset: float
    """query·μ, the score of the mean tile."""
    deviation: float
    """√(queryᵀ Σ query), above 0."""
    text: Floats | None = None
    """(dim,) unit norm, before any correction; None for examples alone."""
    rivals: Floats | None = None
    """(m, dim) background concepts that mean something else; None when there are too few."""
    floor: float = 0.0
    """Mean cosine of the rivals with the index's tiles: what evidence counts from."""
    unit: float = 1.0
    """Cosine per unit of evidence."""
    usual: float = USUAL
    """Evidence of the usual ground: a quarter of the tiles has less."""
    spread: float = SPREAD
    """From the tenth of the tiles with the least evidence to the median."""
    alike: Floats | None = None
    """(dim,) what examples add to the query; None without examples."""
    alike_offset: float = 0.0
    """alike·μ"""
    alike_span: float = 1.0
    """How far above that the examples themselves are."""

    def z(self, vectors: Vectors) -> Floats:
        """(n, dim) -> (n,): standard deviations above the mean tile of the index."""
        return np.asarray((vectors @ self.query - self.offset) / self.deviation)

    def fit(self, vectors: Vectors) -> Floats:
        """(n, dim) -> (n,): how far the text beats the rivals on average; in units of evidence."""
        if self.text is None or self.rivals is None:
            return np.zeros(len(vectors))
        return fit_of(
            vectors @ self.text, vectors @ self.rivals.mean(axis=0), self.floor, self.unit
        )

    def contrast(self, vectors: Vectors) -> Floats:
        """(n, dim) -> (n,): how far the text beats the best of six rivals; in units of evidence."""
        if self.text is None or self.rivals is None:
            return np.zeros(len(vectors))
        return contrast_of(vectors @ self.text, vectors @ self.rivals.T, self.unit)

    def cosine(self, vectors: Vectors) -> Floats:
        """(n, dim) -> (n,): the plain cosine with the text."""
        return np.zeros(len(vectors)) if self.text is None else np.asarray(vectors @ self.text)

    def evidence(self, vectors: Vectors) -> Floats:
        """(n, dim) -> (n,): what speaks for the text, of each tile by itself."""
        return (1 - CONTRAST) * self.fit(vectors) + CONTRAST * self.contrast(vectors)

    def example(self, vectors: Vectors) -> Floats:
        """(n, dim) -> (n,): log-odds of each tile by itself that it is like the examples."""
        if self.alike is None:
            return np.zeros(len(vectors))
        near = (vectors @ self.alike - self.alike_offset) / self.alike_span
        return np.asarray((near - ALIKE_EVEN) / ALIKE_SLOPE)


def fit_of(own: Floats | Vectors, theirs: Floats | Vectors, floor: float, unit: float) -> Floats:
    """How far the text beats the rivals' mean.

    Args:
        own: (n,) cosines of the tiles with the text.
        theirs: (n,) means of their cosines with the rivals.
        floor: mean of that over the index.
        unit: of evidence.
    """
    return np.asarray((own - CORRECTION * theirs - (1 - CORRECTION) * floor) / unit, np.float64)


def contrast_of(own: Floats | Vectors, theirs: Floats | Vectors, unit: float) -> Floats:
    """How far the text, (n,), beats the best of `DRAWN` of the rivals, (n, m), on average."""
    ordered: Vectors = np.sort(theirs.astype(np.float32), axis=1)
    best = ordered @ _shares(theirs.shape[1])
    return np.asarray((own - best) / unit, np.float64)


@lru_cache(maxsize=64)
def _shares(number: int) -> Floats:
    """(number,): how likely the i-th smallest is the largest of `DRAWN` drawn from all."""
    drawn = min(DRAWN, number)
    ways = [math.comb(i, drawn - 1) for i in range(number)]
    return np.array([way / math.comb(number, drawn) for way in ways])
