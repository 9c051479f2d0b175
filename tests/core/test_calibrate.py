"""calibrate: known places to a collection's own confidence, told by what they were made from."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from keenkite import ClipEncoder, Query, TileIndex, search
from keenkite.cli import main
from keenkite.errors import EncoderMismatchError, InputError
from keenkite.evaluation.calibrate import calibrate
from keenkite.evaluation.platt import WEIGHT, fit, held_out
from keenkite.evaluation.reliability import brier_score, calibration_error
from keenkite.evaluation.sites import Sites, read_sites
from keenkite.ground import distance_km
from keenkite.retrieval.calibration import Calibration, confidence
from keenkite.tiling import Tile
from tests.support.fakes import FakeEncoder
from tests.support.sown import (
    COLOURS,
    ENCODER,
    PLAIN,
    close_all,
    meadow,
    plain,
    seen,
    sow,
    tile,
)

SLOPE, SHIFT = 0.4, 1.5
"""By which the made-up confidences are wrong."""

TEXTS = ("red", "water", "forest")


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    close_all()


def point(text: str, lon: float, lat: float, present: bool | None = None) -> dict[str, Any]:
    """A feature; `present` is left out where it is None."""
    facts = {"text": text} | ({} if present is None else {"present": present})
    geometry = {"type": "Point", "coordinates": [lon, lat]}
    return {"type": "Feature", "properties": facts, "geometry": geometry}


def box(text: str, west: float, south: float, east: float, north: float) -> dict[str, Any]:
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    geometry = {"type": "Polygon", "coordinates": [ring]}
    return {"type": "Feature", "properties": {"text": text}, "geometry": geometry}


def collected(*features: dict[str, Any]) -> dict[str, Any]:
    return {"type": "FeatureCollection", "features": list(features)}


def at(tiles: list[Tile], text: str, present: bool) -> list[dict[str, Any]]:
    """The middle of each tile."""
    return [point(text, t.lon, t.lat, present) for t in tiles]


def shades(number: int) -> list[NDArray[np.float32]]:
    """Tiles of plain colours with more and less of what the texts name."""
    rng = np.random.default_rng(1)
    grounds, colours = [seen(colour) for colour in PLAIN], [seen(text) for text in TEXTS]
    found = []
    for i in range(number):
        share = rng.uniform(0, 1.2, len(TEXTS)) * (rng.random(len(TEXTS)) < 0.5)
        mix = grounds[i % len(PLAIN)] + share @ colours + 0.05 * rng.normal(size=ENCODER.dim)
        found.append((mix / np.linalg.norm(mix)).astype(np.float32))
    return found


@pytest.fixture(scope="module")
def sown_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TileIndex]:
    tiles = meadow(20)
    with TileIndex.open(tmp_path_factory.mktemp("world") / "index", encoder=ENCODER) as index:
        index.upsert(tiles, np.stack(shades(len(tiles))))
        yield index


@pytest.fixture
def world(sown_world: TileIndex) -> Iterator[TileIndex]:
    """400 tiles, without a calibration of their own."""
    yield sown_world
    sown_world.calibrate(None)


def scores(index: TileIndex, text: str) -> dict[str, float]:
    """Tile -> log-odds, by a search of all of them."""
    asked = Query(text=text, limit=1000, overlap=True, min_confidence=0)
    return {hit.tile.id: hit.score for hit in search(index, ENCODER, asked).hits}


def sureness(index: TileIndex, text: str, names: Iterable[str]) -> NDArray[np.float64]:
    """The confidence of some tiles."""
    odds = scores(index, text)
    return confidence(np.array([odds[name] for name in names]))


def drawn(index: TileIndex, text: str, number: int, seed: int) -> dict[str, bool]:
    """Whether some tiles show it, by the confidences that are the right ones."""
    rng = np.random.default_rng(seed)
    odds = scores(index, text)
    names = rng.permutation(sorted(odds))[:number]
    right = {name: confidence(SLOPE * odds[name] + SHIFT) for name in names}
    return {str(name): bool(rng.random() < p) for name, p in right.items()}


def truth_of(index: TileIndex, text: str, number: int, seed: int) -> list[dict[str, Any]]:
    shown = drawn(index, text, number, seed)
    return [point(text, t.lon, t.lat, shown[t.id]) for t in index.get(list(shown))]


# What is learnt.


def test_a_known_slope_and_shift_are_found_again(world: TileIndex) -> None:
    features = [f for seed, text in enumerate(TEXTS) for f in truth_of(world, text, 250, seed)]
    done = calibrate(world, ENCODER, Sites.of(world, collected(*features)))
    assert done.scaling.slope == pytest.approx(SLOPE, abs=0.08)
    assert done.scaling.shift == pytest.approx(SHIFT, abs=0.25)
    assert (done.there + done.gone, done.left_out) == (750, ())
    assert done.after.brier < done.before.brier
    assert done.after.calibration_error < 0.5 * done.before.calibration_error


def test_confidence_is_right_afterwards_for_a_word_that_was_not_among_the_places(
    world: TileIndex,
) -> None:
    held = drawn(world, "forest", 300, 9)
    right = [held[name] for name in held]
    before = sureness(world, "forest", held)
    features = [f for s, text in enumerate(("red", "water")) for f in truth_of(world, text, 200, s)]
    calibrate(world, ENCODER, Sites.of(world, collected(*features)))
    after = sureness(world, "forest", held)
    assert calibration_error(after, right) < 0.6 * calibration_error(before, right)
    assert brier_score(after, right) < brier_score(before, right)


def test_searches_of_the_collection_go_by_it_and_keep_their_order(world: TileIndex) -> None:
    before = scores(world, "red")
    assert not search(world, ENCODER, Query(text="red")).calibrated
    sites = Sites.of(world, collected(*truth_of(world, "red", 100, 0)))
    done = calibrate(world, ENCODER, sites)
    after = scores(world, "red")
    assert list(after) == list(before)
    for name, odds in before.items():
        assert after[name] == pytest.approx(done.scaling.of(np.array(odds)), abs=1e-6)
    assert search(world, ENCODER, Query(text="red")).calibrated
    # A second time starts from the model's own again, not from what is kept.
    again = calibrate(world, ENCODER, sites)
    assert again.scaling.slope == pytest.approx(done.scaling.slope)
    world.calibrate(None)
    assert scores(world, "red") == pytest.approx(before)


def test_a_dry_run_keeps_nothing_and_says_the_same(world: TileIndex) -> None:
    sites = Sites.of(world, collected(*truth_of(world, "red", 60, 0)))
    seen: list[tuple[int, int]] = []
    done = calibrate(
        world, ENCODER, sites, dry_run=True, progress=lambda *counts: seen.append(counts)
    )
    assert world.calibration() is None
    assert seen == [(i, 60) for i in range(1, 61)]
    kept = calibrate(world, ENCODER, sites)
    assert (done.scaling, done.after) == (kept.scaling, kept.after)
    assert world.calibration() == Calibration.of_index(world).to_json()
    assert "dry run" in str(done)
    assert json.loads(json.dumps(done.to_json()))["kept"] is False


def test_a_place_counts_by_the_surest_of_the_tiles_and_dates_that_hold_it(tmp_path: Path) -> None:
    ground = [*meadow(6), tile(301, 3500), tile(300, 3500, day=2), tile(300, 3500, day=3, cloud=1)]
    index = sow(tmp_path, ground, [*plain(36), seen("yellow"), seen("red", 0.1), seen("red")])
    features = [
        *at(ground[6:12], "red", False), *at(ground[12:14], "red", True),
        point("red", ground[0].lon + 0.001, ground[0].lat),
    ]  # fmt: skip
    sites = Sites.of(index, collected(*features))
    (tiles,) = [tiles for site, tiles in sites.held if site.number == 9]
    # Its cloudy date is no evidence.
    assert {t.id for t in tiles} == {ground[0].id, ground[36].id, ground[37].id}


# Few places.


def newton(odds: NDArray[np.float64], right: NDArray[np.bool_]) -> tuple[float, float]:
    """Platt's scaling without anything beside the cases, by Newton's method."""
    x, p = np.column_stack([odds, np.ones(len(odds))]), np.zeros(2)
    for _ in range(50):
        sure = 1 / (1 + np.exp(-x @ p))
        curved = (x * (sure * (1 - sure))[:, None]).T @ x
        p = p + np.linalg.solve(curved, x.T @ (right - sure))
    return float(p[0]), float(p[1])


def cases(number: int, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    rng = np.random.default_rng(seed)
    odds = rng.normal(0, 3, number)
    return odds, rng.random(number) < confidence(SLOPE * odds + SHIFT)


def test_many_places_speak_for_themselves() -> None:
    odds, right = cases(20_000)
    found = fit(odds, right)
    assert (found.slope, found.shift) == pytest.approx(newton(odds, right), abs=2e-3)
    assert (found.slope, found.shift) == pytest.approx((SLOPE, SHIFT), abs=0.1)


def test_few_places_move_the_models_own_confidence_less_than_many() -> None:
    odds, right = cases(10)
    far = []
    for times in (1, 4, 16, 64):
        found = fit(np.tile(odds, times), np.tile(right, times))
        far.append(np.hypot(found.slope - 1, found.shift))
    assert far == sorted(far)
    assert far[0] < 0.75 * far[-1]


def test_as_many_places_as_the_weight_of_the_model_move_confidence_half_way() -> None:
    odds = np.zeros(int(WEIGHT))
    found = fit(odds, np.ones(len(odds), bool))
    assert float(confidence(found.shift)) == pytest.approx((0.5 + 1) / 2, abs=1e-4)


@pytest.mark.parametrize("size", [1.0, 5.0, 15.0])
def test_places_that_are_parted_without_a_fault_give_no_endless_slope(size: float) -> None:
    odds = size * np.array([-1.2, -1.1, -1.0, -0.9, 0.9, 1.0, 1.1, 1.2])
    found = fit(odds, odds > 0)
    assert 0.9 < found.slope < 2.5
    assert abs(found.shift) < 0.1


def test_each_place_is_held_out_from_what_it_is_told_by() -> None:
    odds, right = cases(15)
    out = held_out(odds, right)
    for i in range(15):
        rest = np.arange(15) != i
        assert out[i] == pytest.approx(float(fit(odds[rest], right[rest]).of(odds[i])), abs=1e-4)


# Which tiles hold a place.


def test_a_point_is_held_by_the_tiles_on_whose_ground_it_is(tmp_path: Path) -> None:
    lattice = [tile(300 + i, 3500 + j) for i in range(8) for j in range(8)]
    wide = tile(151, 1752, span=4480)
    index = sow(tmp_path, [*lattice, wide], plain(65))
    # A little off the middle of the tile at 303, 3503: in its column and the next one east.
    t = lattice[3 * 8 + 3]
    (site,) = read_sites(collected(point("red", t.lon + 0.001, t.lat + 0.001)))
    held = {(o.column, o.row) for o, part in zip(lattice, site.parts(lattice), strict=True) if part}
    assert held == {(303, 3503), (304, 3503), (303, 3504), (304, 3504)}
    assert site.parts([wide]).tolist() == [1]
    features = at(lattice[:5], "red", False) + at(lattice[5:8], "red", True)
    sites = Sites.of(index, collected(*features, point("red", t.lon + 0.001, t.lat + 0.001)))
    assert {o.id for o in sites.held[-1][1]} == {
        o.id for o in lattice if (o.column, o.row) in held
    } | {wide.id}


def test_polygons_are_held_by_tiles_that_show_half_of_them_or_are_half_filled() -> None:
    tiles = [tile(446 + i, 3500) for i in range(8)]
    one = tiles[2]
    west, south, east, north = one.bounds
    width = east - west
    same, small, large, river = read_sites(
        collected(
            box("red", *one.bounds),
            box("red", west + 0.1 * width, south, west + 0.2 * width, north),
            box("red", west - 1.25 * width, south - 1, east + 1.25 * width, north + 1),
            box("red", west, south + 0.0095, west + 3 * width, south + 0.0105),
        )
    )
    assert same.parts(tiles).round(2).tolist() == [0, 0.5, 1, 0.5, 0, 0, 0, 0]
    assert small.parts(tiles).round(2).tolist() == [0, 1, 1, 0, 0, 0, 0, 0]
    assert large.parts(tiles).round(2).tolist() == [1, 1, 1, 1, 1, 0.75, 0.25, 0]
    assert river.parts(tiles).max() == pytest.approx(1 / 3, abs=0.02)


def test_what_is_longer_than_tiles_is_held_by_those_that_show_most_of_it(tmp_path: Path) -> None:
    tiles = meadow(8)
    index = sow(tmp_path, tiles, plain(64))
    row = [t for t in tiles if t.row == 3500]
    west, south, _, north = row[1].bounds
    long = box("red", west, (south + north) / 2, row[5].bounds[2], (south + north) / 2 + 0.001)
    truth = collected(*at(tiles[8:13], "red", False), *at(tiles[20:23], "red", True), long)
    _, held = Sites.of(index, truth).held[-1]
    assert 1 <= len(held) <= 5
    assert {t.row for t in held} == {3500}


def test_places_outside_and_under_cloud_are_named_and_counted(tmp_path: Path) -> None:
    ground = [*meadow(6), tile(400, 3600, cloud=0.9)]
    shown = [seen("red", 0.1, i) for i in range(5)]
    index = sow(tmp_path, ground, [*shown, *plain(31), seen("red")])
    features = [
        *at(ground[:5], "red", True), *at(ground[5:10], "red", False),
        point("red", 139.0, -35.0), *at(ground[36:], "red", True),
    ]  # fmt: skip
    sites = Sites.of(index, collected(*features))
    assert (len(sites.held), sites.there) == (10, 5)
    outside, hidden = sites.left_out()
    assert "1 outside of what is indexed" in outside
    assert "feature 11 ('red')" in outside
    assert "1 under cloud" in hidden
    assert "feature 12" in hidden
    done = calibrate(index, ENCODER, sites)
    assert done.to_json()["left_out"] == [outside, hidden]
    assert "feature 11" in str(done)


def test_places_of_another_coordinate_system_are_where_they_are(tmp_path: Path) -> None:
    ground = meadow(4)
    index = sow(tmp_path, ground, plain(16))
    one = ground[5]
    middle = point("red", one.west + one.span / 2, one.north - one.span / 2)
    rest = [point("red", t.west + 9, t.north - 9, i < 4) for i, t in enumerate(ground[6:14])]
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32654"}}
    truth = collected(middle, *rest) | {"crs": crs}
    assert [t.id for t in Sites.of(index, truth).held[0][1]] == [one.id]


# What cannot be used.


BAD: list[tuple[Any, str]] = [
    ([], "FeatureCollection"),
    ({"type": "Feature"}, "FeatureCollection"),
    ({"type": "FeatureCollection", "features": {}}, "FeatureCollection"),
    (collected(point("red", 139, 36), point(" ", 139, 36)), r"feature 2 has the text ' '"),
    (collected(point("red", 139, 36, "no")), r"feature 1 \('red'\) has \"present\": 'no'"),  # type: ignore[arg-type]
    (collected(point("red", 36, 139)), r"feature 1 \('red'\): position \[36, 139\]"),
    (collected(point("red", 139, float("nan"))), r"feature 1 .* is not a position"),
    (collected({"type": "Feature", "properties": {"text": "red"}}), "feature 1 .* it is a None"),
    (collected({"type": "Feature"}), "feature 1 has the text None"),
    (collected({**box("red", 0, 0, 1, 1), "geometry": {"type": "LineString"}}), "a LineString"),
    (collected(box("red", 0, 0, 1, 0)), r"feature 1 \('red'\): polygon 1"),
    (collected("red"), "feature 1 has the text None"),  # type: ignore[arg-type]
    (collected(box("red", -60, 0, 60, 10)), "radius_km"),
    (collected(), "0 places can be used"),
    (collected(point("red", 139, -35)), r"1 outside of what is indexed: feature 1 \('red'\)\. It"),
]  # fmt: skip


@pytest.mark.parametrize(("truth", "told"), BAD)
def test_a_file_that_cannot_be_used_is_refused_by_feature(
    world: TileIndex, truth: Any, told: str
) -> None:
    with pytest.raises(InputError, match=told):
        Sites.of(world, truth)


@pytest.mark.parametrize(("there", "gone"), [(4, 3), (20, 0), (0, 20), (20, 2), (2, 20)])
def test_too_few_places_are_refused_with_what_to_do(
    world: TileIndex, there: int, gone: int
) -> None:
    tiles = meadow(20)
    features = [*at(tiles[:there], "red", True), *at(tiles[40 : 40 + gone], "red", False)]
    with pytest.raises(InputError, match=f"{there} where the thing is and {gone}.*add places"):
        Sites.of(world, collected(*features))


def test_one_kind_of_place_may_be_of_one_word_and_the_other_of_another(world: TileIndex) -> None:
    reds, waters = (world.get(list(scores(world, text))) for text in ("red", "water"))
    features = [*at(reds[:5], "red", True), *at(waters[-5:], "water", False)]
    done = calibrate(world, ENCODER, Sites.of(world, collected(*features)), dry_run=True)
    assert (done.there, done.gone) == (5, 5)


def test_places_that_say_the_opposite_of_the_model_are_refused(world: TileIndex) -> None:
    odds = scores(world, "red")
    order = world.get(list(odds))
    features = [*at(order[:30], "red", False), *at(order[-30:], "red", True)]
    with pytest.raises(InputError, match="wrong way round"):
        calibrate(world, ENCODER, Sites.of(world, collected(*features)))
    assert world.calibration() is None


def test_lopsided_places_are_told(world: TileIndex) -> None:
    order = world.get(list(scores(world, "red")))
    features = [*at(order[:30], "red", True), *at(order[-4:], "red", False)]
    done = calibrate(world, ENCODER, Sites.of(world, collected(*features)), dry_run=True)
    assert any("Few of the places are where the thing is not" in note for note in done.notes)


class OtherEncoder(FakeEncoder):
    """The same, under another name."""

    name = "another"


def test_another_encoder_is_refused(world: TileIndex) -> None:
    sites = Sites.of(world, collected(*truth_of(world, "red", 40, 0)))
    with pytest.raises(EncoderMismatchError):
        calibrate(world, OtherEncoder(), sites)


# The command line.


@dataclass(frozen=True)
class Shell:
    """A collection of keenkite-tiny on the ground of a meadow, and a file of known places."""

    data: Path
    file: Path
    capsys: pytest.CaptureFixture[str]
    tiles: list[Tile]

    def write(self, *features: dict[str, Any]) -> None:
        self.file.write_text(json.dumps(collected(*features)))

    def run(self, *words: str, code: int = 0) -> tuple[str, str]:
        self.capsys.readouterr()
        assert main([*words, "--data", str(self.data)]) == code
        out, err = self.capsys.readouterr()
        return out, err


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shell") / "data"
    encoder = ClipEncoder.load("keenkite-tiny")
    texts = encoder.encode_texts(["airport", "golf course", "forest", "sea"])
    noise = np.random.default_rng(0).normal(size=(36, encoder.dim)) / np.sqrt(encoder.dim)
    vectors = texts[np.arange(36) % 4] + 0.1 * noise
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    with TileIndex.open(folder, encoder=encoder) as index:
        index.upsert(meadow(6), vectors)
    return folder


@pytest.fixture
def shell(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    shell = Shell(data, tmp_path / "places.geojson", capsys, meadow(6))
    shell.write(
        *at(shell.tiles[::4], "airport", True),
        *at(shell.tiles[1::4], "airport", False),
        *at(shell.tiles[2::4], "golf course", False),
        point("airport", 0.0, 0.0),
    )
    return shell


def test_the_verb_calibrates_a_collection_and_goes_back(shell: Shell) -> None:
    calibrated = ["calibrate", "--truth", str(shell.file)]
    dry, progress = shell.run(*calibrated, "--dry-run", "--json")
    assert "27 of 27 places" in progress
    assert json.loads(dry)["kept"] is False
    assert json.loads(shell.run("info", "--json")[0])["collections"][0]["calibration"] == "model"
    done = json.loads(shell.run(*calibrated, "--json")[0])
    assert done | {"kept": False} == json.loads(dry)
    assert (done["present"], done["absent"]) == (9, 18)
    assert {"slope", "shift", "auc", "before", "after", "left_out", "notes"} <= set(done)
    assert "feature 28 ('airport')" in done["left_out"][0]
    text = shell.run(*calibrated)[0]
    for told in ("ECE", "Brier", "0.0 - 0.1", "left out: 1 outside", "kept in the collection"):
        assert told in text
    assert "calibration of its own" in shell.run("info")[0]
    answer = json.loads(shell.run("search", "airport", "--json")[0])
    assert answer["calibrated"] is True
    assert "again" in shell.run("calibrate", "--reset")[0]
    assert "already" in shell.run("calibrate", "--reset")[0]
    assert json.loads(shell.run("calibrate", "--reset", "--json")[0]) == {
        "model": "keenkite-tiny", "reset": False,
    }  # fmt: skip
    assert "calibration of its own" not in shell.run("info")[0]


def _no_file(shell: Shell) -> list[str]:
    return ["--truth", str(shell.file.parent / "none.geojson")]


def _no_json(shell: Shell) -> list[str]:
    shell.file.write_text("places")
    return ["--truth", str(shell.file)]


def _too_few(shell: Shell) -> list[str]:
    shell.write(*at(shell.tiles[:3], "airport", True))
    return ["--truth", str(shell.file)]


def _dry_reset(shell: Shell) -> list[str]:
    return ["--reset", "--dry-run"]


def _other_model(shell: Shell) -> list[str]:
    return ["--truth", str(shell.file), "--model", "remoteclip-vit-b-32"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (_no_file, "none.geojson"),
        (_no_json, "no GeoJSON file"),
        (_too_few, "3 places can be used"),
        (_dry_reset, "--dry-run goes with --truth"),
        (_other_model, "keenkite-tiny"),
    ],
)
def test_the_verb_refuses_before_work(
    shell: Shell, words: Callable[[Shell], list[str]], told: str
) -> None:
    out, error = shell.run("calibrate", *words(shell), code=2)
    assert told in error
    assert out == ""
    assert json.loads(shell.run("info", "--json")[0])["collections"][0]["calibration"] == "model"


def test_a_place_that_holds_no_collection_fails(
    tmp_path: Path, shell: Shell, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["calibrate", "--truth", str(shell.file), "--data", str(tmp_path / "nothing")]
    assert main(asked) == 1
    assert "no collection" in capsys.readouterr().err


def test_the_command_line_wants_a_file_or_reset(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["calibrate"], ["calibrate", "--truth", "a", "--reset"]):
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert ended.value.code == 2
    assert "--truth" in capsys.readouterr().err


@pytest.mark.slow
def test_known_places_of_a_demo_world_make_its_confidence_more_reliable(tmp_path: Path) -> None:
    import shapely

    from keenkite.demo.tour import index_world
    from keenkite.demo.world import draw_world

    world = draw_world(7002, size_km=(24.0, 20.0), per_concept=3)
    encoder = ClipEncoder.load("keenkite-tiny")
    index, _ = index_world(world, tmp_path, encoder)
    rng = np.random.default_rng(0)
    ground = list({t.cell: t for t in index.scroll()}.values())
    features = world.truth_geojson()["features"]
    for feature in features:
        feature["properties"]["text"] = feature["properties"]["concept"]
    for name in {f["properties"]["text"] for f in features}:
        shown = [f["geometry"] for f in features if f["properties"]["text"] == name]
        middles = [shapely.geometry.shape(each).centroid for each in shown]
        lon, lat = [m.x for m in middles], [m.y for m in middles]
        for t in [ground[i] for i in rng.permutation(len(ground))[:6]]:
            if distance_km([t.lon] * len(lon), [t.lat] * len(lat), lon, lat).min() > 5:
                features.append(point(name, t.lon, t.lat, False))
    with index:
        done = calibrate(index, encoder, Sites.of(index, collected(*features)))
        assert min(done.there, done.gone) >= 15
        assert done.auc > 0.85
        assert done.after.brier < max(done.before.brier, 0.15)
        assert done.after.calibration_error < 0.2
        assert search(index, encoder, Query(text="airport")).calibrated


def test_colours_of_the_texts_are_what_the_fake_knows() -> None:
    assert set(TEXTS) <= set(COLOURS)
