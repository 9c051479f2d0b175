"""Verdicts and structured queries on drawn worlds whose truth is known.

    python benchmarks/demo_search.py [--model keenkite-tiny] [--seeds 5001 5002 5003]

1. Every concept is asked for in worlds that hold it, and in worlds it was left out of.
2. Structured queries, in all of these worlds; a tile is right when it shows the concept and what
   is asked of its surroundings is true of the tiles around it.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from keenkite.demo.concepts import NAMES
from keenkite.demo.tour import index_world
from keenkite.demo.world import World, draw_world
from keenkite.encoder import ClipEncoder, Encoder
from keenkite.ground import positions
from keenkite.index import TileIndex
from keenkite.retrieval import Near, Query, search
from keenkite.tiling import Tile

LEFT_OUT: tuple[frozenset[str], ...] = (
    frozenset({"airport", "golf course", "sea"}),
    frozenset({"dam", "railway station", "highway"}),
    frozenset({"park", "sports ground", "solar farm", "river", "lake"}),
)
"""For each seed, three more worlds without these."""

TOP = 5


@dataclass(frozen=True, kw_only=True)
class Case:
    """A structured query and what makes a tile right."""

    title: str
    query: Query
    concept: str
    near: str | None = None
    away: str | None = None
    km: float = 0.0


CASES = (
    Case(
        title="coastal airport", concept="airport", near="sea", km=6,
        query=Query(text="airport", near=(Near(text="sea", within_km=6),), limit=TOP),
    ),
    Case(
        title="golf course near a river", concept="golf course", near="river", km=3,
        query=Query(text="golf course", near=(Near(text="river", within_km=3),), limit=TOP),
    ),
    Case(
        title="solar farm away from houses", concept="solar farm", away="residential", km=2,
        query=Query(text="solar farm", exclude=(Near(text="houses", within_km=2),), limit=TOP),
    ),
    Case(title="harbour", concept="harbour", query=Query(text="harbour", limit=TOP)),
    Case(
        title="dam with a reservoir", concept="dam", near="reservoir", km=2,
        query=Query(text="dam", near=(Near(text="reservoir", within_km=2),), limit=TOP),
    ),
)  # fmt: skip


class Truth:
    """What every tile of an index shows, as the world was drawn."""

    def __init__(self, world: World, tiles: Iterable[Tile]) -> None:
        ground = {t.cell: t for t in tiles}
        self._number = {cell: i for i, cell in enumerate(ground)}
        rows = []
        for tile in ground.values():
            south, east = tile.north - tile.span, tile.west + tile.span
            bounds = (tile.west, south, east, tile.north)
            rows.append(world.present(*world.window(bounds)))
        self._states = {name: np.array([row[name] for row in rows]) for name in NAMES}
        places = positions([t.lon for t in ground.values()], [t.lat for t in ground.values()])
        self._tree = cKDTree(places)

    def has(self, concept: str) -> bool:
        return bool((self._states[concept] == 1).any())

    def right(self, case: Case) -> np.ndarray:
        """(tiles,) 1 right, 0 wrong, -1 neither: something is seen too little to call."""
        state = self._states[case.concept].copy()
        other = case.near or case.away
        if other is not None:
            reached = self._tree.query_ball_point(self._tree.data, 1000 * case.km)
            seen = np.array([self._states[other][r].max(initial=0) for r in reached])
            some = np.array([(self._states[other][r] == -1).any() for r in reached])
            state[(seen != 1) & some & (state == 1)] = -1
            fits = seen == 1 if case.near else seen != 1
            state[~fits & ~((seen != 1) & some)] = 0
        return state

    def of(self, states: np.ndarray, tile: Tile) -> int:
        return int(states[self._number[tile.cell]])


@contextmanager
def built(
    seed: int, leave_out: frozenset[str], encoder: Encoder
) -> Iterator[tuple[TileIndex, Truth]]:
    """A world, drawn, written as scenes and indexed."""
    world = draw_world(seed, leave_out=leave_out)
    with tempfile.TemporaryDirectory() as folder:
        index, _ = index_world(world, Path(folder), encoder)
        with index:
            yield index, Truth(world, index.scroll())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="keenkite-tiny")
    parser.add_argument("--seeds", type=int, nargs="+", default=[5001, 5002, 5003])
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    encoder = ClipEncoder.load(arguments.model)
    verdicts: dict[str, list[str]] = {"present": [], "absent": []}
    found: list[bool] = []
    claimed: list[bool] = []
    lines = []
    for seed in arguments.seeds:
        for out in (frozenset[str](), *LEFT_OUT):
            with built(seed, out, encoder) as (index, truth):
                for name in NAMES:
                    result = search(index, encoder, Query(text=name, limit=TOP))
                    there = "present" if truth.has(name) else "absent"
                    if there == "present" or name in out or out & {"sea", "dam"}:
                        verdicts[there].append(result.verdict)
                        lines.append(
                            f"{seed} {there:7} {name:16} {result.verdict:6} "
                            f"{result.hits[0].confidence:.3f}"
                        )
                for case in CASES:
                    result = search(index, encoder, case.query)
                    states = truth.right(case)
                    shown = [truth.of(states, hit.tile) for hit in result.hits]
                    lines.append(f"{seed} {case.title:28} {result.verdict:6} {shown}")
                    if (states == 1).any():
                        found.append(1 in shown)
                    else:
                        claimed.append(result.verdict == "strong")
    figures = {
        "absent: none or weak": np.mean([v != "strong" for v in verdicts["absent"]]),
        "absent: none": np.mean([v == "none" for v in verdicts["absent"]]),
        "present: strong or weak": np.mean([v != "none" for v in verdicts["present"]]),
        "present: strong": np.mean([v == "strong" for v in verdicts["present"]]),
        "structured: a right place in the first 5": np.mean(found),
        "structured: strong where none exists": np.mean(claimed) if claimed else 0.0,
    }
    if arguments.json:
        print(json.dumps({name: float(value) for name, value in figures.items()}))
        return
    print("\n".join(lines))
    for name, value in figures.items():
        print(f"{name:42} {value:.3f}")
    print(f"({len(verdicts['present'])} present, {len(verdicts['absent'])} absent, "
          f"{len(found)} structured that exist, {len(claimed)} that do not)")  # fmt: skip


if __name__ == "__main__":
    main()
