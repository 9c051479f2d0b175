"""What kept files are called, and which of them holds a tile."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from keenkite.tiling import Tile

_NAME = re.compile(r"(-?[\d.]+)_(-?[\d.]+)_(\d+)x(\d+)_([\d.]+)m\.(rgb|bands)\.tif")
_LONGEST_NAME = 150


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A file of the archive, by its name."""

    path: Path
    west: float
    north: float
    cols: int
    rows: int
    metres: float
    kind: str

    @classmethod
    def of(cls, path: Path) -> Kept | None:
        """What a name says; None for another file's."""
        match = _NAME.fullmatch(path.name)
        if match is None:
            return None
        west, north, cols, rows, metres, kind = match.groups()
        return cls(
            path=path, west=float(west), north=float(north), cols=int(cols), rows=int(rows),
            metres=float(metres), kind=kind,
        )  # fmt: skip

    def holds(self, tile: Tile) -> bool:
        """Whether all of a tile is in it."""
        right, down = tile.west - self.west, self.north - tile.north
        return (
            0 <= right <= self.cols * self.metres - tile.span + 1e-6
            and 0 <= down <= self.rows * self.metres - tile.span + 1e-6
        )


def files_of(folder: Path) -> list[Kept]:
    """The files of a pass, those of more bands first, then by name."""
    kept = [found for path in folder.glob("*.tif") if (found := Kept.of(path)) is not None]
    return sorted(kept, key=lambda each: (each.kind, each.path.name))


def plain(value: float) -> str:
    """To the millimetre, without what is not needed."""
    return f"{value:.3f}".rstrip("0").rstrip(".")


def file_name(text: str) -> str:
    """A name that is never a path, the same for the same text and different for another."""
    name = quote(text, safe="").replace(".", "%2E")
    if len(name) <= _LONGEST_NAME:
        return name
    return f"{name[:100]}-{hashlib.sha256(text.encode()).hexdigest()[:32]}"
