"""What is sought: one thing, the best tiles of the index for it, and who judges others for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from keenkite.index import Filters, Match, TileIndex
from keenkite.retrieval.calibration import log_confidence, log_odds_of
from keenkite.retrieval.candidates import Candidates, vectors_of
from keenkite.retrieval.concepts import Floats, Vectors
from keenkite.retrieval.look_alikes import POOL, Ground
from keenkite.retrieval.scoring import Judge, Scorer, Wanted
from keenkite.retrieval.spans import usual_span

NOWHERE = -40.0
"""ln of the confidence that a tile shows a thing when all of it is under cloud."""

GLANCE = 32
"""Tiles looked at to say whether a thing is among those that filters let through."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Sought:
    """Of one index. What it says of a tile depends on that tile, the thing and the index alone."""

    index: TileIndex
    judge: Judge
    best: Sequence[Match]
    """The index's best tiles for it, best z first, with vectors, whatever a query filters."""
    usual: float
    """The span that the index is mostly about, metres."""

    @classmethod
    def of(cls, index: TileIndex, scorer: Scorer, wanted: Wanted, *, number: int = POOL) -> Sought:
        """Look at the best so many tiles of an index that holds some; `POOL` at least."""
        best = index.nearest(wanted.query, limit=number, with_vectors=True)
        pool = best[:POOL]
        judge = scorer.judge(wanted, vectors_of(pool), Ground.of([m.tile for m in pool]))
        return cls(index=index, judge=judge, best=best, usual=usual_span(index))

    @property
    def wanted(self) -> Wanted:
        """The thing."""
        return self.judge.wanted

    def candidates(self, matches: Sequence[Match]) -> Candidates:
        """Some tiles of the index, to be judged."""
        return Candidates.of(matches, usual=self.usual)

    def seen(self, candidates: Candidates) -> Floats:
        """(n,) log-odds that it is seen in each of some tiles."""
        odds = self.judge.log_odds(candidates.vectors, candidates.ground, candidates.octaves)
        if (candidates.clear == 1).all():
            return odds
        with np.errstate(divide="ignore"):
            counts = np.maximum(np.log(candidates.clear), NOWHERE)
        return np.where(candidates.clear == 1, odds, log_odds_of(log_confidence(odds) + counts))

    def among(self, filters: Filters) -> float | None:
        """The highest log-odds among the tiles that filters let through; None without any."""
        matches: Sequence[Match] = self.best[:GLANCE]
        if filters.conditions():
            matches = self.index.nearest(
                self.wanted.query, limit=GLANCE, filters=filters, with_vectors=True
            )
        return float(self.seen(self.candidates(matches)).max()) if matches else None

    def parts(self, vectors: Vectors, ground: Ground) -> dict[str, float]:
        """What the score of one tile, (1, dim), is made of; see `Hit.parts`."""
        wanted = self.wanted
        measures = self.judge.measures(vectors, ground)
        measured = {
            "z": wanted.z(vectors),
            "fit": wanted.fit(vectors),
            "contrast": measures.contrast,
            "evidence": wanted.evidence(vectors),
            "look-alikes": measures.look_alikes,
            "stands out": measures.stands_out,
        }
        return {name: float(value[0]) for name, value in measured.items()} | {
            "spread": measures.spread
        }
