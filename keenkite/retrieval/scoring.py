"""What a score means: how much better a text fits a tile than the rest of the language does.

Raw cosines of a CLIP model cannot be read: they lie within a few hundredths of each other, at a
level that differs by text, whether the thing is there or not. Three steps mend that, and
docs/scoring.md has the measurements behind each number below.

1. The query vector is q = t - mean(b) / 2: t is the text's vector, averaged over templates, the b
   are those of a background vocabulary. It is one vector, so the index does the work; and
   z = (q·x - q·μ) / √(qᵀΣq) says how far tile x stands out of an index of mean μ and covariance Σ.
2. Of the best few hundred, the contrast asks how far t beats the b that fit that very tile best.
   It counts less than the fit of step 1: a tile may show several things.
3. A tile's evidence is averaged with that of the tiles that look most like it: a thing that is
   there is mostly seen more than once, an accident of one vector is not. Tiles that do not look
   alike more than any two tiles of the index (whose mean cosine is μ·μ) have no part in it.

Evidence is in units of how much the background texts differ on the index's own tiles, which are
the same for every text. How much of it is enough depends on how a model was trained, not on the
text: `Calibration`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from keenkite.encoder import Encoder
from keenkite.index import Statistics
from keenkite.retrieval.concepts import (
    BACKGROUND,
    Floats,
    Vectors,
    background_of,
    encode_concepts,
    read_data,
)

CORRECTION = 0.5
"""Part of the background's mean that is subtracted. All of it ranks better where the background
names everything that can be confused, and worse where it does not, or tiles show several things."""

CONTRAST = 0.25
"""Weight of the contrast in the evidence; the fit has the rest."""

SHARPNESS = 3.0
"""How strictly the best rival decides in the contrast, per unit of evidence. With the vectors of
RemoteCLIP this is a softmax of temperature 1/105, about what the model was trained with."""

LOOK_ALIKES = 3
"""Tiles whose evidence is averaged with a tile's own."""
RERANKED = 512
"""Tiles whose evidence is averaged with that of look-alikes; the rest of a longer list, which
follows them by z, is judged tile by tile."""

ALIKE_EVEN, ALIKE_SLOPE = 0.45, 0.1
"""`Calibration` of examples, for every model: their evidence is 0 for the mean tile of the index
and 1 for the examples themselves."""

UNLIKE = 0.25
"""Weight of what a query is unlike, when nothing is given that it is like."""


_CALIBRATIONS: dict[str, dict[str, float]] = json.loads(read_data("calibration.json"))


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """How a model's evidence for a text becomes confidence; the same for all texts."""

    even: float
    """Evidence at which a hit is as likely right as wrong."""
    slope: float
    """Evidence by which the log-odds grow by 1."""
    doubt: float
    """Log-odds taken off for each doubling or halving of the usual span: a model that learnt the
    ground at one scale is as sure of what it says at another, and more often wrong."""

    @classmethod
    def of(cls, encoder: str) -> Calibration:
        """For an encoder's name; one for models of CLIP's kind where it has none of its own."""
        return cls(**_CALIBRATIONS.get(encoder, _CALIBRATIONS["clip"]))


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """One thing to look for, as vectors; `Scorer` makes them."""

    query: Floats
    """(dim,) what the index is asked for; of no particular norm."""
    offset: float
    """query·μ, the score of the mean tile."""
    deviation: float
    """√(queryᵀ Σ query), above 0."""
    usual: float
    """μ·μ, the mean cosine of two tiles of the index."""
    text: Floats | None = None
    """(dim,) unit norm, before any correction; None for examples alone."""
    rivals: Floats | None = None
    """(m, dim) background concepts that mean something else; None when there are too few."""
    floor: float = 0.0
    """Mean cosine of the rivals with the index's tiles: what evidence counts from."""
    unit: float = 1.0
    """Cosine per unit of evidence."""
    calibration: Calibration
    """Of the text's evidence."""
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
        corrected = self.text - CORRECTION * self.rivals.mean(axis=0)
        return np.asarray((vectors @ corrected - (1 - CORRECTION) * self.floor) / self.unit)

    def contrast(self, vectors: Vectors) -> Floats:
        """(n, dim) -> (n,): how far the text beats the best rivals; in units of evidence."""
        if self.text is None or self.rivals is None:
            return np.zeros(len(vectors))
        behind = (vectors @ self.rivals.T - (vectors @ self.text)[:, None]) / self.unit
        worst = behind.max(axis=1)
        rest = np.exp(SHARPNESS * (behind - worst[:, None])).sum(axis=1)
        return np.asarray(-worst - np.log(rest) / SHARPNESS)

    def evidence(self, vectors: Vectors) -> Floats:
        """(n, dim) -> (n,): what the text's confidence is computed from."""
        return (1 - CONTRAST) * self.fit(vectors) + CONTRAST * self.contrast(vectors)

    def log_odds(self, vectors: Vectors) -> Floats:
        """(n, dim) -> (n,): ln(p / (1 - p)) of each tile by itself, where p is the confidence."""
        parts = []
        if self.rivals is not None:
            parts.append((self.evidence(vectors) - self.calibration.even) / self.calibration.slope)
        elif self.text is not None:  # nothing to compare with but the index
            parts.append(self.z(vectors) - 3)
        if self.alike is not None:
            near = (vectors @ self.alike - self.alike_offset) / self.alike_span
            parts.append((near - ALIKE_EVEN) / ALIKE_SLOPE)
        return np.asarray(np.mean(parts, axis=0))

    def judge(self, vectors: Vectors, octaves: Floats | float = 0.0) -> Floats:
        """The same of each tile among its look-alikes (step 3).

        Args:
            vectors: (n, dim), best z first.
            octaves: (n,) doublings or halvings of the usual span; see `Calibration.doubt`.

        Returns:
            (n,)
        """
        odds = self.log_odds(vectors)
        first = slice(RERANKED)
        odds[first] = among_look_alikes(odds[first], vectors[first], self.usual)
        return np.asarray(odds - self.calibration.doubt * octaves)


