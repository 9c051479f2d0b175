"""The engine's shard of a folder, open in this process only while no other process wants it."""

from __future__ import annotations

import logging
import shutil
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import qdrant_edge as engine

from keenkite.errors import KeenkiteError, StorageError, TileIndexError
from keenkite.files import require_room
from keenkite.index.embedded.folder import Folder
from keenkite.index.embedded.lock import Hold

logger = logging.getLogger(__name__)

ROOM = 64_000_000
"""Bytes that must be free to open a shard, be it only to search; see `files.require_room`."""

IDLE = 0.05
"""Seconds without an operation after which a shard that is wanted is given up."""

SHORTEST_TURN, LONGEST_TURN = 0.1, 5.0
"""Seconds a busy process keeps a shard that is wanted: as long as opening took, within these.

So opening costs at most half of the time when several processes are busy at once.
"""


class _Held:
    """The open shard and the hold on it, apart from who uses them, so that they can outlive it."""

    def __init__(self, folder: Path) -> None:
        self.hold = Hold(folder)
        self.shard: engine.EdgeShard | None = None

    def close_shard(self) -> None:
        """Close it, all of it on the disk, if it is open."""
        if self.shard is not None:
            shard, self.shard = self.shard, None
            shard.flush()
            shard.close()

    def give_up(self) -> None:
        """Close it and let others have it."""
        try:
            self.close_shard()
        finally:
            self.hold.release()


class SharedShard:
    """A shard that several processes, and several threads of each, use in turns."""

    def __init__(
        self, folder: Folder, *, create: Callable[[Path], engine.EdgeShard], wait: float
    ) -> None:
        """Nothing is opened before the first operation.

        Args:
            folder: where the shard is, or will be.
            create: makes the first shard at a path, payload indexes and all.
            wait: seconds to wait for other processes.
        """
        self._folder = folder
        self._create = create
        self._wait = wait
        self._held = _Held(folder.path)
        # An index that is dropped without close() frees its shard, and only then the hold.
        weakref.finalize(self, self._held.give_up)
        self._mutex = threading.RLock()
        self._opening = 0
        """Counts how often the shard was opened."""
        self._path = Path()
        self._closed = False
        self._opened_at = self._used_at = self._turn = 0.0

    @contextmanager
    def opened(self, purpose: str) -> Iterator[engine.EdgeShard]:
        """The shard, for one short operation; other threads and processes wait meanwhile.

        Raises:
            IndexBusyError: another process did not give it up in time.
            TileIndexError: the engine failed in here; says how.
        """
        with self._mutex, translated(self._folder.path):
            shard = self._held.shard or self._open(purpose)
            try:
                yield shard
            finally:
                self._used_at = time.monotonic()
                if self._used_at - self._opened_at > self._turn and self._held.hold.wanted():
                    self._held.give_up()

    @contextmanager
    def set_aside(self, purpose: str) -> Iterator[Path]:
        """The path of the shard, flushed, and open in no process while this lasts."""
        with self._mutex, translated(self._folder.path):
            if self._held.shard is None:
                # Opening replays what a killed process left in its log.
                self._open(purpose)
            try:
                self._held.close_shard()
                yield self._path
            finally:
                self._held.hold.release()

    def close(self) -> None:
        """Give the shard up for good."""
        with self._mutex, translated(self._folder.path):
            self._closed = True
            self._held.give_up()

    def _open(self, purpose: str) -> engine.EdgeShard:
        if self._closed:
            raise TileIndexError(
                f"The index {self._folder.path} was closed; open it again to use it."
            )
        self._folder.description()
        self._held.hold.acquire(purpose, self._wait)
        try:
            self._folder.description()  # perhaps removed while this process waited
            require_room(self._folder.path, ROOM, "opening the index, which writes a log,")
            begin = time.monotonic()
            path = self._folder.shard()
            if path is None:
                path = self._folder.next_shard()
                shutil.rmtree(path, ignore_errors=True)  # one half made, by a killed process
                path.mkdir(parents=True)
                shard = self._create(path)
                shard.flush()
                self._folder.use_shard(path)
            else:
                # Gigabytes, left by an optimisation that was killed; the engine never removes them.
                shutil.rmtree(path / "temp_segments", ignore_errors=True)
                shard = engine.EdgeShard.load(str(path))
            self._opened_at = self._used_at = time.monotonic()
            self._turn = min(max(self._opened_at - begin, SHORTEST_TURN), LONGEST_TURN)
        except BaseException:
            self._held.hold.release()
            raise
        self._held.shard, self._path = shard, path
        self._opening += 1
        watch = threading.Thread(
            target=_watch,
            args=(weakref.ref(self), self._opening),
            name="keenkite-index-watch",
            daemon=True,
        )
        watch.start()
        return shard

    def _give_up_if_idle(self, opening: int) -> bool:
        """Give up a wanted shard that is idle; whether it is no longer open since `opening`."""
        if self._mutex.acquire(blocking=False):
            try:
                idle = time.monotonic() - self._used_at
                current = self._opening == opening and self._held.shard is not None
                if current and idle > IDLE and self._held.hold.wanted():
                    self._held.give_up()
            finally:
                self._mutex.release()
        return self._opening != opening or self._held.shard is None


def _watch(owner: weakref.ref[SharedShard], opening: int) -> None:
    while True:
        time.sleep(IDLE)
        shared = owner()
        try:
            if shared is None or shared._give_up_if_idle(opening):
                return
        except Exception:
            logger.exception("Giving up the index failed")
            return
        del shared


@contextmanager
def translated(folder: Path) -> Iterator[None]:
    """Turn whatever the engine raises into our errors."""
    try:
        yield
    except (KeenkiteError, OSError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:
        # The engine raises bare Exception, and pyo3's PanicException on damaged files, which is
        # a BaseException.
        text = str(error)
        if "No space left" in text or "os error 28" in text:
            raise StorageError(
                f"The disk of the index {folder} is full. Free some space and try again; "
                "what was written before is kept."
            ) from error
        if "WouldBlock" in text:
            raise TileIndexError(
                f"The index {folder} is open in a program that does not share it. "
                "Close that program and try again."
            ) from error
        raise TileIndexError(
            f"The engine failed on the index {folder}: {text}. If this happens again, restore "
            "the folder from a copy, or delete it and build the index anew."
        ) from error
