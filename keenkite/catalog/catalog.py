"""Where scenes are looked up: a STAC API, or a folder of STAC items."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from datetime import date
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

from keenkite.area import Area
from keenkite.catalog.own_pictures import PictureFolder, holds_only_pictures, is_picture
from keenkite.catalog.selection import EARTH_SEARCH_COLLECTIONS, select_scenes
from keenkite.catalog.stac_api import StacApi
from keenkite.catalog.stac_items import RawItem
from keenkite.errors import CatalogError
from keenkite.scene import Scene

logger = logging.getLogger(__name__)


class Catalog(Protocol):
    """Anything that knows scenes."""

    def search(
        self, area: Area, start: date, end: date, *, max_cloud: float | str | None = None
    ) -> list[Scene]:
        """The scenes that show an area, each acquisition once, ordered by time.

        Args:
            area: Scenes that have no data in it are left out.
            start: First day, UTC.
            end: Last day, UTC, included.
            max_cloud: Scenes with more cloud are left out: 0.2, 20 and "20%" are the same. None
                takes all. A scene that does not say is never left out.

        Returns:
            Empty when there is no such scene.

        Raises:
            CatalogError: it cannot be searched, or holds nothing that can be used.
        """
        ...


def open_catalog(location: str, collections: Sequence[str] | None = None) -> Catalog:
    """A catalog by its URL or path.

    Args:
        location: The URL of a STAC API's landing page; a folder of STAC items, or one file of them;
            or a folder of pictures of one's own, or one of them.
        collections: STAC collections to look in, the better first; None for Earth Search's of
            Sentinel-2 L2A. A folder's items count whatever their collection.

    Raises:
        CatalogError: there is no such folder or file, or the URL is not one.
    """
    if location.lower().startswith(("http://", "https://")):
        return StacApi(location, collections or EARTH_SEARCH_COLLECTIONS)
    if "://" in location:
        raise CatalogError(
            f"a catalog at {location.split('://')[0]}:// cannot be read: "
            f"pass the http(s) URL of a STAC API, or a folder of STAC items"
        )
    path = Path(location).expanduser()
    if is_picture(path) or holds_only_pictures(path):
        return PictureFolder(path=path)
    return ItemFolder(path)


class ItemFolder:
    """STAC items in the JSON files of a folder and the folders in it: a user's own scenes.

    A file may hold one item or an ItemCollection; catalogs, collections and other JSON are passed
    over. Relative hrefs start from the file's folder, and a href may name any file of this machine.
    The files are read again at each search.
    """

    def __init__(self, path: Path | str) -> None:
        """Open a folder, one file of items, or a `catalog.json`, which stands for its folder.

        Raises:
            CatalogError: there is no such folder or file.
        """
        self.path = Path(path).expanduser().absolute()
        if not self.path.exists():
            raise CatalogError(
                f"there is no {path}: pass a folder of STAC items, or the URL of a STAC API"
            )

    def search(
        self, area: Area, start: date, end: date, *, max_cloud: float | str | None = None
    ) -> list[Scene]:
        """See `Catalog.search`."""
        items = self._items()
        first = next(items, None)
        if first is None:
            raise CatalogError(
                f"there are no STAC items in {self.path}: it needs .json files of type Feature "
                f'with a "stac_version", or ItemCollections'
            )
        return select_scenes(chain([first], items), area, start, end, max_cloud=max_cloud)

    def _items(self) -> Iterator[RawItem]:
        if self.path.is_dir():
            files = sorted(self.path.rglob("*.json"))
        elif _kind(_read(self.path)) in ("Catalog", "Collection"):
            files = sorted(self.path.parent.rglob("*.json"))
        else:
            files = [self.path]
        for file in files:
            content = _read(file)
            members = (
                content.get("features") if _kind(content) == "FeatureCollection" else [content]
            )
            for item in members if isinstance(members, list) else []:
                if _kind(item) == "Feature" and "stac_version" in item:
                    yield RawItem(item=item, base=file.parent)


def _read(file: Path) -> Any:
    """The JSON in a file; None when it cannot be read, which is logged."""
    try:
        return json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        logger.warning("%s left out, it is not JSON that can be read: %s", file, error)
        return None


def _kind(content: Any) -> str | None:
    """The GeoJSON or STAC type of a JSON value."""
    kind = content.get("type") if isinstance(content, dict) else None
    return kind if isinstance(kind, str) else None
