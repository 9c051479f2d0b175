"""The Tasks extension (SEP-2663): a client that declares it follows a build as a task.

The task is the job: its id, its record and its cancellation are the job's, so a task outlives the
server as a job does. Clients without the extension get the same answers from build_index.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import anyio
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.extension import Extension, MethodBinding
from mcp.server.mcpserver.server import require_client_extension
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, CallToolRequestParams, CallToolResult, RequestParams
from pydantic import Field

from keenkite.errors import InputError

from .build_tools import AS_TASK, build_answer
from .library import Library
from .stock import BuildOut, job_out

MODERN = frozenset({"2026-07-28"})
POLL_MS = 2000

_STATUS = {
    "queued": "working",
    "running": "working",
    "interrupted": "working",  # the next server goes on with it
    "done": "completed",
    "failed": "completed",  # a tool's error is a result; "failed" is for protocol errors
    "cancelled": "cancelled",
}


class TaskParams(RequestParams):
    """Of tasks/get, tasks/cancel and tasks/update."""

    task_id: str = Field(alias="taskId")


class BuildTasks(Extension):
    """Builds as tasks."""

    identifier = "io.modelcontextprotocol/tasks"

    def __init__(self, library: Library) -> None:
        self._library = library

    def methods(self) -> Sequence[MethodBinding]:
        """See `Extension.methods`."""
        handlers = {
            "tasks/get": self._get,
            "tasks/cancel": self._cancel,
            "tasks/update": self._update,
        }
        return [
            MethodBinding(name, TaskParams, handler, protocol_versions=MODERN)
            for name, handler in handlers.items()
        ]

    async def intercept_tool_call(
        self,
        params: CallToolRequestParams,
        ctx: ServerRequestContext[Any, Any],
        call_next: CallNext,
    ) -> HandlerResult:
        """A started build becomes a task; everything else passes."""
        if params.name != "build_index" or not self._wanted(ctx):
            return await call_next(ctx)
        token = AS_TASK.set(True)
        try:
            result = await call_next(ctx)
        finally:
            AS_TASK.reset(token)
        job = (
            (result.structured_content or {}).get("job")
            if isinstance(result, CallToolResult) and not result.is_error
            else None
        )
        if job is None:
            return result
        return {"resultType": "task", **await self._task(job["job_id"])}

    def _wanted(self, ctx: ServerRequestContext[Any, Any]) -> bool:
        client = ctx.session.client_capabilities
        declared = (client.extensions or {}) if client else {}
        return ctx.protocol_version in MODERN and self.identifier in declared

    async def _get(self, ctx: ServerRequestContext[Any, Any], params: TaskParams) -> HandlerResult:
        require_client_extension(ctx, self.identifier)
        return {"resultType": "complete", **await self._task(params.task_id, with_result=True)}

    async def _cancel(
        self, ctx: ServerRequestContext[Any, Any], params: TaskParams
    ) -> HandlerResult:
        require_client_extension(ctx, self.identifier)
        await self._task(params.task_id)
        if not self._library.settings.read_only:
            await anyio.to_thread.run_sync(self._library.jobs.request_cancel, params.task_id)
        return {"resultType": "complete"}

    async def _update(
        self, ctx: ServerRequestContext[Any, Any], params: TaskParams
    ) -> HandlerResult:
        """Builds ask before they start, never in the middle: there is nothing to answer."""
        require_client_extension(ctx, self.identifier)
        await self._task(params.task_id)
        return {"resultType": "complete"}

    async def _task(self, task_id: str, *, with_result: bool = False) -> dict[str, Any]:
        try:
            job = await anyio.to_thread.run_sync(self._library.jobs.read, task_id)
        except InputError:
            raise MCPError(code=INVALID_PARAMS, message="There is no such task") from None
        shown = job_out(job)
        task: dict[str, Any] = {
            "taskId": job.id,
            "status": _STATUS[job.state],
            "statusMessage": f"{job.state}: {job.tiles_done:,} of {job.tiles:,} tiles",
            "createdAt": job.created.isoformat(),
            "lastUpdatedAt": job.updated.isoformat(),
            "ttlMs": None,
            "pollIntervalMs": POLL_MS,
        }
        if with_result and task["status"] == "completed":
            summary = BuildOut(
                dry_run=False,
                collection=job.collection,
                max_cloud=float(job.request.max_cloud),
                scenes=job.scenes,
                tiles=job.tiles,
            )
            result = build_answer(summary, shown)
            task["result"] = result.model_dump(mode="json", by_alias=True, exclude_none=True)
        return task
