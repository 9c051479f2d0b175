"""Regions are labels: given and taken in any order, and what is done follows them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keenkite.errors import InputError
from keenkite.index import Filters, TileIndex
from keenkite.index.region import Region
from keenkite.tiling import Tile
from tests.support.points import SPANS, START, Named, tile, vectors
from tests.support.qdrant_server import serving

Builds = dict[str, list[Tile]]

NORTH, SOUTH = ([tile(i) for i in range(first, first + 8)] for first in (0, 5))
"""Two areas of eight tiles each; three are in both."""
BUILDS: Builds = {"north": NORTH, "south": SOUTH}


@pytest.fixture(params=["folder", "url"])
def index(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[TileIndex]:
    if request.param == "folder":
        with TileIndex.open(tmp_path / "index", encoder=Named(), spans=SPANS) as found:
            yield found
    else:
        with (
            serving() as server,
            TileIndex.open(server.url, encoder=Named(), spans=SPANS) as found,
        ):
            yield found


def build(index: TileIndex, region: str, tiles: list[Tile] | None = None) -> None:
    """As a build does: the tiles of an area under its name, then the record."""
    cut = [
        tile((t.column or 0) - 300, regions=(region,), scene_ids=t.scene_ids)
        for t in tiles or BUILDS[region]
    ]
    index.upsert(cut, vectors(len(cut), seed=1))
    for scene in {name for t in cut for name in t.scene_ids}:
        index.mark_complete(f"{region} {scene}", {"scene": scene, "region": region})


def counts(index: TileIndex) -> dict[str, int]:
    return {region.name: region.tiles for region in index.regions()}


@pytest.mark.parametrize("order", list(itertools.product(("north", "south"), repeat=4)))
def test_two_regions_that_overlap_keep_their_numbers_whatever_is_built_first_and_again(
    index: TileIndex, order: tuple[str, ...]
) -> None:
    for region in order:
        build(index, region)
    assert counts(index) == dict.fromkeys(order, 8)
    assert index.count() == (13 if len(set(order)) == 2 else 8)
    for region in set(order):
        assert index.count(Filters(regions=(region,))) == 8


def test_an_upsert_changes_all_of_a_tile_but_the_labels_it_has(index: TileIndex) -> None:
    index.upsert([tile(1, regions=("b", "a")), tile(2)], vectors(2))
    index.upsert([tile(1, regions=("c", "a"), cloud=0.7)], vectors(1, seed=3))
    assert index.get([tile(1).id]) == [tile(1, regions=("a", "b", "c"), cloud=0.7)]
    assert np.array_equal(index.vectors([tile(1).id]), vectors(1, seed=3))
    assert index.get([tile(2).id]) == [tile(2)]
    index.upsert([tile(1, regions=())], vectors(1))
    assert index.get([tile(1).id])[0].regions == ("a", "b", "c")


def test_labels_are_given_and_taken_by_tiles_or_ids(index: TileIndex) -> None:
    tiles = [tile(i) for i in range(4)]
    index.upsert(tiles, vectors(4))
    assert index.label([tiles[0], tiles[1].id, "not there", tiles[0]], "near sea") == 2
    assert index.label([t.id for t in tiles], "near sea") == 2
    assert index.label(tiles, "near sea") == 0
    assert counts(index) == {"kanto": 4, "near sea": 4}
    assert index.unlabel([tiles[0], tiles[3].id, "not there"], "near sea") == 2
    assert index.unlabel(tiles[:1], "near sea") == 0
    assert counts(index) == {"kanto": 4, "near sea": 2}
    assert index.get([tiles[0].id, tiles[1].id]) == [
        tiles[0],
        tile(1, regions=("kanto", "near sea")),
    ]
    assert np.array_equal(index.vectors([t.id for t in tiles]), vectors(4))
    index.unlabel(tiles, "kanto")
    assert index.count() == 4
    assert index.get([tiles[0].id])[0].regions == ()


def test_many_labels_are_given_at_once(index: TileIndex) -> None:
    tiles = [tile(i) for i in range(1100)]
    index.upsert(tiles, vectors(1100))
    assert index.label(tiles, "all") == 1100
    assert counts(index) == {"all": 1100, "kanto": 1100}
    assert index.remove_region("kanto") == 0
    assert counts(index) == {"all": 1100}


@pytest.mark.parametrize("name", ["", "  ", None, 7])
def test_a_region_without_a_name_is_refused(index: TileIndex, name: str) -> None:
    for work in (index.remove_region, lambda each: index.label([tile()], each)):
        with pytest.raises(InputError, match="A region is a name"):
            work(name)


def test_removing_a_region_takes_its_label_and_the_tiles_that_have_no_other(
    index: TileIndex,
) -> None:
    build(index, "north")
    build(index, "south")
    assert index.remove_region("north") == 5
    assert counts(index) == {"south": 8}
    assert {t.id for t in index.scroll()} == {t.id for t in SOUTH}
    assert all(t.regions == ("south",) for t in index.scroll())
    assert sorted(index.complete()) == ["south scene"]
    assert index.remove_region("north") == 0
    assert index.remove_region("south") == 8
    assert index.count() == 0
    assert index.complete() == {}
    assert index.regions() == []


def test_a_region_that_was_removed_can_be_built_again(index: TileIndex) -> None:
    build(index, "north")
    build(index, "south")
    index.remove_region("north")
    assert not index.is_complete("north scene")
    build(index, "north")
    assert counts(index) == {"north": 8, "south": 8}


def test_tiles_without_any_region_stay_when_one_is_removed(index: TileIndex) -> None:
    index.upsert([tile(1, regions=()), tile(2)], vectors(2))
    assert index.remove_region("kanto") == 1
    assert index.count() == 1


def test_a_record_of_work_stays_until_its_scene_loses_a_tile(index: TileIndex) -> None:
    tiles = [tile(i, scene_ids=(f"scene/{i}",), regions=(f"r{i}",)) for i in range(3)]
    index.upsert(tiles, vectors(3))
    for i in range(3):
        index.mark_complete(f"key {i}/é", {"scene": f"scene/{i}", "kept": 1})
    assert index.is_complete("key 1/é")
    assert not index.is_complete("key 9")
    assert index.complete()["key 2/é"] == {"scene": "scene/2", "kept": 1}
    index.remove(Filters(regions=("r1",)))
    assert sorted(index.complete()) == ["key 0/é", "key 2/é"]
    index.remove_region("r0")
    assert sorted(index.complete()) == ["key 2/é"]


def test_every_record_that_counts_on_a_tile_goes_when_it_is_removed(index: TileIndex) -> None:
    mine = tile(1, scene_ids=("one", "two"), regions=("a", "b"))
    index.upsert([mine, tile(2, scene_ids=("three",))], vectors(2))
    beside = {"platform": "S2B", "epsg": 32654}
    soon, later = ((START + timedelta(minutes=m)).isoformat() for m in (9, 11))
    records = {
        "by scene": {"scene": "two", "region": "a"},
        "by another region": {"scene": "one", "region": "z"},
        "by one of several": {"scene": "zero", "scenes": ["zero", "two"]},
        "one": {},
        "beside it in the pass": {"scene": "x", **beside, "datetime": soon},
        "three": {},
        "another pass": {"scene": "x", **beside, "datetime": later},
        "another zone": {"scene": "x", **beside, "epsg": 32653, "datetime": soon},
        "another platform": {"scene": "x", **beside, "platform": "S2A", "datetime": soon},
    }
    for key, info in records.items():
        index.mark_complete(key, info)
    assert index.remove(Filters(tile_ids=(mine.id,))) == 1
    assert sorted(index.complete()) == [
        "another pass", "another platform", "another zone", "three"
    ]  # fmt: skip


def test_taking_a_label_undoes_the_work_of_its_region_alone(index: TileIndex) -> None:
    build(index, "north")
    build(index, "south")
    index.mark_complete("scene", {})
    index.unlabel([SOUTH[0]], "south")
    assert sorted(index.complete()) == ["north scene"]


def test_records_go_before_tiles_so_that_a_kill_in_between_leaves_work_to_do() -> None:
    removed: list[Callable[[TileIndex], int]] = [
        lambda index: index.remove(Filters(regions=("north",))),
        lambda index: index.remove_region("north"),
    ]
    for remove in removed:
        with serving() as server, TileIndex.open(server.url, encoder=Named()) as index:
            build(index, "north")
            delete = "/collections/keenkite/points/delete"
            server.fail = lambda method, path, delete=delete: 503 if path == delete else None
            with pytest.raises(Exception, match="503"):
                remove(index)
            server.fail = lambda method, path: None
            assert index.count() == 8
            assert index.complete() == {}
            assert remove(index) == 8


def test_a_tile_that_gets_a_label_while_its_only_region_is_removed_stays() -> None:
    """Another process builds a region over it, after it was found to have no other."""
    with serving() as server, TileIndex.open(server.url, encoder=Named()) as index:
        build(index, "north")
        other = TileIndex.open(server.url, encoder=Named())
        begun: list[str] = []

        def before_the_tiles_go(method: str, path: str) -> None:
            if path == "/collections/keenkite/points/delete" and not begun:
                begun.append(path)
                build(other, "south")

        server.fail = before_the_tiles_go
        index.remove_region("north")
        assert begun
        assert counts(index) == {"south": 8}
        assert sorted(index.complete()) == ["south scene"]
        other.close()


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("build"), st.sampled_from("abc"), st.integers(0, 5)),
        st.tuples(st.just("label"), st.sampled_from("abc"), st.integers(0, 5)),
        st.tuples(st.just("unlabel"), st.sampled_from("abc"), st.integers(0, 5)),
        st.tuples(st.just("remove"), st.sampled_from("abc"), st.integers(0, 5)),
        st.tuples(st.just("remove region"), st.sampled_from("abc"), st.just(0)),
        st.tuples(st.just("maintain"), st.just(""), st.just(0)),
    ),
    max_size=12,
)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=STEPS)
def test_whatever_is_done_labels_are_those_of_a_set_for_each_tile(
    index: TileIndex, steps: list[tuple[str, str, int]]
) -> None:
    for found in [t.id for t in index.scroll()]:
        index.remove(Filters(tile_ids=(found,)))
    model: dict[int, set[str]] = {}
    for step, name, first in steps:
        some = range(first, first + 3)
        match step:
            case "build":
                index.upsert([tile(i, regions=(name,)) for i in some], vectors(3))
                for i in some:
                    model.setdefault(i, set()).add(name)
            case "label":
                index.label([tile(i) for i in some], name)
                for i in model.keys() & {*some}:
                    model[i].add(name)
            case "unlabel":
                index.unlabel([tile(i) for i in some], name)
                for i in model.keys() & {*some}:
                    model[i].discard(name)
            case "remove":
                index.remove(Filters(tile_ids=tuple(tile(i).id for i in some), regions=(name,)))
                model = {i: n for i, n in model.items() if not (name in n and i in some)}
            case "remove region":
                index.remove_region(name)
                model = {i: n - {name} for i, n in model.items() if n != {name}}
            case _:
                index.maintain()
    assert {(t.column or 0) - 300: set(t.regions) for t in index.scroll()} == model
    wanted = {n: sum(n in labels for labels in model.values()) for n in "abc"}
    assert counts(index) == {n: number for n, number in wanted.items() if number}
    assert index.statistics().n == len(model)


def test_a_tile_counts_in_each_of_its_regions(index: TileIndex) -> None:
    first = tile(1, regions=("a", "b"), scene_ids=("s1", "s2"))
    last = tile(9, regions=("b",), datetime=START + timedelta(days=400))
    index.upsert([first, last], vectors(2))

    def region(name: str, *tiles: Tile, scenes: int) -> Region:
        west, south, east, north = zip(*(t.bounds for t in tiles), strict=True)
        found = (min(west), min(south), max(east), max(north))
        return Region(
            name=name, tiles=len(tiles), scenes=scenes, start=tiles[0].datetime.date(),
            end=tiles[-1].datetime.date(), bounds=tuple(round(x, 7) for x in found),
        )  # fmt: skip

    wanted = [region("a", first, scenes=2), region("b", first, last, scenes=3)]
    assert index.regions() == wanted
    assert [Region.from_json(each.to_json()) for each in wanted] == wanted
    index.maintain()
    assert index.regions() == wanted


def test_the_bounds_of_a_region_across_180_are_the_shortest(index: TileIndex) -> None:
    # Columns of zone 60 go on beyond 180 degrees, and those of zone 1 begin there.
    tiles = [tile(0, epsg=32660, column=c, row=3500, regions=("fiji",)) for c in (660, 690)]
    tiles.append(tile(0, epsg=32601, column=230, row=3500, regions=("fiji",)))
    index.upsert(tiles, vectors(3))
    (fiji,) = index.regions()
    west, south, east, north = fiji.bounds
    assert west == pytest.approx(tiles[0].bounds[0], abs=1e-6)
    assert east == pytest.approx(tiles[2].bounds[2], abs=1e-6)
    assert west > 170
    assert east < -170
    assert south < north
