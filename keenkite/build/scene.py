"""One scene of a build: strips -> tiles -> vectors -> collections, then the record of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import numpy as np

from keenkite.build.plan import Cell, Done, Part, Work
from keenkite.build.progress import Meter, Report
from keenkite.encoder import Encoder, bands_of
from keenkite.errors import SceneError
from keenkite.files import require_room
from keenkite.index import Filters, TileIndex
from keenkite.pixels import PixelArchive
from keenkite.reader import read_strips
from keenkite.scene import Scene, Strip, Window
from keenkite.sensors import COLOURS, Sensor
from keenkite.tiling import Lattice, Tile, TileCutter
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
    """What became of a scene's tiles in one collection."""

    kept: int = 0
    lost: dict[str, set[Cell]] = field(default_factory=dict)


def build_scene(
    work: Work,
    targets: Sequence[Target],
    *,
    region: str,
    pixels: PixelArchive | None,
    report: Report,
    meter: Meter,
) -> None:
    """Do all of one scene, in every collection that has not got it.

    Raises:
        SceneError: its pixels cannot be read; tiles written so far stay and are written again.
        TileIndexError, StorageError: an index or the archive cannot be written.
    """
    scene = work.scene
    for part in work.todo:
        if (folder := targets[part.number].index.folder) is not None:
            require_room(folder, FREE_BYTES, f"scene {scene.id}")
    counts = {part.number: _Count() for part in work.todo}
    window = work.window()
    if window is not None:
        _read(work, window, targets, counts, region=region, pixels=pixels, report=report,
              meter=meter)  # fmt: skip
    for part in work.todo:
        index, count = targets[part.number].index, counts[part.number]
        report.labelled += _label(index, scene, part, region)
        dropped = {why: len(cells) for why, cells in count.lost.items() if cells}
        report.kept += count.kept
        report.dropped.update(dropped)
        empty = frozenset(count.lost.get("nodata", ()))
        done = Done(
            scene=scene.id,
            moment=scene.datetime,
            platform=scene.platform,
            epsg=scene.epsg,
            settled=part.cells.union(*part.known.values()) - empty,
            empty=empty,
        )
        facts = {"region": region, "kept": count.kept, "dropped": dropped}
        index.mark_complete(part.key, done.to_json() | facts)
    if pixels is not None and window is not None:
        report.bytes_kept += pixels.size(scene, window)


def _read(
    work: Work,
    window: Window,
    targets: Sequence[Target],
    counts: dict[int, _Count],
    *,
    region: str,
    pixels: PixelArchive | None,
    report: Report,
    meter: Meter,
) -> None:
    """Read a window once and give its tiles to every collection that needs them."""
    scene = work.scene
    bands = _bands(scene.sensor, [targets[part.number] for part in work.todo])
    cutters = [
        TileCutter(scene, cells, Lattice(span), regions=(region,))
        for span, cells in work.cells().items()
    ]
    with _kept_pixels(pixels, scene, window, bands) as keep:
        for strip in _timed(read_strips(scene, window, bands=bands), report):
            keep(strip)
            for cutter in cutters:
                for cut in cutter.cut(strip):
                    _write(cut, work, targets, counts, bands, report)
                    meter.scene_at(scene.id, _tiles_done(work, cutters, counts))
        if left := sum(cutter.left for cutter in cutters):
            raise SceneError(f"scene {scene.id}: its pixels end {left} tiles too early")
    for part in work.todo:
        for cutter in cutters:
            for why, cells in cutter.lost.items():
                lost = {(cutter.span, *cell) for cell in cells} & part.cells
                counts[part.number].lost.setdefault(why, set()).update(lost)


def _write(
    cut: Cut,
    work: Work,
    targets: Sequence[Target],
    counts: dict[int, _Count],
    bands: Sequence[str],
    report: Report,
) -> None:
    """Encode and write some tiles in each collection that needs them."""
    for part in work.todo:
        target = targets[part.number]
        wanted = [n for n, tile in enumerate(cut.tiles) if _cell(tile) in part.cells]
        if not wanted:
            continue
        own = bands_of(target.encoder)
        shown = cut.rgb if own is None else cut.bands
        assert shown is not None, "the bands of every encoder are read"
        if own is not None and tuple(own) != tuple(bands):
            shown = shown[..., [list(bands).index(name) for name in own]]
        if len(wanted) < len(cut.tiles):
            shown = shown[wanted]
        with report.timed("encode"):
            vectors = target.encoder.encode_images(np.ascontiguousarray(shown))
        with report.timed("index"):
            target.index.upsert([cut.tiles[n] for n in wanted], vectors)
        counts[part.number].kept += len(wanted)


def _label(index: TileIndex, scene: Scene, part: Part, region: str) -> int:
    """Give tiles of earlier builds the region's name; how many there are."""
    found = 0
    for scene_id, cells in part.known.items():
        tiles = [
            tile.id
            for tile in index.scroll(Filters(scenes=(scene_id,)))
            if _cell(tile) in cells and _same_pass(tile, scene)
        ]
        index.label(tiles, region)
        found += len(tiles)
    return found


def _same_pass(tile: Tile, scene: Scene) -> bool:
    apart = abs(tile.datetime - scene.datetime)
    return (tile.epsg, tile.platform) == (scene.epsg, scene.platform) and apart <= timedelta(
        minutes=scene.sensor.pass_minutes
    )


def _cell(tile: Tile) -> Cell | None:
    if tile.column is None or tile.row is None:
        return None
    return tile.span, tile.column, tile.row


def _bands(sensor: Sensor, targets: Sequence[Target]) -> tuple[str, ...]:
    """All bands that an encoder wants, and then the colours too; none where RGB is enough."""
    wanted = [name for target in targets for name in bands_of(target.encoder) or ()]
    colours = [band.name for band in sensor.bands if band.key in COLOURS]
    return tuple(dict.fromkeys([*wanted, *colours])) if wanted else ()


def _tiles_done(work: Work, cutters: Sequence[TileCutter], counts: dict[int, _Count]) -> int:
    """Tiles of the scene that are behind us, in all collections."""
    dropped = sum(sum(cutter.dropped.values()) for cutter in cutters) * len(work.todo)
    return min(sum(count.kept for count in counts.values()) + dropped, work.tiles)


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
    pixels: PixelArchive | None, scene: Scene, window: Window, bands: Sequence[str]
) -> Iterator[Callable[[Strip], None]]:
    """Where strips are kept, or nowhere."""
    if pixels is None or pixels.has(scene, window, bands):
        yield lambda _: None
    else:
        with pixels.writer(scene, window, bands=bands) as writer:
            yield writer.write
