"""Hit and Result: what a search answers, what its numbers mean, and their one shape as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from keenkite.retrieval.query import Asked, Query
from keenkite.sensors import COVERS
from keenkite.tiling import Tile

Verdict = Literal["strong", "weak", "none"]

STRONG, WEAK = 0.7, 0.3
"""Confidence from which a verdict is "strong", and "weak"."""

CAUTIOUS = 0.85
"""Confidence from which it is "strong" with a model whose confidence was not measured."""

CUT = WEAK / 2
"""Hits below this are cut, unless a query says otherwise."""


def cut_of(query: Query) -> float:
    """The confidence below which hits of a query are cut."""
    if query.min_confidence is not None:
        return query.min_confidence
    return 0.0 if query.overlap else CUT


@dataclass(frozen=True, kw_only=True)
class Met(Asked):
    """A condition as a hit meets it.

    With a distance it names a neighbour: the nearest convincing place of the concept within it, or
    else the surest one; for "exclude" the nearest convincing one wherever it was looked for. What
    is said of the neighbour is None without a distance, and where nothing is looked at.
    """

    confidence: float
    """That the concept is seen, 0-1: in the tile itself, or else anywhere within the distance. Of
    what is not wanted ("exclude", "unlike") too, so there the lowest is best."""
    tile: Tile | None = None
    """The neighbour: of its dates the one that shows the concept best."""
    tile_confidence: float | None = None
    """That this tile shows the concept, 0-1."""
    lon: float | None = None
    """Of the thing, degrees: told by the tiles that show it together, so not the tile's centre."""
    lat: float | None = None
    km: float | None = None
    """From the hit's thing to this one, over the ellipsoid."""
    km_error: float | None = None
    """How far off that distance may be."""

    @property
    def factor(self) -> float:
        """The confidence, 0-1, that the condition is met: of what is not wanted, that it is not
        seen."""
        return 1 - self.confidence if self.unwanted else self.confidence

    @property
    def named(self) -> Literal["nearest", "surest"] | None:
        """Why this neighbour: it is the nearest convincing one, or there is none, and it is the
        surest within the distance."""
        if self.tile_confidence is None:
            return None
        return "nearest" if self.tile_confidence >= WEAK else "surest"

    def to_json(self) -> dict[str, Any]:
        """As JSON values, as they stand under "near" and "exclude" of a hit."""
        return {
            "text": self.text,
            "within_km": self.within_km,
            "confidence": round(self.confidence, 4),
            "named": self.named,
            "km": _rounded(self.km, 2),
            "km_error": _rounded(self.km_error, 2),
            "tile_id": None if self.tile is None else self.tile.id,
            "tile_confidence": _rounded(self.tile_confidence, 4),
            "lon": _rounded(self.lon, 4),  # as fine as the kilometres
            "lat": _rounded(self.lat, 4),
        }


