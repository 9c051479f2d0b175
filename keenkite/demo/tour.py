"""`keenkite demo`: draw a world, index it, ask it things; all of it without a network.

What people see of it is the caller's, as a `Screen`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Protocol

from pyproj import Transformer

from keenkite.area import Area
from keenkite.build import Progress, Report, build_index
from keenkite.catalog import open_catalog
from keenkite.demo.scenes import write_scenes
from keenkite.demo.world import PIXEL, World, draw_world, shows
from keenkite.encoder import ClipEncoder, Encoder
from keenkite.errors import InputError
from keenkite.index import TileIndex
from keenkite.pictures import answer_sheet
from keenkite.pixels import PixelArchive
from keenkite.retrieval import Near, Query, Result, search
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
    spans: Sequence[float] | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> tuple[TileIndex, Report]:
    """Write a world's scenes to `folder`/scenes and index them in `folder`/index.

    What an earlier run left there is used again.

    Args:
        world: What to index.
        folder: Of the demo.
        encoder: Makes the vectors.
        spans: Widths of tiles, metres; None for those of the sensor.
        progress: Called as the build goes on.

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
            catalog=open_catalog(str(folder / "scenes")), max_cloud=1, region=REGION,
            spans=spans, progress=progress,
        )  # fmt: skip
    except BaseException:
        index.close()
        raise
    return index, report


def truth_of(world: World, tile: Tile, concept: str) -> int:
    """Whether a tile shows the drawn concept: 1, 0, or -1; see `world.shows`."""
    south, east = tile.north - tile.span, tile.west + tile.span
    return shows(world, concept, (tile.west, south, east, tile.north))


class Screen(Protocol):
    """Where the tour shows itself."""

    def step(self, text: str) -> None:
        """What is done next, in a line."""

    def progress(self, progress: Progress) -> None:
        """How far the build is."""

    def report(self, report: Report) -> None:
        """What the build did."""

    def answer(self, title: str, result: Result, marks: Sequence[str], picture: Path) -> None:
        """An answer: the question, whether each hit is right, and the file of its sheet."""


def tour(folder: Path, screen: Screen, *, seed: int) -> None:
    """Draw, index, ask, and write a contact sheet for each question.

    Raises:
        InputError: the folder holds another world.
        StorageError: it cannot be written.
    """
    screen.step(f"drawing a world of {SIZE_KM[0]:.0f} × {SIZE_KM[1]:.0f} km")
    world = draw_world(seed, size_km=SIZE_KM)
    screen.step(f"loading {MODEL}")
    encoder = ClipEncoder.load(MODEL)
    screen.step(f"indexing its scenes in {folder}")
    index, report = index_world(world, folder, encoder, progress=screen.progress)
    with index:
        archive = PixelArchive.beside(index.folder)
        assert archive is not None, "the demo's index is in a folder"
        screen.report(report)
        screen.step("asking")
        for question in questions(world):
            result = search(index, encoder, question.query)
            title = question.title
            sheet = folder / f"{title.split(',')[0].replace(' ', '-')}.png"
            answer_sheet(result, encoder, archive, sensor=index.sensor, title=title).save(sheet)
            marks = [mark_of(world, hit.tile, question.concept) for hit in result.hits]
            screen.answer(title, result, marks, sheet)


def mark_of(world: World, tile: Tile, concept: str) -> str:
    """`truth_of` in a word."""
    return {1: "right", 0: "wrong", -1: "a part"}[truth_of(world, tile, concept)]


def _same(marker: Path, name: dict[str, Any]) -> bool:
    try:
        return bool(json.loads(marker.read_text()) == json.loads(json.dumps(name)))
    except (OSError, ValueError):
        return False
