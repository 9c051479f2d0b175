"""Query: what to look for, and among which tiles; refused here when it cannot be meant."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import TypeAlias

from keenkite.area import Area
from keenkite.errors import InputError
from keenkite.index import Filters
from keenkite.retrieval.near import Near

Example: TypeAlias = str | tuple[float, float]
"""The id of a tile, or (lon, lat) in degrees: the tile whose centre is nearest to it."""

MAX_LIMIT = 10_000
"""Hits that one search may ask for."""


@dataclass(frozen=True, kw_only=True)
class Query:
    """What to look for: a text, examples, or both; and among which tiles.

    Filters that are not given do not restrict, and all that are given must hold.
    """

    text: str | None = None
    """One concept, such as "airport". Models read concepts, not sentences: what stands in a
    relation to it belongs in `near`, what must not be there in `exclude`, places in `area`."""
    near: tuple[Near, ...] = ()
    """Other concepts that must be seen within some kilometres, in tiles of any date."""
    exclude: tuple[str | Near, ...] = ()
    """Concepts that push a tile down the more clearly it shows them; as a Near, the more clearly
    they are seen within that distance."""
    strict: bool = False
    """Leave out tiles that more likely than not lack a near concept, or show an excluded one."""
    like: tuple[Example, ...] = ()
    """Tiles that show what is meant. They, and others of their ground, are not among the hits."""
    unlike: tuple[Example, ...] = ()
    """Tiles that do not show what is meant, though they look like it; not among the hits."""
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
    """Hits wanted, 1 to 10,000."""
    overlap: bool = False
    """Keep hits that share half their ground or more with a better one, of whatever date."""

    def __post_init__(self) -> None:
        if self.text is not None and not self.text.strip():
            raise InputError("The query's text is empty. Say what to look for in a few words.")
        if self.text is None and not self.like:
            raise InputError(
                "The query names nothing to look for. Give a text, or tiles as `like`."
            )
        if isinstance(self.limit, bool) or not isinstance(self.limit, int):
            raise InputError(f"limit is {self.limit!r}; ask for a whole number of hits.")
        if not 1 <= self.limit <= MAX_LIMIT:
            raise InputError(f"limit is {self.limit}; ask for 1 to {MAX_LIMIT:,} hits.")
        self._check_concepts()
        self._check_examples()
        self._check_cover()
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
            regions=tuple(self.regions) if not isinstance(self.regions, str) else self.regions,
            scenes=tuple(self.scenes) if not isinstance(self.scenes, str) else self.scenes,
        )

    def _check_concepts(self) -> None:
        if isinstance(self.exclude, str):
            raise InputError(f"exclude is a list of concepts; write [{self.exclude!r}].")
        for near in self.near:
            if not isinstance(near, Near):
                raise InputError(f"near holds {near!r}; write Near(text=..., within_km=...).")
        for concept in self.exclude:
            if isinstance(concept, Near):
                continue
            if not isinstance(concept, str) or not concept.strip():
                raise InputError(f"exclude holds {concept!r}; name each concept in a few words.")
            if self.text is not None and _same(concept, self.text):
                raise InputError(f"{concept!r} is both looked for and excluded; drop one of them.")

    def _check_examples(self) -> None:
        for name in ("like", "unlike"):
            examples = getattr(self, name)
            if isinstance(examples, str):
                raise InputError(f"{name} is a list of tiles; write [{examples!r}].")
            for example in examples:
                if not isinstance(example, str):
                    _check_place(name, example)
        both = set(self.like) & set(self.unlike)
        if both:
            raise InputError(f"{min(map(str, both))} is both like and unlike; drop one of them.")

    def _check_cover(self) -> None:
        least = {kind: span[0] for kind, span in self.cover.items() if len(span) == 2}
        if sum(least.values()) > 1:
            raise InputError(
                f"The cover fractions {least} add up to more than 1: no tile can have all of them. "
                "Lower them; each is a part of the same tile."
            )


def _same(a: str, b: str) -> bool:
    return a.strip().casefold() == b.strip().casefold()


def _check_place(name: str, place: object) -> None:
    """Raise InputError unless `place` is (lon, lat)."""
    try:
        lon, lat = map(float, place)  # type: ignore[call-overload]
    except (TypeError, ValueError):
        raise InputError(
            f"{name} holds {place!r}; give the id of a tile, or (longitude, latitude)."
        ) from None
    if not (math.isfinite(lon) and -180 <= lon <= 180 and -90 <= lat <= 90):
        raise InputError(
            f"{name} holds ({lon:g}, {lat:g}): longitude comes first, -180 to 180, then latitude."
        )
