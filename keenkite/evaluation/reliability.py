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


@dataclass(frozen=True, kw_only=True)
class Reliability:
    """How far some confidences can be believed."""

    bins: tuple[Bin, ...]
    """Those that are not empty, from the lowest."""
    calibration_error: float
    """See `calibration_error`."""
    brier: float
    """See `brier_score`."""

    @classmethod
    def of(cls, confidences: ArrayLike, right: ArrayLike) -> Reliability:
        """Of n confidences, (n,) 0-1, and whether each was right, (n,)."""
        return cls(
            bins=tuple(reliability(confidences, right)),
            calibration_error=calibration_error(confidences, right),
            brier=brier_score(confidences, right),
        )

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self) | {"bins": [each.to_json() for each in self.bins]}

    def __str__(self) -> str:
        """Both figures."""
        return f"ECE {self.calibration_error:.3f}, Brier {self.brier:.3f}"

    def table(self) -> str:
        """The bins, a line for each."""
        lines = ["  confidence  number   mean  right"]
        lines += [
            f"  {each.low:.1f} - {each.high:.1f}   {each.number:6,}   {each.confidence:.2f}   "
            f"{each.right:.2f}"
            for each in self.bins
        ]
        return "\n".join(lines)


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
