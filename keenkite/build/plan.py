"""What a build has to do, scene by scene, before any pixel is read.

A scene is the unit of work and of record. Its record says which squares of ground were cut and
what became of them, so a second region over the same ground reads only what is new and gives the
rest its label; and of two scenes of one pass that show the same ground one cuts it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from keenkite.area import Area
from keenkite.build.request import BuildRequest
from keenkite.catalog import Catalog, least_cloudy_cover
from keenkite.cloud import percent
from keenkite.errors import CatalogError, InputError
from keenkite.index import TileIndex
from keenkite.scene import Scene, Window
from keenkite.sensors import Sensor
from keenkite.tiling import Lattice

Cell: TypeAlias = tuple[float, int, int]
"""(span, column, row) in the zone of a scene."""

POINT_BYTES = 1200
"""Of a tile in an index besides its vector: payload, payload indexes, graph."""
PIXEL_BYTES = 1.8
"""Of a kept pixel of RGB and mask, compressed, of real land."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """What one collection needs of a scene."""

    number: int
    """Of the collection among those that are built into."""
    cells: frozenset[Cell]
    """To be cut: no record has them, and no other scene of this build."""
    known: Mapping[str, frozenset[Cell]]
    """Scene id -> squares that an earlier build cut from it, which only get the label."""
    key: str
    """Names this work in the collection's records: the scene, its squares and the region."""
    done: bool
    """A record says that it is complete."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a build has to do for one scene, in all collections."""

    scene: Scene
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

    def cells(self) -> dict[float, NDArray[np.int64]]:
        """Span -> (n, 2) (column, row) of what any collection needs; spans without any left out."""
        wanted: set[Cell] = set().union(*(part.cells for part in self.todo))
        found: dict[float, list[tuple[int, int]]] = {}
        for span, column, row in sorted(wanted):
            found.setdefault(span, []).append((column, row))
        return {span: np.array(cells, np.int64) for span, cells in found.items()}

    def window(self) -> Window | None:
        """The pixels that these need; None where nothing has to be read."""
        windows = [Lattice(span).window(cells, self.scene) for span, cells in self.cells().items()]
        if not windows:
            return None
        row, col = min(w.row for w in windows), min(w.col for w in windows)
        return Window(
            row=row,
            col=col,
            rows=max(w.row + w.rows for w in windows) - row,
            cols=max(w.col + w.cols for w in windows) - col,
        )


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a build would do; nothing has been read but the catalog."""

    works: tuple[Work, ...]
    spans: tuple[float, ...]
    """Widths of the tiles, metres."""
    dims: tuple[int, ...]
    """Length of a vector, for each collection."""

    @property
    def todo(self) -> list[Work]:
        """What no earlier build has done."""
        return [work for work in self.works if not work.done]

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
        todo = [work.scene.id for work in self.todo]
        return {
            "scenes": todo,
            "tiles": self.tiles,
            "done": len(self.works) - len(todo),
            "spans": list(self.spans),
            "models": len(self.dims),
            "disk_bytes": self.disk_bytes,
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
        CatalogError: the catalog cannot be searched, or has no such scene.
    """
    scenes = catalog.search(request.area, request.start, request.end, max_cloud=request.max_cloud)
    if request.choose == "least-cloudy":
        scenes = least_cloudy_cover(scenes, request.area)
    if not scenes:
        raise CatalogError(
            f"no scene of this area from {request.start} to {request.end} with at most "
            f"{percent(float(request.max_cloud))} cloud: check the area (longitude comes first), "
            f"or ask for more dates or more cloud"
        )
    spans = [spans_of(request, index, scenes[0].sensor) for index in indexes]
    histories = [History.of(index) for index in indexes]
    works = tuple(_divide(scenes, request, spans, histories))
    if not works:
        raise CatalogError(
            f"none of {len(scenes)} scenes shows a whole tile of this area: tiles are "
            f"{max(map(max, spans)):g} m wide, so choose a larger area or scenes that cover it"
        )
    dims = tuple(dim if index is None else index.dim for index in indexes)
    return Plan(works=works, spans=tuple(sorted(set().union(*spans))), dims=dims)


def spans_of(request: BuildRequest, index: TileIndex | None, sensor: Sensor) -> tuple[float, ...]:
    """Widths of the tiles that a build cuts for a collection.

    Raises:
        InputError: one is not the sensor's own, or a half or a double of it.
    """
    spans = request.spans or (index.spans if index is not None else ()) or (sensor.span,)
    for span in spans:
        steps = np.log2(span / sensor.span) if span > 0 else np.nan
        if not steps == round(steps) if np.isfinite(steps) else True:
            raise InputError(
                f"a span of {span:g} m does not fit the lattice of {sensor.title}: take "
                f"{sensor.span:g} m, halves ({sensor.span / 2:g}) or doubles ({2 * sensor.span:g})"
            )
    return tuple(spans)


