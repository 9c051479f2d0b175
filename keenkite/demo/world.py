"""A drawn world: a landscape as Sentinel-2 would see it, and what is where in it.

    world = draw_world(7)
    world.reflectance, world.scl, world.masks      # 10 m pixels
    world.present(row, col)                        # which concepts a 224 px window shows

The same seed draws the same world on the same versions of numpy and Pillow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pyproj import Transformer
from shapely import transform
from shapely.geometry import mapping

from keenkite.demo.concepts import BIT, CONCEPTS, NAMES
from keenkite.demo.cover import CoverPainter
from keenkite.demo.districts import crop_palette
from keenkite.demo.draw import Feature, Ground
from keenkite.demo.leisure import golf_course, park, sports_ground
from keenkite.demo.plan import Plan, Planner
from keenkite.demo.terrain import make_terrain
from keenkite.demo.transport import airport, harbour, station
from keenkite.demo.ways import draw_rivers, draw_roads
from keenkite.demo.works import dam, lake, solar_farm
from keenkite.errors import InputError

EPSG = 32654
WEST, NORTH = 1120.0 * 330, 1120.0 * 3560
"""The upper left corner of every world, metres: near Tokyo, on the tile lattice."""
PIXEL = 10.0
"""Metres: side of a pixel."""
_SNAP = 16

_DRAW = {
    "airport": airport,
    "golf course": golf_course,
    "park": park,
    "lake": lake,
    "sports ground": sports_ground,
    "railway station": station,
    "harbour": harbour,
    "solar farm": solar_farm,
}
# Fractions of a window: at or above the second a concept is there, below the first it is not.
_AREA_RULES: dict[str, tuple[float, float]] = {
    "sea": (0.03, 0.5),
    "forest": (0.15, 0.6),
    "farmland": (0.12, 0.5),
    "residential": (0.08, 0.35),
    "industrial": (0.02, 0.25),
    "river": (0.003, 0.015),
    "highway": (0.002, 0.012),
}
_COAST_SHARE = 0.05
_FEATURE_PART = {"airport": 0.25}
_FEATURE_PART_DEFAULT = 0.35
_TILE_PART = 0.10
_SLIVER = 0.0015
"""Below this share of the window, and 3 % of the feature, nobody sees it."""


@dataclass(frozen=True, kw_only=True)
class World:
    """A drawn landscape and its truth. Arrays are (rows, cols[, band]) at 10 m, north up."""

    reflectance: npt.NDArray[np.uint16]
    """(rows, cols, 3) uint16, R, G, B, surface reflectance x 10000 without offset, 1-10000."""
    scl: npt.NDArray[np.uint8]
    """(rows, cols) uint8 scene classes: 4 vegetation, 5 bare or built, 6 water."""
    masks: npt.NDArray[np.uint32]
    """(rows, cols) uint32: bit i is set where `CONCEPTS[i]` is."""
    parcel: npt.NDArray[np.uint16]
    """(rows, cols) uint16: the crop of a pixel, 0 where nothing is grown."""
    instance: npt.NDArray[np.int16]
    """(rows, cols) int16: 1 + index into `features` of the last drawn there, 0 for none."""
    features: tuple[Feature, ...]
    """The placed things; area concepts (sea, forest ...) are in `masks` only."""
    feature_pixels: npt.NDArray[np.int64]
    """(features + 1,) pixels of each feature in `instance`; entry 0 is everything else."""
    epsg: int
    """The UTM zone."""
    west: float
    """Easting of the left edge, metres."""
    north: float
    """Northing of the upper edge, metres."""
    seed: int
    """What it was drawn from."""

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, cols) in 10 m pixels."""
        return self.scl.shape[0], self.scl.shape[1]

    def present(self, row: int, col: int, size: int = 224) -> dict[str, int]:
        """What the window of `size` pixels at (row, col) shows.

        Returns 1 for a concept that is a right answer, 0 for one that is not to be seen, -1 for
        one that is seen too little to call. Windows are cut at the world's edge.
        """
        window = np.s_[max(row, 0) : row + size, max(col, 0) : col + size]
        masks = self.masks[window]
        total = max(masks.size, 1)
        seen = np.bincount(self.instance[window].ravel())
        states = dict.fromkeys(NAMES, 0)
        for k in np.nonzero(seen)[0]:
            if k == 0:
                continue
            concept = self.features[k - 1].concept
            pixels, all_of_it = int(seen[k]), int(self.feature_pixels[k])
            needed = _FEATURE_PART.get(concept, _FEATURE_PART_DEFAULT)
            if pixels >= needed * all_of_it or pixels >= _TILE_PART * total:
                states[concept] = 1
            elif states[concept] == 0 and (pixels >= _SLIVER * total or pixels >= 0.03 * all_of_it):
                states[concept] = -1
        share = {
            name: np.count_nonzero(masks & np.uint32(BIT[name])) / total for name in _AREA_RULES
        }
        for name, (low, high) in _AREA_RULES.items():
            states[name] = 1 if share[name] >= high else (-1 if share[name] >= low else 0)
        shore = min(share["sea"], 1 - share["sea"])
        states["coast"] = 1 if shore >= _COAST_SHARE else (-1 if shore > 0.002 else 0)
        return states

    def window(self, bounds: tuple[float, float, float, float]) -> tuple[int, int, int]:
        """(row, col, size) of UTM bounds (west, south, east, north) in metres."""
        west, _, east, north = bounds
        row, col = (self.north - north) / PIXEL, (west - self.west) / PIXEL
        return round(row), round(col), round((east - west) / PIXEL)

    def observe(self, date_index: int) -> npt.NDArray[np.uint16]:
        """Reflectance like `reflectance` on another date: other crops, haze, light and noise."""
        if date_index == 0:
            return self.reflectance
        rng = np.random.default_rng([self.seed, 77, date_index])
        season = min(1.0, 0.25 + 0.4 * date_index)
        before = crop_palette(np.random.default_rng([self.seed, 3]), 0.25)
        after = crop_palette(np.random.default_rng([self.seed, 3, date_index]), season)
        # Fields are shaded and mottled like before, so the change is a factor.
        factor = after / np.maximum(before, 1)
        factor[0] = 1
        gain = (rng.normal(1, 0.03) + rng.normal(0, 0.008, 3)).astype(np.float32)
        haze = (rng.uniform(0, 60) * np.array([0.7, 0.85, 1.25])).astype(np.float32)
        out = np.empty_like(self.reflectance)
        for top in range(0, self.shape[0], 512):
            part = self.reflectance[top : top + 512].astype(np.float32)
            part *= factor.astype(np.float32)[self.parcel[top : top + 512]]
            part = part * gain + haze
            part *= 1 + 0.012 * rng.standard_normal(part.shape, dtype=np.float32)
            out[top : top + 512] = np.clip(part, 1, 10000)
        return out

    def truth_geojson(self) -> dict[str, Any]:
        """The placed things as a lon/lat FeatureCollection with a `concept` property."""
        to_lonlat = Transformer.from_crs(self.epsg, 4326, always_xy=True)

        def lonlat(xy: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
            return np.column_stack(to_lonlat.transform(xy[:, 0], xy[:, 1]))

        return {
            "type": "FeatureCollection",
            "features": [
                {
                    "type": "Feature",
                    "properties": {"concept": feature.concept},
                    "geometry": mapping(transform(feature.polygon, lonlat)),
                }
                for feature in self.features
            ],
        }


def shows(world: World, concept: str, bounds: tuple[float, float, float, float]) -> int:
    """Whether a square tile is a right answer for a concept: 1 yes, 0 no, -1 it cannot be called.

    A placed thing counts with 35 % of it in the tile (an airport with 25 %), or when it covers
    10 % of the tile; land cover with its share of the tile. What is seen, but less of it than
    that, is neither right nor wrong.

    Args:
        world: the world the tile was cut from.
        concept: one of `concepts.NAMES`.
        bounds: (west, south, east, north) of the tile in the world's UTM metres.
    """
    row, col, size = world.window(bounds)
    return world.present(row, col, size)[concept]


def draw_world(
    seed: int,
    *,
    size_km: tuple[float, float] = (42.0, 32.0),
    per_concept: int = 6,
    leave_out: frozenset[str] = frozenset(),
) -> World:
    """Draw a world of at least `size_km` (east-west, north-south).

    Args:
        seed: the same seed and arguments draw the same world.
        size_km: its size; rounded up to 160 m.
        per_concept: how many of each placed thing to find room for.
        leave_out: names of removable concepts the world must not hold; leaving out the sea
            leaves out coast and harbours, and a dam goes with its reservoir.

    Raises:
        InputError: for a name in `leave_out` that is no removable concept.
    """
    known = {concept.name for concept in CONCEPTS if concept.removable}
    if leave_out - known:
        raise InputError(
            f"draw_world cannot leave out {sorted(leave_out - known)}: choose from {sorted(known)}"
        )
    if leave_out & {"sea", "coast"}:
        leave_out |= {"sea", "coast", "harbour"}
    if leave_out & {"dam", "reservoir"}:
        leave_out |= {"dam", "reservoir"}
    cols, rows = (int(np.ceil(km * 100 / _SNAP)) * _SNAP for km in size_km)
    rng = np.random.default_rng(seed)
    terrain = make_terrain(rng, (rows, cols), sea="sea" not in leave_out)
    plan = Planner(rng, terrain, per_concept, leave_out).make()
    ground = Ground(
        reflectance=np.zeros((rows, cols, 3), np.float32),
        scl=np.zeros((rows, cols), np.uint8),
        masks=np.zeros((rows, cols), np.uint32),
        parcel=np.zeros((rows, cols), np.uint16),
        instance=np.zeros((rows, cols), np.int16),
        west=WEST,
        north=NORTH,
    )
    palette = crop_palette(np.random.default_rng([seed, 3]), 0.25)
    CoverPainter(rng, ground, terrain, plan.urban, plan.industry, palette).paint()
    _draw_plan(ground, plan, rng)
    return _finish(ground, seed, rng)


def _draw_plan(ground: Ground, plan: Plan, rng: np.random.Generator) -> None:
    draw_rivers(ground, plan.rivers, rng)
    draw_roads(ground, roads=plan.roads, railways=plan.railways, highways=plan.highways, rng=rng)
    for valley in plan.valleys:
        dam(ground, valley, rng)
    for concept, site, size in plan.placed:
        _DRAW[concept](ground, site, size, rng)


def _finish(ground: Ground, seed: int, rng: np.random.Generator) -> World:
    """Blur as the instrument does, add its noise, and count the features' pixels."""
    rows, cols = ground.shape
    reflectance = np.empty((rows, cols, 3), np.uint16)
    tint = (1 + 0.03 * rng.standard_normal(3)).astype(np.float32)
    haze = (rng.uniform(0, 70) * np.array([0.7, 0.9, 1.2])).astype(np.float32)
    for top in range(0, rows, 512):
        part = ground.reflectance[top : top + 512]
        # The instrument's blur: neighbours share a little light.
        soft = part.copy()
        soft[:, 1:-1] = 0.8 * part[:, 1:-1] + 0.1 * (part[:, :-2] + part[:, 2:])
        part = soft.copy()
        soft[1:-1] = 0.8 * part[1:-1] + 0.1 * (part[:-2] + part[2:])
        soft = soft * tint + haze
        soft += 12 * rng.standard_normal(soft.shape, dtype=np.float32)
        reflectance[top : top + 512] = np.clip(soft, 1, 10000)
    pixels = np.bincount(ground.instance.ravel(), minlength=len(ground.features) + 1)
    return World(
        reflectance=reflectance,
        scl=ground.scl,
        masks=ground.masks,
        parcel=ground.parcel,
        instance=ground.instance,
        features=tuple(ground.features),
        feature_pixels=pixels,
        epsg=EPSG,
        west=ground.west,
        north=ground.north,
        seed=seed,
    )


__all__ = ["Feature", "World", "draw_world", "shows"]
