"""What clients see of the tools, and what the tools answer."""

import base64
import io
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mcp.client import Client
from mcp.server.mcpserver import MCPServer
from mcp_types import ImageContent, Tool
from PIL import Image

from keenkite import Near, Query, search
from keenkite.cloud import percent
from keenkite.index import TileIndex
from keenkite_server.prompts import INSTRUCTIONS
from tests.support.fakes import FakeEncoder
from tests.support.paths import ROOT
from tests.support.qdrant_server import serving as qdrant_serving
from tests.support.server_world import (
    ask,
    collection_in,
    demo,
    refused,
    serving,
    talk,
    text_of,
)

SNAPSHOTS = ROOT / "tests" / "server" / "snapshots"
NAMES = {
    "search_tiles", "find_similar", "get_heatmap", "get_tile_image", "list_indexes",
    "get_build_status", "build_index", "cancel_build",
}  # fmt: skip


@pytest.fixture(scope="module")
def server() -> Iterator[MCPServer]:
    with serving(demo().settings()) as server:
        yield server


@pytest.fixture(scope="module")
def tools(server: MCPServer) -> dict[str, Tool]:
    async def story(client: Client) -> list[Tool]:
        return (await client.list_tools()).tools

    return {tool.name: tool for tool in talk(story, server)}


def wire(tool: Tool) -> dict[str, Any]:
    return tool.model_dump(mode="json", by_alias=True, exclude_none=True)


def everything(schema: Any) -> Iterator[dict[str, Any]]:
    """A schema and every schema inside it."""
    if isinstance(schema, dict):
        yield schema
        schema = list(schema.values())
    if isinstance(schema, list):
        for part in schema:
            yield from everything(part)


def test_there_are_these_tools_and_no_others(tools: dict[str, Tool]) -> None:
    assert set(tools) == NAMES


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_tools_schema_changes_only_with_its_snapshot(tools: dict[str, Tool], name: str) -> None:
    """KEENKITE_UPDATE_SNAPSHOTS=1 writes them anew; look at the difference before committing."""
    text = json.dumps(wire(tools[name]), indent=2) + "\n"
    path = SNAPSHOTS / f"{name}.json"
    if os.environ.get("KEENKITE_UPDATE_SNAPSHOTS"):
        path.write_text(text)
    assert path.read_text() == text


def test_all_definitions_together_stay_under_6000_tokens(tools: dict[str, Tool]) -> None:
    characters = sum(len(json.dumps(wire(tool))) for tool in tools.values())
    assert characters / 4 < 6000


def test_every_tool_has_a_title_and_says_what_it_does(tools: dict[str, Tool]) -> None:
    for tool in tools.values():
        assert tool.title
        assert 60 < len(tool.description or "") < 700
        assert tool.annotations is not None
        assert None not in tool.annotations.model_dump(exclude={"title"}).values()
    writing = {name for name, tool in tools.items() if not tool.annotations.read_only_hint}
    assert writing == {"build_index", "cancel_build"}
    assert tools["cancel_build"].annotations.destructive_hint
    assert tools["build_index"].annotations.open_world_hint


def test_no_tool_takes_an_argument_it_does_not_know(tools: dict[str, Tool]) -> None:
    for tool in tools.values():
        for schema in everything(tool.input_schema):
            if isinstance(schema.get("properties"), dict):
                assert schema.get("additionalProperties") is False, tool.name


def test_coordinates_say_that_longitude_comes_first(tools: dict[str, Tool]) -> None:
    for name in ("search_tiles", "find_similar", "build_index"):
        properties = tools[name].input_schema["properties"]
        assert "longitude first" in properties["bbox"]["description"]
        assert "[lon, lat]" in properties["polygon"]["description"]


def test_the_operators_choices_are_no_arguments(tools: dict[str, Tool]) -> None:
    for tool in tools.values():
        for name in tool.input_schema.get("properties", {}):
            assert not re.search("catalog|model|path|file|folder|url|host|token", name), name


def test_instructions_are_short_and_teach_to_split(server: MCPServer) -> None:
    assert len(INSTRUCTIONS.split()) <= 250
    for word in ("near", "exclude", "cover", "bbox", "verdict", "strong", "weak", "none", "count"):
        assert word in INSTRUCTIONS

    async def story(client: Client) -> str | None:
        return client.instructions

    assert talk(story, server) == INSTRUCTIONS


