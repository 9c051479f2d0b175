"""THE main path: catalog -> reader -> tiling -> encoder -> index.

A scene is the unit of work. Its tiles are written as they come; when all are in, its pixels are
put in place and a record says the scene is complete. A build that dies in between leaves tiles
whose ids do not depend on the run, so the next build does that scene again and nothing doubles.
"""

import hashlib
import json
import logging
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from keenkite.area import Area
from keenkite.catalog import Catalog, least_cloudy_cover
from keenkite.encoder import Encoder
from keenkite.errors import CatalogError, InputError, SceneError, StorageError
from keenkite.index import TileIndex
from keenkite.pixels import PixelArchive
from keenkite.build.progress import Meter, Progress, Report
from keenkite.reader import read_strips
from keenkite.scene import Scene, Strip, Window
from keenkite.tiling import Lattice, TileCutter

logger = logging.getLogger(__name__)

Choice = Literal["every-date", "least-cloudy"]

FREE_BYTES = 500_000_000
"""A build refuses to start a scene with less room on the disk than this."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a build has to do for one scene."""

    scene: Scene
    cells: NDArray[np.int64]
    """(n, 2) (column, row) of the tiles to cut: no other scene of the same pass has them."""
    key: str
    """Names this work in the index's records: the scene, its tiles and how they are cut."""
    done: bool
    """A record says that it is complete."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a build would do; nothing has been read but the catalog."""

    works: tuple[Work, ...]

    @property
    def todo(self) -> list[Work]:
        """What no earlier build has done."""
        return [work for work in self.works if not work.done]

    @property
    def tiles(self) -> int:
        """How many tiles are still to be cut, before any is dropped for cloud or nodata."""
        return sum(len(work.cells) for work in self.todo)

    def to_dict(self) -> dict[str, object]:
        """As plain types, for JSON."""
        todo = [work.scene.id for work in self.todo]
        return {"scenes": todo, "tiles": self.tiles, "done": len(self.works) - len(todo)}


def plan_build(
    index: TileIndex | None,
    area: Area,
    start: date,
    end: date,
    *,
    catalog: Catalog,
    max_cloud: float = 20.0,
    choose: Choice = "every-date",
    region: str = "default",
    lattice: Lattice | None = None,
) -> Plan:
    """What `build_index` would do with the same arguments; needs no encoder.

    Args:
        index: Knows what is done and how its tiles are cut; None where there is no index yet.
        area, start, end, catalog, max_cloud, choose, region: As for `build_index`.
        lattice: How a new index would be cut; of no account with an index.

    Raises:
        InputError: the dates are reversed, or an argument cannot be used.
        CatalogError: the catalog cannot be searched, or has no such scene.
    """
    if start > end:
        raise InputError(f"start {start} is after end {end}: swap them")
    if not 0 <= max_cloud <= 100:
        raise InputError(f"max_cloud is a percentage from 0 to 100, not {max_cloud}")
    if not region or len(region) > 100:
        raise InputError("a region needs a name of 1 to 100 characters")
    scenes = catalog.search(area, start, end, max_cloud=max_cloud)
    if choose == "least-cloudy":
        scenes = least_cloudy_cover(scenes, area)
    if index is not None:
        lattice = Lattice(*index.grid)
    works = list(_divide(index, scenes, area, lattice or Lattice(), region))
    if not works:
        raise CatalogError(
            f"no scene of this area from {start} to {end} with less than {max_cloud:g} % cloud: "
            f"check the area (longitude comes first), or ask for more dates or more cloud"
        )
    return Plan(works=tuple(works))


