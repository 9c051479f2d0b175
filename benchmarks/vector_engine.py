"""The engine of an index in a folder beside qdrant-client's local mode, on the same points.

    python benchmarks/vector_engine.py [--sizes 10000 100000] [--queries 20] [--local-queries 3]

Points as CLIP gives them: 512 numbers, one narrow cone, clusters in it; queries from a cone beside
it, as texts are. Each engine runs in a process of its own: one loads the points, another opens
what the first left and searches. The index is used as keenkite does, through `TileIndex`; local
mode (what `QdrantClient(path=...)` is) bare, with the same filters. Recall is against numpy.
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

import numpy as np
from numpy.typing import NDArray

from keenkite import Area, TileIndex
from keenkite.index import Filters
from keenkite.index.backend import Meta
from keenkite.index.points import checked_points
from keenkite.tiling import Tile

DIM = 512
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
        noise = rng.normal(size=(n + 50, DIM)).astype(np.float32)
        vectors = 2 * cone + clusters[rng.integers(500, size=n)] + 0.7 * noise[:n]
        queries = 2 * cone + gap + clusters[:50] + 0.7 * noise[n:]
        lon, lat = 138 + 4 * rng.random(n), 34 + 4 * rng.random(n)
        days, scenes = rng.integers(DAYS, size=n), rng.integers(SCENES, size=n)
        tiles = [
            Tile(
                epsg=32654, column=i, row=3550, size=224, stride=112,
                datetime=START + timedelta(days=int(days[i])), platform="S2B",
                scene_id=f"scene-{scenes[i]}", collection="sentinel-2-c1-l2a", region="benchmark",
                lon=float(lon[i]), lat=float(lat[i]),
                bounds=(lon[i] - 0.012, lat[i] - 0.01, lon[i] + 0.012, lat[i] + 0.01),
                cloud=0.1, water=0.2, vegetation=0.3, bare=0.4, snow=0.0, valid=1.0,
            )
            for i in range(n)
        ]  # fmt: skip
        return cls(_unit(vectors), _unit(queries), tiles)

    def best(self, name: str, query: NDArray[np.float32]) -> set[int]:
        """Rows of the ten best of a filter, by numpy."""
        filters, rows = FILTERS[name], range(len(self.tiles))
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
            ok = [name == "no filter" or t.scene_id == "scene-42" for t in self.tiles]
        matches = np.array([row for row in rows if ok[row]])
        return set(matches[np.argsort(-(self.vectors[matches] @ query))[:10]].tolist())


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


def load_local(folder: Path, points: Points) -> dict[str, float]:
    from qdrant_client import QdrantClient, models

    meta = Meta(encoder="benchmark", dim=DIM, size=224, stride=112)
    client = QdrantClient(path=str(folder))
    vectors = {"v": models.VectorParams(size=DIM, distance=models.Distance.DOT)}
    client.create_collection("tiles", vectors_config=vectors)
    begin = time.perf_counter()
    for i in range(0, len(points.tiles), BATCH):
        batch = checked_points(points.tiles[i : i + BATCH], points.vectors[i : i + BATCH], meta)
        rows = zip(batch.ids, batch.vectors, batch.payloads, strict=True)
        client.upsert(
            "tiles",
            [models.PointStruct(id=k, vector={"v": v.tolist()}, payload=p) for k, v, p in rows],
        )
    took = time.perf_counter() - begin
    client.close()
    return {"upserts": len(points.tiles) / took, "maintain": 0.0}


Ask = Callable[[NDArray[np.float32], Filters], list[int]]


def open_folder(folder: Path) -> Ask:
    index = TileIndex.open(folder, encoder=Encoder())
    index.count()

    def ask(query: NDArray[np.float32], filters: Filters) -> list[int]:
        return [m.tile.column for m in index.nearest(query, limit=10, filters=filters)]

    return ask


def open_local(folder: Path) -> Ask:
    from qdrant_client import QdrantClient

    from keenkite.index.server.filters import client_filter

    client = QdrantClient(path=str(folder))
    client.count("tiles")

    def ask(query: NDArray[np.float32], filters: Filters) -> list[int]:
        where = client_filter(filters.conditions())
        answer = client.query_points(
            "tiles", query=query.tolist(), using="v", query_filter=where, limit=10
        )
        return [(point.payload or {})["column"] for point in answer.points]

    return ask


def search(ask: Ask, queries: NDArray[np.float32]) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, filters in FILTERS.items():
        times, rows = [], []
        ask(queries[-1], filters)
        for query in queries:
            begin = time.perf_counter()
            rows.append(ask(query, filters))
            times.append(time.perf_counter() - begin)
        found[name] = {"ms": float(np.median(times)) * 1000, "rows": rows}
    return found


def child(engine: str, stage: str, folder: Path, n: int, queries: int) -> None:
    """One stage of one engine, in a process of its own; the answer goes to stdout as JSON."""
    warnings.simplefilter("ignore")  # local mode says that it is not made for this many points
    if stage == "load":
        load = load_folder if engine == "folder" else load_local
        print(json.dumps(load(folder, Points.drawn(n))))
        return
    queried = np.load(folder.parent / "queries.npy")[:queries]
    before = _resident()
    begin = time.perf_counter()
    ask = (open_folder if engine == "folder" else open_local)(folder)
    opening = time.perf_counter() - begin
    answer: dict[str, object] = {"open": opening, "filters": search(ask, queried)}
    answer["rss"] = _resident() - before
    print(json.dumps(answer))


def _resident() -> float:
    """The most memory this process had, MB; `getrusage` would count that of its parent, too."""
    status = Path("/proc/self/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def run(engine: str, stage: str, folder: Path, n: int, queries: int) -> dict[str, object]:
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
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


def compare(n: int, queries: dict[str, int]) -> None:
    points = Points.drawn(n)
    truth = {
        name: [points.best(name, query) for query in points.queries[: max(queries.values())]]
        for name in FILTERS
    }
    got: dict[str, dict[str, object]] = {}
    with tempfile.TemporaryDirectory() as name:
        np.save(Path(name) / "queries.npy", points.queries)
        del points
        for engine, number in queries.items():
            folder = Path(name) / engine
            loaded = run(engine, "load", folder, n, number)
            got[engine] = {**loaded, **run(engine, "search", folder, n, number)}
    edge, local = got["folder"], got["local"]
    print(f"\n{n:,} points of {DIM} numbers   keenkite     local mode   ratio")
    for label, key, unit, inverse in (
        ("upserts", "upserts", "/s", True), ("opening", "open", "s", False),
        ("memory, opened and searched", "rss", "MB", False),
    ):  # fmt: skip
        mine, theirs = float(edge[key]), float(local[key])  # type: ignore[arg-type]
        ratio = mine / theirs if inverse else theirs / mine
        print(f"{label:<29}{mine:>9,.1f} {unit:<3}{theirs:>12,.1f} {unit:<3}{ratio:>6.1f} x")
    print(f"{'building the graph':<29}{edge['maintain']:>9,.1f} s")
    print(f"{'':<29}{'ms':>9} {'recall':>7}{'ms':>9} {'recall':>7}")
    for name, best in truth.items():
        cells = [_row(got[engine], name, best) for engine in ("folder", "local")]
        line = "".join(f"{ms:>9,.2f} {recall:>7.3f}" for ms, recall in cells)
        print(f"{name:<29}{line}{cells[1][0] / cells[0][0]:>6.0f} x")


def _row(answer: dict[str, object], name: str, best: list[set[int]]) -> tuple[float, float]:
    row = answer["filters"][name]  # type: ignore[index]
    pairs = zip(row["rows"], best, strict=False)
    return row["ms"], float(np.mean([len(set(rows) & b) / len(b) for rows, b in pairs]))


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        engine, stage, folder, n, queries = sys.argv[2:]
        child(engine, stage, Path(folder), int(n), int(queries))
        return
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--queries", type=int, default=20)
    parser.add_argument("--local-queries", type=int, default=3, help="it is slow")
    arguments = parser.parse_args()
    for n in arguments.sizes:
        compare(n, {"folder": arguments.queries, "local": arguments.local_queries})


if __name__ == "__main__":
    main()
