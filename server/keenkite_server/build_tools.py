"""build_index and cancel_build: hidden from clients when the server is read-only."""

# No `from __future__ import annotations`: the SDK reads the annotations of the functions inside
# `_build_tool`, and those name each other.
# ruff: noqa: ARG001  (of build_index: what it is given is in `planned`)

from collections.abc import Callable
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
from .answers import plain
from .boundary import Scrubber, said, strict_tool
from .builder import BYTES_PER_PIXEL, Builder
from .choice import Site
from .following import follow, progress_of
from .stock import BuildOut, JobOut, JobsOut, build_text, job_out, job_text

if TYPE_CHECKING:
    from keenkite.build import BuildRequest, Plan

A_FEW_SECONDS = 5.0
"""A build that is done by then is answered whole; a longer one goes on by its id."""

AS_TASK: ContextVar[bool] = ContextVar("AS_TASK", default=False)
"""Whether the client follows this call as a task, and wants its id at once."""

Region = Annotated[
    str, Field(pattern=args.REGION, description='A name for this ground: "tokyo-bay"')
]
FirstDay = Annotated[args.Day, Field(description="First day, UTC: 2024-04-01")]
LastDay = Annotated[args.Day, Field(description="Last day, UTC, included")]
SceneCloud = Annotated[
    args.Cloud,
    Field(description='Leave out scenes of more cloud: 0.2, 20 or "20%"; above 1 is per cent'),
]
Choice = Annotated[
    Literal["every-date", "least-cloudy"],
    Field(description="Every scene, or the fewest and clearest that cover the area"),
]
DryRun = Annotated[bool, Field(description="Only say how large it would be")]
Confirmed = Annotated[
    bool, Field(description="The user agreed to a large build; never on your own")
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

    def __init__(self, builder: Builder) -> None:
        self._builder = builder

    def tools(self) -> list[Tool]:
        """Its tools."""
        scrub = Scrubber(self._builder.library.settings)
        building = strict_tool(
            _build_tool(self),
            title="Build an index",
            scrub=scrub,
            read_only=False,
            open_world=True,
        )
        cancelling = strict_tool(
            self.cancel_build,
            title="Cancel a build",
            scrub=scrub,
            read_only=False,
            destructive=True,
        )
        return [building, cancelling]

    def look_up(
        self,
        region: str,
        start: Any,
        end: Any,
        bbox: list[float] | None,
        circle: args.Circle | None,
        polygon: list[list[float]] | None,
        max_cloud: float,
        choose: Any,
        collection: str | None,
    ) -> Planned:
        """What build_index was asked for, as the catalog and the operator's limits see it."""
        from keenkite.build import BuildRequest

        area = args.area_of(bbox, circle, polygon)
        if area is None:
            raise InputError("Say what to build: a bbox, a circle or a polygon.")
        request = BuildRequest(
            region=region, area=area, start=start, end=end, max_cloud=max_cloud, choose=choose
        )
        site = self._builder.library.site(collection)
        plan = self._builder.plan(request, site)
        return Planned(request=request, plan=plan, summary=self._summary(request, plan, site))

    def question(self, ctx: Context, planned: Planned, *, confirmed: bool) -> str | None:
        """What to ask the user; None where nothing has to be asked.

        Raises:
            InputError: the client cannot ask, and does not say that the user agreed.
        """
        if planned.summary.tiles <= self._builder.library.settings.confirm_tiles:
            return None
        size = build_text(planned.summary)
        if _can_ask(ctx.client_capabilities):
            return f"Index region {planned.request.region}? {size}."
        if confirmed:
            return None
        raise InputError(
            f"This build is large: {size}. Tell the user so, and call build_index again with "
            "confirmed=true when they agree."
        )

    async def begin(self, planned: Planned, ctx: Context[Any, Any]) -> CallToolResult:
        """Start it, and wait a few seconds: small builds are done by then."""
        builder, summary = self._builder, planned.summary
        if summary.scenes == 0:
            text = f"Nothing to do, all is indexed already: {build_text(summary)}."
            return said(text, plain(summary))
        job = await anyio.to_thread.run_sync(
            lambda: builder.submit(planned.request, planned.plan, collection=summary.collection)
        )
        if not AS_TASK.get():
            job = await follow(
                lambda: builder.store.read(job.id), seconds=A_FEW_SECONDS, tell=progress_of(ctx)
            )
        return build_answer(summary, job_out(job))

    async def cancel_build(
        self, job_id: Annotated[args.JobId, Field(description="Of build_index")]
    ) -> Annotated[CallToolResult, JobsOut]:
        """Stop a build. Scenes that are complete stay indexed and searchable; building the same
        again goes on with the rest."""
        store = self._builder.store
        job = await anyio.to_thread.run_sync(store.request_cancel, job_id)
        if not job.finished:
            job = await follow(lambda: store.read(job_id), seconds=A_FEW_SECONDS)
        shown = job_out(job)
        text = job_text(shown)
        if not job.finished:
            text += ". It was asked to stop and will after its present strip of pixels"
        return said(text, plain(JobsOut(jobs=[shown])))

    def _summary(self, request: "BuildRequest", plan: "Plan", site: Site) -> BuildOut:
        todo = len(plan.todo)
        remote = self._builder.library.settings.catalog.lower().startswith(("http://", "https://"))
        windows = [window for work in plan.todo if (window := work.window()) is not None]
        pixels = sum(window.rows * window.cols for window in windows)
        return BuildOut(
            dry_run=True,
            collection=site.name,
            model=site.model,
            max_cloud=float(request.max_cloud),
            scenes=todo,
            tiles=plan.tiles,
            done_before=len(plan.works) - todo,
            megabytes=round(pixels * BYTES_PER_PIXEL / 1e6) if remote else 0,
            disk_megabytes=round(plan.disk_bytes / 1e6),
            minutes=round(plan.tiles / self._builder.rate() / 60, 1),
        )


def _build_tool(tools: BuildTools) -> Callable[..., Any]:
    """build_index over these tools: the SDK fills its last arguments by the functions they name."""

    def ask(
        ctx: Context,
        planned: Annotated[Planned, Resolve(tools.look_up)],
        dry_run: bool,
        confirmed: bool,
    ) -> Approval | Elicit[Approval]:
        question = None if dry_run else tools.question(ctx, planned, confirmed=confirmed)
        return Approval(build=True) if question is None else Elicit(question, Approval)

    async def build_index(
        region: Region,
        start: FirstDay,
        end: LastDay,
        ctx: Context,
        planned: Annotated[Planned, Resolve(tools.look_up)],
        approval: Annotated[ElicitationResult[Approval], Resolve(ask)],
        bbox: args.Bbox = None,
        circle: args.CircleArea = None,
        polygon: args.Polygon = None,
        max_cloud: SceneCloud = 0.2,
        choose: Choice = "every-date",
        collection: args.CollectionName = None,
        dry_run: DryRun = False,
        confirmed: Confirmed = False,
    ) -> Annotated[CallToolResult, BuildOut]:
        """Index the Sentinel-2 scenes of an area and some days, so that they can be searched.
        Use it when an area is not indexed yet, first with dry_run to learn scenes, tiles,
        download, disk and time. Building goes on after the answer: follow it by job_id with
        get_build_status. Building again only adds what is missing."""
        size = build_text(planned.summary)
        if dry_run:
            return said(f"It would be {size}.", plain(planned.summary))
        if not (isinstance(approval, AcceptedElicitation) and approval.data.build):
            raise InputError(f"The user declined this build ({size}).")
        return await tools.begin(planned, ctx)

    return build_index


def build_answer(summary: BuildOut, job: JobOut) -> CallToolResult:
    """What build_index says once a job exists."""
    answer = summary.model_copy(update={"dry_run": False, "job": job})
    text = f"{job_text(job)}. In all {build_text(answer)}"
    if job.state in ("queued", "running"):
        text += f". It goes on; call get_build_status with job_id {job.job_id}"
    result = said(text, plain(answer))
    result.is_error = job.state == "failed"
    return result


def _can_ask(client: ClientCapabilities | None) -> bool:
    """Whether the client shows forms to its user; an empty capability means forms."""
    asks = client.elicitation if client else None
    return asks is not None and (asks.form is not None or asks.url is None)
