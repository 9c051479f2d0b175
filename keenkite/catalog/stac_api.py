"""Scenes from a STAC API, searched with pystac-client."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import count
from typing import Any, Self
from urllib.parse import parse_qsl, unquote, urljoin, urlsplit, urlunsplit

from pystac_client import ItemSearch
from pystac_client.exceptions import APIError
from pystac_client.stac_api_io import StacApiIO
from requests import Request, RequestException

from keenkite.area import Area
from keenkite.catalog.selection import EARTH_SEARCH_COLLECTIONS, select_scenes
from keenkite.catalog.stac_items import RawItem
from keenkite.cloud import cloud_fraction
from keenkite.errors import CatalogError
from keenkite.scene import Scene

logger = logging.getLogger(__name__)

PAGE = 100
"""Items a request asks for: Earth Search's default is 10, and very large pages fail there."""
MAX_PAGES = 1000
"""A search of more pages is refused: it is the whole archive, or a server that goes in circles."""
RETRIES = 5
"""How often a request is sent again that an overloaded server refuses."""
RETRIES_UNREACHED = 2
"""The same where there is no reply at all: mostly the name or the network is wrong."""
PATIENCE = 120.0
"""Seconds: no request is tried again later than this."""
_TIMEOUT = (10.0, 60.0)  # seconds to connect, and without a byte

_OVERLOADED = (429, 500, 502, 503, 504)


class StacApi:
    """A STAC API with item search, such as Earth Search.

    Assets of Planetary Computer are found, but its URLs have to be signed before they can be read,
    and CDSE's need an account: scenes of these two come from items in a folder, see `ItemFolder`.
    An item that states no cloud cover is not found where the API itself compares it.
    """

    def __init__(
        self,
        url: str,
        collections: Sequence[str] = EARTH_SEARCH_COLLECTIONS,
        *,
        backoff: float = 0.5,
    ) -> None:
        """Nothing is sent yet.

        Args:
            url: Of the landing page. A user and password, or a query such as "?token=…", are sent
                with each request to this host, and to no other.
            collections: To search; where two have the same acquisition the earlier one counts.
            backoff: Seconds before the second try of a request that failed; each next wait is
                twice as long.

        Raises:
            CatalogError: the URL is not one.
        """
        try:
            parts = urlsplit(url)
            name, port = parts.hostname, parts.port
        except ValueError:
            name = None
        if not name or parts.scheme not in ("http", "https"):
            raise CatalogError("the URL of a STAC API looks like https://host/path: check it")
        netloc = f"[{name}]" if ":" in name else name
        netloc += "" if port is None else f":{port}"
        self.host = netloc
        """Host and port, to name it in messages: the URL itself may hold secrets."""
        self._url = urlunsplit((parts.scheme, netloc, parts.path, "", ""))
        self._credentials = _Credentials.of(url, origin=(parts.scheme, netloc))
        self._collections = tuple(collections)
        self._backoff = backoff

    def search(
        self, area: Area, start: date, end: date, *, max_cloud: float | str | None = None
    ) -> list[Scene]:
        """See `Catalog.search`."""
        most = 1.0 if max_cloud is None else cloud_fraction(max_cloud)
        with _PatientIO(self._credentials, self._backoff) as io:
            return select_scenes(
                self._found(io, area, start, end, most),
                area,
                start,
                end,
                max_cloud=most,
                collections=self._collections,
            )

    def _found(
        self, io: _PatientIO, area: Area, start: date, end: date, max_cloud: float
    ) -> Iterator[RawItem]:
        """All items of all pages, for each side of 180° of the area."""
        try:
            landing = io.read_json(self._url)
            href, method = self._search_link(landing)
            for bbox in area.bboxes:
                pages = ItemSearch(
                    href,
                    method=method,
                    stac_io=io,
                    limit=PAGE,
                    collections=list(self._collections),
                    bbox=bbox,
                    # Both ends are included, and Sentinel-2 items have milliseconds.
                    datetime=f"{start}T00:00:00Z/{end}T23:59:59.999Z",
                    query=_query(landing, max_cloud),
                ).pages_as_dicts()
                for number, page in enumerate(pages, 1):
                    if number > MAX_PAGES:
                        raise CatalogError(
                            f"{self.host} has more than {MAX_PAGES * PAGE:,} items for this: "
                            f"ask for a smaller area or fewer days"
                        )
                    for item in page["features"]:
                        yield RawItem(item=dict(item), base=href)
        except APIError as error:
            # Without its cause: that has the URL, and with it what may be secret.
            raise self._explain(error) from None
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise CatalogError(
                f"{self.host} answers, but not as a STAC API does ({type(error).__name__}): "
                f"check that the URL is that of a STAC API's landing page"
            ) from None

    def _search_link(self, landing: Any) -> tuple[str, str]:
        """(URL, method) of item search; POST where the API has it: `query` is at home there."""
        methods = {
            link.get("method", "GET"): urljoin(self._url, link["href"])
            for link in landing.get("links", [])
            if link.get("rel") == "search"
        }
        for method in ("POST", "GET"):
            if method in methods:
                return methods[method], method
        raise CatalogError(
            f"{self.host} is not a STAC API with item search: check that the URL is that of the "
            f"API's landing page; a static catalog can be copied and used as a folder"
        )

    def _explain(self, error: APIError) -> CatalogError:
        status = _status(error)
        if status is None:
            return CatalogError(
                f"the STAC API {self.host} cannot be reached: {_root_cause(error)}. "
                f"Check the network and the URL, or use a folder of STAC items"
            )
        words = " ".join(str(error).split())
        words = "" if words.startswith("<") else f" ({self._credentials.hide(words)[:200]})"
        advice = "check the URL and what is asked for"
        if _may_pass(error):
            advice = "it is overloaded or fails: try again later, or with a smaller area"
        elif status in (401, 403):
            advice = "check the user, password or token in the URL"
        return CatalogError(f"the STAC API {self.host} answered {status}{words}: {advice}")


