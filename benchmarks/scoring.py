"""Ranking, presence, "near", rare things and calibration, on real vectors of labelled images.

    python benchmarks/scoring.py ../shared/data/whu_rs19/remoteclip-vit-b-32.npz

Every figure goes through `search` and `TileIndex`; only the encoder is a table of given vectors.
The file holds `image_embeddings` (n, dim), `labels` (n,), `class_names`, `text_embeddings`
(templates, classes, dim) and `templates`. Of a seed: the background covers what is there (all other
classes, four fifths of the images) or does not (half of the classes, none of which is on the
ground); each class is searched for where it is, where its images were removed, and, among all
images, where 1 or 3 of them are left.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from figures import Figures
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter

from keenkite.evaluation.evaluate import auc, average_precision
from keenkite.evaluation.reliability import brier_score, calibration_error
from keenkite.evaluation.vector_table import VectorTable
from keenkite.index import Filters, TileIndex
from keenkite.retrieval import Hit, Near, Query, Result, search
from keenkite.retrieval.scoring import Scorer
from keenkite.tiling import Tile

SIDE = 32
"""Tiles along one side of the grid; they touch and do not overlap."""

FIRST = 10
"""Hits of a search whose confidence is held against the truth."""


def tile(cell: int, region: str = "grid", day: int = 1) -> Tile:
    """The tile of a cell of the grid, row by row; each has a ground of its own."""
    return Tile(
        epsg=32654, column=2 * (150 + cell % SIDE), row=2 * (1800 - cell // SIDE), platform="S2A",
        datetime=datetime(2024, 5, day, tzinfo=UTC), scene_ids=("scene",), collection="labelled",
        regions=(region,),
    )  # fmt: skip


class Laid:
    """Some images of the table on the grid, in an index of their own; a class is a region."""

    def __init__(
        self, table: VectorTable, rows: NDArray[np.int64], cells: NDArray[np.int64], place: str
    ) -> None:
        """Row i of the table's in cell i."""
        self.table, self.rows = table, rows
        self.labels = table.labels[rows]
        self.tiles = [tile(int(c), table.names[k]) for c, k in zip(cells, self.labels, strict=True)]
        self.number = {t.id: i for i, t in enumerate(self.tiles)}
        self.index = TileIndex.open(place, encoder=table)
        self.put(np.arange(len(rows)))

    def __enter__(self) -> Laid:
        return self

    def __exit__(self, *_: object) -> None:
        self.index.close()

    def put(self, which: NDArray[np.int64]) -> None:
        """Images, of those laid, into the index. Maintenance makes statistics of it as it is."""
        if len(which):
            self.index.upsert([self.tiles[i] for i in which], self.table.images[self.rows[which]])
        self.index.maintain()

    @contextmanager
    def without(self, k: int) -> Iterator[NDArray[np.int64]]:
        """The images of a class taken out; they are put back afterwards."""
        own = np.flatnonzero(self.labels == k)
        self.index.remove(Filters(regions=(self.table.names[k],)))
        self.index.maintain()
        yield own
        self.put(own)

    def ask(self, text: str, background: Sequence[str], **more: object) -> Result:
        """A search, without a cut."""
        query = Query(text=text, min_confidence=0, **more)  # type: ignore[arg-type]
        return search(self.index, self.table, query, background=background)

    def right(self, hit: Hit, k: int) -> bool:
        """Whether a hit shows a class."""
        return bool(self.labels[self.number[hit.tile.id]] == k)

    def precision(self, result: Result, right: NDArray[np.bool_]) -> float:
        """Average precision of an answer that holds all images."""
        ranks = np.full(len(right), len(right))
        ranks[[self.number[hit.tile.id] for hit in result.hits]] = np.arange(len(result.hits))
        return average_precision(-ranks, right)


