"""Calibrate: the confidence of a collection, set right by places that its user knows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from keenkite.encoder import Encoder
from keenkite.errors import InputError
from keenkite.evaluation.platt import Scaling, fit, held_out
from keenkite.evaluation.ranking import auc
from keenkite.evaluation.reliability import Reliability
from keenkite.evaluation.sites import Sites
from keenkite.index import Match, TileIndex
from keenkite.retrieval.calibration import Calibration, confidence
from keenkite.retrieval.concepts import Floats
from keenkite.retrieval.scoring import Scorer
from keenkite.retrieval.sought import Sought
from keenkite.retrieval.words import read_text

LOPSIDED = 4
"""Times as many places of one kind as of the other, from which it is told."""


@dataclass(frozen=True, kw_only=True)
class Calibrated:
    """What places said of the confidence of a collection."""

    encoder: str
    scaling: Scaling
    """Of the log-odds of the model's own confidence."""
    there: int
    """Places used where the thing is."""
    gone: int
    """Places used where it is not."""
    auc: float
    """How often a place of the first kind has a higher confidence than one of the second."""
    before: Reliability
    """Of the model's own confidence at these places."""
    after: Reliability
    """With the scaling; each place by one that it had no part in."""
    left_out: tuple[str, ...]
    """Places that were not used, and why."""
    notes: tuple[str, ...]
    """What to know about the texts and about the places."""
    kept: bool
    """Whether the collection keeps it; False for a dry run."""

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "model": self.encoder,
            "slope": round(self.scaling.slope, 4),
            "shift": round(self.scaling.shift, 4),
            "present": self.there,
            "absent": self.gone,
            "auc": round(self.auc, 4),
            "before": self.before.to_json(),
            "after": self.after.to_json(),
            "left_out": list(self.left_out),
            "notes": list(self.notes),
            "kept": self.kept,
        }

    def __str__(self) -> str:
        done = "kept in the collection" if self.kept else "not kept: this was a dry run"
        lines = [
            f"{self.encoder}: {self.there} places where the thing is, {self.gone} where it is not",
            f"the model's own confidence: {self.before}",
            self.before.table(),
            f"set right, each place by the others: {self.after}",
            self.after.table(),
            f"in {self.auc:.0%} of pairs the place where the thing is has the higher confidence",
            f"log-odds x {self.scaling.slope:.2f} {self.scaling.shift:+.2f}; {done}",
        ]
        return "\n".join([*lines, *(f"left out: {each}" for each in self.left_out), *self.notes])


def calibrate(
    index: TileIndex,
    encoder: Encoder,
    sites: Sites,
    *,
    dry_run: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Calibrated:
    """Set the confidence of a collection right by known places, and keep it there.

    A place counts once, with the surest tile that holds it. The log-odds of the model's own
    confidence are stretched and shifted, for all words alike (`platt`); what was kept before has no
    part in it. `TileIndex.calibrate(None)` goes back to the model's own.

    Args:
        index: the collection.
        encoder: its own.
        sites: `Sites.of(index, json.load(file))`.
        dry_run: keep nothing.
        progress: called with the places done and in all.

    Raises:
        EncoderMismatchError: the index was made with another encoder.
        InputError: a text cannot be read; or what is there has no higher confidence than what is
            not, so that no scaling sets it right.
    """
    index.require(encoder)
    own = Calibration.of(encoder.name)
    readings = {site.text: read_text(site.text, encoder) for site, _ in sites.held}
    concepts = {text: reading.concept for text, reading in readings.items()}
    odds = _log_odds(
        index, Scorer(encoder, index.statistics(), calibration=own), sites, concepts, progress
    )
    right = np.array([site.present for site, _ in sites.held])
    scaling = fit(odds, right)
    parted = auc(odds[right], odds[~right])
    if scaling.slope <= 0:
        raise InputError(
            f"The model is no surer of these places where the thing is than of those where it is "
            f"not: in {parted:.0%} of pairs only. No scaling sets that right, and nothing was "
            'kept. Look whether "present", or longitude and latitude, are the wrong way round.'
        )
    before = Reliability.of(confidence(odds), right)
    after = Reliability.of(confidence(held_out(odds, right)), right)
    if not dry_run:
        index.calibrate(own.stretched(scaling.slope, scaling.shift).to_json())
    told = dict.fromkeys(note for reading in readings.values() for note in reading.notes)
    return Calibrated(
        encoder=encoder.name,
        scaling=scaling,
        there=int(right.sum()),
        gone=int((~right).sum()),
        auc=parted,
        before=before,
        after=after,
        left_out=tuple(sites.left_out()),
        notes=(*told, *_doubts(before, after, right)),
        kept=not dry_run,
    )


def _log_odds(
    index: TileIndex,
    scorer: Scorer,
    sites: Sites,
    concepts: dict[str, str],
    progress: Callable[[int, int], None] | None,
) -> Floats:
    """(n,) of each place, of the surest tile that holds it; as a search makes them."""
    odds = np.empty(len(sites.held))
    done = 0
    for text, concept in concepts.items():
        sought = Sought.of(index, scorer, scorer.wanted(concept))
        for number, (site, tiles) in enumerate(sites.held):
            if site.text == text:
                vectors = index.vectors([tile.id for tile in tiles])
                matches = [
                    Match(tile=tile, score=0.0, vector=vector)
                    for tile, vector in zip(tiles, vectors, strict=True)
                ]
                odds[number] = sought.seen(sought.candidates(matches)).max()
                done += 1
                if progress is not None:
                    progress(done, len(odds))
    return odds


def _doubts(before: Reliability, after: Reliability, right: np.ndarray[Any, Any]) -> list[str]:
    """What speaks against relying on it."""
    doubts = []
    there, gone = int(right.sum()), int((~right).sum())
    if max(there, gone) > LOPSIDED * min(there, gone):
        few = "where the thing is not" if gone < there else "where the thing is"
        doubts.append(
            f"Few of the places are {few}: confidence follows their share. Add some, so that they "
            "are as many as in what you will ask."
        )
    if after.brier >= before.brier:
        doubts.append(
            "Held out, the places are told no better with it than without: the model's own "
            "confidence fits them, or more places are needed. keenkite calibrate --reset goes back."
        )
    return doubts
