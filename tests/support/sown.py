"""An index whose tiles and vectors are chosen by hand, for the tests of search."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from tests.support.fakes import WORDS, FakeEncoder
from numpy.typing import NDArray

from keenkite import utm
from keenkite.index import TileIndex
from keenkite.tiling import Tile

ENCODER = FakeEncoder()
COLOURS = tuple(WORDS)


def tile(column: int, row: int, *, epsg: int = 32654, day: int = 1, **fields: object) -> Tile:
    """A tile where the lattice has it; columns and rows two apart touch."""
    lon, lat = utm.unproject(epsg, [column * 1120.0 + 1120], [row * 1120.0 - 1120])
    x, y = float(np.asarray(lon)[0]), float(np.asarray(lat)[0])
    facts: dict[str, object] = {
        "epsg": epsg, "column": column, "row": row, "size": 224, "stride": 112,
        "datetime": datetime(2024, 5, day, tzinfo=UTC), "platform": "S2A",
        "scene_id": f"scene-{day}", "collection": "s2", "region": "kanto", "lon": x, "lat": y,
        "bounds": (x - 0.012, y - 0.01, x + 0.012, y + 0.01), "cloud": 0.0, "water": 0.0,
        "vegetation": 0.5, "bare": 0.5, "snow": 0.0, "valid": 1.0,
    }  # fmt: skip
    return Tile(**{**facts, **fields})  # type: ignore[arg-type]


def seen(colour: str, noise: float = 0.0, seed: int = 0) -> NDArray[np.float32]:
    """(16,) what the encoder sees in a tile of one colour, shaken a little."""
    pixels = np.full((1, 224, 224, 3), WORDS[colour], np.uint8)
    vector = ENCODER.encode_images(pixels)[0].astype(np.float64)
    vector += noise * np.random.default_rng(seed).normal(size=len(vector))
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def sow(folder: Path, tiles: Sequence[Tile], vectors: Sequence[NDArray[np.float32]]) -> TileIndex:
    """An index of these."""
    index = TileIndex.open(folder / "index", encoder=ENCODER)
    _open.append(index)
    index.upsert(tiles, np.stack(vectors) if len(vectors) else np.zeros((0, 16), np.float32))
    return index


def meadow(side: int = 20, *, epsg: int = 32654, column: int = 300, row: int = 3500) -> list[Tile]:
    """side × side tiles that touch and do not overlap."""
    return [tile(column + 2 * i, row + 2 * j, epsg=epsg) for j in range(side) for i in range(side)]


_open: list[TileIndex] = []


def close_all() -> None:
    """Close every index that was sown."""
    while _open:
        _open.pop().close()