@dataclass(kw_only=True)
class Kind:
    """What searches with one kind of background said."""

    precisions: list[float] = field(default_factory=list)
    there: list[tuple[str, float]] = field(default_factory=list)
    """Verdict, and confidence of the first hit."""
    gone: list[tuple[str, float]] = field(default_factory=list)
    confidences: list[float] = field(default_factory=list)
    rights: list[bool] = field(default_factory=list)

    def hits(self, laid: Laid, result: Result, k: int) -> tuple[str, float]:
        """Keep the first hits of a search."""
        for hit in result.hits[:FIRST]:
            self.confidences.append(hit.confidence)
            self.rights.append(laid.right(hit, k))
        return result.verdict, result.hits[0].confidence

    def searched(self, laid: Laid, k: int, background: Sequence[str]) -> None:
        """One class, where it is and where it is not."""
        name = laid.table.names[k]
        self.there.append(self.hits(laid, laid.ask(name, background), k))
        everything = laid.ask(name, background, limit=len(laid.labels))
        self.precisions.append(laid.precision(everything, laid.labels == k))
        with laid.without(k):
            self.gone.append(self.hits(laid, laid.ask(name, background), k))

    def report(self, figures: Figures, bounds: tuple[float, ...]) -> None:
        """All figures, with what they should be."""
        precision, presence, strong, none = bounds
        there, gone = (np.array([v for v, _ in each]) for each in (self.there, self.gone))
        first, last = ([c for _, c in each] for each in (self.there, self.gone))
        figures.add("mAP", np.mean(self.precisions), at_least=precision)
        figures.add("presence AUC, first confidence", auc(first, last), at_least=presence)
        figures.add("removed: strong", np.mean(gone == "strong"), at_most=strong)
        figures.add("removed: none", np.mean(gone == "none"), at_least=none)
        figures.add("there: none", np.mean(there == "none"), at_most=0.05)
        figures.add("there: strong", np.mean(there == "strong"))
        error = calibration_error(self.confidences, self.rights)
        figures.add(f"ECE, first {FIRST} hits", error, at_most=0.08)
        figures.add(f"Brier, first {FIRST} hits", brier_score(self.confidences, self.rights))