def test_a_default_answer_stays_under_2000_tokens(server: MCPServer) -> None:
    async def story(client: Client) -> None:
        result = await ask(client, "search_tiles", text="water", near=[{"text": "forest"}])
        as_sent = json.dumps(result.structured_content, separators=(",", ":"))
        both = text_of(result) + as_sent
        assert len(result.structured_content["hits"]) == 10
        assert len(both) / 4 < 2000

    talk(story, server)


def test_every_fact_is_in_the_text_too(server: MCPServer) -> None:
    async def story(client: Client) -> None:
        result = await ask(
            client, "search_tiles", text="water", near=[{"text": "forest", "within_km": 5}],
            exclude=["snow", {"text": "red", "within_km": 2}], limit=5, response_format="detailed",
        )  # fmt: skip
        text = text_of(result)
        answer = result.structured_content
        assert answer["verdict"] in text
        assert answer["next_cursor"] in text
        assert answer["collection"] in text
        assert "tiles 2240 m wide, cover where not 0" in text
        for hit in answer["hits"]:
            line = next(line for line in text.splitlines() if hit["tile_id"] in line)
            facts = [f"{name} {hit[name]}" for name in ("lon", "lat")]
            facts += [f"{name} {hit[name]:g}" for name in ("score", "confidence")]
            facts += [f"{kind} {share:g}" for kind, share in hit["cover"].items() if share]
            assert not [k for k, share in hit["cover"].items() if not share and f", {k} " in line]
            facts += [str(edge) for edge in hit["bounds"]]
            facts += [hit["datetime"], *hit["regions"], *hit["scene_ids"]]
            facts += [f"cloud {percent(hit['cloud'])}"]
            for other in [*hit["near"], *hit["exclude"]]:
                facts += [repr(other["text"]), f"confidence {other['confidence']:g}"]
                if other["named"]:
                    facts += [other["tile_id"], f"{other['named']} {other['km']} km away"]
                    facts += [f"± {other['km_error']}", f"lon {other['lon']}"]
                    facts += [f"its confidence {other['tile_confidence']:g}"]
            for fact in facts:
                assert fact in line

    talk(story, server)


def test_a_hit_has_the_shape_that_the_core_gives_it(server: MCPServer) -> None:
    """Concise leaves some of it out, detailed adds the address of a scene of a public catalogue."""
    asked = {"text": "water", "near": [{"text": "forest"}], "exclude": ["snow"], "limit": 2}
    with TileIndex.open(collection_in(demo().data), encoder=None) as index:
        query = Query(text="water", near=[Near(text="forest", within_km=3)], exclude=["snow"])
        hits = search(index, FakeEncoder(), query).to_json()["hits"]

    async def story(client: Client) -> None:
        concise = await ask(client, "search_tiles", **asked)
        detailed = await ask(client, "search_tiles", **asked, response_format="detailed")
        for hit in hits:
            del hit["exclude"][0]["tile_id"]  # which is null
        assert detailed.structured_content["hits"] == hits[:2]
        for hit in hits:
            del hit["near"][0]["tile_id"]
        left_out = {"bounds", "regions", "scene_ids"}
        assert concise.structured_content["hits"] == [
            {name: value for name, value in hit.items() if name not in left_out} for hit in hits[:2]
        ]

    talk(story, server)


@pytest.mark.parametrize("cloud", [0.1, 10, "10%", " 10 % ", "0.1"])
def test_cloud_is_understood_as_it_is_written_and_said_back_in_one_form(
    server: MCPServer, cloud: float | str
) -> None:
    async def story(client: Client) -> None:
        found = await ask(client, "search_tiles", text="water", max_cloud=cloud)
        assert "tiles of at most 10 % cloud" in text_of(found)
        expected = await ask(
            client, "build_index", **{**demo().build, "max_cloud": cloud}, dry_run=True
        )
        assert expected.structured_content["max_cloud"] == 0.1
        assert "scenes of at most 10 % cloud" in text_of(expected)

    talk(story, server)


