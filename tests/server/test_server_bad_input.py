"""Whatever a client sends: a clear refusal with the next step, no leak, and a server that lives."""

import json
from collections.abc import Iterator
from typing import Any

import anyio
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mcp.client import Client
from mcp.server.mcpserver import MCPServer
from mcp.shared.exceptions import MCPError

from tests.support.server_world import (
    ERAS,
    ask,
    assert_nothing_of_the_host,
    conversation,
    demo,
    refused,
    serving,
    talk,
    text_of,
)

TILE = "32654-2240-345-3550-20240512T012345-S2B"
JOB = "build-0123456789ab"


@pytest.fixture(scope="module")
def server() -> Iterator[MCPServer]:
    with serving(demo().settings(builds_per_hour=1)) as server:
        yield server


BAD: list[tuple[str, dict[str, Any], str]] = [
    ("search_tiles", {}, "It needs text"),
    ("search_tiles", {"text": "water", "bbbox": [1, 2, 3, 4]}, "did you mean 'bbox'?"),
    ("search_tiles", {"text": "water", "limmit": 3}, "did you mean 'limit'?"),
    ("search_tiles", {"text": "water", "limit": "ten"}, "valid integer"),
    ("search_tiles", {"text": "water", "limit": 51}, "less than or equal to 50"),
    ("search_tiles", {"text": "water", "limit": True}, "a number is expected"),
    ("search_tiles", {"text": " "}, "a text is expected"),
    ("search_tiles", {"text": "a" * 10_000}, "not 10,000 characters"),
    ("search_tiles", {"text": ["water"]}, "valid string"),
    ("search_tiles", {"text": None}, "valid string"),
    ("search_tiles", {"text": "water", "bbox": [35.9, 139.6, 36.0, 139.7]}, "comes first"),
    ("search_tiles", {"text": "water", "bbox": [139.7, 35.5, 139.6, 35.6]}, "west"),
    ("search_tiles", {"text": "water", "bbox": [139.6, 35.6, 139.7, 35.5]}, "south"),
    ("search_tiles", {"text": "water", "bbox": [1, 2, 3]}, "at least 4"),
    ("search_tiles", {"text": "water", "bbox": ["a", "b", "c", "d"]}, "valid number"),
    ("search_tiles", {"text": "water", "bbox": [0, 0, 1, 1]}, "build_index"),
    ("search_tiles", {"text": "water", "bbox": [0, 0, 1, 1], "circle":
        {"lon": 0, "lat": 0, "radius_km": 1}}, "one area"),
    ("search_tiles", {"text": "water", "polygon": [[0, 0], [1, 1], [0, 1], [1, 0]]}, "polygon"),
    ("search_tiles", {"text": "water", "circle": {"lon": 200, "lat": 0, "radius_km": 1}}, "180"),
    ("search_tiles", {"text": "water", "circle": {"lon": 0, "lat": 0, "radius": 1}}, "radius_km"),
    ("search_tiles", {"text": "water", "start": "May 2024"}, "year-month-day"),
    ("search_tiles", {"text": "water", "start": 20240501}, "year-month-day"),
    ("search_tiles", {"text": "water", "start": "2024-13-01"}, "start"),
    ("search_tiles", {"text": "water", "start": "2024-06-01", "end": "2024-05-01"}, "swap"),
    ("search_tiles", {"text": "water", "region": "../../etc"}, "region's name"),
    ("search_tiles", {"text": "water", "region": "atlantis"}, "Indexed: colours"),
    ("search_tiles", {"text": "water", "collection": "../../etc"}, "collection's name"),
    ("search_tiles", {"text": "water", "collection": "atlantis"}, "There are: fake-colours"),
    ("search_tiles", {"text": "water", "max_cloud": "much"}, 'or per cent (20, "20%")'),
    ("search_tiles", {"text": "water", "max_cloud": 101}, 'or per cent (20, "20%")'),
    ("search_tiles", {"text": "water", "max_cloud": True}, "a fraction (0.2)"),
    ("search_tiles", {"text": "water", "cover": {"lava": [0, 1]}}, "no argument 'cover.lava'"),
    ("search_tiles", {"text": "water", "cover": {"water": [0.9, 0.1]}}, "lowest"),
    ("search_tiles", {"text": "water", "cover": {"water": [0, 40]}}, "less than or equal to 1"),
    ("search_tiles", {"text": "water", "near": [{"text": "sea", "within_km": 0}]}, "greater"),
    ("search_tiles", {"text": "water", "near": [{"text": "sea", "within_km": 10_000}]}, "100"),
    ("search_tiles", {"text": "water", "near": "sea"}, "valid list"),
    ("search_tiles", {"text": "water", "exclude": ["water"]}, "excluded"),
    ("search_tiles", {"text": "water", "cursor": "nonsense"}, "cursor"),
    ("search_tiles", {"text": "water", "response_format": "xml"}, "concise"),
    ("get_heatmap", {"tile_ids": ["../../etc/passwd"], "text": "water"}, "a tile id has the form"),
    ("get_heatmap", {"tile_ids": [TILE]}, "'text' is missing"),
    ("get_heatmap", {"tile_ids": [], "text": "water"}, "at least 1"),
    ("get_heatmap", {"tile_ids": [TILE] * 10, "text": "water"}, "at most 9"),
    ("get_tile_image", {"tile_ids": [TILE]}, "search_tiles"),
    ("get_tile_image", {"tile_id": TILE}, "did you mean 'tile_ids'?"),
    ("find_similar", {"like": [TILE]}, "find_similar"),
    ("find_similar", {"like": ["/etc/passwd"]}, "a tile id has the form"),
    ("find_similar", {"like": ["32654-345-3550-20240512-S2B"]}, "32654-2240-345-3550-20240512T"),
    ("find_similar", {"unlike": [TILE]}, "like"),
    ("get_build_status", {"job_id": "../jobs"}, "a job id has the form"),
    ("get_build_status", {"job_id": JOB}, "no build"),
    ("get_build_status", {"job_id": JOB, "wait_seconds": 1000}, "50"),
    ("cancel_build", {"job_id": JOB}, "no build"),
    ("cancel_build", {}, "It needs job_id"),
    ("build_index", {"region": "x", "start": "2024-05-01", "end": "2024-05-31"}, "bbox"),
    ("build_index", {"region": "x", "bbox": [139, 35, 140, 36], "start": "2024-05-01",
        "end": "2024-05-02", "collection": "atlantis"}, "There are: fake-colours"),
    ("build_index", {"region": "x/y", "bbox": [139, 35, 140, 36], "start": "2024-05-01",
        "end": "2024-05-31"}, "region's name"),
    ("build_index", {"region": "x", "bbox": [0, 0, 1, 1], "start": "2024-05-01",
        "end": "2024-05-31"}, "no scene"),
    ("build_index", {"region": "x", "bbox": [139, 35, 140, 36], "start": "2024-05-31",
        "end": "2024-05-01"}, "swap"),
    ("build_index", {"region": "x", "bbox": [139, 35, 140, 36], "start": "2000-05-31",
        "end": "2024-05-01"}, "days"),
    ("build_index", {"region": "x", "bbox": [100, 0, 140, 36], "start": "2024-05-01",
        "end": "2024-05-02"}, "km²"),
    ("build_index", {"region": "x", "bbox": [139, 35, 140, 36], "start": "2024-05-01",
        "end": "2024-05-02", "catalog": "http://example.org"}, "no argument 'catalog'"),
    ("list_indexes", {"region": "x"}, "no argument 'region'"),
    ("no_such_tool", {}, "Unknown tool"),
]  # fmt: skip


