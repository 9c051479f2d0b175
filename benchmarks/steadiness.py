"""What may not move a confidence: limit, filters, pages, dates, and the number of names.

    python benchmarks/steadiness.py ../shared/data/whu_rs19/remoteclip-vit-b-32.npz

Real vectors of labelled images, as in `scoring.py`; through `search`, every class once where it is.
`demo_search.py` measures the same of the model that comes with keenkite.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from figures import Figures
from paging import LIMITS, paged
from scoring import Laid, tile

from keenkite.area import Area
from keenkite.evaluation.vector_table import VectorTable
from keenkite.index import Filters, TileIndex
from keenkite.retrieval import Query, Result, search

ASKED = (5, 10, 20, 50, 100, 200)
"""Limits."""

DATES, NOISE = 4, 0.2
"""Dates of the same ground, and the length of what is added to a vector of length 1 on each of
them: cosines of two dates are about .96."""

FIRST = 10
"""Hits of a search whose confidence is compared."""

FEW, DRAWS = 4, 5
"""Names in a small background, and how often they are drawn."""

AROUND_KM = 8.0


def confidences(result: Result) -> dict[str, float]:
    """Tile -> confidence."""
    return {hit.tile.id: hit.confidence for hit in result.hits}


def others(table: VectorTable, name: str) -> list[str]:
    """The background of a class."""
    return [n for n in table.names if n != name]


def form(laid: Laid, figures: Figures) -> None:
    """One tile, one text; the question is put in other ways."""
    moved: dict[str, list[float]] = {"limits 5-200": [], "its surroundings": [], "itself": []}
    for name in laid.table.names:
        answers = [confidences(laid.ask(name, others(laid.table, name), limit=n)) for n in ASKED]
        first = list(answers[1])[:FIRST]
        for found in (answers[-1], *answers):
            both = found.keys() & set(first)
            moved["limits 5-200"] += [abs(found[i] - answers[1][i]) for i in both]
        for i in first:
            there = laid.tiles[laid.number[i]]
            filters = {
                "its surroundings": Filters(area=Area.around(there.lon, there.lat, AROUND_KM)),
                "itself": Filters(tile_ids=(i,)),
            }
            for what, each in filters.items():
                alone = laid.ask(name, others(laid.table, name), filters=each, limit=200)
                moved[what].append(abs(confidences(alone)[i] - answers[1][i]))
    figures.title(f"one tile, one text: the first {FIRST} hits of each class, largest difference")
    for what, differences in moved.items():
        title = what if what.startswith("limits") else f"a filter that leaves only {what}"
        figures.add(title, max(differences), at_most=0.05)


def pages(laid: Laid, figures: Figures) -> None:
    """Answers page by page, against the same in one piece."""
    repeated = skipped = moved = number = 0
    grid = laid.tiles[len(laid.tiles) // 2]
    part = Filters(area=Area.around(grid.lon, grid.lat, AROUND_KM))
    for name in laid.table.names:
        background = others(laid.table, name)
        whole = list(confidences(laid.ask(name, background, filters=part, limit=1000)))
        best = list(confidences(laid.ask(name, background, limit=200)))
        for limit in LIMITS:
            query = Query(text=name, filters=part, limit=limit)
            closed = paged(laid.index, laid.table, query, first=1000, background=background)
            query = Query(text=name, limit=limit)
            opened = paged(laid.index, laid.table, query, first=200, background=background)
            number += 2
            repeated += closed.repeated + opened.repeated
            skipped += closed.skipped(whole)
            moved += opened.skipped(best[: max(LIMITS)])
    figures.title(
        f"pages of {LIMITS}: {number} answers, half of them to the end ({len(whole)} hits)"
    )
    figures.add("hits repeated", repeated, at_most=0)
    figures.add("hits skipped", skipped, at_most=0)
    figures.add("of the 50 best of 200, not among the first 200 of pages", moved, at_most=0)


def dates(laid: Laid, folder: str, figures: Figures) -> None:
    """The same ground seen once and on more dates."""
    table, rng = laid.table, np.random.default_rng(0)
    there: list[float] = []
    gone: list[float] = []
    strong = [0, 0]
    with TileIndex.open(f"{folder}/dates", encoder=table) as index:
        for day in range(DATES):
            noise = rng.normal(size=table.images.shape) * (day > 0)
            vectors = table.images + NOISE * noise / np.sqrt(table.dim)
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
            tiles = [
                tile(i, table.names[k], day=1 + 10 * day % 28) for i, k in enumerate(table.labels)
            ]
            index.upsert(tiles, vectors)
        index.maintain()
        for k, name in enumerate(table.names):
            there += _between(laid, index, name)
            class_gone = Filters(regions=(name,))
            again = [(ts, vs) for ts, vs in index.blocks(class_gone)]
            index.remove(class_gone)
            index.maintain()
            with laid.without(k):
                gone += _between(laid, index, name)
                for i, each in enumerate((laid.index, index)):
                    query = Query(text=name)
                    result = search(each, table, query, background=others(table, name))
                    strong[i] += result.verdict == "strong"
            for tiles, vectors in again:
                index.upsert(tiles, vectors)
            index.maintain()
    figures.title(
        f"1 date against {DATES}: the first {FIRST} hits, mean difference of the ground's"
    )
    figures.add("what is there", np.mean(there), at_most=0.10)
    figures.add("what was removed", np.mean(gone), at_most=0.10)
    figures.add("removed: strong, 1 date", strong[0] / len(table.names))
    figures.add(f"removed: strong, {DATES} dates", strong[1] / len(table.names))


def _between(laid: Laid, index: TileIndex, name: str) -> list[float]:
    """How far confidence is apart, in two indexes, on the ground that both find."""
    background = others(laid.table, name)
    once = {h.tile.cell: h.confidence for h in laid.ask(name, background, limit=FIRST).hits}
    query = Query(text=name, limit=200, min_confidence=0)
    more = search(index, laid.table, query, background=background)
    often = {hit.tile.cell: hit.confidence for hit in more.hits}
    return [abs(often[cell] - once[cell]) for cell in once.keys() & often.keys()]


def vocabulary(laid: Laid, figures: Figures) -> None:
    """Few names of background against all the others."""
    table, rng = laid.table, np.random.default_rng(0)
    moved: dict[str, list[float]] = {"first hit": [], "all its images": []}
    for k, name in enumerate(table.names):
        many = others(table, name)
        whole = laid.ask(name, many, limit=200)
        for _ in range(DRAWS):
            few = [str(n) for n in rng.choice(many, FEW, replace=False)]
            small = laid.ask(name, few, limit=200)
            moved["first hit"].append(whole.hits[0].score - small.hits[0].score)
            scores = [
                np.median([h.score for h in each.hits if laid.right(h, k)])
                for each in (whole, small)
            ]
            moved["all its images"].append(scores[0] - scores[1])
    figures.title(f"{len(many)} names of background against {FEW}: log-odds of what is there")
    for what, differences in moved.items():
        figures.add(f"{what}, median difference", abs(np.median(differences)), at_most=1)
        figures.add(f"{what}, median of the absolute difference", np.median(np.abs(differences)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("vectors", type=Path, nargs="+")
    arguments = parser.parse_args()
    for path in arguments.vectors:
        table, figures = VectorTable.load(path), Figures()
        rows = np.arange(len(table.labels))
        figures.title(path.name)
        with (
            tempfile.TemporaryDirectory() as folder,
            Laid(table, rows, rows, f"{folder}/once") as laid,
        ):
            form(laid, figures)
            pages(laid, figures)
            dates(laid, folder, figures)
            vocabulary(laid, figures)
        figures.summary()


if __name__ == "__main__":
    main()
