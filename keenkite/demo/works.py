"""Dams and the water behind them, natural lakes, and solar farms."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter1d
from shapely.geometry import LineString, Point, Polygon
from shapely.ops import unary_union

from keenkite.demo.draw import Canvas, Colour, Ground, Site, blob, curve
from keenkite.demo.terrain import STEP, Terrain

ROCK: Colour = (1500, 1420, 1250)


@dataclass(frozen=True)
class Valley:
    """A drowned valley: the site of its wall (x axis upstream) and the water's branches."""

    site: Site
    """The middle of the wall; its angle points upstream."""
    water: Polygon
    """The reservoir's outline in local metres."""
    width: float
    """Metres of water at the wall."""


def make_valley(rng: np.random.Generator, site: Site, length: float) -> Valley:
    """Branching water `length` metres long behind a wall at `site`."""
    width = rng.uniform(110, 260)
    parts = []

    def branch(x: float, y: float, turn: float, long: float, wide: float, depth: int) -> None:
        steps = max(4, int(long / 40))
        wiggle = gaussian_filter1d(rng.normal(0, 1.0, steps + 8), 3)[4:-4] * 1.1
        heading = turn + wiggle + (0 if depth else -wiggle[0])
        xs = x + np.cumsum(np.cos(heading)) * long / steps
        ys = y + np.cumsum(np.sin(heading)) * long / steps
        wides = wide * (1 - np.linspace(0, 0.93, steps) ** 1.3) * rng.uniform(0.85, 1.2, steps)
        points = [Point(x, y).buffer(wide / 2)]
        points += [
            Point(a, b).buffer(max(w, 14) / 2) for a, b, w in zip(xs, ys, wides, strict=True)
        ]
        for a, b in itertools.pairwise(points):
            parts.append(unary_union([a, b]).convex_hull)
        if depth < 2:
            side = int(rng.choice([-1, 1]))
            for k in range(3, steps - 2, max(3, int(rng.uniform(200, 420) / 40))):
                side = -side
                lean = heading[k] + side * rng.uniform(0.7, 1.25)
                far = long * rng.uniform(0.2, 0.5) * (1 - 0.5 * k / steps)
                branch(xs[k], ys[k], lean, far, wides[k] * rng.uniform(0.5, 0.8), depth + 1)

    branch(0, 0, 0, length, width, 0)
    water = unary_union(parts).intersection(
        Polygon([(0, -4000), (9000, -4000), (9000, 4000), (0, 4000)])
    )
    if not isinstance(water, Polygon):
        water = max(water.geoms, key=lambda part: part.area)
    line = np.asarray(water.exterior.segmentize(35).coords)
    shake = gaussian_filter1d(rng.normal(0, 16, line.shape), 1.2, axis=0, mode="wrap")
    line = line + shake * (line[:, :1] > 60)
    rough = Polygon(line).buffer(0)
    if not isinstance(rough, Polygon):
        rough = max(rough.geoms, key=lambda part: part.area)
    return Valley(site, Polygon(rough.exterior), width)


def carve(terrain: Terrain, valley: Valley, depth: float) -> None:
    """Press the valley into the heights so that its slopes are shaded like real ones."""
    cell = 10 * STEP
    rows, cols = terrain.height.shape
    s, reach = valley.site, 4500
    r0, r1 = (int(np.clip((s.y + d) / cell, 0, rows)) for d in (-reach, reach))
    c0, c1 = (int(np.clip((s.x + d) / cell, 0, cols)) for d in (-reach, reach))
    y, x = np.mgrid[r0:r1, c0:c1] * cell + cell / 2
    cos, sin = np.cos(s.angle), np.sin(s.angle)
    lx, ly = (x - s.x) * cos + (y - s.y) * sin, (y - s.y) * cos - (x - s.x) * sin
    far: npt.NDArray[np.float64] = np.full(lx.shape, np.inf)
    line = np.asarray(valley.water.exterior.simplify(15).coords)
    line = np.concatenate([line, [(-400, 0), (-900, 0)]])
    for px, py in line:
        np.minimum(far, np.hypot(lx - px, ly - py), out=far)
    slope = np.clip(far / 700, 0, 1)
    part = terrain.height[r0:r1, c0:c1]
    part -= (depth * (1 - slope) ** 2).astype(np.float32) * np.clip(part / 300, 0, 1)
    terrain.mountain[r0:r1, c0:c1] = np.maximum(
        terrain.mountain[r0:r1, c0:c1], (0.9 * (far < 500)).astype(np.float32)
    )


