"""Coverage: how much of the asked ground no tile shows, and why."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import numpy as np
import shapely

from keenkite import utm
from keenkite.area import Area
from keenkite.build.history import Fate
from keenkite.build.squares import union_of
from keenkite.scene import Scene

WARN_PERCENT = 5.0
"""More of the asked ground than this in no tile is warned about."""

REASONS = ("no_scene", "cloud", "nodata", "too_small", "edge")
"""In this order: what several explain counts for the first. "no_scene": nothing that the catalogue
answered shows it. "cloud", "nodata": its tiles were dropped for that. "too_small": a scene smaller
than a tile shows it. "edge": scenes show it, but no whole tile of theirs, or one failed."""


@dataclass(frozen=True, kw_only=True)
class Uncovered:
    """Ground that was asked for and that no tile shows."""

    asked_km2: float
    km2: float
    percent: float
    reasons: Mapping[str, float]
    """Reason -> km2; reasons of nothing are left out."""

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)

    def __str__(self) -> str:
        why = ", ".join(f"{name} {km2:,.1f}" for name, km2 in self.reasons.items())
        return (
            f"{self.km2:,.1f} of {self.asked_km2:,.1f} km² are in no tile ({self.percent:.1f} %)"
            + (f": {why}" if why else "")
        )


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A unit and what became of its squares."""

    unit: Scene
    fate: Fate
    too_small: bool = False


def uncovered(area: Area, shown: Sequence[Shown]) -> Uncovered:
    """What of an area no kept tile shows.

    Each part of the area is looked at in its own UTM zone, or in that of the scenes that show it.

    Args:
        area: What was asked for.
        shown: Every unit that the catalogue answered.
    """
    total, lost = 0.0, dict.fromkeys(REASONS, 0.0)
    for epsg, ground in _by_zone(area, {each.unit.epsg for each in shown}):
        total += ground.area
        here = [(each, _seen_from(epsg, each)) for each in shown if _near(each.unit.epsg, epsg)]
        left = ground.difference(_union(here, "kept"))
        for reason in REASONS:
            if reason == "no_scene":
                explained = left.difference(_union(here, "ground"))
            elif reason == "edge":
                explained = left
            else:
                explained = left.intersection(_union(here, reason))
            lost[reason] += explained.area
            left = left.difference(explained)
    asked = area.km2
    scale = asked / total if total else 0.0
    # Slivers of rounding, where shapes of two zones or of a circle's chords meet.
    reasons = {
        name: round(metres2 * scale, 3)
        for name, metres2 in lost.items()
        if metres2 * scale > 1e-6 * asked
    }
    km2 = min(sum(reasons.values()), asked)
    return Uncovered(
        asked_km2=round(asked, 3),
        km2=round(km2, 3),
        percent=round(100 * km2 / asked, 2) if asked else 0.0,
        reasons=reasons,
    )


def kept_ground(epsg: int, shown: Iterable[Shown]) -> shapely.Geometry:
    """The ground of all kept tiles, in a zone."""
    here = [(each, _seen_from(epsg, each)) for each in shown if _near(each.unit.epsg, epsg)]
    return _union(here, "kept")


def _union(here: Sequence[tuple[Shown, Any]], what: str) -> shapely.Geometry:
    return shapely.union_all([seen(what) for _, seen in here])


def _seen_from(epsg: int, shown: Shown) -> Any:
    """What a unit is for each reason, in a zone."""

    @cache
    def seen(what: str) -> shapely.Geometry:
        unit = shown.unit
        if what == "ground":
            shape: shapely.Geometry = unit.ground
        elif what == "too_small":
            shape = unit.ground if shown.too_small else shapely.Polygon()
        else:
            shape = union_of(getattr(shown.fate, what))
        return _project(shape, unit.epsg, epsg)

    return seen


def _by_zone(area: Area, epsgs: set[int]) -> Iterator[tuple[int, shapely.Geometry]]:
    """(EPSG, shape in that zone) of the parts of an area in each 6° of longitude."""
    for part in area.parts:
        west, south, east, north = part.bounds
        for zone in range(math.floor((west + 180) / 6), math.ceil((east + 180) / 6)):
            band = shapely.box(6 * zone - 180, south, 6 * zone - 174, north)
            pieces = [p for p in shapely.get_parts(part.intersection(band)).tolist() if p.area > 0]
            if not pieces:
                continue
            inside = Area(parts=tuple(pieces))
            number = zone % 60 + 1
            code = (32600 if north + south >= 0 else 32700) + number
            if code not in epsgs:
                # Of the hemisphere that the scenes are named for, where only that one has some.
                code = next((e for e in epsgs if e % 100 == number), code)
            shape = inside.in_utm(code)
            if not shape.is_empty:
                yield code, shape


def _near(epsg: int, other: int) -> bool:
    apart = abs(epsg % 100 - other % 100)
    return min(apart, 60 - apart) <= 4


def _project(shape: shapely.Geometry, source: int, target: int) -> shapely.Geometry:
    if source == target or shape.is_empty:
        return shape
    bent = shapely.transform(
        shapely.segmentize(shape, 5000),
        lambda xy: np.column_stack(utm.project(target, *utm.unproject(source, *xy.T))),
    )
    return shapely.make_valid(bent)