def test_the_schemas_say_that_cloud_may_be_a_number_or_a_text(tools: dict[str, Tool]) -> None:
    for name in ("search_tiles", "build_index"):
        cloud = tools[name].input_schema["properties"]["max_cloud"]
        assert {kind["type"] for kind in cloud["anyOf"]} >= {"number", "string"}
        assert '"20%"' in cloud["description"]


def test_pages_follow_each_other_without_gap_or_overlap(server: MCPServer) -> None:
    async def story(client: Client) -> None:
        whole = await ask(client, "search_tiles", text="forest", limit=9)
        ranks, ids, cursor = [], [], None
        for _ in range(3):
            more = {"cursor": cursor} if cursor else {}
            page = await ask(client, "search_tiles", text="forest", limit=3, **more)
            ranks += [hit["rank"] for hit in page.structured_content["hits"]]
            ids += [hit["tile_id"] for hit in page.structured_content["hits"]]
            cursor = page.structured_content["next_cursor"]
        assert ranks == list(range(1, 10))
        assert ids == [hit["tile_id"] for hit in whole.structured_content["hits"]]

    talk(story, server)


def test_a_cursor_serves_its_own_query_only(server: MCPServer) -> None:
    async def story(client: Client) -> None:
        page = await ask(client, "search_tiles", text="forest", limit=3)
        cursor = page.structured_content["next_cursor"]
        for wrong in (
            {"text": "water", "cursor": cursor},
            {"text": "forest", "cursor": "WzUsIngiXQ"},
        ):
            assert "not of this query" in await refused(client, "search_tiles", wrong)

    talk(story, server)


def test_the_last_page_has_no_cursor(server: MCPServer) -> None:
    async def story(client: Client) -> None:
        west, south, east, north = demo().bbox
        small = {"lon": (west + east) / 2, "lat": (south + north) / 2, "radius_km": 2.0}
        result = await ask(client, "search_tiles", text="forest", circle=small, limit=50)
        assert 0 < len(result.structured_content["hits"]) < 50
        assert "next_cursor" not in result.structured_content

    talk(story, server)


def test_filters_reach_the_search(server: MCPServer) -> None:
    async def story(client: Client) -> None:
        asked = await ask(
            client, "search_tiles", text="water", cover={"water": [0.5, 1]},
            start="2024-05-01", end="2024-05-31", max_cloud=0.1, region="colours",
        )  # fmt: skip
        assert asked.structured_content["hits"]
        assert all(hit["cover"]["water"] >= 0.5 for hit in asked.structured_content["hits"])
        same = await ask(client, "search_tiles", text="water", spans=[2240, 1120])
        assert same.structured_content["hits"]
        other = await ask(client, "search_tiles", text="water", spans=[1120])
        assert "the spans" in text_of(other)
        nothing = await ask(client, "search_tiles", text="water", start="2020-01-01",
                            end="2020-02-01")  # fmt: skip
        assert nothing.structured_content["verdict"] == "none"
        assert "dates" in text_of(nothing)

    talk(story, server)


def test_similar_tiles_are_found_by_tile_and_by_place(server: MCPServer) -> None:
    async def story(client: Client) -> None:
        water = await ask(client, "search_tiles", text="water", limit=1)
        (hit,) = water.structured_content["hits"]
        by_tile = await ask(client, "find_similar", like=[hit["tile_id"]], limit=3)
        place = {"lon": hit["lon"], "lat": hit["lat"]}
        by_place = await ask(client, "find_similar", like_place=place, limit=3)
        ids = [each["tile_id"] for each in by_tile.structured_content["hits"]]
        assert ids == [each["tile_id"] for each in by_place.structured_content["hits"]]
        assert "tile ids in like" in await refused(client, "find_similar", {})

    talk(story, server)


