"""Where things go: free places for the placed ones, cheap ways for roads, rails and rivers."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import distance_transform_edt, gaussian_filter1d
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import dijkstra

from keenkite.demo.draw import Site
from keenkite.demo.terrain import STEP, Floats, Terrain

CELL = 160.0
"""Metres per cell of the sketch."""
_EVERY = round(CELL / 10 / STEP)

Bools = npt.NDArray[np.bool_]
Line = npt.NDArray[np.float64]


class Sketch:
    """The world on a grid of 160 m cells, with what is taken already."""

    def __init__(self, terrain: Terrain, urban: Floats) -> None:
        self.shore = terrain.shore[::_EVERY, ::_EVERY]
        self.mountain = terrain.mountain[::_EVERY, ::_EVERY]
        self.height = terrain.height[::_EVERY, ::_EVERY]
        self.urban = urban[::_EVERY, ::_EVERY]
        self.industry = np.zeros_like(self.urban)
        self.taken: Bools = np.zeros(self.shore.shape, bool)
        self._found: dict[str, list[Site]] = {}

    def cells(self, xy: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """(row, col) of points (n, 2) in metres, clipped to the grid."""
        col = np.clip(xy[..., 0] / CELL, 0, self.shore.shape[1] - 1).astype(int)
        row = np.clip(xy[..., 1] / CELL, 0, self.shore.shape[0] - 1).astype(int)
        return row, col

    def take(self, xy: Line, width: float) -> None:
        """Mark everything within `width` metres of a line (n, 2) as taken."""
        far: Bools = np.ones(self.shore.shape, bool)
        steps = np.concatenate(
            [
                np.linspace(a, b, max(2, int(np.hypot(*(b - a)) / CELL * 2)))
                for a, b in itertools.pairwise(xy)
            ]
            or [xy]
        )
        far[self.cells(steps)] = False
        self.taken |= distance_transform_edt(far) * CELL <= width

    def find(
        self,
        rng: np.random.Generator,
        concept: str,
        allowed: Bools,
        *,
        half_length: float,
        half_width: float,
        liking: npt.NDArray[Any] | None = None,
        angle: float | None = None,
        apart: float = 5000.0,
    ) -> Site | None:
        """A free site for something 2 half_length x 2 half_width metres, and take it.

        It lies in allowed cells, away from others of the same concept (`apart` metres, less where
        there is no room, but never in the same tile); None where nothing fits.
        """
        rows, cols = self.shore.shape
        free = allowed & ~self.taken
        free[[0, -1], :] = free[:, [0, -1]] = False
        clear = distance_transform_edt(free) * CELL
        row, col = np.nonzero(clear >= half_width)
        if len(row) == 0:
            return None
        weight = np.ones(len(row)) if liking is None else np.maximum(liking[row, col], 0) + 1e-4
        order = rng.choice(len(row), min(1500, len(row)), replace=False, p=weight / weight.sum())
        x, y = (col[order] + 0.5) * CELL, (row[order] + 0.5) * CELL
        turn = rng.uniform(0, np.pi, len(x)) if angle is None else np.full(len(x), angle)
        along = np.linspace(-1, 1, 9) * max(half_length - half_width, 0)
        px = x[:, None] + np.cos(turn)[:, None] * along
        py = y[:, None] + np.sin(turn)[:, None] * along
        inside = ((px > 0) & (py > 0) & (px < cols * CELL) & (py < rows * CELL)).all(1)
        r, c = self.cells(np.stack([px, py], -1))
        fits = inside & (clear[r, c] >= half_width).all(1)
        others = np.array([(s.x, s.y) for s in self._found.get(concept, [])]).reshape(-1, 2)
        gap = np.full(len(x), np.inf)
        if len(others):
            gap = np.hypot(x[:, None] - others[:, 0], y[:, None] - others[:, 1]).min(1)
        while apart >= 2500:
            good = np.nonzero(fits & (gap >= apart))[0]
            if len(good):
                k = int(good[0])
                site = Site(float(x[k]), float(y[k]), float(turn[k]))
                self._found.setdefault(concept, []).append(site)
                self.take(np.column_stack([px[k], py[k]]), half_width + CELL)
                return site
            apart *= 0.8
        return None

    def route(self, cost: npt.NDArray[Any], start: Line, ends: Bools, *, smooth: float) -> Line:
        """The cheapest way (n, 2 metres) from `start` to any cell of `ends`, smoothed.

        Dijkstra on the eight-neighbour grid; `smooth` is the deviation of the filter in metres.
        Empty when no end can be reached.
        """
        rows, cols = cost.shape
        number = np.arange(rows * cols).reshape(rows, cols)
        tails, heads, costs = [], [], []
        for dr, dc in ((0, 1), (1, 0), (1, 1), (1, -1)):
            a = number[: rows - dr, max(0, -dc) : cols - max(0, dc)]
            b = number[dr:, max(0, dc) : cols - max(0, -dc)]
            price = np.hypot(dr, dc) * (cost.ravel()[a] + cost.ravel()[b]) / 2
            tails += [a.ravel(), b.ravel()]
            heads += [b.ravel(), a.ravel()]
            costs += [price.ravel(), price.ravel()]
        graph = coo_matrix(
            (np.concatenate(costs), (np.concatenate(tails), np.concatenate(heads))),
            shape=(rows * cols, rows * cols),
        ).tocsr()
        r, c = self.cells(start)
        far, before = dijkstra(graph, indices=int(number[r, c]), return_predecessors=True)
        goals = number[ends]
        if len(goals) == 0 or not np.isfinite(far[goals]).any():
            return np.empty((0, 2))
        here = int(goals[np.argmin(far[goals])])
        path = []
        while here >= 0:
            path.append(here)
            here = int(before[here])
        cells = np.array(path[::-1])
        xy = np.column_stack([cells % cols + 0.5, cells // cols + 0.5]) * CELL
        xy[0] = start
        return smooth_line(xy, smooth)


def smooth_line(xy: Line, sigma: float, step: float = 40.0) -> Line:
    """Resample a line every `step` metres and smooth it by `sigma` metres, its ends kept."""
    if len(xy) < 2:
        return xy
    length = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(xy, axis=0).T))])
    at = np.linspace(0, length[-1], max(3, int(length[-1] / step)))
    dense = np.column_stack([np.interp(at, length, xy[:, k]) for k in (0, 1)])
    even = gaussian_filter1d(dense, max(sigma / step, 0.1), axis=0, mode="nearest")
    fade = np.clip(np.minimum(at, at[-1] - at) / max(2 * sigma, 1.0), 0, 1)[:, None]
    return np.asarray(dense * (1 - fade) + even * fade)


def offset_line(xy: Line, distance: float | npt.NDArray[Any]) -> Line:
    """A line moved sideways to its right by `distance` metres (one, or one per point)."""
    ahead = np.gradient(xy, axis=0)
    ahead /= np.maximum(np.hypot(ahead[:, 0], ahead[:, 1]), 1e-9)[:, None]
    side = np.column_stack([-ahead[:, 1], ahead[:, 0]])
    return np.asarray(xy + side * np.reshape(np.asarray(distance, dtype=float), (-1, 1)))
