"""One unit of a build: strips -> tiles -> vectors -> collections, then the record of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import numpy as np

from keenkite.build.history import Cell, Cells, Done, Fate
from keenkite.build.plan import Part, Work
from keenkite.build.progress import Meter, Report
from keenkite.build.squares import at_edges
from keenkite.encoder import Encoder, bands_of
from keenkite.errors import SceneError
from keenkite.files import require_room
from keenkite.index import Filters, TileIndex
from keenkite.pixels import PixelArchive
from keenkite.reader import read_strips
from keenkite.scene import Scene, Strip, Window
from keenkite.sensors import COLOURS, Sensor
from keenkite.tiling import Tile, TileCutter
from keenkite.tiling.cutter import Cut

FREE_BYTES = 500_000_000
"""A build refuses to start a scene with less room on the disk than this."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """A collection to build into, and the encoder of its vectors."""

    index: TileIndex
    encoder: Encoder


@dataclass(kw_only=True)
class _Count:
    """What becomes of a unit's tiles in one collection."""

    kept: set[Cell] = field(default_factory=set)
    lost: dict[str, set[Cell]] = field(default_factory=dict)

    def fate(self) -> Fate:
        return Fate(
            kept=frozenset(self.kept),
            cloud=frozenset(self.lost.get("cloud", ())),
            nodata=frozenset(self.lost.get("nodata", ())),
        )


@dataclass(frozen=True, kw_only=True)
class Building:
    """What all units of a build share."""

    targets: Sequence[Target]
    region: str
    pixels: PixelArchive | None
    report: Report
    meter: Meter


def build_scene(work: Work, building: Building) -> dict[int, Fate]:
    """Do all of one unit, in every collection that has not got it.

    Returns:
        Number of the collection -> what became of its squares, the known ones too.

    Raises:
        SceneError: its pixels cannot be read; tiles written so far stay and are written again.
        TileIndexError, StorageError: an index or the archive cannot be written.
    """
    unit, report = work.scene, building.report
    for part in work.todo:
        if (folder := building.targets[part.number].index.folder) is not None:
            require_room(folder, FREE_BYTES, f"scene {unit.id}")
    counts = {part.number: _Count() for part in work.todo}
    window = work.window()
    if window is not None:
        _read(work, window, building, counts)
    fates = {}
    for part in work.todo:
        index, cut = building.targets[part.number].index, counts[part.number].fate()
        report.labelled += _label(index, unit, part, building.region)
        _retire(index, unit, part, cut.kept)
        dropped = {why: len(getattr(cut, why)) for why in ("nodata", "cloud")}
        report.dropped.update({why: number for why, number in dropped.items() if number})
        report.kept += len(cut.kept)
        report.edges += at_edges(unit, cut.kept)
        fates[part.number] = cut | part.fate
        done = Done(
            scenes=unit.scene_ids,
            version=unit.version,
            moment=unit.datetime,
            platform=unit.platform,
            epsg=unit.epsg,
            fate=fates[part.number],
        )
        facts = {"region": building.region, "kept": len(cut.kept), "dropped": dropped}
        index.mark_complete(part.key, done.to_json() | facts)
    if building.pixels is not None and window is not None:
        report.bytes_kept += building.pixels.size(unit, window)
    return fates


def _read(work: Work, window: Window, building: Building, counts: dict[int, _Count]) -> None:
    """Read a window once and give its tiles to every collection that needs them."""
    unit, report = work.scene, building.report
    targets = [building.targets[part.number] for part in work.todo]
    bands = _bands(unit.sensor, targets)
    cutters = [
        TileCutter(unit, corners, span, regions=(building.region,))
        for span, corners in work.corners().items()
    ]
    with _kept_pixels(building.pixels, unit, window, bands) as keep:
        for strip in _timed(read_strips(unit, window, bands=bands), report):
            keep(strip)
            for cutter in cutters:
                for cut in cutter.cut(strip):
                    _write(cut, work, building, counts, bands)
                    building.meter.scene_at(unit.id, _tiles_done(work, cutters, counts))
        if left := sum(cutter.left for cutter in cutters):
            raise SceneError(f"scene {unit.id}: its pixels end {left} tiles too early")
    for part in work.todo:
        for cutter in cutters:
            for why, corners in cutter.lost.items():
                lost = {(cutter.span, *corner) for corner in corners} & part.cells
                counts[part.number].lost.setdefault(why, set()).update(lost)


