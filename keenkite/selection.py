"""Which of the items a catalog holds are wanted, and which of them are enough."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from functools import cache

import numpy as np
import shapely

from . import utm
from .area import Area
from .errors import CatalogError
from .scene import Scene
from .stac_items import Found, ItemError, generation_time, scene_from_item

logger = logging.getLogger(__name__)

EARTH_SEARCH_COLLECTIONS = ("sentinel-2-c1-l2a", "sentinel-2-l2a")
"""The better first: the second is the older archive, which fills the gaps of the first."""

NARROW = 200.0
"""Metres: a strip of ground narrower than this, a tenth of a tile, is not worth a scene of its own.

Outlines are drawn to 100 m or so, and edges seen from another UTM zone shift by centimetres.
"""

AS_CLEAR = 5.0
"""Percentage points of cloud for which one scene less is worth it."""

_STEP = 5_000.0
"""Metres between the points by which an edge is projected."""

_REACH = 4
"""Zones: scenes of zones further apart than this cannot meet, not even at 84° N."""


def select_scenes(
    found: Iterable[Found],
    area: Area,
    start: date,
    end: date,
    *,
    max_cloud: float,
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
        max_cloud: Scenes with this percentage of cloud or more are left out.
        collections: The better first; others come after these.

    Returns:
        Ordered by time, then id.

    Raises:
        CatalogError: there are items and none of them can be used.
    """
    best: dict[tuple[str, date, str], tuple[tuple[int, datetime], Scene]] = {}
    problems: dict[str, str] = {}
    wanted = cache(area.in_utm)
    usable = 0
    for one in found:
        try:
            scene, processed = scene_from_item(one), generation_time(one.item)
        except ItemError as error:
            problems[repr(one.item.get("id"))] = str(error)
            continue
        usable += 1
        if not start <= scene.date <= end or scene.cloud >= max_cloud:
            continue
        if not scene.ground.intersects(wanted(scene.epsg)):
            continue
        key = (scene.grid_code, scene.date, scene.platform)
        merit = (_merit(scene.collection, collections), processed)
        if key not in best or merit > best[key][0]:
            best[key] = (merit, scene)
    for item_id, why in problems.items():
        logger.warning("STAC item %s left out: %s", item_id, why)
    if problems and not usable:
        item_id, why = next(iter(problems.items()))
        raise CatalogError(
            f"none of the {len(problems)} STAC items found can be used; the first, {item_id}: "
            f"{why}. Sentinel-2 L2A items with red, green, blue and scl assets are needed"
        )
    return sorted((scene for _, scene in best.values()), key=lambda s: (s.datetime, s.id))


def least_cloudy_cover(scenes: Sequence[Scene], area: Area) -> list[Scene]:
    """Few scenes, with little cloud, that show as much of an area as all of them do.

    Clearest first, each scene is taken that shows ground the ones before it do not. Then,
    cloudiest first, each is given back whose ground is shown as well by others taken that are
    hardly cloudier (`AS_CLEAR`): one whole scene instead of the halves of two, but no clear scene
    for a cloudy one. What is left has no scene too many; the smallest such set is not looked for.

    Args:
        scenes: Of any dates and UTM zones.
        area: Only its ground counts.

    Returns:
        The clearest first.
    """
    grounds = _Grounds(area)
    taken: list[Scene] = []
    for scene in sorted(scenes, key=lambda scene: (scene.cloud, scene.datetime, scene.id)):
        if grounds.extends(scene, taken):
            taken.append(scene)
    for scene in reversed(taken[:]):
        others = [other for other in taken if other is not scene]
        as_clear = [other for other in others if other.cloud <= scene.cloud + AS_CLEAR]
        if not grounds.extends(scene, as_clear):
            taken = others
    return taken


class _Grounds:
    """What scenes show of an area, each seen from the UTM zone of another."""

    def __init__(self, area: Area) -> None:
        self._wanted = cache(area.in_utm)
        # Keyed by ground, not by scene: many dates of one grid tile show the same.
        self._seen_from = cache(_project)

    def extends(self, scene: Scene, others: Sequence[Scene]) -> bool:
        """Whether a scene shows more of the area than the others do."""
        shown = [
            self._seen_from(other.ground, other.epsg, scene.epsg)
            for other in others
            if _zones_apart(scene.epsg, other.epsg) <= _REACH
        ]
        wanted = scene.ground.intersection(self._wanted(scene.epsg))
        rest = wanted.difference(shapely.union_all(shown))
        # Shrunk by half of it from all sides, what is narrow vanishes.
        return not rest.buffer(-NARROW / 2).is_empty


def _merit(collection: str, collections: Sequence[str]) -> int:
    """The earlier in the list, the higher."""
    return -collections.index(collection) if collection in collections else -len(collections)


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