def dam(ground: Ground, valley: Valley, rng: np.random.Generator) -> None:
    """The wall, the reservoir behind it and the works below it."""
    reach = float(np.abs(np.asarray(valley.water.exterior.coords)).max())
    c = Canvas(ground, valley.site, reach * 1.1 + 300, rng)
    tone: Colour = [(170, 330, 330), (200, 390, 350), (120, 230, 300), (330, 470, 390)][
        int(rng.choice(4))
    ]
    water = c.material(tone, vary=0.12, grain=0.025, mottle=0.02, scl=6)
    shore = c.material(ROCK, vary=0.1, grain=0.06)
    ring = rng.uniform(3, 20)
    rim = valley.water.buffer(ring)
    c.shape(Polygon(rim.exterior), shore)
    c.shape(valley.water, water)
    islands = rng.random() < 0.3
    if islands:
        spot = valley.water.representative_point()
        trees = c.material((270, 440, 240), grain=0.12, scl=4)
        c.polygon(blob(rng, 40) + (spot.x, spot.y), trees)
    half = valley.width / 2 + rng.uniform(35, 80)
    kind = rng.choice(["gravity", "arch", "embankment"], p=[0.4, 0.3, 0.3])
    wall = c.material((2300, 2270, 2200), vary=0.1, grain=0.03)
    crest = c.material((2900, 2880, 2820), vary=0.05)
    gravel = c.material((1450, 1400, 1300), grain=0.07)
    white = c.material((2700, 2800, 2850))
    y = np.linspace(-half, half, 25)
    if kind == "embankment":
        base = rng.uniform(90, 170)
        face = c.material(
            (1250, 1230, 1150) if rng.random() < 0.6 else (900, 1080, 680), mottle=0.1
        )
        c.polygon(
            [
                (14, -half),
                (14, half),
                (-base * 0.3, half),
                (-base, half * 0.45),
                (-base, -half * 0.45),
                (-base * 0.3, -half),
            ],
            face,
        )
        for k in (0.35, 0.7):
            c.line(
                [(-base * k, -half * (1 - 0.6 * k)), (-base * k, half * (1 - 0.6 * k))], 4, gravel
            )
        c.line([(6, -half), (6, half)], 13, crest)
        side = half * rng.choice([-1, 1])
        c.line([(10, side), (-base * 0.6, side * 0.98), (-base - 70, side * 0.45)], 18, wall)
    else:
        bow = half * rng.uniform(0.25, 0.45) if kind == "arch" else 0.0
        x = bow * (1 - (y / half) ** 2)
        thick = rng.uniform(22, 34) if kind == "arch" else rng.uniform(34, 60)
        c.polygon(
            np.concatenate(
                [np.column_stack([x + 6, y]), np.column_stack([x[::-1] - thick, y[::-1] * 0.86])]
            ),
            wall,
        )
        c.line(np.column_stack([x + 3, y]), 9, crest)
        for k in np.linspace(-0.2, 0.2, 4) * half:
            c.line([(bow - thick * 0.4, k), (bow - thick - 12, k)], 7, white)
    # Below: the stilling pool, the power house, an access road.
    c.polygon(blob(rng, half * 0.4, stretch=1.3) + (-half * 0.9 - 30, 0), gravel)
    c.polygon(blob(rng, half * 0.24, stretch=1.5) + (-half * 0.9 - 20, 0), water)
    c.rect(-half * 0.9 - 60, half * 0.3, -half * 0.9 - 10, half * 0.3 + 26, crest)
    road = c.material((1250, 1230, 1200))
    c.line([(5, -half), (5, half), (60, half + 60), (-50, half + 120), (-400, half + 60)], 7, road)
    c.line(curve([(5, -half), (90, -half - 70), (300, -half - 60), (520, -half - 150)]), 6, road)
    c.outline("reservoir", np.asarray(valley.water.exterior.coords))
    r = half + 60
    c.outline("dam", [(-1.1 * r, -r), (0.6 * r, -r), (0.6 * r, r), (-1.1 * r, r)])
    c.paste()


def _lake_edge(rng: np.random.Generator, size: float) -> npt.NDArray[np.float64]:
    """Round, long or bent: one to three blobs grown together."""
    parts = [Polygon(blob(rng, size * 0.36, rough=0.2, stretch=rng.uniform(1, 1.45))).buffer(0)]
    for _ in range(int(rng.integers(0, 3))):
        shift = size * 0.27 * np.array([np.cos(a := rng.uniform(0, 6.3)), np.sin(a)])
        part = blob(rng, size * rng.uniform(0.16, 0.28), rough=0.25) + shift
        parts.append(Polygon(part).buffer(0))
    whole = unary_union(parts).buffer(size * 0.06).buffer(-size * 0.05)
    if not isinstance(whole, Polygon):
        whole = max(whole.geoms, key=lambda part: part.area)
    return np.asarray(whole.exterior.simplify(4).coords)


