"""Set the calibration of keenkite-tiny on drawn worlds, and print it.

    python benchmarks/set_tiny_calibration.py [--seeds 8001 8002 8003] [--keep FOLDER]

As `set_calibration`, with what was drawn as the truth: every concept where it is and where it was
left out, and words that name nothing. No world and no word here is one that a claim is measured on.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import open_clip
from demo_search import LEFT_OUT
from numpy.typing import NDArray
from set_calibration import NAMES, Search, regression

from keenkite.demo.concepts import NAMES as CONCEPTS
from keenkite.demo.training.samples import to_rgb
from keenkite.demo.training.vocabulary import strange_words
from keenkite.demo.world import World, draw_world
from keenkite.encoder import ClipEncoder, Encoder
from keenkite.index.statistics import statistics_of
from keenkite.retrieval.calibration import confidence
from keenkite.retrieval.look_alikes import POOL, Ground
from keenkite.retrieval.result import STRONG, WEAK
from keenkite.retrieval.scoring import Scorer
from keenkite.tiling import TILE, Tile

KINDS = {"there": 1.0, "gone": 1.0, "word": 0.5}
STRANGE = 12
"""Words that name nothing, for each world."""


def tiles_of(world: World) -> tuple[list[Tile], list[tuple[int, int]]]:
    """Half-overlapping tiles of a world, and (row, column) of their pixels."""
    rows, cols = world.shape
    places = [
        (row, col)
        for row in range(0, rows - TILE + 1, TILE // 2)
        for col in range(0, cols - TILE + 1, TILE // 2)
    ]
    tiles = [
        Tile.at(
            epsg=world.epsg, span=2240, west=world.west + 10 * col, north=world.north - 10 * row,
            datetime=datetime(2024, 5, 1, tzinfo=UTC), platform="S2A", scene_ids=("drawn",),
            collection="drawn", regions=("drawn",),
        )
        for row, col in places
    ]  # fmt: skip
    return tiles, places


def seen(
    encoder: Encoder, seed: int, left_out: frozenset[str], keep: Path | None
) -> tuple[list[Tile], NDArray[np.float32], list[dict[str, int]]]:
    """A world's tiles, their vectors and what they show."""
    world = draw_world(seed, leave_out=left_out)
    tiles, places = tiles_of(world)
    kept = keep / f"{seed}-{'-'.join(sorted(left_out))}.npy" if keep else None
    if kept is not None and kept.exists():
        vectors = np.load(kept)
    else:
        pixels = to_rgb(world.reflectance)
        vectors = np.concatenate([
            encoder.encode_images(np.stack([pixels[r : r + TILE, c : c + TILE] for r, c in some]))
            for start in range(0, len(places), 64)
            for some in [places[start : start + 64]]
        ])  # fmt: skip
        if kept is not None:
            kept.parent.mkdir(parents=True, exist_ok=True)
            np.save(kept, vectors)
    return tiles, vectors, [world.present(row, col) for row, col in places]


def searches(encoder: Encoder, seeds: list[int], keep: Path | None) -> Iterator[Search]:
    """Of all worlds."""
    words = strange_words(open_clip.get_tokenizer("ViT-B-32").encoder)
    for seed in seeds:
        for out in (frozenset[str](), *LEFT_OUT):
            tiles, vectors, states = seen(encoder, seed, out, keep)
            scorer, ground = Scorer(encoder, statistics_of(vectors)), Ground.of(tiles)
            rng = np.random.default_rng([seed, len(out)])
            texts = [*CONCEPTS, *(str(word) for word in rng.choice(words, STRANGE, replace=False))]
            for text in texts:
                wanted = scorer.wanted(text)
                best = np.argsort(-wanted.z(vectors), kind="stable")[:POOL]
                judge = scorer.judge(wanted, vectors[best], ground.part(best))
                found = judge.measures(vectors, ground)
                columns = [np.broadcast_to(getattr(found, name), len(tiles)) for name in NAMES]
                truth = np.array([state.get(text, 0) for state in states])
                known = truth != -1
                there = (truth == 1).any()
                kind = "there" if there else "gone" if text in CONCEPTS else "word"
                yield Search(
                    kind=kind, measures=np.column_stack(columns)[known], right=truth[known] == 1
                )


def figures(found: list[Search], weights: NDArray[np.float64]) -> dict[str, tuple[float, float]]:
    """Name -> (figure, what it may be at most)."""
    first: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for each in found:
        first[each.kind].append(float((each.measures @ weights[:-1] + weights[-1]).max()))
    p = {kind: confidence(np.array(odds)) for kind, odds in first.items()}
    seen_at_all = p["there"][p["there"] >= WEAK]
    return {
        "there called none": (float((p["there"] < WEAK).mean()), 0.03),
        "there, seen, not strong": (float((seen_at_all < STRONG).mean()), 0.15),
        "gone called strong": (float((p["gone"] >= STRONG).mean()), 0.05),
        "gone not called none": (float((p["gone"] >= WEAK).mean()), 0.40),
        "words called strong": (float((p["word"] >= STRONG).mean()), 0.05),
        "words not called none": (float((p["word"] >= WEAK).mean()), 0.20),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, nargs="+", default=[8001, 8002, 8003])
    parser.add_argument("--keep", type=Path, help="a folder for vectors, to go on from")
    arguments = parser.parse_args()
    found = list(searches(ClipEncoder.load("keenkite-tiny"), arguments.seeds, arguments.keep))
    weights = regression(found, KINDS)
    best = (np.inf, np.inf, weights)
    for slope in np.arange(0.3, 1.55, 0.05):
        for shift in np.arange(-2.5, 2.5, 0.05):
            moved = slope * weights
            moved[-1] += shift
            parts = np.array([value / most for value, most in figures(found, moved).values()])
            score = (float(np.maximum(parts - 1, 0).sum()), float(parts.max()))
            if score < best[:2]:
                best = (*score, moved)
    for name, (value, most) in figures(found, best[2]).items():
        print(f"{name:24} {value:.3f} (at most {most:g}){' MISSED' if value > most else ''}")
    final = dict(zip((*NAMES, "constant"), best[2], strict=True))
    print(json.dumps({name: round(float(value), 3) for name, value in final.items()}))


if __name__ == "__main__":
    main()
