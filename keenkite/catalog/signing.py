"""Planetary Computer's hrefs, signed when they are to be read.

Its blobs are public, but a URL needs a token (SAS) that its service gives to anybody, for a
container at a time and for about an hour. A build may go on for longer than that, so an href is
signed at the moment somebody looks it up to read it, with a token that will last for a while.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from keenkite.catalog.client import Client, ReplyError
from keenkite.catalog.values import JSONObject, as_text, as_time, objects
from keenkite.errors import SceneError

logger = logging.getLogger(__name__)

TOKENS = "https://planetarycomputer.microsoft.com/api/sas/v1/token"
"""Followed by /ACCOUNT/CONTAINER."""
_HOST = "planetarycomputer.microsoft.com"
_BLOBS = ".blob.core.windows.net"
_ACCOUNTS = frozenset(("sentinel2l2a01", "landsateuwest", "naipeuwest"))
"""Planetary Computer's accounts of optical imagery: signed whoever lists them."""
_REST = 900.0
"""Seconds that a token must still last when it is used: a scene takes minutes to read."""
_UNKNOWN = 600.0
"""Seconds that a token is used whose end is not told."""


@dataclass(frozen=True, kw_only=True)
class _Token:
    """What the service answered for a container."""

    query: str | None
    """None where it knows no such container."""
    until: float
    """time.time() from which another is asked for."""


class Signer:
    """Signs hrefs of Planetary Computer's blobs; used by any number of threads.

    Tokens are kept until they end. Pickled without them.
    """

    def __init__(self, tokens: str = TOKENS, *, backoff: float = 0.5) -> None:
        """Nothing is sent yet.

        Args:
            tokens: The URL that gives tokens, /ACCOUNT/CONTAINER left out.
            backoff: Seconds before a request that failed is sent again.
        """
        self.tokens, self._backoff = tokens.rstrip("/"), backoff
        self._kept: dict[tuple[str, str], _Token] = {}
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type[Signer], tuple[str]]:
        return Signer, (self.tokens,)

    def signing(self, hrefs: Mapping[str, str], item: JSONObject) -> Mapping[str, str]:
        """The same hrefs, signed as they are looked up, if they are Planetary Computer's."""
        listed = any(f"//{_HOST}/" in f"{link.get('href')}/" for link in objects(item.get("links")))
        for href in hrefs.values():
            place = _place(href)
            if place is not None and (listed or place[0] in _ACCOUNTS):
                return SignedHrefs(hrefs, self)
        return hrefs

    def sign(self, href: str) -> str:
        """A URL that can be read now.

        Raises:
            SceneError: the service does not give a token.
        """
        place = _place(href)
        if place is None:
            return href
        query = self._token(*place)
        parts = urlsplit(href)
        joined = "&".join(part for part in (parts.query, query) if part)
        return urlunsplit((parts.scheme, parts.netloc, parts.path, joined, ""))

    def _token(self, account: str, container: str) -> str | None:
        # One thread asks; the others, with other bands of the same scene, wait for the answer.
        with self._lock:
            kept = self._kept.get((account, container))
            if kept is None or time.time() >= kept.until:
                kept = self._kept[account, container] = self._ask(account, container)
            return kept.query

    def _ask(self, account: str, container: str) -> _Token:
        where = f"{self.tokens}/{account}/{container}"
        try:
            with Client(backoff=self._backoff) as client:
                reply = client.json(where).content
            query = as_text(reply.get("token")) if isinstance(reply, Mapping) else None
        except ReplyError as error:
            if error.status in (400, 401, 403, 404):
                logger.info("%s/%s is read unsigned: its service %s", account, container, error)
                return _Token(query=None, until=time.time() + _UNKNOWN)
            raise SceneError(
                f"The hrefs of {account}{_BLOBS}/{container} need a token, and the service that "
                f"gives them {error}. Build again to try it again."
            ) from None
        if query is None:
            raise SceneError(
                f"The hrefs of {account}{_BLOBS}/{container} need a token, and the service that "
                f"gives them sent none. Build again to try it again."
            )
        return _Token(query=query.lstrip("?"), until=_until(reply))


class SignedHrefs(Mapping[str, str]):
    """Hrefs by band; each is signed when it is looked up, which may take a request."""

    def __init__(self, hrefs: Mapping[str, str], signer: Signer) -> None:
        self._hrefs, self._signer = dict(hrefs), signer

    def __getitem__(self, band: str) -> str:
        return self._signer.sign(self._hrefs[band])

    def __contains__(self, band: object) -> bool:
        return band in self._hrefs

    def __iter__(self) -> Iterator[str]:
        return iter(self._hrefs)

    def __len__(self) -> int:
        return len(self._hrefs)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SignedHrefs) and self._hrefs == other._hrefs

    def __hash__(self) -> int:
        return hash(frozenset(self._hrefs.items()))

    def __repr__(self) -> str:
        return f"SignedHrefs({self._hrefs})"


def _place(href: str) -> tuple[str, str] | None:
    """(account, container) of a blob's URL that has no token yet."""
    parts = urlsplit(href)
    host = parts.hostname or ""
    container = parts.path.strip("/").partition("/")[0]
    signed = any(name == "sig" for name, _ in parse_qsl(parts.query))
    if parts.scheme != "https" or not host.endswith(_BLOBS) or not container or signed:
        return None
    return host.removesuffix(_BLOBS), container


def _until(reply: Mapping[str, Any]) -> float:
    """Until when a token is used: not to its end, but for half of it at least."""
    now = time.time()
    end = as_time(reply.get("msft:expiry"))
    if end is None:
        return now + _UNKNOWN
    left = end.timestamp() - now
    return now + max(left - _REST, left / 2)
