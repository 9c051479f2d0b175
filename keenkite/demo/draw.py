"""A canvas in metres: shapes drawn at 2.5 m, averaged into the 10 m pixels of a world."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw
from shapely.geometry import Polygon

from keenkite.demo.concepts import BIT
from keenkite.demo.terrain import Floats, noise

Points = Sequence[tuple[float, float]] | npt.NDArray[Any]
Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Feature:
    """A placed thing of the truth."""

    concept: str
    """One of `concepts.NAMES`."""
    polygon: Polygon
    """Its outline in UTM metres (easting, northing)."""


@dataclass(frozen=True)
class Site:
    """A place to draw something: metres east and south of the world's north-west corner."""

    x: float
    """Metres east."""
    y: float
    """Metres south."""
    angle: float
    """Radians from east towards south of the local x axis."""


@dataclass(kw_only=True)
class Ground:
    """The world while it is drawn; all arrays (rows, cols[, 3]) at 10 m."""

    reflectance: Floats
    """(rows, cols, 3) float32, R, G, B, 0-10000."""
    scl: npt.NDArray[np.uint8]
    """(rows, cols) scene classes."""
    masks: npt.NDArray[np.uint32]
    """(rows, cols) bit i set where CONCEPTS[i] is."""
    parcel: npt.NDArray[np.uint16]
    """(rows, cols) row of the crop palette, 0 where nothing is grown."""
    instance: npt.NDArray[np.int16]
    """(rows, cols) 1 + number of the feature in `features`, 0 elsewhere."""
    west: float
    """Easting of the left edge, metres."""
    north: float
    """Northing of the upper edge, metres."""
    features: list[Feature] = field(default_factory=list)
    """The placed things drawn so far."""

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, cols)."""
        return self.scl.shape[0], self.scl.shape[1]


@dataclass(frozen=True)
class _Material:
    colour: Colour
    grain: float
    mottle: float
    scl: int
    bits: int


class Canvas:
    """A window of the ground with its own axes: x along the site's angle, y to its right."""

    def __init__(
        self,
        ground: Ground,
        site: Site,
        radius: float,
        rng: np.random.Generator,
        *,
        fineness: int = 4,
    ) -> None:
        rows, cols = ground.shape
        self.row = int(np.clip((site.y - radius) // 10, 0, rows))
        self.col = int(np.clip((site.x - radius) // 10, 0, cols))
        self.rows = max(int(np.clip((site.y + radius) // 10 + 1, 0, rows)) - self.row, 1)
        self.cols = max(int(np.clip((site.x + radius) // 10 + 1, 0, cols)) - self.col, 1)
        self.ground, self.site, self.rng, self.fineness = ground, site, rng, fineness
        self._image = Image.new("L", (self.cols * fineness, self.rows * fineness))
        self._draw = ImageDraw.Draw(self._image)
        self._materials: list[_Material] = [_Material((0, 0, 0), 0, 0, 0, 0)]
        self._outlines: list[tuple[str, Polygon]] = []

    def material(
        self,
        colour: Colour,
        *,
        vary: float = 0.06,
        grain: float = 0.05,
        mottle: float = 0.04,
        scl: int = 5,
        bits: Iterable[str] = (),
    ) -> int:
        """Mix a colour (reflectance R, G, B), varied a little; returns its number for drawing."""
        light = 1 + vary * self.rng.standard_normal()
        tint = 1 + 0.25 * vary * self.rng.standard_normal(3)
        mixed = tuple(float(c * light * t) for c, t in zip(colour, tint, strict=True))
        mask = 0
        for name in bits:
            mask |= BIT[name]
        self._materials.append(_Material((mixed[0], mixed[1], mixed[2]), grain, mottle, scl, mask))
        return len(self._materials) - 1

    def world(self, points: Points) -> npt.NDArray[np.float64]:
        """Local metres (n, 2) to metres east and south of the world's corner."""
        local = np.asarray(points, dtype=np.float64).reshape(-1, 2)
        cos, sin = np.cos(self.site.angle), np.sin(self.site.angle)
        x = self.site.x + local[:, 0] * cos - local[:, 1] * sin
        y = self.site.y + local[:, 0] * sin + local[:, 1] * cos
        return np.column_stack([x, y])

    def _pixels(self, points: Points, fineness: int) -> list[tuple[float, float]]:
        where = self.world(points) / 10 - (self.col, self.row)
        return [(float(x), float(y)) for x, y in where * fineness - 0.5]

    def polygon(self, points: Points, material: int) -> None:
        """Fill a polygon given in local metres."""
        self._draw.polygon(self._pixels(points, self.fineness), fill=material)

    def rect(self, x0: float, y0: float, x1: float, y1: float, material: int) -> None:
        """Fill a rectangle along the local axes."""
        self.polygon([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], material)

    def line(self, points: Points, width: float, material: int) -> None:
        """Draw a polyline `width` metres wide."""
        pixels = max(1, round(width / 10 * self.fineness))
        self._draw.line(
            self._pixels(points, self.fineness), fill=material, width=pixels, joint="curve"
        )

    def disc(self, x: float, y: float, radius: float, material: int) -> None:
        """Fill a circle."""
        turn = np.linspace(0, 2 * np.pi, 20, endpoint=False)
        self.polygon(
            np.column_stack([x + radius * np.cos(turn), y + radius * np.sin(turn)]), material
        )

    def shape(self, polygon: Polygon, material: int) -> None:
        """Fill a shapely polygon, leaving its holes as they are."""
        if not polygon.interiors:
            self.polygon(np.asarray(polygon.exterior.coords), material)
            return
        stencil = Image.new("1", self._image.size)
        pen = ImageDraw.Draw(stencil)
        pen.polygon(self._pixels(np.asarray(polygon.exterior.coords), self.fineness), fill=1)
        for ring in polygon.interiors:
            pen.polygon(self._pixels(np.asarray(ring.coords), self.fineness), fill=0)
        self._image.paste(material, mask=stencil)

    def scatter(self, inside: Points, count: int, size: tuple[float, float], material: int) -> None:
        """Dots of `size` metres (smallest, largest radius) at random places in a polygon."""
        area = Polygon(inside)
        x0, y0, x1, y1 = area.bounds
        stencil = Image.new("1", self._image.size)
        ImageDraw.Draw(stencil).polygon(self._pixels(inside, self.fineness), fill=1)
        where = np.asarray(stencil)
        xy = self.rng.uniform((x0, y0), (x1, y1), (count, 2))
        radii = self.rng.uniform(*size, count) / 10 * self.fineness
        for (px, py), r in zip(self._pixels(xy, self.fineness), radii, strict=True):
            row, col = int(py), int(px)
            if 0 <= row < where.shape[0] and 0 <= col < where.shape[1] and where[row, col]:
                self._draw.ellipse((px - r, py - r, px + r, py + r), fill=material)

    def outline(self, concept: str, points: Points) -> None:
        """Record a feature of the truth: its outline in local metres."""
        self._outlines.append((concept, Polygon(np.asarray(points).reshape(-1, 2))))

    def paste(self) -> None:
        """Average what was drawn into the ground and record the features."""
        g, n = self.ground, self.fineness
        window = np.s_[self.row : self.row + self.rows, self.col : self.col + self.cols]
        index = np.asarray(self._image)
        colours = np.array([m.colour for m in self._materials], np.float32)
        texture = np.array([(m.grain, m.mottle) for m in self._materials], np.float32)
        table = np.column_stack([colours, texture, np.ones(len(colours), np.float32)])
        table[0] = 0
        mean: Floats = np.zeros((self.rows, self.cols, 6), np.float32)
        for dy in range(n):
            for dx in range(n):
                mean += table[index[dy::n, dx::n]]
        mean /= n * n
        alpha = mean[..., 5]
        drawn = alpha > 0
        if drawn.any():
            size = (self.rows, self.cols)
            change = mean[..., 3] * self.rng.standard_normal(size, dtype=np.float32)
            change += mean[..., 4] * noise(self.rng, size, 14, 3)
            paint = mean[..., :3] * (1 + change[..., None])
            under = g.reflectance[window]
            under *= (1 - alpha)[..., None]
            under += paint
            centre = index[n // 2 :: n, n // 2 :: n]
            most = (alpha > 0.5) & (centre > 0)
            scl = np.array([m.scl for m in self._materials], np.uint8)
            bits = np.array([m.bits for m in self._materials], np.uint32)
            g.scl[window][most] = scl[centre[most]]
            g.masks[window][most] = bits[centre[most]]
            g.parcel[window][alpha > 0.1] = 0
        for concept, local in self._outlines:
            self._record(concept, local, window)

    def _record(self, concept: str, local: Polygon, window: Any) -> None:
        g = self.ground
        shell = np.asarray(local.exterior.coords)
        stencil = Image.new("1", (self.cols, self.rows))
        ImageDraw.Draw(stencil).polygon(self._pixels(shell, 1), fill=1)
        inside = np.asarray(stencil)
        if not inside.any():
            return
        xy = self.world(shell)
        utm = Polygon(np.column_stack([g.west + xy[:, 0], g.north - xy[:, 1]]))
        g.features.append(Feature(concept, utm if utm.is_valid else utm.buffer(0)))
        g.masks[window][inside] |= np.uint32(BIT[concept])
        g.instance[window][inside] = len(g.features)


def blob(
    rng: np.random.Generator,
    radius: float,
    *,
    rough: float = 0.2,
    stretch: float = 1.0,
    n: int = 72,
) -> npt.NDArray[np.float64]:
    """A closed smooth outline (n, 2) round the origin, about `radius` metres."""
    turn = np.linspace(0, 2 * np.pi, n, endpoint=False)
    r = np.ones(n)
    for wave in range(2, 9):
        r += rough / wave**0.7 * rng.normal(0, 0.7) * np.cos(wave * turn + rng.uniform(0, 6.3))
    r = np.clip(r, 0.35, 1.9) * radius
    return np.column_stack([r * np.cos(turn) * stretch, r * np.sin(turn) / stretch])


def curve(points: Points, n: int = 24) -> npt.NDArray[np.float64]:
    """A smooth line (n, 2) steered by control points (Bezier)."""
    t = np.linspace(0, 1, n)[:, None, None]
    p = np.repeat(np.asarray(points, dtype=np.float64)[None], n, 0)
    while p.shape[1] > 1:
        p = p[:, :-1] * (1 - t) + p[:, 1:] * t
    return p[:, 0]
