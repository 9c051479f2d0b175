"""Who decides about large builds: the user, and above that the operator; and the jobs' records."""

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from mcp.client import Client
from mcp_types import ElicitRequestParams, ElicitResult

from keenkite.area import Area
from keenkite.build import BuildRequest
from keenkite.errors import InputError, TileIndexError
from keenkite_server.jobs import JobStore
from tests.support.server_world import Demo, ask, demo, refused, serving, talk


@pytest.fixture(scope="module")
def world() -> Demo:
    return demo()


@pytest.fixture(autouse=True)
def _answer_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keenkite_server.build_tools.A_FEW_SECONDS", 0.3)


def answering(action: str, build: bool = True) -> Any:
    """A user's answer to a question."""

    async def callback(context: Any, params: ElicitRequestParams) -> ElicitResult:
        assert "tiles" in params.message
        return ElicitResult(action=action, content={"build": build} if action == "accept" else None)

    return callback


@pytest.mark.parametrize("mode", ["legacy", "auto"])
def test_a_large_build_asks_the_user(world: Demo, tmp_path: Path, mode: str) -> None:
    async def agreed(client: Client) -> None:
        await ask(client, "build_index", **world.build)

    async def declined(client: Client) -> None:
        assert "declined" in await refused(client, "build_index", world.build)

    with serving(world.settings(tmp_path / "data", confirm_tiles=10)) as server:
        for answer in (answering("decline"), answering("cancel"), answering("accept", False)):
            talk(declined, server, mode=mode, elicitation_callback=answer)
        talk(agreed, server, mode=mode, elicitation_callback=answering("accept"))


def test_a_client_that_cannot_ask_must_say_that_the_user_agreed(
    world: Demo, tmp_path: Path
) -> None:
    async def story(client: Client) -> None:
        assert "confirmed=true" in await refused(client, "build_index", world.build)
        await ask(client, "build_index", **world.build, dry_run=True)
        await ask(client, "build_index", **world.build, confirmed=True)

    with serving(world.settings(tmp_path / "data", confirm_tiles=10)) as server:
        talk(story, server)


def test_a_build_above_the_hard_limit_is_refused_whatever_the_user_says(
    world: Demo, tmp_path: Path
) -> None:
    async def story(client: Client) -> None:
        large = {**world.build, "confirmed": True}
        assert "more than the 10 allowed" in await refused(client, "build_index", large)

    with serving(world.settings(tmp_path / "data", max_tiles=10)) as server:
        talk(story, server, elicitation_callback=answering("accept"))


def test_builds_are_limited_by_the_hour(world: Demo, tmp_path: Path) -> None:
    async def story(client: Client) -> None:
        await ask(client, "build_index", **world.build)
        other = {**world.build, "region": "other"}
        assert "within the last hour" in await refused(client, "build_index", other)

    with serving(world.settings(tmp_path / "data", builds_per_hour=1)) as server:
        talk(story, server)


# --- the records ------------------------------------------------------------------------------


@pytest.fixture
def request_() -> BuildRequest:
    return BuildRequest(
        region="r", area=Area.around(139.6, 35.9, 3.0), start=date(2024, 5, 1),
        end=date(2024, 5, 31), max_cloud="20%", choose="least-cloudy", spans=(1120, 2240),
    )  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Iterator[JobStore]:
    with JobStore(tmp_path) as store:
        yield store


@pytest.fixture
def other_server(tmp_path: Path) -> Iterator[JobStore]:
    """Another server's view of the same folder."""
    with JobStore(tmp_path) as store:
        yield store


def test_a_record_says_again_what_was_asked(
    store: JobStore, other_server: JobStore, request_: BuildRequest
) -> None:
    job = store.create(request_, collection="c", tiles=5, scenes=1)
    again = other_server.read(job.id)
    assert again.request == request_
    assert again.request.max_cloud == 0.2
    assert again.collection == "c"


def test_a_job_is_interrupted_once_its_server_lets_go(
    store: JobStore, other_server: JobStore, request_: BuildRequest
) -> None:
    job = store.create(request_, collection="c", tiles=5, scenes=1)
    assert other_server.read(job.id).state == "queued"
    assert other_server.adopt() == []
    store.release(job.id)
    assert other_server.read(job.id).state == "interrupted"
    assert [each.id for each in other_server.adopt()] == [job.id]
    assert store.adopt() == []


@pytest.mark.parametrize("content", ["{", "[]", "null", '{"id": 1}', "of another version"])
def test_a_damaged_record_is_named_and_harms_no_other(
    store: JobStore, request_: BuildRequest, tmp_path: Path, content: str
) -> None:
    job = store.create(request_, collection="c", tiles=5, scenes=1)
    if content == "of another version":
        record = job.to_json()
        content = json.dumps({**record, "request": {**record["request"], "area": "tokyo"}})
    (tmp_path / f"{job.id}.json").write_text(content)
    other = store.create(request_, collection="c", tiles=5, scenes=1)
    with pytest.raises(TileIndexError, match=job.id):
        store.read(job.id)
    assert [each.id for each in store.all()] == [other.id]


@pytest.mark.parametrize("job_id", ["../x", "build-", "build-../../../x", "build-0123456789ab/x"])
def test_an_id_never_leads_out_of_the_folder(job_id: str, store: JobStore) -> None:
    with pytest.raises(InputError):
        store.read(job_id)
