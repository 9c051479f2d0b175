"""What keenkite-tiny can do: on drawn worlds it has not seen, and on real chips held out.

    python benchmarks/tiny_model.py --eurosat EUROSAT_FOLDER_OR_ZIP

For each unseen world: the scenes are written, indexed and searched with every drawn concept, and
precision@5 is the share of right tiles among the first five hits: of those that can be called,
since a tile that shows a part of a thing is neither right nor wrong, and, in the column "strict",
of all five. On EuroSAT: mosaics of one class per tile, of the chips that training leaves out, given
to the nearest of the ten class names.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np

from keenkite.demo.concepts import CONCEPTS
from keenkite.demo.tour import index_world, truth_of
from keenkite.demo.training.eurosat import CLASSES, load_chips, mosaic
from keenkite.demo.training.vocabulary import EUROSAT_LABELS, TEMPLATES
from keenkite.demo.world import World, draw_world
from keenkite.encoder import ClipEncoder
from keenkite.index import TileIndex
from keenkite.retrieval import Query, search

SEEDS = (11, 12, 13)
FIRST = 5


def precision(
    index: TileIndex, encoder: ClipEncoder, world: World, concept: str
) -> tuple[float, float]:
    """(right of those that can be called, right of all) among the first five hits."""
    result = search(index, encoder, Query(text=concept, limit=FIRST))
    marks = np.array([truth_of(world, hit.tile, concept) for hit in result.hits])
    right = int((marks == 1).sum())
    return right / max(int((marks != -1).sum()), 1), right / FIRST


def drawn(encoder: ClipEncoder, size_km: tuple[float, float]) -> None:
    table: dict[str, list[tuple[float, float]]] = {concept.name: [] for concept in CONCEPTS}
    for seed in SEEDS:
        world = draw_world(seed, size_km=size_km)
        with tempfile.TemporaryDirectory() as folder:
            index, report = index_world(world, Path(folder), encoder)
            with index:
                print(f"world {seed}: {report.kept} tiles", flush=True)
                for name, row in table.items():
                    row.append(precision(index, encoder, world, name))
    print(
        f"\nprecision@{FIRST}      " + "  ".join(f"{seed:>5}" for seed in SEEDS) + "   mean  strict"
    )
    for name, row in table.items():
        values = np.array(row)
        cells = "  ".join(f"{value:5.2f}" for value in values[:, 0])
        print(f"{name:16}  {cells}  {values[:, 0].mean():5.2f}  {values[:, 1].mean():5.2f}")
    means = np.mean(list(table.values()), axis=(0, 1))
    print(f"{'mean':16}  {means[0]:.3f}, strict {means[1]:.3f}")


def chips(encoder: ClipEncoder, path: Path, tiles: int) -> None:
    _, held_out = load_chips(path)
    rng = np.random.default_rng(0)
    labels = [EUROSAT_LABELS[name] for name in CLASSES]
    texts = np.stack(
        [
            encoder.encode_texts([t.format(label) for t in TEMPLATES]).mean(axis=0)
            for label in labels
        ]
    )
    texts /= np.linalg.norm(texts, axis=1, keepdims=True)
    pixels, wanted = [], []
    for _ in range(tiles):
        rgb, classes = mosaic(held_out, rng)
        pixels.append(rgb)
        wanted.append(int(classes[0, 0]))
    chosen = (encoder.encode_images(np.stack(pixels)) @ texts.T).argmax(axis=1)
    right = chosen == np.array(wanted)
    print(f"\nEuroSAT, {tiles} mosaics of held-out chips: accuracy {right.mean():.3f}")
    for number, label in enumerate(labels):
        of_class = np.array(wanted) == number
        print(f"  {label:24} {right[of_class].mean():.2f}  of {of_class.sum()}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="keenkite-tiny")
    parser.add_argument("--eurosat", type=Path)
    parser.add_argument("--tiles", type=int, default=1000)
    parser.add_argument("--size-km", type=float, nargs=2, default=(44.0, 32.0))
    arguments = parser.parse_args()
    encoder = ClipEncoder.load(arguments.model)
    if arguments.eurosat:
        chips(encoder, arguments.eurosat, arguments.tiles)
    drawn(encoder, tuple(arguments.size_km))


if __name__ == "__main__":
    main()
