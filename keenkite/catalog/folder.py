"""STAC items in files: a user's own scenes."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from datetime import date
from itertools import chain
from pathlib import Path
from typing import Any

from keenkite.area import Area
from keenkite.catalog.intake import Account, Asked, Intake, Scenes
from keenkite.catalog.selection import select_scenes
from keenkite.catalog.signing import Signer
from keenkite.catalog.stac_items import RawItem
from keenkite.catalog.values import parse_json
from keenkite.cloud import cloud_fraction
from keenkite.errors import CatalogError
from keenkite.reader import grid_of

logger = logging.getLogger(__name__)

ENDS = (".json", ".geojson")
"""Of the files that are looked at, in small or capital letters."""


class ItemFolder:
    """STAC items in the JSON files of a folder and the folders in it: a user's own scenes.

    A file may hold one item or an ItemCollection; catalogs, collections and other JSON are passed
    over. Links to folders are followed. Relative hrefs start from the file's folder, and a href may
    name any file of this machine. The files are read again at each search.
    """

    def __init__(
        self, path: Path | str, *, allow_s3: bool = False, signer: Signer | None = None
    ) -> None:
        """Open a folder, one file of items, or a `catalog.json`, which stands for its folder.

        Args:
            path: The folder or file.
            allow_s3: Whether items may name objects in S3.
            signer: Signs hrefs of Planetary Computer.

        Raises:
            CatalogError: there is no such folder or file.
        """
        self.path = Path(path).expanduser().absolute()
        if not self.path.exists():
            raise CatalogError(
                f"there is no {path}: pass a folder of STAC items, or the URL of a STAC API"
            )
        self._allow_s3 = allow_s3
        self._signer = Signer() if signer is None else signer

    def search(
        self, area: Area, start: date, end: date, *, max_cloud: float | str | None = None
    ) -> Scenes:
        """See `Catalog.search`."""
        items = self._items()
        first = next(items, None)
        if first is None:
            raise CatalogError(
                f"there are no STAC items in {self.path}: it needs .json or .geojson files of type "
                f'Feature with a "stac_version", or ItemCollections'
            )
        most = 1.0 if max_cloud is None else cloud_fraction(max_cloud)
        asked = Asked(area=area, start=start, end=end, max_cloud=most)
        account = Account(place=str(self.path), asked=asked)
        found = Intake(account, grid_of).take(chain([first], items))
        return Scenes(select_scenes(found, area, start, end, max_cloud=most), account)

    def _items(self) -> Iterator[RawItem]:
        if self.path.is_dir():
            files = item_files(self.path)
        elif _kind(_read(self.path)) in ("Catalog", "Collection"):
            files = item_files(self.path.parent)
        else:
            files = iter([self.path])
        for file in files:
            content = _read(file)
            versioned = isinstance(content, dict) and "stac_version" in content
            members = (
                content.get("features") if _kind(content) == "FeatureCollection" else [content]
            )
            for item in members if isinstance(members, list) else []:
                if _kind(item) == "Feature" and (versioned or "stac_version" in item):
                    yield RawItem(
                        item=item,
                        base=file.parent,
                        linked=file.resolve().parent if file.is_symlink() else None,
                        allow_s3=self._allow_s3,
                        signer=self._signer,
                    )


def item_files(folder: Path) -> Iterator[Path]:
    """The JSON files of a folder and those in it, in order; links too, but each folder once."""
    seen: set[tuple[int, int]] = set()

    def tell(error: OSError) -> None:
        logger.warning("%s left out, it cannot be read: %s", error.filename, error.strerror)

    for place, folders, names in os.walk(folder, followlinks=True, onerror=tell):
        here = Path(place).stat()
        if (here.st_dev, here.st_ino) in seen:  # a link that leads back
            folders.clear()
            continue
        seen.add((here.st_dev, here.st_ino))
        folders.sort()
        for name in sorted(names):
            if name.casefold().endswith(ENDS):
                yield Path(place) / name


def _read(file: Path) -> Any:
    """The JSON in a file; None when it cannot be read, which is logged."""
    try:
        return parse_json(file.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        logger.warning("%s left out, it is not JSON that can be read: %s", file, error)
        return None


def _kind(content: Any) -> str | None:
    """The GeoJSON or STAC type of a JSON value."""
    kind = content.get("type") if isinstance(content, dict) else None
    return kind if isinstance(kind, str) else None
