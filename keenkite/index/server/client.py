"""Reaching a Qdrant server, and its errors in our words."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from qdrant_client import QdrantClient
from qdrant_client.http.exceptions import ApiException, UnexpectedResponse

from keenkite.errors import InputError, TileIndexError

logger = logging.getLogger(__name__)

COLLECTION = "keenkite"
"""Name of the collection where a URL gives none."""

PORT = 6333
"""Qdrant's own, where a URL gives none."""


def connect(url: str, *, api_key: str | None, timeout: float) -> tuple[QdrantClient, str]:
    """A client, and the name of the collection: http(s)://host[:port][/prefix...][/collection].

    Nothing is sent yet.

    Args:
        url: as above.
        api_key: of the server; never part of a message.
        timeout: seconds that a request may take, at least 1.

    Raises:
        InputError: the URL cannot be used.
    """
    parts = urlsplit(url)
    try:
        port = parts.port or PORT
    except ValueError as error:
        raise InputError(f"The port of the index URL cannot be used: {error}.") from error
    if parts.username or parts.password or parts.query or parts.fragment or not parts.hostname:
        raise InputError(
            "An index URL is http(s)://host:port/collection and nothing else; "
            "pass the key of the server as api_key."
        )
    prefix, collection = _parts(url)
    if api_key and parts.scheme == "http":
        logger.warning("The API key goes to %s unencrypted; use https.", parts.hostname)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the same in the client's words
        client = QdrantClient(
            url=f"{parts.scheme}://{parts.hostname}",
            port=port,
            prefix="/".join(prefix) or None,
            api_key=api_key,
            timeout=max(round(timeout), 1),
            check_compatibility=False,
        )
    return client, collection or COLLECTION


def named_by(url: str) -> str | None:
    """The collection that a URL names, the last part of its path; None where it has no path."""
    return _parts(url)[1]


def server_of(url: str) -> str:
    """The URL of the server alone: what comes before the collection."""
    split = urlsplit(url)
    return "/".join([f"{split.scheme}://{split.netloc}", *_parts(url)[0]])


def _parts(url: str) -> tuple[list[str], str | None]:
    """The prefix of the server, and the collection."""
    parts = [part for part in urlsplit(url).path.split("/") if part]
    return parts[:-1], parts[-1] if parts else None


@contextmanager
def translated(location: str) -> Iterator[None]:
    """Turn what the client raises into our errors. None of them shows a request's headers."""
    try:
        yield
    except UnexpectedResponse as error:
        raise TileIndexError(_explained(error, location)) from None
    except (ApiException, ValueError, AssertionError) as error:
        # The client lets what its parser and its own assertions raise through.
        reason = str(getattr(error, "source", error)) or "no answer"
        raise TileIndexError(
            f"The Qdrant server at {location} cannot be reached or does not answer as one: "
            f"{reason}. Check the URL, and that the server runs."
        ) from None


def _explained(error: UnexpectedResponse, location: str) -> str:
    code = error.status_code or 0
    if code in (401, 403):
        return (
            f"The Qdrant server at {location} refuses access ({code}). "
            "Give the right API key; to build, one that may write."
        )
    if code == 404:
        return (
            f"The Qdrant server at {location} does not know the collection or the path (404). "
            "Check the URL; if the index was deleted, build it anew."
        )
    if code >= 500:
        return (
            f"The Qdrant server at {location} failed ({code} {error.reason_phrase}). "
            "Try again; if it goes on, look into the server's log."
        )
    try:
        reason = error.structured()["status"]["error"]
    except (ValueError, KeyError, TypeError):
        reason = error.reason_phrase
    return (
        f"The Qdrant server at {location} refuses the request ({code}): {reason}. "
        "Its version must be 1.16 at least."
    )