@dataclass(frozen=True, kw_only=True)
class Hit:
    """A tile that answers the query.

    Confidence is the chance, from 0 to 1, that the tile shows what was asked for: how much better
    the words fit this tile, and those that look most like it, than the names of the other things
    that satellite images show, on a scale set once on labelled images. With several
    conditions it is the product of their confidences, with 1 less that of what is not wanted. It is
    an estimate by a model that has never seen this place: look at the picture before you rely on
    it.
    """

    rank: int
    """1 is the best."""
    tile: Tile
    score: float
    """Log-odds of the confidence, ln(p / (1 - p)): what hits are ranked by; 0 is as likely right
    as wrong, and unlike the confidence it never runs into 0 or 1."""
    confidence: float
    """0-1."""
    conditions: tuple[Met, ...] = ()
    """How each condition of the query is met, in the order of `Query.conditions`."""
    parts: dict[str, float] | None = None
    """With `explain`: what the score is made of. "z": standard deviations above the index's mean
    tile. "cosine": with the text. "fit" and "contrast": how far the text beats the background on
    average and at its best, "evidence": both, weighted. "look-alikes": how much more evidence those
    have. "stands out": how far the evidence is above the usual ground's, in its "spread".
    "text", "near sea within 3 km", "without houses" and so on, see `Asked.name`: the confidence
    that each condition is met; their product is the hit's."""

    def of(self, kind: str) -> tuple[Met, ...]:
        """The conditions of one kind, such as "near"."""
        return tuple(met for met in self.conditions if met.kind == kind)

    @property
    def factors(self) -> dict[str, float]:
        """What the confidence is the product of: each condition in words -> 0-1 that it is met."""
        return {met.words: met.factor for met in self.conditions}

    def to_json(self) -> dict[str, Any]:
        """As JSON values: the same for Python, command line and server."""
        tile = self.tile
        answer: dict[str, Any] = {
            "rank": self.rank,
            "tile_id": tile.id,
            "lon": _degrees(tile.lon),
            "lat": _degrees(tile.lat),
            "datetime": tile.datetime.isoformat(),
            "confidence": round(self.confidence, 4),
            "factors": {words: round(value, 4) for words, value in self.factors.items()},
            "score": round(self.score, 4),
            "cloud": _share(tile.cloud),
            "cover": {kind: _share(getattr(tile, kind)) for kind in COVERS},
            "bounds": [_degrees(edge) for edge in tile.bounds],
            "regions": list(tile.regions),
            "scene_ids": list(tile.scene_ids),
            "span": tile.span,
            "near": [met.to_json() for met in self.of("near")],
            "exclude": [met.to_json() for met in self.of("exclude")],
        }
        if self.parts is not None:
            answer["parts"] = {name: round(value, 4) for name, value in self.parts.items()}
        return answer


@dataclass(frozen=True, kw_only=True)
class ConditionVerdict(Asked):
    """What a condition comes to, as the first hit meets it."""

    verdict: Verdict
    """Whether it is met: of what is not wanted, whether it is not there."""

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return super().to_json() | {"verdict": self.verdict}


@dataclass(frozen=True, kw_only=True)
class Result:
    """The answer to a query.

    The verdict says whether what was asked for is there, by the confidence of the best hit.
    "strong": at least 0.7 (0.85 with a model whose confidence was never measured), the first hits
    most likely show it. "weak": at least 0.3, worth a look. "none": not recognised here. A text
    that is doubtful (`notes` say why) is never "strong".
    """

    query: Query
    hits: tuple[Hit, ...]
    """Best first; after `Query.skip` of them."""
    verdict: Verdict
    """Of the whole, whatever was skipped; "none" without hits."""
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)
    """Of each text of the query by itself, among the tiles that the filters let through."""
    conditions: tuple[ConditionVerdict, ...] = ()
    """What was asked, each condition once, as the first hit meets it."""
    below: int = 0
    """Hits within the limit that were cut for too low a confidence."""
    reason: str | None = None
    """With the verdict "none": what it rests on. Without hits: why there are none, or no more."""
    notes: tuple[str, ...] = ()
    """What to know about the texts, and what to do about it."""
    calibrated: bool = True
    """Whether the confidence of this model was measured on labelled images; if not, it is that of
    other models, and "strong" asks for more."""

    def to_json(self) -> dict[str, Any]:
        """As JSON values: the same for Python, command line and server."""
        return {
            "text": self.query.text,
            "conditions": [condition.to_json() for condition in self.conditions],
            "verdict": self.verdict,
            "verdicts": dict(self.verdicts),
            "reason": self.reason,
            "notes": list(self.notes),
            "calibrated": self.calibrated,
            "below": self.below,
            "hits": [hit.to_json() for hit in self.hits],
        }


def verdict_of(confidence: float, *, calibrated: bool = True, doubtful: bool = False) -> Verdict:
    """The verdict for a confidence, 0-1.

    Args:
        confidence: of the best there is.
        calibrated: whether the model's confidence was measured.
        doubtful: whether the text is one that no confidence can be trusted with.
    """
    if confidence >= (STRONG if calibrated else CAUTIOUS) and not doubtful:
        return "strong"
    return "weak" if confidence >= WEAK else "none"


def _degrees(value: float) -> float:
    """To a metre on the ground: answers are read by models that pay for each digit."""
    return round(value, 5)


def _share(value: float | None) -> float | None:
    """Finer than what one pixel of a tile changes; None where the sensor does not say."""
    return _rounded(value, 4)


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
