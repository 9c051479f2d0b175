"""Do the heatmaps point at the thing? Measured on drawn worlds, whose truth is known.

    python benchmarks/pointing.py [--model keenkite-tiny] [--seeds 301 302 303] [--json]

Every tile of three worlds that no model was trained on is asked for each concept:

- pointing: of the tiles that show the thing, how many have their map's maximum inside its outline
  grown by one patch (several things of a kind in one tile: any of them);
- inside: in how many of them the map's mean inside the outline is above the mean outside;
- AUC: how often a tile that shows the thing has a higher maximum than one that does not.

Tiles that show too little of it to call are left out, as everywhere in the demo's truth.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Iterator

import numpy as np
import shapely
from numpy.typing import NDArray

from keenkite.demo.training.samples import to_rgb
from keenkite.demo.world import PIXEL, World, draw_world
from keenkite.encoder import ClipEncoder, Encoder
from keenkite.retrieval.heatmap import Heatmap, heatmaps
from keenkite.tiling import TILE

CONCEPTS = ("airport", "golf course", "reservoir", "solar farm", "harbour")
SEEDS = (301, 302, 303)
STRIDE = 112
BATCH = 32


def windows(world: World) -> Iterator[tuple[int, int]]:
    """(row, col) of the tiles of the world's lattice."""
    rows, cols = world.shape
    for row in range(0, rows - TILE + 1, STRIDE):
        for col in range(0, cols - TILE + 1, STRIDE):
            yield row, col


def outlines(world: World, concept: str, row: int, col: int, grow: float) -> NDArray[np.bool_]:
    """(224, 224): which pixels of the tile are in an outline of the concept, grown by metres."""
    west, north = world.west + PIXEL * col, world.north - PIXEL * row
    square = shapely.box(west, north - PIXEL * TILE, west + PIXEL * TILE, north)
    inside = np.zeros((TILE, TILE), bool)
    middle = PIXEL * (np.arange(TILE) + 0.5)
    x, y = np.meshgrid(west + middle, north - middle)
    for feature in world.features:
        if feature.concept == concept and feature.polygon.intersects(square):
            shape = feature.polygon.buffer(grow)
            shapely.prepare(shape)
            inside |= shapely.contains_xy(shape, x, y)
    return inside


def auc(present: list[float], absent: list[float]) -> float:
    """The chance that one of the first is above one of the second, ties as half."""
    a, b = np.array(present)[:, None], np.sort(absent)
    below = np.searchsorted(b, a[:, 0], "left") + np.searchsorted(b, a[:, 0], "right")
    return float(below.mean() / (2 * len(b)))


class Tally:
    """What was seen of one concept."""

    def __init__(self) -> None:
        self.points: list[bool] = []
        self.inside: list[bool] = []
        self.present: list[float] = []
        self.absent: list[float] = []

    def add(
        self, heat: Heatmap, state: int, world: World, concept: str, row: int, col: int
    ) -> None:
        """One tile: 1 it shows the concept, 0 it does not."""
        if state == 0:
            self.absent.append(heat.strength)
        if state != 1:
            return
        self.present.append(heat.strength)
        patch = PIXEL * TILE / heat.grid.shape[0]
        self.points.append(bool(outlines(world, concept, row, col, patch)[heat.peak]))
        inside = outlines(world, concept, row, col, 0)
        if inside.any() and not inside.all():
            self.inside.append(bool(heat.values[inside].mean() > heat.values[~inside].mean()))

    def row(self) -> dict[str, float]:
        """As figures."""
        return {
            "tiles": len(self.present),
            "pointing": float(np.mean(self.points)),
            "inside": float(np.mean(self.inside)),
            "auc": auc(self.present, self.absent),
            "median present": float(np.median(self.present)),
            "median absent": float(np.median(self.absent)),
            "found": float(np.mean(np.array(self.present) >= 0.5)),
            "false": float(np.mean(np.array(self.absent) >= 0.5)),
        }


def measure(encoder: Encoder, seeds: list[int]) -> dict[str, dict[str, float]]:
    """Figures by concept, over all worlds; "all" is the mean of the concepts."""
    tallies: defaultdict[str, Tally] = defaultdict(Tally)
    for seed in seeds:
        world = draw_world(seed)
        pixels = to_rgb(world.reflectance)
        places = list(windows(world))
        states = [world.present(row, col) for row, col in places]
        for start in range(0, len(places), BATCH):
            batch = places[start : start + BATCH]
            rgb = np.stack([pixels[r : r + TILE, c : c + TILE] for r, c in batch])
            remembered = Remembered(encoder, rgb)
            for concept in CONCEPTS:
                for n, heat in enumerate(heatmaps(remembered, rgb, concept)):
                    state = states[start + n][concept]
                    tallies[concept].add(heat, state, world, concept, *batch[n])
    table = {concept: tallies[concept].row() for concept in CONCEPTS}
    table["all"] = {
        key: float(np.mean([row[key] for row in table.values()])) for key in table["airport"]
    }
    return table


class Remembered:
    """An encoder that has seen the tiles: one pass for all the texts."""

    def __init__(self, encoder: Encoder, rgb: NDArray[np.uint8]) -> None:
        self.name, self.dim = encoder.name, encoder.dim
        self.encode_texts, self.encode_images = encoder.encode_texts, encoder.encode_images
        self._rgb, self._patches = rgb, encoder.patch_features(rgb)

    def patch_features(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        assert rgb is self._rgb
        return self._patches


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", default="keenkite-tiny")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    begin = time.perf_counter()
    table = measure(ClipEncoder.load(arguments.model), arguments.seeds)
    if arguments.json:
        print(json.dumps(table, indent=1))
        return
    head = (
        "tiles",
        "pointing",
        "inside",
        "auc",
        "median present",
        "median absent",
        "found",
        "false",
    )
    print(f"{'':12}" + "".join(f"{name:>16}" for name in head))
    for concept, row in table.items():
        cells = "".join(
            f"{row[name]:16.0f}" if name == "tiles" else f"{row[name]:16.3f}" for name in head
        )
        print(f"{concept:12}{cells}")
    print(f"{arguments.model}, worlds {arguments.seeds}, {time.perf_counter() - begin:.0f} s")


if __name__ == "__main__":
    main()
