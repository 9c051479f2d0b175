"""Squares: which tiles of an area a unit shows, on the lattice and flush with its edges.

Grid tiles of a sensor overlap by more than a tile, so what sticks out of one is whole in its
neighbour. A crop or a picture of one's own has no neighbours: the ground that the lattice leaves at
its edges gets tiles of its own there, off the lattice.
"""

from __future__ import annotations

import math

import numpy as np
import shapely

from keenkite.area import Area
from keenkite.build.history import Cell, Cells
from keenkite.scene import Scene
from keenkite.tiling import Lattice
from keenkite.tiling.cutter import MAX_NODATA

SLIVER = 0.02
"""Part of a span: ground at an edge that is narrower than this gets no tile of its own."""


def lattice_squares(unit: Scene, area: Area, span: float) -> Cells:
    """The tiles of an area on the lattice that a unit shows whole, `span` metres wide."""
    if not _on_lattice(unit):
        return frozenset()  # its pixels are not those of the lattice
    lattice = Lattice(span)
    cells = lattice.cells(unit.epsg, unit.footprint, _wanted(unit, area)).tolist()
    half = lattice.pitch
    return frozenset((float(span), column * half, row * half) for column, row in cells)


def edge_squares(unit: Scene, area: Area, span: float, covered: shapely.Geometry) -> Cells:
    """Tiles flush with the edges of a crop, for ground of an area that no other tile shows.

    Args:
        unit: A crop, or a picture of one's own; a grid tile has no such tiles.
        area: What was asked for.
        span: Width of the tiles, metres.
        covered: What tiles of the unit's pass show already, in its zone.
    """
    west, south, east, north = unit.footprint.bounds
    grid = unit.sensor.grid_metres
    if grid is not None and min(east - west, north - south) >= grid:
        return frozenset()
    left = _wanted(unit, area).difference(covered)
    if _is_sliver(left, span):
        return frozenset()
    # A tile's place does not depend on the area, so that regions that meet have the same tiles.
    candidates = _candidates(unit, span)
    shapes = [square(cell) for cell in candidates]
    shapely.prepare(left)
    near = shapely.intersects(left, np.array(shapes, dtype=object)).tolist()
    return frozenset(
        cell
        for cell, shape, hit in zip(candidates, shapes, near, strict=True)
        if hit and not _is_sliver(shape.intersection(left), span)
    )


def _candidates(unit: Scene, span: float) -> list[Cell]:
    """Where tiles beside the lattice may lie: flush with an edge, and along it a span apart.

    A unit whose pixels are not those of the lattice has tiles half a span apart from its corner on.
    """
    west, south, east, north = unit.footprint.bounds
    if not _on_lattice(unit):
        xs = [*_steps(west, east, span, span / 2, origin=west), *_ends(west, east, span)]
        ys = [*_steps(-north, -south, span, span / 2, origin=-north), *_ends(-north, -south, span)]
        pairs = {(x, y) for x in xs for y in ys}
    else:
        x_ends, y_ends = _ends(west, east, span), _ends(-north, -south, span)
        xs = [*_steps(west, east, span, span, origin=0.0), *x_ends]
        ys = [*_steps(-north, -south, span, span, origin=0.0), *y_ends]
        pairs = {(x, y) for x in x_ends for y in ys} | {(x, y) for x in xs for y in y_ends}
    return sorted((float(span), x, -y) for x, y in pairs)


def _on_lattice(unit: Scene) -> bool:
    """Whether its pixels are those of the lattice."""
    return _is_multiple(unit.west, unit.metres) and _is_multiple(unit.north, unit.metres)


def _is_multiple(place: float, step: float) -> bool:
    """To a thousandth of a step: metres such as 0.6 are no round numbers in binary."""
    return abs(place / step - round(place / step)) < 1e-3


def _ends(low: float, high: float, span: float) -> list[float]:
    """Where tiles begin that are flush with the ends of an axis; one where it is no longer."""
    return [low, high - span] if high - low > span else [low]


def _steps(low: float, high: float, span: float, step: float, *, origin: float) -> list[float]:
    """Where tiles begin along an axis that lie in it whole, in steps from an origin."""
    first = math.ceil((low - origin) / step)
    last = math.floor((high - span - origin) / step)
    return [origin + number * step for number in range(first, last + 1)]


def _wanted(unit: Scene, area: Area) -> shapely.Geometry:
    # A tile whose middle holds no data at all would be dropped after it was read.
    return area.in_utm(unit.epsg).intersection(unit.ground)


def _is_sliver(ground: shapely.Geometry, span: float) -> bool:
    """Whether it is nowhere as wide as `SLIVER`: shrunk by half of that, it vanishes."""
    return bool(ground.buffer(-SLIVER / 2 * span).is_empty)


def union_of(cells: Cells) -> shapely.Geometry:
    """The ground of some squares, in their own zone; those of a row are joined first."""
    rows: dict[tuple[float, float], list[float]] = {}
    for span, west, north in cells:
        rows.setdefault((span, north), []).append(west)
    boxes = []
    for (span, north), wests in rows.items():
        begin = end = None
        for west in sorted(wests):
            if begin is None or end is None or west > end:
                if begin is not None:
                    boxes.append(shapely.box(begin, north - span, end, north))
                begin = west
            end = west + span
        boxes.append(shapely.box(begin, north - span, end, north))
    return shapely.union_all(boxes)


def is_too_small(unit: Scene, span: float) -> bool:
    """Whether even one tile over all of it would be dropped for its nodata."""
    west, south, east, north = unit.footprint.bounds
    shown = min(east - west, span) * min(north - south, span)
    return bool(shown < (1 - MAX_NODATA) * span**2)


def at_edges(unit: Scene, cells: Cells) -> int:
    """How many tiles lie beside the lattice, flush with an edge; none of a chip, which is narrower
    than two tiles and has hardly any others."""
    west, south, east, north = unit.footprint.bounds
    narrow = min(east - west, north - south)
    return sum(
        1
        for span, x, y in cells
        if narrow >= 2 * span and not (_is_multiple(x, span / 2) and _is_multiple(y, span / 2))
    )


def size_of(unit: Scene) -> str:
    """How wide and high it is, for messages."""
    west, south, east, north = unit.footprint.bounds
    return f"{east - west:,.0f} × {north - south:,.0f} m"


def square(cell: Cell) -> shapely.Polygon:
    """The ground of a tile, metres in its zone."""
    span, west, north = cell
    return shapely.box(west, north - span, west + span, north)
