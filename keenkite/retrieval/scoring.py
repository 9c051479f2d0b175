"""What a score means: how much better a text fits a tile than the rest of the language does.

Raw cosines of a CLIP model cannot be read: they lie within a few hundredths of each other, at a
level that differs by text, whether the thing is there or not. docs/scoring.md has the measurements
behind each number below.

1. The query vector is q = t - mean(b) / 2: t is the text's vector, averaged over templates, the b
   are those of a background vocabulary. It is one vector, so the index does the work; and
   z = (q·x - q·μ) / √(qᵀΣq) says how far tile x stands out of an index of mean μ and covariance Σ.
2. The contrast asks how far t beats the best of six b drawn at random, on average over all draws:
   a mean of the sorted b that has the same expectation for 4 names as for 92.
3. Evidence is ¾ of the fit of step 1 and ¼ of the contrast, in units of how much the background
   differs on the index's own tiles, which are the same for every text. From a sample of the index
   comes the evidence of the usual ground, and its spread: what a tile has to stand out of.
4. Evidence is compared with that of a tile's look-alikes (`look_alikes`).
5. A logistic regression makes confidence of these measures (`calibration`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from keenkite.encoder import Encoder
from keenkite.index import Statistics
from keenkite.retrieval.calibration import Calibration, Measures
from keenkite.retrieval.concepts import (
    BACKGROUND,
    Floats,
    Vectors,
    background_of,
    encode_concepts,
)
from keenkite.retrieval.look_alikes import Ground, LookAlikes

CORRECTION = 0.5
"""Part of the background's mean that is subtracted. All of it ranks better where the background
names everything that can be confused, and worse where it does not, or tiles show several things."""

CONTRAST = 0.25
"""Weight of the contrast in the evidence; the fit has the rest."""

DRAWN = 6
"""Rivals of which the best counts in the contrast."""

USUAL, SPREAD = -0.8, 0.9
"""Evidence of the usual ground for a text that is not there, and its spread: what is supposed of an
index, with the weight of 20 tiles, before its own tiles are looked at."""
SUPPOSED = 20

HIGHEST, NARROW, WIDE = 0.5, 0.5, 2.6
"""Bounds of what is believed of an index's usual ground: where a thing covers most of it, it does
not stand out and is there all the same."""

ALIKE_EVEN, ALIKE_SLOPE = 0.45, 0.1
"""How evidence of examples becomes log-odds, for every model: it is 0 for the mean tile of the
index and 1 for the examples themselves."""

UNLIKE = 0.25
"""Weight of what a query is unlike, when nothing is given that it is like."""


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
        return _fit(vectors @ self.text, vectors @ self.rivals.mean(axis=0), self.floor, self.unit)

    def contrast(self, vectors: Vectors) -> Floats:
        """(n, dim) -> (n,): how far the text beats the best of six rivals; in units of evidence."""
        if self.text is None or self.rivals is None:
            return np.zeros(len(vectors))
        return _contrast(vectors @ self.text, vectors @ self.rivals.T, self.unit)

    def evidence(self, vectors: Vectors) -> Floats:
        """(n, dim) -> (n,): what speaks for the text, of each tile by itself."""
        return (1 - CONTRAST) * self.fit(vectors) + CONTRAST * self.contrast(vectors)

    def example(self, vectors: Vectors) -> Floats:
        """(n, dim) -> (n,): log-odds of each tile by itself that it is like the examples."""
        if self.alike is None:
            return np.zeros(len(vectors))
        near = (vectors @ self.alike - self.alike_offset) / self.alike_span
        return np.asarray((near - ALIKE_EVEN) / ALIKE_SLOPE)


@dataclass(frozen=True, kw_only=True, eq=False)
class Judge:
    """What tiles are worth for one thing that is looked for; the same whoever else is judged."""

    wanted: Wanted
    calibration: Calibration
    look_alikes: LookAlikes

    def log_odds(self, vectors: Vectors, ground: Ground, octaves: Floats | float = 0.0) -> Floats:
        """(n, dim) -> (n,): ln(p / (1 - p)) of each tile, where p is the confidence.

        Args:
            vectors: of the tiles, unit norm.
            ground: where they are.
            octaves: (n,) doublings or halvings of the usual span; see `Calibration.doubt`.
        """
        wanted, neighbours = self.wanted, self.look_alikes.of(vectors, ground)
        parts = []
        if wanted.rivals is not None:
            parts.append(self.calibration.log_odds(self.measures(vectors, ground)))
        elif wanted.text is not None:  # nothing to compare with but the index
            z = wanted.z(vectors)
            parts.append(z - 3 + neighbours.difference(z, self._z))
        if wanted.alike is not None:
            example = wanted.example(vectors)
            parts.append(example + neighbours.difference(example, self._example))
        return np.asarray(np.mean(parts, axis=0) - self.calibration.doubt * octaves)

    def measures(self, vectors: Vectors, ground: Ground) -> Measures:
        """What the confidence of a text rests on, (n,) each."""
        wanted = self.wanted
        fit, contrast = wanted.fit(vectors), wanted.contrast(vectors)
        evidence = (1 - CONTRAST) * fit + CONTRAST * contrast
        neighbours = self.look_alikes.of(vectors, ground)
        return Measures(
            contrast=contrast,
            look_alikes=neighbours.difference(evidence, self._evidence),
            stands_out=(evidence - wanted.usual) / wanted.spread,
            spread=wanted.spread,
        )

    @cached_property
    def _evidence(self) -> Floats:
        return self.wanted.evidence(self.look_alikes.vectors)

    @cached_property
    def _z(self) -> Floats:
        return self.wanted.z(self.look_alikes.vectors)

    @cached_property
    def _example(self) -> Floats:
        return self.wanted.example(self.look_alikes.vectors)


class Scorer:
    """What is the same for all concepts of one search: encoder, background, the index's vectors."""

    def __init__(
        self,
        encoder: Encoder,
        statistics: Statistics,
        background: Sequence[str] = BACKGROUND,
        *,
        calibration: Calibration | None = None,
    ) -> None:
        """Encode the background, once per encoder and list.

        Args:
            encoder: of the index's vectors.
            statistics: of an index with one tile at least.
            background: concepts that tiles may show; empty for none, and then confidence rests on
                z alone, which cannot tell a common thing from one that is not there.
            calibration: of the collection; by default that of the model.

        Raises:
            InputError: a background concept is no text.
        """
        self._encoder = encoder
        self._statistics = statistics
        self._calibration = calibration or Calibration.of(encoder.name)
        self._background = background_of(encoder, tuple(background))
        spread = self._background.gram
        mean = statistics.mean
        # The mean over tiles and concepts of the squared deviations of a tile's cosines.
        variance = float(np.sum(statistics.covariance * spread) + mean @ spread @ mean)
        self._unit = max(math.sqrt(max(variance, 0.0)), 1e-6)

    @property
    def tiles(self) -> int:
        """How many the index holds."""
        return self._statistics.n

    def wanted(
        self,
        text: str | None = None,
        *,
        like: Vectors | None = None,
        unlike: Vectors | None = None,
    ) -> Wanted:
        """A concept by its name, by examples (n, dim), or both."""
        mean = self._statistics.mean
        query = np.zeros(len(mean))
        parts: dict[str, Floats | float] = {}
        if text is not None:
            (vector,) = encode_concepts(self._encoder, [text])
            others = self._background.others(vector)
            rivals = self._background.vectors[others]
            corrected = vector - CORRECTION * rivals.mean(axis=0) if len(rivals) else vector
            query += corrected / self._deviation(corrected)
            parts |= {"text": vector}
            if len(rivals) >= 2:  # one alone has no spread to measure by
                floor = float(rivals.mean(axis=0) @ mean)
                usual, spread = self._usual(vector, others, floor)
                parts |= {"rivals": rivals, "floor": floor, "unit": self._unit}
                parts |= {"usual": usual, "spread": spread}
        if like is not None or unlike is not None:
            way = _way(mean, like, unlike)
            query += way / self._deviation(way) * (1.0 if like is not None else UNLIKE)
            if like is not None:
                start = float(way @ mean)
                span = float(way @ like.mean(axis=0, dtype=np.float64)) - start
                parts |= {"alike": way, "alike_offset": start, "alike_span": max(span, 1e-6)}
        return Wanted(
            query=query,
            offset=float(query @ mean),
            deviation=self._deviation(query),
            **parts,  # type: ignore[arg-type]
        )

    def judge(self, wanted: Wanted, vectors: Vectors, ground: Ground) -> Judge:
        """Who judges tiles for it.

        Args:
            wanted: what is looked for.
            vectors: (m, dim) of the best tiles of the index for it, whatever a query filters.
            ground: where these are.
        """
        mean = self._statistics.mean
        pool = LookAlikes(vectors=vectors, ground=ground, usual=float(mean @ mean))
        return Judge(wanted=wanted, calibration=self._calibration, look_alikes=pool)

    def _usual(
        self, text: Floats, others: np.ndarray[tuple[int], np.dtype[np.bool_]], floor: float
    ) -> tuple[float, float]:
        """Evidence of the usual ground for a text, and its spread."""
        sample = self._sample
        evidence = np.zeros(0)
        if len(sample):
            own, theirs = sample @ text.astype(np.float32), self._cosines[:, others]
            fit = _fit(own, theirs.mean(axis=1), floor, self._unit)
            evidence = (1 - CONTRAST) * fit + CONTRAST * _contrast(own, theirs, self._unit)
        n = min(self._statistics.n, len(evidence))
        low, quarter, middle = np.percentile(evidence, (10, 25, 50)) if n else (0.0, 0.0, 0.0)
        usual = (n * min(quarter, HIGHEST) + SUPPOSED * USUAL) / (n + SUPPOSED)
        spread = (n * (middle - low) + SUPPOSED * SPREAD) / (n + SUPPOSED)
        return float(usual), float(np.clip(spread, NARROW, WIDE))

    @cached_property
    def _sample(self) -> Vectors:
        vectors = self._statistics.vectors
        dim = len(self._statistics.mean)
        return np.zeros((0, dim), np.float32) if vectors is None else vectors.astype(np.float32)

    @cached_property
    def _cosines(self) -> Vectors:
        """(sample, background)"""
        return np.asarray(self._sample @ self._background.vectors.astype(np.float32).T)

    def _deviation(self, query: Floats) -> float:
        """Of query·x over the index's tiles; never 0."""
        variance = float(query @ self._statistics.covariance @ query)
        return max(math.sqrt(max(variance, 0.0)), 1e-6)


