"""Reliability: whether a confidence of 0.8 is right in 80 of 100 cases."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

BINS = 10
"""Of equal width."""


@dataclass(frozen=True, kw_only=True)
class Bin:
    """Those whose confidence is in one tenth of 0-1."""

    low: float
    high: float
    number: int
    confidence: float
    """Their mean."""
    right: float
    """The part of them that is right."""

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


def reliability(confidences: ArrayLike, right: ArrayLike) -> list[Bin]:
    """The bins that are not empty, from the lowest.

    Args:
        confidences: (n,) 0-1.
        right: (n,) whether each was right.
    """
    p, y = np.asarray(confidences, float), np.asarray(right, bool)
    place = np.minimum((p * BINS).astype(int), BINS - 1)
    return [
        Bin(
            low=k / BINS,
            high=(k + 1) / BINS,
            number=int(inside.sum()),
            confidence=float(p[inside].mean()),
            right=float(y[inside].mean()),
        )
        for k in range(BINS)
        for inside in [place == k]
        if inside.any()
    ]


def calibration_error(confidences: ArrayLike, right: ArrayLike) -> float:
    """Expected calibration error: |confidence - right| of the bins, by how many are in each."""
    bins = reliability(confidences, right)
    total = sum(each.number for each in bins)
    return sum(each.number * abs(each.confidence - each.right) for each in bins) / max(total, 1)


def brier_score(confidences: ArrayLike, right: ArrayLike) -> float:
    """Mean squared difference of confidence and truth; 0 is best."""
    p, y = np.asarray(confidences, float), np.asarray(right, float)
    return float(((p - y) ** 2).mean()) if p.size else float("nan")