def covered(table: VectorTable, folder: str, seeds: int) -> Kind:
    """All other classes are the background; of each seed, four fifths of the images."""
    kind = Kind()
    for seed in range(seeds):
        order = np.random.default_rng(seed).permutation(len(table.labels))
        rows = np.sort(order[: 4 * len(order) // 5])
        with Laid(table, rows, rows, f"{folder}/covered-{seed}") as laid:
            for k, name in enumerate(table.names):
                kind.searched(laid, k, [n for n in table.names if n != name])
    return kind


def uncovered(table: VectorTable, folder: str, seeds: int) -> Kind:
    """Half of the classes are on the ground, the other half is the background."""
    kind = Kind()
    for seed in range(seeds):
        order = np.random.default_rng(seed).permutation(len(table.names))
        half = len(order) // 2
        background = [table.names[b] for b in order[:half]]
        rows = np.flatnonzero(np.isin(table.labels, order[half:]))
        with Laid(table, rows, rows, f"{folder}/uncovered-{seed}") as laid:
            for k in order[half:]:
                kind.searched(laid, int(k), background)
    return kind


RARE = {1: 0.4, 3: 0.15}
"""Images of a class among all others -> how often "none" may be said of it."""


def rare(table: VectorTable, folder: str, seeds: int, figures: Figures) -> None:
    """A class with very few images, others of them for each seed."""
    none: dict[int, list[bool]] = {number: [] for number in RARE}
    right: dict[tuple[int, str], list[bool]] = {}
    rows = np.arange(len(table.labels))
    with Laid(table, rows, rows, f"{folder}/rare") as laid:
        for k, name in enumerate(table.names):
            others = [n for n in table.names if n != name]
            with laid.without(k) as own:
                for seed in range(seeds):
                    few = np.random.default_rng([seed, k]).permutation(own)
                    done = 0
                    for number in RARE:
                        laid.put(few[done:number])
                        done = number
                        result = laid.ask(name, others)
                        none[number].append(result.verdict == "none")
                        for way, hit in _firsts(laid, name, others, result).items():
                            right.setdefault((number, way), []).append(laid.labels[hit] == k)
                    laid.index.remove(Filters(regions=(name,)))
    for number, most in RARE.items():
        found = {way: np.mean(right[number, way]) for way in ("search", "cosine", "z")}
        figures.title(f"{number} of a class among {len(rows)} images or fewer, {seeds} seeds")
        figures.add("called none", np.mean(none[number]), at_most=most)
        figures.add("first hit right", found["search"], at_least=found["cosine"])
        figures.add("first by raw cosine right", found["cosine"])
        figures.add("first by z right", found["z"])


def _firsts(laid: Laid, name: str, background: Sequence[str], result: Result) -> dict[str, int]:
    """The first image of a search, and by raw ranks of the same index."""
    wanted = Scorer(laid.table, laid.index.statistics(), background).wanted(name)
    vectors = {"cosine": laid.table.text(name), "z": wanted.query}
    firsts = {way: laid.index.nearest(v, limit=1)[0].tile for way, v in vectors.items()}
    return {way: laid.number[t.id] for way, t in firsts.items()} | {
        "search": laid.number[result.hits[0].tile.id]
    }


def near(table: VectorTable, folder: str, layouts: int, figures: Figures) -> None:
    """Class A with class B at most one or two cells away; images in random cells."""
    pairs = 6
    precisions: dict[int, list[float]] = {1: [], 2: []}
    names, rng = table.names, np.random.default_rng(0)
    for layout in range(layouts):
        cells = rng.permutation(SIDE**2)[: len(table.labels)]
        rows = np.arange(len(cells))
        with Laid(table, rows, cells, f"{folder}/near-{layout}") as laid:
            for _ in range(pairs):
                a, b = (int(k) for k in rng.choice(len(names), 2, replace=False))
                for reach, found in precisions.items():
                    right = (table.labels == a) & _close(table.labels == b, cells, reach)
                    if right.any():
                        asked = [Near(text=names[b], within_km=_km(reach))]
                        everything = laid.ask(names[a], names, near=asked, limit=len(cells))
                        found.append(laid.precision(everything, right))
    for reach, found in precisions.items():
        around = (2 * reach + 1) ** 2 - 1
        figures.add(f'mAP, "A near B", the {around} cells around', np.mean(found), at_least=0.93)


def _km(reach: int) -> float:
    """To the corner of the square of cells around a cell, and not to the next cell beyond."""
    return float((reach * 2**0.5 + 0.03) * tile(0).span / 1000)


def _close(there: NDArray[np.bool_], cells: NDArray[np.int64], reach: int) -> NDArray[np.bool_]:
    """(n,) whether one of those that are there is so many cells away, or fewer."""
    grid = np.zeros(SIDE**2)
    grid[cells] = there
    close = maximum_filter(grid.reshape(SIDE, SIDE), size=2 * reach + 1, mode="constant")
    return np.asarray(close.ravel()[cells] > 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("vectors", type=Path, nargs="+")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--layouts", type=int, default=12)
    arguments = parser.parse_args()
    for path in arguments.vectors:
        table, figures = VectorTable.load(path), Figures()
        with tempfile.TemporaryDirectory() as folder:
            figures.title(f"{path.name}: {len(table.labels)} images, {len(table.names)} classes")
            figures.title(f"background of all other names, {arguments.seeds} seeds")
            covered(table, folder, arguments.seeds).report(figures, (0.98, 0.98, 0.05, 0.75))
            figures.title(f"background of names that are not there, {arguments.seeds} seeds")
            uncovered(table, folder, arguments.seeds).report(figures, (0.975, 0.97, 0.10, 0.40))
            rare(table, folder, arguments.seeds, figures)
            figures.title(f"conditions, {arguments.layouts} layouts of 6 pairs")
            near(table, folder, arguments.layouts, figures)
        figures.summary()


if __name__ == "__main__":
    main()
