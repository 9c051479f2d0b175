"""How the vectors of an index are spread: what a score is compared with."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """Mean and covariance of all vectors of an index."""

    n: int
    """Number of vectors."""
    mean: NDArray[np.float64]
    """(dim,); zeros when n is 0."""
    covariance: NDArray[np.float64]
    """(dim, dim), over n and not n - 1; zeros when n is 0."""

    @classmethod
    def of(cls, blocks: Iterable[NDArray[np.float32]], dim: int) -> Statistics:
        """Over blocks of shape (k, dim), in float64, one block in memory at a time.

        Means and scatters of blocks are merged as Chan, Golub and LeVeque do (1983, "Algorithms
        for computing the sample variance"), which loses no digits to a large mean.
        """
        n, mean, scatter = 0, np.zeros(dim), np.zeros((dim, dim))
        for block in blocks:
            values = block.astype(np.float64)
            k, centre = len(values), values.mean(axis=0)
            spread = values - centre
            apart = centre - mean
            scatter += spread.T @ spread + np.outer(apart, apart) * (n * k / (n + k))
            mean += apart * (k / (n + k))
            n += k
        return cls(n=n, mean=mean, covariance=scatter / max(n, 1))

    def to_json(self) -> dict[str, Any]:
        """The same as JSON values, no digit lost."""
        return {"n": self.n, "mean": _text(self.mean), "covariance": _text(self.covariance)}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Statistics:
        """The inverse of `to_json`."""
        mean = _array(value["mean"])
        covariance = _array(value["covariance"]).reshape(len(mean), len(mean))
        return cls(n=value["n"], mean=mean, covariance=covariance)


def _text(array: NDArray[np.float64]) -> str:
    return base64.b64encode(array.astype("<f8").tobytes()).decode()


def _array(text: str) -> NDArray[np.float64]:
    return np.frombuffer(base64.b64decode(text), dtype="<f8").astype(np.float64)
