"""A whole story with a real client: in memory, over stdio and over HTTP, in both protocol eras."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mcp.client import Client
from mcp_types import ImageContent, ResourceTemplateReference

from tests.support.server_world import (
    ERAS,
    ask,
    demo,
    http,
    refused,
    serving,
    stdio,
    talk,
    text_of,
)


@pytest.fixture(params=["memory", "stdio", "http"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """A server on an empty data folder that grows with the story."""
    world = demo()
    if request.param == "memory":
        with serving(world.settings(tmp_path / "data")) as server:
            yield server
    elif request.param == "stdio":
        yield stdio(world.environment(tmp_path / "data"))
    else:
        with http(world.environment(tmp_path / "data")) as url:
            yield url


@pytest.mark.parametrize("era", ERAS)
def test_a_client_builds_searches_looks_and_cancels(server: Any, era: str) -> None:
    async def story(client: Client) -> None:
        assert client.protocol_version == era
        await an_empty_index(client)
        await a_build(client)
        tile_id = await a_search(client)
        await pictures(client, tile_id)
        await more_like_it(client, tile_id)
        await resources_and_prompts(client)
        await errors(client)

    talk(story, server, mode=ERAS[era])


async def an_empty_index(client: Client) -> None:
    listed = await ask(client, "list_indexes")
    assert "Nothing is indexed yet" in text_of(listed)
    assert "build_index" in await refused(client, "search_tiles", {"text": "water"})


async def a_build(client: Client) -> None:
    world = demo()
    expected = await ask(client, "build_index", **world.build, dry_run=True)
    assert expected.structured_content["scenes"] == 4
    assert "4 scenes" in text_of(expected)

    heard: list[tuple[float, float | None, str | None]] = []

    async def hear(done: float, total: float | None, message: str | None) -> None:
        heard.append((done, total, message))

    begun = await client.call_tool("build_index", world.build, progress_callback=hear)
    assert not begun.is_error, text_of(begun)
    job_id = begun.structured_content["job"]["job_id"]
    ended = await ask(client, "get_build_status", job_id=job_id, wait_seconds=50)
    (job,) = ended.structured_content["jobs"]
    assert job["state"] == "done"
    assert job["scenes_done"] == 4
    assert f"{job['kept']:,} tiles kept" in text_of(ended)
    assert heard
    assert all(total == expected.structured_content["tiles"] for _, total, _ in heard)

    listed = (await ask(client, "list_indexes")).structured_content
    (collection,) = listed["collections"]
    assert collection["model"] == collection["collection"] == "fake-colours"
    assert [region["region"] for region in collection["regions"]] == ["all"]
    assert collection["tiles"] == job["kept"]
    again = await ask(client, "build_index", **world.build)
    assert "Nothing to do" in text_of(again)


async def a_search(client: Client) -> str:
    found = await ask(client, "search_tiles", text="water", limit=3)
    answer = found.structured_content
    assert len(answer["hits"]) == 3
    for hit in answer["hits"]:
        assert hit["tile_id"] in text_of(found)
        assert f"lon {hit['lon']}" in text_of(found)
    return str(answer["hits"][0]["tile_id"])


async def pictures(client: Client, tile_id: str) -> None:
    heated = await ask(client, "get_heatmap", tile_ids=[tile_id], text="water")
    picture = heated.content[0]
    assert isinstance(picture, ImageContent)
    assert len(picture.data) * 3 / 4 < 500_000
    assert "peaks at lon" in text_of(heated)
    assert isinstance((await ask(client, "get_tile_image", tile_ids=[tile_id])).content[0],
                      ImageContent)  # fmt: skip


async def more_like_it(client: Client, tile_id: str) -> None:
    similar = await ask(client, "find_similar", like=[tile_id], limit=2)
    hits = similar.structured_content["hits"]
    assert hits
    assert tile_id not in [hit["tile_id"] for hit in hits]


async def resources_and_prompts(client: Client) -> None:
    outline = await client.read_resource("keenkite://regions/all")
    assert '"Polygon"' in outline.contents[0].text
    template = ResourceTemplateReference(type="ref/resource", uri="keenkite://regions/{region}")
    completed = await client.complete(template, {"name": "region", "value": "a"})
    assert completed.completion.values == ["all"]
    prompt = await client.get_prompt("find_places", {"request": "airports near the sea"})
    assert "airports near the sea" in prompt.messages[0].content.text


async def errors(client: Client) -> None:
    assert "did you mean 'bbox'" in await refused(
        client, "search_tiles", {"text": "water", "bbbox": demo().bbox}
    )
    assert "no build" in await refused(client, "cancel_build", {"job_id": "build-0123456789ab"})
    await ask(client, "list_indexes")  # alive