@dataclass(frozen=True, kw_only=True)
class _Credentials:
    """What a URL holds besides the place, for one origin alone."""

    origin: tuple[str, str]
    """(scheme, host and port)."""
    login: tuple[str, str] | None
    parameters: Mapping[str, str]

    @classmethod
    def of(cls, url: str, origin: tuple[str, str]) -> _Credentials:
        parts = urlsplit(url)
        login = None
        if parts.username is not None:
            login = (unquote(parts.username), unquote(parts.password or ""))
        return cls(origin=origin, login=login, parameters=dict(parse_qsl(parts.query)))

    def add_to(self, request: Request) -> None:
        """Links in replies may lead anywhere, so each request is looked at."""
        parts = urlsplit(str(request.url))
        if (parts.scheme, parts.netloc) == self.origin:
            request.auth = self.login
            given = request.params if isinstance(request.params, dict) else {}
            there = {name for name, _ in parse_qsl(parts.query)}
            own = {name: value for name, value in self.parameters.items() if name not in there}
            request.params = {**own, **given}

    def hide(self, text: str) -> str:
        """The same text without them, should a server repeat what it was sent."""
        for secret in (*(self.login or ()), *self.parameters.values()):
            text = text.replace(secret, "***") if secret else text
        return text

    def __repr__(self) -> str:
        return f"_Credentials(origin={self.origin})"


class _PatientIO(StacApiIO):
    """Requests that are tried again when the server is overloaded or the network fails.

    Not urllib3's `Retry`: Earth Search throttles with status 403 and "Forbidden" as its words, told
    from a real refusal by these words alone, and `Retry` logs whole URLs.
    """

    def __init__(self, credentials: _Credentials, backoff: float) -> None:
        super().__init__(timeout=_TIMEOUT, max_retries=None, request_modifier=credentials.add_to)
        self._backoff = backoff

    def request(
        self,
        href: str,
        method: str | None = None,
        headers: dict[str, str] | None = None,
        parameters: dict[str, Any] | None = None,
    ) -> str:
        """The reply's text.

        Raises:
            APIError: it failed for good, or too often, or for too long.
        """
        deadline = time.monotonic() + PATIENCE
        for tries in count():
            try:
                return str(super().request(href, method, headers, parameters))
            except APIError as error:
                wait = self._backoff * 2**tries
                limit = RETRIES_UNREACHED if _status(error) is None else RETRIES
                late = tries == limit or time.monotonic() + wait > deadline
                if late or not _may_pass(error):
                    raise
                logger.info("the STAC API does not answer as it should: again in %.1f s", wait)
                time.sleep(wait)
        raise AssertionError("counted to the end of all numbers")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.session.close()


def _query(landing: Any, max_cloud: float) -> dict[str, dict[str, float]] | None:
    """In dict form with a number, where the API compares at all: others leave it to us.

    Never a CQL2 `filter`: Earth Search ignores it and finds everything.
    """
    conforms = any(str(uri).endswith("#query") for uri in landing.get("conformsTo", []))
    if not conforms or max_cloud >= 1:
        return None
    return {"eo:cloud_cover": {"lte": round(100 * max_cloud, 6)}}


def _status(error: APIError) -> int | None:
    """The HTTP status of a reply; None when there was none."""
    status: int | None = getattr(error, "status_code", None)
    return status


def _may_pass(error: APIError) -> bool:
    """Whether the same request may well succeed a little later."""
    status = _status(error)
    throttled = status == 403 and "forbidden" in str(error).lower()
    return status is None or status in _OVERLOADED or throttled


def _root_cause(error: BaseException) -> str:
    """What the system said at the bottom of a chain of errors; those on top of it quote URLs."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    is_system = isinstance(error, OSError) and not isinstance(error, RequestException)
    return str(error) if is_system else type(error).__name__
