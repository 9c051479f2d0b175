"""Golf courses, parks and sports grounds."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from shapely.geometry import LineString, Point, Polygon

from keenkite.demo.draw import Canvas, Colour, Ground, Site, blob, curve

TREES: Colour = (260, 430, 235)
LAWN: Colour = (560, 860, 430)
WATER: Colour = (300, 430, 440)
ROOF: Colour = (1900, 1880, 1850)
ASPHALT: Colour = (1080, 1070, 1060)


def golf_course(ground: Ground, site: Site, size: float, rng: np.random.Generator) -> None:
    """Sinuous light fairways between tree strips, bunkers, ponds, a club house; size m across."""
    c = Canvas(ground, site, size * 1.15, rng)
    stretch = rng.uniform(1.0, 1.25)
    edge = blob(rng, size / 2, rough=0.16, stretch=stretch)
    outer = Polygon(edge).buffer(0)
    links = rng.random() < 0.2
    rough = c.material((430, 660, 330), grain=0.09, mottle=0.12, scl=4)
    trees = c.material(TREES, grain=0.14, mottle=0.12, scl=4)
    fairway = c.material(
        (740 * rng.uniform(0.9, 1.2), 1120, 540), vary=0.08, grain=0.03, mottle=0.05, scl=4
    )
    green = c.material((760, 1250, 560), grain=0.02, scl=4)
    sand = c.material((2500, 2350, 1950), vary=0.1)
    water = c.material(WATER, vary=0.15, grain=0.03, scl=6)
    path = c.material((1150, 1130, 1050))
    c.shape(outer, rough if links else trees)
    if not links:
        c.scatter(edge, int(size / 9), (10, 45), rough)
    inner = outer.buffer(-45)
    main = rng.uniform(0, np.pi)
    holes: list[Polygon] = []
    taken = Polygon()
    lines: list[npt.NDArray[np.float64]] = []
    want = int(np.clip((size / 1000) ** 2 * 24, 9, 36))
    for _ in range(900):
        if len(holes) >= want:
            break
        long = rng.uniform(190, 430) * min(1.0, size / 1000 + 0.1)
        turn = main + rng.normal(0, 0.3) + (rng.random() < 0.15) * np.pi / 2
        x, y = rng.uniform(-0.75, 0.75, 2) * size / 2 * stretch
        bend = rng.normal(0, 0.16, 2) * long
        local = np.array([(-long / 2, 0), (-long / 6, bend[0]), (long / 6, bend[1]), (long / 2, 0)])
        if rng.random() < 0.5:
            local = local[::-1]
        cos, sin = np.cos(turn), np.sin(turn)
        axis = curve(local @ np.array([[cos, sin], [-sin, cos]]) + (x, y))
        corridor = LineString(axis).buffer(rng.uniform(25, 33))
        if not inner.contains(corridor) or taken.intersects(corridor):
            continue
        holes.append(corridor)
        taken = taken.union(corridor)
        lines.append(axis)
    for axis in lines:
        c.line(axis, 66, rough)
    for axis in lines:
        width = rng.uniform(24, 40)
        widths = width * (1 + 0.25 * np.sin(np.linspace(0, rng.uniform(5, 11), len(axis))))
        for (x, y), w in zip(axis[4:], widths[4:], strict=True):
            c.disc(float(x), float(y), float(w) / 2, fairway)
        c.disc(float(axis[0, 0]), float(axis[0, 1]), 9, green)
        end = axis[-1]
        c.polygon(blob(rng, rng.uniform(13, 18), rough=0.15) + end, green)
        for _ in range(int(rng.integers(2, 5))):
            where = end + 24 * np.array([np.cos(a := rng.uniform(0, 6.3)), np.sin(a)])
            c.polygon(blob(rng, rng.uniform(7, 12), rough=0.3, n=16) + where, sand)
        for _ in range(int(rng.integers(0, 3))):
            k = int(rng.integers(10, 20))
            c.polygon(blob(rng, rng.uniform(7, 13), n=16) + axis[k] + rng.normal(0, 14, 2), sand)
    for _ in range(int(rng.integers(2, 5))):
        where = rng.uniform(-0.3, 0.3, 2) * size
        if inner.contains(Point(*where)):
            c.polygon(blob(rng, rng.uniform(22, 55), stretch=1.3) + where, water)
    if len(lines) > 3:
        tour = np.concatenate([axis[[0, -1]] for axis in lines[:8]])
        c.line(curve(tour, 80), 4, path)
    # The club house and its car park sit at the edge.
    x, y = edge[int(rng.integers(len(edge)))] * 0.86
    c.rect(x - 60, y - 35, x + 60, y + 35, c.material(ASPHALT))
    c.rect(x - 35, y - 62, x + 30, y - 36, c.material(ROOF, vary=0.2))
    c.outline("golf course", edge)
    c.paste()


def park(ground: Ground, site: Site, size: float, rng: np.random.Generator) -> None:
    """Lawns, groups of trees, curved paths and a pond inside a town; size in metres across."""
    c = Canvas(ground, site, size, rng)
    if rng.random() < 0.45:
        w, h = size / 2, size / 2 * rng.uniform(0.55, 0.95)
        edge = np.array([(-w, -h), (w, -h * rng.uniform(0.7, 1)), (w, h), (-w * 0.9, h)])
    else:
        edge = blob(rng, size / 2, rough=0.14, stretch=rng.uniform(1, 1.25))
    outer = Polygon(edge).buffer(0)
    trees = c.material((290, 470, 250), grain=0.14, mottle=0.12, scl=4)
    lawn = c.material(LAWN, grain=0.05, mottle=0.08, scl=4)
    path = c.material((1500, 1420, 1250))
    water = c.material(WATER, vary=0.2, grain=0.03, scl=6)
    c.shape(outer, trees)
    for _ in range(int(rng.integers(2, 5))):
        where = rng.normal(0, size / 6, 2)
        patch = Polygon(blob(rng, size * rng.uniform(0.1, 0.2), rough=0.25) + where).buffer(0)
        part = patch.intersection(outer.buffer(-15))
        for piece in getattr(part, "geoms", [part]):
            if isinstance(piece, Polygon) and not piece.is_empty:
                c.shape(piece, lawn)
    c.scatter(edge, int(size / 6), (5, 10), trees)
    pond = Polygon(
        blob(rng, size * rng.uniform(0.06, 0.15), rough=0.3, stretch=1.25)
        + rng.normal(0, size / 9, 2)
    ).buffer(0)
    c.shape(pond.buffer(6), path)
    c.shape(pond, water)
    if pond.area > 9000:
        where = np.array([pond.centroid.x, pond.centroid.y])
        c.polygon(blob(rng, 16) + where, trees)
    rim = outer.buffer(-size * 0.09)
    if isinstance(rim, Polygon) and not rim.is_empty:
        c.line(np.asarray(rim.exterior.coords), 6, path)
    for _ in range(int(rng.integers(3, 6))):
        a, b = edge[rng.integers(0, len(edge), 2)]
        c.line(curve(np.stack([a, *rng.normal(0, size / 5, (2, 2)), b])), 5, path)
    x, y = rng.normal(0, size / 5, 2)
    c.disc(x, y, rng.uniform(14, 26), c.material((1750, 1650, 1450)))
    for _ in range(int(rng.integers(1, 4))):
        x, y = rng.normal(0, size / 4, 2)
        c.rect(x, y, x + rng.uniform(15, 45), y + rng.uniform(12, 25), c.material(ROOF, vary=0.3))
    c.outline("park", edge)
    c.paste()


def _track(c: Canvas, x: float, y: float, rng: np.random.Generator) -> None:
    """A 400 m running track with its lawn, 176 x 92 m and a little more."""
    red = c.material(
        [(1750, 850, 650), (1500, 800, 640), (950, 1150, 1500), (1850, 1050, 800)][
            int(rng.choice(4, p=[0.5, 0.25, 0.08, 0.17]))
        ],
        grain=0.03,
    )
    lawn = c.material((560, 950, 400), grain=0.02, scl=4)
    half = LineString([(x - 42, y), (x + 42, y)])
    c.shape(half.buffer(47), red)
    c.shape(half.buffer(36.5), lawn)
    if rng.random() < 0.45:
        # A stadium: stands round the track, the roof over one side.
        stand = c.material((1700, 1700, 1700))
        ring = half.buffer(72).difference(half.buffer(49))
        c.shape(ring, stand)
        c.shape(half.buffer(47), red)
        c.shape(half.buffer(36.5), lawn)
        c.rect(x - 70, y - 78, x + 70, y - 50, c.material((2700, 2700, 2650)))


def _diamond(c: Canvas, x: float, y: float, turn: float, rng: np.random.Generator) -> None:
    """A baseball field: a sector of grass with a sandy infield."""
    size = rng.uniform(85, 115)
    fan = np.linspace(turn, turn + np.pi / 2, 12)
    sector = np.column_stack([x + size * np.cos(fan), y + size * np.sin(fan)])
    all_sand = rng.random() < 0.35
    sand = c.material((1650, 1350, 1000), grain=0.03)
    lawn = c.material((600, 900, 430), grain=0.03, scl=4)
    c.polygon([(x, y), *map(tuple, sector)], sand if all_sand else lawn)
    short = np.column_stack([x + 0.42 * size * np.cos(fan), y + 0.42 * size * np.sin(fan)])
    c.polygon([(x, y), *map(tuple, short)], sand)
    mid = turn + np.pi / 4
    c.disc(x + 24 * np.cos(mid), y + 24 * np.sin(mid), 8 if all_sand else 12, lawn)


def sports_ground(ground: Ground, site: Site, size: float, rng: np.random.Generator) -> None:
    """A running track with pitches, baseball fields, courts and a hall; size in metres across."""
    c = Canvas(ground, site, size, rng)
    h = size / 2 * rng.uniform(0.72, 0.9)
    w = size / 2
    edge = np.array([(-w, -h), (w, -h), (w, h), (-w, h)])
    base = c.material(
        [(620, 800, 450), (1000, 1000, 850), (1300, 1200, 1000)][int(rng.choice(3))], mottle=0.1
    )
    trees = c.material(TREES, grain=0.12, scl=4)
    c.polygon(edge, trees)
    c.rect(-w + 12, -h + 12, w - 12, h - 12, base)
    c.line([(-w, 0), (w, 0)], 9, c.material(ASPHALT))
    c.scatter(edge, int(w * h / 900), (4, 11), trees)
    things = ["track", *rng.choice(["diamond", "pitch", "courts", "parking", "hall"], 12)]
    if size > 420:
        things.insert(1, "diamond")
        things.insert(2, "pitch")
    if size > 520 and rng.random() < 0.6:
        things.insert(1, "track")
    nx, ny = max(1, int((2 * w - 20) // 195)), max(1, int((2 * h - 20) // 150))
    cells = [
        ((i + 0.5) / nx * (2 * w - 20) - w + 10, (j + 0.5) / ny * (2 * h - 20) - h + 10)
        for j in range(ny)
        for i in range(nx)
    ]
    for k, pick in enumerate(rng.permutation(len(cells))):
        x, y = cells[int(pick)]
        kind = str(things[k % len(things)])
        if kind == "track":
            _track(c, x, y, rng)
        elif kind == "diamond":
            turn = rng.choice(4) * np.pi / 2
            mid = turn + np.pi / 4
            _diamond(c, x - 62 * np.cos(mid), y - 62 * np.sin(mid), turn, rng)
        elif kind == "pitch":
            lawn = c.material((580, 960, 420), grain=0.02, scl=4)
            pale = c.material((700, 1080, 500), grain=0.02, scl=4)
            for i in range(6):
                x0 = x - 54 + 18 * i
                c.rect(x0, y - 35, x0 + 18, y + 35, lawn if i % 2 else pale)
        elif kind == "courts":
            colour: Colour = (700, 1000, 1300) if rng.random() < 0.4 else (700, 1050, 750)
            court = c.material(colour)
            for i in range(4):
                for j in range(2):
                    x0, y0 = x - 78 + i * 40, y - 45 + j * 46
                    c.rect(x0, y0, x0 + 34, y0 + 38, court)
        elif kind == "parking":
            c.rect(x - 70, y - 45, x + 70, y + 45, c.material(ASPHALT, grain=0.1))
        else:
            c.rect(x - 40, y - 28, x + 40, y + 28, c.material((2600, 2580, 2500), vary=0.15))
    c.outline("sports ground", edge)
    c.paste()
