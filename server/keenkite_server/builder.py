"""The worker: one thread that does the build jobs of this server, one after the other."""

from __future__ import annotations

import logging
import threading
import time
from datetime import UTC, datetime, timedelta
from queue import Queue
from typing import TYPE_CHECKING

from keenkite.errors import InputError, KeenkiteError

from .boundary import Scrubber
from .choice import Site
from .jobs import Job, JobStore
from .library import Library

if TYPE_CHECKING:
    from keenkite.build import BuildRequest, Plan, Progress, Report

logger = logging.getLogger(__name__)

MAX_RUNS = 5
"""A job that brought down as many servers, or came no scene further with them, is given up."""

DEFAULT_RATE = 20.0
"""Tiles a second, until a build of this data folder has shown the machine's own."""

BYTES_PER_PIXEL = 4.3
"""Of the files behind a pixel: three bands of 16 bits, mildly compressible, and the
classification."""


class _Ended(Exception):  # noqa: N818  (an order, not an error)
    """Raised in the progress callback to end a build: it was cancelled, or the server stops."""


class Builder:
    """Takes builds, checks them against the operator's limits, and does them."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self.store: JobStore = library.jobs
        self._scrub = Scrubber(library.settings)
        self._queue: Queue[Job | None] = Queue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._stopping = False

    # --- what a client may ask for ------------------------------------------------------------

    def plan(self, request: BuildRequest, site: Site) -> Plan:
        """What a build would do; needs no model.

        Raises:
            InputError: it is beyond the operator's limits, or cannot be used.
            CatalogError: the catalog cannot be asked.
        """
        limits = self.library.settings
        days = (request.end - request.start).days + 1
        if days > limits.max_days:
            raise InputError(f"{days:,} days are more than the {limits.max_days:,} allowed here.")
        if request.area.km2 > limits.max_area_km2:
            raise InputError(
                f"The area has {request.area.km2:,.0f} km², more than the "
                f"{limits.max_area_km2:,} km² allowed here. Build a part of it."
            )
        from keenkite.build import plan_build

        index = None if site.new else self.library.open(site.name).index
        plan = plan_build(request, catalog=self.library.catalog(), indexes=[index])
        if plan.tiles > limits.max_tiles:
            raise InputError(
                f"This build has {plan.tiles:,} tiles, more than the {limits.max_tiles:,} allowed "
                "here. Take a smaller area, fewer days, or choose=least-cloudy."
            )
        return plan

    def submit(self, request: BuildRequest, plan: Plan, *, collection: str) -> Job:
        """Start a build, or put it in the queue.

        Raises:
            InputError: there were too many builds in the last hour.
        """
        limit = self.library.settings.builds_per_hour
        with self._lock:
            since = datetime.now(UTC) - timedelta(hours=1)
            recent = [job for job in self.store.all() if job.created > since]
            if len(recent) >= limit:
                raise InputError(
                    f"{len(recent)} builds were started within the last hour, and {limit} are "
                    "allowed here. Wait, or ask for one larger area instead of several."
                )
            job = self.store.create(
                request, collection=collection, tiles=plan.tiles, scenes=len(plan.todo)
            )
        self._enqueue(job)
        return job

    def rate(self) -> float:
        """Tiles a second that this machine builds."""
        for job in self.store.all():
            if job.state == "done" and job.seconds > 1 and job.tiles_done:
                return job.tiles_done / job.seconds
        return DEFAULT_RATE

    # --- the thread ---------------------------------------------------------------------------

    def resume(self) -> list[Job]:
        """Take up the builds of servers that are gone."""
        jobs = self.store.adopt()
        for job in jobs:
            logger.info("Resuming %s of region %s", job.id, job.request.region)
            self._enqueue(job)
        return jobs

    def stop(self, wait: float = 10.0) -> None:
        """End the present build after its strip; it and those that wait show as interrupted."""
        self._stopping = True
        self._queue.put(None)
        if self._thread is not None:
            self._thread.join(wait)

    def __enter__(self) -> Builder:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _enqueue(self, job: Job) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="build", daemon=True)
                self._thread.start()
        self._queue.put(job)

    def _work(self) -> None:
        while True:
            job = self._queue.get()
            if job is None:
                return
            try:
                self._run(job)
            except Exception:
                logger.exception("%s could not be recorded", job.id)
            finally:
                self.store.release(job.id)

    def _run(self, job: Job) -> None:
        store = self.store
        if self._stopping:
            return
        if store.cancel_requested(job.id):
            store.finish(job, "cancelled")
            return
        if job.runs >= MAX_RUNS:
            text = f"It was begun {job.runs} times and never came a scene further."
            store.finish(job, "failed", message=text)
            return
        job = store.update(job, state="running", runs=job.runs + 1)
        meter = _Recorder(self, store, job)
        try:
            report = self._build(job, meter)
        except _Ended:
            if not self._stopping:
                store.finish(meter.job, "cancelled")
        except KeenkiteError as error:
            logger.warning("%s failed: %s", job.id, error)
            store.finish(meter.job, "failed", message=self._scrub(str(error)))
        except Exception:
            logger.exception("%s failed", job.id)
            text = "It failed inside the server, whose log says why."
            store.finish(meter.job, "failed", message=text)
        else:
            self._conclude(meter.job, report)

    def _build(self, job: Job, meter: _Recorder) -> Report:
        from keenkite.build import Target, build

        index, encoder = self.library.to_write(job.collection)
        return build(
            job.request,
            [Target(index=index, encoder=encoder)],
            catalog=self.library.catalog(),
            pixels=self.library.pixels,
            progress=meter,
        )

    def _conclude(self, job: Job, report: Report) -> None:
        failed = {scene: self._scrub(why) for scene, why in report.failed.items()}
        message = None
        if failed and not report.scenes and not report.skipped:
            message = "No scene could be read."
        self.store.finish(
            job,
            "failed" if message else "done",
            message=message,
            kept=job.kept + report.kept,
            labelled=job.labelled + report.labelled,
            dropped=dict(report.dropped),
            failed_scenes=failed,
        )

    @property
    def stopping(self) -> bool:
        """Whether the server is about to end."""
        return self._stopping


class _Recorder:
    """The progress callback of a build: writes it down, and ends the build when asked to."""

    def __init__(self, builder: Builder, store: JobStore, job: Job) -> None:
        self.job = job
        self._builder = builder
        self._store = store
        self._written = 0.0

    def __call__(self, progress: Progress) -> None:
        if self._builder.stopping or self._store.cancel_requested(self.job.id):
            raise _Ended
        now = time.monotonic()
        came_on = progress.scenes_done > self.job.scenes_done
        ended = progress.tiles_done == progress.tiles
        if now - self._written < 0.5 and not (came_on or ended):
            return
        self._written = now
        self.job = self._store.update(
            self.job,
            tiles=progress.tiles,
            tiles_done=progress.tiles_done,
            scenes=progress.scenes,
            scenes_done=progress.scenes_done,
            seconds=progress.seconds,
            runs=0 if came_on else self.job.runs,
        )