def _write(
    cut: Cut, work: Work, building: Building, counts: dict[int, _Count], bands: Sequence[str]
) -> None:
    """Encode and write some tiles in each collection that needs them."""
    cells = [cell_of(tile) for tile in cut.tiles]
    for part in work.todo:
        target = building.targets[part.number]
        wanted = [n for n, cell in enumerate(cells) if cell in part.cells]
        if not wanted:
            continue
        own = bands_of(target.encoder)
        shown = cut.rgb if own is None else cut.bands
        assert shown is not None, "the bands of every encoder are read"
        if own is not None and tuple(own) != tuple(bands):
            shown = shown[..., [list(bands).index(name) for name in own]]
        if len(wanted) < len(cut.tiles):
            shown = shown[wanted]
        with building.report.timed("encode"):
            vectors = target.encoder.encode_images(np.ascontiguousarray(shown))
        with building.report.timed("index"):
            target.index.upsert([cut.tiles[n] for n in wanted], vectors)
        counts[part.number].kept.update(cells[n] for n in wanted)


def _label(index: TileIndex, unit: Scene, part: Part, region: str) -> int:
    """Give tiles of earlier builds the region's name; how many there are."""
    found = 0
    for scene_id, cells in part.known.items():
        tiles = [
            tile.id
            for tile in index.scroll(Filters(scenes=(scene_id,)))
            if cell_of(tile) in cells and _of_pass(tile, unit)
        ]
        index.label(tiles, region)
        found += len(tiles)
    return found


def _retire(index: TileIndex, unit: Scene, part: Part, kept: Cells) -> None:
    """Take away the tiles that this unit had on the same squares before it was processed again.

    Those of the same time were replaced when they were written; here go those that are dropped
    now, and those of another time, whose labels go to what took their place.
    """
    for old in part.older:
        stale, heirs = [], dict[str, list[str]]()
        for tile in index.scroll(Filters(scenes=(old.scenes[0],))):
            cell = cell_of(tile)
            if cell not in part.cells or not _of_pass(tile, unit):
                continue
            if tile.datetime == unit.datetime and cell in kept:
                continue
            stale.append(tile)
            if cell in kept:
                heir = Tile.at(
                    epsg=tile.epsg, span=tile.span, west=tile.west, north=tile.north,
                    datetime=unit.datetime, platform=tile.platform, collection=tile.collection,
                    scene_ids=tile.scene_ids,
                )  # fmt: skip
                for region in tile.regions:
                    heirs.setdefault(region, []).append(heir.id)
        for region, tiles in heirs.items():
            index.label(tiles, region)
        index.retire(stale, [key for key, info in index.complete().items() if _is(info, old)])


def _is(info: dict[str, object], old: Done) -> bool:
    return (info["version"], info["datetime"]) == (old.version, old.moment.isoformat())


def _of_pass(tile: Tile, unit: Scene) -> bool:
    apart = abs(tile.datetime - unit.datetime)
    return (tile.epsg, tile.platform) == (unit.epsg, unit.platform) and apart <= timedelta(
        minutes=unit.sensor.pass_minutes
    )


def cell_of(tile: Tile) -> Cell:
    """The square of ground of a tile."""
    return float(tile.span), float(tile.west), float(tile.north)


def _bands(sensor: Sensor, targets: Sequence[Target]) -> tuple[str, ...]:
    """All bands that an encoder wants, and then the colours too; none where RGB is enough."""
    wanted = [name for target in targets for name in bands_of(target.encoder) or ()]
    colours = [band.name for band in sensor.bands if band.key in COLOURS]
    return tuple(dict.fromkeys([*wanted, *colours])) if wanted else ()


def _tiles_done(work: Work, cutters: Sequence[TileCutter], counts: dict[int, _Count]) -> int:
    """Tiles of the unit that are behind us, in all collections."""
    dropped = sum(sum(cutter.dropped.values()) for cutter in cutters) * len(work.todo)
    return min(sum(len(count.kept) for count in counts.values()) + dropped, work.tiles)


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
    pixels: PixelArchive | None, unit: Scene, window: Window, bands: Sequence[str]
) -> Iterator[Callable[[Strip], None]]:
    """Where strips are kept, or nowhere."""
    if pixels is None or pixels.has(unit, window, bands):
        yield lambda _: None
    else:
        with pixels.writer(unit, window, bands=bands) as writer:
            yield writer.write
