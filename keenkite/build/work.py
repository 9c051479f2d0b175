"""Work: what a build has to do for one unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keenkite.build.history import Cells, Done, Fate
from keenkite.scene import Scene, Window
from keenkite.tiling import hull, window_of


@dataclass(frozen=True, kw_only=True)
class Part:
    """What one collection needs of a unit."""

    number: int
    """Of the collection among those that are built into."""
    cells: Cells
    """To be cut: no record has them, and no other unit of this build."""
    fate: Fate
    """What became of the squares that an earlier build cut, which only get the label."""
    older: tuple[Done, ...]
    """Records of the unit before its products were processed again, or became more."""
    key: str
    """Names this work in the collection's records: the unit, its squares and the region."""
    done: bool
    """A record says that it is complete."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a build has to do for one unit, in all collections."""

    scene: Scene
    """The unit: a scene, or several products of a pass as one."""
    parts: tuple[Part, ...]

    @property
    def todo(self) -> tuple[Part, ...]:
        """The parts that are not done."""
        return tuple(part for part in self.parts if not part.done)

    @property
    def done(self) -> bool:
        """Whether records say that it is complete in every collection."""
        return not self.todo

    @property
    def tiles(self) -> int:
        """Tiles to cut and encode, in all collections."""
        return sum(len(part.cells) for part in self.todo)

    def corners(self) -> dict[float, NDArray[np.float64]]:
        """Span -> (n, 2) upper left corners, metres, of what any collection needs."""
        wanted = frozenset[Any]().union(*(part.cells for part in self.todo))
        found: dict[float, list[tuple[float, float]]] = {}
        for span, west, north in sorted(wanted):
            found.setdefault(span, []).append((west, north))
        return {span: np.array(cells, np.float64) for span, cells in found.items()}

    def window(self) -> Window | None:
        """The pixels that these need; None where nothing has to be read."""
        return hull(window_of(self.scene, at, span) for span, at in self.corners().items())
