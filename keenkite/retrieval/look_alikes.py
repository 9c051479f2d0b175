"""Look-alikes: the tiles of other ground that look most like a tile, and what they say of it.

What is there is mostly seen more than once; an accident of one vector is not. So a tile's evidence
is compared with that of the tiles most like it. These come from the best tiles of the whole index
for the text, which no filter, limit or page changes; they must lie on other ground, so that a thing
is not its own witness on eight dates; each ground counts once; and only those that are really close
weigh, so that a thing that exists once is not outvoted by what merely resembles it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from keenkite.ground import positions
from keenkite.retrieval.concepts import Floats, Vectors
from keenkite.tiling import Tile

NUMBER = 5
"""Look-alikes of a tile."""

STARTS = (0.25, 0.5)
"""How far on the way from the usual cosine of two tiles to 1 a look-alike begins to weigh: its
weight is the mean of two ramps, from each of these to 1 at the same tile."""

POOL = 128
"""Tiles that look-alikes are taken from: the best of the index for the text."""

_TOUCHING = 0.99
"""Of the sum of two half spans: centres that are nearer than this share ground."""

_BLOCK = 2048
"""Tiles compared at a time."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Ground:
    """Where n tiles are, as arrays."""

    places: NDArray[np.float64]
    """(n, 3) metres from the Earth's centre, of the tiles' centres."""
    halves: NDArray[np.float64]
    """(n,) half of their spans, metres."""
    cells: NDArray[np.int64]
    """(n,) the same number for the same ground on other dates."""

    @classmethod
    def of(cls, tiles: Sequence[Tile]) -> Ground:
        """Of some tiles."""
        numbers: dict[str, int] = {}
        return cls(
            places=positions([t.lon for t in tiles], [t.lat for t in tiles]).reshape(-1, 3),
            halves=np.array([t.span / 2 for t in tiles], float),
            cells=np.array([numbers.setdefault(t.cell, len(numbers)) for t in tiles], np.int64),
        )

    @classmethod
    def apart(cls, number: int) -> Ground:
        """Of pictures that show nothing in common."""
        return cls(
            places=np.outer(np.arange(number), (10.0, 0, 0)),
            halves=np.ones(number),
            cells=np.arange(number),
        )

    def shared(self, other: Ground) -> NDArray[np.bool_]:
        """(n, m) which of these tiles share ground with which of the others."""
        squares = (
            (self.places**2).sum(axis=1)[:, None]
            + (other.places**2).sum(axis=1)
            - 2 * self.places @ other.places.T
        )
        near = _TOUCHING * (self.halves[:, None] + other.halves)
        # Places are some 6e6 m from the origin: their squares are right to a hundredth of a m².
        return np.asarray(squares < near**2)

    def part(self, rows: slice | NDArray[np.int64]) -> Ground:
        """Some of them."""
        return Ground(places=self.places[rows], halves=self.halves[rows], cells=self.cells[rows])


@dataclass(frozen=True, kw_only=True, eq=False)
class LookAlikes:
    """Who may be a look-alike, for one text."""

    vectors: Vectors
    """(m, dim), unit norm."""
    ground: Ground
    """Of the m tiles."""
    usual: float
    """The mean cosine of two tiles of the index: who is no nearer than that is no look-alike."""

    def of(self, vectors: Vectors, ground: Ground) -> Neighbours:
        """The look-alikes of n tiles, (n, dim)."""
        found = [
            self._of(vectors[rows], ground.part(rows))
            for start in range(0, len(vectors), _BLOCK)
            for rows in [slice(start, start + _BLOCK)]
        ]
        empty = np.zeros((0, NUMBER))
        return Neighbours(
            which=np.concatenate([each.which for each in found] or [empty.astype(np.int64)]),
            weights=np.concatenate([each.weights for each in found] or [empty]),
        )

    def _of(self, vectors: Vectors, ground: Ground) -> Neighbours:
        number = min(NUMBER, len(self.vectors))
        which = np.zeros((len(vectors), number), np.int64)
        cosines = np.full((len(vectors), number), -np.inf)
        similar = vectors @ self.vectors.T
        similar[ground.shared(self.ground)] = -np.inf
        rows = np.arange(len(vectors))
        for rank in range(number):
            best = similar.argmax(axis=1)
            which[:, rank], cosines[:, rank] = best, similar[rows, best]
            similar[self.ground.cells[best][:, None] == self.ground.cells] = -np.inf
        scale = max(1 - self.usual, 1e-6)
        ramps = [
            np.clip((cosines - self.usual - start * scale) / ((1 - start) * scale), 0, 1)
            for start in STARTS
        ]
        return Neighbours(which=which, weights=np.mean(ramps, axis=0))


@dataclass(frozen=True, kw_only=True, eq=False)
class Neighbours:
    """The look-alikes of n tiles, and how close they are."""

    which: NDArray[np.int64]
    """(n, k) numbers of tiles among those of `LookAlikes`."""
    weights: Floats
    """(n, k) 0-1."""

    def difference(self, own: Floats, theirs: Floats) -> Floats:
        """How much higher a value is with them than without.

        Args:
            own: (n,) of the tiles.
            theirs: (m,) of those that may be look-alikes.

        Returns:
            (n,): the weighted mean of a tile's value, which weighs 1, and its look-alikes', less
            the tile's own.
        """
        if not self.which.shape[1]:
            return np.zeros(len(own))
        others = theirs[self.which] - own[:, None]
        return np.asarray((self.weights * others).sum(axis=1) / (1 + self.weights.sum(axis=1)))
