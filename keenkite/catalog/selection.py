"""Which of the items a catalog holds are wanted, and which of them are enough."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from functools import cache

import numpy as np
import shapely

from keenkite import utm
from keenkite.area import Area
from keenkite.catalog.own_pictures import picture_of_item
from keenkite.catalog.stac_items import ItemError, RawItem, scene_from_item
from keenkite.cloud import cloud_fraction
from keenkite.errors import CatalogError, SceneError
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

    Items that cannot be used are left out with a warning. Of several items of one grid tile and
    pass those of the earliest of `collections` are the better, and among those what was processed
    last. One is left out where better ones are known to show all its ground: the halves of a split
    datastrip both count.

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
    good: dict[tuple[str, str, int], list[Scene]] = {}
    problems: dict[str, list[str]] = {}
    wanted = cache(area.in_utm)
    usable = 0
    most = 1.0 if max_cloud is None else cloud_fraction(max_cloud)
    for one in found:
        try:
            scene = _scene(one)
        except (ItemError, SceneError) as error:
            problems.setdefault(str(error), []).append(str(one.item.get("id"))[:100])
            continue
        usable += 1
        if not start <= scene.date <= end or (scene.cloud or 0.0) > most:
            continue
        if not scene.ground.intersects(wanted(scene.epsg)):
            continue
        good.setdefault((scene.grid_code, scene.platform, scene.epsg), []).append(scene)
    for why, ids in problems.items():
        more = f" and {len(ids) - 5} more" if len(ids) > 5 else ""
        logger.warning("STAC items left out, %s%s: %s", ", ".join(map(repr, ids[:5])), more, why)
    if problems and not usable:
        why, ids = max(problems.items(), key=lambda problem: len(problem[1]))
        raise CatalogError(
            f"none of the {sum(map(len, problems.values()))} STAC items found can be used, such as "
            f"{ids[0]!r}: {why}. Items of Sentinel-2 L2A (red, green, blue, scl), of Landsat "
            f"Collection 2 Level-2 (qa_pixel for scl), or of one file with three colours are needed"
        )
    kept = [scene for some in good.values() for scene in _needed(some, collections)]
    return sorted(kept, key=lambda s: (s.datetime, s.id))


def _scene(one: RawItem) -> Scene:
    """The scene of an item, or the picture that it holds."""
    try:
        return scene_from_item(one)
    except ItemError:
        picture = picture_of_item(one.item, one.base)
        if picture is None:
            raise
        return picture


def least_cloudy_cover(scenes: Sequence[Scene], area: Area) -> list[Scene]:
    """Few scenes, with little cloud, that show as much of an area as all of them do.

    Again and again, of the scenes hardly cloudier (`AS_CLEAR`) than the clearest one that shows
    ground not yet covered, the one that shows most of it is taken. Then, cloudiest first, each is
    given back whose ground is shown as well by others taken that are hardly cloudier. So one whole
    scene stands for the halves of two, but no cloudy scene for a clear one. What is left has no
    scene too many; the smallest such set is not looked for.

    A scene whose outline is not confirmed covers nothing here, and is not among the answer: where
    the others leave ground, it is tried after them, as long as some is left.

    Args:
        scenes: Of any dates and UTM zones.
        area: Only its ground counts.

    Returns:
        The clearest first; a scene whose cloud is not known comes last.
    """
    view = View(area)
    scenes = sorted(scenes, key=clearness)
    left = [(scene, view.wanted(scene)) for scene in scenes if scene.confirmed]
    taken: list[Scene] = []
    while left := [(scene, rest) for scene, rest in left if not is_narrow(rest)]:
        limit = clearness(left[0][0])[0] + AS_CLEAR
        eligible = [(scene, rest.area) for scene, rest in left if clearness(scene)[0] <= limit]
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
        limit = clearness(scene)[0] + AS_CLEAR
        as_clear = [other for other in others if clearness(other)[0] <= limit]
        if is_narrow(view.without(view.wanted(scene), as_clear, scene.epsg)):
            taken = others
    return taken


def clearness(scene: Scene) -> tuple[float, datetime, str]:
    """What scenes are put in order by, the clearest first; one that does not say comes last."""
    cloud = 1.0 + 2 * AS_CLEAR if scene.cloud is None else scene.cloud
    return cloud, scene.datetime, scene.id


def _needed(scenes: Sequence[Scene], collections: Sequence[str]) -> list[Scene]:
    """Of the scenes of a grid tile and platform, those whose ground no better one of the same pass
    is known to show."""
    kept: list[Scene] = []
    for scene in sorted(scenes, key=lambda scene: _merit(scene, collections), reverse=True):
        reach = timedelta(minutes=scene.sensor.pass_minutes)
        better = [
            other.ground
            for other in kept
            if other.confirmed and abs(other.datetime - scene.datetime) <= reach
        ]
        if not better or not is_narrow(scene.ground.difference(shapely.union_all(better))):
            kept.append(scene)
    return kept


class View:
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


def _merit(scene: Scene, collections: Sequence[str]) -> tuple[int, float, str]:
    """The earlier its collection comes, and then the later it was processed, the better."""
    rank = list(collections).index(scene.collection) if scene.collection in collections else None
    made = scene.processed.timestamp() if scene.processed is not None else float("-inf")
    return -len(collections) if rank is None else -rank, made, scene.id


def is_narrow(ground: shapely.Geometry) -> bool:
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
