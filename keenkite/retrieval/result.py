"""Hit and Result: what a search answers, and what its numbers mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from keenkite.retrieval.near import Neighbour
from keenkite.retrieval.query import Query
from keenkite.tiling import Tile

Verdict = Literal["strong", "weak", "none"]

STRONG, WEAK = 0.7, 0.3
"""Confidence of the best hit from which the verdict is "strong", and "weak"."""


@dataclass(frozen=True, kw_only=True)
class Hit:
    """A tile that answers the query.

    Confidence is the chance, from 0 to 1, that the tile shows what was asked for: how much better
    the words fit this tile, and those that look most like it, than the names of the other things
    that satellite images show, on a scale set once on labelled images. With several
    conditions it is the product of their confidences. It is an estimate by a model that has never
    seen this place: look at the picture before you rely on it.
    """

    rank: int
    """1 is the best."""
    tile: Tile
    score: float
    """Log-odds of the confidence, ln(p / (1 - p)): what hits are ranked by; 0 is as likely right
    as wrong, and unlike the confidence it never runs into 0 or 1."""
    confidence: float
    """0-1."""
    neighbours: tuple[Neighbour, ...] = ()
    """Where each `near` concept of the query was found, in the query's order; one that was not
    found within its distance is left out."""
    parts: dict[str, float] | None = None
    """With `explain`: what the score is made of. "z": standard deviations above the index's mean
    tile. "fit" and "contrast": how far the text beats the background on average and at its best,
    "evidence": both, weighted.
    "alone": the confidence of this tile without its look-alikes. "text", "near ...", "without
    ...": the confidence of each condition; their product is the hit's."""

    def to_dict(self) -> dict[str, Any]:
        """As plain types, for JSON."""
        tile = self.tile
        answer: dict[str, Any] = {
            "rank": self.rank,
            "tile_id": tile.id,
            "score": round(self.score, 4),
            "confidence": round(self.confidence, 4),
            "lon": tile.lon,
            "lat": tile.lat,
            "bounds": list(tile.bounds),
            "datetime": tile.datetime.isoformat(),
            "scene_id": tile.scene_id,
            "region": tile.region,
            "cover": {
                kind: getattr(tile, kind)
                for kind in ("cloud", "water", "vegetation", "bare", "snow")
            },
        }
        if self.neighbours:
            answer["neighbours"] = [neighbour.to_dict() for neighbour in self.neighbours]
        if self.parts is not None:
            answer["parts"] = {name: round(value, 4) for name, value in self.parts.items()}
        return answer


@dataclass(frozen=True, kw_only=True)
class Result:
    """The answer to a query.

    The verdict says whether the thing is there at all, by the confidence of the best hit. "strong":
    at least 0.7, the first hits most likely show it. "weak": at least 0.3, worth a look. "none": no
    tile shows it as far as the model can tell, and the hits are only the least unlikely ones.
    """

    query: Query
    hits: tuple[Hit, ...]
    """Best first."""
    verdict: Verdict
    """Of the best hit; "none" without hits."""
    reason: str | None = None
    """Why there are no hits; None when there are some."""

    def to_dict(self) -> dict[str, Any]:
        """As plain types, for JSON."""
        return {
            "text": self.query.text,
            "verdict": self.verdict,
            "reason": self.reason,
            "hits": [hit.to_dict() for hit in self.hits],
        }


def verdict_of(confidence: float) -> Verdict:
    """The verdict for the confidence of the best hit."""
    return "strong" if confidence >= STRONG else "weak" if confidence >= WEAK else "none"
