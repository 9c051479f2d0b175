"""The plan of a world: which thing goes where, before anything is drawn.

Long: the steps of one planner, which draw from one random generator in a fixed order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from keenkite.demo.draw import Site
from keenkite.demo.sites import CELL, Bools, Line, Sketch
from keenkite.demo.terrain import STEP, Floats, Terrain, noise
from keenkite.demo.ways import meander
from keenkite.demo.works import Valley, carve, make_valley


@dataclass(kw_only=True)
class Plan:
    """Sites with their sizes in metres, and lines, all from the world's north-west corner."""

    placed: list[tuple[str, Site, float]] = field(default_factory=list)
    """(concept, site, size in metres) of everything but the dams."""
    valleys: list[Valley] = field(default_factory=list)
    """Dams and the water behind them."""
    rivers: list[tuple[Line, float, float]] = field(default_factory=list)
    """(line, width at the source, width at the mouth)."""
    highways: list[Line] = field(default_factory=list)
    """Highways."""
    railways: list[Line] = field(default_factory=list)
    """Railways."""
    roads: list[Line] = field(default_factory=list)
    """Main roads."""
    urban: Floats
    """(rows, cols) at 40 m: above 0.5 is town, above 1.2 its middle."""
    industry: Floats
    """(rows, cols) at 40 m: above 0.5 are factories."""


def _spots(shape: tuple[int, int], spots: list[tuple[float, float, float, float]]) -> Floats:
    """The highest of bells (x, y, radius metres, height) on the 40 m grid."""
    cell = 10.0 * STEP
    total: Floats = np.zeros(shape, np.float32)
    for x, y, radius, height in spots:
        reach = 2.2 * radius
        r0, r1 = (int(np.clip((y + d) / cell, 0, shape[0])) for d in (-reach, reach))
        c0, c1 = (int(np.clip((x + d) / cell, 0, shape[1])) for d in (-reach, reach))
        gy, gx = np.mgrid[r0:r1, c0:c1].astype(np.float32) * cell
        bell = height * np.exp(-((gx - x) ** 2 + (gy - y) ** 2) / radius**2)
        np.maximum(total[r0:r1, c0:c1], bell, out=total[r0:r1, c0:c1])
    return total


