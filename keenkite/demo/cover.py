"""Land cover over the whole world: sea, beach, forest, fields, houses, factories."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from keenkite.demo.concepts import BIT
from keenkite.demo.districts import PALETTE, Ints, make_districts
from keenkite.demo.draw import Ground
from keenkite.demo.terrain import Floats, Terrain, noise, resize, shade, smoothstep

_ROWS = 320


def _hash(a: Ints, b: Ints, c: Ints | int) -> Ints:
    mixed = a * np.int32(73856093) ^ b * np.int32(19349663) ^ np.int32(83492791) * c
    mixed ^= mixed >> 15
    mixed *= np.int32(0x2C1B3C6D)
    mixed ^= mixed >> 12
    return np.asarray(mixed & 0x7FFFFFFF, dtype=np.int32)


def _floor(values: npt.NDArray[Any]) -> Ints:
    return np.asarray(np.floor(values), dtype=np.int32)


def _near(values: npt.NDArray[Any], width: float | npt.NDArray[Any]) -> Floats:
    """How much of a 10 m pixel a strip `width` metres wide round 0 covers."""
    cover = np.clip((width - np.abs(values)) / 10 + 0.5, 0, 1)
    return np.asarray(cover, dtype=np.float32)


class CoverPainter:
    """Paints the land cover of a ground in strips of rows."""

    def __init__(
        self,
        rng: np.random.Generator,
        ground: Ground,
        terrain: Terrain,
        urban: Floats,
        industry: Floats,
        palette: Floats,
    ) -> None:
        self.rng, self.ground, self.palette = rng, ground, palette
        self.districts = make_districts(rng, ground.shape)
        small = terrain.shore.shape
        self.fields = {
            "shore": terrain.shore,
            "mountain": terrain.mountain + 0.10 * noise(rng, small, 12, 3),
            "light": shade(terrain.height, 40.0),
            "urban": urban,
            "industry": industry,
            "wood": noise(rng, small, 26, 4),
            "large": noise(rng, small, 60, 3),
            "mid": noise(rng, small, 9, 3),
        }
        self.roofs = self._roof_palette()
        self.halls = self._hall_palette()
        self.grain = noise(rng, (_ROWS + 64, ground.shape[1]), 5, 2)

    def _roof_palette(self) -> Floats:
        kinds = np.array(
            [[1150, 1120, 1100], [1700, 1650, 1600], [800, 780, 790], [1300, 1000, 820]]
            + [[950, 1080, 1300], [2500, 2480, 2450], [620, 760, 480], [780, 880, 600]],
            np.float32,
        )
        pick = self.rng.choice(8, 1024, p=[0.2, 0.15, 0.16, 0.11, 0.06, 0.06, 0.14, 0.12])
        return (kinds[pick] * self.rng.normal(1, 0.1, (1024, 1))).astype(np.float32) * 0.68 + 350

    def _hall_palette(self) -> Floats:
        kinds = np.array(
            [[3000, 2980, 2950], [1900, 1900, 1900], [1150, 1550, 2150], [1350, 1330, 1280]]
            + [[1100, 1800, 1500], [1900, 1300, 1050], [700, 900, 550], [1150, 1120, 1060]],
            np.float32,
        )
        pick = self.rng.choice(8, 1024, p=[0.2, 0.2, 0.16, 0.14, 0.04, 0.06, 0.08, 0.12])
        return (kinds[pick] * self.rng.normal(1, 0.12, (1024, 1))).astype(np.float32)

    def paint(self) -> None:
        """Fill the ground's arrays."""
        rows, cols = self.ground.shape
        for top in range(0, rows, _ROWS):
            height = min(_ROWS, rows - top)
            # A cell of margin on both sides keeps the bicubic seams out of the strip.
            first, last = max(top // 4 - 2, 0), min((top + height) // 4 + 2, rows // 4)
            fields = {}
            for name, values in self.fields.items():
                part = resize(values[first:last], ((last - first) * 4, cols))
                fields[name] = part[top - first * 4 : top - first * 4 + height]
            self._strip(top, height, fields)

    def _strip(self, top: int, height: int, f: dict[str, Floats]) -> None:
        g, rng = self.ground, self.rng
        cols = g.shape[1]
        here = np.s_[top : top + height]
        white = rng.standard_normal((height, cols), dtype=np.float32)
        start = int(rng.integers(0, 64))
        grain = self.grain[start : start + height]
        ragged = f["shore"] + 8 * grain
        sea = ragged < 0
        wooded = f["mountain"] + 0.22 * f["wood"] > 0.45
        town = (f["urban"] + 0.05 * f["mid"] > 0.5) & ~sea
        works = (f["industry"] + 0.04 * f["mid"] > 0.5) & ~sea
        town &= ~works
        copse = (f["wood"] > 1.25) & ~town & ~works
        forest = (wooded | copse) & ~sea & ~town & ~works
        fields = ~(sea | forest | town | works)

        number = self.districts.number[here]
        table = self.districts.table
        y = np.arange(top, top + height, dtype=np.float32)[:, None] * 10
        x = np.arange(cols, dtype=np.float32)[None, :] * 10
        cos, sin = table[number, 0], table[number, 1]
        # A slow warp keeps long streets from being ruler-straight.
        u = x * cos + y * sin + 16 * f["large"]
        v = y * cos - x * sin + 16 * f["mid"]

        out = g.reflectance[here]
        scl = g.scl[here]
        masks = g.masks[here]
        self._sea(out, scl, masks, sea, f, ragged, white)
        where = np.nonzero(forest)
        out[where] = self._forest(where, f, grain, white)
        scl[where], masks[where] = 4, BIT["forest"]
        where = np.nonzero(fields)
        colour, code = self._farmland(u[where], v[where], number[where], where, f, grain, white)
        out[where] = colour
        g.parcel[here][where] = code
        greenish = colour[:, 1] > 1.08 * colour[:, 0]
        scl[where], masks[where] = np.where(greenish, 4, 5), BIT["farmland"]
        where = np.nonzero(town)
        core = smoothstep(f["urban"][where], 1.15, 1.6)
        out[where] = self._houses(u[where], v[where], number[where], core, f["wood"][where])
        out[where] *= (1 + 0.04 * white[where])[:, None]
        scl[where], masks[where] = 5, BIT["residential"]
        where = np.nonzero(works)
        out[where] = self._factories(u[where], v[where], number[where])
        out[where] *= (1 + 0.04 * white[where])[:, None]
        scl[where], masks[where] = 5, BIT["industrial"]
        self._beach(out, scl, masks, ragged, f, white)
        land = ~sea
        out[land] *= (0.5 + 0.5 * f["light"][land])[:, None]

    def _sea(
        self,
        out: Floats,
        scl: npt.NDArray[np.uint8],
        masks: npt.NDArray[np.uint32],
        sea: npt.NDArray[np.bool_],
        f: dict[str, Floats],
        ragged: Floats,
        white: Floats,
    ) -> None:
        where = np.nonzero(sea)
        far = -ragged[where]
        shallow = np.exp(-far / (500 + 180 * np.clip(f["mid"][where], -2, 2)))
        murk = np.exp(-far / 3500) * (0.6 + 0.25 * f["large"][where])
        deep = np.array([165, 290, 430], np.float32)
        turbid = np.array([260, 260, 150], np.float32)
        bright = np.array([160, 330, 260], np.float32)
        colour = deep + murk[:, None] * turbid + (0.8 * shallow)[:, None] * bright
        colour *= (1 + 0.025 * white[where] + 0.03 * f["large"][where])[:, None]
        out[where] = colour
        scl[where], masks[where] = 6, BIT["sea"]

    def _beach(
        self,
        out: Floats,
        scl: npt.NDArray[np.uint8],
        masks: npt.NDArray[np.uint32],
        ragged: Floats,
        f: dict[str, Floats],
        white: Floats,
    ) -> None:
        width = np.clip(25 + 38 * f["large"], 6, 130)
        sand = _near(ragged - width / 2, width / 2)
        tone = np.array([1750, 1580, 1280], np.float32) * (1 + 0.08 * f["mid"])[..., None]
        surf = _near(ragged + 22 + 8 * f["mid"], 7.0 + 5 * white) * np.clip(
            0.45 + 0.3 * f["large"], 0, 0.9
        )
        rows = np.nonzero((sand > 0) | (surf > 0))
        a, b = sand[rows][:, None], surf[rows][:, None]
        out[rows] = out[rows] * (1 - a) + tone[rows] * (1 + 0.05 * white[rows])[:, None] * a
        out[rows] = out[rows] * (1 - b) + np.array([1900, 1950, 2000], np.float32) * b
        bare = (sand > 0.5) & (ragged >= 0)
        scl[bare] = 5
        masks[bare] = 0
        self.ground_parcel_clear(bare, masks)
        masks[np.abs(ragged) < 150] |= BIT["coast"]

    def ground_parcel_clear(
        self, bare: npt.NDArray[np.bool_], masks: npt.NDArray[np.uint32]
    ) -> None:
        """Nothing grows on sand."""
        masks[bare] &= ~np.uint32(BIT["farmland"])

    def _forest(
        self, where: tuple[Any, ...], f: dict[str, Floats], grain: Floats, white: Floats
    ) -> Floats:
        broad = smoothstep(f["wood"][where] * 0.4 + f["mid"][where] * 0.5, -0.5, 0.9)[:, None]
        conifer = np.array([240, 390, 250], np.float32)
        leafy = np.array([360, 570, 310], np.float32)
        colour = conifer * (1 - broad) + leafy * broad
        change = 1 + 0.10 * grain[where] + 0.08 * white[where] + 0.05 * f["mid"][where]
        lit = np.clip(f["light"][where], 0.4, 1.5)
        return np.asarray(colour * (change * (0.45 + 0.55 * lit))[:, None], dtype=np.float32)

    def _farmland(
        self,
        u: Floats,
        v: Floats,
        number: Ints,
        where: tuple[Any, ...],
        f: dict[str, Floats],
        grain: Floats,
        white: Floats,
    ) -> tuple[Floats, npt.NDArray[np.uint16]]:
        table = self.districts.table
        wide, tall, style = table[number, 2], table[number, 3], table[number, 4].astype(np.int32)
        iu = _floor(u / wide)
        shifted = v + (_hash(iu, number, 7) & 255) * (tall / 256) * (style > 0)
        iv = _floor(shifted / tall)
        code = _hash(iu, iv, number) & (PALETTE - 1)
        code = (1 + style * PALETTE + code).astype(np.int32)
        colour = self.palette[code]
        eu, ev = u - (iu + 0.5) * wide, shifted - (iv + 0.5) * tall
        rows = np.sin(u * (0.22 + 0.02 * (code & 7))) * 0.035 * (style > 0)
        change = 1 + rows + 0.045 * white[where] + 0.045 * grain[where] + 0.05 * f["mid"][where]
        colour = colour * change[:, None]
        bank = np.maximum(_near(wide / 2 - np.abs(eu), 2.2), _near(tall / 2 - np.abs(ev), 2.2))
        # Every few parcels a farm track, pale and a little wider.
        track = _near(ev + tall / 2, 3.5) * ((iv & 3) == 0)
        track = np.maximum(track, _near(eu + wide / 2, 3.5) * ((iu % 5) == 0))
        bank *= 0.55
        colour = (
            colour * (1 - bank[:, None]) + np.array([560, 760, 470], np.float32) * bank[:, None]
        )
        track *= 0.6
        colour = (
            colour * (1 - track[:, None])
            + np.array([1350, 1260, 1080], np.float32) * track[:, None]
        )
        return colour.astype(np.float32), code.astype(np.uint16)

    def _houses(self, u: Floats, v: Floats, number: Ints, core: Floats, leafy: Floats) -> Floats:
        table = self.districts.table
        wide, tall = table[number, 5], table[number, 6]
        plot = np.where(core > 0.5, np.float32(34), np.float32(15))
        total: Floats = np.zeros((len(u), 3), np.float32)
        asphalt = np.array([1420, 1370, 1290], np.float32)
        yard_tone = np.array([[820, 900, 700], [1050, 980, 860]], np.float32)
        for du, dv in ((-2.5, -2.5), (2.5, -2.5), (-2.5, 2.5), (2.5, 2.5)):
            a, b = u + du, v + dv
            iu, iv = _floor(a / wide), _floor(b / tall)
            fu, fv = a - iu * wide, b - iv * tall
            street = (fu < np.where(iu % 5 == 0, 17, 6.5)) | (fv < np.where(iv % 4 == 0, 17, 6.5))
            ju, jv = _floor(a / plot), _floor(b / plot)
            h = _hash(ju, jv, number)
            roof = self.roofs[h & 1023]
            block = 0.86 + 0.28 / 255 * (_hash(iu, iv, number) & 255).astype(np.float32)
            pu, pv = a / plot - ju, b / plot - jv
            yard = (pu > 0.72) | (pv > 0.78)
            paint = np.where(yard[:, None], yard_tone[h >> 12 & 1], roof) * block[:, None]
            total += np.where(street[:, None], asphalt, paint)
        total *= table[number, 7][:, None] * (0.25 * 1.02)
        green = smoothstep(leafy + 0.3 * (1 - core), 0.2, 1.6)[:, None] * 0.4
        return np.asarray(
            total * (1 - green) + np.array([430, 620, 370], np.float32) * green, dtype=np.float32
        )

    def _factories(self, u: Floats, v: Floats, number: Ints) -> Floats:
        table = self.districts.table
        wide, tall = table[number, 5] * 2.6, table[number, 6] * 1.5
        total: Floats = np.zeros((len(u), 3), np.float32)
        road = np.array([1150, 1130, 1100], np.float32)
        for du, dv in ((-2.5, -2.5), (2.5, -2.5), (-2.5, 2.5), (2.5, 2.5)):
            a, b = u + du, v + dv
            iu, iv = _floor(a / wide), _floor(b / tall)
            fu, fv = a - iu * wide, b - iv * tall
            h = _hash(iu, iv, number)
            gap_u, gap_v = 14 + (h >> 10 & 31), 14 + (h >> 15 & 31)
            hall = (fu > gap_u) & (fv > gap_v)
            split = (h >> 20 & 1).astype(bool) & (fu > wide * 0.6)
            shown = np.where(split, h >> 5, h) & 1023
            roof = self.halls[shown]
            ridge = 1 + 0.05 * np.sin(fu * 0.3)
            edge = hall & ((fu < gap_u + 5) | (fv < gap_v + 5))
            paint = np.where(hall[:, None], roof * ridge[:, None], road)
            total += np.where(edge[:, None], paint * 0.6, paint)
        return np.asarray(total * 0.25, dtype=np.float32)
