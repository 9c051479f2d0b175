"""Airports, railway stations and harbours."""

from __future__ import annotations

import numpy as np

from keenkite.demo.draw import Canvas, Colour, Ground, Site, curve

ASPHALT: Colour = (950, 950, 960)
CONCRETE: Colour = (1850, 1800, 1700)


def airport(ground: Ground, site: Site, length: float, rng: np.random.Generator) -> None:
    """One or two runways `length` metres long, taxiways, aprons and terminals in mown grass."""
    c = Canvas(ground, site, length * 0.5 + 1000, rng)
    half = length / 2
    dark = rng.random() < 0.5
    grass = c.material((780, 980, 560), vary=0.1, grain=0.03, mottle=0.09, scl=4)
    runway = c.material((720, 730, 760) if dark else (1700, 1660, 1580), vary=0.08, grain=0.03)
    taxi = c.material((1150, 1140, 1120) if dark else (1450, 1420, 1370), grain=0.03)
    apron = c.material(CONCRETE, grain=0.04)
    paint = c.material((3300, 3300, 3300), vary=0.02)
    rubber = c.material((520, 520, 540))
    roof = c.material((2500, 2480, 2450), vary=0.15)
    plane = c.material((4200, 4200, 4250))
    second = rng.random() < 0.45 and length > 2400
    gap = rng.uniform(330, 480)
    top = -gap - 110 if second else -150.0
    deep = rng.uniform(420, 700)
    side = 260.0 + rng.uniform(0, 200)
    left = rng.uniform(-0.4, 0.1) * half
    right = left + rng.uniform(0.6, 0.9) * half
    edge = [(-side - half + 100, top), (half + side - 100, top), (half + side - 100, 260)]
    edge += [(right + 250, 300), (right + 150, deep), (left - 150, deep), (left - 250, 300)]
    edge += [(-side - half + 100, 260)]
    c.polygon(edge, grass)
    lanes = [0.0] + ([-gap] if second else [])
    for k, y in enumerate(lanes):
        reach = half * (rng.uniform(0.65, 0.95) if k else 1.0)
        shift = rng.uniform(-1, 1) * (half - reach)
        wide = 30 if length > 1900 else 23
        c.rect(shift - reach - 60, y - wide, shift + reach + 60, y + wide, runway)
        for end in (-1, 1):
            x = shift + end * reach
            c.rect(x - end * 20, y - 22, x - end * 60, y + 22, paint)
            c.rect(x - end * 330, y - 14, x - end * 380, y + 14, paint)
            c.rect(x - end * 400, y - 10, x - end * 800, y + 10, rubber)
        for x in np.arange(shift - reach + 60, shift + reach - 60, 75):
            c.rect(x, y - 1.5, x + 42, y + 1.5, paint)
        lane = y + (-150 if k else 150)
        if k and rng.random() < 0.5:
            lane = y + 165
        c.line([(shift - reach, lane), (shift + reach, lane)], 23, taxi)
        for x in np.linspace(shift - reach + 12, shift + reach - 12, int(rng.integers(4, 7))):
            lean = rng.uniform(-1, 1) * 90 * (abs(x - shift) < reach * 0.8)
            c.line([(x, y), (x + lean, lane)], 22, taxi)
    if second:
        for x in (left, right):
            c.line([(x, 150), (x, -gap)], 23, taxi)
    c.rect(left - 40, 140, right + 40, 300, apron)
    c.rect(left + 20, 300, right - 20, deep - 40, c.material((1250, 1230, 1200), mottle=0.15))
    centre = (left + right) / 2
    long = (right - left) * rng.uniform(0.2, 0.36)
    c.rect(centre - long, 305, centre + long, 345, roof)
    for x in np.arange(centre - long + 50, centre + long - 30, rng.uniform(90, 140)):
        if rng.random() < 0.75:
            c.rect(x, 262, x + 14, 310, roof)
        _plane(c, x + 45, 272, plane)
    for x in np.arange(left, right - 60, 75):
        if rng.random() < 0.3:
            _plane(c, x, 200, plane)
    for x in np.arange(left + 30, right - 80, rng.uniform(90, 150)):
        y = rng.uniform(380, max(deep - 110, 390))
        c.rect(
            x,
            y,
            x + rng.uniform(40, 85),
            y + rng.uniform(35, 60),
            c.material(
                [(2600, 2580, 2550), (1500, 1700, 2050), (1700, 1650, 1600)][int(rng.choice(3))],
                vary=0.1,
            ),
        )
    c.outline("airport", edge)
    c.paste()


