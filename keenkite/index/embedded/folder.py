"""The files of an index in a folder, apart from what the engine writes.

index.json      what the index is; the marker that the folder is ours
current         name of the shard in use
shards/NNNN/    the engine's files; another number after each maintenance
records/        one small JSON file per note: complete scenes, statistics, what each region holds
garbage         number of points deleted since their room was given back
lock, waiting, writer    see `lock`
"""

from __future__ import annotations

import json
import shutil
import uuid
from pathlib import Path
from typing import Any

from keenkite.errors import NoIndexError, TileIndexError
from keenkite.files import write_whole
from keenkite.index.embedded.lock import LOCK_FILES
from keenkite.index.meta import Meta

META, CURRENT, SHARDS, RECORDS = "index.json", "current", "shards", "records"
GARBAGE = "garbage"

BESIDE = ("collections", "jobs", "pixels")
"""What a data folder has beside an index that is in it itself."""


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

    def description(self) -> Meta:
        """The description; NoIndexError where there is none any more."""
        found = self.read_meta() if self.path.is_dir() else None
        if found is None:
            raise NoIndexError(f"There is no index in {self.path} any more; build it anew.")
        return found

    def write_meta(self, meta: Meta) -> None:
        """From here on the folder is an index."""
        write_whole(self.path / META, json.dumps(meta.to_json(), indent=1).encode())

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

    def garbage(self) -> int:
        """Points that are deleted and still take room, as far as is known."""
        try:
            return int((self.path / GARBAGE).read_text())
        except (FileNotFoundError, ValueError):
            return 0

    def write_garbage(self, points: int) -> None:
        """Keep their number; to be called with the hold."""
        write_whole(self.path / GARBAGE, str(points).encode(), durable=False)

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
        # Locks are made before index.json, so a folder with no more than these may be one that was
        # being made when its process was killed. The others stay when an index is removed.
        known = {*LOCK_FILES, *BESIDE}
        strangers = [path.name for path in self.path.glob("*") if path.name not in known]
        if strangers:
            raise TileIndexError(
                f"{self.path} is not a keenkite index and not empty (it has {strangers[0]!r}); "
                "choose an empty or new folder."
            )


def _read_record(path: Path) -> dict[str, Any] | None:
    try:
        record: dict[str, Any] = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise TileIndexError(f"{path} is damaged ({error}); delete it.") from error
    return record
