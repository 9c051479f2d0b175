"""What a build has to do, unit by unit, before any pixel is read."""

from __future__ import annotations

import hashlib
import json
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keenkite.build.history import Cells, Done, Fate, History
from keenkite.build.request import BuildRequest
from keenkite.build.squares import edge_squares, is_too_small, lattice_squares, size_of, union_of
from keenkite.build.units import same_pass, units
from keenkite.catalog import Catalog, account_of, least_cloudy_cover
from keenkite.catalog.selection import clearness
from keenkite.cloud import percent
from keenkite.errors import CatalogError, InputError
from keenkite.index import TileIndex
from keenkite.scene import Scene, Window
from keenkite.sensors import Sensor
from keenkite.tiling import hull, window_of

logger = logging.getLogger(__name__)

POINT_BYTES = 1200
"""Of a tile in an index besides its vector: payload, payload indexes, graph."""
PIXEL_BYTES = 1.8
"""Of a kept pixel of RGB and mask, compressed, of real land."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """What one collection needs of a unit."""

    number: int
    """Of the collection among those that are built into."""
    cells: Cells
    """To be cut: no record has them, and no other unit of this build."""
    known: Mapping[str, Cells]
    """Scene id -> squares that an earlier build cut from it, which only get the label."""
    fate: Fate
    """What became of the known ones."""
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


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a build would do; nothing has been read but the catalog."""

    works: tuple[Work, ...]
    spare: tuple[Scene, ...]
    """Units that are built only for ground that the works leave uncovered, in this order."""
    collection_spans: tuple[tuple[float, ...], ...]
    """Widths of the tiles, metres, for each collection."""
    dims: tuple[int, ...]
    """Length of a vector, for each collection."""
    small: tuple[Scene, ...] = ()
    """Units that are smaller than a tile, and left out."""

    @property
    def todo(self) -> list[Work]:
        """What no earlier build has done."""
        return [work for work in self.works if not work.done]

    @property
    def spans(self) -> tuple[float, ...]:
        """Widths of the tiles, metres, in all collections."""
        return tuple(sorted(set[float]().union(*self.collection_spans)))

    @property
    def scenes_done(self) -> list[str]:
        """Ids of the scenes that are complete."""
        return [scene for work in self.works if work.done for scene in work.scene.scene_ids]

    @property
    def tiles(self) -> int:
        """Tiles still to be cut and encoded, in all spans and collections, before any is dropped
        for cloud or nodata."""
        return sum(work.tiles for work in self.todo)

    @property
    def disk_bytes(self) -> int:
        """Room that it takes, about: vectors and what is kept with them, and pixels once."""
        points = sum(
            len(part.cells) * (5 * self.dims[part.number] + POINT_BYTES)
            for work in self.todo
            for part in work.todo
        )
        windows = [window for work in self.todo if (window := work.window()) is not None]
        return round(points + PIXEL_BYTES * sum(w.rows * w.cols for w in windows))

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "scenes": [scene for work in self.todo for scene in work.scene.scene_ids],
            "tiles": self.tiles,
            "done": len(self.scenes_done),
            "spans": list(self.spans),
            "models": len(self.dims),
            "disk_bytes": self.disk_bytes,
            "too_small": {unit.id: size_of(unit) for unit in self.small},
        }


def plan_build(
    request: BuildRequest,
    *,
    catalog: Catalog,
    indexes: Sequence[TileIndex | None],
    dim: int = 512,
) -> Plan:
    """What `build` would do; needs no encoder.

    Args:
        request: What is asked for.
        catalog: Where scenes are looked up.
        indexes: The collections to build into; they know what is done. None for one that is not
            there yet.
        dim: Length of a vector of those that are not there yet, for the room they take.

    Raises:
        InputError: the spans are not those of the sensor's lattice.
        CatalogError: the catalog cannot be searched, or has no scene for this.
    """
    scenes = catalog.search(request.area, request.start, request.end, max_cloud=request.max_cloud)
    if not scenes:
        raise CatalogError(
            f"no scene of this area from {request.start} to {request.end} with at most "
            f"{percent(float(request.max_cloud))} cloud: {account_of(scenes)}check the area "
            f"(longitude comes first), or ask for more dates or more cloud"
        )
    every = units(scenes)
    spans = [spans_of(request, index, every[0].sensor) for index in indexes]
    small = _too_small(every, spans)
    chosen = [unit for unit in every if unit not in small]
    spare: list[Scene] = []
    if request.choose == "least-cloudy":
        by_cloud = sorted(chosen, key=clearness)
        chosen = least_cloudy_cover(chosen, request.area) or by_cloud[:1]
        spare = [unit for unit in by_cloud if unit not in chosen]
    planner = Planner(request=request, spans=spans, histories=[History.of(i) for i in indexes])
    works = tuple(planner.works(chosen))
    if not works:
        raise CatalogError(_nothing_fits(every, small, spans))
    dims = tuple(dim if index is None else index.dim for index in indexes)
    return Plan(
        works=works,
        spare=tuple(spare),
        collection_spans=tuple(spans),
        dims=dims,
        small=small,
    )


def spans_of(request: BuildRequest, index: TileIndex | None, sensor: Sensor) -> tuple[float, ...]:
    """Widths of the tiles that a build cuts for a collection.

    Raises:
        InputError: one is not the sensor's own, or a half or a double of it.
    """
    own = index.spans if index is not None and index.sensor.name == sensor.name else ()
    if not request.spans and not all(_fits(span, sensor) for span in own):
        own = ()  # of imagery of the same kind at another resolution
    spans = request.spans or own or (sensor.span,)
    for span in spans:
        if not _fits(span, sensor):
            raise InputError(
                f"a span of {span:g} m does not fit the lattice of {sensor.title}: take "
                f"{sensor.span:g} m, halves ({sensor.span / 2:g}) or doubles ({2 * sensor.span:g})"
            )
    return tuple(float(span) for span in spans)


def _fits(span: float, sensor: Sensor) -> bool:
    """Whether tiles of this width lie on the sensor's lattice: its own, by a power of two."""
    if not 0 < span < math.inf:
        return False
    steps = math.log2(span / sensor.span)
    return abs(steps - round(steps)) < 1e-9


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
        known, fate = history.known(unit, cells)
        return Part(
            number=number,
            cells=cells.difference(*known.values()),
            known=known,
            fate=fate,
            older=tuple(history.older(unit)),
            key=key,
            done=key in history.keys,
        )


def _too_small(every: Sequence[Scene], spans: Sequence[tuple[float, ...]]) -> tuple[Scene, ...]:
    """Units that no tile of any span fits on."""
    least = min(map(min, spans))
    small = tuple(unit for unit in every if is_too_small(unit, least))
    for unit in small:
        logger.warning(
            "scene %s is %s: too small for a tile of %g m, so it is left out",
            unit.id, size_of(unit), least,
        )  # fmt: skip
    return small


def _nothing_fits(
    every: Sequence[Scene], small: Sequence[Scene], spans: Sequence[tuple[float, ...]]
) -> str:
    least = min(map(min, spans))
    if small:
        named = ", ".join(f"{unit.id} ({size_of(unit)})" for unit in small[:5])
        return (
            f"{len(small)} of {len(every)} scenes are smaller than a tile of {least:g} m: {named}. "
            f"Use larger scenes, or narrower tiles ({least / 2:g} m)"
        )
    return (
        f"none of {len(every)} scenes shows a whole tile of this area: tiles are {least:g} m "
        f"wide, so choose a larger area or scenes that cover it"
    )
