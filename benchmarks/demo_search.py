"""Verdicts and structured queries on drawn worlds whose truth is known.

    python benchmarks/demo_search.py [--model keenkite-tiny] [--folder FOLDER]

1. Every concept is asked for in worlds that hold it, and in worlds it was left out of.
2. Structured queries, in all of these worlds; a tile is right when it shows the concept and what
   is asked of its surroundings is true of the tiles around it.
3. What may not move an answer: the size of the vocabulary, and the page.

Seeds 5004 to 5006 are those that nothing was set on. A folder keeps the indexes for another run:
for other weights of the same name, empty it.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from figures import Figures
from paging import LIMITS, paged
from scipy.spatial import cKDTree

from keenkite.demo.concepts import NAMES
from keenkite.demo.tour import index_world
from keenkite.demo.world import World, draw_world
from keenkite.encoder import ClipEncoder, Encoder
from keenkite.ground import positions
from keenkite.index import TileIndex
from keenkite.retrieval import Near, Query, search
from keenkite.retrieval.concepts import BACKGROUND
from keenkite.tiling import Tile

LEFT_OUT: tuple[frozenset[str], ...] = (
    frozenset({"airport", "golf course", "sea"}),
    frozenset({"dam", "railway station", "highway"}),
    frozenset({"park", "sports ground", "solar farm", "river", "lake"}),
)
"""For each seed, three more worlds without these."""

TOP = 5

FEW = 4
"""Names in a small background."""


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

    def __init__(self, tiles: Iterable[Tile], states: dict[str, np.ndarray]) -> None:
        """Tiles in the order of the states, one of each cell."""
        ground = list(tiles)
        self._number = {tile.cell: i for i, tile in enumerate(ground)}
        self._states = states
        self._tree = cKDTree(positions([t.lon for t in ground], [t.lat for t in ground]))

    @classmethod
    def of(cls, tiles: Iterable[Tile], world: World) -> Truth:
        """As it was drawn."""
        ground = {t.cell: t for t in tiles}
        rows = []
        for tile in ground.values():
            south, east = tile.north - tile.span, tile.west + tile.span
            bounds = (tile.west, south, east, tile.north)
            rows.append(world.present(*world.window(bounds)))
        return cls(ground.values(), {name: np.array([row[name] for row in rows]) for name in NAMES})

    @classmethod
    def read(cls, tiles: Iterable[Tile], path: Path) -> Truth:
        """As `write` kept it."""
        with np.load(path) as kept:
            ground = {t.cell: t for t in tiles}
            return cls([ground[cell] for cell in kept["cells"]], {n: kept[n] for n in NAMES})

    def write(self, path: Path) -> None:
        """To be read again without the world."""
        np.savez_compressed(path, cells=np.array([*self._number]), **self._states)

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

    def of_tile(self, states: np.ndarray, tile: Tile) -> int:
        return int(states[self._number[tile.cell]])


@contextmanager
def built(
    seed: int, leave_out: frozenset[str], encoder: Encoder, folder: Path
) -> Iterator[tuple[TileIndex, Truth]]:
    """A world, drawn, written as scenes and indexed; or as an earlier run left it."""
    kept = folder / "truth.npz"
    if kept.exists():
        with TileIndex.open(folder / "index", encoder=encoder) as index:
            yield index, Truth.read(index.scroll(), kept)
        return
    folder.mkdir(parents=True, exist_ok=True)
    world = draw_world(seed, leave_out=leave_out)
    index, _ = index_world(world, folder, encoder)
    with index:
        truth = Truth.of(index.scroll(), world)
        truth.write(kept)
        yield index, truth


@dataclass(kw_only=True)
class Seen:
    """What the searches of all worlds said."""

    verdicts: dict[str, list[str]] = field(default_factory=lambda: {"present": [], "absent": []})
    found: list[bool] = field(default_factory=list)
    claimed: list[bool] = field(default_factory=list)
    vocabulary: list[float] = field(default_factory=list)
    """Log-odds of the best tile of what is there, with the whole background less with few names."""
    paged: int = 0
    repeated: int = 0
    skipped: int = 0
    lines: list[str] = field(default_factory=list)


def concepts(
    seen: Seen, index: TileIndex, encoder: Encoder, truth: Truth, out: frozenset[str], title: str
) -> None:
    """Every concept, where it is and where it was left out."""
    for name in NAMES:
        there = "present" if truth.has(name) else "absent"
        if there == "absent" and not (name in out or out & {"sea", "dam"}):
            continue
        result = search(index, encoder, Query(text=name, limit=TOP))
        seen.verdicts[there].append(result.verdict)
        first = result.hits[0]
        seen.lines.append(f"{title} {there:7} {name:16} {result.verdict:6} {first.confidence:.3f}")
        if there == "present":
            rng = np.random.default_rng(len(seen.vocabulary))
            few = [str(n) for n in rng.choice(BACKGROUND, FEW, replace=False)]
            small = search(index, encoder, Query(text=name, limit=TOP), background=few)
            seen.vocabulary.append(first.score - small.hits[0].score)


def compound(seen: Seen, index: TileIndex, encoder: Encoder, truth: Truth, title: str) -> None:
    """Structured queries."""
    for case in CASES:
        result = search(index, encoder, case.query)
        states = truth.right(case)
        shown = [truth.of_tile(states, hit.tile) for hit in result.hits]
        seen.lines.append(f"{title} {case.title:28} {result.verdict:6} {shown}")
        if (states == 1).any():
            seen.found.append(1 in shown)
        else:
            seen.claimed.append(result.verdict == "strong")


def pages(seen: Seen, index: TileIndex, encoder: Encoder, queries: Sequence[Query]) -> None:
    """Answers page by page, to the end, against the same in one piece."""
    for query in queries:
        whole = search(index, encoder, replace(query, limit=1000, min_confidence=0))
        ids = [hit.tile.id for hit in whole.hits]
        for limit in LIMITS:
            some = replace(query, limit=limit)
            answer = paged(index, encoder, some, first=4 * max(LIMITS))
            seen.paged += 1
            seen.repeated += answer.repeated
            # The first of the whole, so many that they fill half of the pages.
            seen.skipped += answer.skipped(ids[: len(answer.ids) // 2])


def report(seen: Seen, figures: Figures) -> None:
    present, absent = (np.array(seen.verdicts[key]) for key in ("present", "absent"))
    figures.title(f"what was left out, {len(absent)} searches; what is there, {len(present)}")
    figures.add("left out: none or weak", np.mean(absent != "strong"), at_least=0.95)
    figures.add("left out: none", np.mean(absent == "none"), at_least=0.6)
    figures.add("there: strong or weak", np.mean(present != "none"), at_least=0.97)
    convinced = present[present != "none"]
    figures.add("there: strong, of these", np.mean(convinced == "strong"), at_least=0.85)
    figures.title(f"structured, {len(seen.found)} that exist, {len(seen.claimed)} that do not")
    figures.add("a right place in the first 5", np.mean(seen.found), at_least=0.95)
    figures.add("strong where none exists", np.mean(seen.claimed or [0]), at_most=0)
    figures.title(f"{len(BACKGROUND)} names of background against {FEW}; pages of {LIMITS}")
    moved = np.array(seen.vocabulary)
    figures.add("log-odds of what is there, median difference", abs(np.median(moved)), at_most=1)
    figures.add("the same, median of the absolute difference", np.median(abs(moved)))
    figures.add(f"hits repeated in {seen.paged} paged answers", seen.repeated, at_most=0)
    figures.add("hits skipped", seen.skipped, at_most=0)
    figures.summary()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="keenkite-tiny")
    parser.add_argument("--seeds", type=int, nargs="+", default=[5004, 5005, 5006])
    parser.add_argument("--folder", type=Path, help="keeps the worlds' indexes")
    arguments = parser.parse_args()
    encoder = ClipEncoder.load(arguments.model)
    seen = Seen()
    with ExitStack() as stack:
        folder = arguments.folder
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for seed in arguments.seeds:
            for number, out in enumerate((frozenset[str](), *LEFT_OUT)):
                title = f"{seed}-{number}"
                with built(seed, out, encoder, folder / title) as (index, truth):
                    concepts(seen, index, encoder, truth, out, title)
                    compound(seen, index, encoder, truth, title)
                    if number == 0:
                        plain = [Query(text=name) for name in NAMES[:10]]
                        related = [replace(case.query, limit=10) for case in CASES]
                        pages(seen, index, encoder, [*plain, *related])
    print("\n".join(seen.lines))
    report(seen, Figures())


if __name__ == "__main__":
    main()
