"""Tiles and vectors for the index's tests, and what numpy, shapely and pyproj say of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray

from keenkite import utm
from keenkite.area import Area
from keenkite.cloud import cloud_fraction
from keenkite.index import Filters, TileIndex
from keenkite.index.backend import Tuning
from keenkite.index.embedded.backend import EdgeBackend
from keenkite.index.meta import Meta
from keenkite.tiling import Place, Tile, places

START = datetime(2024, 1, 1, 1, 30, tzinfo=UTC)
DAYS = 1000

SHARES = (0.001, 0.01, 0.1, 0.5)
"""Shares of all points that the filters of the contract let through, about."""


@dataclass(frozen=True)
class Named:
    """What is enough of an encoder for an index."""

    name: str = "fake"
    dim: int = 64


SPANS = (1120.0, 2240.0)
"""Widths of the tiles of a drawn world, metres."""

META = Meta.of(Named(), sensor="sentinel-2-l2a", spans=SPANS)


def tile(number: int = 0, **fields: object) -> Tile:
    """A tile that nothing is wrong with; another number is another tile."""
    whole: dict[str, object] = {
        "epsg": 32654, "column": 300 + number, "row": 3500, "datetime": START, "platform": "S2B",
        "scene_ids": ("scene",), "collection": "s2", "regions": ("kanto",), "cloud": 0.0,
        "water": 0.25, "vegetation": 0.5, "bare": 0.25, "snow": 0.0, "valid": 1.0,
    }  # fmt: skip
    return Tile(**{**whole, **fields})  # type: ignore[arg-type]


def opened(folder: Path, *, wait: float = 60, tuning: Tuning | None = None) -> TileIndex:
    """An index in a folder that builds a graph of fewer points than usual."""
    tuning = tuning or Tuning(index_from=10_000)
    backend = EdgeBackend.open(folder, META, wait=wait, tuning=tuning)
    return TileIndex(backend, location=str(folder), folder=folder)


def unit(values: NDArray[np.float64]) -> NDArray[np.float32]:
    """Each row at norm 1."""
    return (values / np.linalg.norm(values, axis=-1, keepdims=True)).astype(np.float32)


def vectors(n: int, dim: int = 64, seed: int = 0) -> NDArray[np.float32]:
    """(n, dim) unit vectors."""
    return unit(np.random.default_rng(seed).normal(size=(n, dim)))


@dataclass(frozen=True)
class World:
    """Points whose filters and neighbours are known."""

    tiles: Sequence[Tile]
    vectors: NDArray[np.float32]
    queries: NDArray[np.float32]

    @classmethod
    def drawn(cls, n: int, dim: int = 64, seed: int = 0) -> World:
        """Images as CLIP sees them: one cone, clusters in it; and texts, in a cone beside it.

        Nine of ten tiles lie in 4° x 4° of Japan, one in 4° x 4° of Fiji, across ±180; a fifth of
        them are small. Days and cloud are spread evenly, and of one in twenty the cloud is not
        known; regions and scenes hold .1, 1, 10, 50 % of all, and the rest, and a third of the
        tiles has a region and a scene more.
        """
        rng = np.random.default_rng(seed)
        cone, gap = rng.normal(size=(2, dim))
        clusters = rng.normal(size=(200, dim))
        images = unit(
            2 * cone + clusters[rng.integers(200, size=n)] + 0.6 * rng.normal(size=(n, dim))
        )
        queries = unit(2 * cone + gap + clusters[:50] + 0.6 * rng.normal(size=(50, dim)))
        fiji = rng.random(n) < 0.1
        lon = np.where(fiji, 178, 138) + 4 * rng.random(n)
        lat = np.where(fiji, -20, 34) + 4 * rng.random(n)
        spans = np.where(rng.random(n) < 0.2, *SPANS)
        days = rng.integers(DAYS, size=n)
        edges = np.cumsum(SHARES)
        region, scene = np.searchsorted(edges, rng.random((2, n)))
        cloud, water = rng.random((2, n)).round(6)
        known, single = rng.random((2, n)) > [[0.05], [0.33]]
        tiles = [
            tile(
                **where, datetime=START + timedelta(days=int(days[i]), seconds=i),
                cloud=float(cloud[i]) if known[i] else None, water=float(water[i]),
                regions=(f"region-{region[i]}",) if single[i] else ("more", f"region-{region[i]}"),
                scene_ids=(f"scene-{scene[i]}",) if single[i] else (f"scene-{scene[i]}", "both"),
            )
            for i, where in enumerate(_squares(lon, lat, spans))
        ]  # fmt: skip
        # Seven decimals are what an index keeps.
        for each, place in zip(tiles, places(tiles), strict=True):
            west, south, east, north = (round(edge, 7) for edge in place.bounds)
            lon, lat = round(place.lon, 7), round(place.lat, 7)
            each.placed(Place(lon, lat, (west, south, east, north)))
        return cls(tiles=tiles, vectors=images, queries=queries)

    def mask(self, filters: Filters) -> NDArray[np.bool_]:
        """(n,) which tiles the filters let through, by tests that share nothing with an engine."""
        tiles, n = self.tiles, len(self.tiles)
        ok = np.ones(n, bool)
        if filters.area is not None:
            lon, lat = np.array([(t.lon, t.lat) for t in tiles]).T
            if filters.area.circle is not None:
                ok &= _inside(lon, lat, *filters.area.circle)
            else:
                ok &= shapely.contains_xy(shapely.MultiPolygon(filters.area.parts), lon, lat)
        if filters.start:
            ok &= [t.datetime.date() >= filters.start for t in tiles]
        if filters.end:
            ok &= [t.datetime.date() <= filters.end for t in tiles]
        if filters.max_cloud is not None:
            most = cloud_fraction(filters.max_cloud)
            ok &= [most == 1 or (t.cloud is not None and t.cloud <= most) for t in tiles]
        for kind, (low, high) in filters.cover.items():
            ok &= [low <= getattr(t, kind) <= high for t in tiles]
        for names, field in ((filters.regions, "regions"), (filters.scenes, "scene_ids")):
            if names:
                ok &= [not set(names).isdisjoint(getattr(t, field)) for t in tiles]
        if filters.cells:
            ok &= [t.cell in filters.cells for t in tiles]
        if filters.spans:
            ok &= [t.span in filters.spans for t in tiles]
        if filters.tile_ids:
            wanted = set(filters.tile_ids)
            ok &= [t.id in wanted for t in tiles]
        return ok

    def filters(self) -> dict[str, Filters]:
        """Every kind of filter at every share, by name; and combinations."""
        found: dict[str, Filters] = {"nothing": Filters()}
        for i, share in enumerate(SHARES):
            side = 4 * min(share / 0.9, 0.98) ** 0.5
            radius_km = 111.2 * (share / 0.9 * 16 * 0.81 / np.pi) ** 0.5  # 0.81: cos(36°)
            day = START.date() + timedelta(days=100)
            span = round(share * DAYS)
            hole = side * 1.3 / 4
            found |= {
                f"box {share:.1%}": Filters(area=_box(140, 36, side)),
                f"circle {share:.1%}": Filters(area=Area.around(140, 36, radius_km)),
                f"polygon {share:.1%}": Filters(area=_ring(140, 36, side * 1.15, hole)),
                f"days {share:.1%}": Filters(start=day, end=day + timedelta(days=span - 1)),
                f"cloud {share:.1%}": Filters(max_cloud=share),
                f"cover {share:.1%}": Filters(cover={"water": (0.3, 0.3 + share)}),
                f"region {share:.1%}": Filters(regions=(f"region-{i}",)),
                f"scene {share:.1%}": Filters(scenes=(f"scene-{i}",)),
                f"label and scene {share:.1%}": Filters(
                    regions=("more", "nowhere"), scenes=(f"scene-{i}", "both"), max_cloud=share
                ),
                f"antimeridian {share:.1%}": Filters(area=_box(180, -18, 4 * (share**0.5))),
                f"box and days {share:.1%}": Filters(
                    area=_box(140, 36, 4 * share**0.25),
                    start=START.date(),
                    end=START.date() + timedelta(days=round(DAYS * share**0.5)),
                ),
            }
            if share <= 0.01:
                some = self.tiles[:: round(1 / share)]
                found[f"tile ids {share:.1%}"] = Filters(tile_ids=tuple(t.id for t in some))
                found[f"cells {share:.1%}"] = Filters(cells=tuple(t.cell for t in some))
        found["everything"] = Filters(
            area=_box(140, 36, 3), start=START.date(), max_cloud=0.8, cover={"water": (0.1, 0.9)},
            regions=("region-3", "region-4"), scenes=("scene-2", "scene-3"),
        )  # fmt: skip
        found["small ones"] = Filters(spans=(1120,), area=_box(140, 36, 2))
        found["every span"] = Filters(spans=(4480, 2240, 1120.0), regions=("region-2",))
        found["any cloud"] = Filters(max_cloud=1, regions=("region-2",))
        found["cloud is known"] = Filters(max_cloud="99.9999%", regions=("region-2",))
        found["none there"] = Filters(regions=("nowhere",))
        return found


def _inside(
    lons: NDArray[np.float64], lats: NDArray[np.float64], lon: float, lat: float, radius_km: float
) -> NDArray[np.bool_]:
    """Which places are in a circle on the sphere of 6371 km, by the haversine formula."""
    x, y, x0, y0 = (np.radians(value) for value in (lons, lats, lon, lat))
    half = np.sin((y - y0) / 2) ** 2 + np.cos(y) * np.cos(y0) * np.sin((x - x0) / 2) ** 2
    inside: NDArray[np.bool_] = 2 * 6371 * np.arcsin(np.sqrt(half)) <= radius_km
    return inside


def _squares(
    lon: NDArray[np.float64], lat: NDArray[np.float64], spans: NDArray[np.float64]
) -> list[dict[str, float]]:
    """Zone, span, column and row of the tiles whose centres are nearest to some places.

    Args:
        lon: (n,) degrees, may be beyond 180.
        lat: (n,) degrees.
        spans: (n,) metres.
    """
    lon = np.where(lon > 180, lon - 360, lon)
    zones = 32601 + ((lon + 180) // 6).astype(int) + np.where(lat < 0, 100, 0)
    at = np.empty((len(lon), 2), int)
    for zone in np.unique(zones):
        here = zones == zone
        x, y = utm.project(int(zone), lon[here], lat[here])
        pitch = spans[here] / 2
        at[here] = np.column_stack([np.rint(x / pitch) - 1, np.rint(y / pitch) + 1])
    rows = zip(zones.tolist(), spans.tolist(), at.tolist(), strict=True)
    return [
        {"epsg": zone, "span": span, "column": column, "row": row}
        for zone, span, (column, row) in rows
    ]


def _box(lon: float, lat: float, side: float) -> Area:
    west, east = ((x + 180) % 360 - 180 for x in (lon - side / 2, lon + side / 2))
    return Area.from_bbox(west, lat - side / 2, east, lat + side / 2)


def _ring(lon: float, lat: float, side: float, hole: float) -> Area:
    """A hexagon with a square hole."""
    turns = np.arange(6) * np.pi / 3
    outer = [(lon + side / 2 * np.cos(a), lat + side / 2 * np.sin(a)) for a in turns]
    h = hole / 2
    inner = [(lon - h, lat - h), (lon - h, lat + h), (lon + h, lat + h), (lon + h, lat - h)]
    rings = [[(float(x), float(y)) for x, y in (*ring, ring[0])] for ring in (outer, inner)]
    return Area.from_geojson({"type": "Polygon", "coordinates": rings})