@pytest.mark.parametrize("era", ERAS)
def test_a_bad_call_is_refused_with_the_next_step(server: MCPServer, era: str) -> None:
    async def story(client: Client) -> None:
        for tool, arguments, expected in BAD:
            text = await refused(client, tool, arguments)
            assert expected in text, (tool, arguments, text)
            assert len(text) < 1600
        await ask(client, "search_tiles", text="water")

    talk(story, server, mode=ERAS[era])


def test_strings_that_no_terminal_can_show_pass_through_stdio() -> None:
    """Sent byte by byte: the SDK's own client cannot encode half a surrogate."""
    texts = ["wa\\u0000ter", "\\u001b[31mred", "水" * 200, "🛰️"]
    call = (
        '{{"jsonrpc": "2.0", "id": {}, "method": "tools/call", "params": {{"name": "search_tiles"'
    )
    call += ', "arguments": {{"text": "{}", "limit": 1}}}}}}'
    with conversation(demo().environment()) as (say, answer):
        say(call.format(2, "\\ud800"))  # no JSON: the SDK's transport drops it without an answer
        for number, text in enumerate(texts, start=3):
            say(call.format(number, text))
            told = answer()
            assert told["id"] == number
            assert_nothing_of_the_host(json.dumps(told))
        say('{"jsonrpc": "2.0", "id": 99, "method": "tools/list", "params": {}}')
        assert answer()["id"] == 99


def test_fifty_searches_at_once_are_answered_alike(server: MCPServer) -> None:
    async def story(client: Client) -> None:
        answers: list[str] = []

        async def one() -> None:
            answers.append(text_of(await ask(client, "search_tiles", text="water", limit=3)))

        async with anyio.create_task_group() as group:
            for _ in range(50):
                group.start_soon(one)
        assert len(answers) == 50
        assert len(set(answers)) == 1

    talk(story, server)


@pytest.mark.parametrize(
    "uri",
    [
        "keenkite://tiles/..%2F..%2Fetc%2Fpasswd",
        "keenkite://tiles/" + TILE,
        "keenkite://tiles/x",
        "keenkite://regions/atlantis",
        "keenkite://regions/..%2F..",
        "file:///etc/passwd",
    ],
)
def test_a_resource_that_is_not_there_is_a_protocol_error(server: MCPServer, uri: str) -> None:
    async def story(client: Client) -> None:
        with pytest.raises(MCPError) as caught:
            await client.read_resource(uri)
        assert caught.value.error.code == -32602
        assert_nothing_of_the_host(str(caught.value))

    talk(story, server)


