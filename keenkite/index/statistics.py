"""How the vectors of an index are spread: what a score is compared with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SHOWN = 1024
"""Vectors that are kept as they are, beside mean and covariance."""


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """Mean and covariance of vectors, of all of an index or of a sample of them."""

    n: int
    """Number of vectors in the index."""
    mean: NDArray[np.float64]
    """(dim,); zeros when there are none."""
    covariance: NDArray[np.float64]
    """(dim, dim), over their number and not one less; zeros when there are none."""
    sample: int | None = None
    """How many were looked at; None for all."""
    vectors: NDArray[np.float16] | None = None
    """(k, dim): the first 1,024 of those, for what no mean says; None where none were kept."""


def statistics_of(vectors: NDArray[np.float32], *, n: int | None = None) -> Statistics:
    """Mean and covariance of vectors, (k, dim), in float64.

    Args:
        vectors: all, or a sample.
        n: how many there are in all, where these are a sample.
    """
    values = vectors.astype(np.float64)
    k, dim = values.shape
    mean = values.mean(axis=0) if k else np.zeros(dim)
    values -= mean
    covariance = values.T @ values / max(k, 1)
    shown = vectors[:SHOWN].astype(np.float16)
    for shared in (mean, covariance, shown):  # by all who ask
        shared.flags.writeable = False
    return Statistics(
        n=k if n is None else n, sample=k, mean=mean, covariance=covariance, vectors=shown
    )
