"""`keenkite demo`: draw a world, index it, ask it things; all of it without a network."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from pyproj import Transformer

from keenkite.area import Area
from keenkite.build import build_index
from keenkite.catalog import open_catalog
from keenkite.demo.scenes import write_scenes
from keenkite.demo.world import World, draw_world, shows
from keenkite.encoder import ClipEncoder, Encoder
from keenkite.errors import InputError
from keenkite.index import TileIndex
from keenkite.pictures.show import answer_sheet
from keenkite.pixels import PixelArchive
from keenkite.build.progress import Progress, Report
from keenkite.retrieval.search import Near, Query, Result, search
from keenkite.scene import PIXEL
from keenkite.tiling import Tile

SIZE_KM = (44.0, 32.0)
DAYS = date(2024, 5, 1), date(2024, 6, 30)
MODEL = "keenkite-tiny"
REGION = "demo"
HITS = 5


@dataclass(frozen=True, kw_only=True)
class Question:
    """A query of the tour."""

    title: str
    """The query in words, all of it."""
    query: Query
    concept: str
    """The drawn concept that a right answer shows."""


def questions(world: World) -> list[Question]:
    """Five plain texts, one with filters, one compound."""
    plain = {
        "airport": "airport",
        "golf course": "golf course",
        "dam": "dam",
        "sports ground": "sports ground",
        "large station": "railway station",
    }
    asked = [
        Question(title=text, query=Query(text=text, limit=HITS), concept=concept)
        for text, concept in plain.items()
    ]
    east = Query(
        text="solar farm",
        area=area_of(world, west=0.5),
        start=date(2024, 6, 1),
        max_cloud=0.05,
        cover={"vegetation": (0.3, 1.0)},
        limit=HITS,
    )
    asked.append(
        Question(
            title="solar farm, in the eastern half, in June, with 30 % vegetation or more",
            query=east,
            concept="solar farm",
        )
    )
    coastal = Query(text="airport", near=(Near(text="sea", within_km=6),), limit=HITS)
    asked.append(Question(title="airport within 6 km of the sea", query=coastal, concept="airport"))
    return asked


def area_of(world: World, *, west: float = 0.0, east: float = 1.0) -> Area:
    """A lon/lat box round the world, or round the part from `west` to `east` of its width."""
    rows, cols = world.shape
    left, right = (world.west + PIXEL * cols * part for part in (west, east))
    to_lonlat = Transformer.from_crs(world.epsg, 4326, always_xy=True)
    return Area.from_bbox(
        *to_lonlat.transform_bounds(left, world.north - PIXEL * rows, right, world.north)
    )


def index_world(
    world: World,
    folder: Path,
    encoder: Encoder,
    *,
    progress: Callable[[Progress], None] | None = None,
) -> tuple[TileIndex, Report]:
    """Write a world's scenes to `folder`/scenes and index them in `folder`/index.

    What an earlier run left there is used again.

    Raises:
        InputError: the folder holds another world.
    """
    marker = folder / "world.json"
    name = {"seed": world.seed, "shape": world.shape, "things": len(world.features)}
    if not _same(marker, name):
        if (folder / "scenes").exists():
            raise InputError(
                f"{folder} holds another demo world. Name another folder, or delete this one."
            )
        write_scenes(world, folder / "scenes")
        marker.write_text(json.dumps(name))
    index = TileIndex.open(folder / "index", encoder=encoder)
    try:
        report = build_index(
            index, encoder, area_of(world), *DAYS,
            catalog=open_catalog(str(folder / "scenes")), max_cloud=100, region=REGION,
            progress=progress,
        )  # fmt: skip
    except BaseException:
        index.close()
        raise
    return index, report


def truth_of(world: World, tile: Tile, concept: str) -> int:
    """Whether a tile shows the drawn concept: 1, 0, or -1; see `world.shows`."""
    side = PIXEL * tile.size
    return shows(world, concept, (tile.west, tile.north - side, tile.west + side, tile.north))


def tour(folder: Path, *, seed: int) -> int:
    """Draw, index, ask, and write a contact sheet for each question; the exit code."""
    from keenkite.cli.output import ProgressLine, report_text

    begin = time.perf_counter()

    def say(text: str) -> None:
        print(f"[{time.perf_counter() - begin:5.1f} s] {text}", file=sys.stderr, flush=True)

    say(f"drawing a world of {SIZE_KM[0]:.0f} × {SIZE_KM[1]:.0f} km")
    world = draw_world(seed, size_km=SIZE_KM)
    say(f"loading {MODEL}")
    encoder = ClipEncoder.load(MODEL)
    say(f"indexing its scenes in {folder}")
    index, report = index_world(world, folder, encoder, progress=ProgressLine())
    archive = PixelArchive(folder / "index" / "pixels")
    with index:
        print(report_text(report), file=sys.stderr)
        say("asking")
        for question in questions(world):
            result = search(index, encoder, question.query)
            sheet = folder / f"{question.title.split(',')[0].replace(' ', '-')}.png"
            answer_sheet(result, encoder, archive, title=question.title).save(sheet)
            print(_answer(world, question, result))
            print(f"   picture: {sheet}\n")
    say(f"done; {folder} can be deleted. Ask it more:")
    print(f'  keenkite search "harbour" --index {folder / "index"}')
    return 0


def _answer(world: World, question: Question, result: Result) -> str:
    from keenkite.cli.output import hits_table

    words = {1: "right", 0: "wrong", -1: "a part"}
    marks = [words[truth_of(world, hit.tile, question.concept)] for hit in result.hits]
    lines = hits_table(result).splitlines()
    # The marks belong to the last lines; a verdict and a header stand before them.
    head, hits = lines[: len(lines) - len(marks)], lines[len(lines) - len(marks) :]
    marked = [f"{line}  {mark}" for line, mark in zip(hits, marks, strict=True)]
    return "\n".join([f"== {question.title}", *head, *marked])


def _same(marker: Path, name: dict[str, Any]) -> bool:
    try:
        return bool(json.loads(marker.read_text()) == json.loads(json.dumps(name)))
    except (OSError, ValueError):
        return False
