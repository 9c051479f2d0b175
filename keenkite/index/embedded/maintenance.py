"""Building the graph without stalling anyone: on a copy, in another process, then a swap."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from keenkite.errors import StorageError, TileIndexError
from keenkite.files import copy_sparse, require_room
from keenkite.index.backend import Tell
from keenkite.index.embedded.folder import Folder
from keenkite.index.embedded.shard import SharedShard

REPORT_EVERY = 1.0
"""Seconds between two calls of the progress callback."""


def maintain(folder: Folder, shard: SharedShard, tell_caller: Tell | None) -> None:
    """Put an optimised copy of the shard in its place; the caller holds `writer` exclusively.

    Searches go on meanwhile, in this process and in others, but for two short moments. Ended at
    any point, by an error or a signal, it leaves the shard as it was.

    Raises:
        StorageError: the disk has no room for the copy.
        TileIndexError: the optimising process failed.
    """
    begin = time.monotonic()

    def tell(stage: str) -> None:
        if tell_caller is not None:
            tell_caller(stage, time.monotonic() - begin)

    copy = folder.next_shard()
    try:
        tell("copying")
        try:
            with shard.set_aside("starting maintenance") as path:
                _require_room(path)
                _link_files(path, copy)
            _copy_links(copy)
        except OSError as error:
            raise StorageError(
                f"Cannot copy the index {folder.path} for maintenance: {error.strerror}. "
                "Free some space and try again; the index is as it was."
            ) from error
        optimise(copy, lambda: tell("optimising"))
        with shard.set_aside("finishing maintenance") as old:
            folder.use_shard(copy)
    except BaseException:
        shutil.rmtree(copy, ignore_errors=True)
        raise
    shutil.rmtree(old, ignore_errors=True)
    tell("done")


def optimise(shard: Path, tell: Callable[[], None]) -> None:
    """Optimise a shard that nobody uses, in a process that dies with this one.

    Raises:
        StorageError: the disk is full.
        TileIndexError: the process failed otherwise.
    """
    # By path and with -P: neither the caller's folder nor the rest of keenkite is imported.
    command = [sys.executable, "-P", str(Path(__file__).with_name("optimise.py")), str(shard)]
    with (
        tempfile.TemporaryFile() as messages,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=messages
        ) as process,
    ):
        try:
            while True:
                tell()
                try:
                    status = process.wait(REPORT_EVERY)
                    break
                except subprocess.TimeoutExpired:
                    continue
        except BaseException:
            process.kill()
            raise
        messages.seek(0)
        text = messages.read().decode(errors="replace").strip()
    if status == 0:
        return
    if "No space left" in text or "os error 28" in text:
        raise StorageError(
            "The disk is full: the index could not be optimised. Free some space and try again; "
            "the index is as it was."
        )
    reason = f"signal {-status}" if status < 0 else text.rpartition("\n")[2] or f"status {status}"
    raise TileIndexError(
        f"The process optimising the index ended with {reason}. The index is as it was; "
        "try again, with more memory free if it was killed."
    )


def _require_room(shard: Path) -> None:
    # Optimising writes new segments before it drops the old: the copy, and the same once more.
    need = 2 * sum(path.stat().st_blocks * 512 for path in shard.rglob("*") if path.is_file())
    require_room(shard, need, "maintenance of the index")


def _link_files(source: Path, target: Path) -> None:
    """The same files under another name, in a moment, while nobody has the shard open.

    Readers replace the small files that describe a shard and leave the large ones alone, so what
    the links show does not change while no writer is at work.
    """
    for path in sorted(source.rglob("*")):
        name = target / path.relative_to(source)
        if path.is_dir():
            name.mkdir(parents=True)
            continue
        name.parent.mkdir(parents=True, exist_ok=True)
        try:
            name.hardlink_to(path)
        except OSError:  # a file system without links: copied now, while searches wait
            copy_sparse(path, name)


def _copy_links(folder: Path) -> None:
    """Make each linked file a file of its own."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.stat().st_nlink > 1:
            own = path.with_name(f"{path.name}.own")
            copy_sparse(path, own)
            own.replace(path)
