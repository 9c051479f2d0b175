"""The files of an index in a folder, apart from what the engine writes.

index.json      what the index is; the marker that the folder is ours
current         name of the shard in use
shards/NNNN/    the engine's files; another number after each maintenance
records/        one small JSON file per note: complete scenes, cached statistics
generation      another text after every change of the points
statistics      sums over the vectors, and the generation they are of
lock, waiting, writer    see `lock`
"""

from __future__ import annotations

import json
import os
import shutil
import uuid
from functools import cache
from pathlib import Path
from typing import Any

from keenkite.errors import StorageError, TileIndexError
from keenkite.index.backend import Meta
from keenkite.index.embedded.lock import LOCK_FILES
from keenkite.index.statistics import Moments

META, CURRENT, SHARDS = "index.json", "current", "shards"
RECORDS, GENERATION, STATISTICS = "records", "generation", "statistics"

FLUSHED = "flushed"
"""In place of a boot id: these sums are of points that are on disk."""


class Folder:
    """The layout of one index folder; knows nothing of the engine."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read_meta(self) -> Meta | None:
        """The description; None when there is no index yet but one may be made here.

        Raises:
            TileIndexError: something else is here, or the description is damaged.
        """
        try:
            text = (self.path / META).read_bytes()
        except FileNotFoundError:
            self._require_empty()
            return None
        except NotADirectoryError as error:
            raise TileIndexError(
                f"{self.path} is a file, not a folder; choose another place for the index."
            ) from error
        except OSError as error:
            raise TileIndexError(f"Cannot read {self.path / META}: {error.strerror}.") from error
        try:
            value = json.loads(text)
        except ValueError as error:
            raise TileIndexError(
                f"{self.path / META} is damaged ({error}). "
                "Restore it from a copy, or delete the folder and build the index anew."
            ) from error
        return Meta.from_json(value, str(self.path))

    def write_meta(self, meta: Meta) -> None:
        """From here on the folder is an index."""
        write_whole(self.path / META, json.dumps(meta.to_json(), indent=1).encode())

    def make(self) -> None:
        """Make the folder and those above it; StorageError when that is not allowed."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(
                f"Cannot make the folder {self.path}: {error.strerror}. "
                "Choose a place that can be written."
            ) from error

    def require_room(self, room: int, purpose: str) -> None:
        """StorageError when fewer bytes than `room` are free.

        The engine writes through mapped files that have no room on the disk until they are
        written: where there is none then, the kernel ends the process, and nothing can be raised.
        """
        free = shutil.disk_usage(self.path).free
        if free < room:
            raise StorageError(
                f"{free / 1e6:.0f} MB are free where the index {self.path} is, and {purpose} "
                f"needs {room / 1e6:.0f}. Free some space and try again; what was written is kept."
            )

    def shard(self) -> Path | None:
        """The shard in use; None before the first."""
        try:
            name = (self.path / CURRENT).read_text().strip()
        except FileNotFoundError:
            return None
        path = self.path / SHARDS / name
        # A name with a path in it would lead out of the folder.
        if not name.isdigit() or not path.is_dir():
            raise TileIndexError(
                f"{self.path / CURRENT} names shard {name!r}, which is not there. "
                "Restore the folder from a copy, or delete it and build the index anew."
            )
        return path

    def next_shard(self) -> Path:
        """Where the next shard goes; it does not exist."""
        current = self.shard()
        return self.path / SHARDS / f"{int(current.name) + 1 if current else 1:04d}"

    def use_shard(self, path: Path) -> None:
        """Make this the shard in use, at once and durably."""
        write_whole(self.path / CURRENT, path.name.encode())

    def remove_other_shards(self) -> None:
        """Remove what a killed maintenance left; the caller holds `writer` exclusively."""
        current = self.shard()
        for path in (self.path / SHARDS).glob("*"):
            # Without a current one, the first is perhaps being made.
            if current is not None and path != current:
                shutil.rmtree(path, ignore_errors=True)

    def generation(self) -> str:
        """See `Backend.generation`."""
        try:
            return (self.path / GENERATION).read_text()
        except FileNotFoundError:
            return ""

    def change_generation(self) -> str:
        """Another generation, durably; to be called with the hold, before the points change."""
        generation = uuid.uuid4().hex
        write_whole(self.path / GENERATION, generation.encode())
        return generation

    def read_moments(self, dim: int) -> Moments | None:
        """The sums of the present generation, if they were written and can be trusted."""
        try:
            header, _, data = (self.path / STATISTICS).read_bytes().partition(b"\n")
        except FileNotFoundError:
            return None
        if header.decode(errors="replace").split(" ") not in (
            [self.generation(), FLUSHED],
            [self.generation(), _boot()],
        ):
            return None
        try:
            return Moments.from_bytes(data, dim)
        except ValueError:
            return None

    def write_moments(self, moments: Moments, *, flushed: bool) -> None:
        """Keep sums as those of the present generation; to be called with the hold.

        Args:
            moments: the sums.
            flushed: the engine has its points on disk. If not, a loss of power may take points
                that are in the sums, so these are only good until the machine starts again.
        """
        header = f"{self.generation()} {FLUSHED if flushed else _boot()}\n"
        content = header.encode() + moments.to_bytes()
        write_whole(self.path / STATISTICS, content, durable=flushed)

    def records(self, kind: str) -> dict[str, dict[str, Any]]:
        """Notes whose keys begin with `kind` and a slash."""
        found = {}
        for path in (self.path / RECORDS).glob("*.json"):
            record = _read_record(path)
            if record is not None and record["key"].startswith(f"{kind}/"):
                found[record["key"]] = record["value"]
        return found

    def read_record(self, key: str) -> dict[str, Any] | None:
        """One note, if there."""
        record = _read_record(self._record_path(key))
        return None if record is None else record["value"]

    def write_record(self, key: str, value: dict[str, Any]) -> None:
        """Keep a note, durably, all of it or nothing."""
        (self.path / RECORDS).mkdir(exist_ok=True)
        text = json.dumps({"key": key, "value": value})
        write_whole(self._record_path(key), text.encode())

    def delete_record(self, key: str) -> None:
        """Forget a note, if there."""
        self._record_path(key).unlink(missing_ok=True)

    def _record_path(self, key: str) -> Path:
        # Keys hold any text; a digest of them is a file name everywhere.
        return self.path / RECORDS / f"{uuid.uuid5(uuid.NAMESPACE_OID, key).hex}.json"

    def _require_empty(self) -> None:
        # Made before index.json, so a folder with no more than these may be one that was being
        # made when its process was killed.
        strangers = [p.name for p in self.path.glob("*") if p.name not in LOCK_FILES]
        if strangers:
            raise TileIndexError(
                f"{self.path} is not a keenkite index and not empty (it has {strangers[0]!r}); "
                "choose an empty or new folder."
            )


@cache
def _boot() -> str:
    """Names the time since the machine started; where it has no name, the time of this process."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return str(uuid.uuid4())


def write_whole(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Write a file so that a reader, or a loss of power, finds the old or the new, never a part."""
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
        if durable:
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise StorageError(
            f"Cannot write {path}: {error.strerror}. Free some space or make it writable."
        ) from error


def _read_record(path: Path) -> dict[str, Any] | None:
    try:
        record: dict[str, Any] = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise TileIndexError(f"{path} is damaged ({error}); delete it.") from error
    return record
