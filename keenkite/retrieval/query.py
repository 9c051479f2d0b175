"""Query: what to look for, and among which tiles; refused here when it cannot be meant."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Literal, TypeAlias

from keenkite.area import Area
from keenkite.errors import InputError
from keenkite.index import Filters

Example: TypeAlias = str | tuple[float, float]
"""The id of a tile, or (lon, lat) in degrees: the tile whose centre is nearest to it."""

Kind: TypeAlias = Literal["text", "like", "near", "exclude", "unlike"]

MAX_LIMIT = 10_000
"""Hits that one search may ask for."""

MAX_KM = 100.0
"""How far a neighbour may be asked for."""


@dataclass(frozen=True, kw_only=True)
class Near:
    """Another concept that must be seen not far away."""

    text: str
    """One concept, such as "sea"."""
    within_km: float
    """From thing to thing, as well as tiles tell where they are; above 0, at most 100."""

    def __post_init__(self) -> None:
        if not _has_words(self.text):
            raise InputError("A near concept has no text. Say what must be near in a few words.")
        try:
            possible = 0 < self.within_km <= MAX_KM  # so written that NaN fails
        except TypeError:
            possible = False
        if not possible:
            raise InputError(
                f"{self.text!r} within {self.within_km} km cannot be asked for; use a distance "
                f"above 0 and up to {MAX_KM:g} km. It is measured from thing to thing."
            )


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One condition of a query, as it was asked. Two are the same only when all of this is."""

    kind: Kind
    """"text" or, without one, "like": what the tile itself shows; "near", "exclude", "unlike"."""
    text: str | None = None
    """The concept; None where tiles stand for it."""
    within_km: float | None = None
    """How far from the tile's thing it counts; None where only the tile itself is meant."""

    @property
    def unwanted(self) -> bool:
        """Whether it is met where the thing is not to be seen."""
        return self.kind in ("exclude", "unlike")

    @property
    def words(self) -> str:
        """What people call it: "airport", "sea within 3 km", "without houses"."""
        if self.text is None:
            return f"{self.kind} the examples"
        reach = "" if self.within_km is None else f" within {self.within_km:g} km"
        return f"{'without ' if self.unwanted else ''}{' '.join(self.text.split())}{reach}"

    @property
    def name(self) -> str:
        """What it is called among the parts of a score: "text", "near sea within 3 km"."""
        named = {"near": f"near {self.words}", "exclude": self.words}
        return named.get(self.kind, self.kind)

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {"kind": self.kind, "text": self.text, "within_km": self.within_km}


