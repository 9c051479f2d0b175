"""An index whose tiles and vectors are chosen by hand, for the tests of search."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from keenkite.index import TileIndex
from keenkite.tiling import Tile
from tests.support.fakes import WORDS, FakeEncoder

ENCODER = FakeEncoder()
CALIBRATION = {
    "cosine": 2.0, "contrast": 4.0, "look_alikes": 3.0, "stands_out": 0.5, "spread": 0.5,
    "doubt": 0.5, "constant": -4.0,
}  # fmt: skip
"""Fits what this encoder sees: a tile may show two colours at once. So no test hangs on the numbers
that are shipped for a model."""
COLOURS = tuple(WORDS)
PLAIN = ("green", "yellow", "grey", "field", "desert", "orange")
"""Colours that no test looks for."""


def tile(column: int, row: int, *, epsg: int = 32654, day: int = 1, **fields: object) -> Tile:
    """A tile of the lattice; columns and rows two apart touch."""
    facts: dict[str, object] = {
        "epsg": epsg, "column": column, "row": row, "datetime": datetime(2024, 5, day, tzinfo=UTC),
        "platform": "S2A", "scene_ids": (f"scene-{day}",), "collection": "s2",
        "regions": ("kanto",), "cloud": 0.0, "water": 0.0, "vegetation": 0.5, "bare": 0.5,
        "snow": 0.0,
    }  # fmt: skip
    return Tile(**{**facts, **fields})  # type: ignore[arg-type]


def inside(outer: Tile, *, span: float, east: float = 0.0, south: float = 0.0) -> Tile:
    """A tile of another span, so far in metres from the corner of `outer`; the rest is the same."""
    facts = {name: getattr(outer, name) for name in outer.__dataclass_fields__}
    for name in ("epsg", "span", "column", "row", "corner"):
        del facts[name]
    west, north = outer.west + east, outer.north - south
    return Tile.at(epsg=outer.epsg, span=span, west=west, north=north, **facts)


def seen(colour: str, noise: float = 0.0, seed: int = 0) -> NDArray[np.float32]:
    """(16,) what the encoder sees in a tile of one colour, shaken a little."""
    pixels = np.full((1, 224, 224, 3), WORDS[colour], np.uint8)
    vector = ENCODER.encode_images(pixels)[0].astype(np.float64)
    vector += noise * np.random.default_rng(seed).normal(size=len(vector))
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def mixed(*colours: str) -> NDArray[np.float32]:
    """(16,) a tile that shows several colours at once."""
    vector = np.sum([seen(colour) for colour in colours], axis=0)
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


def sow(folder: Path, tiles: Sequence[Tile], vectors: Sequence[NDArray[np.float32]]) -> TileIndex:
    """An index of these."""
    spans = sorted({tile.span for tile in tiles}) or None
    index = TileIndex.open(folder / "index", encoder=ENCODER, spans=spans)
    _open.append(index)
    index.calibrate(CALIBRATION)
    index.upsert(tiles, np.stack(vectors) if len(vectors) else np.zeros((0, 16), np.float32))
    return index


def meadow(side: int = 20, *, epsg: int = 32654, column: int = 300, row: int = 3500) -> list[Tile]:
    """side × side tiles that touch and do not overlap."""
    return [tile(column + 2 * i, row + 2 * j, epsg=epsg) for j in range(side) for i in range(side)]


def plain(number: int, noise: float = 0.02) -> list[NDArray[np.float32]]:
    """What is seen in so many tiles of plain colours, all a little different."""
    return [seen(PLAIN[i % len(PLAIN)], noise, i) for i in range(number)]


_open: list[TileIndex] = []


def close_all() -> None:
    """Close every index that was sown."""
    while _open:
        _open.pop().close()
