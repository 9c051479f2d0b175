"""No ground is lost silently: what builds keep against a reckoning of our own.

The reckoning knows no lattice code: it lays the pixels of a pass into one array by numpy, looks at
every square of 2,240 m on multiples of 1,120 m, and takes areas by shapely and places by pyproj.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from numpy.typing import NDArray
from pyproj import Transformer

from keenkite.area import Area
from keenkite.build import build_index
from keenkite.build.progress import Report
from keenkite.catalog import open_catalog
from keenkite.index import TileIndex
from keenkite.pixels import PixelArchive
from keenkite.tiling import Tile
from tests.support.earth_search import NOON, c1_item
from tests.support.fakes import FakeEncoder
from tests.support.scene_files import write_image

ENCODER = FakeEncoder()
SIZE, SIDE = 672, 6_720.0
"""Pixels and metres along a side of the scenes: five lattice tiles."""
WEST, NORTH = 399_840.0, 3_900_960.0
"""On the lattice."""


@dataclass
class Product:
    """One product, its data within a box given in pixels of the scene, (row0, col0, row1, col1)."""

    data: tuple[int, int, int, int]
    time: datetime = NOON
    generated: datetime | None = None
    epsg: int = 32654
    west: float = WEST
    north: float = NORTH
    cloud: float = 0.0
    clouded: tuple[int, int, int, int] = (0, 0, 0, 0)
    numbers: NDArray[Any] = field(init=False)
    classes: NDArray[Any] = field(init=False)

    @property
    def grid(self) -> str:
        return f"{self.epsg % 100:02}SUE"

    def write(self, folder: Path, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.numbers = rng.integers(1100, 4000, (3, SIZE, SIZE)).astype(np.uint16)
        self.classes = np.full((SIZE // 2, SIZE // 2), 5, np.uint8)
        for value, (top, left, bottom, right) in ((9, self.clouded),):
            self.classes[top // 2 : bottom // 2, left // 2 : right // 2] = value
        top, left, bottom, right = self.data
        inside = np.zeros((SIZE, SIZE), bool)
        inside[top:bottom, left:right] = True
        self.numbers[:, ~inside] = 0
        self.classes[~inside[::2, ::2]] = 0
        box = shapely.box(
            self.west + 10 * left,
            self.north - 10 * bottom,
            self.west + 10 * right,
            self.north - 10 * top,
        )
        item = c1_item(
            grid=self.grid,
            epsg=self.epsg,
            west=self.west,
            north=self.north,
            size=SIZE,
            time=self.time,
            generated=self.generated,
            cloud=self.cloud,
            data=box,
        )
        place = {"west": self.west, "north": self.north, "crs": f"EPSG:{self.epsg}"}
        arrays = dict(zip(("red", "green", "blue"), self.numbers, strict=True))
        for key, array in {**arrays, "scl": self.classes}.items():
            name = f"{item['id']}-{key}.tif"
            pixel = 20 if key == "scl" else 10
            write_image(folder / name, array, pixel=pixel, driver="GTiff", **place)
            item["assets"][key]["href"] = f"./{name}"
        item["assets"] = {key: item["assets"][key] for key in (*arrays, "scl")}
        (folder / f"{item['id']}.json").write_text(json.dumps(item))
        self.id = item["id"]


def canvas(products: Sequence[Product]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """(rgb, classes) of the products of a pass: the newest processed valid pixel wins."""
    rgb, classes = np.zeros((SIZE, SIZE, 3), np.uint8), np.zeros((SIZE, SIZE), np.uint8)
    for product in sorted(products, key=lambda p: p.generated or p.time + timedelta(hours=3)):
        valid = product.numbers.any(axis=0)
        scaled = np.rint(
            np.clip(product.numbers - 1000.0, 0, 3000).astype(np.float32) * np.float32(0.085)
        ).astype(np.uint8)
        rgb[valid] = np.moveaxis(scaled, 0, 2)[valid]
        classes[valid] = np.kron(product.classes, np.ones((2, 2), np.uint8))[valid]
    return rgb, classes


def seen_from(area: Area, epsg: int) -> shapely.Geometry:
    """An area in a zone, by pyproj."""
    to = Transformer.from_crs(4326, epsg, always_xy=True)
    return shapely.union_all(
        [
            shapely.transform(shapely.segmentize(part, 0.001), to.transform, interleaved=False)
            for part in area.parts
        ]
    )


def reckoned(products: Sequence[Product], area: Area) -> dict[tuple[int, int], Any]:
    """(column, row) -> (rgb, classes) of the squares of a pass that must be kept."""
    first = products[0]
    rgb, classes = canvas(products)
    ground = seen_from(area, first.epsg)
    kept = {}
    for down in range(0, SIZE - 223, 112):
        for right in range(0, SIZE - 223, 112):
            x, y = first.west + 10 * right, first.north - 10 * down
            middle = shapely.box(x + 560, y - 1680, x + 1680, y - 560)
            part = np.s_[down : down + 224, right : right + 224]
            valid = classes[part] != 0
            cloud = (classes[part] == 9).sum() / max(valid.sum(), 1)
            if ground.intersection(middle).area > 0 and valid.mean() >= 0.9 and cloud <= 0.4:
                kept[round(x / 1120), round(y / 1120)] = rgb[part], classes[part]
    return kept


@dataclass
class Built:
    report: Report
    tiles: list[Tile]
    pixels: PixelArchive

    def of(self, time: datetime, epsg: int = 32654) -> dict[tuple[int, int], Tile]:
        """The lattice tiles of a pass in a zone, by place; each place once."""
        found = [
            tile
            for tile in self.tiles
            if tile.datetime == time and tile.epsg == epsg and tile.corner is None
        ]
        places = {(round(tile.west / 1120), round(tile.north / 1120)): tile for tile in found}
        assert len(places) == len(found)
        return places


def build(tmp_path: Path, products: Iterable[Product], area: Area, **options: Any) -> Built:
    folder = tmp_path / "scenes"
    folder.mkdir()
    for seed, product in enumerate(products):
        product.write(folder, seed)
    with TileIndex.open(tmp_path / "index", encoder=ENCODER) as index:
        report = build_index(
            index,
            ENCODER,
            area,
            date(2024, 5, 1),
            date(2024, 6, 30),
            catalog=open_catalog(str(folder)),
            **({"max_cloud": 100} | options),
        )
        tiles = list(index.scroll())
    return Built(report, tiles, PixelArchive(tmp_path / "index" / "pixels"))


def same(built: Built, products: Sequence[Product], area: Area) -> None:
    """Tiles of a pass are those that are reckoned, pixel for pixel."""
    first = min(products, key=lambda product: product.time)
    wanted = reckoned(products, area)
    found = built.of(first.time, first.epsg)
    assert found.keys() == wanted.keys()
    for place, (rgb, classes) in wanted.items():
        assert np.array_equal(built.pixels.tile(found[place]), rgb)
        assert found[place].valid == pytest.approx((classes != 0).mean(), abs=1e-5)


def uncovered_km2(built: Built, area: Area, epsgs: Sequence[int]) -> float:
    """What no tile shows: degrees joined by shapely, km² in the first of the zones."""
    shown = []
    for tile in built.tiles:
        box = shapely.box(tile.west, tile.north - tile.span, tile.west + tile.span, tile.north)
        back = Transformer.from_crs(tile.epsg, epsgs[0], always_xy=True)
        shown.append(
            shapely.transform(shapely.segmentize(box, 200), back.transform, interleaved=False)
        )
    rest = seen_from(area, epsgs[0]).difference(shapely.union_all(shown))
    return float(rest.area) / 1e6


def around(products: Sequence[Product], margin: float = 0.0) -> Area:
    """Degrees that hold the scenes, or less by a margin in metres."""
    first = products[0]
    back = Transformer.from_crs(first.epsg, 4326, always_xy=True)
    box = shapely.box(first.west, first.north - SIDE, first.west + SIDE, first.north)
    ring = shapely.transform(
        shapely.segmentize(box.buffer(-margin, join_style="mitre"), 500),
        back.transform,
        interleaved=False,
    )
    return Area(parts=(ring,))


def test_the_seam_of_a_split_datastrip_goes_through_tiles_and_none_is_lost(tmp_path: Path) -> None:
    minute = timedelta(minutes=1)
    west = Product((0, 0, SIZE, 350), cloud=1, clouded=(0, 0, 150, 120))
    east = Product(
        (0, 330, SIZE, SIZE), NOON + minute, NOON + timedelta(days=3), clouded=(400, 400, 600, 600)
    )
    area = around([west])
    built = build(tmp_path, [west, east], area)
    same(built, [west, east], area)
    alone = reckoned([west], area).keys() | reckoned([east], area).keys()
    on_the_seam = built.of(NOON).keys() - alone
    assert on_the_seam
    for place in on_the_seam:
        assert set(built.of(NOON)[place].scene_ids) == {west.id, east.id}
    assert built.report.uncovered.km2 == pytest.approx(
        uncovered_km2(built, area, [32654]), abs=0.02
    )
    assert set(built.report.uncovered.reasons) <= {"cloud"}


def drawn_dates() -> list[Product]:
    rng = np.random.default_rng(8)
    products = []
    for number in range(8):
        top, left = rng.integers(0, SIZE // 4, 2) * 2
        bottom, right = rng.integers(SIZE // 3, SIZE // 2 + 1, 2) * 2
        at = rng.integers(0, SIZE - 300, 2)
        products.append(
            Product(
                (int(top), int(left), int(bottom), int(right)),
                NOON + timedelta(days=5 * number),
                clouded=(int(at[0]), int(at[1]), int(at[0]) + 300, int(at[1]) + 300),
                cloud=float(number),
            )
        )
    return products


def test_eight_dates_that_each_show_a_part(tmp_path: Path) -> None:
    products = drawn_dates()
    area = around(products, 700)
    built = build(tmp_path, products, area)
    for product in products:
        same(built, [product], area)
    assert built.report.uncovered.km2 == pytest.approx(
        uncovered_km2(built, area, [32654]), abs=0.02
    )


def test_the_least_cloudy_dates_cover_all_that_all_dates_do(tmp_path: Path) -> None:
    products = drawn_dates()
    area = around(products, 700)
    built = build(tmp_path, products, area, choose="least-cloudy")
    places = {
        (round(tile.west / 1120), round(tile.north / 1120))
        for tile in built.tiles
        if tile.corner is None
    }
    every = set().union(*(reckoned([product], area) for product in products))
    for col, row in every - places:
        # Its ground is in other tiles then.
        box = shapely.box(1120 * col, 1120 * row - 2240, 1120 * col + 2240, 1120 * row)
        others = [
            shapely.box(tile.west, tile.north - 2240, tile.west + 2240, tile.north)
            for tile in built.tiles
        ]
        assert box.difference(shapely.union_all(others)).area < 1
    passes = {tile.datetime for tile in built.tiles}
    for product in products:
        if product.time in passes:
            assert built.of(product.time).keys() <= reckoned([product], area).keys()


@pytest.mark.parametrize(
    ("lon", "lat", "zones"), [(138.0, 35.0, (32653, 32654)), (180.0, -17.0, (32760, 32701))]
)
def test_ground_of_two_zones_is_in_tiles_of_one_or_the_other(
    lon: float, lat: float, zones: tuple[int, int], tmp_path: Path
) -> None:
    products = []
    for epsg, east_of in zip(zones, (-0.04, 0.0), strict=True):
        x, y = Transformer.from_crs(4326, epsg, always_xy=True).transform(lon + east_of, lat)
        products.append(
            Product(
                (0, 0, SIZE, SIZE),
                epsg=epsg,
                west=1120.0 * (x // 1120 - 1),
                north=1120.0 * (y // 1120 + 3),
            )
        )
    half = 0.03
    parts = [
        shapely.box(lon - half, lat - 0.02, lon, lat + 0.02),
        shapely.box(
            lon - 360 * (lon == 180), lat - 0.02, lon - 360 * (lon == 180) + half, lat + 0.02
        ),
    ]
    area = Area(parts=tuple(parts))
    built = build(tmp_path, products, area)
    for product in products:
        same(built, [product], area)
    assert built.report.kept == len(built.tiles)
    assert built.report.uncovered.km2 == pytest.approx(uncovered_km2(built, area, zones), abs=0.03)
    assert built.report.uncovered.percent < 1
