"""Build jobs as files of the data folder: they outlive the client, the call and the server.

    jobs/build-0123456789ab.json     the record, replaced whole at each change
    jobs/build-0123456789ab.lock     locked by the server that works on it, however it ends
    jobs/build-0123456789ab.cancel   somebody asked for its end

A record that says queued or running while nobody holds its lock belongs to a server that is gone:
the job shows as interrupted, and the next server that starts takes it up again. Several servers
can share the folder.
"""

from __future__ import annotations

import json
import logging
import re
import secrets
import time
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from keenkite.errors import InputError, StorageError, TileIndexError
from keenkite.files import FileLock, make_folder, write_whole

from .arguments import JOB_ID

if TYPE_CHECKING:
    from keenkite.build import BuildRequest

logger = logging.getLogger(__name__)

State = Literal["queued", "running", "interrupted", "done", "failed", "cancelled"]
FINISHED = ("done", "failed", "cancelled")

KEPT = 200
"""Finished jobs whose records stay; the oldest go first."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One build, as its record has it."""

    id: str
    request: BuildRequest
    collection: str
    """Name of the collection that is built into; perhaps it is made for it."""
    state: State
    created: datetime
    updated: datetime
    tiles: int
    """To be cut, by the plan."""
    tiles_done: int = 0
    """Cut or dropped so far."""
    scenes: int
    scenes_done: int = 0
    seconds: float = 0.0
    """Spent by the present run."""
    runs: int = 0
    """Times that a server began it and came to no end, since a scene was last completed."""
    message: str | None = None
    """Why it failed."""
    kept: int = 0
    """Tiles written to the index."""
    labelled: int = 0
    """Tiles that were there, and got the region's name too."""
    dropped: dict[str, int] = field(default_factory=dict)
    """Reason -> tiles."""
    failed_scenes: dict[str, str] = field(default_factory=dict)
    """Scene id -> why it could not be read."""

    @property
    def finished(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in FINISHED

    def to_json(self) -> dict[str, Any]:
        """The same as JSON values."""
        times = {"created": self.created.isoformat(), "updated": self.updated.isoformat()}
        value = {f.name: getattr(self, f.name) for f in fields(self)}
        return {**value, **times, "request": self.request.to_json()}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Job:
        """The inverse of `to_json`."""
        from keenkite.build import BuildRequest

        times = {name: datetime.fromisoformat(value[name]) for name in ("created", "updated")}
        return cls(**{**value, **times, "request": BuildRequest.from_json(value["request"])})


class JobStore:
    """The jobs of one data folder."""

    def __init__(self, folder: Path) -> None:
        """`folder` is made with the first job."""
        self._folder = folder
        self._mine: dict[str, FileLock] = {}

    def create(self, request: BuildRequest, *, collection: str, tiles: int, scenes: int) -> Job:
        """A new job, queued and held by this process.

        Raises:
            StorageError: the folder cannot be written.
        """
        make_folder(self._folder)
        now = datetime.now(UTC)
        job = Job(
            id=f"build-{secrets.token_hex(6)}",
            request=request,
            collection=collection,
            state="queued",
            created=now,
            updated=now,
            tiles=tiles,
            scenes=scenes,
        )
        # The lock first: a record without one would look abandoned.
        self._take(job.id)
        self._write(job)
        self._forget_old()
        return job

    def read(self, job_id: str) -> Job:
        """A job as it is now.

        Raises:
            InputError: there is none of this id.
        """
        job = self._record(job_id)
        if job is None:
            raise InputError(
                f"There is no build {job_id}. Call get_build_status without a job_id to see them."
            )
        if not job.finished and job.id not in self._mine and not self._held(job.id):
            # Between the two looks its server may have ended it properly.
            job = self._record(job_id) or job
            if not job.finished:
                return replace(job, state="interrupted")
        return job

    def all(self) -> list[Job]:
        """Every job, the newest first; those whose records are damaged are left out, and logged."""
        jobs = []
        for path in self._folder.glob("build-*.json"):
            try:
                jobs.append(self.read(path.stem))
            except (TileIndexError, InputError) as error:
                logger.warning("%s", error)
        return sorted(jobs, key=lambda job: job.created, reverse=True)

    def update(self, job: Job, **changes: Any) -> Job:
        """Write changes to a job that this process holds; what it is then."""
        job = replace(job, **changes, updated=datetime.now(UTC))
        self._write(job)
        return job

    def finish(self, job: Job, state: State, **changes: Any) -> Job:
        """The same, and let go of it."""
        job = self.update(job, state=state, **changes)
        self.release(job.id)
        self._path(job.id, "cancel").unlink(missing_ok=True)
        return job

    def request_cancel(self, job_id: str) -> Job:
        """Ask whoever works on it to stop; what it is now."""
        job = self.read(job_id)
        if job.finished:
            return job
        self._path(job_id, "cancel").touch()
        if job.state == "interrupted":
            if self._try_take(job_id):
                return self.finish(job, "cancelled")
            return self.read(job_id)  # another server has just taken it up
        return job

    def cancel_requested(self, job_id: str) -> bool:
        """Whether somebody asked for its end."""
        return self._path(job_id, "cancel").exists()

    def adopt(self) -> list[Job]:
        """Take over the jobs of servers that are gone, oldest first."""
        orphans = [job for job in reversed(self.all()) if job.state == "interrupted"]
        adopted = []
        for job in orphans:
            if self._try_take(job.id):
                found = self._record(job.id)
                if found is not None and not found.finished:
                    adopted.append(self.update(found, state="queued"))
                else:
                    self.release(job.id)
        return adopted

    def release(self, job_id: str) -> None:
        """Let go of a job; unless finished it is then interrupted."""
        lock = self._mine.pop(job_id, None)
        if lock is not None:
            lock.close()

    def close(self) -> None:
        """Let go of all jobs that this process holds."""
        for job_id in list(self._mine):
            self.release(job_id)

    def __enter__(self) -> JobStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _take(self, job_id: str) -> None:
        if not self._try_take(job_id):
            raise StorageError(f"Another server holds {job_id}, which was only just named.")

    def _try_take(self, job_id: str) -> bool:
        lock = FileLock(self._path(job_id, "lock"))
        # Others look at locks for a moment, see `_held`.
        if lock.lock(time.monotonic() + 0.5):
            self._mine[job_id] = lock
            return True
        lock.close()
        return False

    def _held(self, job_id: str) -> bool:
        lock = FileLock(self._path(job_id, "lock"))
        try:
            return not lock.try_lock(shared=True)
        finally:
            lock.close()

    def _record(self, job_id: str) -> Job | None:
        path = self._path(job_id, "json")
        try:
            return Job.from_json(json.loads(path.read_bytes()))
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError, AttributeError, InputError) as error:
            raise TileIndexError(
                f"The record of {job_id} is damaged. The operator may delete it; the tiles that "
                "it built are kept."
            ) from error

    def _write(self, job: Job) -> None:
        content = json.dumps(job.to_json()).encode()
        write_whole(self._path(job.id, "json"), content, durable=job.finished)

    def _path(self, job_id: str, kind: str) -> Path:
        # Task ids come unchecked; an id must not lead out of the folder.
        if not re.fullmatch(JOB_ID, job_id):
            raise InputError("That is not the id of a build, such as build-0123456789ab.")
        return self._folder / f"{job_id}.{kind}"

    def _forget_old(self) -> None:
        for job in [job for job in self.all() if job.finished][KEPT:]:
            for kind in ("json", "lock", "cancel"):
                self._path(job.id, kind).unlink(missing_ok=True)
