"""Search: a query -> tiles, best first, each piece of ground once.

The flow is `search`; what a score means is in `scoring`, the other concepts of a query in `near`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from .area import Area
from .encoder import Encoder
from .errors import EncoderMismatchError, InputError
from .ground import KeptGround, distance_km
from .index import Filters, Match, TileIndex
from .near import Near as Near
from .near import Neighbour, find_neighbours, vectors_of
from .query import Example
from .query import Query as Query
from .scoring import (
    BACKGROUND,
    Floats,
    Scorer,
    Wanted,
    confidence,
    judge,
    log_confidence,
    log_odds_of,
)
from .tiling import Tile

Verdict = Literal["strong", "weak", "none"]

STRONG, WEAK = 0.7, 0.3
"""Confidence of the best hit from which the verdict is "strong", and "weak"."""

CANDIDATES = 256
"""Tiles looked at for a query at least, and 16 for each hit wanted: one thing is seen by several
overlapping tiles, on several dates."""

MAX_CANDIDATES = 20_000
"""Tiles looked at, at most, to fill the limit with hits that do not overlap."""


@dataclass(frozen=True, kw_only=True)
class Hit:
    """A tile that answers the query.

    Confidence is the chance, from 0 to 1, that the tile shows what was asked for: how much better
    the words fit this tile, and the two tiles that look most like it, than the names of the other
    things that satellite images show, on a scale set once on labelled images. With several
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
    tile. "fit" and "contrast": how far the text beats the background on average and at its best.
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


def search(
    index: TileIndex,
    encoder: Encoder,
    query: Query,
    *,
    background: Sequence[str] = BACKGROUND,
    explain: bool = False,
) -> Result:
    """The tiles that show best what the query asks for.

    Args:
        index: of vectors of this encoder.
        encoder: for the query's texts.
        query: what to look for.
        background: what tiles may show instead; concepts that mean nearly the same as a text of
            the query are left out for it.
        explain: give the parts of each score.

    Raises:
        EncoderMismatchError: the index was made with another encoder.
        InputError: an example is not in the index, or a text cannot be read.
        TileIndexError: the index cannot be read.
    """
    if (encoder.name, encoder.dim) != (index.encoder_name, index.dim):
        raise EncoderMismatchError(
            f"The index {index.location} holds vectors of {index.encoder_name!r} ({index.dim} "
            f"numbers), not of {encoder.name!r} ({encoder.dim}). Load {index.encoder_name!r}."
        )
    statistics = index.statistics()
    if statistics.n == 0:
        return _nothing(query, f"the index {index.location} holds no tiles yet; build it first")
    scorer = Scorer(encoder, statistics, background)
    like, unlike = _examples(index, query.like), _examples(index, query.unlike)
    wanted = scorer.wanted(
        query.text,
        like=index.vectors([tile.id for tile in like]) if like else None,
        unlike=index.vectors([tile.id for tile in unlike]) if unlike else None,
    )
    hits: tuple[Hit, ...] = ()
    for matches in _growing(index, wanted, query):
        answers = _Answers(index, scorer, wanted, query, matches)
        kept = _apart(answers, query, [*like, *unlike])
        hits = tuple(answers.hit(i, rank, explain) for rank, i in enumerate(kept, start=1))
        if len(hits) == query.limit:
            break
    if not hits:
        return _nothing(query, _why_empty(index, query))
    best = hits[0].confidence
    verdict: Verdict = "strong" if best >= STRONG else "weak" if best >= WEAK else "none"
    return Result(query=query, hits=hits, verdict=verdict)


def _growing(index: TileIndex, wanted: Wanted, query: Query) -> Iterator[list[Match]]:
    """The best matches, and more of them each time they were not enough."""
    number = max(CANDIDATES, query.limit if query.overlap else 16 * query.limit)
    while True:
        number = min(number, MAX_CANDIDATES)
        matches = index.nearest(
            wanted.query, limit=number, filters=query.filters, with_vectors=True
        )
        yield matches
        if len(matches) < number or number == MAX_CANDIDATES:
            return
        number *= 4


