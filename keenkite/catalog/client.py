"""Requests to services of JSON: patient, redirected with care, secrets kept to one host.

`requests` alone would turn a search that is redirected into a question for the whole archive, and
takes its own certificates where the system names others.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any, Self
from urllib.parse import SplitResult, parse_qsl, unquote, urljoin, urlsplit, urlunsplit

import requests
from requests import RequestException
from requests.auth import HTTPBasicAuth

from keenkite.catalog.values import parse_json
from keenkite.settings import ca_bundle

logger = logging.getLogger(__name__)

RETRIES = 5
"""How often a request is sent again that an overloaded server refuses."""
RETRIES_UNREACHED = 2
"""The same where there is no reply at all: mostly the name or the network is wrong."""
PATIENCE = 120.0
"""Seconds: no request is tried again later than this."""
REDIRECTS = 10
_TIMEOUT = (10.0, 60.0)  # seconds to connect, and without a byte
_OVERLOADED = (429, 500, 502, 503, 504)
_REDIRECTED = (301, 302, 303, 307, 308)


class ReplyError(Exception):
    """A service does not answer, or not with what was asked for.

    Its text goes on from the service's name, "answered 502", and holds no secrets.
    """

    def __init__(self, text: str, *, status: int | None, may_pass: bool = False) -> None:
        super().__init__(text)
        self.status = status
        """Of HTTP; None where there was no reply."""
        self.may_pass = may_pass
        """Whether the same request may well succeed a little later."""


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What a service answered."""

    url: str
    """Where it came from, after redirections; may hold secrets."""
    content: Any
    """Of the JSON."""


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """What a URL holds besides the place, for one origin alone."""

    origin: SplitResult
    """Of the URL, without them."""
    login: tuple[str, str] | None
    parameters: Mapping[str, str]

    @classmethod
    def of(cls, url: str) -> Credentials:
        """Those of a URL; ValueError where it is none of http(s)."""
        parts = urlsplit(url)
        name, port = parts.hostname, parts.port
        if not name or parts.scheme not in ("http", "https"):
            raise ValueError("not an http(s) URL")
        netloc = f"[{name}]" if ":" in name else name
        netloc += "" if port is None else f":{port}"
        login = None
        if parts.username is not None:
            login = (unquote(parts.username), unquote(parts.password or ""))
        origin = SplitResult(parts.scheme, netloc, parts.path, "", "")
        return cls(origin=origin, login=login, parameters=dict(parse_qsl(parts.query)))

    @property
    def url(self) -> str:
        """The place, without them."""
        return urlunsplit(self.origin)

    def upgraded(self, url: str) -> str:
        """A link as it is meant: https where the service itself is reached so.

        Behind a proxy that ends https, services write http into their links.
        """
        parts = urlsplit(url)
        same = parts.hostname == self.origin.hostname and parts.port in (None, 80)
        if same and parts.scheme == "http" and self.origin.scheme == "https":
            return urlunsplit(parts._replace(scheme="https", netloc=self.origin.netloc))
        return url

    def fit(self, url: str) -> bool:
        """Whether they may be sent there: to their origin, or to the same host by https.

        Links in replies may lead anywhere, so each request is looked at.
        """
        parts = urlsplit(url)
        if (parts.scheme, parts.netloc) == (self.origin.scheme, self.origin.netloc):
            return True
        return _is_upgrade(self.origin, parts)

    def hide(self, text: str) -> str:
        """The same text without them, should a server repeat what it was sent."""
        for secret in (*(self.login or ()), *self.parameters.values()):
            text = text.replace(secret, "***") if secret else text
        return text

    def __repr__(self) -> str:
        return f"Credentials(origin={self.url})"


