"""One index folder, several processes: who may use it now, and who is waiting.

The engine lets one process open a shard at a time. So a process holds the shard while nobody else
wants it, and gives it up as soon as somebody waits. Three files of the folder are locked with
flock, which the kernel releases however a process ends:

- `lock`: exclusive, by the process that has the shard open;
- `waiting`: exclusive, by the process next in line for `lock`, so that the holder sees that it is
  wanted, and cannot take the lock back before the one in line had its turn;
- `writer`: shared by every upsert and delete, exclusive during maintenance.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from keenkite.errors import IndexBusyError, NoIndexError
from keenkite.files import FileLock

HOLD, WAITING, WRITER = "lock", "waiting", "writer"
LOCK_FILES = (HOLD, WAITING, WRITER)


class Hold:
    """The right to have the shard of a folder open."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock: FileLock | None = None

    def acquire(self, purpose: str, wait: float) -> None:
        """Wait in line for the hold.

        Raises:
            IndexBusyError: it was not to be had in `wait` seconds; says who has it, and why.
        """
        deadline = time.monotonic() + wait
        lock = _file_lock(self._folder, HOLD)
        line = _file_lock(self._folder, WAITING)
        try:
            if not (line.lock(deadline) and lock.lock(deadline)):
                raise _busy(self._folder / HOLD, wait)
            lock.note(purpose)
        except BaseException:
            lock.close()
            raise
        finally:
            line.close()
        self._lock = lock

    def release(self) -> None:
        """Give it back, if held."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def wanted(self) -> bool:
        """Whether another process waits for the hold."""
        line = _file_lock(self._folder, WAITING)
        try:
            return not line.try_lock(shared=True)
        finally:
            line.close()


@contextmanager
def writing(folder: Path, purpose: str, wait: float, *, shared: bool) -> Iterator[None]:
    """Hold `writer`: shared to change points, exclusively to change the shard's files.

    Raises:
        IndexBusyError: it was not to be had in `wait` seconds; says who has it, and why.
    """
    lock = _file_lock(folder, WRITER)
    try:
        if not lock.lock(time.monotonic() + wait, shared=shared):
            raise _busy(folder / WRITER, wait)
        if not shared:
            lock.note(purpose)
        yield
    finally:
        lock.close()


def _file_lock(folder: Path, name: str) -> FileLock:
    if not folder.is_dir():
        raise NoIndexError(f"There is no index in {folder} any more; build it anew.")
    return FileLock(folder / name)


def _busy(path: Path, wait: float) -> IndexBusyError:
    try:
        holder = json.loads(path.read_bytes())
        who = f"process {holder['pid']} ({holder['purpose']}, since {holder['since']})"
    except (OSError, ValueError, KeyError, TypeError):  # about to be written, or never was
        who = "another process"
    return IndexBusyError(
        f"The index {path.parent} is in use by {who} and was not free within {wait:g} s. "
        "Try again when it has ended, or open the index with a longer wait."
    )