def build_index(
    index: TileIndex,
    encoder: Encoder,
    area: Area,
    start: date,
    end: date,
    *,
    catalog: Catalog,
    max_cloud: float = 20.0,
    choose: Choice = "every-date",
    region: str = "default",
    pixels: PixelArchive | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Report:
    """Index an area's tiles from every scene of some days that an earlier build has not done.

    Memory is bounded by the strips in flight, whatever the size of the area: see `reader`.

    Args:
        index: Where the tiles go. Its encoder must be this encoder.
        encoder: Turns tiles into vectors.
        area: Every tile whose middle (the 1120 m square round its centre) meets it.
        start: First day, UTC.
        end: Last day, UTC, included.
        catalog: Where scenes are looked up.
        max_cloud: Scenes with this percentage of cloud or more are left out.
        choose: "every-date", or "least-cloudy": the fewest, clearest scenes that cover the area.
        region: A name to find these tiles by later.
        pixels: Keeps the RGB pixels; by default a folder beside an embedded index, none by URL.
        progress: Called after each batch of tiles. What it raises stops the build; what was done
            stays.

    Raises:
        InputError, CatalogError, EncoderMismatchError: before any work starts.
        TileIndexError, StorageError: in the middle; scenes done so far stay, and a build with
            the same arguments goes on with the rest. A scene whose pixels cannot be read is no
            error: see `Report.failed`.
    """
    index.require(encoder)
    report = Report()
    with report.timed("catalog"):
        plan = plan_build(
            index, area, start, end,
            catalog=catalog, max_cloud=max_cloud, choose=choose, region=region,
        )  # fmt: skip
    pixels = pixels or PixelArchive.beside(index.folder)
    report.skipped = [work.scene.id for work in plan.works if work.done]
    meter = Meter(plan.tiles, len(plan.todo), progress)
    for work in plan.todo:
        try:
            _build_scene(work, index, encoder, pixels, region, report, meter)
            report.scenes.append(work.scene.id)
        except SceneError as error:
            logger.warning("scene left out: %s", error)
            report.failed[work.scene.id] = str(error)
        meter.scene_done(work.scene.id, len(work.cells))
    with report.timed("optimise"):
        index.maintain()
    return report


def _build_scene(
    work: Work,
    index: TileIndex,
    encoder: Encoder,
    pixels: PixelArchive | None,
    region: str,
    report: Report,
    meter: Meter,
) -> None:
    """All of one scene: strips -> tiles -> vectors -> index, then the record that it is done."""
    scene = work.scene
    _check_room(index, scene)
    lattice = Lattice(*index.grid)
    window = lattice.window(work.cells, scene)
    cutter = TileCutter(scene, work.cells, lattice, region=region)
    kept = 0
    with _kept_pixels(pixels, scene, window) as keep:
        for strip in _timed(read_strips(scene, window), report):
            keep(strip)
            for tiles, rgb in cutter.cut(strip):
                with report.timed("encode"):
                    vectors = encoder.encode_images(rgb)
                with report.timed("index"):
                    index.upsert(tiles, vectors)
                kept += len(tiles)
                meter.scene_at(scene.id, kept + sum(cutter.dropped.values()))
        if cutter.left:
            raise SceneError(f"scene {scene.id}: its pixels end {cutter.left} tiles too early")
    report.kept += kept
    report.dropped.update(cutter.dropped)
    if pixels is not None:
        report.bytes_kept += pixels.size(scene, window)
    index.mark_complete(
        work.key,
        {"scene": scene.id, "region": region, "kept": kept, "dropped": dict(cutter.dropped)},
    )


def _divide(
    index: TileIndex | None, scenes: Sequence[Scene], area: Area, lattice: Lattice, region: str
) -> Iterator[Work]:
    """Give each scene its tiles; where scenes of one pass overlap, the first by id has them.

    Neighbouring scenes of a pass show the same pixels on 17-20 % of their ground, so this saves
    reading and encoding them twice.
    """
    taken: dict[tuple[int, date, str], set[tuple[int, int]]] = {}
    for scene in sorted(scenes, key=lambda scene: (scene.datetime, scene.id)):
        # A tile whose middle holds no data at all would be dropped after it was read.
        wanted = area.in_utm(scene.epsg).intersection(scene.ground)
        cells = lattice.cells(scene.epsg, scene.footprint, wanted)
        others = taken.setdefault((scene.epsg, scene.date, scene.platform), set())
        mine = [cell for cell in map(tuple, cells.tolist()) if cell not in others]
        if not mine:
            continue
        others.update(mine)
        cells = np.array(mine, dtype=np.int64)
        fingerprint = hashlib.sha256(
            json.dumps([scene.collection, lattice.size, lattice.stride, region]).encode()
            + cells.tobytes()
        ).hexdigest()
        key = f"{scene.id}/{fingerprint[:16]}"
        done = index is not None and index.is_complete(key)
        yield Work(scene=scene, cells=cells, key=key, done=done)


def _timed(strips: Iterator[Strip], report: Report) -> Iterator[Strip]:
    """The same strips; the time spent waiting for each is the stage "read"."""
    while True:
        with report.timed("read"):
            strip = next(strips, None)
        if strip is None:
            return
        yield strip


@contextmanager
def _kept_pixels(
    pixels: PixelArchive | None, scene: Scene, window: Window
) -> Iterator[Callable[[Strip], None]]:
    """Where strips are kept, or nowhere."""
    if pixels is None:
        yield lambda _: None
    else:
        with pixels.writer(scene, window) as writer:
            yield writer.write


def _check_room(index: TileIndex, scene: Scene) -> None:
    """Refuse a scene before its first byte when the disk is nearly full."""
    if index.folder is None:
        return
    free = shutil.disk_usage(index.folder).free
    if free < FREE_BYTES:
        raise StorageError(
            f"{free / 1e6:.0f} MB are free where the index is, too little for scene {scene.id}: "
            f"free some room ({FREE_BYTES / 1e6:.0f} MB at least) and build again; "
            f"what was done is kept"
        )