@dataclass(frozen=True, kw_only=True, init=False)
class Query:
    """What to look for: a text, examples, or both; and among which tiles."""

    text: str | None
    """One concept, such as "airport". Models read concepts, not sentences: what stands in a
    relation to it belongs in `near`, what must not be there in `exclude`, places in `area`."""
    near: tuple[Near, ...]
    """Other concepts that must be seen within some kilometres, in tiles of any date and span."""
    exclude: tuple[str | Near, ...]
    """Concepts that push a tile down the more clearly it shows them; as a Near, the more clearly
    they are seen within that distance."""
    strict: bool
    """Leave out tiles that more likely than not lack a near concept, or show an excluded one."""
    like: tuple[Example, ...]
    """Tiles that show what is meant. They, and others of their ground, are not among the hits."""
    unlike: tuple[Example, ...]
    """Tiles that do not show what is meant, though they look like it; not among the hits."""
    filters: Filters
    """Among which tiles; all of it must hold, and what is not given does not restrict."""
    min_confidence: float | None
    """Hits below it are cut, and counted in `Result.below`; the first never is. By default half of
    what makes a verdict "weak", and none with `overlap`, which asks for every tile; 0 cuts none."""
    limit: int
    """Hits wanted, 1 to 10,000."""
    skip: int
    """Hits passed over: those of earlier pages. Pages of one limit repeat no hit and lose none."""
    overlap: bool
    """Keep hits that show the same ground as a better one, of whatever date and span."""

    def __init__(
        self,
        *,
        text: str | None = None,
        near: Sequence[Near] = (),
        exclude: Sequence[str | Near] = (),
        strict: bool = False,
        like: Sequence[Example] = (),
        unlike: Sequence[Example] = (),
        filters: Filters | None = None,
        area: Area | None = None,
        start: date | None = None,
        end: date | None = None,
        max_cloud: float | str | None = None,
        cover: Mapping[str, tuple[float, float]] | None = None,
        regions: Sequence[str] | None = None,
        scenes: Sequence[str] | None = None,
        spans: Sequence[float] | None = None,
        min_confidence: float | None = None,
        limit: int = 10,
        skip: int = 0,
        overlap: bool = False,
    ) -> None:
        """Take the fields, or what `filters` holds as arguments of their own, and check them.

        Args:
            text: this and the others up to `filters`, and those after `spans`: see the fields.
            near: conditions; their order means nothing.
            exclude: likewise.
            strict: for `near` and `exclude` alike.
            like: examples.
            unlike: counter-examples.
            filters: instead of all that follow, or with those of them that it does not hold.
            area: where the centre of a tile must lie.
            start: first day, UTC, included.
            end: last day, UTC, included.
            max_cloud: largest cloudy part of a tile: 0.2, 20 and "20%" are the same.
            cover: lowest and highest fraction, 0-1, of "water", "vegetation", "bare", "snow".
            regions: names of regions, any of them.
            scenes: ids of scenes, any of them.
            spans: widths of the tiles that may be hits, metres, any of them; all by default.
            min_confidence: of hits.
            limit: of hits.
            skip: of hits.
            overlap: of hits.

        Raises:
            InputError: it names nothing to look for, contradicts itself, or states a fact twice.
        """
        flat = {
            "area": area, "start": start, "end": end, "max_cloud": max_cloud, "cover": cover,
            "regions": regions, "scenes": scenes, "spans": spans,
        }  # fmt: skip
        values: dict[str, object] = {
            "text": text, "near": _items("near", near), "exclude": _items("exclude", exclude),
            "strict": strict, "like": _items("like", like), "unlike": _items("unlike", unlike),
            "filters": _filters(filters, flat), "min_confidence": min_confidence, "limit": limit,
            "skip": skip, "overlap": overlap,
        }  # fmt: skip
        for name, value in values.items():
            object.__setattr__(self, name, value)
        self._check()

    @property
    def conditions(self) -> tuple[Asked, ...]:
        """What is asked of a tile, each condition once: the text or examples come first."""
        asked = [Asked(kind="like") if self.text is None else Asked(kind="text", text=self.text)]
        asked += [Asked(kind="near", text=n.text, within_km=n.within_km) for n in self.near]
        for concept in self.exclude:
            if isinstance(concept, Near):
                far = concept.within_km
                asked.append(Asked(kind="exclude", text=concept.text, within_km=far))
            else:
                asked.append(Asked(kind="exclude", text=concept))
        if self.unlike and not self.like:  # with `like`, the query moves away from the unlike
            asked.append(Asked(kind="unlike"))
        return tuple(dict.fromkeys(asked))

    def _check(self) -> None:
        if self.text is not None and not _has_words(self.text):
            raise InputError("The query's text is empty. Say what to look for in a few words.")
        if self.text is None and not self.like:
            raise InputError(
                "The query names nothing to look for. Give a text, or tiles as `like`."
            )
        if isinstance(self.limit, bool) or not isinstance(self.limit, int):
            raise InputError(f"limit is {self.limit!r}; ask for a whole number of hits.")
        if not 1 <= self.limit <= MAX_LIMIT:
            raise InputError(f"limit is {self.limit}; ask for 1 to {MAX_LIMIT:,} hits.")
        if isinstance(self.skip, bool) or not isinstance(self.skip, int) or self.skip < 0:
            raise InputError(f"skip is {self.skip!r}; pass over a whole number of hits, or 0.")
        if self.min_confidence is not None:
            _check_confidence(self.min_confidence)
        self._check_concepts()
        self._check_examples()

    def _check_concepts(self) -> None:
        for near in self.near:
            if not isinstance(near, Near):
                raise InputError(f"near holds {near!r}; write Near(text=..., within_km=...).")
        for concept in self.exclude:
            if isinstance(concept, Near):
                continue
            if not _has_words(concept):
                raise InputError(f"exclude holds {concept!r}; name each concept in a few words.")
            if self.text is not None and _same(concept, self.text):
                raise InputError(f"{concept!r} is both looked for and excluded; drop one of them.")

    def _check_examples(self) -> None:
        for name in ("like", "unlike"):
            for example in getattr(self, name):
                if not isinstance(example, str):
                    _check_place(name, example)
        both = set(self.like) & set(self.unlike)
        if both:
            raise InputError(f"{min(map(str, both))} is both like and unlike; drop one of them.")


_LISTS = {
    "near": "concepts; write [Near(text=..., within_km=...)]",
    "exclude": "concepts; write [{!r}]",
    "like": "tiles; write [{!r}]",
    "unlike": "tiles; write [{!r}]",
}


def _items(name: str, given: Sequence[Any]) -> tuple[Any, ...]:
    """A list that was given, as a tuple; InputError for one thing in the place of a list."""
    if isinstance(given, str | Near):
        raise InputError(f"{name} is a list of {_LISTS[name].format(given)}.")
    return tuple(tuple(item) if isinstance(item, list) else item for item in given)


def _filters(filters: Filters | None, flat: Mapping[str, Any]) -> Filters:
    """Filters with the facts that were given one by one."""
    if filters is None:
        filters = Filters()
    elif not isinstance(filters, Filters):
        raise InputError(f"filters is {filters!r}; write Filters(area=..., start=...).")
    given = {name: value for name, value in flat.items() if value is not None}
    if isinstance(given.get("spans"), int | float):
        raise InputError(f"spans is a list of widths in metres; write [{given['spans']!r}].")
    for name, value in given.items():
        if getattr(filters, name) not in (None, (), {}):
            raise InputError(
                f"{name} is given twice: in filters, and beside it. Leave one of them out."
            )
        if name in ("regions", "scenes", "spans") and not isinstance(value, str):
            given[name] = tuple(value)
    filters = replace(filters, **given)
    least = {kind: limits[0] for kind, limits in filters.cover.items()}
    if sum(least.values()) > 1:
        raise InputError(
            f"The cover fractions {least} add up to more than 1: no tile can have all of them. "
            "Lower them; each is a part of the same tile."
        )
    return filters


def _check_confidence(value: object) -> None:
    """Raise InputError unless it is a number from 0 to 1."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise InputError(f"min_confidence is {value!r}; confidences are numbers from 0 to 1.")


def _has_words(text: object) -> bool:
    return isinstance(text, str) and bool(text.strip())


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
