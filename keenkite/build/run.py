"""THE main path: catalog -> reader -> tiling -> encoder -> index.

A scene is the unit of work. Its tiles are written as they come; when all are in, its pixels are
put in place and a record says the scene is complete. A build that dies in between leaves tiles
whose ids do not depend on the run, so the next build does that scene again and nothing doubles.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import date

from keenkite.area import Area
from keenkite.build.coverage import WARN_PERCENT, Shown, uncovered
from keenkite.build.follow import again, further_scene, second_looks
from keenkite.build.history import Cells, Fate, History
from keenkite.build.plan import Plan, Planner, Work, plan_build
from keenkite.build.progress import Meter, Progress, Report
from keenkite.build.request import MAX_CLOUD, BuildRequest, Choice
from keenkite.build.scene import Building, Target, build_scene
from keenkite.catalog import Catalog
from keenkite.encoder import Encoder
from keenkite.errors import InputError, SceneError
from keenkite.index import TileIndex
from keenkite.pixels import PixelArchive
from keenkite.scene import Scene

logger = logging.getLogger(__name__)


def build_index(
    index: TileIndex,
    encoder: Encoder,
    area: Area,
    start: date,
    end: date,
    *,
    catalog: Catalog,
    max_cloud: float | str = MAX_CLOUD,
    choose: Choice = "every-date",
    region: str = "default",
    spans: Sequence[float] | None = None,
    also: Sequence[tuple[TileIndex, Encoder]] = (),
    pixels: PixelArchive | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Report:
    """Index an area's tiles from every scene of some days that an earlier build has not done.

    Args:
        index: Where the tiles go. Its encoder must be this encoder.
        encoder: Turns tiles into vectors.
        area: Every tile whose middle (the square of half a span round its centre) meets it.
        start: First day, UTC.
        end: Last day, UTC, included.
        catalog: Where scenes are looked up.
        max_cloud: Scenes with more cloud are left out: 0.2, 20 and "20%" are the same.
        choose: "every-date", or "least-cloudy": the fewest, clearest scenes that cover the area.
        region: A label to find these tiles by later; ground that has others keeps them.
        spans: Widths of tiles, metres; None for those of the collection.
        also: More collections, each with its encoder; every scene is read once for all.
        pixels: Keeps what encoders saw; by default a folder beside an embedded index, none by URL.
        progress: Called after each batch of tiles. What it raises stops the build; what was done
            stays.

    Raises:
        InputError, CatalogError, EncoderMismatchError: before any work starts.
        TileIndexError, StorageError: in the middle; scenes done so far stay, and a build with
            the same arguments goes on with the rest. A scene whose pixels cannot be read is no
            error: see `Report.failed`.
    """
    request = BuildRequest(
        area=area,
        start=start,
        end=end,
        region=region,
        max_cloud=max_cloud,
        choose=choose,
        spans=None if spans is None else tuple(spans),
    )
    targets = [Target(index=i, encoder=e) for i, e in ((index, encoder), *also)]
    return build(request, targets, catalog=catalog, pixels=pixels, progress=progress)


def build(
    request: BuildRequest,
    targets: Sequence[Target],
    *,
    catalog: Catalog,
    pixels: PixelArchive | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Report:
    """The same for a request and any number of collections; see `build_index`.

    Memory is bounded by the strips in flight, whatever the size of the area: see `reader`.
    """
    _check(targets)
    report = Report()
    indexes = [target.index for target in targets]
    with report.timed("catalog"):
        plan = plan_build(request, catalog=catalog, indexes=indexes)
    sensor = plan.works[0].scene.sensor
    for index, spans in zip(indexes, plan.collection_spans, strict=True):
        index.prepare(sensor, spans)
    report.skipped = plan.scenes_done
    building = Building(
        targets=targets,
        region=request.region,
        pixels=pixels or PixelArchive.beside(indexes[0].folder),
        report=report,
        meter=Meter(plan.tiles, len(plan.todo), progress),
    )
    shown = [_do(work, building) for work in plan.works]
    shown += _follow(request, plan, building, shown)
    shown += [Shown(unit=unit, fate=Fate(), too_small=True) for unit in plan.small]
    report.uncovered = uncovered(request.area, shown)
    if report.uncovered.percent > WARN_PERCENT:
        logger.warning("%s", report.uncovered)
    with report.timed("optimise"):
        for index in indexes:
            index.maintain()
    return report


def _do(work: Work, building: Building) -> Shown:
    """One unit, unless it is done; what became of its squares in the first collection."""
    unit, report = work.scene, building.report
    fates = {part.number: part.fate for part in work.parts}
    if not work.done:
        try:
            fates |= build_scene(work, building)
            report.scenes += [scene for scene in unit.scene_ids if scene not in report.scenes]
        except SceneError as error:
            logger.warning("scene left out: %s", error)
            report.failed[unit.id] = str(error)
        building.meter.scene_done(unit.id, work.tiles)
    return Shown(unit=unit, fate=fates.get(0, Fate()))


def _follow(
    request: BuildRequest, plan: Plan, building: Building, shown: Sequence[Shown]
) -> list[Shown]:
    """What is tried for ground that the plan left uncovered."""
    histories = [History.of(target.index) for target in building.targets]
    planner = Planner(request=request, spans=plan.collection_spans, histories=histories)
    more: list[Shown] = []

    def also(unit: Scene, cells: Cells) -> None:
        work = again(planner, unit, cells)
        building.meter.more(0 if work.done else work.tiles, 0 if work.done else 1)
        more.append(_do(work, building))

    for unit, cells in second_looks(plan, planner, shown):
        also(unit, cells)
    while (found := further_scene(plan, planner, [*shown, *more])) is not None:
        also(*found)
    return more


def _check(targets: Sequence[Target]) -> None:
    """Refuse what cannot be built before the catalog is asked."""
    if not targets:
        raise InputError("a build needs a collection to build into")
    places = [target.index.location for target in targets]
    if len(set(places)) < len(places):
        raise InputError(f"a collection is named twice among {', '.join(places)}")
    for target in targets:
        target.index.require(target.encoder)
