"""Items on their way from a catalogue to the choice among them: counted, and completed.

What a search asked and what became of the items it found is told where no scene is left. An item
that does not state its grid gets that of its file; only headers are read, and only of items that
the search may be about.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import date
from typing import TypeAlias

import shapely

from keenkite.area import Area
from keenkite.catalog.grid import UnstatedError
from keenkite.catalog.stac_items import (
    NONSENSE,
    RawItem,
    cloud_of,
    scene_from_item,
    time_of,
)
from keenkite.catalog.values import ItemError, as_numbers
from keenkite.cloud import percent
from keenkite.errors import SceneError
from keenkite.scene import Grid, Scene

logger = logging.getLogger(__name__)

HEADERS = 8
"""Files whose headers are read at a time."""

GridReader: TypeAlias = Callable[[str], Grid]
"""A file or URL -> where its pixels lie; SceneError says why it does not tell."""


_MARGIN = 0.1
"""Degrees by which boxes may be drawn too small."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a search asks."""

    area: Area
    start: date
    end: date
    max_cloud: float
    """A fraction; 1 takes all."""


@dataclass(kw_only=True)
class Account:
    """What a search found, and what became of it."""

    place: str
    """What was searched: a host or a folder."""
    collections: tuple[str, ...] = ()
    """Of an API, those that were looked in."""
    asked: Asked
    counts: Counter[str] = field(default_factory=Counter)
    """Items: "found"; of these "day" (of other days), "cloud" (with more of it), "unusable"."""
    clearest: float | None = None
    """The least cloud of those that are cloudier than asked."""
    problem: str | None = None
    """Why one of the unusable ones is that, and its id."""
    notes: list[str] = field(default_factory=list)
    """What else was found out."""

    def refuse(self, one: RawItem, error: ItemError) -> None:
        """Count an item that cannot be used."""
        self.counts["unusable"] += 1
        if self.problem is None:
            self.problem = f"such as {str(one.item.get('id'))[:60]!r}: {error}"

    @property
    def text(self) -> str:
        """All of it as a sentence without a stop; for the case that no scene is left."""
        counts = self.counts
        names = f"{'collection' if len(self.collections) == 1 else 'collections'} "
        where = f"{names}{', '.join(self.collections)} of " if self.collections else ""
        if not counts["found"]:
            return "; ".join([f"{where}{self.place} gave no items", *self.notes])
        parts = []
        if counts["day"]:
            parts.append(f"{counts['day']:,} of other days")
        if counts["cloud"]:
            parts.append(
                f"{counts['cloud']:,} with more than {percent(self.asked.max_cloud)} cloud "
                f"(the clearest has {percent(self.clearest or 0.0)})"
            )
        if counts["unusable"]:
            parts.append(f"{counts['unusable']:,} that cannot be used ({self.problem})")
        rest = counts["found"] - counts["day"] - counts["cloud"] - counts["unusable"]
        if rest:
            parts.append(f"{rest:,} that show none of the area")
        found = f"{where}{self.place} gave {counts['found']:,} items: {', '.join(parts)}"
        return "; ".join([found, *self.notes])


class Scenes(list[Scene]):
    """The scenes of a search, and the account of it."""

    def __init__(self, scenes: Iterable[Scene], account: Account) -> None:
        super().__init__(scenes)
        self.account = account


def account_of(scenes: Sequence[Scene]) -> str:
    """What a catalogue tells of a search, "… gave 3 items: …; "; empty where it tells nothing."""
    return f"{scenes.account.text}; " if isinstance(scenes, Scenes) else ""


class Intake:
    """Counts the items of a search, and completes those that it may be about."""

    def __init__(self, account: Account, grid_of_file: GridReader) -> None:
        self._account, self._asked = account, account.asked
        self._grid_of_file = grid_of_file

    def take(self, found: Iterable[RawItem]) -> Iterator[RawItem]:
        """The items of the days and with no more cloud than asked.

        Those that state no grid come last, with that of their file. What cannot be used is handed
        on too, to be named with the others.
        """
        counts = self._account.counts
        incomplete = []
        seen: set[str] = set()
        for one in found:
            identity = one.identity
            if identity in seen:  # found on both sides of 180°
                continue
            counts["found"] += 1
            try:
                if other := self._other(one):
                    counts[other] += 1
                    continue
                scene_from_item(one)
                seen.add(identity)
            except UnstatedError:
                seen.add(identity)
                if _may_show(one, self._asked.area):
                    incomplete.append(one)
                continue
            except ItemError as error:
                self._account.refuse(one, error)
            yield one
        if incomplete:
            yield from self._complete(incomplete)

    def _other(self, one: RawItem) -> str | None:
        """What of it is not as asked: "day" or "cloud"; ItemError where it cannot be said."""
        account, asked = self._account, self._asked
        if not asked.start <= time_of(one.item).date() <= asked.end:
            return "day"
        cloud = cloud_of(one.item) or 0.0
        if cloud <= asked.max_cloud:
            return None
        account.clearest = cloud if account.clearest is None else min(cloud, account.clearest)
        return "cloud"

    def _complete(self, incomplete: Sequence[RawItem]) -> Iterator[RawItem]:
        logger.info("the grids of %d items are read from their files", len(incomplete))
        with ThreadPoolExecutor(HEADERS, "keenkite-header") as threads:
            for one in threads.map(self._completed, incomplete):
                try:
                    scene_from_item(one)
                except ItemError as error:
                    self._account.refuse(one, error)
                yield one

    def _completed(self, one: RawItem) -> RawItem:
        try:
            return replace(one, grid=self._grid_of_file(one.locations["red"]))
        except SceneError as error:
            return replace(one, flaw=str(error))


def _may_show(one: RawItem, area: Area) -> bool:
    """Whether an item's box or outline is near an area, or it has none: a cheap look first."""
    box = as_numbers(one.item.get("bbox"))
    if box is None or len(box) not in (4, 6):
        try:
            box = list(shapely.geometry.shape(one.item.get("geometry")).bounds)
        except NONSENSE:
            return True
    if len(box) not in (4, 6):
        return True
    half = len(box) // 2
    west, south, east, north = box[0], box[1], box[half], box[half + 1]
    spans = [(west, east)] if west <= east else [(west, 180.0), (-180.0, east)]
    return any(
        w - _MARGIN <= area_east
        and area_west <= e + _MARGIN
        and south - _MARGIN <= area_north
        and area_south <= north + _MARGIN
        for w, e in spans
        for area_west, area_south, area_east, area_north in area.bboxes
    )