class Scorer:
    """What is the same for all concepts of one search: encoder, background, the index's vectors."""

    def __init__(
        self, encoder: Encoder, statistics: Statistics, background: Sequence[str] = BACKGROUND
    ) -> None:
        """Encode the background, once per encoder and list.

        Args:
            encoder: of the index's vectors.
            statistics: of an index with one tile at least.
            background: concepts that tiles may show; empty for none, and then confidence rests on
                z alone, which cannot tell a common thing from one that is not there.

        Raises:
            InputError: a background concept is no text.
        """
        self._encoder = encoder
        self._statistics = statistics
        self._calibration = Calibration.of(encoder.name)
        self._background = background_of(encoder, tuple(background))
        spread = self._background.gram
        mean = statistics.mean
        # The mean over tiles and concepts of the squared deviations of a tile's cosines.
        variance = float(np.sum(statistics.covariance * spread) + mean @ spread @ mean)
        self._unit = max(math.sqrt(max(variance, 0.0)), 1e-6)

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
            rivals = self._background.others(vector)
            corrected = vector - CORRECTION * rivals.mean(axis=0) if len(rivals) else vector
            query += corrected / self._deviation(corrected)
            parts |= {"text": vector}
            if len(rivals) >= 2:  # one alone has no spread to measure by
                floor = float(rivals.mean(axis=0) @ mean)
                parts |= {"rivals": rivals, "floor": floor, "unit": self._unit}
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
            usual=float(mean @ mean),
            calibration=self._calibration,
            **parts,  # type: ignore[arg-type]
        )

    def _deviation(self, query: Floats) -> float:
        """Of query·x over the index's tiles; never 0."""
        variance = float(query @ self._statistics.covariance @ query)
        return max(math.sqrt(max(variance, 0.0)), 1e-6)


def among_look_alikes(values: Floats, vectors: Vectors, usual: float) -> Floats:
    """Each value averaged with those of the tiles that look most like its own.

    Args:
        values: (n,)
        vectors: (n, dim), unit norm.
        usual: cosine of two tiles that are no look-alikes, which count for nothing; the same tile
            counts as much as the tile itself, and between them it goes in proportion.

    Returns:
        (n,)
    """
    if len(values) <= LOOK_ALIKES:
        return values
    similar = vectors @ vectors.T
    np.fill_diagonal(similar, -np.inf)
    nearest = np.argpartition(-similar, LOOK_ALIKES - 1, axis=1)[:, :LOOK_ALIKES]
    cosines = np.take_along_axis(similar, nearest, axis=1)
    weights = np.clip((cosines - usual) / max(1 - usual, 1e-6), 0, 1)
    return np.asarray((values + (weights * values[nearest]).sum(1)) / (1 + weights.sum(1)))


def _way(mean: Floats, like: Vectors | None, unlike: Vectors | None) -> Floats:
    """The direction from what is not meant to what is; `mean` stands for what was not said.

    2·mean⁺ - mean⁻ of GeoVibes with the index's mean subtracted, halved.
    """
    good = mean if like is None else like.mean(axis=0, dtype=np.float64)
    bad = mean if unlike is None else unlike.mean(axis=0, dtype=np.float64)
    if like is None:
        return np.asarray(good - bad)
    return np.asarray(good - (bad + mean) / 2)


def confidence(log_odds: Floats | float) -> Floats:
    """ln(p / (1 - p)) -> p, 0-1."""
    return np.asarray(np.exp(log_confidence(log_odds)))


def log_confidence(log_odds: Floats | float) -> Floats:
    """ln(p / (1 - p)) -> ln p, without loss of digits on either side."""
    return np.asarray(-np.logaddexp(0.0, -np.asarray(log_odds, np.float64)))


def log_odds_of(log_p: Floats) -> Floats:
    """ln p -> ln(p / (1 - p)); p below 1."""
    log_p = np.minimum(log_p, -1e-15)
    return np.asarray(log_p - np.log(-np.expm1(log_p)))
