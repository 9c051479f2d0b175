"""What an index has of each region."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any

from keenkite.index.payload import Payload

FIELDS = ("regions", "scene_ids", "datetime", "bounds")
"""What of a tile's payload a summary is made from."""


@dataclass(frozen=True, kw_only=True)
class Region:
    """The tiles of one region, summed up."""

    name: str
    tiles: int
    scenes: int
    """Scenes that have a tile in it."""
    start: date
    """Day of the earliest tile, UTC."""
    end: date
    """Day of the latest tile, UTC."""
    bounds: tuple[float, float, float, float]
    """West, south, east, north in degrees; west > east when it crosses ±180."""

    def to_json(self) -> dict[str, Any]:
        """The same as JSON values."""
        return {**asdict(self), "start": self.start.isoformat(), "end": self.end.isoformat()}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Region:
        """The inverse of `to_json`."""
        west, south, east, north = value["bounds"]
        days = {name: date.fromisoformat(value[name]) for name in ("start", "end")}
        return cls(**{**value, **days, "bounds": (west, south, east, north)})


def summarise(payloads: Iterable[Payload], names: Collection[str]) -> dict[str, Region]:
    """The summaries of these regions, by name; a tile of several counts in each."""
    sums: dict[str, _Sum] = {}
    for payload in payloads:
        for name in payload["regions"]:
            if name in names:
                sums.setdefault(name, _Sum()).add(payload)
    return {name: each.region(name) for name, each in sums.items()}


class _Sum:
    def __init__(self) -> None:
        self._tiles = 0
        self._scenes: set[str] = set()
        self._moments: set[str] = set()
        self._spans: set[tuple[float, float]] = set()
        self._south, self._north = 90.0, -90.0

    def add(self, payload: Payload) -> None:
        west, south, east, north = payload["bounds"]
        self._tiles += 1
        self._scenes.update(payload["scene_ids"])
        self._moments.add(payload["datetime"])
        self._spans.add((west, east))
        self._south, self._north = min(self._south, south), max(self._north, north)

    def region(self, name: str) -> Region:
        days = [datetime.fromisoformat(moment).date() for moment in self._moments]
        west, east = _hull(self._spans)
        return Region(
            name=name,
            tiles=self._tiles,
            scenes=len(self._scenes),
            start=min(days),
            end=max(days),
            bounds=(west, self._south, east, self._north),
        )


def _hull(spans: Iterable[tuple[float, float]]) -> tuple[float, float]:
    """The shortest stretch of longitudes over all (west, east); west > east across ±180.

    It begins after the widest gap on the circle that no span covers.
    """
    opened = sorted((west, east if east >= west else east + 360) for west, east in spans)
    first, reach = opened[0][0], opened[0][1]
    gaps = []
    for west, east in opened[1:]:
        if west > reach:
            gaps.append((west - reach, west, reach))
        reach = max(reach, east)
    gaps.append((first + 360 - reach, first, reach))
    width, west, east = max(gaps)
    if width <= 0:
        return -180.0, 180.0
    return west, east - 360 if east > 180 else east
