"""Planner: which unit has which tiles."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from keenkite.build.history import Cells, History
from keenkite.build.request import BuildRequest
from keenkite.build.squares import edge_squares, lattice_squares, union_of
from keenkite.build.units import same_pass
from keenkite.build.work import Part, Work
from keenkite.scene import Scene


@dataclass(kw_only=True)
class Planner:
    """Gives units their tiles, each square of a pass to one of them."""

    request: BuildRequest
    spans: Sequence[tuple[float, ...]]
    """For each collection."""
    histories: Sequence[History]
    """Of each collection."""
    given: list[tuple[Scene, int, Cells]] = field(default_factory=list)
    """What was given out: unit, number of the collection, squares."""

    def works(self, chosen: Sequence[Scene]) -> Iterator[Work]:
        """Where units of one pass overlap, the first by time has the squares.

        Neighbouring scenes of a pass show the same pixels on 17-20 % of their ground, so this
        saves reading and encoding them twice.
        """
        ordered = sorted(chosen, key=lambda unit: (unit.datetime, unit.id))
        mine = [self._lattice(unit) for unit in ordered]
        for place, unit in enumerate(ordered):
            parts = []
            for number, spans in enumerate(self.spans):
                near = [
                    cells[number]
                    for other, cells in zip(ordered, mine, strict=True)
                    if same_pass(other, unit)
                ]
                edge = self._edge(unit, spans, frozenset[Any]().union(*near))
                cells = mine[place][number] | edge
                mine[place][number] = cells
                if cells:
                    parts.append(self.part(unit, number, cells))
            if parts:
                yield Work(scene=unit, parts=tuple(parts))

    def _lattice(self, unit: Scene) -> list[Cells]:
        """Squares on the lattice, for each collection, that no unit of the pass has yet."""
        every = {
            span: lattice_squares(unit, self.request.area, span)
            for span in set[float]().union(*self.spans)
        }
        found = []
        for number, spans in enumerate(self.spans):
            taken = [
                cells
                for other, collection, cells in self.given
                if collection == number and same_pass(other, unit)
            ]
            cells = frozenset[Any]().union(*(every[span] for span in spans))
            found.append(cells.difference(*taken))
            self.given.append((unit, number, found[-1]))
        return found

    def _edge(self, unit: Scene, spans: tuple[float, ...], near: Cells) -> Cells:
        """Squares flush with the edges of a crop, beside those that its pass has near it."""
        found = frozenset[Any]()
        for span in spans:
            covered = union_of(frozenset(cell for cell in near if cell[0] == span))
            found |= edge_squares(unit, self.request.area, span, covered)
        return found

    def part(self, unit: Scene, number: int, cells: Cells) -> Part:
        """What a collection needs of some squares of a unit."""
        history, region = self.histories[number], self.request.region
        facts = [unit.version, unit.datetime.isoformat(), region, sorted(cells)]
        fingerprint = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]
        key = f"{unit.id}/{fingerprint}"
        fate = history.known(unit, cells)
        return Part(
            number=number,
            cells=cells - fate.cut,
            fate=fate,
            older=tuple(history.older(unit)),
            key=key,
            done=key in history.keys,
        )