# --- generated arguments ----------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
LON, LAT = st.floats(-190, 190), st.floats(-95, 95)
DAYS = st.dates().map(str) | st.just("2024-05-12")
IDS = st.sampled_from(
    [
        TILE,
        "32654-2240-333-3550-20240512T012345-S2B",
        "32654-2240-@386401.5-3976000-20240512T012345-S2B",
        "../x",
        "",
    ]
)
PLAUSIBLE: dict[str, st.SearchStrategy[Any]] = {
    "text": st.text(max_size=40) | st.just("water"),
    "bbox": st.tuples(LON, LAT, LON, LAT).map(list) | st.just([139.5, 35.9, 139.8, 36.1]),
    "circle": st.fixed_dictionaries({"lon": LON, "lat": LAT, "radius_km": st.floats(-1, 2000)}),
    "polygon": st.lists(st.tuples(LON, LAT).map(list), max_size=6),
    "like_place": st.fixed_dictionaries({"lon": LON, "lat": LAT}),
    "start": DAYS,
    "end": DAYS,
    "max_cloud": st.floats(-1, 101) | st.sampled_from(["20%", "1", "-3 %", "much"]),
    "spans": st.lists(st.floats(-1, 5000) | st.just(2240), max_size=6),
    "collection": st.sampled_from(["fake-colours", "x", "..", ""]),
    "cover": st.dictionaries(st.sampled_from(["water", "snow", "lava"]),
                             st.lists(st.floats(-1, 2), max_size=3)),
    "near": st.lists(st.fixed_dictionaries(
        {"text": st.sampled_from(["sea", "", "forest"]), "within_km": st.floats(-1, 200)}),
        max_size=4),
    "exclude": st.lists(st.text(max_size=10) | st.just("forest"), max_size=3),
    "region": st.sampled_from(["colours", "x", "", "../.."]) | st.text(max_size=70),
    "limit": st.integers(-5, 60),
    "cursor": st.text(max_size=30),
    "response_format": st.sampled_from(["concise", "detailed", "x"]),
    "tile_ids": st.lists(IDS, max_size=11),
    "like": st.lists(IDS, max_size=3),
    "unlike": st.lists(IDS, max_size=3),
    "job_id": st.sampled_from([JOB, "build-", "../../x"]) | st.text(max_size=20),
    "wait_seconds": st.integers(-10, 0),
    "choose": st.sampled_from(["every-date", "least-cloudy", "x"]),
    "dry_run": st.just(True),
}  # fmt: skip
TOOLS = {
    "search_tiles": ["text", "bbox", "circle", "polygon", "start", "end", "max_cloud", "cover",
                     "near", "exclude", "region", "spans", "collection", "limit", "cursor",
                     "response_format"],
    "find_similar": ["like", "unlike", "like_place", "bbox", "start", "end", "region", "collection",
                     "limit"],
    "get_heatmap": ["tile_ids", "text", "collection"],
    "get_tile_image": ["tile_ids"],
    "list_indexes": [],
    "get_build_status": ["job_id", "wait_seconds"],
    "build_index": ["region", "bbox", "circle", "polygon", "start", "end", "max_cloud", "choose",
                    "collection"],
    "cancel_build": ["job_id"],
}  # fmt: skip


@st.composite
def calls(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """A tool and arguments for it: plausible ones, strange ones, and some that it has not."""
    tool = draw(st.sampled_from(sorted(TOOLS)))
    names = draw(st.lists(st.sampled_from(TOOLS[tool]), unique=True)) if TOOLS[tool] else []
    arguments = {name: draw(PLAUSIBLE[name]) for name in names}
    if tool == "build_index":
        arguments["dry_run"] = True
    if draw(st.integers(0, 3)) == 0:
        name = draw(st.sampled_from(TOOLS[tool] or ["x"]) | st.text(max_size=10))
        if name != "wait_seconds":
            arguments[name] = draw(JSON)
    return tool, arguments


@pytest.fixture(scope="module")
def client(server: MCPServer) -> Iterator[tuple[BlockingPortal, Client]]:
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(Client(server)) as connected,
    ):
        yield portal, connected


@settings(max_examples=2000, deadline=None, suppress_health_check=list(HealthCheck))
@given(call=calls())
def test_generated_calls_never_crash_a_tool_or_leak(
    client: tuple[BlockingPortal, Client], call: tuple[str, dict[str, Any]]
) -> None:
    portal, connected = client
    tool, arguments = call
    result = portal.call(connected.call_tool, tool, arguments)
    text = text_of(result)
    assert_nothing_of_the_host(text)
    if result.is_error:
        assert text.startswith(tool)
        assert len(text) < 1600
    json.dumps(result.model_dump(mode="json"), allow_nan=False).encode()
