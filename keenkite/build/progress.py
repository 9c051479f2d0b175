"""How far a build is, and what it did."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keenkite.build.coverage import Uncovered


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Where a build is; given to the callback after each batch of tiles."""

    scene: str
    """Id of the scene being read."""
    scenes_done: int
    scenes: int
    tiles_done: int
    """Tiles cut or dropped so far in this run."""
    tiles: int
    """Tiles that this run has to cut."""
    seconds: float
    """Since this run began."""

    @property
    def rate(self) -> float:
        """Tiles a second."""
        return self.tiles_done / self.seconds if self.seconds > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """At the present rate; None before the first tile."""
        return (self.tiles - self.tiles_done) / self.rate if self.rate else None


@dataclass(kw_only=True)
class Report:
    """What a build did."""

    scenes: list[str] = field(default_factory=list)
    """Ids of the scenes done in this run."""
    skipped: list[str] = field(default_factory=list)
    """Ids of the scenes that an earlier run had done."""
    failed: dict[str, str] = field(default_factory=dict)
    """Scene id -> why its pixels could not be read. Build again to try these again."""
    kept: int = 0
    """Tiles written to the index."""
    edges: int = 0
    """Of these, tiles beside the lattice: flush with the edges of crops that hold others too."""
    dropped: Counter[str] = field(default_factory=Counter)
    """Reason ("nodata", "cloud") -> tiles."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Stage ("catalog", "read", "encode", "index", "optimise") -> seconds."""
    labelled: int = 0
    """Tiles of earlier builds, on the same ground, that got the region's name too."""
    uncovered: Uncovered | None = None
    """What of the asked ground no tile shows, and why."""
    bytes_kept: int = 0
    """Size of the pixels kept on this machine for the scenes of this run."""

    def to_dict(self) -> dict[str, Any]:
        """As plain types, for JSON."""
        uncovered = None if self.uncovered is None else self.uncovered.to_json()
        rest = {f.name: getattr(self, f.name) for f in fields(self)}
        return {**rest, "dropped": dict(self.dropped), "uncovered": uncovered}

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the time spent inside to a stage."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            spent = self.seconds.get(stage, 0.0) + time.perf_counter() - begin
            self.seconds[stage] = spent


class Meter:
    """Counts tiles and scenes for the caller's progress callback."""

    def __init__(
        self, tiles: int, scenes: int, callback: Callable[[Progress], None] | None
    ) -> None:
        self._begin = time.perf_counter()
        self._tiles, self._scenes, self._callback = tiles, scenes, callback
        self._tiles_done = self._scenes_done = 0

    def more(self, tiles: int, scenes: int) -> None:
        """There is more to do than was thought."""
        self._tiles += tiles
        self._scenes += scenes

    def scene_at(self, scene: str, tiles_of_scene: int) -> None:
        """Tell where the present scene is."""
        if self._callback is not None:
            self._callback(
                Progress(
                    scene=scene,
                    scenes_done=self._scenes_done,
                    scenes=self._scenes,
                    tiles_done=self._tiles_done + tiles_of_scene,
                    tiles=self._tiles,
                    seconds=time.perf_counter() - self._begin,
                )
            )

    def scene_done(self, scene: str, tiles_of_scene: int) -> None:
        """All of a scene's tiles are behind us, be they kept, dropped or not to be read."""
        self._scenes_done += 1
        self._tiles_done += tiles_of_scene
        self.scene_at(scene, 0)