def lake(ground: Ground, site: Site, size: float, rng: np.random.Generator) -> None:
    """A rounded natural lake with reeds or a beach; size in metres across."""
    c = Canvas(ground, site, size * 1.1, rng)
    edge = _lake_edge(rng, size)
    outer = Polygon(edge).buffer(0)
    tone: Colour = [(180, 290, 380), (280, 420, 380), (430, 560, 430), (130, 210, 280)][
        int(rng.choice(4))
    ]
    water = c.material(tone, vary=0.12, grain=0.025, mottle=0.04, scl=6)
    reeds = c.material((560, 760, 400), grain=0.09, mottle=0.15, scl=4)
    trees = c.material((270, 450, 240), grain=0.12, mottle=0.1, scl=4)
    sand = c.material((1500, 1380, 1120))
    if rng.random() < 0.5:
        c.polygon(blob(rng, size * 0.56, rough=0.13) * (1.05, 0.95), trees)
    c.shape(outer.buffer(rng.uniform(8, 30)), reeds)
    if rng.random() < 0.4:
        c.shape(outer.buffer(9), sand)
    c.shape(outer, water)
    for _ in range(int(rng.integers(0, 6))):
        x, y = edge[int(rng.integers(len(edge)))] * 0.96
        c.polygon(blob(rng, rng.uniform(25, 70), stretch=1.3) + (x, y), reeds)
    if rng.random() < 0.35:
        c.polygon(blob(rng, size * 0.05) + rng.normal(0, size / 9, 2), trees)
    for _ in range(int(rng.integers(0, 4))):
        x, y = edge[int(rng.integers(len(edge)))]
        c.line([(x, y), (x * 0.94, y * 0.94)], 4, c.material((1700, 1650, 1600)))
    c.outline("lake", edge)
    c.paste()


def _solar_edge(rng: np.random.Generator, size: float, stretch: float) -> npt.NDArray[np.float64]:
    """Fitted to a hill, or made of the fields it stands on."""
    if rng.random() < 0.35:
        return blob(rng, size / 2, rough=0.18, stretch=stretch)
    whole = Polygon()
    for _ in range(int(rng.integers(1, 5))):
        w, h = rng.uniform(0.28, 0.5, 2) * size
        x, y = rng.uniform(-0.5, 0.5, 2) * (size - 1.6 * np.array([w, h])) * 0.7
        whole = whole.union(
            Polygon([(x - w, y - h), (x + w, y - h), (x + w, y + h), (x - w, y + h)])
        )
    lean = rng.normal(0, 0.18)
    corners = np.asarray(whole.buffer(5, join_style="mitre").exterior.coords) * 0.8
    return np.column_stack([corners[:, 0] + lean * corners[:, 1], corners[:, 1]])


def solar_farm(ground: Ground, site: Site, size: float, rng: np.random.Generator) -> None:
    """Blocks of dark blue panel rows with tracks between them; size in metres across."""
    c = Canvas(ground, site, size * 0.85, rng)
    stretch = rng.uniform(1, 1.25)
    edge = _solar_edge(rng, size, stretch)
    outer = Polygon(edge).buffer(0)
    base = c.material(
        [(1150, 1080, 880), (820, 950, 620), (1450, 1300, 1050)][int(rng.choice(3))], mottle=0.1
    )
    track = c.material((1700, 1600, 1400))
    blue: Colour = [(520, 620, 950), (430, 500, 760), (620, 720, 1020), (380, 420, 600)][
        int(rng.choice(4))
    ]
    panels = [c.material(blue, vary=0.05, grain=0.03) for _ in range(4)]
    c.shape(outer, base)
    wide, tall = rng.uniform(70, 170), rng.uniform(55, 120)
    lane = rng.uniform(9, 16)
    row = rng.uniform(6.5, 12)
    inner = outer.buffer(-lane)
    n = int(size * stretch / min(wide, tall)) + 2
    for i in range(-n, n):
        for j in range(-n, n):
            x, y = i * wide, j * tall
            block = Polygon(
                [
                    (x, y),
                    (x + wide - lane, y),
                    (x + wide - lane, y + tall - lane),
                    (x, y + tall - lane),
                ]
            )
            part = inner.intersection(block)
            if not isinstance(part, Polygon) or part.area < 0.3 * block.area or rng.random() < 0.04:
                continue
            x0, y0, x1, y1 = part.bounds
            panel = panels[int(rng.integers(4))]
            for k in np.arange(y0, y1 - row * 0.4, row):
                cut = part.intersection(LineString([(x0, k + row / 2), (x1, k + row / 2)]))
                if isinstance(cut, LineString) and not cut.is_empty:
                    (a, _), (b, _) = cut.coords[0], cut.coords[-1]
                    c.rect(a, k, b, k + row * 0.68, panel)
    c.line(np.concatenate([edge, edge[:1]]) * 0.985, 5, track)
    for _ in range(2):
        y = int(rng.integers(-2, 3)) * tall - lane / 2
        cut = outer.intersection(LineString([(-size, y), (size, y)]))
        if isinstance(cut, LineString) and not cut.is_empty:
            c.line(np.asarray(cut.coords), 6, track)
    x, y = edge[0] * 0.9
    c.rect(x - 22, y - 14, x + 14, y + 12, c.material((2500, 2500, 2450)))
    c.outline("solar farm", edge)
    c.paste()