def _fit(own: Floats | Vectors, theirs: Floats | Vectors, floor: float, unit: float) -> Floats:
    """How far the text beats the rivals' mean.

    Args:
        own: (n,) cosines of the tiles with the text.
        theirs: (n,) means of their cosines with the rivals.
        floor: mean of that over the index.
        unit: of evidence.
    """
    return np.asarray((own - CORRECTION * theirs - (1 - CORRECTION) * floor) / unit, np.float64)


def _contrast(own: Floats | Vectors, theirs: Floats | Vectors, unit: float) -> Floats:
    """How far the text, (n,), beats the best of `DRAWN` of the rivals, (n, m), on average."""
    ordered: Floats = np.sort(np.asarray(theirs, np.float64), axis=1)
    best = ordered @ _shares(theirs.shape[1])
    return np.asarray((own - best) / unit, np.float64)


@lru_cache(maxsize=64)
def _shares(number: int) -> Floats:
    """(number,): how likely the i-th smallest is the largest of `DRAWN` drawn from all."""
    drawn = min(DRAWN, number)
    ways = [math.comb(i, drawn - 1) for i in range(number)]
    return np.array([way / math.comb(number, drawn) for way in ways])


def _way(mean: Floats, like: Vectors | None, unlike: Vectors | None) -> Floats:
    """The direction from what is not meant to what is; `mean` stands for what was not said.

    2·mean⁺ - mean⁻ of GeoVibes with the index's mean subtracted, halved.
    """
    good = mean if like is None else like.mean(axis=0, dtype=np.float64)
    bad = mean if unlike is None else unlike.mean(axis=0, dtype=np.float64)
    if like is None:
        return np.asarray(good - bad)
    return np.asarray(good - (bad + mean) / 2)
