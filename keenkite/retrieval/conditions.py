"""Conditions: what a query asks of a tile, each judged by itself, for all candidates at once.

A condition is keyed by all that was asked (`Asked`): two of one text with different distances are
two. None knows of the others, and nothing depends on their order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from keenkite.index import TileIndex
from keenkite.retrieval.calibration import confidence, log_confidence, log_odds_of
from keenkite.retrieval.candidates import Candidates
from keenkite.retrieval.concepts import Floats
from keenkite.retrieval.examples import Examples
from keenkite.retrieval.near import ABSENT, Neighbours, Surroundings
from keenkite.retrieval.query import Asked, Query
from keenkite.retrieval.readings import Readings
from keenkite.retrieval.result import Hit, Met
from keenkite.retrieval.scoring import Scorer
from keenkite.retrieval.sought import Sought


@dataclass(frozen=True, kw_only=True, eq=False)
class Judged:
    """What a condition says of n candidates."""

    asked: Asked
    seen: Floats
    """(n,) log-odds that the concept is seen."""
    neighbours: Neighbours | None = None
    """With a distance: where it is seen; None where nothing is looked at."""

    @property
    def odds(self) -> Floats:
        """(n,) log-odds that the condition is met."""
        return -self.seen if self.asked.unwanted else self.seen

    @cached_property
    def log_p(self) -> Floats:
        """(n,) ln of the confidence that the condition is met."""
        return log_confidence(self.odds)

    def met(self, i: int) -> Met:
        """How candidate i meets it."""
        other = None if self.neighbours is None else self.neighbours.of(i)
        return Met(
            kind=self.asked.kind,
            text=self.asked.text,
            within_km=self.asked.within_km,
            confidence=float(confidence(self.seen[i])),
            **({} if other is None else vars(other)),
        )


class Condition(Protocol):
    """One thing that a query asks of a tile."""

    @property
    def asked(self) -> Asked:
        """What was asked."""

    def judge(self, candidates: Candidates) -> Judged:
        """What it says of each candidate."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Shown:
    """The tile itself shows something, or it does not: text, like, exclude, unlike."""

    asked: Asked
    sought: Sought

    def judge(self, candidates: Candidates) -> Judged:
        """By each tile's own vector and those of its look-alikes in the index."""
        return Judged(asked=self.asked, seen=self.sought.seen(candidates))

    def parts(self, candidates: Candidates, i: int) -> dict[str, float]:
        """What the score of candidate i is made of; see `Hit.parts`."""
        one = slice(i, i + 1)
        return self.sought.parts(candidates.vectors[one], candidates.ground.part(one))


@dataclass(frozen=True, kw_only=True, eq=False)
class Within:
    """Something is seen within a distance of the tile, or it is not: near, exclude."""

    asked: Asked
    surroundings: Surroundings

    def judge(self, candidates: Candidates) -> Judged:
        """By the tile in reach that shows it best."""
        neighbours = self.surroundings.of(candidates, beyond=self.asked.unwanted)
        nowhere = np.full(len(candidates.tiles), ABSENT)
        seen = nowhere if neighbours is None else neighbours.odds
        return Judged(asked=self.asked, seen=seen, neighbours=neighbours)


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """All that a query asks of a tile."""

    main: Shown
    """The text, or the examples: what candidates are chosen by."""
    others: tuple[Condition, ...]
    concepts: Mapping[str, Sought]
    """The texts of near and exclude."""

    @classmethod
    def of(
        cls,
        query: Query,
        readings: Readings,
        *,
        index: TileIndex,
        scorer: Scorer,
        examples: Examples,
    ) -> Conditions:
        """Ready to judge the tiles of an index that holds some."""
        tiles = scorer.tiles
        main, *others = query.conditions
        texts = dict.fromkeys(asked.text for asked in others if asked.text is not None)
        number = Surroundings.looked_at(tiles)
        concepts = {
            text: Sought.of(index, scorer, scorer.wanted(readings.concept(text)), number=number)
            for text in texts
        }
        text = None if query.text is None else readings.concept(query.text)
        wanted = scorer.wanted(text, like=examples.good, unlike=examples.bad)
        looked_for = Sought.of(index, scorer, wanted)

        def condition(asked: Asked) -> Condition:
            if asked.text is None:
                bad = Sought.of(index, scorer, scorer.wanted(like=examples.bad))
                return Shown(asked=asked, sought=bad)
            sought = concepts[asked.text]
            if asked.within_km is None:
                return Shown(asked=asked, sought=sought)
            around = Surroundings(
                sought=sought, main=looked_for, within_km=asked.within_km, tiles=tiles
            )
            return Within(asked=asked, surroundings=around)

        return cls(
            main=Shown(asked=main, sought=looked_for),
            others=tuple(condition(asked) for asked in others),
            concepts=concepts,
        )

    @property
    def calibrated(self) -> bool:
        """Whether the model's confidence was measured."""
        return self.main.sought.judge.calibration.measured

    def alone(self, query: Query) -> dict[str, float]:
        """The highest confidence of each text by itself, among what the filters let through."""
        texts = dict(self.concepts)
        if query.text is not None:
            texts = {query.text: self.main.sought, **texts}
        best = {text: sought.among(query.filters) for text, sought in texts.items()}
        return {
            text: 0.0 if odds is None else float(confidence(odds)) for text, odds in best.items()
        }

    @property
    def near(self) -> list[Surroundings]:
        """What the near conditions look at."""
        return [
            each.surroundings
            for each in self.others
            if isinstance(each, Within) and not each.asked.unwanted
        ]

    def judge(self, candidates: Candidates) -> Judgement:
        """What they say of each candidate."""
        judged = tuple(each.judge(candidates) for each in (self.main, *self.others))
        return Judgement(candidates=candidates, judged=judged)

    def parts(self, judgement: Judgement, i: int) -> dict[str, float]:
        """What the score of candidate i is made of; see `Hit.parts`."""
        parts = self.main.parts(judgement.candidates, i)
        return parts | {each.asked.name: float(np.exp(each.log_p[i])) for each in judgement.judged}


@dataclass(frozen=True, kw_only=True, eq=False)
class Judgement:
    """What all conditions say of n candidates."""

    candidates: Candidates
    judged: tuple[Judged, ...]
    """The main condition's first."""

    @cached_property
    def log_p(self) -> Floats:
        """(n,) ln of the confidence that all are met, which are taken as independent."""
        # Added up by size, so that the order of the conditions does not move the last digit.
        return np.asarray(np.sort([each.log_p for each in self.judged], axis=0).sum(axis=0))

    def order(self, *, strict: bool) -> list[int]:
        """Which candidates, best first; strictly, those alone that meet all but the main one."""
        order: list[int] = np.argsort(-self.log_p, kind="stable").tolist()
        if not strict:
            return order
        return [i for i in order if all(each.odds[i] >= 0 for each in self.judged[1:])]

    def hit(self, i: int, *, rank: int, parts: dict[str, float] | None = None) -> Hit:
        """Candidate i as a hit."""
        return Hit(
            rank=rank,
            tile=self.candidates.tiles[i],
            score=float(log_odds_of(self.log_p[i])),
            confidence=float(np.exp(self.log_p[i])),
            conditions=tuple(each.met(i) for each in self.judged),
            parts=parts,
        )
