"""The main path, on real COGs, a real index and a fake encoder."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import shapely
from numpy.typing import NDArray

from keenkite.area import Area
from keenkite.build import BuildRequest, Plan, build_index, plan_build
from keenkite.build import scene as scene_module
from keenkite.build.progress import Progress, Report
from keenkite.catalog import open_catalog
from keenkite.errors import CatalogError, EncoderMismatchError, InputError, StorageError
from keenkite.index import Filters, TileIndex
from keenkite.pixels import PixelArchive
from keenkite.reader import read_strips
from keenkite.scene import Scene, Strip, Window
from keenkite.tiling import Tile
from tests.support.fakes import FakeEncoder
from tests.support.paths import ROOT, SHARED
from tests.support.worlds import DAYS, write_world

ENCODER = FakeEncoder()


class Made:
    """Scenes on disk, and the index an undisturbed build made of them."""

    def __init__(self, folder: Path) -> None:
        self.scenes = folder / "scenes"
        self.world, self.items, self.area = write_world(self.scenes)
        self.index_folder = folder / "index"
        with TileIndex.open(self.index_folder, encoder=ENCODER) as index:
            self.report = run(index, self.scenes, self.area)
            self.tiles = contents(index)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return Made(tmp_path_factory.mktemp("made"))


def run(index: TileIndex, scenes: Path, area: Area, **options: object) -> Report:
    wanted: dict[str, object] = {"catalog": open_catalog(str(scenes)), "max_cloud": 100.0}
    return build_index(index, ENCODER, area, *DAYS, **(wanted | options))  # type: ignore[arg-type]


def contents(index: TileIndex) -> dict[str, tuple[Tile, bytes]]:
    """Everything in an index: tile id -> tile and vector."""
    tiles = list(index.scroll())
    vectors = index.vectors([tile.id for tile in tiles])
    return {
        tile.id: (tile, np.round(vector, 5).tobytes())
        for tile, vector in zip(tiles, vectors, strict=True)
    }


def read_by_rasterio(
    item: Path, tile_west: float, tile_north: float
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A tile's RGB and SCL by plain rasterio windows and the rule of the facts."""
    bands, empty = [], np.ones((224, 224), bool)
    for name in ("B04", "B03", "B02"):
        with rasterio.open(item.parent / f"{name}.tif") as file:
            row, col = file.index(tile_west + 5, tile_north - 5)
            numbers = file.read(1, window=((row, row + 224), (col, col + 224))).astype(np.float32)
            empty &= numbers == 0
            bands.append(
                np.where(numbers == 0, 0, np.rint(np.clip(numbers - 1000, 0, 3000) * 0.085))
            )
    with rasterio.open(item.parent / "SCL.tif") as file:
        classes = np.repeat(np.repeat(file.read(1), 2, 0), 2, 1)[row : row + 224, col : col + 224]
    return np.stack(bands, -1).astype(np.uint8), np.where(empty, 0, classes)


