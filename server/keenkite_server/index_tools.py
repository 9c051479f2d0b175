"""list_indexes and get_build_status: what there is, and what is being made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import anyio
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.tools import Tool
from mcp_types import CallToolResult
from pydantic import Field

from keenkite.errors import KeenkiteError

from . import arguments as args
from .answers import plain
from .boundary import Scrubber, said, strict_tool
from .choice import NO_INDEX
from .following import follow, progress_of
from .library import Holding, Library
from .stock import (
    CollectionOut,
    JobsOut,
    StockOut,
    collection_text,
    job_out,
    job_text,
    region_out,
)

if TYPE_CHECKING:
    from keenkite.index.collections import Collection

SHOWN = 30
"""Regions of a collection, and collections, in one answer."""


class IndexTools:
    """Looking at what there is."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._scrub = Scrubber(library.settings)

    def tools(self) -> list[Tool]:
        """Its tools."""
        return [
            strict_tool(self.list_indexes, title="List what is indexed", scrub=self._scrub),
            strict_tool(self.get_build_status, title="Follow a build", scrub=self._scrub),
        ]

    def list_indexes(self) -> Annotated[CallToolResult, StockOut]:
        """List what can be searched: collections with their model and spans (widths of tiles in
        metres), their regions with bounds (west, south, east, north in degrees), dates, tiles; and
        builds in progress. Use it first, when you do not know what is indexed."""
        jobs = [job for job in self._library.jobs.all() if not job.finished]
        there = self._library.collections()
        answer = StockOut(
            collections=[self._collection(each) for each in there[:SHOWN]],
            builds=[job_out(job) for job in jobs[:10]],
        )
        lines = [] if any(each.tiles for each in answer.collections) else [NO_INDEX]
        for collection in answer.collections:
            lines += collection_text(collection)
        if len(there) > SHOWN:
            lines.append(f"and {len(there) - SHOWN} more collections")
        lines += [f"Build {job_text(build)}" for build in answer.builds]
        return said("\n".join(lines), plain(answer))

    def _collection(self, described: Collection) -> CollectionOut:
        """One that is damaged says so, and harms no other."""
        if described.problem is not None:
            return CollectionOut(collection=described.name, problem=self._scrub(described.problem))
        try:
            return _collection_out(self._library.opened(described))
        except KeenkiteError as error:
            return CollectionOut(collection=described.name, problem=self._scrub(str(error)))

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
        store = self._library.jobs
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


def _collection_out(holding: Holding) -> CollectionOut:
    index, regions = holding.index, holding.index.regions()
    found = CollectionOut(
        collection=holding.name,
        model=index.encoder_name,
        sensor=index.sensor.title,
        spans=list(index.spans),
        tiles=index.count(),
        regions=[region_out(region) for region in regions[:SHOWN]],
    )
    if len(regions) > SHOWN:
        found.more_regions = len(regions) - SHOWN
    return found
