"""Calibration: how what is measured of a tile becomes the chance that it shows a thing.

A logistic regression over the measures of `Measures`, one set of weights for a model and never for
a word. `calibration.json` holds those that were set on labelled images; a model that is not among
them has the default, and says so. A collection may hold one of its own, set on its user's places.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keenkite.errors import InputError
from keenkite.index import TileIndex
from keenkite.retrieval.concepts import Floats, read_data

_SHIPPED: dict[str, dict[str, float]] = json.loads(read_data("calibration.json"))

DEFAULT = "default"
"""Of models that none was measured for."""


@dataclass(frozen=True, kw_only=True)
class Measures:
    """What is measured of n tiles for one text; `docs/scoring.md` says why these."""

    contrast: Floats
    """(n,) how far the text beats the best of six rivals."""
    look_alikes: Floats
    """(n,) how much more evidence the tiles have that look most like it, on other ground."""
    stands_out: Floats
    """(n,) how far its evidence is above the usual ground's, in spreads of that ground."""
    spread: float
    """How much the usual ground differs in its evidence for the text."""


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Weights of the measures in the log-odds, and a constant."""

    contrast: float
    look_alikes: float
    stands_out: float
    spread: float
    doubt: float
    """Log-odds taken off for each doubling or halving of the usual span: a model that learnt the
    ground at one scale is as sure of what it says at another, and more often wrong."""
    constant: float
    measured: bool = True
    """Whether it was set on labelled images of this very model."""

    @classmethod
    def of(cls, encoder: str) -> Calibration:
        """For an encoder's name; the default where it has none of its own."""
        if encoder in _SHIPPED:
            return cls.from_json(_SHIPPED[encoder])
        return replace(cls.from_json(_SHIPPED[DEFAULT]), measured=False)

    @classmethod
    def of_index(cls, index: TileIndex) -> Calibration:
        """That which an index keeps; else its encoder's."""
        kept = index.calibration()
        return cls.of(index.encoder_name) if kept is None else cls.from_json(kept)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Calibration:
        """One that a collection keeps; InputError when it is none."""
        try:
            known = {name: float(value[name]) for name in _WEIGHTS}
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"The calibration of this collection cannot be read ({error}). Make it again with "
                "keenkite calibrate, or remove it with keenkite calibrate --reset."
            ) from None
        return cls(**known)  # type: ignore[arg-type]  # weights, all of them

    def to_json(self) -> dict[str, float]:
        """Its weights."""
        return {name: value for name, value in asdict(self).items() if name in _WEIGHTS}

    def log_odds(self, measures: Measures) -> Floats:
        """(n,) ln(p / (1 - p)), where p is the confidence."""
        return np.asarray(
            self.contrast * measures.contrast
            + self.look_alikes * measures.look_alikes
            + self.stands_out * measures.stands_out
            + self.spread * measures.spread
            + self.constant
        )

    def stretched(self, slope: float, shift: float) -> Calibration:
        """One whose log-odds are slope · those of this one + shift (Platt's scaling)."""
        weights = {name: slope * value for name, value in self.to_json().items()}
        weights["constant"] += shift
        return Calibration.from_json(weights)


_WEIGHTS = ("contrast", "look_alikes", "stands_out", "spread", "doubt", "constant")


def confidence(log_odds: Floats | float) -> Floats:
    """ln(p / (1 - p)) -> p, 0-1."""
    return np.asarray(np.exp(log_confidence(log_odds)))


def log_confidence(log_odds: Floats | float) -> Floats:
    """ln(p / (1 - p)) -> ln p, without loss of digits on either side."""
    return np.asarray(-np.logaddexp(0.0, -np.asarray(log_odds, np.float64)))


def log_odds_of(log_p: NDArray[np.float64]) -> Floats:
    """ln p -> ln(p / (1 - p)); p below 1."""
    log_p = np.minimum(log_p, -1e-15)
    return np.asarray(log_p - np.log(-np.expm1(log_p)))
