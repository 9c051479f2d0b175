"""Which of a server's collections are indexes, and deleting one."""

from __future__ import annotations

from keenkite.errors import NoIndexError
from keenkite.index.completion import KIND as COMPLETE
from keenkite.index.server.client import connect, named_by, server_of, translated
from keenkite.index.server.records import RECORDS, Records


def descriptions(
    url: str, *, api_key: str | None, timeout: float
) -> list[tuple[str, str, dict[str, object] | None]]:
    """Name, URL and description of each index, by name; None where it has no description.

    Args:
        url: of a server, or of one collection of it: then of that one alone, if it is there.
        api_key: of the server.
        timeout: seconds that a request may take.

    Raises:
        InputError: the URL cannot be used.
        TileIndexError: the server cannot be reached or refuses.
    """
    client, _ = connect(url, api_key=api_key, timeout=timeout)
    one, server = named_by(url), server_of(url)
    try:
        with translated(url):
            if one is not None:
                names = [one] if client.collection_exists(f"{one}{RECORDS}") else []
            else:
                there = {each.name for each in client.get_collections().collections}
                names = sorted(name for name in there if f"{name}{RECORDS}" in there)
        found = []
        for name in names:
            location = f"{server}/{name}"
            records = Records(client, f"{name}{RECORDS}", location=location)
            found.append((name, location, records.description()))
        return found
    finally:
        client.close()


def remove(url: str, *, api_key: str | None, timeout: float) -> None:
    """Delete the two collections of an index.

    Raises:
        NoIndexError: the URL names none.
        TileIndexError: the server cannot be reached or refuses.
    """
    name = named_by(url)
    if name is None:
        raise NoIndexError(f"{url} names no collection.")
    client, _ = connect(url, api_key=api_key, timeout=timeout)
    try:
        with translated(url):
            # Ended in the middle, it is an index that has nothing complete.
            records = Records(client, f"{name}{RECORDS}", location=url)
            records.delete(list(records.all(COMPLETE)))
            client.delete_collection(name)
            client.delete_collection(f"{name}{RECORDS}")
    finally:
        client.close()
