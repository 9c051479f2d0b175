"""Ranking: how good an order is, and how well a number parts two kinds."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def average_precision(scores: ArrayLike, right: NDArray[np.bool_]) -> float:
    """Mean of the precision at each right item, in the order of falling scores; nan if none is."""
    found = right[np.argsort(-np.asarray(scores), kind="stable")]
    ranks = np.flatnonzero(found) + 1
    return float(np.mean(np.arange(1, len(ranks) + 1) / ranks)) if len(ranks) else float("nan")


def auc(there: ArrayLike, gone: ArrayLike) -> float:
    """How often a value of `there` is above one of `gone`; equal counts half."""
    a, b = np.asarray(there, float)[:, None], np.asarray(gone, float)[None]
    return float(((a > b) + 0.5 * (a == b)).mean())


def precision(scores: ArrayLike, right: NDArray[np.bool_], first: int = 10) -> float:
    """Part of the first so many that is right, in the order of falling scores."""
    return float(right[np.argsort(-np.asarray(scores), kind="stable")[:first]].mean())
