"""Ranking, presence and "near", on real RemoteCLIP vectors of 1,005 labelled images.

    python benchmarks/scoring.py ../shared/data/whu_rs19/remoteclip-vit-b-32.npz

Every figure goes through `search` and `TileIndex`; only the encoder is a table of given vectors.
The file holds `image_embeddings` (n, dim), `labels` (n,), `class_names`, `text_embeddings`
(templates, classes, dim) and `templates`.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter

from keenkite.evaluation.ranking import auc, average_precision
from keenkite.evaluation.vector_table import VectorTable
from keenkite.index import TileIndex
from keenkite.retrieval import Near, Query, search
from keenkite.tiling import Tile

SIDE = 32
"""Tiles along one side of the grid; they touch and do not overlap."""


def tile(cell: int) -> Tile:
    """The tile of a cell of the grid, row by row; each has a ground of its own."""
    return Tile(
        epsg=32654, column=2 * (150 + cell % SIDE), row=2 * (1800 - cell // SIDE), platform="S2A",
        datetime=datetime(2024, 5, 1, tzinfo=UTC), scene_ids=("scene",), collection="whu-rs19",
        regions=("grid",),
    )  # fmt: skip


class Laid:
    """Some images of the table on the grid, in an index of their own."""

    def __init__(
        self, table: VectorTable, rows: NDArray[np.int64], cells: NDArray[np.int64], place: str
    ) -> None:
        self.table = table
        self.labels = table.labels[rows]
        self.cells = cells
        tiles = [tile(int(cell)) for cell in cells]
        self._number = {t.id: i for i, t in enumerate(tiles)}
        self.index = TileIndex.open(place, encoder=table)
        self.index.upsert(tiles, table.images[rows])

    def __enter__(self) -> Laid:
        return self

    def __exit__(self, *_: object) -> None:
        self.index.close()

    def answer(
        self, name: str, background: Sequence[str], near: Sequence[Near] = ()
    ) -> tuple[list[int], float]:
        """Images in the order of the hits, and the confidence of the first."""
        query = Query(text=name, near=tuple(near), limit=len(self.labels))
        result = search(self.index, self.table, query, background=background)
        return [self._number[hit.tile.id] for hit in result.hits], result.hits[0].confidence

    def mean_precision(self, order: list[int], right: NDArray[np.bool_]) -> float:
        """Average precision of an order of all images."""
        ranks = np.empty(len(order))
        ranks[order] = np.arange(len(order))
        return average_precision(-ranks, right)


def single(table: VectorTable, folder: str) -> None:
    names = table.names
    with Laid(table, np.arange(len(table.labels)), np.arange(len(table.labels)), folder) as laid:
        precisions, there = [], []
        for k, name in enumerate(names):
            order, first = laid.answer(name, [n for n in names if n != name])
            precisions.append(laid.mean_precision(order, laid.labels == k))
            there.append(first)
    gone = []
    for k, name in enumerate(names):
        rows = np.flatnonzero(table.labels != k)
        with Laid(table, rows, rows, f"{folder}-without-{k}") as laid:
            gone.append(laid.answer(name, [n for n in names if n != name])[1])
    raw = np.mean([
        average_precision(table.images @ table.text(name), table.labels == k)
        for k, name in enumerate(names)
    ])  # fmt: skip
    print(f"one concept, the other classes as background ({len(names)} classes)")
    print(f"  mAP, raw cosine                {raw:.4f}")
    print(f"  mAP, keenkite                  {np.mean(precisions):.4f}")
    print(f"  presence AUC, first confidence {auc(there, gone):.4f}")
    print(f"  first confidence, lowest there {min(there):.3f}, highest gone {max(gone):.3f}")


def split(table: VectorTable, folder: str, splits: int) -> None:
    """Half of the other classes are on the ground, the other half in the background."""
    names, rng = table.names, np.random.default_rng(0)
    half = (len(names) - 1) // 2
    ours, raw, number = [], [], itertools.count()
    for _ in range(splits):
        order = rng.permutation(len(names))
        background, shown = order[:half], order[half:]
        rows = np.flatnonzero(np.isin(table.labels, shown))
        with Laid(table, rows, np.arange(len(rows)), f"{folder}-{next(number)}") as laid:
            for k in shown:
                found, _ = laid.answer(names[k], [names[b] for b in background])
                ours.append(laid.mean_precision(found, laid.labels == k))
                cosines = table.images[rows] @ table.text(names[k])
                raw.append(average_precision(cosines, laid.labels == k))
    print(f"one concept, {half} background classes of which none is shown, {splits} splits")
    print(f"  mAP, raw cosine                {np.mean(raw):.4f}")
    print(f"  mAP, keenkite                  {np.mean(ours):.4f}")


def near(table: VectorTable, folder: str, trials: int, reach: int) -> None:
    """Class A with class B at most `reach` cells away; images in random cells."""
    names, rng = table.names, np.random.default_rng(0)
    ours, blended, alone = [], [], []
    # To the corner of the square of cells around a cell, and not to the next cell beyond.
    km = (reach * 2**0.5 + 0.03) * tile(0).span / 1000
    for number in range(trials):
        cells = rng.permutation(SIDE**2)[: len(table.labels)]
        a, b = rng.choice(len(names), 2, replace=False)
        grid = np.zeros(SIDE**2)
        grid[cells] = table.labels == b
        side = 2 * reach + 1
        close = maximum_filter(grid.reshape(SIDE, SIDE), size=side, mode="constant")
        right = (table.labels == a) & (close.ravel()[cells] > 0)
        with Laid(table, np.arange(len(cells)), cells, f"{folder}-{number}") as laid:
            asked = [Near(text=names[b], within_km=km)]
            order, _ = laid.answer(names[a], names, asked)
            ours.append(laid.mean_precision(order, right))
        text_a, text_b = table.text(names[a]), table.text(names[b])
        alone.append(average_precision(table.images @ text_a, right))
        blended.append(average_precision(table.images @ (text_a + text_b), right))
    print(f'"A near B" within {km:.1f} km on a {SIDE} x {SIDE} grid, {trials} trials')
    print(f"  mAP, one blended text          {np.mean(blended):.4f}")
    print(f"  mAP, A alone                   {np.mean(alone):.4f}")
    print(f"  mAP, keenkite                  {np.mean(ours):.4f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("vectors", type=Path, nargs="+")
    parser.add_argument("--splits", type=int, default=40)
    parser.add_argument("--trials", type=int, default=72)
    arguments = parser.parse_args()
    for path in arguments.vectors:
        print(path.name)
        table = VectorTable.load(path)
        with ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            single(table, f"{folder}/single")
            for reach in (1, 2):
                near(table, f"{folder}/near{reach}", arguments.trials, reach)
            split(table, f"{folder}/split", arguments.splits)


if __name__ == "__main__":
    main()
