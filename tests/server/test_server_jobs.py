"""Builds outlive the call, the client and the server; several servers share one folder."""

import json
import os
import signal
import subprocess
import sys
import time
from datetime import date
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.client import Client

from keenkite.area import Area
from keenkite.build import BuildRequest
from keenkite.index import TileIndex
from keenkite_server.jobs import JobStore
from tests.support.fakes import FakeEncoder
from tests.support.paths import ROOT
from tests.support.server_world import (
    HELLO,
    Demo,
    ask,
    collection_in,
    demo,
    serving,
    stdio,
    talk,
    text_of,
)

SLOW = 0.1
"""Seconds a batch of tiles: a build then takes some seconds."""


@pytest.fixture(scope="module")
def world() -> Demo:
    return demo()


@pytest.fixture(scope="module")
def everything(world: Demo, tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The ids of all tiles that an undisturbed build of the world ends with."""
    data = tmp_path_factory.mktemp("undisturbed") / "data"

    async def story(client: Client) -> None:
        begun = await ask(client, "build_index", **world.build)
        job_id = begun.structured_content["job"]["job_id"]
        await ask(client, "get_build_status", job_id=job_id, wait_seconds=50)

    with serving(world.settings(data)) as server:
        talk(story, server)
    return tile_ids(data)


def tile_ids(data: Path) -> set[str]:
    with TileIndex.open(collection_in(data), encoder=None) as index:
        return {tile.id for tile in index.scroll()}


async def started(client: Client, world: Demo) -> str:
    begun = await ask(client, "build_index", **world.build)
    job_id: str = begun.structured_content["job"]["job_id"]
    return job_id


async def job_of(client: Client, job_id: str, wait: int = 0) -> dict[str, Any]:
    status = await ask(client, "get_build_status", job_id=job_id, wait_seconds=wait)
    (job,) = status.structured_content["jobs"]
    return dict(job)


@pytest.fixture(autouse=True)
def _answer_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keenkite_server.build_tools.A_FEW_SECONDS", 0.3)


def test_a_long_build_answers_with_an_id_and_goes_on(
    world: Demo, everything: set[str], tmp_path: Path
) -> None:
    async def story(client: Client) -> None:
        begun = await ask(client, "build_index", **world.build)
        job = begun.structured_content["job"]
        assert job["state"] in ("queued", "running")
        assert f"get_build_status with job_id {job['job_id']}" in text_of(begun)
        during = await ask(client, "list_indexes")
        assert job["job_id"] in text_of(during)
        heard: list[float] = []

        async def hear(done: float, total: float | None, message: str | None) -> None:
            heard.append(done)

        arguments = {"job_id": job["job_id"], "wait_seconds": 50}
        await client.call_tool("get_build_status", arguments, progress_callback=hear)
        assert (await job_of(client, job["job_id"]))["state"] == "done"
        assert len(heard) > 1
        assert heard == sorted(heard)

    with serving(world.settings(tmp_path / "data"), slow=SLOW) as server:
        talk(story, server)
    assert tile_ids(tmp_path / "data") == everything


def test_a_client_that_leaves_in_the_middle_finds_its_build_again(
    world: Demo, tmp_path: Path
) -> None:
    with serving(world.settings(tmp_path / "data"), slow=SLOW) as server:
        job_id = talk(lambda client: started(client, world), server)
        job = talk(lambda client: job_of(client, job_id, wait=50), server)
    assert job["state"] == "done"


def test_a_cancelled_build_stops_and_keeps_what_is_done(
    world: Demo, everything: set[str], tmp_path: Path
) -> None:
    async def story(client: Client) -> None:
        job_id = await started(client, world)
        while (await job_of(client, job_id))["scenes_done"] < 1:
            await anyio.sleep(0.05)
        cancelled = await ask(client, "cancel_build", job_id=job_id)
        job = await job_of(client, job_id, wait=20)
        assert job["state"] == "cancelled", text_of(cancelled)
        # A second time it is no error, and building again does the rest.
        await ask(client, "cancel_build", job_id=job_id)
        job = await job_of(client, await started(client, world), wait=50)
        assert job["state"] == "done"
        assert job["scenes"] < 4

    with serving(world.settings(tmp_path / "data"), slow=SLOW) as server:
        talk(story, server)
    assert tile_ids(tmp_path / "data") == everything


def test_builds_wait_for_each_other(world: Demo, tmp_path: Path) -> None:
    async def story(client: Client) -> None:
        first = await started(client, world)
        second = await ask(client, "build_index", **{**world.build, "region": "again"})
        job = second.structured_content["job"]
        assert job["state"] == "queued"
        await ask(client, "cancel_build", job_id=first)
        assert (await job_of(client, job["job_id"], wait=50))["state"] == "done"

    with serving(world.settings(tmp_path / "data"), slow=SLOW) as server:
        talk(story, server)


# --- servers that die -------------------------------------------------------------------------


@pytest.fixture
def killed(world: Demo, tmp_path: Path) -> tuple[Path, str]:
    """A data folder whose server was killed in the middle of a build, and the build's id."""
    data = tmp_path / "data"
    environment = world.environment(data, KEENKITE_TEST_SLOW="0.2")
    server = subprocess.Popen(
        [sys.executable, "-W", "ignore", str(ROOT / "tests" / "support" / "serve_fake.py")],
        env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT,
    )  # fmt: skip
    assert server.stdin is not None
    for message in (
        {"id": 1, "method": "initialize", "params": HELLO},
        {"method": "notifications/initialized"},
        {"id": 2, "method": "tools/call",
         "params": {"name": "build_index", "arguments": world.build}},
    ):  # fmt: skip
        server.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        server.stdin.flush()
    record = wait_for(lambda: next(iter((data / "jobs").glob("build-*.json")), None))
    wait_for(lambda: json.loads(record.read_text())["scenes_done"] >= 1)
    os.kill(server.pid, signal.SIGKILL)
    server.communicate()
    return data, record.stem


def wait_for(look: Any, seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.02)
    raise TimeoutError("it never came")


def test_a_killed_build_shows_as_interrupted_and_what_is_done_can_be_searched(
    world: Demo, killed: tuple[Path, str]
) -> None:
    data, job_id = killed

    async def story(client: Client) -> None:
        job = await job_of(client, job_id)
        assert job["state"] == "interrupted"
        assert job["scenes_done"] >= 1
        found = await ask(client, "search_tiles", text="water")
        assert found.structured_content["hits"]

    with serving(world.settings(data, read_only=True)) as server:
        talk(story, server)


def test_the_next_server_goes_on_with_a_killed_build(
    world: Demo, killed: tuple[Path, str], everything: set[str]
) -> None:
    data, job_id = killed

    async def story(client: Client) -> None:
        job = await job_of(client, job_id, wait=50)
        assert job["state"] == "done"

    talk(story, stdio(world.environment(data)))
    assert tile_ids(data) == everything


def test_an_interrupted_build_can_be_cancelled(world: Demo, killed: tuple[Path, str]) -> None:
    data, job_id = killed

    async def story(client: Client) -> None:
        await ask(client, "cancel_build", job_id=job_id)
        assert (await job_of(client, job_id))["state"] == "cancelled"

    with serving(world.settings(data)) as server:
        talk(story, server)


@pytest.mark.slow
def test_two_servers_work_on_one_folder_at_the_same_time(
    world: Demo, everything: set[str], tmp_path: Path
) -> None:
    """One builds while the other searches, sees the build and cancels a second one."""
    data = tmp_path / "data"
    slow = world.environment(data, KEENKITE_TEST_SLOW="2")

    async def story(one: Client, other: Client) -> None:
        job_id = await started(one, world)
        while (await job_of(other, job_id))["scenes_done"] < 1:
            await anyio.sleep(0.05)
        searches = 0
        while (await job_of(other, job_id))["state"] == "running":
            assert (await ask(other, "search_tiles", text="water")).structured_content["hits"]
            searches += 1
        assert searches
        assert (await job_of(other, job_id))["state"] == "done"
        again = await ask(one, "build_index", **{**world.build, "region": "second"})
        second = again.structured_content["job"]["job_id"]
        await ask(other, "cancel_build", job_id=second)
        assert (await job_of(one, second, wait=20))["state"] in ("cancelled", "done")

    async def main() -> None:
        with anyio.fail_after(120):
            async with Client(stdio(slow)) as one, Client(stdio(slow)) as other:
                await story(one, other)

    anyio.run(main)
    assert everything <= tile_ids(data)


def test_a_build_that_brings_down_servers_is_given_up(world: Demo, tmp_path: Path) -> None:
    data = tmp_path / "data"
    TileIndex.open(collection_in(data), encoder=FakeEncoder()).close()
    request = BuildRequest(
        region="r", area=Area.from_bbox(*world.bbox), start=date(2024, 5, 1),
        end=date(2024, 5, 31),
    )  # fmt: skip
    with JobStore(data / "jobs") as store:
        job = store.create(request, collection="fake-colours", tiles=5, scenes=1)
        store.update(job, runs=5)
    ended = talk(lambda client: job_of(client, job.id, wait=20), stdio(world.environment(data)))
    assert ended["state"] == "failed"
