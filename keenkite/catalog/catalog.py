"""Where scenes are looked up: a STAC API, or a folder of STAC items."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from keenkite.area import Area
from keenkite.catalog.folder import ItemFolder
from keenkite.catalog.signing import Signer
from keenkite.catalog.stac_api import StacApi
from keenkite.errors import CatalogError
from keenkite.scene import Scene


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


def open_catalog(
    location: str,
    collections: Sequence[str] | None = None,
    *,
    allow_s3: bool = False,
    signer: Signer | None = None,
) -> Catalog:
    """A catalog by its URL or path.

    Args:
        location: The URL of a STAC API's landing page, a folder of STAC items, or one file of them.
        collections: STAC collections to look in, the better first; None for those of Sentinel-2 L2A
            under their usual names. A folder's items count whatever their collection.
        allow_s3: Whether items may name objects in S3, to be read with the credentials that GDAL
            finds on this machine.
        signer: Signs hrefs of Planetary Computer; None for its own service.

    Raises:
        CatalogError: there is no such folder or file, or the URL is not one.
    """
    if location.lower().startswith(("http://", "https://")):
        return StacApi(location, collections, allow_s3=allow_s3, signer=signer)
    if location.lower().startswith("file://"):
        location = unquote(urlsplit(location).path)
    if "://" in location:
        raise CatalogError(
            f"a catalog at {location.split('://')[0]}:// cannot be read: "
            f"pass the http(s) URL of a STAC API, or a folder of STAC items"
        )
    return ItemFolder(Path(location), allow_s3=allow_s3, signer=signer)
