"""Records of work that is done, and the one rule of when they must go.

A record says that all tiles of a scene that a region wanted are in the index, so that nobody makes
them again. It goes before one of these tiles does, or before one loses the region's label: ended
in between, work is done twice, and never left undone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from keenkite.index.backend import Backend
from keenkite.index.payload import Payload, epsg_of, platform_of

KIND = "complete"

FIELDS = ("tile_id", "datetime", "scene_ids", "regions")
"""What of a tile's payload tells which records count on it."""


@dataclass(frozen=True)
class Sight:
    """What a tile that is lost shows: as much as tells whether a record may count on it."""

    scenes: frozenset[str]
    epsg: int
    platform: str
    moment: datetime

    @classmethod
    def of(cls, payload: Payload) -> Sight:
        """That of a tile."""
        return cls(
            scenes=frozenset(payload["scene_ids"]),
            epsg=epsg_of(payload),
            platform=platform_of(payload),
            moment=datetime.fromisoformat(payload["datetime"]),
        )


class Completion:
    """Those of one index."""

    def __init__(self, backend: Backend, *, pass_minutes: float) -> None:
        """Scenes of one platform no further apart than `pass_minutes` are of one pass."""
        self._backend = backend
        self._pass = timedelta(minutes=pass_minutes)

    def has(self, key: str) -> bool:
        """Whether some work is done."""
        return self._backend.read_record(f"{KIND}/{key}") is not None

    def mark(self, key: str, info: dict[str, Any]) -> None:
        """Record that it is, once all that was written for it is durable."""
        self._backend.flush()
        self._backend.write_record(f"{KIND}/{key}", info)

    def all(self) -> dict[str, dict[str, Any]]:
        """Key -> info."""
        records = self._backend.records(KIND)
        return {key.removeprefix(f"{KIND}/"): info for key, info in records.items()}

    def forget(self, which: Callable[[str, dict[str, Any]], bool]) -> None:
        """Take away the records that are such, given key and info."""
        gone = [f"{KIND}/{key}" for key, info in self.all().items() if which(key, info)]
        self._backend.delete_records(gone)

    def forget_region(self, region: str) -> None:
        """Take away those of a region."""
        self.forget(lambda _, info: info.get("region") == region)

    def forget_sights(self, sights: Iterable[Sight], region: str | None = None) -> None:
        """Take away those that may count on tiles of these sights.

        Args:
            sights: of tiles that are about to go, or to lose the label of `region`.
            region: only its records, and those that name no region.
        """
        scenes, moments = set[str](), defaultdict[tuple[str, int], set[datetime]](set)
        for sight in sights:
            scenes |= sight.scenes
            moments[sight.platform, sight.epsg].add(sight.moment)
        if scenes:
            self.forget(
                lambda key, info: (
                    (region is None or info.get("region", region) == region)
                    and (_is_of(scenes, key, info) or self._is_beside(moments, info))
                )
            )

    def _is_beside(
        self, moments: Mapping[tuple[str, int], Collection[datetime]], info: Mapping[str, Any]
    ) -> bool:
        """Whether a record is of a pass at one of these moments, by platform and zone.

        Where scenes of a pass overlap, each tile is cut from one of them, and the records of the
        others count on that one.
        """
        if not {"platform", "epsg", "datetime"} <= info.keys():
            return False
        own = datetime.fromisoformat(info["datetime"])
        here = moments.get((info["platform"], info["epsg"]), ())
        return any(abs(own - moment) <= self._pass for moment in here)


def _is_of(scenes: set[str], key: str, info: Mapping[str, Any]) -> bool:
    """Whether a record is of one of some scenes."""
    return not scenes.isdisjoint(info.get("scenes") or [info.get("scene", key)])
