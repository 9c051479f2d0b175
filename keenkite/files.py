"""Files as all of keenkite writes them: whole or not at all, one writer, room on the disk."""

from __future__ import annotations

import json
import os
import shutil
import time
import uuid
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path

from keenkite.errors import InputError, StorageError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

PIECE = 1 << 16
"""Bytes copied at a time; as many zeros are left out as a hole."""
_ZEROS = bytes(PIECE)

POLL = 0.005
"""Seconds between two tries of a lock that is taken."""


def write_whole(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Write a file so that a reader, or a loss of power, finds the old or the new, never a part.

    Args:
        path: Replaced if it is there; its folder exists.
        content: All of it.
        durable: On the disk when this returns, name and all. Otherwise only against a kill.

    Raises:
        StorageError: The disk is full, or the folder cannot be written.
    """
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
        if durable:
            sync_folder(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise StorageError(
            f"Cannot write {path}: {error.strerror}. Free some space or make it writable."
        ) from error


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable: a loss of power may else take a new file."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it; StorageError when that is not allowed."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"Cannot make the folder {folder}: {error.strerror}. Choose another place."
        ) from error


def copy_sparse(source: Path, target: Path) -> None:
    """Copy a file without the zeros in it: mapped files are mostly holes, which take no room.

    Raises:
        OSError: one cannot be read, or the other not written.
    """
    with source.open("rb", buffering=0) as old, target.open("wb") as new:
        while piece := old.read(PIECE):
            if piece == _ZEROS[: len(piece)]:
                new.seek(len(piece), os.SEEK_CUR)
            else:
                new.write(piece)
        new.truncate()


def require_room(folder: Path, room: int, purpose: str) -> None:
    """Refuse work before its first byte where the disk is nearly full.

    The vector engine writes through mapped files that have no room on the disk until they are
    written: where there is none then, the kernel ends the process, and nothing can be raised.

    Raises:
        StorageError: Fewer bytes than `room` are free.
    """
    free = shutil.disk_usage(folder).free
    if free < room:
        raise StorageError(
            f"{free / 1e6:.0f} MB are free where {folder} is, and {purpose} needs "
            f"{room / 1e6:.0f}. Free some space and try again; what was written is kept."
        )


class FileLock:
    """A lock on one file, as one open file: two of them exclude each other in one process too.

    The kernel releases it however a process ends. flock exists on Linux and macOS; Windows is
    refused.
    """

    def __init__(self, path: Path) -> None:
        """Open the file, and make it where it is not there.

        Raises:
            InputError: This system has no such locks.
            StorageError: The file cannot be written.
        """
        if fcntl is None:
            raise InputError(
                "An index in a folder needs file locks that Windows does not have; "
                "use Linux, macOS or WSL, or an index by URL."
            )
        self.path = path
        self._file = self._opened()

    def try_lock(self, *, shared: bool = False) -> bool:
        """Take the lock if it is free; whether it was."""
        try:
            fcntl.flock(self._file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        if self._is_there():
            return True
        # It was deleted while this waited, and others may lock another file of its name.
        self._file.close()
        self._file = self._opened()
        return False

    def lock(self, deadline: float, *, shared: bool = False) -> bool:
        """Take the lock by `deadline` (time.monotonic); whether it could be had."""
        while not self.try_lock(shared=shared):
            if time.monotonic() >= deadline:
                return False
            time.sleep(POLL)
        return True

    def note(self, purpose: str) -> None:
        """Write into the locked file who holds it and what for, for the messages of others."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        text = json.dumps({"pid": os.getpid(), "purpose": purpose, "since": now}).encode()
        self._file.truncate(0)
        self._file.write(text)

    def close(self) -> None:
        """Release the lock, if held."""
        self._file.close()

    def _opened(self) -> FileIO:
        try:
            # An object rather than a bare descriptor: it is closed, and the lock freed, when its
            # owner is dropped without close().
            return self.path.open("a+b", buffering=0)
        except OSError as error:
            raise StorageError(
                f"Cannot write {self.path}: {error.strerror}. Make the folder writable, or copy "
                "it to where it is: the engine writes even to search."
            ) from error

    def _is_there(self) -> bool:
        try:
            return os.path.samestat(os.fstat(self._file.fileno()), self.path.stat())
        except FileNotFoundError:
            return False
