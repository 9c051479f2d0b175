"""Pages of an answer, as a client turns them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mcp.client import Client
from mcp.server.mcpserver import MCPServer

from keenkite.index import TileIndex
from tests.support.fakes import FakeEncoder
from tests.support.server_world import ask, collection_in, demo, serving, talk, text_of
from tests.support.sown import meadow, plain, seen, tile

ANSWERS, DATES = 45, 6
"""Places that show water, each seen on some dates: more tiles than are looked at first."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MCPServer]:
    data: Path = tmp_path_factory.mktemp("pages") / "data"
    ground = meadow()
    places = ground[:: len(ground) // ANSWERS][:ANSWERS]
    water = [
        tile(place.column, place.row, day=day, regions=("lakes",))
        for place in places
        for day in range(2, 2 + DATES)
    ]
    # From clear to hardly seen, so that there is an order and an end.
    noise = np.linspace(0.0, 0.5, len(water))
    vectors = [*plain(len(ground)), *(seen("water", noise[i], i) for i in range(len(water)))]
    with TileIndex.open(collection_in(data), encoder=FakeEncoder()) as index:
        index.upsert([*ground, *water], np.stack(vectors))
    with serving(demo().settings(data)) as server:
        yield server


def turned(server: MCPServer, *limits: int, **asked: Any) -> list[dict[str, Any]]:
    """Every page of an answer; the last limit stands for all that follow."""

    async def story(client: Client) -> list[dict[str, Any]]:
        pages: list[dict[str, Any]] = []
        while not pages or "next_cursor" in pages[-1]:
            more = {"cursor": pages[-1]["next_cursor"]} if pages else {}
            limit = limits[min(len(pages), len(limits) - 1)]
            page = await ask(client, "search_tiles", text="water", limit=limit, **asked, **more)
            pages.append(page.structured_content)
        return pages

    return talk(story, server)


def ranks_and_ids(pages: list[dict[str, Any]]) -> list[tuple[int, str]]:
    return [(hit["rank"], hit["tile_id"]) for page in pages for hit in page["hits"]]


@pytest.mark.parametrize("limits", [(10,), (20,), (50,), (7, 20, 3)])
def test_pages_of_any_limit_have_every_answer_once(
    server: MCPServer, limits: tuple[int, ...]
) -> None:
    pages = turned(server, *limits, region="lakes", min_confidence=0)
    shown = ranks_and_ids(pages)
    assert [rank for rank, _ in shown] == list(range(1, ANSWERS + 1))
    cells = {tile_id.rsplit("-", 2)[0] for _, tile_id in shown}
    assert len(cells) == ANSWERS
    assert shown == ranks_and_ids(turned(server, 50, region="lakes", min_confidence=0))


def test_pages_end_where_hits_are_cut_and_say_how_many(server: MCPServer) -> None:
    at_once, *none = turned(server, 50)
    assert not none
    assert 1 < len(at_once["hits"]) < 50
    assert len(at_once["hits"]) + at_once["below"] == 51  # with the one that is looked ahead
    assert min(hit["confidence"] for hit in at_once["hits"]) >= 0.15
    assert ranks_and_ids(turned(server, 4)) == ranks_and_ids([at_once])


def test_a_page_has_the_verdicts_of_the_whole_answer(server: MCPServer) -> None:
    first, *others = turned(server, 10, region="lakes", min_confidence=0)
    assert len(others) == 4
    assert first["verdict"] == "strong"
    for page in others:
        for name in ("verdict", "verdicts", "conditions", "calibrated", "notes"):
            assert page[name] == first[name]


def test_what_was_cut_is_shown_when_it_is_asked_for(server: MCPServer) -> None:
    async def story(client: Client) -> None:
        cut = await ask(client, "search_tiles", text="purple", min_confidence=0.99)
        (hit,) = cut.structured_content["hits"]  # the first never is
        below = cut.structured_content["below"]
        assert f"{below} more below 0.99; a min_confidence of 0 shows them" in text_of(cut)
        whole = await ask(client, "search_tiles", text="purple", min_confidence=0)
        assert whole.structured_content["hits"][0] == hit
        assert len(whole.structured_content["hits"]) == 10
        assert whole.structured_content["below"] == 0

    talk(story, server)
