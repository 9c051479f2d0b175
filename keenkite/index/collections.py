"""The collections of a data folder, or of a Qdrant server: found and described, not opened.

In a folder DATA they are DATA/collections/NAME; a folder that is a collection itself counts as one
of its own name. By URL they are the server's collections that have records beside them; a URL that
names one stands for that one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from keenkite.errors import InputError, NoIndexError, TileIndexError
from keenkite.index.embedded.folder import META, Folder
from keenkite.index.embedded.removal import remove_folder
from keenkite.index.meta import Meta, sensor_of

COLLECTIONS = "collections"
"""Folder of a data folder that its collections are in."""

WAIT = 30.0
"""Seconds to wait for other processes, or for a server."""


@dataclass(frozen=True, kw_only=True)
class Collection:
    """A collection as it describes itself; what it does not say is None, and spans are none."""

    name: str
    location: str
    """What `TileIndex.open` takes."""
    encoder: str | None = None
    """Name of the encoder of its vectors."""
    dim: int | None = None
    """Length of a vector."""
    bands: tuple[str, ...] | None = None
    """What the encoder sees; None for a picture."""
    sensor: str | None = None
    """Name of the kind of imagery."""
    spans: tuple[float, ...] = ()
    """Widths of its tiles, metres."""
    problem: str | None = None
    """Why it cannot be used; None where it can."""


def collections(data: str | Path, *, api_key: str | None = None) -> list[Collection]:
    """All of a data folder or a server, by name; none where there is nothing yet.

    One that is damaged, or of another format, is among them with its problem.

    Args:
        data: a folder, or the URL of a server or of one collection of it.
        api_key: of the server.

    Raises:
        InputError: the URL cannot be used.
        TileIndexError: the server cannot be asked.
    """
    if is_url(data):
        from keenkite.index.server.listing import descriptions

        found = descriptions(str(data), api_key=api_key, timeout=WAIT)
        return [_described(*each) for each in found]
    return [_described(path.name, str(path), None) for path in _folders(data)]


def choose(data: str | Path, name: str | None = None, *, api_key: str | None = None) -> Collection:
    """The collection of a name, or the only one, damaged or not.

    Raises:
        NoIndexError: there is none yet, or none of this name; says which there are.
        InputError: there are several and no name was given; says which there are.
        TileIndexError: the server cannot be asked.
    """
    found = collections(data, api_key=api_key)
    names = ", ".join(each.name for each in found)
    if not found:
        raise NoIndexError(f"There is no collection in {data} yet. Check the place, or build one.")
    if name is None and len(found) > 1:
        raise InputError(f"{data} holds several collections: {names}. Name one of them.")
    for each in found:
        if name in (None, each.name):
            return each
    raise NoIndexError(f"There is no collection {name!r} in {data}. There are: {names}.")


def place_of(data: str | Path, name: str, *, api_key: str | None = None) -> str:
    """Where the collection of a name is, or would be made: what `TileIndex.open` takes.

    Raises:
        InputError: the name cannot be one, or the URL cannot be used.
        TileIndexError: the server cannot be asked.
    """
    for each in collections(data, api_key=api_key):
        if each.name == name:
            return each.location
    if name != name_for(name):
        raise InputError(
            f"{name!r} cannot be the name of a collection: use letters, digits, dots and dashes."
        )
    if is_url(data):
        from keenkite.index.server.client import server_of

        return f"{server_of(str(data))}/{name}"
    return str(_path(data) / COLLECTIONS / name)


def name_for(encoder_name: str) -> str:
    """The usual name of the collection of an encoder: the encoder's, as a file name."""
    return re.sub(r"[^A-Za-z0-9._@-]+", "-", encoder_name).strip("-.")[:100] or "collection"


def remove_collection(
    data: str | Path, name: str, *, api_key: str | None = None, wait: float = WAIT
) -> None:
    """Delete a collection, damaged or not, and nothing beside it: pixels stay.

    Ended in the middle, it is still one, and can be removed again.

    Args:
        data: a folder, or the URL of a server.
        name: of the collection.
        api_key: of the server.
        wait: seconds to wait for other processes; by URL, that a request may take.

    Raises:
        NoIndexError: there is none of this name; says which there are.
        IndexBusyError: another process is at work in it.
        TileIndexError: the server cannot be asked, or refuses.
        StorageError: its files cannot be deleted.
    """
    location = choose(data, name, api_key=api_key).location
    if is_url(location):
        from keenkite.index.server.listing import remove

        remove(location, api_key=api_key, timeout=wait)
    else:
        remove_folder(Path(location), wait=wait)


def folder_of(location: str | Path) -> Path:
    """The folder of the collection at a location: itself, or the only one that a data folder has.

    A folder where there is none is itself: there one may be made.

    Raises:
        InputError: there are several; says which.
    """
    folder, found = _path(location), _folders(location)
    if (folder / META).exists() or not found:
        return folder
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise InputError(f"{location} holds several collections: {names}. Name one of them.")
    return found[0]


def is_url(location: str | Path) -> bool:
    """Whether a location is the address of a server, and not a folder."""
    return isinstance(location, str) and location.lower().startswith(("http://", "https://"))


def _path(data: str | Path) -> Path:
    return Path(data).expanduser()


def _folders(data: str | Path) -> list[Path]:
    folder = _path(data)
    found = [path.parent for path in (folder / COLLECTIONS).glob(f"*/{META}")]
    if (folder / META).exists():
        found.append(folder.absolute())
    return sorted(found, key=lambda path: path.name)


def _described(name: str, location: str, value: object) -> Collection:
    """From its description: `value`, or what the folder has."""
    try:
        if is_url(location):
            meta = Meta.from_json(value, location)
        else:
            meta = Folder(Path(location)).description()
        sensor_of(meta, location)
    except TileIndexError as error:
        return Collection(name=name, location=location, problem=str(error))
    return Collection(
        name=name,
        location=location,
        encoder=meta.encoder,
        dim=meta.dim,
        bands=meta.bands,
        sensor=meta.sensor,
        spans=meta.spans,
    )
