"""Platt's scaling: log-odds that are wrong by a slope and a shift, set right by known cases.

A logistic regression of what is true on the log-odds. Few cases say little, and those that the
log-odds part without a fault would have a slope without bound; so as many cases as the model says
itself stand beside them, with the weight of `WEIGHT` real ones: at each case's log-odds x one that
is true with the probability that x stands for. They pull towards slope 1 and shift 0, weigh half
with 8 cases and a tenth with 72, and take the place of the smoothed targets of Platt (1999), which
pull towards one half.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from keenkite.retrieval.calibration import confidence
from keenkite.retrieval.concepts import Floats

WEIGHT = 8.0
"""Of what the model says itself, in cases."""

PARTS = 20
"""Into so many are cases parted to be held out; fewer than that are held out one by one."""


@dataclass(frozen=True, kw_only=True)
class Scaling:
    """slope · log-odds + shift."""

    slope: float
    shift: float

    def of(self, odds: Floats) -> Floats:
        """(n,) log-odds, set right."""
        return np.asarray(self.slope * odds + self.shift)


def fit(odds: Floats, right: NDArray[np.bool_]) -> Scaling:
    """The scaling that known cases ask for.

    Args:
        odds: (n,) log-odds, one or more.
        right: (n,) what is true.
    """
    x = np.tile(odds, 2)
    y = np.concatenate([right, confidence(odds)])
    w = np.repeat([1.0, WEIGHT / len(odds)], len(odds))

    def loss(p: Floats) -> tuple[float, Floats]:
        scaled = p[0] * x + p[1]
        wrong = w * (confidence(scaled) - y)
        value = float((w * (np.logaddexp(0, scaled) - y * scaled)).sum())
        return value, np.array([(wrong * x).sum(), wrong.sum()])

    slope, shift = minimize(loss, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B").x
    return Scaling(slope=float(slope), shift=float(shift))


def held_out(odds: Floats, right: NDArray[np.bool_]) -> Floats:
    """(n,) log-odds, each set right by cases that it is not among; n is 2 or more."""
    part = np.arange(len(odds)) % PARTS
    scaled = np.empty(len(odds))
    for each in np.unique(part):
        out = part == each
        scaled[out] = fit(odds[~out], right[~out]).of(odds[out])
    return scaled
