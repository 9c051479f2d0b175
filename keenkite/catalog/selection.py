"""Which of the items a catalog holds are wanted, and which of them are enough."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from functools import cache

import numpy as np
import shapely

from keenkite import utm
from keenkite.area import Area
from keenkite.catalog.stac_items import ItemError, RawItem, generation_time, scene_from_item
from keenkite.cloud import cloud_fraction
from keenkite.errors import CatalogError
from keenkite.scene import Scene

logger = logging.getLogger(__name__)

EARTH_SEARCH_COLLECTIONS = ("sentinel-2-c1-l2a", "sentinel-2-l2a")
"""The better first: the second is the older archive, which fills the gaps of the first."""

NARROW = 200.0
"""Metres: a strip of ground narrower than this, a tenth of a tile, is not worth a scene of its own.

Outlines are drawn to 100 m or so, and edges seen from another UTM zone shift by centimetres.
"""

AS_CLEAR = 0.05
"""More cloud than this, a fraction of the scene, is not worth one scene less."""

_STEP = 5_000.0
"""Metres between the points by which an edge is projected."""

_REACH = 4
"""Zones: scenes of zones further apart than this cannot meet, not even at 84° N."""


def select_scenes(
    found: Iterable[RawItem],
    area: Area,
    start: date,
    end: date,
    *,
    max_cloud: float | str | None,
    collections: Sequence[str] = EARTH_SEARCH_COLLECTIONS,
) -> list[Scene]:
    """The scenes among some items that show an area on some days, each acquisition once.

    Items that cannot be used are left out with a warning. Of several items of one grid tile, day
    and platform the one of the earliest of `collections` is taken, and among those the one that
    was processed last.

    Args:
        found: Items; may repeat.
        area: Scenes that have no data in it, seen in their UTM zone, are left out.
        start: First day, UTC.
        end: Last day, UTC, included.
        max_cloud: Scenes with more cloud are left out, see `cloud_fraction`; None takes all.
        collections: The better first; others come after these.

    Returns:
        Ordered by time, then id.

    Raises:
        CatalogError: there are items and none of them can be used.
    """
    best: dict[tuple[str, date, str], tuple[tuple[int, datetime], Scene]] = {}
    problems: dict[str, list[str]] = {}
    wanted = cache(area.in_utm)
    usable = 0
    most = 1.0 if max_cloud is None else cloud_fraction(max_cloud)
    for one in found:
        try:
            scene, processed = scene_from_item(one), generation_time(one.item)
        except ItemError as error:
            problems.setdefault(str(error), []).append(str(one.item.get("id"))[:100])
            continue
        usable += 1
        if not start <= scene.date <= end or (scene.cloud or 0.0) > most:
            continue
        if not scene.ground.intersects(wanted(scene.epsg)):
            continue
        key = (scene.grid_code, scene.date, scene.platform)
        merit = (_merit(scene.collection, collections), processed)
        if key not in best or merit > best[key][0]:
            best[key] = (merit, scene)
    for why, ids in problems.items():
        more = f" and {len(ids) - 5} more" if len(ids) > 5 else ""
        logger.warning("STAC items left out, %s%s: %s", ", ".join(map(repr, ids[:5])), more, why)
    if problems and not usable:
        why, ids = max(problems.items(), key=lambda problem: len(problem[1]))
        raise CatalogError(
            f"none of the {sum(map(len, problems.values()))} STAC items found can be used, such as "
            f"{ids[0]!r}: {why}. Sentinel-2 L2A items with red, green, blue and scl assets are "
            f"needed"
        )
    return sorted((scene for _, scene in best.values()), key=lambda s: (s.datetime, s.id))


def least_cloudy_cover(scenes: Sequence[Scene], area: Area) -> list[Scene]:
    """Few scenes, with little cloud, that show as much of an area as all of them do.

    Again and again, of the scenes hardly cloudier (`AS_CLEAR`) than the clearest one that shows
    ground not yet covered, the one that shows most of it is taken. Then, cloudiest first, each is
    given back whose ground is shown as well by others taken that are hardly cloudier. So one whole
    scene stands for the halves of two, but no cloudy scene for a clear one. What is left has no
    scene too many; the smallest such set is not looked for.

    Args:
        scenes: Of any dates and UTM zones.
        area: Only its ground counts.

    Returns:
        The clearest first.
    """
    view = _View(area)
    scenes = sorted(scenes, key=lambda scene: (_cloud(scene), scene.datetime, scene.id))
    left = [(scene, view.wanted(scene)) for scene in scenes]
    taken: list[Scene] = []
    while left := [(scene, rest) for scene, rest in left if not _is_narrow(rest)]:
        limit = _cloud(left[0][0]) + AS_CLEAR
        eligible = [(scene, rest.area) for scene, rest in left if _cloud(scene) <= limit]
        most = max(ground for _, ground in eligible)
        # Seen from another zone, or drawn on another day, the same ground differs by 1 % or less.
        best = next(scene for scene, ground in eligible if ground >= 0.99 * most)
        taken.append(best)
        left = [
            (scene, view.without(rest, [best], scene.epsg))
            for scene, rest in left
            if scene is not best
        ]
    taken.sort(key=scenes.index)
    for scene in reversed(taken[:]):
        others = [other for other in taken if other is not scene]
        as_clear = [other for other in others if _cloud(other) <= _cloud(scene) + AS_CLEAR]
        if _is_narrow(view.without(view.wanted(scene), as_clear, scene.epsg)):
            taken = others
    return taken


class _View:
    """An area, and what scenes show of it, as seen from one UTM zone or another."""

    def __init__(self, area: Area) -> None:
        self._area = cache(area.in_utm)
        # Keyed by ground, not by scene: many dates of one grid tile show the same.
        self._seen_from = cache(_project)

    def wanted(self, scene: Scene) -> shapely.Geometry:
        """What a scene shows of the area, in its own zone."""
        return scene.ground.intersection(self._area(scene.epsg))

    def without(
        self, ground: shapely.Geometry, scenes: Sequence[Scene], epsg: int
    ) -> shapely.Geometry:
        """Some ground, in a zone, less what scenes of any zone show."""
        shown = [
            self._seen_from(scene.ground, scene.epsg, epsg)
            for scene in scenes
            if _zones_apart(scene.epsg, epsg) <= _REACH
        ]
        return ground.difference(shapely.union_all(shown))


def _cloud(scene: Scene) -> float:
    """Of a scene that does not say, more than any that does."""
    return 1.0 + 2 * AS_CLEAR if scene.cloud is None else scene.cloud


def _merit(collection: str, collections: Sequence[str]) -> int:
    """The earlier in the list, the higher."""
    return -collections.index(collection) if collection in collections else -len(collections)


def _is_narrow(ground: shapely.Geometry) -> bool:
    """Whether it is nowhere as wide as `NARROW`: shrunk by half of that, it vanishes."""
    return bool(ground.buffer(-NARROW / 2).is_empty)


def _zones_apart(epsg: int, other: int) -> int:
    """How many UTM zones, the short way round."""
    apart = abs(epsg % 100 - other % 100)
    return min(apart, 60 - apart)


def _project(shape: shapely.Geometry, source: int, target: int) -> shapely.Geometry:
    """From one UTM zone to another, edges bent as they are on the ground."""
    if source == target:
        return shape
    return shapely.transform(
        shapely.segmentize(shape, _STEP),
        lambda xy: np.column_stack(utm.project(target, *utm.unproject(source, *xy.T))),
    )
