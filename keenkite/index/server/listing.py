"""Which of a server's collections are ours, and taking one away."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from keenkite.index.server.backend import META
from keenkite.index.server.client import connect, translated
from keenkite.index.server.records import RECORDS, Records


def described(
    url: str, *, api_key: str | None, timeout: float
) -> list[tuple[str, str, dict[str, Any] | None]]:
    """(name, URL, description) of each of our collections; None where it has no description.

    Args:
        url: of a server, for all that it has; or of one collection, for that one.
        api_key: of the server.
        timeout: seconds that a request may take.

    Raises:
        InputError: the URL cannot be used.
        TileIndexError: the server cannot be reached or refuses.
    """
    root = server_of(url)
    client, named = connect(url, api_key=api_key, timeout=timeout)
    try:
        with translated(url):
            there = {each.name for each in client.get_collections().collections}
        ours = sorted(name.removesuffix(RECORDS) for name in there if name.endswith(RECORDS))
        if url.rstrip("/") != root:
            ours = [name for name in ours if name == named]
        found = []
        for name in ours:
            location = f"{root}/{name}"
            notes = Records(client, f"{name}{RECORDS}", location=location)
            found.append((name, location, notes.read(META)))
        return found
    finally:
        client.close()


def delete_collection(url: str, *, api_key: str | None, timeout: float) -> None:
    """Delete a collection and its records; TileIndexError where the server refuses."""
    client, name = connect(url, api_key=api_key, timeout=timeout)
    try:
        with translated(url):
            # The tiles first: with records left it is still one of ours, and can be removed again.
            client.delete_collection(name)
            client.delete_collection(f"{name}{RECORDS}")
    finally:
        client.close()


def server_of(url: str) -> str:
    """The address of the server without a collection."""
    parts = urlsplit(url)
    prefix = parts.path.rstrip("/").rpartition("/")[0]
    return f"{parts.scheme}://{parts.netloc}{prefix}"
