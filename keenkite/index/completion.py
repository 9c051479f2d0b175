"""Records of work that is done, and the one rule of when they must go.

A record says that all tiles of a scene that a region wanted are in the index, so that nobody makes
them again. It goes before one of these tiles does, or before one loses the region's label: ended
in between, work is done twice, and never left undone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from keenkite.index.backend import Backend

KIND = "complete"


class Completion:
    """Those of one index."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def has(self, key: str) -> bool:
        """Whether some work is done."""
        return self._backend.read_record(f"{KIND}/{key}") is not None

    def mark(self, key: str, info: dict[str, Any]) -> None:
        """Record that it is, once all that was written for it is durable."""
        self._backend.flush()
        self._backend.write_record(f"{KIND}/{key}", info)

    def all(self) -> dict[str, dict[str, Any]]:
        """Key -> info."""
        records = self._backend.records(KIND)
        return {key.removeprefix(f"{KIND}/"): info for key, info in records.items()}

    def forget(self, counts: Callable[[str, dict[str, Any]], bool]) -> None:
        """Take away the records that count on something, given key and info."""
        gone = [f"{KIND}/{key}" for key, info in self.all().items() if counts(key, info)]
        self._backend.delete_records(gone)

    def forget_scenes(self, scenes: Collection[str], region: str | None = None) -> None:
        """Those of some scenes; of one region, and those that name none, if one is given."""
        self.forget(
            lambda key, info: (
                info.get("scene", key) in scenes
                and (region is None or info.get("region", region) == region)
            )
        )

    def forget_region(self, region: str) -> None:
        """Those of a region."""
        self.forget(lambda key, info: info.get("region") == region)  # noqa: ARG005