def _plane(c: Canvas, x: float, y: float, material: int) -> None:
    c.line([(x, y - 20), (x, y + 20)], 6, material)
    c.line([(x - 18, y + 6), (x, y - 5), (x + 18, y + 6)], 5, material)


def station(ground: Ground, site: Site, length: float, rng: np.random.Generator) -> None:
    """A station with its fan of tracks, long platform roofs and the big houses round it."""
    c = Canvas(ground, site, length * 0.55 + 250, rng)
    half = length / 2
    tracks = int(rng.integers(12, 27))
    pitch = rng.uniform(6.5, 8.5)
    wide = tracks * pitch / 2
    ballast = c.material((980, 830, 730), vary=0.1, grain=0.05, mottle=0.08)
    rail = c.material((620, 570, 540), vary=0.1)
    gravel = c.material((1350, 1260, 1150), grain=0.06)
    # Big houses and a square in front of the station: what tells it from a mere yard.
    plaza = c.material((1500, 1460, 1400))
    for side in (-1, 1):
        for x in np.arange(-half * 0.6, half * 0.6, rng.uniform(60, 95)):
            for row in range(2):
                if rng.random() < 0.75:
                    y = side * (wide + 45 + row * 70 + rng.uniform(0, 12))
                    w, h = rng.uniform(28, 60), rng.uniform(28, 50)
                    tone = rng.uniform(1100, 2700)
                    c.rect(
                        x + 6, y - h / 2 + 8, x + w + 6, y + h / 2 + 8, c.material((420, 430, 440))
                    )
                    c.rect(
                        x, y - h / 2, x + w, y + h / 2, c.material((tone, tone * 0.98, tone * 0.95))
                    )
    fan = 0.22 * length
    outline = [(-half, -8), (-half + fan, -wide), (half - fan, -wide), (half, -8)]
    outline += [(half, 8), (half - fan, wide), (-half + fan, wide), (-half, 8)]
    c.polygon(outline, ballast)
    c.polygon(
        [
            (-half + fan, wide * 0.5),
            (half - fan, wide * 0.5),
            (half - fan, wide),
            (-half + fan, wide),
        ],
        gravel,
    )
    for k in range(tracks):
        y = (k + 0.5) * pitch - wide
        c.line(
            [(-half, np.sign(y) * 3), (-half + fan, y), (half - fan, y), (half, np.sign(y) * 3)],
            2.6,
            rail,
        )
    # Rusty and well-used groups of tracks differ: the stripes that are seen from far.
    used = [c.material((1250, 1130, 1030)), c.material((760, 640, 580))]
    for k in range(0, tracks - 1, int(rng.integers(3, 6))):
        y = (k + 1) * pitch - wide
        near = np.sign(y) * 3
        bend = [(-half, near), (-half + fan, y), (half - fan, y), (half, near)]
        c.line(bend, rng.uniform(4, 8), used[int(rng.integers(2))])
    platform = c.material((2000, 1950, 1900), vary=0.1)
    roofs = [
        c.material((1500, 1520, 1560)),
        c.material((2500, 2500, 2500)),
        c.material((1150, 1350, 1450)),
    ]
    count = int(rng.integers(2, max(3, tracks // 3)))
    reach = rng.uniform(120, 240)
    shift = rng.uniform(-0.15, 0.15) * half
    yard = rng.random() < 0.6
    for k in range(count):
        y = -wide + (k + 0.5) * (2 * wide * (0.6 if yard else 1)) / count
        c.rect(shift - reach, y - 6.5, shift + reach, y + 6.5, platform)
        c.rect(shift - reach * 0.85, y - 6, shift + reach * 0.85, y + 6, roofs[int(rng.choice(3))])
    train = [
        c.material((3000, 3000, 3050)),
        c.material((1100, 1400, 2000)),
        c.material((1900, 800, 650)),
    ]
    for _ in range(int(rng.integers(4, 10))):
        y = (int(rng.integers(tracks)) + 0.5) * pitch - wide
        x = rng.uniform(-0.5, 0.4) * half
        c.line([(x, y), (x + rng.uniform(120, 260), y)], 4.5, train[int(rng.choice(3))])
    # The station hall bridges the tracks.
    c.rect(shift - 28, -wide - 22, shift + 28, wide + 22, c.material((2300, 2280, 2250), vary=0.15))
    c.rect(shift - 70, wide + 14, shift + 70, wide + 62, plaza)
    c.rect(shift - 60, -wide - 60, shift + 60, -wide - 14, plaza)
    if rng.random() < 0.5:
        x = half * 0.3
        c.rect(x, wide - 4, x + rng.uniform(120, 200), wide + 34, c.material((1750, 1780, 1850)))
    full = wide + 70
    c.outline(
        "railway station",
        [(-half, -30), (-half + fan, -full), (half - fan, -full), (half, -30)]
        + [(half, 30), (half - fan, full), (-half + fan, full), (-half, 30)],
    )
    c.paste()


def harbour(ground: Ground, site: Site, size: float, rng: np.random.Generator) -> None:
    """Quays, piers, basins, breakwaters and ships; the local y axis points out to sea."""
    c = Canvas(ground, site, size * 1.25, rng)
    half = size / 2
    # The basin is dredged out of the sea that is there: the same colour, a little calmer.
    off_x, off_y = (c.world([(0, size * 0.6)])[0] / 10).astype(int)
    row = int(np.clip(off_y, 5, ground.shape[0] - 6))
    col = int(np.clip(off_x, 5, ground.shape[1] - 6))
    nearby = ground.reflectance[row - 5 : row + 6, col - 5 : col + 6]
    at_sea = ground.scl[row - 5 : row + 6, col - 5 : col + 6] == 6
    tone = nearby[at_sea].mean(0) if at_sea.any() else np.array([230.0, 380.0, 430.0])
    colour = (float(tone[0]), float(tone[1]), float(tone[2]))
    water = c.material(colour, vary=0.02, grain=0.025, scl=6, bits=("sea",))
    quay = c.material(CONCRETE, vary=0.08, grain=0.05, mottle=0.07)
    rock = c.material((1500, 1480, 1430), grain=0.08)
    hulls = [
        c.material((3800, 3800, 3800)),
        c.material((2200, 1000, 800)),
        c.material((900, 1100, 1700)),
    ]
    sheds = [
        c.material((2700, 2680, 2650)),
        c.material((1350, 1700, 2200)),
        c.material((1700, 1650, 1600)),
    ]
    out = size * rng.uniform(0.42, 0.6)
    land = -size * 0.28
    c.rect(-half, -40, half, out, water)
    c.rect(-half, land, half, 20, quay)
    cargo = size > 1000
    edge = [(-half - 30, land), (half + 30, land), (half + 30, out + 30), (-half - 30, out + 30)]
    piers = int(rng.integers(2, 5))
    step = size / piers
    for k in range(piers):
        x = -half + (k + 0.5) * step + rng.uniform(-0.1, 0.1) * step
        wide = step * rng.uniform(0.32, 0.5) if cargo else rng.uniform(16, 40)
        long = out * rng.uniform(0.45, 0.72)
        c.rect(x - wide / 2, 0, x + wide / 2, long, quay)
        if cargo:
            for y in np.arange(40, long - 60, rng.uniform(70, 110)):
                kind = rng.random()
                if kind < 0.4:
                    c.rect(x - wide * 0.33, y, x + wide * 0.33, y + 50, sheds[int(rng.choice(3))])
                elif kind < 0.8:
                    for i in np.arange(-wide * 0.35, wide * 0.3, 16):
                        paints: list[Colour] = [
                            (1800, 700, 600),
                            (600, 900, 1700),
                            (1900, 1600, 700),
                            (700, 1200, 900),
                            (2100, 2100, 2100),
                        ]
                        c.rect(x + i, y, x + i + 12, y + 45, c.material(paints[int(rng.choice(5))]))
        for side in (-1, 1):
            if rng.random() < 0.75:
                far = rng.uniform(0.2, 0.7) * long
                ship = rng.uniform(110, 240) if cargo else rng.uniform(18, 40)
                beam = ship / 7
                edge_x = x + side * (wide / 2 + beam / 2 + 3)
                _ship(
                    c, edge_x, far, 0.0, ship, beam, hulls[int(rng.choice(3, p=[0.4, 0.35, 0.25]))]
                )
    if not cargo:
        # A marina: rows of small white boats at floating piers.
        boat = hulls[0]
        for x in np.arange(-half * 0.8, half * 0.8, 34):
            if rng.random() < 0.6:
                c.line([(x, 20), (x, 20 + out * 0.25)], 3, quay)
                for y in np.arange(26, 18 + out * 0.25, 9):
                    if rng.random() < 0.8:
                        c.rect(x + 3, y, x + 12, y + 4, boat)
    for x in np.arange(-half + 20, half - 60, rng.uniform(75, 130)):
        y = land + rng.uniform(25, 50)
        w = rng.uniform(45, 90) if cargo else rng.uniform(25, 55)
        if rng.random() < 0.75:
            c.rect(x, y, x + w, y + rng.uniform(28, 65), sheds[int(rng.choice(3))])
        elif cargo:
            for i in range(3):
                c.disc(x + 22 + 34 * i, y + 22, 14, sheds[0])
    # Breakwaters close the basin but for a gap.
    gap = rng.uniform(-0.35, 0.35) * size
    thick = 22 if cargo else 14
    lean = rng.uniform(-60, 60)
    c.line(
        [(-half, 0), (-half - 20, out * 0.7), (-half * 0.8, out), (gap - 60, out + lean)],
        thick,
        rock,
    )
    c.line(
        [(half, 0), (half + 20, out * 0.6), (half * 0.9, out * 0.85), (gap + 60, out * 0.88)],
        thick,
        rock,
    )
    for _ in range(int(rng.integers(1, 5))):
        x, y = rng.uniform(-half, half), out + rng.uniform(80, size * 0.4)
        long = rng.uniform(25, 180 if cargo else 50)
        turn = rng.uniform(0, np.pi)
        wake = curve([(x, y), (x - 2 * long * np.sin(turn), y - 2 * long * np.cos(turn))], 5)
        c.line(wake, 6, c.material((700, 800, 850)))
        _ship(c, x, y, turn, long, max(long / 7, 6), hulls[int(rng.choice(3))])
    c.outline("harbour", edge)
    c.paste()


def _ship(c: Canvas, x: float, y: float, turn: float, long: float, beam: float, hull: int) -> None:
    dx, dy = np.sin(turn) * long / 2, np.cos(turn) * long / 2
    c.line([(x - dx, y - dy), (x + dx, y + dy)], beam, hull)
    deck = c.material((2600, 2500, 2400))
    c.line([(x - dx * 0.9, y - dy * 0.9), (x - dx * 0.6, y - dy * 0.6)], beam * 0.9, deck)
