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
from keenkite.build.plan import plan_build, spans_of
from keenkite.build.progress import Meter, Progress, Report
from keenkite.build.request import MAX_CLOUD, BuildRequest, Choice
from keenkite.build.scene import Target, build_scene
from keenkite.catalog import Catalog
from keenkite.encoder import Encoder
from keenkite.errors import InputError, SceneError
from keenkite.index import TileIndex
from keenkite.pixels import PixelArchive

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
    for index in indexes:
        index.add_spans(spans_of(request, index, plan.works[0].scene.sensor))
    pixels = pixels or PixelArchive.beside(indexes[0].folder)
    report.skipped = [work.scene.id for work in plan.works if work.done]
    meter = Meter(plan.tiles, len(plan.todo), progress)
    for work in plan.todo:
        try:
            build_scene(
                work, targets, region=request.region, pixels=pixels, report=report, meter=meter
            )
            report.scenes.append(work.scene.id)
        except SceneError as error:
            logger.warning("scene left out: %s", error)
            report.failed[work.scene.id] = str(error)
        meter.scene_done(work.scene.id, work.tiles)
    with report.timed("optimise"):
        for index in indexes:
            index.maintain()
    return report


def _check(targets: Sequence[Target]) -> None:
    """Refuse what cannot be built before the catalog is asked."""
    if not targets:
        raise InputError("a build needs a collection to build into")
    places = [target.index.location for target in targets]
    if len(set(places)) < len(places):
        raise InputError(f"a collection is named twice among {', '.join(places)}")
    for target in targets:
        target.index.require(target.encoder)
