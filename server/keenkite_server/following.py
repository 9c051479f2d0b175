"""Following a build for a while: looking at its record until it ends, and telling the client."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import anyio
from mcp.server.mcpserver import Context

if TYPE_CHECKING:
    from .jobs import Job

POLL = 0.2
"""Seconds between two looks at a job's record."""


async def follow(
    look: Callable[[], Job],
    *,
    seconds: float,
    tell: Callable[[Job], Awaitable[None]] | None = None,
) -> Job:
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


def progress_of(ctx: Context[Any, Any]) -> Callable[[Job], Awaitable[None]]:
    """Tells the client where a job is, when that has changed."""
    last = -1

    async def tell(job: Job) -> None:
        nonlocal last
        if job.tiles_done > last:
            last = job.tiles_done
            message = f"{job.state}: scene {min(job.scenes_done + 1, job.scenes)} of {job.scenes}"
            await ctx.report_progress(job.tiles_done, job.tiles, message)

    return tell
