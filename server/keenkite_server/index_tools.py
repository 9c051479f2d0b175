"""list_indexes and get_build_status: what there is, and what is being made."""

from __future__ import annotations

from typing import Annotated, Any

import anyio
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.tools import Tool
from mcp_types import CallToolResult
from pydantic import Field

from . import arguments as args
from .answers import IndexOut, JobsOut, job_out, job_text, plain, region_out, region_text
from .build_tools import follow, progress_of
from .boundary import Scrubber, said, strict_tool
from .library import NO_INDEX, Workspace

SHOWN = 30
"""Regions in one answer."""


class IndexTools:
    """Looking at the index itself."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def tools(self) -> list[Tool]:
        """Its tools."""
        scrub = Scrubber(self._workspace.settings)
        return [
            strict_tool(self.list_indexes, title="List indexed regions", scrub=scrub),
            strict_tool(self.get_build_status, title="Follow a build", scrub=scrub),
        ]

    def list_indexes(self) -> Annotated[CallToolResult, IndexOut]:
        """List what can be searched: regions with their bounds (west, south, east, north in
        degrees), dates, tiles, and builds in progress. Use it first, when you do not know what is
        indexed."""
        index = self._workspace.find_index()
        jobs = [job for job in self._workspace.builder.store.all() if not job.finished]
        builds = [job_out(job) for job in jobs[:10]]
        regions = index.regions() if index else []
        answer = IndexOut(
            model=index.encoder_name if index else None,
            tiles=index.count() if index else 0,
            regions=[region_out(region) for region in regions[:SHOWN]],
            builds=builds,
        )
        if answer.tiles:
            lines = [f"{answer.tiles:,} tiles, model {answer.model}. Regions:"]
        else:
            lines = [NO_INDEX]
        lines += [region_text(region) for region in answer.regions]
        if len(regions) > SHOWN:
            lines.append(f"and {len(regions) - SHOWN} more regions")
        lines += [f"Build {job_text(build)}" for build in builds]
        return said("\n".join(lines), plain(answer))

    async def get_build_status(
        self,
        ctx: Context[Any, Any],
        job_id: Annotated[
            args.JobId | None, Field(description="Of build_index; without it, the last ten builds")
        ] = None,
        wait_seconds: Annotated[
            args.Whole,
            Field(ge=0, le=50, description="Answer when it has ended, or after this time"),
        ] = 0,
    ) -> Annotated[CallToolResult, JobsOut]:
        """Tell how far a build is, with scenes, tiles and time left, and how it ended. Prefer one
        call with wait_seconds to many calls."""
        store = self._workspace.builder.store
        if job_id is None:
            jobs = (await anyio.to_thread.run_sync(store.all))[:10]
        else:
            job = await follow(
                lambda: store.read(job_id), seconds=wait_seconds, tell=progress_of(ctx)
            )
            jobs = [job]
        shown = [job_out(job) for job in jobs]
        text = "\n".join(job_text(job) for job in shown) or "There were no builds yet."
        return said(text, plain(JobsOut(jobs=shown)))
