"""Set the shipped calibration of models whose labelled vectors are at hand, and print it.

    python benchmarks/set_calibration.py ../shared/data/whu_rs19/remoteclip-vit-b-32.npz

The weights are those of a logistic regression over the measures of the first hits of many searches
on made-up grounds: a class there, removed, with 1 or 3 images, on half of the ground, with a
background that names what is there, that names nothing of it, and of four names. Then slope and
constant are moved, by a search of a grid, to where most of the wanted figures are met: `WANTED`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from keenkite.evaluation.reliability import calibration_error
from keenkite.evaluation.vector_table import VectorTable
from keenkite.index.statistics import statistics_of
from keenkite.retrieval.calibration import Measures, confidence
from keenkite.retrieval.look_alikes import POOL, Ground
from keenkite.retrieval.result import STRONG, WEAK
from keenkite.retrieval.scoring import Scorer

FIRST = 12
"""Hits of a search that are learnt from."""
NAMES = ("contrast", "look_alikes", "stands_out", "spread")
WEIGHTS = {
    "covered": 1.2, "covered, gone": 1.2, "uncovered": 1.0, "uncovered, gone": 1.0, "one": 0.7,
    "three": 0.4, "half": 0.5, "four names": 0.6, "four names, gone": 0.6,
}  # fmt: skip
"""How much a kind of ground counts in the regression."""


@dataclass(frozen=True, kw_only=True)
class Search:
    """One search of a made-up ground."""

    kind: str
    measures: NDArray[np.float64]
    """(n, 4), the first hits by contrast and look-alikes."""
    right: NDArray[np.bool_]
    """(n,)"""


def looked(
    table: VectorTable, kind: str, rows: NDArray[np.int64], k: int, names: Sequence[str]
) -> Search:
    """The measures of all images for a class."""
    vectors = table.images[rows]
    scorer = Scorer(table, statistics_of(vectors), names)
    wanted = scorer.wanted(table.names[k])
    best = np.argsort(-wanted.z(vectors), kind="stable")[:POOL]
    ground = Ground.apart(len(rows))
    judge = scorer.judge(wanted, vectors[best], ground.part(best))
    found: Measures = judge.measures(vectors, ground)
    columns = np.column_stack([np.broadcast_to(getattr(found, n), len(rows)) for n in NAMES])
    return Search(kind=kind, measures=columns, right=table.labels[rows] == k)


def searches(table: VectorTable, seeds: int) -> Iterator[Search]:
    """Of all kinds of ground."""
    count, labels = len(table.names), table.labels
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        keep = np.sort(rng.permutation(len(labels))[: 4 * len(labels) // 5])
        order = rng.permutation(count)
        half, shown = order[: count // 2], order[count // 2 :]
        ground = np.flatnonzero(np.isin(labels, shown))
        for k in range(count):
            others = [table.names[j] for j in range(count) if j != k]
            yield looked(table, "covered", keep, k, others)
            yield looked(table, "covered, gone", keep[labels[keep] != k], k, others)
            own, rest = (rng.permutation(np.flatnonzero(x)) for x in (labels == k, labels != k))
            for kind, number in (("one", 1), ("three", 3)):
                yield looked(table, kind, np.sort(np.r_[rest, own[:number]]), k, others)
            few = [str(name) for name in rng.permutation(others)[:4]]
            yield looked(table, "four names", keep, k, few)
            yield looked(table, "four names, gone", keep[labels[keep] != k], k, few)
            yield looked(table, "half", np.sort(np.r_[rest[:50], own[:50]]), k, others)
        for k in shown:
            names = [table.names[j] for j in half]
            yield looked(table, "uncovered", ground, k, names)
            yield looked(table, "uncovered, gone", ground[labels[ground] != k], k, names)


def regression(found: Sequence[Search], kinds: Mapping[str, float]) -> NDArray[np.float64]:
    """(5,): the weights and the constant; kinds of ground count as much as `kinds` says."""
    counts = {kind: sum(each.kind == kind for each in found) for kind in kinds}
    rows, right, weight = [], [], []
    for each in found:
        first = np.argsort(-(each.measures @ (1, 3, 1, 0)))[:FIRST]
        rows.append(each.measures[first])
        right.append(each.right[first])
        weight.append(np.full(len(first), kinds[each.kind] / counts[each.kind]))
    x, y, w = np.concatenate(rows), np.concatenate(right), np.concatenate(weight)
    mean, scale = x.mean(axis=0), x.std(axis=0) + 1e-9
    x, w = (x - mean) / scale, w / w.sum()

    def loss(p: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        odds = x @ p[1:] + p[0]
        wrong = w * (confidence(odds) - y)
        value = (w * np.logaddexp(0, -np.where(y, odds, -odds))).sum() + 1e-4 * (p[1:] ** 2).sum()
        return float(value), np.r_[wrong.sum(), x.T @ wrong + 2e-4 * p[1:]]

    p = minimize(loss, np.zeros(x.shape[1] + 1), jac=True, method="L-BFGS-B").x
    weights = p[1:] / scale
    return np.r_[weights, p[0] - weights @ mean]


class Figures:
    """What the wanted figures are, by log-odds of all searches."""

    def __init__(self, found: Sequence[Search], weights: NDArray[np.float64]) -> None:
        self._first: dict[str, list[float]] = {}
        self._middle: dict[str, list[float]] = {}
        hits: dict[str, list[tuple[NDArray[np.float64], NDArray[np.bool_]]]] = {}
        for each in found:
            odds = each.measures @ weights[:-1] + weights[-1]
            order = np.argsort(-odds, kind="stable")[:10]
            self._first.setdefault(each.kind, []).append(odds[order[0]])
            if each.right.any():
                self._middle.setdefault(each.kind, []).append(float(np.median(odds[each.right])))
            kind = each.kind.removesuffix(", gone")
            hits.setdefault(kind, []).append((odds[order], each.right[order]))
        self._hits = {
            kind: tuple(np.concatenate([pair[i] for pair in pairs]) for i in (0, 1))
            for kind, pairs in hits.items()
        }

    def of(self, slope: float, shift: float) -> dict[str, tuple[float, float]]:
        """Name -> (figure, what it may be at most), for slope · log-odds + shift."""
        p = {kind: confidence(slope * np.array(odds) + shift) for kind, odds in self._first.items()}

        def error(kind: str) -> float:
            odds, right = self._hits[kind]
            return calibration_error(confidence(slope * odds + shift), right)

        names = np.median(self._middle["covered"]) - np.median(self._middle["four names"])
        return {
            "one called none": (float((p["one"] < WEAK).mean()), 0.40),
            "three called none": (float((p["three"] < WEAK).mean()), 0.15),
            "gone called strong, covered": (float((p["covered, gone"] >= STRONG).mean()), 0.05),
            "gone called strong, uncovered": (float((p["uncovered, gone"] >= STRONG).mean()), 0.10),
            "gone not called none, covered": (float((p["covered, gone"] >= WEAK).mean()), 0.25),
            "gone not called none, uncovered": (float((p["uncovered, gone"] >= WEAK).mean()), 0.60),
            "there called none, covered": (float((p["covered"] < WEAK).mean()), 0.05),
            "there called none, uncovered": (float((p["uncovered"] < WEAK).mean()), 0.05),
            "ECE, covered": (error("covered"), 0.08),
            "ECE, uncovered": (error("uncovered"), 0.08),
            "log-odds, 18 names against 4": (abs(slope * float(names)), 1.0),
        }


def moved(figures: Figures) -> tuple[float, float]:
    """(slope, shift) by which most of the figures are met, and then with most room."""
    best = (np.inf, np.inf, 1.0, 0.0)
    for slope in np.arange(0.3, 1.25, 0.05):
        for shift in np.arange(-2.5, 2.5, 0.05):
            parts = np.array([value / most for value, most in figures.of(slope, shift).values()])
            missed = float(np.maximum(parts - 1, 0).sum())
            best = min(best, (missed, float(parts.max()), float(slope), float(shift)))
    return best[2:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("vectors", type=Path)
    parser.add_argument("--seeds", type=int, default=8)
    arguments = parser.parse_args()
    found = list(searches(VectorTable.load(arguments.vectors), arguments.seeds))
    weights = regression(found, WEIGHTS)
    figures = Figures(found, weights)
    slope, shift = moved(figures)
    for name, (value, most) in figures.of(slope, shift).items():
        print(f"{name:34} {value:.3f} (at most {most:g}){' MISSED' if value > most else ''}")
    final = dict(zip((*NAMES, "constant"), slope * weights, strict=True))
    final["constant"] += shift
    print(json.dumps({name: round(float(value), 3) for name, value in final.items()}))


if __name__ == "__main__":
    main()
