"""The engine of an index in a folder beside qdrant-client's local mode, on the same points.

    python benchmarks/vector_engine.py [--sizes 10000 100000] [--queries 20] [--local-queries 3]

Points as CLIP gives them: 512 numbers, one narrow cone, clusters in it; queries from a cone beside
it, as texts are. Each engine runs in a process of its own: one loads the points, another opens
what the first left and searches. The index is used as keenkite does, through `TileIndex`; its
engine also bare, loaded with the same payloads and payload indexes; local mode (what
`QdrantClient(path=...)` is) bare too, with the same filters. Recall is against numpy, and so are
the statistics, which the index takes from a sample.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keenkite import Area, TileIndex, utm
from keenkite.index import Filters, Statistics
from keenkite.index.meta import Meta
from keenkite.index.points import checked_points
from keenkite.index.statistics import statistics_of
from keenkite.tiling import Tile, places

DIM = 512
EPSG = 32654
PITCH = 1120
QUERIES = 100
START = datetime(2024, 1, 1, 2, tzinfo=UTC)
DAYS = 1000
BATCH = 256
SCENES = 100

DAY = START.date() + timedelta(days=300)
FILTERS = {
    "no filter": Filters(),
    "box 1 %": Filters(area=Area.from_bbox(139.8, 35.8, 140.2, 36.2)),
    "box 10 %": Filters(area=Area.from_bbox(139.37, 35.37, 140.63, 36.63)),
    "radius 1 %": Filters(area=Area.around(140, 36, 22.6)),
    "days 1 %": Filters(start=DAY, end=DAY + timedelta(days=9)),
    "days 10 %": Filters(start=DAY, end=DAY + timedelta(days=99)),
    "one scene": Filters(scenes=("scene-42",)),
}


@dataclass(frozen=True)
class Encoder:
    name: str = "benchmark"
    dim: int = DIM


META = Meta.of(Encoder(), sensor="sentinel-2-l2a", spans=(2 * PITCH,))


@dataclass(frozen=True)
class Points:
    """What is loaded; the same in every process."""

    vectors: NDArray[np.float32]
    queries: NDArray[np.float32]
    tiles: list[Tile]

    @classmethod
    def drawn(cls, n: int) -> Points:
        rng = np.random.default_rng(7)
        cone, gap = rng.normal(size=(2, DIM)).astype(np.float32)
        clusters = rng.normal(size=(500, DIM)).astype(np.float32)
        noise = rng.normal(size=(n + QUERIES, DIM)).astype(np.float32)
        vectors = 2 * cone + clusters[rng.integers(500, size=n)] + 0.7 * noise[:n]
        queries = 2 * cone + gap + clusters[:QUERIES] + 0.7 * noise[n:]
        x, y = utm.project(EPSG, 138 + 4 * rng.random(n), 34 + 4 * rng.random(n))
        column, row = np.rint(x / PITCH).astype(int) - 1, np.rint(y / PITCH).astype(int) + 1
        days, scenes = rng.integers(DAYS, size=n), rng.integers(SCENES, size=n)
        tiles = [
            Tile(
                epsg=EPSG, span=2 * PITCH, column=int(column[i]), row=int(row[i]),
                # Another second for each: there are more tiles than squares of ground.
                datetime=START + timedelta(days=int(days[i]), seconds=i % 72_000), platform="S2B",
                scene_ids=(f"scene-{scenes[i]}",), collection="sentinel-2-c1-l2a",
                regions=("benchmark",), cloud=0.1, water=0.2, vegetation=0.3, bare=0.4, snow=0.0,
            )
            for i in range(n)
        ]  # fmt: skip
        for tile, place in zip(tiles, places(tiles), strict=True):
            tile.placed(place)
        assert len({tile.id for tile in tiles}) == n
        return cls(_unit(vectors), _unit(queries), tiles)

    def best(self, name: str, query: NDArray[np.float32]) -> set[str]:
        """Ids of the ten best of a filter, by numpy."""
        filters = FILTERS[name]
        if name.startswith("box"):
            west, south, east, north = filters.area.bboxes[0]  # type: ignore[union-attr]
            ok = [west <= t.lon <= east and south <= t.lat <= north for t in self.tiles]
        elif name.startswith("radius"):
            x, y = np.radians([(t.lon, t.lat) for t in self.tiles]).T
            x0, y0 = np.radians((140, 36))
            half = np.sin((y - y0) / 2) ** 2 + np.cos(y) * np.cos(y0) * np.sin((x - x0) / 2) ** 2
            ok = list(2 * 6371 * np.arcsin(np.sqrt(half)) <= 22.6)
        elif name.startswith("days"):
            assert filters.start is not None
            assert filters.end is not None
            ok = [filters.start <= t.datetime.date() <= filters.end for t in self.tiles]
        else:
            ok = [name == "no filter" or t.scene_ids == ("scene-42",) for t in self.tiles]
        matches = np.flatnonzero(ok)
        rows = matches[np.argsort(-(self.vectors[matches] @ query))[:10]]
        return {self.tiles[row].id for row in rows}


def _unit(values: NDArray[np.float32]) -> NDArray[np.float32]:
    unit: NDArray[np.float32] = values / np.linalg.norm(values, axis=1, keepdims=True)
    return unit


def load_folder(folder: Path, points: Points) -> dict[str, float]:
    with TileIndex.open(folder, encoder=Encoder()) as index:
        begin = time.perf_counter()
        for i in range(0, len(points.tiles), BATCH):
            index.upsert(points.tiles[i : i + BATCH], points.vectors[i : i + BATCH])
        loaded = time.perf_counter()
        index.maintain()
        done = time.perf_counter()
    return {"upserts": len(points.tiles) / (loaded - begin), "maintain": done - loaded}


def load_bare(folder: Path, points: Points) -> dict[str, float]:
    """The engine alone: what the points are made of is ready, and nobody else may want it."""
    import qdrant_edge as engine

    from keenkite.index.backend import VECTOR, Tuning
    from keenkite.index.embedded.creation import create_shard

    folder.mkdir()
    shard = create_shard(folder, dim=DIM, tuning=Tuning())
    took = 0.0
    for i in range(0, len(points.tiles), BATCH):
        batch = checked_points(points.tiles[i : i + BATCH], points.vectors[i : i + BATCH], META)
        begin = time.perf_counter()
        rows = zip(batch.ids, batch.vectors, batch.payloads, strict=True)
        made = [engine.Point(k, vector={VECTOR: v}, payload=p) for k, v, p in rows]
        shard.update(engine.UpdateOperation.upsert_points(made))
        took += time.perf_counter() - begin
    shard.close()
    return {"upserts": len(points.tiles) / took}


def load_local(folder: Path, points: Points) -> dict[str, float]:
    from qdrant_client import QdrantClient, models

    client = QdrantClient(path=str(folder))
    vectors = {"v": models.VectorParams(size=DIM, distance=models.Distance.DOT)}
    client.create_collection("tiles", vectors_config=vectors)
    begin = time.perf_counter()
    for i in range(0, len(points.tiles), BATCH):
        batch = checked_points(points.tiles[i : i + BATCH], points.vectors[i : i + BATCH], META)
        rows = zip(batch.ids, batch.vectors, batch.payloads, strict=True)
        client.upsert(
            "tiles",
            [models.PointStruct(id=k, vector={"v": v.tolist()}, payload=p) for k, v, p in rows],
        )
    took = time.perf_counter() - begin
    client.close()
    return {"upserts": len(points.tiles) / took, "maintain": 0.0}


Ask = Callable[[NDArray[np.float32], Filters], list[Any]]
"""Given a query: the ten best, in a form of its own."""
Name = Callable[[list[Any]], list[str]]
"""Given such: the ids of their tiles."""


def open_folder(folder: Path) -> tuple[Ask, Name]:
    index = TileIndex.open(folder, encoder=Encoder())
    index.count()

    def ask(query: NDArray[np.float32], filters: Filters) -> list[Any]:
        return index.nearest(query, limit=10, filters=filters)

    return ask, lambda found: [match.tile.id for match in found]


def open_local(folder: Path) -> tuple[Ask, Name]:
    from qdrant_client import QdrantClient

    from keenkite.index.server.filters import client_filter

    client = QdrantClient(path=str(folder))
    client.count("tiles")

    def ask(query: NDArray[np.float32], filters: Filters) -> list[Any]:
        where = client_filter(filters.conditions())
        answer = client.query_points(
            "tiles", query=query.tolist(), using="v", query_filter=where, limit=10
        )
        return answer.points

    return ask, lambda found: [(point.payload or {})["tile_id"] for point in found]


def search(ask: Ask, name_of: Name, queries: NDArray[np.float32]) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, filters in FILTERS.items():
        times, rows = [], []
        ask(queries[-1], filters)
        for query in queries:
            begin = time.perf_counter()
            found_here = ask(query, filters)
            times.append(time.perf_counter() - begin)
            rows.append(name_of(found_here))
        found[name] = {"ms": float(np.median(times)) * 1000, "rows": rows}
    return found


def child(engine: str, stage: str, folder: Path, n: int, queries: int) -> None:
    """One stage of one engine, in a process of its own; the answer goes to stdout as JSON."""
    warnings.simplefilter("ignore")  # local mode says that it is not made for this many points
    if stage == "load":
        load = {"folder": load_folder, "bare": load_bare, "local": load_local}[engine]
        print(json.dumps(load(folder, Points.drawn(n))))
        return
    queried = np.load(folder.parent / "queries.npy")[:queries]
    before = _resident()
    begin = time.perf_counter()
    ask, name_of = (open_folder if engine == "folder" else open_local)(folder)
    opening = time.perf_counter() - begin
    answer: dict[str, object] = {"open": opening, "filters": search(ask, name_of, queried)}
    answer["rss"] = _resident() - before
    print(json.dumps(answer))


def _resident() -> float:
    """The most memory this process had, MB; `getrusage` would count that of its parent, too."""
    status = Path("/proc/self/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def run(engine: str, stage: str, folder: Path, n: int, queries: int) -> dict[str, Any]:
    command = [
        sys.executable,
        __file__,
        "--child",
        engine,
        stage,
        str(folder),
        str(n),
        str(queries),
    ]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def compare(n: int, queries: dict[str, int]) -> None:
    points = Points.drawn(n)
    truth = {
        name: [points.best(name, query) for query in points.queries[: max(queries.values())]]
        for name in FILTERS
    }
    got: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        np.save(place / "queries.npy", points.queries)
        # Before and after, for the machine may do other things meanwhile.
        bare = [run("bare", "load", place / "before", n, 0)["upserts"]]
        for engine, number in queries.items():
            loaded = run(engine, "load", place / engine, n, number)
            if engine == "folder":
                bare.append(run("bare", "load", place / "after", n, 0)["upserts"])
            got[engine] = {**loaded, **run(engine, "search", place / engine, n, number)}
        with TileIndex.open(place / "folder", encoder=Encoder()) as index:
            sampled = compare_statistics(index.statistics(), points)
    print(f"\n{n:,} points of {DIM} numbers{'':<6}", *(f"{engine:>15}" for engine in got))
    for label, key, unit in (
        ("upserts", "upserts", "/s"), ("opening", "open", "s"),
        ("memory, opened and searched", "rss", "MB"), ("building the graph", "maintain", "s"),
    ):  # fmt: skip
        print(f"{label:<31}", *(f"{each[key]:>12,.1f} {unit:<2}" for each in got.values()))
    share = got["folder"]["upserts"] / np.mean(bare)
    print(f"{'upserts, the engine bare':<31} {np.mean(bare):>12,.1f} /s: {share:.2f} of it reached")
    print(f"{'':<31}", *(f"{'ms':>7} {'recall':>7}" for _ in got), "  worst query of the folder")
    for name, best in truth.items():
        cells = [_row(each, name, best) for each in got.values()]
        line = " ".join(f"{ms:>7,.2f} {recall:>7.3f}" for ms, recall, _ in cells)
        print(f"{name:<31} {line}   {cells[0][2]:.1f}")
    print(sampled)


def compare_statistics(found: Statistics, points: Points) -> str:
    """What the sample of the index says beside all vectors, in a line or two."""
    exact = statistics_of(points.vectors)
    cosine = found.mean @ exact.mean / np.linalg.norm(found.mean) / np.linalg.norm(exact.mean)
    rng = np.random.default_rng(1)
    some, best = [], []
    for query in points.queries.astype(np.float64):
        scores = points.vectors @ query
        z, wanted = (
            (scores - each.mean @ query) / np.sqrt(query @ each.covariance @ query)
            for each in (found, exact)
        )
        some.append(np.abs(z - wanted)[rng.integers(len(z), size=10)])
        top = np.argsort(-wanted)[:10]
        best.append(np.abs(z / wanted - 1)[top])
    return (
        f"statistics of {found.sample:,} of {found.n:,}: cosine of the means {cosine:.6f}; z of "
        f"{len(points.queries)} queries, random tiles: off by {np.median(some):.3f} in the median, "
        f"{np.quantile(some, 0.99):.3f} in 99 of 100, {np.max(some):.3f} at most; best tiles: "
        f"{np.median(best):.1%} in the median, {np.max(best):.1%} at most"
    )


def _row(answer: dict[str, Any], name: str, best: list[set[str]]) -> tuple[float, float, float]:
    """Median ms, recall of the mean and of the worst query."""
    row = answer["filters"][name]
    pairs = zip(row["rows"], best, strict=False)
    recalls = [len(set(rows) & b) / len(b) for rows, b in pairs]
    return row["ms"], float(np.mean(recalls)), min(recalls)


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        engine, stage, folder, n, queries = sys.argv[2:]
        child(engine, stage, Path(folder), int(n), int(queries))
        return
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--queries", type=int, default=20)
    parser.add_argument("--local-queries", type=int, default=3, help="it is slow; 0 leaves it out")
    arguments = parser.parse_args()
    for n in arguments.sizes:
        local = {"local": arguments.local_queries} if arguments.local_queries else {}
        compare(n, {"folder": arguments.queries, **local})


if __name__ == "__main__":
    main()