@dataclass(frozen=True, kw_only=True)
class Done:
    """What a record says of a scene."""

    scene: str
    moment: datetime
    platform: str
    epsg: int
    settled: frozenset[Cell]
    """Squares that were kept, or dropped for cloud: another scene of the pass shows the same."""
    empty: frozenset[Cell]
    """Squares dropped for nodata: another scene of the pass may show them."""

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "scene": self.scene,
            "datetime": self.moment.isoformat(),
            "platform": self.platform,
            "epsg": self.epsg,
            "settled": packed(self.settled),
            "empty": packed(self.empty),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Done:
        """The inverse of `to_json`."""
        return cls(
            scene=value["scene"],
            moment=datetime.fromisoformat(value["datetime"]),
            platform=value["platform"],
            epsg=value["epsg"],
            settled=unpacked(value["settled"]),
            empty=unpacked(value["empty"]),
        )


@dataclass(kw_only=True)
class History:
    """What earlier builds of a collection did, and what this one has given out."""

    keys: frozenset[str] = frozenset()
    """Of complete works."""
    done: list[Done] = field(default_factory=list)

    @classmethod
    def of(cls, index: TileIndex | None) -> History:
        """From the records of a collection."""
        records = {} if index is None else index.complete()
        done = [Done.from_json(info) for info in records.values()]
        return cls(keys=frozenset(records), done=done)

    def known(self, scene: Scene, cells: frozenset[Cell]) -> dict[str, frozenset[Cell]]:
        """Scene id -> which squares were cut already from it: this scene, or others of its pass."""
        reach = timedelta(minutes=scene.sensor.pass_minutes)
        left, found = set(cells), dict[str, set[Cell]]()
        for each in self.done:
            same_pass = (each.platform, each.epsg) == (scene.platform, scene.epsg)
            if not same_pass or abs(each.moment - scene.datetime) > reach:
                continue
            own = (each.scene, each.moment) == (scene.id, scene.datetime)
            here = left & (each.settled | each.empty if own else each.settled)
            if here:
                found.setdefault(each.scene, set()).update(here)
                left -= here
        return {name: frozenset(some) for name, some in found.items()}


def _divide(
    scenes: Sequence[Scene],
    request: BuildRequest,
    spans: Sequence[tuple[float, ...]],
    histories: Sequence[History],
) -> Iterator[Work]:
    """Give each scene its tiles; where scenes of one pass overlap, the first by time has them.

    Neighbouring scenes of a pass show the same pixels on 17-20 % of their ground, so this saves
    reading and encoding them twice.
    """
    given: list[dict[str, set[Cell]]] = [{} for _ in histories]
    for scene in sorted(scenes, key=lambda scene: (scene.datetime, scene.id)):
        shown = {span: _shown(scene, request.area, span) for span in set().union(*spans)}
        parts = []
        for number, history in enumerate(histories):
            cells = frozenset().union(*(shown[span] for span in spans[number]))
            others = given[number].setdefault(_pass_of(scene, scenes), set())
            mine = cells - others
            others |= mine
            if mine:
                parts.append(_part(number, scene, mine, history, request.region))
        if parts:
            yield Work(scene=scene, parts=tuple(parts))


def _part(number: int, scene: Scene, cells: frozenset[Cell], history: History, region: str) -> Part:
    # Spans as floats: 2240 and 2240.0 are the same.
    squares = sorted((float(span), column, row) for span, column, row in cells)
    facts = [scene.collection, scene.datetime.isoformat(), region, squares]
    fingerprint = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]
    key = f"{scene.id}/{fingerprint}"
    known = history.known(scene, cells)
    return Part(
        number=number,
        cells=cells.difference(*known.values()),
        known=known,
        key=key,
        done=key in history.keys,
    )


def _shown(scene: Scene, area: Area, span: float) -> frozenset[Cell]:
    """The tiles of an area that a scene shows."""
    # A tile whose middle holds no data at all would be dropped after it was read.
    wanted = area.in_utm(scene.epsg).intersection(scene.ground)
    cells = Lattice(span).cells(scene.epsg, scene.footprint, wanted)
    return frozenset((span, column, row) for column, row in cells.tolist())


def _pass_of(scene: Scene, scenes: Sequence[Scene]) -> str:
    """Names the pass of a scene in its zone: one platform within some minutes of the first."""
    reach = timedelta(minutes=scene.sensor.pass_minutes)
    first = min(
        other.datetime
        for other in scenes
        if (other.platform, other.epsg) == (scene.platform, scene.epsg)
        and abs(other.datetime - scene.datetime) <= reach
    )
    return f"{scene.platform} {scene.epsg} {first.isoformat()}"


def packed(cells: frozenset[Cell]) -> dict[str, str]:
    """Span -> columns and rows as a short text."""
    found: dict[str, list[tuple[int, int]]] = {}
    for span, column, row in sorted(cells, key=lambda cell: (cell[0], cell[2], cell[1])):
        found.setdefault(repr(span), []).append((column, row))
    return {
        # Differences, since on a lattice they repeat.
        span: base64.b64encode(
            zlib.compress(np.diff(np.array(some, "<i8"), axis=0, prepend=0).tobytes())
        ).decode()
        for span, some in found.items()
    }


def unpacked(texts: Mapping[str, str]) -> frozenset[Cell]:
    """The inverse of `packed`."""
    found: set[Cell] = set()
    for span, text in texts.items():
        steps = np.frombuffer(zlib.decompress(base64.b64decode(text)), "<i8").reshape(-1, 2)
        width = float(span)
        number = int(width) if width.is_integer() else width
        found.update((number, column, row) for column, row in steps.cumsum(axis=0).tolist())
    return frozenset(found)
