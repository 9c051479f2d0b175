"""build_index and cancel_build: hidden from clients when the server is read-only."""

# No `from __future__ import annotations`: the SDK reads the annotations of the functions inside
# `tools`, and those name each other.

import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import anyio
from mcp.server.elicitation import AcceptedElicitation, ElicitationResult
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.resolve import Elicit, Resolve
from mcp.server.mcpserver.tools import Tool
from mcp_types import CallToolResult, ClientCapabilities
from pydantic import BaseModel, Field

from keenkite.errors import InputError

from . import arguments as args
from .answers import BuildOut, JobOut, JobsOut, job_out, job_text, plain
from .boundary import Scrubber, said, strict_tool
from .library import Workspace

if TYPE_CHECKING:
    from keenkite.build import Plan

    from .jobs import BuildRequest, Job

A_FEW_SECONDS = 5.0
"""A build that is done by then is answered whole; a longer one goes on by its id."""

POLL = 0.2
"""Seconds between two looks at a job's record."""

AS_TASK: ContextVar[bool] = ContextVar("AS_TASK", default=False)
"""Whether the client follows this call as a task, and wants its id at once."""

Region = Annotated[
    str, Field(pattern=args.REGION, description='A name for this ground: "tokyo-bay"')
]
FirstDay = Annotated[args.Day, Field(description="First day, UTC: 2024-04-01")]
LastDay = Annotated[args.Day, Field(description="Last day, UTC, included")]
SceneCloud = Annotated[
    args.Number, Field(ge=0, le=100, description="Leave out scenes with this % of cloud or more")
]
Choice = Annotated[
    Literal["every-date", "least-cloudy"],
    Field(description="Every scene, or the fewest and clearest that cover the area"),
]


class Approval(BaseModel):
    """What the user is asked about a large build."""

    build: bool = Field(title="Build it", description="Download and index this area now")


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A build that was looked up in the catalog, within the operator's limits."""

    request: "BuildRequest"
    plan: "Plan"
    summary: BuildOut