class Client:
    """One connection to a service, and to where its links lead.

    Requests are tried again when the server is overloaded or the network fails. Not by urllib3's
    `Retry`: Earth Search throttles with status 403 and "Forbidden" as its words, told from a real
    refusal by these words alone, and `Retry` logs whole URLs.
    """

    def __init__(self, credentials: Credentials | None = None, *, backoff: float = 0.5) -> None:
        """Nothing is sent yet.

        Args:
            credentials: Sent to their own host.
            backoff: Seconds before the second try of a request that failed; each next wait is
                twice as long.
        """
        self._credentials, self._backoff = credentials, backoff
        self._session = requests.Session()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def json(
        self,
        url: str,
        method: str = "GET",
        *,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        patient: bool = True,
    ) -> Reply:
        """What a URL answers.

        Args:
            url: http(s).
            method: GET or POST.
            body: Sent as JSON; None sends none.
            headers: To send too.
            patient: Whether to try again what fails.

        Raises:
            ReplyError: it failed for good, or too often, or for too long; or is no JSON, then with
                a status below 400.
        """
        if self._credentials is not None:
            url = self._credentials.upgraded(url)
        deadline = time.monotonic() + PATIENCE
        for tries in count():
            try:
                return self._followed(url, method, body=body, headers=headers)
            except ReplyError as error:
                wait = self._backoff * 2**tries
                limit = RETRIES_UNREACHED if error.status is None else RETRIES
                late = tries == limit or time.monotonic() + wait > deadline
                if late or not error.may_pass or not patient:
                    raise
                logger.info("a service does not answer as it should: again in %.1f s", wait)
                time.sleep(wait)
        raise AssertionError("counted to the end of all numbers")

    def _followed(
        self,
        url: str,
        method: str,
        *,
        body: Mapping[str, Any] | None,
        headers: Mapping[str, str] | None,
    ) -> Reply:
        """The answer at the end of some redirections, each with the same method and body."""
        for _ in range(REDIRECTS + 1):
            reply = self._send(url, method, body=body, headers=headers)
            target = reply.headers.get("Location")
            if reply.status_code not in _REDIRECTED or not target:
                return _checked(reply, self._hide)
            target = urljoin(url, target)
            _check_redirect(url, target, keeps_body=body is not None and reply.status_code != 303)
            if reply.status_code == 303:  # the answer is elsewhere, to be fetched
                method, body = "GET", None
            url = target
        raise ReplyError(f"redirects more than {REDIRECTS} times", status=reply.status_code)

    def _send(
        self,
        url: str,
        method: str,
        *,
        body: Mapping[str, Any] | None,
        headers: Mapping[str, str] | None,
    ) -> requests.Response:
        own, login = {}, None
        if self._credentials is not None and self._credentials.fit(url):
            there = {name for name, _ in parse_qsl(urlsplit(url).query)}
            given = self._credentials.parameters
            own = {name: value for name, value in given.items() if name not in there}
            if self._credentials.login is not None:  # as UTF-8: requests knows Latin-1 alone
                login = HTTPBasicAuth(*(part.encode() for part in self._credentials.login))
        try:
            return self._session.request(
                method,
                url,
                params=own,
                json=body,
                headers=headers,
                auth=login,
                timeout=_TIMEOUT,
                allow_redirects=False,
                verify=ca_bundle() or True,
            )
        except (RequestException, OSError, ValueError) as error:
            # Without its cause: that has the URL, and with it what may be secret.
            reason = f"cannot be reached: {_root_cause(error)}"
            raise ReplyError(reason, status=None, may_pass=True) from None

    def _hide(self, text: str) -> str:
        return self._credentials.hide(text) if self._credentials is not None else text


def _checked(reply: requests.Response, hide: Callable[[str], str]) -> Reply:
    status = reply.status_code
    if status >= 300:
        words = " ".join(reply.text.split())
        throttled = status == 403 and "forbidden" in words.lower()
        words = "" if not words or words.startswith("<") else f" ({hide(words)[:200]})"
        raise ReplyError(
            f"answered {status}{words}",
            status=status,
            may_pass=status in _OVERLOADED or throttled,
        )
    try:
        return Reply(url=reply.url, content=parse_json(reply.content))
    except (ValueError, RecursionError) as error:
        raise ReplyError(f"sent no JSON ({type(error).__name__})", status=status) from None


def _check_redirect(url: str, target: str, *, keeps_body: bool) -> None:
    """Refuse to go where what is sent must not go.

    Raises:
        ReplyError: from https to http, to what is no http(s), or, with a body, to another host.
    """
    here, there = urlsplit(url), urlsplit(target)
    reason = None
    if there.scheme not in ("http", "https") or not there.hostname:
        reason = "which is no http(s) URL"
    elif here.scheme == "https" and there.scheme == "http":
        reason = "which is not encrypted, as the one before is"
    elif keeps_body and here.hostname != there.hostname:
        reason = "another host, where what is asked does not go without your knowing"
    if reason is not None:
        place = f"{there.scheme}://{there.hostname or ''}"
        raise ReplyError(
            f"redirects to {place}, {reason}: pass the URL that it redirects to", status=302
        )


def _is_upgrade(here: SplitResult, there: SplitResult) -> bool:
    """From http to https of the same host."""
    schemes = (here.scheme, there.scheme)
    return schemes == ("http", "https") and here.hostname == there.hostname


def _root_cause(error: BaseException) -> str:
    """What the system said at the bottom of a chain of errors; those on top of it quote URLs."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    is_system = isinstance(error, OSError) and not isinstance(error, RequestException)
    return str(error) if is_system else type(error).__name__
