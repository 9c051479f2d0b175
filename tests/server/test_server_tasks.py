"""The Tasks extension: a client that declares it follows a build as a task (SEP-2663)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import anyio
import pytest
from mcp.client import Client
from mcp.client.extension import ClaimContext, ClientExtension, ResultClaim, advertise
from mcp.server.mcpserver import MCPServer
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult, Request, Result
from pydantic import ConfigDict, Field

from tests.support.server_world import ask, demo, serving, talk

TASKS = "io.modelcontextprotocol/tasks"
MISSING_CAPABILITY = -32021


class Created(Result):
    """A CreateTaskResult; everything on the wire is kept."""

    model_config = ConfigDict(extra="allow")
    result_type: Literal["task"] = Field("task", alias="resultType")


class Answer(Result):
    """Of tasks/*."""

    model_config = ConfigDict(extra="allow")


class TasksClient(ClientExtension):
    """Keeps what was created, and answers the call without following it."""

    identifier = TASKS

    def __init__(self) -> None:
        self.created: dict[str, Any] = {}

    def claims(self) -> list[ResultClaim[Any]]:
        return [ResultClaim(result_type="task", model=Created, resolve=self._resolve)]

    async def _resolve(self, created: Created, context: ClaimContext) -> CallToolResult:
        self.created = created.model_dump(by_alias=True, mode="json")
        nothing = {"collection": "fake-colours", "max_cloud": 1.0, "scenes": 0, "tiles": 0}
        return CallToolResult(content=[], structured_content={"dry_run": False, **nothing})


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MCPServer]:
    with serving(demo().settings(tmp_path / "data"), slow=0.05) as server:
        yield server


async def send(client: Client, method: str, **params: Any) -> dict[str, Any]:
    request = Request[dict[str, Any], str](method=method, params=params)
    answer = await client.session.send_request(request, Answer)
    return answer.model_dump(by_alias=True, mode="json", exclude_none=True, exclude={"meta"})


def test_a_build_is_a_task_until_it_is_completed(server: MCPServer) -> None:
    tasks = TasksClient()

    async def story(client: Client) -> None:
        assert TASKS in (client.server_capabilities.extensions or {})
        await ask(client, "build_index", **demo().build)
        task = tasks.created
        assert task["status"] == "working"
        assert task["ttlMs"] is None
        assert isinstance(task["pollIntervalMs"], int)
        assert not {"task", "result", "ttl", "requestState"} & set(task)
        task_id = task["taskId"]

        at_once = await send(client, "tasks/get", taskId=task_id)
        assert at_once["taskId"] == task_id
        assert "result" not in at_once
        assert await send(client, "tasks/update", taskId=task_id, inputResponses={}) == {
            "resultType": "complete"
        }
        while (found := await send(client, "tasks/get", taskId=task_id))["status"] == "working":
            await anyio.sleep(0.1)
        assert found["status"] == "completed"
        assert found["resultType"] == "complete"
        job = found["result"]["structuredContent"]["job"]
        assert (job["job_id"], job["state"]) == (task_id, "done")
        assert "tiles kept" in found["result"]["content"][0]["text"]
        # The plain tools see the same build.
        await ask(client, "get_build_status", job_id=task_id)

    talk(story, server, extensions=[tasks])


def test_a_task_can_be_cancelled_twice(server: MCPServer) -> None:
    tasks = TasksClient()

    async def story(client: Client) -> None:
        await ask(client, "build_index", **demo().build)
        task_id = tasks.created["taskId"]
        for _ in range(2):
            assert await send(client, "tasks/cancel", taskId=task_id) == {"resultType": "complete"}
        while (found := await send(client, "tasks/get", taskId=task_id))["status"] == "working":
            await anyio.sleep(0.1)
        assert found["status"] == "cancelled"
        assert "result" not in found

    talk(story, server, extensions=[tasks])


def test_only_a_build_that_was_begun_is_a_task(server: MCPServer) -> None:
    tasks = TasksClient()

    async def story(client: Client) -> None:
        dry = await ask(client, "build_index", **demo().build, dry_run=True)
        assert dry.structured_content["dry_run"]
        wrong = await client.call_tool("build_index", {**demo().build, "region": "a/b"})
        assert wrong.is_error
        await ask(client, "list_indexes")
        assert tasks.created == {}

    talk(story, server, extensions=[tasks])


@pytest.mark.parametrize("task_id", ["build-0123456789ab", "no-such-task", "../../etc/passwd"])
def test_an_unknown_task_is_invalid_params(server: MCPServer, task_id: str) -> None:
    async def story(client: Client) -> None:
        for method in ("tasks/get", "tasks/cancel", "tasks/update"):
            with pytest.raises(MCPError) as caught:
                await send(client, method, taskId=task_id)
            assert caught.value.error.code == -32602

    talk(story, server, extensions=[TasksClient()])


def test_a_client_without_the_extension_gets_no_task(server: MCPServer) -> None:
    async def story(client: Client) -> None:
        begun = await ask(client, "build_index", **demo().build)
        job_id = begun.structured_content["job"]["job_id"]
        with pytest.raises(MCPError) as caught:
            await send(client, "tasks/get", taskId=job_id)
        assert caught.value.error.code == MISSING_CAPABILITY

    talk(story, server)


def test_tasks_of_the_draft_before_are_not_there(server: MCPServer) -> None:
    async def story(client: Client) -> None:
        for method in ("tasks/list", "tasks/result"):
            with pytest.raises(MCPError) as caught:
                await send(client, method, taskId="build-0123456789ab")
            assert caught.value.error.code == -32601

    talk(story, server, extensions=[advertise(TASKS, {})])
