"""The pages of a search, however an API links them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit, urlunsplit

from keenkite.catalog.client import Client
from keenkite.catalog.values import JSONObject, as_number, as_text, objects

PAGE = 100
"""Items a request asks for: Earth Search's default is 10, and very large pages fail there."""
MAX_PAGES = 1000
"""A search of more pages is refused: it is the whole archive."""
MAX_EMPTY = 100
"""The same of pages without items, one after the other."""


class PagesError(Exception):
    """A search does not come to its end; the text goes on from the API's name."""


@dataclass(frozen=True, kw_only=True)
class Search:
    """A request for a page of items."""

    url: str
    method: str
    """GET or POST."""
    body: Mapping[str, Any] | None = None
    """Of a POST."""
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, url: str, method: str, asked: Mapping[str, Any]) -> Search:
        """The first request for what is asked, in the form of its method."""
        if method == "POST":
            return cls(url=url, method=method, body=asked)
        parts = urlsplit(url)
        there = [pair for pair in parse_qsl(parts.query) if pair[0] not in asked]
        words = [(name, _word(value)) for name, value in asked.items()]
        query = urlencode([*there, *words], safe=":/,")
        return cls(url=urlunsplit(parts._replace(query=query)), method=method)

    def after(self, page: JSONObject, url: str) -> Search | None:
        """The request for the page that this page links as the next; None where it is the last.

        A POST that says nothing of its body means the same body: without it, it would ask for the
        whole archive.

        Args:
            page: What this request was answered with.
            url: Where that came from.
        """
        links = objects(page.get("links"))
        link = next((link for link in links if link.get("rel") == "next"), None)
        href = as_text(link.get("href")) if link is not None else None
        if link is None or href is None:
            return None
        headers = {str(key): str(value) for key, value in _object(link.get("headers")).items()}
        if str(link.get("method")).upper() != "POST":
            return Search(url=urljoin(url, href), method="GET", headers=headers)
        body = _object(link.get("body"))
        if link.get("merge") is True or not body:
            body = {**_object(self.body), **body}
        return Search(url=urljoin(url, href), method="POST", body=body, headers=headers)

    @property
    def mark(self) -> str:
        """The same for the same request."""
        return json.dumps([self.method, self.url, self.body], sort_keys=True, default=str)


@dataclass(frozen=True, kw_only=True)
class Page:
    """Some items of a search."""

    items: list[JSONObject]
    url: str
    """Where they came from, without a query: it may hold secrets."""
    matched: int | None
    """Items of the whole search, where the API says it."""
    broken: int
    """Members that are no items at all."""


def pages(client: Client, first: Search) -> Iterator[Page]:
    """All pages of a search; empty ones too, as long as there is a next.

    Raises:
        PagesError: it goes in a circle, or does not end.
        ReplyError: the API fails.
        ValueError, LookupError, TypeError, AttributeError: it answers what is no page of items.
    """
    asked: set[str] = set()
    seen: set[str] = set()
    empty, matched = 0, None
    search: Search | None = first
    while search is not None:
        _check_limits(len(asked), empty)
        asked.add(search.mark)
        reply = client.json(search.url, search.method, body=search.body, headers=search.headers)
        page = _page(reply.content, reply.url)
        matched = matched if page.matched is None else page.matched
        new = {_identity(item) for item in page.items} - seen
        search = search.after(reply.content, reply.url)
        seen |= new
        empty = 0 if page.items else empty + 1
        if search is not None and (search.mark in asked or (page.items and not new)):
            # A last page that links itself is the end all the same, if nothing is missing.
            if matched is None or len(seen) < matched:
                raise PagesError("links its pages in a circle: the same page comes again")
            search = None
        yield page


def _check_limits(count: int, empty: int) -> None:
    if count >= MAX_PAGES:
        raise PagesError(f"has more than {MAX_PAGES * PAGE:,} items for this")
    if empty >= MAX_EMPTY:
        raise PagesError(f"sends one empty page after the other, {empty} by now")


def _page(content: Any, url: str) -> Page:
    if not isinstance(content, Mapping) or not isinstance(content["features"], list | None):
        raise TypeError("no page of items")
    members = content["features"] or []
    items = objects(members)
    matched = content.get("numberMatched", _object(content.get("context")).get("matched"))
    number = as_number(matched)
    parts = urlsplit(url)._replace(query="", fragment="")
    return Page(
        items=items,
        url=urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])),
        matched=None if number is None else int(number),
        broken=len(members) - len(items),
    )


def _identity(item: JSONObject) -> str:
    taken = _object(item.get("properties")).get("datetime")
    return repr((item.get("collection"), item.get("id", id(item)), taken))


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _word(value: Any) -> str:
    """As it stands in a query string."""
    if isinstance(value, Mapping):
        return json.dumps(value)
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
