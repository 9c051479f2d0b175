"""History: what earlier builds of a collection did, from its records.

A record says of a unit which squares of ground were cut and what became of each. So a second region
over the same ground reads only what is new, a unit that was processed again is cut again, and what
no tile covers is known without looking.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeAlias

import numpy as np

from keenkite.index import TileIndex
from keenkite.scene import Scene

Cell: TypeAlias = tuple[float, float, float]
"""(span, easting, northing of the upper left corner): metres, in the zone of a scene."""

Cells: TypeAlias = frozenset[Cell]


@dataclass(frozen=True, kw_only=True)
class Fate:
    """What became of the squares of a unit that were cut."""

    kept: Cells = frozenset()
    cloud: Cells = frozenset()
    """Dropped for too much cloud: another scene of the pass shows the same."""
    nodata: Cells = frozenset()
    """Dropped for too little data: another scene of the pass may have it."""

    @property
    def settled(self) -> Cells:
        """What no other scene of the pass can better."""
        return self.kept | self.cloud

    @property
    def cut(self) -> Cells:
        """All of them."""
        return self.kept | self.cloud | self.nodata

    def __or__(self, other: Fate) -> Fate:
        return Fate(
            kept=self.kept | other.kept,
            cloud=self.cloud | other.cloud,
            nodata=self.nodata | other.nodata,
        )


@dataclass(frozen=True, kw_only=True)
class Done:
    """What a record says of a unit."""

    scenes: tuple[str, ...]
    """Ids of its products, the first of which names it."""
    version: str
    """Names these products as they were processed then; see `Scene.version`."""
    moment: datetime
    platform: str
    epsg: int
    fate: Fate

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "scene": self.scenes[0],
            "scenes": list(self.scenes),
            "version": self.version,
            "datetime": self.moment.isoformat(),
            "platform": self.platform,
            "epsg": self.epsg,
            "cells": {
                name: packed(getattr(self.fate, name)) for name in ("kept", "cloud", "nodata")
            },
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Done:
        """The inverse of `to_json`."""
        return cls(
            scenes=tuple(value["scenes"]),
            version=value["version"],
            moment=datetime.fromisoformat(value["datetime"]),
            platform=value["platform"],
            epsg=value["epsg"],
            fate=Fate(**{name: unpacked(cells) for name, cells in value["cells"].items()}),
        )

    def is_of(self, unit: Scene) -> bool:
        """Whether it is of this very unit, as it was processed last."""
        return self.moment == unit.datetime and self.version == unit.version

    def is_older(self, unit: Scene) -> bool:
        """Whether it is of products of this unit that were processed again, or were fewer then."""
        shared = set(self.scenes) & set(unit.scene_ids)
        return bool(shared) and self._in_pass(unit) and not self.is_of(unit)

    def is_beside(self, unit: Scene) -> bool:
        """Whether it is of another unit of the same pass."""
        return self._in_pass(unit) and not set(self.scenes) & set(unit.scene_ids)

    def _in_pass(self, unit: Scene) -> bool:
        reach = timedelta(minutes=unit.sensor.pass_minutes)
        here = (self.platform, self.epsg) == (unit.platform, unit.epsg)
        return here and abs(self.moment - unit.datetime) <= reach


@dataclass(kw_only=True)
class History:
    """What earlier builds of a collection did."""

    keys: frozenset[str] = frozenset()
    """Of complete works."""
    done: list[Done] = field(default_factory=list)

    @classmethod
    def of(cls, index: TileIndex | None) -> History:
        """From the records of a collection."""
        records = {} if index is None else index.complete()
        return cls(keys=frozenset(records), done=list(map(Done.from_json, records.values())))

    def known(self, unit: Scene, cells: Cells) -> tuple[dict[str, Cells], Fate]:
        """Which of some squares were cut already, from this unit or others of its pass.

        Returns:
            Id of a scene -> squares that were cut from it; and what became of all these.
        """
        left, found, fate = set(cells), dict[str, set[Cell]](), Fate()
        for each in self.done:
            own = each.is_of(unit)
            if not own and not each.is_beside(unit):
                continue
            here = left & (each.fate.cut if own else each.fate.settled)
            if here:
                found.setdefault(each.scenes[0], set()).update(here)
                fate |= Fate(
                    kept=each.fate.kept & here,
                    cloud=each.fate.cloud & here,
                    nodata=each.fate.nodata & here,
                )
                left -= here
        return {name: frozenset(some) for name, some in found.items()}, fate

    def older(self, unit: Scene) -> list[Done]:
        """Records of what this unit was before its products were processed again, or were more."""
        return [each for each in self.done if each.is_older(unit)]


def packed(cells: Iterable[Cell]) -> str:
    """Squares as a short text, to the millimetre."""
    rows = sorted(cells, key=lambda cell: (cell[0], -cell[2], cell[1]))
    numbers = np.rint(np.array(rows, np.float64).reshape(-1, 3) * 1000).astype("<i8")
    # Differences, since on a lattice they repeat.
    steps = np.diff(numbers, axis=0, prepend=np.zeros((1, 3), "<i8"))
    return base64.b64encode(zlib.compress(steps.astype("<i8").tobytes())).decode()


def unpacked(text: str) -> Cells:
    """The inverse of `packed`."""
    steps = np.frombuffer(zlib.decompress(base64.b64decode(text)), "<i8").reshape(-1, 3)
    return frozenset(map(tuple, (steps.cumsum(axis=0) / 1000).tolist()))
