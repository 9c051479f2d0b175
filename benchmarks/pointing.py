"""Do the heatmaps point at the thing? Measured on drawn worlds, whose truth is known.

    python benchmarks/pointing.py [--model keenkite-tiny] [--seeds 8101 8102 8103] [--json]

Every tile of three worlds that no model was trained on is asked for each concept:

- pointing: of the tiles that show the thing, how many have their map's peak inside its outline
  grown by one patch (several things of a kind in one tile: any of them);
- inside: in how many of them the map's mean inside the outline is above the mean outside;
- AUC: how often a tile that shows the thing has a higher maximum than one that does not;
- rim: peaks in the outer 8 px of these tiles, which are 14 % of the area;
- agree: tiles that both search and map find, or neither; of those whose truth is known "map alone"
  and "search alone" count what one of them finds and the other does not, "… right" says in which
  part of them the thing is there, and "believed right" how often the one to believe is right.

Every third tile is looked at under drawn cloud, too, broken and closed, with its mask and without:

- under: finds whose peak cloud hides; overcast: finds on tiles that are nothing but cloud;
- clouded false: tiles without the thing that are found to have it, beneath broken cloud.

Tiles that show too little of it to call are left out, as everywhere in the demo's truth.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray

from keenkite.demo.terrain import noise, smoothstep
from keenkite.demo.training.samples import to_rgb
from keenkite.demo.world import PIXEL, World, draw_world
from keenkite.encoder import ClipEncoder, Encoder
from keenkite.index import TileIndex
from keenkite.retrieval.confidence import confidence_of
from keenkite.retrieval.heatmap import Heatmap, heatmaps
from keenkite.retrieval.result import WEAK
from keenkite.tiling import TILE, Tile

CONCEPTS = ("airport", "golf course", "reservoir", "solar farm", "harbour")
SEEDS = (8101, 8102, 8103)
STRIDE = 112
BATCH = 32
RIM = 8
CLOUDED = 3
"""One tile in so many is looked at under cloud."""


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


def cloud_over(
    rgb: NDArray[np.uint8], rng: np.random.Generator, part: float
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """A tile (224, 224, 3) with about this part of it under cloud, and where its mask says so."""
    field = noise(rng, (TILE, TILE), 110, 5)
    edge = float(np.quantile(field, 1 - part)) if part < 1 else float(field.min()) - 2
    veil = smoothstep(field, edge - 0.12, edge + 0.55)[..., None]
    white = 244 + 6 * noise(rng, (TILE, TILE), 24, 4)[..., None]
    shown = np.clip(rgb * (1 - veil) + white * veil, 0, 255).astype(np.uint8)
    return shown, np.asarray(veil[..., 0] > 0.08)  # as scenes of the demo are classified


def mean(values: Sequence[float]) -> float:
    """NaN where there are none."""
    return float(np.mean(values)) if values else float("nan")


class Tally:
    """What was seen of one concept."""

    def __init__(self) -> None:
        self.points: list[bool] = []
        self.inside: list[bool] = []
        self.rim: list[bool] = []
        self.present: list[float] = []
        self.absent: list[float] = []
        self.agree: list[bool] = []
        self.believed: list[bool] = []
        self.alone: dict[str, list[bool]] = {"map": [], "search": []}
        self.cloud: defaultdict[str, list[bool]] = defaultdict(list)

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
        self.rim.append(not all(RIM <= n < TILE - RIM for n in heat.peak))
        inside = outlines(world, concept, row, col, 0)
        if inside.any() and not inside.all():
            self.inside.append(bool(heat.values[inside].mean() > heat.values[~inside].mean()))

    def compare(
        self, heats: Sequence[Heatmap], sure: Sequence[float], states: Sequence[int]
    ) -> None:
        """Maps of some tiles, and how sure a search is of them."""
        for heat, confidence, state in zip(heats, sure, states, strict=True):
            searched = confidence >= WEAK
            self.agree.append(heat.found == searched)
            if heat.found != searched and state in (0, 1):
                self.alone["map" if heat.found else "search"].append(state == 1)
                which = replace(heat, confidence=confidence).believed
                says = heat.found if which == "map" else searched
                self.believed.append(says == (state == 1))

    def under_cloud(self, heat: Heatmap, mask: NDArray[np.bool_], state: int, how: str) -> None:
        """A tile of which the mask is cloud; `how`: "", or " unmasked" where the map knew none."""
        if mask.all():
            self.cloud[f"overcast{how}"].append(heat.found)
            return
        if heat.found:
            self.cloud[f"under{how}"].append(bool(mask[heat.peak]))
        if state == 0:
            self.cloud[f"clouded false{how}"].append(heat.found)

    def row(self) -> dict[str, float]:
        """As figures."""
        return {
            "tiles": len(self.present),
            "pointing": float(np.mean(self.points)),
            "inside": float(np.mean(self.inside)),
            "auc": auc(self.present, self.absent),
            "rim": float(np.mean(self.rim)),
            "median present": float(np.median(self.present)),
            "median absent": float(np.median(self.absent)),
            "found": float(np.mean(np.array(self.present) >= 0.5)),
            "false": float(np.mean(np.array(self.absent) >= 0.5)),
            "agree": float(np.mean(self.agree)),
            **{f"{who} alone": len(each) for who, each in self.alone.items()},
            **{f"{who} alone right": mean(each) for who, each in self.alone.items()},
            "believed right": mean(self.believed),
            **{name: mean(each) for name, each in sorted(self.cloud.items())},
        }


class Seen:
    """A world's tiles in its index."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.places = list(windows(world))
        self.states = [world.present(row, col) for row, col in self.places]
        pixels = to_rgb(world.reflectance)
        self.rgb = [pixels[r : r + TILE, c : c + TILE] for r, c in self.places]
        self.tiles = [
            Tile.at(
                epsg=world.epsg, span=PIXEL * TILE, west=world.west + PIXEL * col,
                north=world.north - PIXEL * row, datetime=datetime(2024, 5, 12, tzinfo=UTC),
                platform="S2B", collection="drawn", scene_ids=("drawn",),
            )
            for row, col in self.places
        ]  # fmt: skip

    def search(self, encoder: Encoder, vectors: NDArray[np.float32]) -> dict[str, list[float]]:
        """Concept -> how sure a search is of each tile."""
        with (
            tempfile.TemporaryDirectory() as folder,
            TileIndex.open(Path(folder) / "index", encoder=encoder) as index,
        ):
            index.upsert(self.tiles, vectors)
            ids = [tile.id for tile in self.tiles]
            return {text: confidence_of(index, encoder, text, ids) for text in CONCEPTS}


