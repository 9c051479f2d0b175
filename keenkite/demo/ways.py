"""Rivers, highways, railways and roads: lines over the whole world."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from keenkite.demo.draw import Canvas, Colour, Ground, Site, curve
from keenkite.demo.sites import Line, Sketch, offset_line
from keenkite.demo.terrain import noise

_CHUNK = 2600.0
"""Metres: side of the windows in which long lines are drawn."""


def _pieces(lines: list[Line], ground: Ground) -> list[Site]:
    """The middles of the chunks that the lines run through."""
    rows, cols = ground.shape
    points = np.concatenate([line for line in lines if len(line)] or [np.empty((0, 2))])
    chunks = {
        (int(x // _CHUNK) + dx, int(y // _CHUNK) + dy)
        for x, y in points[::4]
        for dx in (0,)
        for dy in (0,)
    }
    return [
        Site((i + 0.5) * _CHUNK, (j + 0.5) * _CHUNK, 0.0)
        for i, j in sorted(chunks)
        if 0 <= i * _CHUNK < cols * 10 and 0 <= j * _CHUNK < rows * 10
    ]


def _close(line: Line, site: Site) -> list[Line]:
    """The runs of a line within a chunk and a little round it, moved to the chunk's middle."""
    local = line - (site.x, site.y)
    inside = np.abs(local).max(1) < _CHUNK * 0.5 + 400
    cuts = np.nonzero(np.diff(inside.astype(int)))[0] + 1
    runs = np.split(np.arange(len(line)), cuts)
    return [local[run] for run in runs if len(run) > 1 and inside[run[0]]]


def draw_rivers(
    ground: Ground, rivers: list[tuple[Line, float, float]], rng: np.random.Generator
) -> None:
    """Rivers (line, width at the source, width at the mouth) with bars and wooded banks."""
    strands = []
    for line, first, last in rivers:
        n = len(line)
        if n < 8:
            continue
        width = np.linspace(first, last, n)
        knots = np.arange(0, n + 12, 12)
        sway = np.interp(np.arange(n), knots, rng.normal(0, 1, len(knots)))
        bed = width * 1.9
        thread = offset_line(line, np.clip(sway, -1.2, 1.2) * width * 0.3)
        strands.append((line, bed, thread, width))
    tone: Colour = [(330, 450, 420), (420, 520, 430), (260, 380, 400)][int(rng.choice(3))]
    for site in _pieces([s[0] for s in strands], ground):
        c = Canvas(ground, site, _CHUNK / 2, np.random.default_rng(rng.integers(2**32)), fineness=2)
        bank = c.material(
            (480, 680, 360), vary=0.03, grain=0.08, mottle=0.2, scl=4, bits=("river",)
        )
        bar = c.material((1650, 1560, 1400), vary=0.03, grain=0.06, bits=("river",))
        water = c.material(tone, vary=0.02, grain=0.03, scl=6, bits=("river",))
        for line, bed, thread, width in strands:
            near = np.nonzero(np.abs(line - (site.x, site.y)).max(1) < _CHUNK / 2 + 500)[0]
            for scale, path, wide, material in (
                (1.0, line, bed, bank),
                (0.62, line, bed, bar),
                (1.0, thread, width, water),
            ):
                for k in near[:-1]:
                    pair = path[k : k + 2] - (site.x, site.y)
                    if abs(pair[1] - pair[0]).max() < 300:
                        c.line(pair, float(wide[k] * scale), material)
                        x, y = pair[1]
                        c.disc(float(x), float(y), float(wide[k] * scale / 2), material)
        c.paste()


def draw_roads(
    ground: Ground,
    *,
    roads: list[Line],
    railways: list[Line],
    highways: list[Line],
    rng: np.random.Generator,
) -> None:
    """Main roads, double-track railways and highways of two carriageways with interchanges."""
    loops: list[tuple[float, float, float]] = []
    for line in highways:
        for at in rng.uniform(0.1, 0.9, max(1, len(line) // 260)) * len(line):
            k = int(at)
            ahead = line[min(k + 3, len(line) - 1)] - line[max(k - 3, 0)]
            x, y = line[k]
            loops.append((float(x), float(y), float(np.arctan2(ahead[1], ahead[0]))))
    concrete = rng.random() < 0.4
    for site in _pieces(roads + railways + highways, ground):
        c = Canvas(ground, site, _CHUNK / 2, np.random.default_rng(rng.integers(2**32)), fineness=2)
        grey = c.material((1180, 1170, 1150), vary=0.03)
        ballast = c.material((1120, 1010, 920), vary=0.03)
        verge = c.material((620, 820, 470), vary=0.03, mottle=0.1, scl=4, bits=("highway",))
        lane = c.material(
            (1500, 1470, 1420) if concrete else (1000, 1000, 1000), vary=0.03, bits=("highway",)
        )
        median = c.material((600, 740, 470), vary=0.03, scl=4, bits=("highway",))
        for line in roads:
            for run in _close(line, site):
                c.line(run, 11, grey)
        for line in railways:
            for run in _close(line, site):
                c.line(run, 14, ballast)
        for line in highways:
            for run in _close(line, site):
                c.line(run, 52, verge)
                c.line(run, 34, lane)
                c.line(run, 6, median)
        for x, y, turn in loops:
            if max(abs(x - site.x), abs(y - site.y)) < _CHUNK / 2 + 600:
                _interchange(c, (x - site.x, y - site.y), turn, lane)
        c.paste()


def _interchange(c: Canvas, where: tuple[float, float], turn: float, lane: int) -> None:
    cos, sin = np.cos(turn), np.sin(turn)

    def at(points: list[tuple[float, float]]) -> npt.NDArray[np.float64]:
        return np.asarray(np.asarray(points) @ np.array([[cos, sin], [-sin, cos]]) + where)

    c.line(at([(0, -420), (0, 420)]), 16, lane)
    for side in (-1, 1):
        ring = np.linspace(0, 2 * np.pi, 24)
        loop = np.column_stack([60 + 55 * np.cos(ring), side * (75 + 55 * np.sin(ring))])
        c.line(at([(float(a), float(b)) for a, b in loop]), 9, lane)
        for end in (-1, 1):
            ramp = curve([(end * 420, side * 14), (end * 160, side * 20), (0, side * 240)])
            c.line(at([(float(a), float(b)) for a, b in ramp]), 9, lane)


def meander(line: Line, rng: np.random.Generator, sketch: Sketch) -> Line:
    """Sway a river's line in the plain, little in the mountains."""
    if len(line) < 20:
        return line
    row, col = sketch.cells(line)
    plain = np.clip(1 - 1.6 * sketch.mountain[row, col], 0.05, 1)
    wave = noise(rng, (1, len(line) + 40), 36, 2)[0, : len(line)]
    fade = np.clip(np.minimum(np.arange(len(line)), np.arange(len(line))[::-1]) / 20, 0, 1)
    return offset_line(line, wave * 170 * plain * fade)