class _Answers:
    """Matches with all that the query says of them."""

    def __init__(
        self,
        index: TileIndex,
        scorer: Scorer,
        wanted: Wanted,
        query: Query,
        matches: Sequence[Match],
    ) -> None:
        self.matches = matches
        self.wanted = wanted
        vectors = vectors_of(matches) if matches else np.zeros((0, index.dim), np.float32)
        odds, self.alone = judge(wanted, vectors)
        self.conditions: dict[str, Floats] = {
            "text" if query.text else "like": log_confidence(odds)
        }
        """Name -> (n,) ln p of each condition."""
        self.neighbours: list[list[Neighbour | None]] = []
        """For each near concept, n of them."""
        tiles = [match.tile for match in matches]
        for near in query.near:
            odds, found = find_neighbours(index, scorer.wanted(near.text), near, tiles)
            self.conditions[f"near {near.text}"] = log_confidence(odds)
            self.neighbours.append(found)
        for concept in query.exclude:
            if isinstance(concept, Near):
                odds, _ = find_neighbours(index, scorer.wanted(concept.text), concept, tiles)
                name = f"without {concept.text} within {concept.within_km:g} km"
            else:
                odds, _ = judge(scorer.wanted(concept), vectors)
                name = f"without {concept}"
            self.conditions[name] = log_confidence(-odds)
        self.log_p: Floats = np.sum(list(self.conditions.values()), axis=0)
        """(n,) ln of each match's confidence."""

    def order(self, *, strict: bool) -> list[int]:
        """Which matches, best first."""
        order: list[int] = np.argsort(-self.log_p, kind="stable").tolist()
        if not strict:
            return order
        relations = list(self.conditions.values())[1:]
        return [i for i in order if all(each[i] >= np.log(0.5) for each in relations)]

    def hit(self, i: int, rank: int, explain: bool) -> Hit:
        """Match i as a hit."""
        found = [neighbours[i] for neighbours in self.neighbours]
        return Hit(
            rank=rank,
            tile=self.matches[i].tile,
            score=float(log_odds_of(self.log_p[i])),
            confidence=float(np.exp(self.log_p[i])),
            neighbours=tuple(neighbour for neighbour in found if neighbour is not None),
            parts=self._parts(i) if explain else None,
        )

    def _parts(self, i: int) -> dict[str, float]:
        vector = self.matches[i].vector
        assert vector is not None  # asked for in `_growing`
        rows = vector[None]
        measured = {
            "z": self.wanted.z(rows),
            "fit": self.wanted.fit(rows),
            "contrast": self.wanted.contrast(rows),
            "alone": confidence(self.alone[i : i + 1]),
        }
        parts = {name: float(value[0]) for name, value in measured.items()}
        return parts | {name: float(np.exp(log_p[i])) for name, log_p in self.conditions.items()}


def _apart(answers: _Answers, query: Query, examples: Sequence[Tile]) -> list[int]:
    """The best matches up to the limit, without the examples' ground and without repetition."""
    kept: list[int] = []
    ground = KeptGround()
    for tile in examples:
        ground.keep(tile)
    known = {tile.id for tile in examples}
    for i in answers.order(strict=query.strict):
        tile = answers.matches[i].tile
        if tile.id in known or (not query.overlap and ground.has(tile)):
            continue
        if not query.overlap:
            ground.keep(tile)
        kept.append(i)
        if len(kept) == query.limit:
            break
    return kept


def _examples(index: TileIndex, examples: Sequence[Example]) -> list[Tile]:
    """The tiles meant; InputError for the first that is not in the index."""
    return [
        _tile(index, example) if isinstance(example, str) else _tile_at(index, *example)
        for example in examples
    ]


def _tile(index: TileIndex, tile_id: str) -> Tile:
    found = index.get([tile_id])
    if not found:
        raise InputError(
            f"Tile {tile_id} is not in the index {index.location}. Take the id from a hit, or give "
            "the place as (longitude, latitude)."
        )
    return found[0]


def _tile_at(index: TileIndex, lon: float, lat: float) -> Tile:
    """The tile whose centre is nearest to a place on its ground; of several dates the clearest."""
    reach = 0.75 * index.grid[0] / 100  # km; a tile's corner is 0.71 of its side from its centre
    tiles = list(index.scroll(Filters(area=Area.around(lon, lat, reach))))
    if not tiles:
        raise InputError(
            f"No tile of the index {index.location} shows the place ({lon:g}, {lat:g}), longitude "
            "first. Choose a place inside the regions that were built."
        )
    away = distance_km(
        [lon] * len(tiles), [lat] * len(tiles), [t.lon for t in tiles], [t.lat for t in tiles]
    )
    # To 10 m, so that the dates of one piece of ground tie.
    return min(zip(away.round(2), (t.cloud for t in tiles), range(len(tiles)), tiles, strict=True))[
        3
    ]


def _nothing(query: Query, reason: str) -> Result:
    return Result(query=query, hits=(), verdict="none", reason=reason)


def _why_empty(index: TileIndex, query: Query) -> str:
    total, filters = index.count(), query.filters
    if index.count(filters):
        if query.strict:
            return "no tile meets all of near and exclude; without strict, the closest are shown"
        return "all tiles that pass the filters are of the examples' own ground"
    alone = {
        "the area": Filters(area=filters.area),
        "the dates": Filters(start=filters.start, end=filters.end),
        "max_cloud": Filters(max_cloud=filters.max_cloud),
        **{f"cover {kind}": Filters(cover={kind: span}) for kind, span in filters.cover.items()},
        "the regions": Filters(regions=filters.regions),
        "the scenes": Filters(scenes=filters.scenes),
    }
    to_blame = [name for name, each in alone.items() if each and index.count(each) == 0]
    if to_blame:
        return f"no tile of {total:,} passes {', nor '.join(to_blame)}"
    return f"each filter lets some of {total:,} tiles through, but no tile passes all of them"