def measure(encoder: ClipEncoder, seeds: list[int]) -> dict[str, dict[str, float]]:
    """Figures by concept, over all worlds; "all" is the mean of the concepts."""
    tallies: defaultdict[str, Tally] = defaultdict(Tally)
    for seed in seeds:
        seen, rng = Seen(draw_world(seed)), np.random.default_rng([seed, 5])
        vectors, heats = [], defaultdict(list)
        for start in range(0, len(seen.places), BATCH):
            batch = np.stack(seen.rgb[start : start + BATCH])
            remembered = Remembered(encoder, batch)
            vectors.append(remembered.vectors)
            for concept in CONCEPTS:
                for n, heat in enumerate(heatmaps(remembered, batch, concept), start):
                    heats[concept].append(replace(heat, values=heat.grid))  # all of them are much
                    state = seen.states[n][concept]
                    tallies[concept].add(heat, state, seen.world, concept, *seen.places[n])
        for concept, sure in seen.search(encoder, np.concatenate(vectors)).items():
            states = [state[concept] for state in seen.states]
            tallies[concept].compare(heats[concept], sure, states)
        measure_cloud(encoder, seen, tallies, rng)
    table = {concept: tallies[concept].row() for concept in CONCEPTS}
    table["all"] = {
        key: mean([row[key] for row in table.values() if not np.isnan(row[key])])
        for key in table["airport"]
    }
    return table


def measure_cloud(
    encoder: ClipEncoder, seen: Seen, tallies: dict[str, Tally], rng: np.random.Generator
) -> None:
    """Every third tile under cloud: broken, of any part, or one in four closed."""
    chosen = range(0, len(seen.places), CLOUDED)
    parts = [1.0 if n % 4 == 0 else rng.uniform(0.1, 0.9) for n in range(len(chosen))]
    for start in range(0, len(chosen), BATCH):
        numbers = chosen[start : start + BATCH]
        drawn = [
            cloud_over(seen.rgb[n], rng, part)
            for n, part in zip(numbers, parts[start : start + BATCH], strict=True)
        ]
        rgb, mask = (np.stack(each) for each in zip(*drawn, strict=True))
        remembered = Remembered(encoder, rgb)
        for concept in CONCEPTS:
            for how, given in (("", mask), (" unmasked", None)):
                heats = heatmaps(remembered, rgb, concept, mask=given)
                for n, heat, hidden in zip(numbers, heats, mask, strict=True):
                    state = seen.states[n][concept]
                    tallies[concept].under_cloud(heat, hidden, state, how)


class Remembered:
    """An encoder that has seen the tiles: one pass for all the texts."""

    def __init__(self, encoder: ClipEncoder, rgb: NDArray[np.uint8]) -> None:
        self.name, self.dim = encoder.name, encoder.dim
        self.encode_texts, self.encode_images = encoder.encode_texts, encoder.encode_images
        self.patches_trained, self.vocabulary = encoder.patches_trained, encoder.vocabulary
        self._rgb = rgb
        self.vectors, self._patches = encoder.encode_with_patches(rgb)

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
    print(f"{'':24}" + "".join(f"{concept:>14}" for concept in table))
    for name in table["all"]:
        cells = "".join(f"{row[name]:14.3f}" for row in table.values())
        print(f"{name:24}{cells}")
    print(f"{arguments.model}, worlds {arguments.seeds}, {time.perf_counter() - begin:.0f} s")


if __name__ == "__main__":
    main()
