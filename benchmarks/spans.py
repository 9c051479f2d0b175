"""What a second, smaller span does for small things, and to large ones, on drawn worlds.

    python benchmarks/spans.py [--model keenkite-tiny] [--seeds 21 22 23 24 25] [--spans 1120 2240]

Each world is indexed with all spans, and the tiles of the sensor's own span are copied into an
index of their own. Both are searched with every drawn concept; hits of all spans compete in one
list. Precision@5 is the share of right tiles among the first five hits that can be called: a tile
that shows a part of a thing is neither right nor wrong.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from keenkite.demo.concepts import NAMES
from keenkite.demo.tour import index_world, truth_of
from keenkite.demo.world import World, draw_world
from keenkite.encoder import ClipEncoder, Encoder
from keenkite.index import Filters, TileIndex
from keenkite.retrieval import Query, search

SMALL = ("sports ground", "harbour", "railway station")
"""Things of a few hundred metres; those that the usual span finds without fail are not counted."""
LARGE = ("airport", "golf course", "lake", "reservoir", "solar farm")
"""Things that fill a good part of a tile of 2,240 m, or more than that."""
FIRST = 5


def precision(index: TileIndex, encoder: Encoder, world: World, concept: str) -> float:
    """Right of those that can be called among the first hits."""
    hits = search(index, encoder, Query(text=concept, limit=FIRST)).hits
    marks = np.array([truth_of(world, hit.tile, concept) for hit in hits])
    return float((marks == 1).sum() / max((marks != -1).sum(), 1))


def alone(index: TileIndex, encoder: Encoder, folder: Path) -> TileIndex:
    """The tiles of the sensor's own span in an index of their own."""
    span = index.sensor.span
    other = TileIndex.open(folder, encoder=encoder, spans=(span,))
    for tiles, vectors in index.blocks(Filters(spans=(span,))):
        other.upsert(tiles, vectors)
    return other


def measure(
    encoder: Encoder, seeds: Sequence[int], spans: Sequence[float]
) -> dict[str, list[tuple[float, float]]]:
    """Concept -> for each world, precision with the usual span alone and with all."""
    table: dict[str, list[tuple[float, float]]] = {name: [] for name in NAMES}
    for seed in seeds:
        world = draw_world(seed)
        with tempfile.TemporaryDirectory() as folder:
            index, _ = index_world(world, Path(folder), encoder, spans=spans)
            with index, alone(index, encoder, Path(folder) / "alone") as usual:
                print(f"world {seed}: {usual.count():,} tiles, {index.count():,} of all spans")
                for name, row in table.items():
                    pair = [precision(each, encoder, world, name) for each in (usual, index)]
                    row.append((pair[0], pair[1]))
    return table


def summary(table: dict[str, list[tuple[float, float]]]) -> dict[str, tuple[float, float]]:
    """Means over the worlds: of each concept, of the small and of the large things."""
    means = {name: np.mean(row, axis=0) for name, row in table.items()}
    small = [means[name] for name in SMALL if means[name][0] < 1]
    means["small things"] = np.mean(small or [(1.0, 1.0)], axis=0)
    means["large things"] = np.mean([means[name] for name in LARGE], axis=0)
    return {name: (float(a), float(b)) for name, (a, b) in means.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", default="keenkite-tiny")
    parser.add_argument("--seeds", type=int, nargs="+", default=[21, 22, 23, 24, 25])
    parser.add_argument("--spans", type=float, nargs="+", default=[1120, 2240])
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    table = measure(ClipEncoder.load(arguments.model), arguments.seeds, arguments.spans)
    means = summary(table)
    if arguments.json:
        print(json.dumps(means))
        return
    print(
        f"precision@{FIRST}, mean of {len(arguments.seeds)} worlds: alone, spans {arguments.spans}"
    )
    for name, (usual, every) in means.items():
        worlds = "  ".join(f"{a:.2f} {b:.2f}" for a, b in table.get(name, []))
        print(f"{name:16} {usual:6.3f} {every:6.3f}  {every - usual:+.3f}   {worlds}")


if __name__ == "__main__":
    main()
