"""What a build has to do, unit by unit, before any pixel is read."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from keenkite.build.history import History
from keenkite.build.planner import Planner
from keenkite.build.request import BuildRequest
from keenkite.build.squares import is_too_small, size_of
from keenkite.build.units import units
from keenkite.build.work import Work
from keenkite.catalog import Catalog, account_of, least_cloudy_cover
from keenkite.catalog.selection import clearness
from keenkite.cloud import percent
from keenkite.errors import CatalogError, InputError
from keenkite.index import TileIndex
from keenkite.scene import Scene
from keenkite.sensors import Sensor

logger = logging.getLogger(__name__)

POINT_BYTES = 1200
"""Of a tile in an index besides its vector: payload, payload indexes, graph."""
PIXEL_BYTES = 1.8
"""Of a kept pixel of RGB and mask, compressed, of real land."""


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
    kinds = sorted({unit.sensor.title for unit in every})
    if len(kinds) > 1:
        raise InputError(
            f"the catalogue answers with imagery of {' and '.join(kinds)}, and a collection holds "
            "one kind: name one with --stac-collection, or build from one folder at a time"
        )
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
