"""What is tried after the plan is done, for ground that it left uncovered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import shapely

from keenkite.area import Area
from keenkite.build.coverage import Shown, kept_ground
from keenkite.build.history import Cells
from keenkite.build.plan import Plan, Planner, Work
from keenkite.build.squares import edge_squares, lattice_squares, square, union_of
from keenkite.build.units import same_pass
from keenkite.catalog.selection import is_narrow
from keenkite.scene import Scene


def second_looks(
    plan: Plan, planner: Planner, shown: Sequence[Shown]
) -> Iterator[tuple[Scene, Cells]]:
    """Squares that their unit had no data for and another unit of the same pass shows.

    Args:
        plan: What was done.
        planner: Of a build that goes on with it.
        shown: What became of it.
    """
    lost = [(each.unit, each.fate.nodata) for each in shown if each.fate.nodata]
    for unit in (work.scene for work in plan.works if lost):
        candidates = frozenset[Any]().union(
            *(cells for other, cells in lost if other is not unit and same_pass(other, unit))
        )
        if candidates and (cells := candidates & _every(unit, planner)):
            yield unit, cells


def further_scene(
    plan: Plan, planner: Planner, shown: Sequence[Shown]
) -> tuple[Scene, Cells] | None:
    """The clearest unit not tried yet that shows ground which no kept tile does, and those squares.

    The caller builds it and looks again, until nothing is left: so a scene that showed less than
    its outline said, or only cloud, does not leave a hole.
    """
    tried = {each.unit.id for each in shown}
    for unit in plan.spare:
        if unit.id in tried:
            continue
        missing = _missing(unit, planner.request.area, shown)
        if is_narrow(missing):
            continue
        cells = frozenset(
            cell
            for cell in _every(unit, planner)
            if not is_narrow(square(cell).intersection(missing))
        )
        if cells:
            return unit, cells
    return None


def again(planner: Planner, unit: Scene, cells: Cells) -> Work:
    """Some squares of a unit as work for every collection whose tiles are as wide."""
    parts = []
    for number, spans in enumerate(planner.spans):
        mine = frozenset(cell for cell in cells if cell[0] in spans)
        if mine:
            parts.append(planner.part(unit, number, mine))
    return Work(scene=unit, parts=tuple(parts))


def _every(unit: Scene, planner: Planner) -> Cells:
    """All tiles of the area that a unit shows by itself."""
    area = planner.request.area
    found = frozenset[Any]()
    for span in set[float]().union(*planner.spans):
        cells = lattice_squares(unit, area, span)
        found |= cells | edge_squares(unit, area, span, union_of(cells))
    return found


def _missing(unit: Scene, area: Area, shown: Sequence[Shown]) -> shapely.Geometry:
    wanted = area.in_utm(unit.epsg).intersection(unit.ground)
    return wanted.difference(kept_ground(unit.epsg, shown))
