"""One server over several collections of a data folder: chosen, searched, built, one damaged."""

import json
import re
import shutil
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from mcp.client import Client
from mcp.server.mcpserver import MCPServer

from keenkite import Area, Filters, TileIndex, build_index
from keenkite.build import BuildRequest
from keenkite.catalog import open_catalog
from keenkite.errors import EncoderMismatchError
from keenkite.files import write_whole
from keenkite.index.collections import remove_collection
from keenkite_server.builder import Builder
from keenkite_server.jobs import JobStore
from keenkite_server.library import Library
from tests.support.fakes import FakeEncoder
from tests.support.qdrant_server import serving as qdrant_serving
from tests.support.server_encoder import FakeModels, TurnedEncoder
from tests.support.server_world import (
    ask,
    assert_nothing_of_the_host,
    collection_in,
    demo,
    refused,
    serving,
    stdio,
    talk,
    text_of,
)

ONE, OTHER, DAMAGED = "fake-colours", "fake-turned", "aerial"
MAY = {"start": "2024-05-01", "end": "2024-05-31"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with two collections of two encoders, from one read of the scenes."""
    data = tmp_path_factory.mktemp("two") / "data"
    encoders = FakeEncoder(), TurnedEncoder()
    one, other = (
        TileIndex.open(collection_in(data, encoder.name), encoder=encoder) for encoder in encoders
    )
    with one, other:
        build_index(
            one, encoders[0], Area.from_bbox(*demo().bbox), date(2024, 5, 1), date(2024, 5, 31),
            catalog=open_catalog(str(demo().catalog)), region="colours",
            also=[(other, encoders[1])],
        )  # fmt: skip
    return data


@pytest.fixture
def data(made: Path, tmp_path: Path) -> Path:
    """The same, and a third that is damaged; to be written to."""
    shutil.copytree(made, tmp_path / "data")
    folder = collection_in(tmp_path / "data", DAMAGED)
    folder.mkdir()
    write_whole(folder / "index.json", b"{")
    return tmp_path / "data"


@pytest.fixture
def server(data: Path) -> Iterator[MCPServer]:
    with serving(demo().settings(data)) as server:
        yield server


def ids(result: Any) -> list[str]:
    return [hit["tile_id"] for hit in result.structured_content["hits"]]


def test_the_same_search_finds_the_same_in_both_collections(server: MCPServer) -> None:
    """The encoders' vectors mean nothing to each other: only with its own does each answer so."""

    async def story(client: Client) -> None:
        asked = {"text": "water", "near": [{"text": "forest"}], "limit": 5}
        one = await ask(client, "search_tiles", **asked, collection=ONE)
        other = await ask(client, "search_tiles", **asked, collection=OTHER)
        assert (one.structured_content["collection"], f"collection {ONE}" in text_of(one)) == (
            ONE, True,
        )  # fmt: skip
        assert other.structured_content["collection"] == OTHER
        assert len(ids(one)) == 5
        assert ids(one) == ids(other)
        similar = [
            await ask(client, "find_similar", like=ids(one)[:1], limit=3, collection=name)
            for name in (ONE, OTHER)
        ]
        assert ids(similar[0]) == ids(similar[1])
        heats = [
            text_of(await ask(client, "get_heatmap", tile_ids=ids(one), text="water",
                              collection=name))
            for name in (ONE, OTHER)
        ]  # fmt: skip
        assert heats[0] == heats[1]

    talk(story, server)


def test_a_cursor_serves_its_own_collection_only(server: MCPServer) -> None:
    async def story(client: Client) -> None:
        page = await ask(client, "search_tiles", text="water", limit=2, collection=ONE)
        cursor = page.structured_content["next_cursor"]
        again = {"text": "water", "limit": 2, "cursor": cursor}
        await ask(client, "search_tiles", **again, collection=ONE)
        text = await refused(client, "search_tiles", {**again, "collection": OTHER})
        assert "not of this query" in text

    talk(story, server)


def test_where_there_are_several_one_has_to_be_named(server: MCPServer) -> None:
    async def story(client: Client) -> None:
        text = await refused(client, "search_tiles", {"text": "water"})
        assert all(name in text for name in (ONE, OTHER))
        text = await refused(client, "search_tiles", {"text": "water", "collection": "atlantis"})
        assert "no collection 'atlantis'" in text
        assert all(name in text for name in (ONE, OTHER))
        for tool, arguments in (
            ("find_similar", {"like_place": {"lon": 139.6, "lat": 35.9}}),
            ("build_index", {**demo().build, "dry_run": True}),
        ):
            assert ONE in await refused(client, tool, arguments)
        text = await refused(client, "build_index", {**demo().build, "collection": "atlantis"})
        assert "no collection 'atlantis'" in text

    talk(story, server)


def test_the_operators_collection_or_model_is_the_one_that_is_meant(data: Path) -> None:
    async def story(client: Client) -> None:
        found = await ask(client, "search_tiles", text="water", limit=1)
        assert found.structured_content["collection"] == OTHER
        named = await ask(client, "search_tiles", text="water", limit=1, collection=ONE)
        assert named.structured_content["collection"] == ONE

    for more in ({"collection": OTHER}, {"model": OTHER}):
        with serving(demo().settings(data, **more)) as server:
            talk(story, server)


def test_all_collections_are_listed_and_a_damaged_one_says_what_is_wrong(
    server: MCPServer,
) -> None:
    async def story(client: Client) -> None:
        listed = await ask(client, "list_indexes")
        text = text_of(listed)
        found = {each["collection"]: each for each in listed.structured_content["collections"]}
        assert set(found) == {ONE, OTHER, DAMAGED}
        for name in (ONE, OTHER):
            assert found[name]["model"] == name
            assert found[name]["sensor"] == "Sentinel-2 L2A"
            assert found[name]["spans"] == [2240]
            (region,) = found[name]["regions"]
            assert region["region"] == "colours"
            assert found[name]["tiles"] == region["tiles"] > 0
            assert f"Collection {name}: {region['tiles']} tiles, 2240 m wide" in text
        assert set(found[DAMAGED]) == {"collection", "problem"}
        assert f"Collection {DAMAGED} cannot be used: {found[DAMAGED]['problem']}" in text
        assert_nothing_of_the_host(text)
        refusal = await refused(client, "search_tiles", {"text": "water", "collection": DAMAGED})
        assert "cannot be used" in refusal
        await ask(client, "search_tiles", text="water", collection=ONE)
        (everything,) = (await client.read_resource("keenkite://regions")).contents
        features = json.loads(everything.text)["features"]
        assert {each["properties"]["collection"] for each in features} == {ONE, OTHER}

    talk(story, server)


def test_beside_a_damaged_collection_the_only_other_needs_no_name(data: Path) -> None:
    shutil.rmtree(collection_in(data, OTHER))

    async def story(client: Client) -> None:
        found = await ask(client, "search_tiles", text="water", limit=1)
        assert found.structured_content["collection"] == ONE
        await ask(client, "get_tile_image", tile_ids=ids(found))

    with serving(demo().settings(data)) as server:
        talk(story, server)


def test_a_picture_needs_no_collection(server: MCPServer, data: Path) -> None:
    """Pixels are kept once for all collections; a tile of any of them is shown."""
    with TileIndex.open(collection_in(data, ONE), encoder=None) as index:
        tile = next(index.scroll())
        index.remove(Filters(tile_ids=(tile.id,)))

    async def story(client: Client) -> None:
        await ask(client, "get_tile_image", tile_ids=[tile.id])
        await client.read_resource(f"keenkite://tiles/{tile.id}")
        text = await refused(client, "get_heatmap", {"tile_ids": [tile.id], "text": "water",
                                                     "collection": ONE})  # fmt: skip
        assert f"no tile {tile.id} in the collection {ONE}" in text

    talk(story, server)


# --- models -----------------------------------------------------------------------------------


def test_only_the_models_of_collections_that_are_asked_are_loaded(data: Path) -> None:
    models = FakeModels()

    async def story(client: Client) -> None:
        await ask(client, "list_indexes")
        await ask(client, "build_index", **demo().build, collection=OTHER, dry_run=True)
        assert models.loaded == []
        for _ in range(2):
            await ask(client, "search_tiles", text="water", collection=OTHER)
        assert models.loaded == [OTHER]

    with serving(demo().settings(data), models=models) as server:
        talk(story, server)


def test_a_collection_and_a_model_that_it_was_not_made_with_are_refused_before_it_is_loaded(
    data: Path,
) -> None:
    models = FakeModels(named=OTHER)

    async def story(client: Client) -> None:
        await ask(client, "list_indexes")
        for tool, arguments in (("search_tiles", {"text": "water"}), ("build_index", demo().build)):
            text = await refused(client, tool, arguments)
            assert f"made with the model {ONE}" in text
            assert "without --model" in text

    settings = demo().settings(data, collection=ONE, model=OTHER)
    with serving(settings, models=models) as server:
        talk(story, server)
    with Library(settings, source=models) as library, pytest.raises(EncoderMismatchError):
        library.prepare()
    assert models.loaded == []


def test_another_model_of_the_operator_builds_a_collection_of_its_own(tmp_path: Path) -> None:
    """And the collection that is there is searched with the model that it was made with."""
    shutil.copytree(demo().data, tmp_path / "data")

    async def story(client: Client) -> None:
        found = await ask(client, "search_tiles", text="water", limit=3)
        assert found.structured_content["collection"] == ONE
        begun = await ask(client, "build_index", **demo().build)
        assert (begun.structured_content["collection"], begun.structured_content["model"]) == (
            OTHER, OTHER,
        )  # fmt: skip
        job_id = begun.structured_content["job"]["job_id"]
        await ask(client, "get_build_status", job_id=job_id, wait_seconds=50)
        after = await ask(client, "search_tiles", text="water", limit=3)
        assert after.structured_content["collection"] == OTHER

    with serving(demo().settings(tmp_path / "data", model=OTHER)) as server:
        talk(story, server)
    assert collection_in(tmp_path / "data", OTHER).is_dir()


def test_a_collection_that_is_made_anew_under_its_name_is_opened_anew(tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(demo().data, data)

    async def story(client: Client) -> None:
        await ask(client, "search_tiles", text="water", limit=1)
        remove_collection(data, ONE)
        assert "Nothing is indexed yet" in text_of(await ask(client, "list_indexes"))
        TileIndex.open(collection_in(data, ONE), encoder=TurnedEncoder()).close()
        (listed,) = (await ask(client, "list_indexes")).structured_content["collections"]
        assert (listed["model"], listed["tiles"]) == (OTHER, 0)

    with serving(demo().settings(data)) as server:
        talk(story, server)


# --- builds -----------------------------------------------------------------------------------


async def built(client: Client, **arguments: Any) -> dict[str, Any]:
    """The job of a build that has ended."""
    begun = await ask(client, "build_index", **arguments)
    if "job" not in begun.structured_content:
        return {}
    job_id = begun.structured_content["job"]["job_id"]
    ended = await ask(client, "get_build_status", job_id=job_id, wait_seconds=50)
    (job,) = ended.structured_content["jobs"]
    assert job["state"] == "done"
    return dict(job)


def halves() -> dict[str, list[float]]:
    """Two parts of the world that overlap in its middle third."""
    west, south, east, north = demo().bbox
    third = (east - west) / 3
    return {
        "left": [west, south, east - third, north],
        "right": [west + third, south, east, north],
    }


def test_regions_are_labels_whichever_is_built_first_and_however_often(tmp_path: Path) -> None:
    counts = []

    async def story(client: Client, order: tuple[str, ...]) -> None:
        for name in (*order, *order):
            await built(client, region=name, bbox=halves()[name], **MAY)
            if name == order[0]:
                continue
            (listed,) = (await ask(client, "list_indexes")).structured_content["collections"]
            found = {each["region"]: each["tiles"] for each in listed["regions"]}
            counts.append((found["left"], found["right"], listed["tiles"]))
        both = await ask(client, "search_tiles", text="water", limit=50, region="left",
                         response_format="detailed")  # fmt: skip
        labels = {tuple(sorted(hit["regions"])) for hit in both.structured_content["hits"]}
        assert labels == {("left",), ("left", "right")}
        assert re.search(r"regions (left, right|right, left);", text_of(both))

    for number, order in enumerate((("left", "right"), ("right", "left"))):
        with serving(demo().settings(tmp_path / str(number))) as server:
            talk(lambda client, order=order: story(client, order), server)
    assert len(set(counts)) == 1
    left, right, tiles = counts[0]
    assert max(left, right) < tiles < left + right


def test_a_url_may_name_the_one_collection_that_is_meant(tmp_path: Path) -> None:
    async def story(client: Client) -> None:
        job = await built(client, region="colours", bbox=halves()["left"], **MAY)
        assert job["collection"] == "mine"
        found = await ask(client, "search_tiles", text="water", limit=2)
        assert found.structured_content["collection"] == "mine"
        await ask(client, "get_heatmap", tile_ids=ids(found), text="water")
        (listed,) = (await ask(client, "list_indexes")).structured_content["collections"]
        assert (listed["collection"], listed["tiles"]) == ("mine", job["kept"])

    with qdrant_serving() as qdrant:
        settings = demo().settings(f"{qdrant.url}/mine", folder=tmp_path)
        with serving(settings) as server:
            talk(story, server)


def test_a_region_over_ground_that_is_there_only_gets_its_label(tmp_path: Path) -> None:
    shutil.copytree(demo().data, tmp_path / "data")

    async def story(client: Client) -> None:
        asked = {**MAY, "region": "again", "bbox": demo().bbox}
        expected = await ask(client, "build_index", **asked, dry_run=True)
        assert expected.structured_content["scenes"] > 0
        assert expected.structured_content["tiles"] == 0
        job = await built(client, **asked)
        assert job["kept"] == 0
        assert job["labelled"] > 0
        assert await built(client, **asked) == {}, "nothing is left to do"

    with serving(demo().settings(tmp_path / "data")) as server:
        talk(story, server)


def test_an_interrupted_build_goes_on_in_its_own_collection(data: Path) -> None:
    before = tiles_of(data, ONE)
    request = BuildRequest(
        area=Area.from_bbox(*demo().bbox), start=date(2024, 5, 1), end=date.fromisoformat(
            demo().days[1]), region="more", max_cloud=1,
    )  # fmt: skip
    with JobStore(data / "jobs") as store:
        job = store.create(request, collection=OTHER, tiles=1, scenes=1)

    async def story(client: Client) -> None:
        ended = await ask(client, "get_build_status", job_id=job.id, wait_seconds=50)
        (found,) = ended.structured_content["jobs"]
        assert (found["state"], found["collection"]) == ("done", OTHER)
        assert found["kept"] > 0

    talk(story, stdio(demo().environment(data)))
    assert tiles_of(data, ONE) == before
    assert tiles_of(data, OTHER) > before


def test_a_build_of_a_collection_that_is_gone_fails_and_says_so(data: Path) -> None:
    request = BuildRequest(
        area=Area.from_bbox(*demo().bbox), start=date(2024, 5, 1), end=date(2024, 5, 31)
    )
    with JobStore(data / "jobs") as store:
        job = store.create(request, collection="gone", tiles=1, scenes=1)
    settings = demo().settings(data)
    with Library(settings, source=FakeModels()) as library, Builder(library) as builder:
        assert [each.id for each in builder.resume()] == [job.id]
        deadline = time.monotonic() + 20
        while not (ended := library.jobs.read(job.id)).finished:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    assert ended.state == "failed"
    assert ended.message is not None
    assert "no collection 'gone'" in ended.message


def tiles_of(data: Path, name: str) -> int:
    with TileIndex.open(collection_in(data, name), encoder=None) as index:
        return index.count()
