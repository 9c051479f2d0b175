"""Search: a query -> tiles, best first, each piece of ground once.

The flow is `search`; what a score means is in `scoring`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from .area import Area
from .encoder import Encoder
from .errors import EncoderMismatchError, InputError
from .ground import KeptGround
from .index import Filters, Match, TileIndex
from .tiling import Tile

MAX_LIMIT = 1000
"""Hits that one search may ask for."""

FIRST = 16
"""Tiles asked for per hit wanted, at first: one thing is seen by several overlapping tiles."""

MAX_CANDIDATES = 20_000
"""Tiles that a search looks at, at most, to fill its limit with hits that do not overlap."""


@dataclass(frozen=True, kw_only=True)
class Query:
    """What to look for, and among which tiles. Filters that are not given do not restrict."""

    text: str
    """One concept, such as "airport"."""
    area: Area | None = None
    """Where the centre of a tile must lie."""
    start: date | None = None
    """First day, UTC, included."""
    end: date | None = None
    """Last day, UTC, included."""
    max_cloud: float | None = None
    """Largest cloudy fraction of a tile, 0-1."""
    cover: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Lowest and highest fraction, 0-1, of "water", "vegetation", "bare", "snow"."""
    regions: tuple[str, ...] = ()
    """Names of regions, any of them."""
    scenes: tuple[str, ...] = ()
    """Ids of scenes, any of them."""
    limit: int = 10
    """Hits wanted, 1 to 1000."""
    overlap: bool = False
    """Keep hits that share half their ground or more with a better one, of whatever date."""

    def __post_init__(self) -> None:
        if not self.text.strip():
            raise InputError("The query has no text. Say what to look for in a few words.")
        if not 1 <= self.limit <= MAX_LIMIT:
            raise InputError(f"limit is {self.limit}; ask for 1 to {MAX_LIMIT} hits.")
        _ = self.filters

    @property
    def filters(self) -> Filters:
        """The part that restricts where to look."""
        return Filters(
            area=self.area,
            start=self.start,
            end=self.end,
            max_cloud=self.max_cloud,
            cover=self.cover,
            regions=self.regions,
            scenes=self.scenes,
        )


@dataclass(frozen=True, kw_only=True)
class Hit:
    """A tile that answers the query."""

    rank: int
    """1 is the best."""
    tile: Tile
    score: float
    """Higher is better."""
    confidence: float
    """0-1."""

    def to_dict(self) -> dict[str, Any]:
        """As plain types, for JSON."""
        tile = self.tile
        return {
            "rank": self.rank,
            "tile_id": tile.id,
            "score": round(self.score, 4),
            "confidence": round(self.confidence, 3),
            "lon": tile.lon,
            "lat": tile.lat,
            "bounds": list(tile.bounds),
            "datetime": tile.datetime.isoformat(),
            "scene_id": tile.scene_id,
            "region": tile.region,
            "cloud": tile.cloud,
            "water": tile.water,
        }


@dataclass(frozen=True, kw_only=True)
class Result:
    """The answer to a query."""

    query: Query
    hits: tuple[Hit, ...]
    """Best first."""
    verdict: str
    """"strong", "weak" or "none"."""
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


def search(index: TileIndex, encoder: Encoder, query: Query) -> Result:
    """The tiles that show best what the query asks for.

    Raises:
        EncoderMismatchError: the index was made with another encoder.
        InputError: the query cannot be used.
        TileIndexError: the index cannot be read.
    """
    if (encoder.name, encoder.dim) != (index.encoder_name, index.dim):
        raise EncoderMismatchError(
            f"The index {index.location} holds vectors of {index.encoder_name!r} ({index.dim} "
            f"numbers), not of {encoder.name!r} ({encoder.dim}). Load {index.encoder_name!r}."
        )
    (vector,) = encoder.encode_texts([query.text])
    hits: list[Hit] = []
    kept = KeptGround()
    for match in _matches(index, vector, query):
        if not query.overlap:
            if kept.has(match.tile):
                continue
            kept.keep(match.tile)
        hits.append(Hit(rank=len(hits) + 1, tile=match.tile, score=match.score, confidence=0.0))
        if len(hits) == query.limit:
            break
    reason = None if hits else _why_empty(index, query.filters)
    return Result(query=query, hits=tuple(hits), verdict="weak" if hits else "none", reason=reason)


def _matches(index: TileIndex, vector: Any, query: Query) -> Iterator[Match]:
    """Matches best first, asked for in ever larger numbers until nobody takes more."""
    seen, wanted = 0, query.limit if query.overlap else query.limit * FIRST
    while True:
        matches = index.nearest(vector, limit=wanted, filters=query.filters)
        yield from matches[seen:]
        if len(matches) < wanted or wanted >= MAX_CANDIDATES:
            return
        seen, wanted = len(matches), min(wanted * 4, MAX_CANDIDATES)


def _why_empty(index: TileIndex, filters: Filters) -> str:
    total = index.count()
    if total == 0:
        return f"the index {index.location} holds no tiles yet; build it first"
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
        return f"no tile of {total:,} passes {' or '.join(to_blame)}"
    return f"each filter lets some of {total:,} tiles through, but no tile passes all of them"