class Planner:
    """Finds places in an order in which the hardest to please choose first."""

    def __init__(
        self, rng: np.random.Generator, terrain: Terrain, per_concept: int, left_out: frozenset[str]
    ) -> None:
        self.rng, self.terrain, self.count, self.left_out = rng, terrain, per_concept, left_out
        nothing: Floats = np.zeros_like(terrain.shore)
        self.sketch = Sketch(terrain, nothing)
        self.plan = Plan(urban=nothing, industry=nothing)

    def make(self) -> Plan:
        """The whole plan; the terrain is carved where dams go."""
        if "dam" not in self.left_out and "reservoir" not in self.left_out:
            self._dams()
        if "river" not in self.left_out:
            self._rivers()
        plain = (self.sketch.mountain < 0.35) & (self.sketch.shore > 300)
        self._place("airport", plain, (1900, 3500), shape=(0.62, 0.28), apart=6000)
        if "harbour" not in self.left_out:
            self._harbours()
        self._towns()
        self._small()
        self._ways()
        return self.plan

    def _place(
        self,
        concept: str,
        allowed: Bools,
        sizes: tuple[float, float],
        *,
        shape: tuple[float, float] = (0.6, 0.6),
        liking: Callable[[int], npt.NDArray[Any]] | None = None,
        apart: float = 5000,
    ) -> None:
        """Place `count` of a concept; `shape` is its half length and width as parts of its size."""
        if concept in self.left_out:
            return
        low, high = sizes
        for k in range(self.count):
            size = low + (high - low) * self.rng.beta(1.2, 1.2)
            for shrink in (1.0, 0.8, 0.6):
                s = max(size * shrink, low)
                site = self.sketch.find(
                    self.rng,
                    concept,
                    allowed,
                    half_length=shape[0] * s,
                    half_width=max(shape[1] * s, 160),
                    liking=None if liking is None else liking(k),
                    apart=apart,
                )
                if site is not None:
                    self.plan.placed.append((concept, site, s))
                    break

    def _dams(self) -> None:
        inland = np.arctan2(self.terrain.inland[1], self.terrain.inland[0])
        for _ in range(self.count):
            length = self.rng.uniform(900, 2100)
            angle = inland + self.rng.normal(0, 0.9)
            site = None
            for shrink in (1.0, 0.75, 0.55):
                site = self.sketch.find(
                    self.rng,
                    "dam",
                    self.sketch.mountain > 0.55,
                    half_length=length * shrink * 0.75,
                    half_width=length * shrink * 0.3,
                    angle=float(angle),
                    apart=4600,
                )
                if site is not None:
                    length *= shrink
                    break
            if site is None:
                continue
            back = length * 0.5
            wall = Site(site.x - back * np.cos(angle), site.y - back * np.sin(angle), float(angle))
            valley = make_valley(self.rng, wall, length)
            carve(self.terrain, valley, 190)
            self.plan.valleys.append(valley)

    def _rivers(self) -> None:
        s, rng = self.sketch, self.rng
        sea = s.shore < -400
        rows, cols = s.shore.shape
        ends = sea.copy()
        if not sea.any():
            ends[:, 0] = ends[:, -1] = True
        rough = noise(rng, s.shore.shape, 14, 2)
        cost = 1 + s.height / 25 + 1.5 * np.exp(rough) + 400.0 * (s.taken)
        high = np.argwhere(s.mountain > 0.7)
        wanted = max(1, round(rows * cols / 16000))
        for k in range(wanted * 4):
            if len(self.plan.rivers) >= wanted or len(high) == 0:
                break
            row, col = high[int(rng.integers(len(high)))]
            start = np.array([col + 0.5, row + 0.5]) * CELL
            if s.taken[row, col]:
                continue
            line = s.route(cost, start, ends, smooth=260)
            if len(line) * 40 < 7000 and k < wanted * 3:
                continue
            line = meander(line, rng, s)
            width = rng.uniform(70, 150)
            self.plan.rivers.append((line, 16, width))
            s.take(line, 260)
            # Two rivers keep apart until they meet the sea.
            cost = cost + 30.0 * s.taken
        ends = np.zeros_like(sea)
        for line, _, _ in self.plan.rivers:
            ends[s.cells(line)] = True
        for valley in self.plan.valleys:
            a = valley.site
            start = np.array([a.x - 120 * np.cos(a.angle), a.y - 120 * np.sin(a.angle)])
            price = 1 + s.height / 20 + np.exp(rough)
            ahead_row, ahead_col = np.indices(s.shore.shape)
            behind = (ahead_col * CELL - a.x) * np.cos(a.angle) + (ahead_row * CELL - a.y) * np.sin(
                a.angle
            )
            line = s.route(price + 60 * (behind > -100), start, ends, smooth=120)
            self.plan.rivers.append((line, 12, 26))
            if len(line):
                s.take(line, 130)

    def _harbours(self) -> None:
        s, rng = self.sketch, self.rng
        for _ in range(self.count):
            size = float(rng.choice([rng.uniform(380, 650), rng.uniform(1050, 1800)]))
            coast = np.abs(s.shore) < 420
            site = s.find(
                rng,
                "harbour",
                coast,
                half_length=0,
                half_width=170,
                apart=4500,
            )
            if site is None:
                continue
            # Walk to the water's edge and look out to sea.
            slopes: Any = np.gradient(self.terrain.shore)
            down, right = slopes
            x, y = site.x, site.y
            for _ in range(12):
                r = int(np.clip(y / 40, 0, down.shape[0] - 1))
                q = int(np.clip(x / 40, 0, down.shape[1] - 1))
                window = np.s_[max(r - 8, 0) : r + 9, max(q - 8, 0) : q + 9]
                gx, gy = float(right[window].mean()), float(down[window].mean())
                steep = np.hypot(gx, gy) + 1e-6
                move = np.clip(float(self.terrain.shore[r, q]), -200, 200) * 0.7
                x, y = x - move * gx / steep, y - move * gy / steep
            # Local y (to the right of x) points down the slope of `shore`: out to sea.
            angle = float(np.arctan2(-gy, -gx) - np.pi / 2)
            self.plan.placed.append(("harbour", Site(x, y, angle), size))
            s.take(np.array([[x, y], [x - gx / steep * 300, y - gy / steep * 300]]), size * 0.7)

    def _towns(self) -> None:
        s, rng, terrain = self.sketch, self.rng, self.terrain
        plain = (s.mountain < 0.3) & (s.shore > 250)
        towns: list[tuple[float, float, float, float]] = []
        lobes: list[tuple[float, float, float, float]] = []
        wanted = max(self.count, round(s.shore.size / 7000))
        for k in range(wanted):
            size = rng.uniform(1000, 1900)
            with_station = "railway station" not in self.left_out and k < self.count
            site = s.find(rng, "town", plain, half_length=size * 0.5, half_width=220, apart=5200)
            if site is None:
                continue
            radius = rng.uniform(950, 1900)
            towns.append((site.x, site.y, radius, rng.uniform(1.3, 1.8)))
            for _ in range(int(rng.integers(1, 5))):
                turn, far = rng.uniform(0, 2 * np.pi), radius * rng.uniform(0.7, 1.6)
                x, y = site.x + far * np.cos(turn), site.y + far * np.sin(turn)
                lobes.append((x, y, radius * rng.uniform(0.3, 0.75), rng.uniform(0.7, 1.1)))
            if with_station:
                self.plan.placed.append(("railway station", site, size))
        self.towns = towns
        small = [
            (x, y, rng.uniform(220, 560), rng.uniform(0.7, 1.0))
            for x, y in rng.uniform(0, 1, (s.shore.size // 380, 2))
            * (s.shore.shape[1] * CELL, s.shore.shape[0] * CELL)
        ]
        rough = noise(rng, terrain.shore.shape, 36, 4)
        flat = np.clip(1.4 - 2.2 * terrain.mountain, 0, 1) * (terrain.shore > -80)
        self.plan.urban = (
            (_spots(terrain.shore.shape, towns + lobes + small) + 0.17 * rough) * flat
        ).astype(np.float32)
        yards = []
        for x, y, radius, _ in towns:
            for _ in range(int(rng.integers(1, 3))):
                turn = rng.uniform(0, 2 * np.pi)
                yards.append(
                    (
                        x + radius * np.cos(turn),
                        y + radius * np.sin(turn),
                        float(rng.uniform(450, 1000)),
                        1.0,
                    )
                )
        for concept, site, size in self.plan.placed:
            if concept == "harbour" and size > 900:
                sea_x, sea_y = -np.sin(site.angle), np.cos(site.angle)
                yards.append((site.x - 500 * sea_x, site.y - 500 * sea_y, 800.0, 1.0))
        self.plan.industry = (
            (_spots(terrain.shore.shape, yards) + 0.12 * noise(rng, terrain.shore.shape, 26, 3))
            * flat
        ).astype(np.float32)
        s.urban = np.maximum(self.plan.urban, 0)[::4, ::4]
        s.industry = self.plan.industry[::4, ::4]

    def _small(self) -> None:
        s, rng = self.sketch, self.rng
        near_river: Bools = np.zeros_like(s.taken)
        for line, _, _ in self.plan.rivers:
            if len(line):
                near_river[s.cells(line)] = True
        land = s.shore > 250
        hills = s.mountain * (s.mountain < 0.85)
        coast = np.exp(-np.maximum(s.shore - 500, 0) / 700)
        edge = np.exp(-((s.urban - 0.35) ** 2) / 0.05)
        calm = noise(rng, s.shore.shape, 20)

        self._place(
            "golf course",
            land & (s.urban < 0.6) & (s.mountain < 0.9),
            (850, 1600),
            liking=lambda k: [hills, coast, np.exp(-((s.mountain - 0.3) ** 2) / 0.02), 1 - s.urban][
                k % 4
            ],
            shape=(0.55, 0.55),
        )
        self._place(
            "lake",
            land & (s.urban < 0.5),
            (450, 1500),
            shape=(0.6, 0.6),
            liking=lambda _: 1 + calm,
        )
        self._place(
            "sports ground",
            land & (s.mountain < 0.4),
            (330, 700),
            shape=(0.5, 0.5),
            liking=lambda _: edge**2,
            apart=4000,
        )
        self._place(
            "park",
            land & (s.urban > 0.45) & (s.industry < 0.5),
            (320, 900),
            shape=(0.45, 0.45),
            liking=lambda _: s.urban,
            apart=3500,
        )
        self._place(
            "solar farm",
            land & (s.urban < 0.4),
            (350, 1200),
            shape=(0.5, 0.5),
            liking=lambda k: [edge, 1 - s.urban, hills, 1 - s.mountain][k % 4],
        )

    def _ways(self) -> None:
        s, rng = self.sketch, self.rng
        rows, cols = s.shore.shape
        cost = (
            1
            + 5 * s.mountain
            + 300.0 * (s.shore < 120)
            + 0.4 * np.exp(noise(rng, s.shore.shape, 16, 2))
        )
        taken: Bools = np.zeros_like(s.taken)
        for concept, site, size in self.plan.placed:
            if concept != "railway station":
                y, x = np.indices(taken.shape) * CELL
                taken |= np.hypot(x - site.x, y - site.y) < size * 0.62 + 160
        for valley in self.plan.valleys:
            y, x = np.indices(taken.shape) * CELL
            taken |= np.hypot(x - valley.site.x, y - valley.site.y) < 1200
        cost = cost + 40.0 * taken
        towns = np.array([(t[0], t[1]) for t in self.towns]).reshape(-1, 2)
        if "highway" not in self.left_out:
            price = cost + 3 * s.urban
            for k in range(max(2, round(rows * cols / 17000))):
                line = self._across(price, k % 2 == 0)
                if len(line):
                    self.plan.highways.append(line)
        stations = [site for name, site, _ in self.plan.placed if name == "railway station"]
        sizes = [size for name, _, size in self.plan.placed if name == "railway station"]
        ends: list[npt.NDArray[Any]] = []
        for site, size in zip(stations, sizes, strict=True):
            reach = size / 2 * np.array([np.cos(site.angle), np.sin(site.angle)])
            ends += [np.array([site.x, site.y]) + reach, np.array([site.x, site.y]) - reach]
        goal: Bools = np.zeros_like(taken)
        goal[[0, -1], :] = goal[:, [0, -1]] = True
        goal &= s.shore > 300
        for k, end in enumerate(ends):
            site = stations[k // 2]
            sign = 1 if k % 2 == 0 else -1
            ahead = sign * np.array([np.cos(site.angle), np.sin(site.angle)])
            first = end + 500 * ahead
            line = s.route(cost + 2 * s.mountain, first, goal, smooth=350)
            if len(line):
                lead = np.linspace(end, first, 13)[:-1]
                self.plan.railways.append(np.concatenate([lead, line]))
                goal[s.cells(line[len(line) // 4 :])] = True
        for i in range(len(towns)):
            far = np.hypot(*(towns - towns[i]).T)
            for j in np.argsort(far)[1:3]:
                there: Bools = np.zeros_like(taken)
                there[s.cells(towns[j])] = True
                self.plan.roads.append(s.route(cost, towns[i], there, smooth=180))

    def _across(self, cost: npt.NDArray[Any], upright: bool) -> Line:
        """A way over land between two opposite edges, or from one to the next, of the world."""
        s = self.sketch
        edges = []
        for window in (np.s_[0], np.s_[-1]) if upright else (np.s_[:, 0], np.s_[:, -1]):
            edge: Bools = np.zeros_like(s.taken)
            edge[window] = True
            edges.append(edge & (s.shore > 300) & (s.mountain < 0.9))
        if not edges[0].any() or not edges[1].any():
            land = edges[0] | edges[1]
            side: Bools = np.zeros_like(s.taken)
            side[(np.s_[:, 0] if self.rng.random() < 0.5 else np.s_[:, -1]) if upright else 0] = (
                True
            )
            edges = [land, side & (s.shore > 300)]
        starts, ends = (np.argwhere(edge) for edge in edges)
        if len(starts) == 0 or len(ends) == 0:
            return np.empty((0, 2))
        row, col = starts[int(self.rng.integers(len(starts)))]
        goal: Bools = np.zeros_like(s.taken)
        goal[tuple(ends[int(self.rng.integers(len(ends)))])] = True
        return s.route(cost, np.array([col + 0.5, row + 0.5]) * CELL, goal, smooth=500)
