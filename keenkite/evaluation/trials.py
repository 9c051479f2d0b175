"""Trials: what searches say on grounds made of labelled images, where the truth is known.

A ground is a part of the images. Each class that is on it is searched for four times: as it is,
with all of the class's images removed, and with 1 and 3 of them left. The background names either
all that is on the ground ("covered") or, with as many classes off the ground as can be, none of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keenkite.encoder import Encoder
from keenkite.evaluation.reliability import Reliability
from keenkite.index.statistics import statistics_of
from keenkite.retrieval.calibration import Calibration, confidence
from keenkite.retrieval.concepts import Floats, Vectors
from keenkite.retrieval.look_alikes import POOL, Ground
from keenkite.retrieval.recall import CANDIDATES
from keenkite.retrieval.result import verdict_of
from keenkite.retrieval.scoring import Scorer

ROUNDS = 5
"""Grounds, each with a seed of its own."""

PART, MOST = 0.8, 1000
"""Of the images on a ground: so much of them, and no more, so that "1 image" means as much for
every collection of images."""

FIRST = 10
"""Hits of a search whose confidence is compared with the truth."""

RARE = (1, 3)
"""Images that are left of what is rare."""

ENOUGH = 5
"""Classes from which some can be left to a background that names nothing on the ground."""


@dataclass(frozen=True, kw_only=True)
class Rates:
    """How often searches came to each verdict, 0-1."""

    strong: float
    weak: float
    none: float


@dataclass(frozen=True, kw_only=True)
class Rare:
    """What came of a class of which few images were left."""

    images: int
    none: float
    """Part of the searches with the verdict "none"."""
    first_right: float
    """Part of the searches whose first hit is one of these images."""


@dataclass(frozen=True, kw_only=True)
class Trials:
    """What searches said, with one kind of background."""

    present: Rates
    """Of classes that are there."""
    removed: Rates
    """Of classes whose images were removed."""
    rare: tuple[Rare, ...]
    hits: int
    """The first ten of each search for what is there or removed."""
    reliability: Reliability
    """Of these."""

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)

    def __str__(self) -> str:
        rates = [
            f"  {name:8} strong {each.strong:.2f}, weak {each.weak:.2f}, none {each.none:.2f}"
            for name, each in (("there", self.present), ("removed", self.removed))
        ]
        rare = [
            f"  {f'{each.images} image' + 's' * (each.images > 1):8} none {each.none:.2f}, "
            f"first hit right {each.first_right:.2f}"
            for each in self.rare
        ]
        reliable = f"  {self.reliability} of {self.hits:,} hits"
        return "\n".join([*rates, *rare, reliable])


@dataclass(frozen=True, kw_only=True)
class _Search:
    kind: str | int
    """ "present", "removed", or how many images were left."""
    odds: Floats
    """(≤ 10,) log-odds of the first hits, best first."""
    right: NDArray[np.bool_]


def trials(
    encoder: Encoder,
    vectors: Vectors,
    labels: NDArray[np.int64],
    names: Sequence[str],
    *,
    covered: bool,
    progress: Callable[[int, int], None] | None = None,
) -> Trials | None:
    """Search grounds made of labelled images, the same ones each time.

    Args:
        encoder: of the vectors, for the names.
        vectors: (n, dim), unit norm.
        labels: (n,) numbers of classes.
        names: of the classes.
        covered: whether the background names what is on the ground.
        progress: called with the rounds done and in all.

    Returns:
        None where there are too few classes for it.
    """
    if not covered and len(names) < ENOUGH:
        return None
    searches: list[_Search] = []
    for seed in range(ROUNDS):
        searches += _round(encoder, vectors, labels, names, seed=seed, covered=covered)
        if progress is not None:
            progress(seed + 1, ROUNDS)
    return _summed(searches, calibrated=Calibration.of(encoder.name).measured)


def judged(
    scorer: Scorer, name: str, vectors: Vectors, first: int | None = None
) -> tuple[NDArray[np.int64], Floats]:
    """A search of images that show nothing in common.

    Returns:
        Rows of the first so many candidates, or of all, best z first; and their log-odds.
    """
    wanted, ground = scorer.wanted(name), Ground.apart(len(vectors))
    order = np.argsort(-wanted.z(vectors), kind="stable")
    pool, rows = order[:POOL], order[:first]
    judge = scorer.judge(wanted, vectors[pool], ground.part(pool))
    return rows, judge.log_odds(vectors[rows], ground.part(rows))


def _round(
    encoder: Encoder,
    vectors: Vectors,
    labels: NDArray[np.int64],
    names: Sequence[str],
    *,
    seed: int,
    covered: bool,
) -> Iterator[_Search]:
    """All searches of one ground."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(names))
    named = 0 if covered else (len(names) - 1) // 2
    background = names if covered else [names[k] for k in order[:named]]
    shown = rng.permutation(np.flatnonzero(np.isin(labels, order[named:])))
    ground = shown[: min(MOST, round(PART * len(shown)))]
    for k in order[named:]:
        own, rest = ground[labels[ground] == k], ground[labels[ground] != k]
        left: dict[str | int, NDArray[np.int64]] = {"present": ground, "removed": rest}
        left |= {number: np.r_[rest, own[:number]] for number in RARE if len(own) >= number}
        for kind, rows in left.items():
            if len(own) and len(rest):
                scorer = Scorer(encoder, statistics_of(vectors[rows]), background)
                found, odds = judged(scorer, names[k], vectors[rows], CANDIDATES)
                best = np.argsort(-odds, kind="stable")[:FIRST]
                right = labels[rows[found[best]]] == k
                yield _Search(kind=kind, odds=odds[best], right=right)


def _summed(searches: Sequence[_Search], *, calibrated: bool) -> Trials:
    verdicts: dict[str | int, list[str]] = defaultdict(list)
    first: dict[str | int, list[bool]] = defaultdict(list)
    for each in searches:
        best = float(confidence(each.odds[0]))
        verdicts[each.kind].append(verdict_of(best, calibrated=calibrated))
        first[each.kind].append(bool(each.right[0]))

    def rate(kind: str | int, verdict: str) -> float:
        return float(np.mean([each == verdict for each in verdicts[kind]]))

    plain = [each for each in searches if each.kind in ("present", "removed")]
    sure = confidence(np.concatenate([each.odds for each in plain]))
    right = np.concatenate([each.right for each in plain])
    present, removed = (
        Rates(strong=rate(kind, "strong"), weak=rate(kind, "weak"), none=rate(kind, "none"))
        for kind in ("present", "removed")
    )
    return Trials(
        present=present,
        removed=removed,
        rare=tuple(
            Rare(images=n, none=rate(n, "none"), first_right=float(np.mean(first[n])))
            for n in RARE
            if first[n]
        ),
        hits=len(sure),
        reliability=Reliability.of(sure, right),
    )