class BuildTools:
    """Making indexes."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def tools(self) -> list[Tool]:
        """Its tools."""
        workspace = self._workspace
        scrub = Scrubber(workspace.settings)

        def look_up(
            region: str,
            bbox: list[float] | None,
            circle: args.Circle | None,
            polygon: list[list[float]] | None,
            start: Any,
            end: Any,
            max_cloud: float,
            choose: Any,
        ) -> Planned:
            from .jobs import BuildRequest

            area = args.area_of(bbox, circle, polygon)
            if area is None:
                raise InputError("Say what to build: a bbox, a circle or a polygon.")
            request = BuildRequest(
                region=region, area=area, start=start, end=end, max_cloud=max_cloud, choose=choose
            )
            plan = workspace.builder.plan(request)
            return Planned(request=request, plan=plan, summary=self._summary(plan))

        def ask(
            ctx: Context,
            planned: Annotated[Planned, Resolve(look_up)],
            dry_run: bool,
            confirmed: bool,
        ) -> Approval | Elicit[Approval]:
            limit = workspace.settings.confirm_tiles
            if dry_run or planned.summary.tiles <= limit:
                return Approval(build=True)
            size = _size(planned.summary)
            if _can_ask(ctx.client_capabilities):
                return Elicit(f"Index region {planned.request.region}? {size}.", Approval)
            if confirmed:
                return Approval(build=True)
            raise InputError(
                f"This build is large: {size}. Tell the user so, and call build_index again with "
                "confirmed=true when they agree."
            )

        async def build_index(
            region: Region,
            start: FirstDay,
            end: LastDay,
            ctx: Context,
            planned: Annotated[Planned, Resolve(look_up)],
            approval: Annotated[ElicitationResult[Approval], Resolve(ask)],
            bbox: args.Bbox = None,
            circle: args.CircleArea = None,
            polygon: args.Polygon = None,
            max_cloud: SceneCloud = 20,
            choose: Choice = "every-date",
            dry_run: Annotated[bool, Field(description="Only say how large it would be")] = False,
            confirmed: Annotated[
                bool, Field(description="The user agreed to a large build; never on your own")
            ] = False,
        ) -> Annotated[CallToolResult, BuildOut]:
            """Index the Sentinel-2 scenes of an area and some days, so that they can be searched.
            Use it when an area is not indexed yet, first with dry_run to learn scenes, tiles,
            download and time. Building goes on after the answer: follow it by job_id with
            get_build_status. Building again only adds what is missing."""
            del (
                region,
                start,
                end,
                bbox,
                circle,
                polygon,
                max_cloud,
                choose,
                confirmed,
            )  # in planned
            if dry_run:
                return said(f"It would be {_size(planned.summary)}.", plain(planned.summary))
            if not (isinstance(approval, AcceptedElicitation) and approval.data.build):
                raise InputError(f"The user declined this build ({_size(planned.summary)}).")
            return await self._start(planned, ctx)

        return [
            strict_tool(
                build_index, title="Build an index", scrub=scrub, read_only=False, open_world=True
            ),
            strict_tool(
                self.cancel_build,
                title="Cancel a build",
                scrub=scrub,
                read_only=False,
                destructive=True,
            ),
        ]

    async def cancel_build(
        self, job_id: Annotated[args.JobId, Field(description="Of build_index")]
    ) -> Annotated[CallToolResult, JobsOut]:
        """Stop a build. Scenes that are complete stay indexed and searchable; building the same
        again goes on with the rest."""
        store = self._workspace.builder.store
        job = await anyio.to_thread.run_sync(store.request_cancel, job_id)
        if not job.finished:
            job = await follow(lambda: store.read(job_id), seconds=A_FEW_SECONDS)
        shown = job_out(job)
        text = job_text(shown)
        if not job.finished:
            text += ". It was asked to stop and will after its present strip of pixels"
        return said(text, plain(JobsOut(jobs=[shown])))

    async def _start(self, planned: Planned, ctx: Context[Any, Any]) -> CallToolResult:
        """Begin, and wait a few seconds: small builds are done by then."""
        builder = self._workspace.builder
        if planned.summary.tiles == 0:
            done = planned.summary.done_before
            return said(
                f"Nothing to do: all {done} scenes are indexed already.", plain(planned.summary)
            )
        job = await anyio.to_thread.run_sync(builder.submit, planned.request, planned.plan)
        if not AS_TASK.get():
            job = await follow(
                lambda: builder.store.read(job.id), seconds=A_FEW_SECONDS, tell=progress_of(ctx)
            )
        return build_answer(planned.summary, job_out(job))

    def _summary(self, plan: "Plan") -> BuildOut:
        from .builder import BYTES_PER_TILE

        todo = len(plan.todo)
        remote = self._workspace.settings.catalog.lower().startswith(("http://", "https://"))
        return BuildOut(
            dry_run=True,
            scenes=todo,
            tiles=plan.tiles,
            done_before=len(plan.works) - todo,
            megabytes=round(plan.tiles * BYTES_PER_TILE / 1e6) if remote else 0,
            minutes=round(plan.tiles / self._workspace.builder.rate() / 60, 1),
        )


def build_answer(summary: BuildOut, job: JobOut) -> CallToolResult:
    """What build_index says once a job exists."""
    answer = summary.model_copy(update={"dry_run": False, "job": job})
    text = job_text(job)
    if job.state in ("queued", "running"):
        text += f". It goes on; call get_build_status with job_id {job.job_id}"
    result = said(text, plain(answer))
    result.is_error = job.state == "failed"
    return result


async def follow(
    look: "Callable[[], Job]",
    *,
    seconds: float,
    tell: "Callable[[Job], Awaitable[None]] | None" = None,
) -> "Job":
    """Look at a job until it is finished, for some seconds at most; what it is then."""
    deadline = time.monotonic() + seconds
    while True:
        job = await anyio.to_thread.run_sync(look)
        if tell is not None:
            await tell(job)
        left = deadline - time.monotonic()
        if job.finished or left <= 0:
            return job
        await anyio.sleep(min(POLL, left))


def progress_of(ctx: Context[Any, Any]) -> "Callable[[Job], Awaitable[None]]":
    """Tells the client where a job is, when that has changed."""
    last = -1

    async def tell(job: "Job") -> None:
        nonlocal last
        if job.tiles_done > last:
            last = job.tiles_done
            message = f"{job.state}: scene {min(job.scenes_done + 1, job.scenes)} of {job.scenes}"
            await ctx.report_progress(job.tiles_done, job.tiles, message)

    return tell


def _size(summary: BuildOut) -> str:
    text = f"{summary.scenes} scenes, {summary.tiles:,} tiles"
    if summary.megabytes:
        text += f", about {summary.megabytes:,} MB to download"
    text += f", about {summary.minutes:g} minutes"
    return text + (f" ({summary.done_before} scenes are done)" if summary.done_before else "")


def _can_ask(client: ClientCapabilities | None) -> bool:
    """Whether the client shows forms to its user; an empty capability means forms."""
    asks = client.elicitation if client else None
    return asks is not None and (asks.form is not None or asks.url is None)