@pytest.mark.parametrize("number", [1, 2, 9])
def test_pictures_fit_into_a_chat(server: MCPServer, number: int) -> None:
    async def story(client: Client) -> None:
        found = await ask(client, "search_tiles", text="forest", limit=number)
        ids = [hit["tile_id"] for hit in found.structured_content["hits"]]
        for tool, more in (("get_heatmap", {"text": "forest"}), ("get_tile_image", {})):
            result = await ask(client, tool, tile_ids=ids, **more)
            assert result.structured_content is None
            picture, text = result.content
            assert isinstance(picture, ImageContent)
            content = base64.b64decode(picture.data)
            assert len(content) < 500_000
            with Image.open(io.BytesIO(content)) as image:
                assert image.format == "PNG"
                assert min(image.size) >= 224
            credit = tool == "get_tile_image"
            assert len(text.text.splitlines()) == number + credit
            assert ("Copernicus" in text.text) == credit

    talk(story, server)


def test_a_heatmap_says_where_its_peak_is(server: MCPServer) -> None:
    async def story(client: Client) -> None:
        found = await ask(
            client, "search_tiles", text="forest", limit=1, response_format="detailed"
        )
        (hit,) = found.structured_content["hits"]
        result = await ask(client, "get_heatmap", tile_ids=[hit["tile_id"]], text="forest")
        match = re.search(
            r"lon (-?[\d.]+), lat (-?[\d.]+) with strength ([\d.]+), confidence ([\d.]+) ",
            text_of(result),
        )
        assert match
        lon, lat, strength, confidence = map(float, match.groups())
        west, south, east, north = hit["bounds"]
        assert west <= lon <= east
        assert south <= lat <= north
        assert 0 <= strength <= 1
        assert 0 <= confidence <= 1
        assert re.search("agree|Believe the", text_of(result))
        assert "cloud 0 %" in text_of(result)

    talk(story, server)


def test_a_tile_is_a_resource(server: MCPServer) -> None:
    async def story(client: Client) -> None:
        found = await ask(client, "search_tiles", text="forest", limit=1)
        (hit,) = found.structured_content["hits"]
        read = await client.read_resource(f"keenkite://tiles/{hit['tile_id']}")
        (content,) = read.contents
        assert content.mime_type == "image/png"
        assert base64.b64decode(content.blob).startswith(b"\x89PNG")

    talk(story, server)


def test_regions_are_resources_and_completed(server: MCPServer) -> None:
    async def story(client: Client) -> None:
        (everything,) = (await client.read_resource("keenkite://regions")).contents
        (feature,) = json.loads(everything.text)["features"]
        assert feature["properties"]["region"] == "colours"
        assert feature["properties"]["collection"] == "fake-colours"
        ring = feature["geometry"]["coordinates"][0]
        assert ring[0] == ring[-1]
        prompts = (await client.list_prompts()).prompts
        assert {prompt.name for prompt in prompts} == {"find_places", "explore_region"}
        prompt = await client.get_prompt("explore_region", {"region": "colours"})
        assert "colours" in prompt.messages[0].content.text
        typed = {"name": "region", "value": "co"}
        completed = await client.complete({"type": "ref/prompt", "name": "explore_region"}, typed)
        assert completed.completion.values == ["colours"]

    talk(story, server)


def test_an_index_on_a_qdrant_server_serves_the_same_story(tmp_path: Path) -> None:
    """Pixels and jobs stay in the data folder; the address of the server is not given away."""

    async def story(client: Client) -> None:
        assert "Nothing is indexed yet" in text_of(await ask(client, "list_indexes"))
        begun = await ask(client, "build_index", **demo().build)
        job_id = begun.structured_content["job"]["job_id"]
        ended = await ask(client, "get_build_status", job_id=job_id, wait_seconds=50)
        assert ended.structured_content["jobs"][0]["state"] == "done"
        found = await ask(client, "search_tiles", text="water", limit=1)
        (hit,) = found.structured_content["hits"]
        await ask(client, "get_heatmap", tile_ids=[hit["tile_id"]], text="water")
        everywhere = [text_of(begun), text_of(ended), text_of(found)]
        assert not any("127.0.0.1" in text for text in everywhere)

    with qdrant_serving() as qdrant:
        settings = demo().settings(data=qdrant.url, folder=tmp_path / "data")
        with serving(settings) as server:
            talk(story, server)
        assert (tmp_path / "data" / "pixels").is_dir()
        qdrant.fail = lambda method, path: 503

        async def down(client: Client) -> None:
            text = await refused(client, "search_tiles", {"text": "water"})
            assert qdrant.url not in text

        with serving(settings) as server:
            talk(down, server)
