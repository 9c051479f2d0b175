"""Hit and Result: what a search answers, what its numbers mean, and their one shape as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from keenkite.retrieval.query import Asked, Query
from keenkite.sensors import COVERS
from keenkite.tiling import Tile

Verdict = Literal["strong", "weak", "none"]

STRONG, WEAK = 0.7, 0.3
"""Confidence of the best hit from which the verdict is "strong", and "weak"."""


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
            "lon": None if self.lon is None else _degrees(self.lon),
            "lat": None if self.lat is None else _degrees(self.lat),
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
    tile. "fit" and "contrast": how far the text beats the background on average and at its best,
    "evidence": both, weighted.
    "alone": the confidence of this tile without its look-alikes. "text", "near sea within 3 km",
    "without houses" and so on, see `Asked.name`: the confidence that each condition is met; their
    product is the hit's."""

    def of(self, kind: str) -> tuple[Met, ...]:
        """The conditions of one kind, such as "near"."""
        return tuple(met for met in self.conditions if met.kind == kind)

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

    @property
    def conditions(self) -> tuple[Asked, ...]:
        """What was asked, each condition once."""
        return self.query.conditions

    def to_json(self) -> dict[str, Any]:
        """As JSON values: the same for Python, command line and server."""
        return {
            "text": self.query.text,
            "conditions": [asked.to_json() for asked in self.conditions],
            "verdict": self.verdict,
            "reason": self.reason,
            "hits": [hit.to_json() for hit in self.hits],
        }


def verdict_of(confidence: float) -> Verdict:
    """The verdict for the confidence of the best hit."""
    return "strong" if confidence >= STRONG else "weak" if confidence >= WEAK else "none"


def _degrees(value: float) -> float:
    """To a metre on the ground: answers are read by models that pay for each digit."""
    return round(value, 5)


def _share(value: float | None) -> float | None:
    """Finer than what one pixel of a tile changes; None where the sensor does not say."""
    return _rounded(value, 4)


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
