"""What a STAC API says of itself: how it is searched, and what collections it has."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin

from keenkite.catalog.intake import Asked
from keenkite.catalog.pages import PAGE, Search
from keenkite.catalog.values import JSONObject, as_text, objects

USUAL_COLLECTIONS = tuple(
    f"{mission}{level}"
    for mission in ("sentinel-2", "sentinel-s2", "sentinel2", "s2")
    for level in ("-l2a", "-l2a-cogs", "_l2a")
)
"""What collections of Sentinel-2 L2A are mostly called: asked for where nobody names any and an API
does not list its own."""


@dataclass(frozen=True, kw_only=True)
class Service:
    """What an API's landing page says of it."""

    search: str
    """URL of item search."""
    method: str
    """POST where it has it: `query` is at home there."""
    collections: str
    """URL of the list of collections."""
    compares: bool
    """Whether it compares properties itself; others leave it to us."""

    @classmethod
    def of(cls, landing: Any, url: str) -> Service | None:
        """None where it has no item search; one of several errors where it is no landing page."""
        methods = {
            str(link.get("method") or "GET").upper(): urljoin(url, link["href"])
            for link in landing.get("links") or []
            if link.get("rel") == "search"
        }
        method = next((method for method in ("POST", "GET") if method in methods), None)
        if method is None:
            return None
        usual = f"{url.partition('?')[0].rstrip('/')}/collections"
        conforms = landing.get("conformsTo") or []
        return cls(
            search=methods[method],
            method=method,
            collections=linked(landing, "data", url) or usual,
            compares=any(str(uri).endswith("#query") for uri in conforms),
        )

    def searches(
        self, asked: Asked, *, collections: Sequence[str], all_clouds: bool = False
    ) -> list[Search]:
        """The first requests, one for each side of 180° of the area.

        Clouds in dict form with a number. Never a CQL2 `filter`: Earth Search ignores it and finds
        everything.
        """
        wanted: dict[str, Any] = {
            "limit": PAGE,
            "collections": list(collections),
            # Both ends are included, and Sentinel-2 items have milliseconds.
            "datetime": f"{asked.start}T00:00:00Z/{asked.end}T23:59:59.999Z",
        }
        if self.compares and asked.max_cloud < 1 and not all_clouds:
            wanted["query"] = {"eo:cloud_cover": {"lte": round(100 * asked.max_cloud, 6)}}
        return [
            Search.of(self.search, self.method, wanted | {"bbox": list(bbox)})
            for bbox in asked.area.bboxes
        ]


def linked(page: Any, rel: str, url: str) -> str | None:
    """Where the link of a kind leads, in a page that came from a URL."""
    for link in objects(page.get("links")):
        if link.get("rel") == rel and (href := as_text(link.get("href"))):
            return urljoin(url, href)
    return None


def id_of(collection: JSONObject) -> str:
    """Of a collection; empty where it has none."""
    return as_text(collection.get("id")) or ""


def other_collections(
    listed: Sequence[JSONObject] | None, chosen: Sequence[str]
) -> tuple[str, ...]:
    """Where else to look if none of the chosen collections has anything, and nobody named them."""
    if listed is None:
        return tuple(name for name in USUAL_COLLECTIONS if name not in chosen)
    if any(id_of(one) in chosen for one in listed):
        return ()
    return tuple(id_of(one) for one in listed if _is_sentinel2(one))


def _is_sentinel2(collection: JSONObject) -> bool:
    """Whether a collection says of itself that it is of Sentinel-2, and not of another level."""
    summaries = collection.get("summaries")
    facts = summaries if isinstance(summaries, Mapping) else {}
    said = [collection.get(name) for name in ("id", "title", "keywords")]
    said += [facts.get(name) for name in ("constellation", "platform", "processing:level")]
    words = " ".join(map(str, said)).casefold()
    mission = re.search(r"sentinel[-_ ]?s?2|(?<![a-z0-9])s2(?![0-9])", words)
    level = re.search(r"l(evel)?[-_ ]?2a|surface reflectance|bottom[- ]of", words)
    other = re.search(r"(?<![a-z])l(evel)?[-_ ]?[13]|top[- ]of", words)
    return mission is not None and (level is not None or other is None)