def test_every_tile_is_there_with_the_pixels_fractions_and_vector_that_rasterio_gives(
    made: Made,
) -> None:
    archive = PixelArchive(made.index_folder / "pixels")
    expected: dict[str, bytes] = {}
    done: set[tuple[str, int, int]] = set()
    for path in sorted(made.items, key=lambda path: path.stem.split("_")[2] + path.stem):
        item = json.loads(path.read_text())
        rows, cols = item["assets"]["red"]["proj:shape"]
        _, _, west, _, _, north = item["assets"]["red"]["proj:transform"]
        day, platform = path.stem.split("_")[2][:8], path.stem[:3]
        for row in range(int(north // 1120), int((north - 10 * rows) // 1120), -1):
            for column in range(-int(-west // 1120), int((west + 10 * cols) // 1120)):
                left, top = column * 1120.0, row * 1120.0
                inside = left + 2240 <= west + 10 * cols and top - 2240 >= north - 10 * rows
                if not inside or (day + platform, column, row) in done:
                    continue
                done.add((day + platform, column, row))
                rgb, scl = read_by_rasterio(path, left, top)
                valid = (scl != 0).mean()
                cloud = np.isin(scl, (8, 9, 10)).sum() / max((scl != 0).sum(), 1)
                if valid < 0.9 or cloud > 0.4:
                    continue
                moment = datetime.fromisoformat(item["properties"]["datetime"])
                tile_id = f"32654-2240-{column}-{row}-{moment:%Y%m%dT%H%M%S}-{platform}"
                tile, _ = made.tiles[tile_id]
                assert np.array_equal(archive.tile(tile), rgb)
                assert tile.valid == pytest.approx(valid, abs=1e-5)
                assert tile.cloud == pytest.approx(cloud, abs=1e-5)
                assert tile.water == pytest.approx((scl == 6).sum() / (scl != 0).sum(), abs=1e-5)
                expected[tile_id] = np.round(ENCODER.encode_images(rgb[None])[0], 5).tobytes()
    on_lattice = {name: found for name, found in made.tiles.items() if found[0].corner is None}
    assert expected == {tile_id: vector for tile_id, (_, vector) in on_lattice.items()}
    assert made.report.kept == len(made.tiles)
    assert made.report.dropped["cloud"] > 0
    for tile, _ in set(made.tiles.values()) - set(on_lattice.values()):
        item = next(path for path in made.items if path.stem == tile.scene_ids[0])
        rgb, scl = read_by_rasterio(item, tile.west, tile.north)
        assert np.array_equal(archive.tile(tile), rgb)
        assert tile.valid == pytest.approx((scl != 0).mean(), abs=1e-5)


def test_the_edges_of_crops_are_in_tiles_flush_with_them(made: Made) -> None:
    assert made.report.edges == sum(tile.corner is not None for tile, _ in made.tiles.values()) > 0
    # Without the edges, where nothing was dropped: the first date is clear.
    shown = [
        shapely.box(tile.west, tile.north - 2240, tile.west + 2240, tile.north)
        for tile, _ in made.tiles.values()
        if tile.datetime.month == 5
    ]
    for path in made.items:
        item = json.loads(path.read_text())
        if item["properties"]["datetime"][5:7] != "05":
            continue
        rows, cols = item["assets"]["red"]["proj:shape"]
        _, _, west, _, _, north = item["assets"]["red"]["proj:transform"]
        with rasterio.open(path.parent / "SCL.tif") as file:
            ends = file.read(1)[:, -1].any()
        ground = shapely.box(west, north - 10 * rows, west + 10 * cols, north)
        if ends:  # a scene that does not end at the edge of a swath
            left = ground.difference(shapely.union_all(shown))
            assert left.buffer(-30).is_empty
    edges = [tile for tile, _ in made.tiles.values() if tile.corner is not None]
    assert 0 < len(edges) < len(made.tiles) / 2


def test_a_second_build_does_nothing(made: Made) -> None:
    with TileIndex.open(made.index_folder, encoder=ENCODER) as index:
        report = run(index, made.scenes, made.area)
        assert contents(index) == made.tiles
    assert not report.scenes
    assert len(report.skipped) == len(made.report.scenes)
    assert report.kept == 0


def test_a_second_build_of_more_days_does_only_what_is_missing(made: Made, tmp_path: Path) -> None:
    with TileIndex.open(tmp_path, encoder=ENCODER) as index:
        catalog = open_catalog(str(made.scenes))
        first = build_index(
            index, ENCODER, made.area, date(2024, 5, 1), date(2024, 5, 31),
            catalog=catalog, max_cloud=100,
        )  # fmt: skip
        second = run(index, made.scenes, made.area)
        assert contents(index) == made.tiles
    assert sorted(first.scenes) == sorted(second.skipped)
    assert first.kept + second.kept == made.report.kept


def test_progress_counts_up_to_the_end_and_says_how_long_it_takes(
    made: Made, tmp_path: Path
) -> None:
    seen: list[Progress] = []
    with TileIndex.open(tmp_path, encoder=ENCODER) as index:
        plan = planned(made, index)
        run(index, made.scenes, made.area, progress=seen.append)
    done = [progress.tiles_done for progress in seen]
    assert done == sorted(done)
    assert (seen[-1].tiles_done, seen[-1].scenes_done) == (plan.tiles, len(plan.works))
    assert seen[-1].seconds_left == 0
    assert all(progress.rate > 0 for progress in seen if progress.tiles_done)
    within = [progress.tiles_done for progress in seen if progress.scenes_done == 0]
    assert any(within), "it moves within a scene too"


def test_what_the_callback_raises_stops_the_build_and_the_next_one_ends_it(
    made: Made, tmp_path: Path
) -> None:
    class StopError(Exception):
        pass

    def stop(progress: Progress) -> None:
        if progress.scenes_done == 1:
            raise StopError

    with TileIndex.open(tmp_path, encoder=ENCODER) as index:
        with pytest.raises(StopError):
            run(index, made.scenes, made.area, progress=stop)
        assert 0 < index.count() < len(made.tiles)
        assert len(run(index, made.scenes, made.area).skipped) == 1
        assert contents(index) == made.tiles


KILLED = """
import os, signal, sys
from pathlib import Path
from keenkite.index import TileIndex
from tests.support.fakes import FakeEncoder
from tests.core.test_build import run
from keenkite.area import Area

folder, scenes, box, where, count = sys.argv[1:]
seen = {"encode": 0, "upsert": 0, "mark": 0, "maintain": 0}

def die(at, when):
    seen[at] += 1
    if at == where and seen[at] == int(count) and when == "before":
        os.kill(os.getpid(), signal.SIGKILL)

def wrap(owner, name, at):
    inner = getattr(owner, name)
    def call(*args, **kwargs):
        die(at, "before")
        return inner(*args, **kwargs)
    setattr(owner, name, call)

wrap(FakeEncoder, "encode_images", "encode")
wrap(TileIndex, "upsert", "upsert")
wrap(TileIndex, "mark_complete", "mark")
wrap(TileIndex, "maintain", "maintain")
with TileIndex.open(folder, encoder=FakeEncoder()) as index:
    run(index, Path(scenes), Area.from_bbox(*map(float, box.split(","))))
"""


@pytest.mark.parametrize(
    ("where", "count"),
    [("encode", 1), ("upsert", 2), ("mark", 1), ("mark", 3), ("maintain", 1)],
)
def test_a_killed_build_run_again_ends_with_the_tiles_of_an_undisturbed_one(
    made: Made, tmp_path: Path, where: str, count: int
) -> None:
    box = ",".join(map(repr, made.area.bboxes[0]))
    arguments = [tmp_path, made.scenes, box, where, count]
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    with TileIndex.open(tmp_path, encoder=ENCODER) as index:
        assert len(contents(index)) <= len(made.tiles)
        run(index, made.scenes, made.area)
        assert contents(index) == made.tiles
        tiles = [tile for tile, _ in made.tiles.values()]
        mine, theirs = (PixelArchive(folder / "pixels") for folder in (tmp_path, made.index_folder))
        for tile in tiles[:: len(tiles) // 7]:
            assert np.array_equal(mine.tile(tile), theirs.tile(tile))


@pytest.fixture
def broken(made: Made, tmp_path: Path) -> Path:
    """The same scenes, linked, with one band of one scene cut short."""
    scenes = tmp_path / "scenes"
    for item in made.items:
        home = scenes / item.parent.name
        home.mkdir(parents=True)
        for file in item.parent.iterdir():
            os.link(file, home / file.name)
    bad = scenes / made.items[0].parent.name / "B03.tif"
    whole = bad.read_bytes()
    bad.unlink()  # the link, not the file
    bad.write_bytes(whole[: len(whole) // 2])
    return scenes


def test_a_scene_that_cannot_be_read_is_reported_and_the_others_are_done(
    made: Made, broken: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bad = made.items[0].parent.name
    with TileIndex.open(tmp_path / "index", encoder=ENCODER) as index:
        report = run(index, broken, made.area)
        assert list(report.failed) == [bad]
        assert bad in report.failed[bad]
        assert len(report.scenes) == len(made.items) - 1
        assert index.count(Filters(scenes=(bad,))) < report.kept
        (broken / bad / "B03.tif").unlink()
        os.link(made.scenes / bad / "B03.tif", broken / bad / "B03.tif")
        again = run(index, broken, made.area)
        assert again.scenes == [bad]
        assert contents(index) == made.tiles
    assert bad in caplog.text


def test_least_cloudy_takes_fewer_scenes_and_the_clear_ones(made: Made, tmp_path: Path) -> None:
    with TileIndex.open(tmp_path, encoder=ENCODER) as index:
        report = run(index, made.scenes, made.area, choose="least-cloudy")
        assert len(report.scenes) < len(made.items)
        clouds = {path.stem: json.loads(path.read_text()) for path in made.items}
        worst = max(clouds, key=lambda name: clouds[name]["properties"]["eo:cloud_cover"])
        assert worst not in report.scenes


def test_tiles_of_a_small_area_have_their_middle_in_it(made: Made, tmp_path: Path) -> None:
    tile = next(iter(made.tiles.values()))[0]
    with TileIndex.open(tmp_path, encoder=ENCODER) as index:
        run(index, made.scenes, Area.around(tile.lon, tile.lat, 0.1), region="spot")
        places = {(found.column, found.row) for found in index.scroll()}
        assert places == {(tile.column, tile.row)}
        assert [region.name for region in index.regions()] == ["spot"]


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"max_cloud": 120.0}, InputError, "fraction from 0 to 1"),
        ({"region": ""}, InputError, "region"),
        ({"start": date(2024, 7, 1)}, InputError, "swap"),
        ({"area": Area.from_bbox(10, 10, 11, 11)}, CatalogError, "longitude comes first"),
        ({"start": date(2020, 1, 1), "end": date(2020, 2, 1)}, CatalogError, "more dates"),
    ],
)
def test_bad_input_is_refused_before_any_work(
    made: Made, tmp_path: Path, change: dict[str, object], error: type[Exception], says: str
) -> None:
    wanted: dict[str, object] = {
        "area": made.area, "start": DAYS[0], "end": DAYS[1],
        "catalog": open_catalog(str(made.scenes)), "max_cloud": 100.0,
    }  # fmt: skip
    with TileIndex.open(tmp_path, encoder=ENCODER) as index:
        with pytest.raises(error, match=says):
            build_index(index, ENCODER, **(wanted | change))  # type: ignore[arg-type]
        assert index.count() == 0


def test_an_encoder_that_is_not_the_index_s_is_refused_before_any_work(
    made: Made, tmp_path: Path
) -> None:
    class Other(FakeEncoder):
        name = "another"

    with TileIndex.open(tmp_path, encoder=ENCODER) as index:
        with pytest.raises(EncoderMismatchError, match="another"):
            build_index(index, Other(), made.area, *DAYS, catalog=open_catalog(str(made.scenes)))
        assert index.count() == 0


def test_a_nearly_full_disk_stops_the_build_before_the_next_scene(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scene_module, "FREE_BYTES", 1 << 60)
    with (
        TileIndex.open(tmp_path, encoder=ENCODER) as index,
        pytest.raises(StorageError, match="Free some space"),
    ):
        run(index, made.scenes, made.area)


# Spans, several collections, regions


def planned(made: Made, *indexes: TileIndex | None, **options: Any) -> Plan:
    request = BuildRequest(
        **{"area": made.area, "start": DAYS[0], "end": DAYS[1], "max_cloud": 1.0} | options
    )
    return plan_build(request, catalog=open_catalog(str(made.scenes)), indexes=indexes)


def test_tiles_of_several_widths_are_cut_from_the_same_strips(made: Made, tmp_path: Path) -> None:
    spans = (1120, 2240, 4480)
    with TileIndex.open(tmp_path, encoder=ENCODER) as index:
        report = run(index, made.scenes, made.area, spans=spans)
        assert index.spans == spans
        tiles = list(index.scroll())
        archive = PixelArchive.beside(index.folder)
        assert archive is not None
        assert report.kept == len(tiles)
        for span in spans:
            of_span = [tile for tile in tiles if tile.span == span]
            assert index.count(Filters(spans=(span,))) == len(of_span) > 0
            for tile in of_span[:: len(of_span) // 5]:
                vector = index.vectors([tile.id])[0]
                seen = ENCODER.encode_images(archive.tile(tile)[None])[0]
                np.testing.assert_allclose(vector, seen, atol=1e-5)
        own = {tile.id for tile in tiles if tile.span == 2240}
        assert own == set(made.tiles)
        # Building again, without a word about spans, is about all that the collection has.
        assert run(index, made.scenes, made.area).scenes == []


def test_a_span_added_later_is_all_that_is_cut(made: Made, tmp_path: Path) -> None:
    with TileIndex.open(tmp_path, encoder=ENCODER) as index:
        first = run(index, made.scenes, made.area)
        second = run(index, made.scenes, made.area, spans=(1120, 2240))
        assert first.kept + second.kept == index.count()
        assert second.kept == index.count(Filters(spans=(1120,)))


@pytest.mark.parametrize("span", [2250, 3000, -2240, 0])
def test_a_span_that_is_no_half_or_double_is_refused(made: Made, span: float) -> None:
    with pytest.raises(InputError, match=r"does not fit .*Sentinel-2 L2A: take 2240 m, halves"):
        planned(made, None, spans=(span,))


class Dull(FakeEncoder):
    """Sees the same in another space."""

    name = "fake-dull"
    calls = 0

    def encode_images(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        Dull.calls += 1
        return super().encode_images(rgb // 2)


class Ten(FakeEncoder):
    """Wants bands as reflectance, and sees their means."""

    name = "fake-bands"
    bands = ("B03", "B04")
    dim = 3

    def encode_images(self, bands: NDArray[np.uint16]) -> NDArray[np.float32]:
        assert bands.dtype == np.uint16
        means = np.concatenate([bands.mean(axis=(1, 2)), np.ones((len(bands), 1))], axis=1)
        return (means / np.linalg.norm(means, axis=1, keepdims=True)).astype(np.float32)


def test_each_scene_is_read_once_for_all_collections(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[str] = []

    def counted(scene: Scene, window: Window, **options: Any) -> Iterator[Strip]:
        reads.append(scene.id)
        return read_strips(scene, window, **options)

    monkeypatch.setattr(scene_module, "read_strips", counted)
    encoders = [ENCODER, Dull(), Ten()]
    with ExitStack() as stack:
        indexes = [
            stack.enter_context(TileIndex.open(tmp_path / "collections" / e.name, encoder=e))
            for e in encoders
        ]
        report = run(
            indexes[0],
            made.scenes,
            made.area,
            also=list(zip(indexes[1:], encoders[1:], strict=True)),
        )
        assert sorted(reads) == sorted(report.scenes)
        assert len(reads) == len(made.items)
        assert report.kept == 3 * len(made.tiles)
        assert contents(indexes[0]) == made.tiles
        archive = PixelArchive(tmp_path / "pixels")
        tiles = [tile for tile, _ in made.tiles.values()]
        for tile in tiles[:: len(tiles) // 7]:
            picture = archive.tile(tile)
            dull = Dull().encode_images(picture[None])[0]
            np.testing.assert_allclose(indexes[1].vectors([tile.id])[0], dull, atol=1e-5)
            ten = Ten().encode_images(archive.bands(tile, Ten.bands)[None])[0]
            np.testing.assert_allclose(indexes[2].vectors([tile.id])[0], ten, atol=1e-5)
            theirs = PixelArchive(made.index_folder / "pixels").tile(tile)
            np.testing.assert_array_equal(picture, theirs)


def test_a_collection_that_comes_later_gets_what_it_has_not(made: Made, tmp_path: Path) -> None:
    dull = Dull()
    with (
        TileIndex.open(tmp_path / "a", encoder=ENCODER) as index,
        TileIndex.open(tmp_path / "b", encoder=dull) as other,
    ):
        run(index, made.scenes, made.area)
        plan = planned(made, index, other)
        assert plan.tiles == made.report.kept + sum(made.report.dropped.values())
        before = Dull.calls
        report = run(index, made.scenes, made.area, also=[(other, dull)])
        assert Dull.calls > before
        assert report.kept == other.count() == index.count()


def test_a_collection_that_has_some_of_the_ground_gets_just_the_rest_of_the_same_read(
    made: Made, tmp_path: Path
) -> None:
    west, south, east, north = made.area.bboxes[0]
    half = Area.from_bbox(west, south, (west + east) / 2, north)
    dull = Dull()
    with (
        TileIndex.open(tmp_path / "a", encoder=ENCODER) as index,
        TileIndex.open(tmp_path / "b", encoder=dull) as other,
    ):
        first = run(index, made.scenes, half)
        both = run(index, made.scenes, made.area, also=[(other, dull)])
        assert 0 < first.kept < len(made.tiles)
        assert both.kept == 2 * len(made.tiles) - first.kept
        assert contents(index) == made.tiles
        assert other.count() == len(made.tiles)


def test_one_collection_named_twice_is_refused(made: Made, tmp_path: Path) -> None:
    with (
        TileIndex.open(tmp_path, encoder=ENCODER) as index,
        pytest.raises(InputError, match="named twice"),
    ):
        run(index, made.scenes, made.area, also=[(index, ENCODER)])


def test_a_plan_counts_what_spans_and_models_multiply_and_the_room_they_take(made: Made) -> None:
    one = planned(made, None)
    assert one.tiles == made.report.kept + sum(made.report.dropped.values())
    two = planned(made, None, None)
    assert two.tiles == 2 * one.tiles
    small = planned(made, None, spans=(1120,))
    both = planned(made, None, spans=(1120, 2240))
    assert both.tiles == small.tiles + one.tiles
    assert small.tiles > 3 * one.tiles
    pixels = 2 * one.disk_bytes - two.disk_bytes  # kept once
    assert 0 < pixels < one.disk_bytes < both.disk_bytes < two.disk_bytes + small.disk_bytes
    told = two.to_json()
    assert (told["tiles"], told["models"], told["spans"]) == (two.tiles, 2, [2240])
    assert told["disk_bytes"] == two.disk_bytes
    assert sorted(told["scenes"]) == sorted(path.stem for path in made.items)


def regions_of(index: TileIndex) -> dict[str, int]:
    return {region.name: region.tiles for region in index.regions()}


@pytest.mark.parametrize("first", [0, 1])
def test_overlapping_regions_keep_their_tiles_whichever_is_built_first_again_and_again(
    made: Made, tmp_path: Path, first: int
) -> None:
    west, south, east, north = made.area.bboxes[0]
    third = (east - west) / 3
    areas = {
        "west": Area.from_bbox(west, south, east - third, north),
        "east": Area.from_bbox(west + third, south, east, north),
    }
    names = list(areas)[first:] + list(areas)[:first]
    alone = {}
    for name in names:
        with TileIndex.open(tmp_path / name, encoder=ENCODER) as index:
            run(index, made.scenes, areas[name], region=name)
            alone[name] = regions_of(index)[name]
    with TileIndex.open(tmp_path / "both", encoder=ENCODER) as index:
        run(index, made.scenes, areas[names[0]], region=names[0])
        report = run(index, made.scenes, areas[names[1]], region=names[1])
        assert 0 < report.labelled < alone[names[1]]
        assert report.kept + report.labelled == alone[names[1]]
        assert regions_of(index) == alone
        shared = [tile for tile in index.scroll() if len(tile.regions) == 2]
        assert len(shared) == report.labelled
        for name in names * 2:
            again = run(index, made.scenes, areas[name], region=name)
            assert (again.kept, again.scenes) == (0, [])
            assert regions_of(index) == alone
        assert contents_without_labels(index) == contents_without_labels_of(made)
        # A region that goes takes its label, and the tiles that have no other.
        index.remove_region(names[0])
        assert regions_of(index) == {names[1]: alone[names[1]]}
        assert run(index, made.scenes, areas[names[1]], region=names[1]).kept == 0
        back = run(index, made.scenes, areas[names[0]], region=names[0])
        assert back.kept == alone[names[0]] - len(shared)
        assert regions_of(index) == alone


def contents_without_labels(index: TileIndex) -> set[tuple[str, bytes]]:
    return {(name, vector) for name, (_, vector) in contents(index).items()}


def contents_without_labels_of(made: Made) -> set[tuple[str, bytes]]:
    return {(name, vector) for name, (_, vector) in made.tiles.items()}


def test_a_region_over_ground_that_is_there_reads_no_pixels(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with TileIndex.open(tmp_path, encoder=ENCODER) as index:
        run(index, made.scenes, made.area, region="all")
        monkeypatch.setattr(scene_module, "read_strips", None)
        tile = next(iter(made.tiles.values()))[0]
        spot = Area.around(tile.lon, tile.lat, 3)
        report = run(index, made.scenes, spot, region="spot")
        assert report.kept == 0
        assert report.labelled == index.count(Filters(regions=("spot",))) > 0
        assert index.count(Filters(regions=("all",))) == len(made.tiles)


REAL = SHARED / "data" / "sentinel2"


@pytest.mark.skipif(not REAL.exists(), reason="needs shared/data/sentinel2 beside the repository")
def test_real_scenes_whose_offset_is_off_already_are_not_made_black(tmp_path: Path) -> None:
    with TileIndex.open(tmp_path, encoder=ENCODER) as index:
        report = build_index(
            index, ENCODER, Area.from_bbox(15.3, 46.05, 15.5, 46.15),
            date(2023, 8, 1), date(2023, 8, 31), catalog=open_catalog(str(REAL)), max_cloud=100,
        )  # fmt: skip
        tiles = [tile for tile in index.scroll() if tile.cloud == 0 and tile.water == 0]
        assert len(report.scenes) == 2
        assert len(tiles) > 20
        archive = PixelArchive(tmp_path / "pixels")
        for tile in tiles[::5]:
            rgb = archive.tile(tile)
            assert (rgb.max(axis=-1) == 0).mean() < 0.001
            assert rgb.mean() > 20
