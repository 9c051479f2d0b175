"""What a search costs beside the plain query of the index that it stands on.

    python benchmarks/search_cost.py [--tiles 100000] [--index FOLDER]

Random vectors, CLIP-like: one large common part, 40 kinds of ground, and noise. Medians; other
work on the machine stretches all of them alike, so read ratios, or the processor's own time.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from keenkite.area import Area
from keenkite.index import TileIndex
from keenkite.retrieval import Near, Query, search
from keenkite.tiling import Tile

DIM, KINDS, SIDE, BATCH = 512, 40, 230, 2000


class RandomEncoder:
    """Kinds of ground; a text means a kind by its hash."""

    name = "random"
    dim = DIM

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.kinds = rng.normal(size=(KINDS, DIM))
        self.common = 3 * rng.normal(size=DIM)
        self._texts = 3 * rng.normal(size=DIM)

    def encode_images(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        raise NotImplementedError

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        vectors = []
        for text in texts:
            seed = zlib.crc32(text.encode())
            noise = np.random.default_rng(seed).normal(size=DIM)
            vectors.append(self._texts + self.kinds[seed % KINDS] + noise)
        return _unit(np.array(vectors))

    def patch_features(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        raise NotImplementedError


def fill(index: TileIndex, encoder: RandomEncoder, number: int) -> None:
    """Dates of a square of ground, half-overlapping tiles, ten days apart."""
    rng = np.random.default_rng(1)
    side = min(SIDE, int(np.ceil(number**0.5)))
    columns, rows = (a.ravel() for a in np.meshgrid(np.arange(side) + 200, np.arange(side) + 3400))
    for start in range(0, number, BATCH):
        tiles = []
        for i in range(start, min(start + BATCH, number)):
            cell, day = i % len(columns), i // len(columns)
            part = rng.dirichlet(np.ones(5)).tolist()
            tiles.append(Tile(
                epsg=32654, column=int(columns[cell]), row=int(rows[cell]),
                datetime=datetime(2024, 4, 1, tzinfo=UTC) + timedelta(days=10 * day),
                platform="S2A", scene_ids=(f"scene-{day}-{cell // 10_000}",), collection="random",
                regions=("one" if cell % 4 else "two",), cloud=part[0], water=part[1],
                vegetation=part[2], bare=part[3], snow=part[4],
            ))  # fmt: skip
        kind = rng.integers(KINDS, size=len(tiles))
        noise = rng.normal(size=(len(tiles), DIM))
        index.upsert(tiles, _unit(encoder.common + encoder.kinds[kind] + noise))
    index.maintain()


def timed(work: Callable[[str], object], repeats: int) -> tuple[float, float]:
    """Median wall-clock and processor milliseconds of a work on another text each time."""
    work("warm up")
    walls, processor = [], []
    for i in range(repeats):
        wall, own = time.perf_counter(), time.process_time()
        work(f"text {i}")
        walls.append(time.perf_counter() - wall)
        processor.append(time.process_time() - own)
    return 1000 * float(np.median(walls)), 1000 * float(np.median(processor))


def measure(index: TileIndex, encoder: RandomEncoder, repeats: int) -> None:
    filters = Query(
        text="any", area=Area.from_bbox(137.3, 35.0, 139.6, 36.7), start=date(2024, 4, 1),
        end=date(2024, 4, 30), max_cloud=0.5, cover={"water": (0.1, 1)}, regions=("one",),
    )  # fmt: skip
    print(f"{index.count():,} tiles; all filters let {index.count(filters.filters):,} through")
    for name, query in (("no filter", Query(text="any")), ("all filters", filters)):

        def asked(text: str, query: Query = query, **more: object) -> Query:
            return replace(query, text=text, **more)

        def plain(text: str, query: Query = query) -> object:
            (vector,) = encoder.encode_texts([text])
            return index.nearest(vector, limit=10, filters=query.filters)

        def corrected(text: str, asked: Callable[..., Query] = asked) -> object:
            return search(index, encoder, asked(text))

        def near(text: str, asked: Callable[..., Query] = asked) -> object:
            return search(
                index, encoder, asked(text, near=(Near(text=f"near {text}", within_km=5),))
            )

        print(f"{name}: wall ms (× plain), processor ms (× plain)")
        works = (("plain query", plain), ("search", corrected), ("near", near))
        took = {what: timed(work, repeats) for what, work in works}
        for what, (wall, own) in took.items():
            base = took["plain query"]
            print(f"  {what:<12} {wall:7.1f} ({wall / base[0]:4.1f})  "
                  f"{own:7.1f} ({own / base[1]:4.1f})")  # fmt: skip
    statistics = index.statistics()
    size = statistics.mean.nbytes + statistics.covariance.nbytes
    print(f"statistics: {size / 1e6:.1f} MB in memory for {DIM} numbers, whatever the tiles")


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float32]:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tiles", type=int, default=100_000)
    parser.add_argument("--index", type=Path, help="kept there, and used again")
    parser.add_argument("--repeats", type=int, default=15)
    arguments = parser.parse_args()
    encoder = RandomEncoder()
    with tempfile.TemporaryDirectory() as temporary:
        place = arguments.index or Path(temporary) / "index"
        with TileIndex.open(place, encoder=encoder) as index:
            if index.count() == 0:
                fill(index, encoder, arguments.tiles)
            measure(index, encoder, arguments.repeats)


if __name__ == "__main__":
    main()
