"""The collections of a data folder, or of a Qdrant server: what there is, without opening it."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from keenkite.errors import InputError, NoIndexError, StorageError, TileIndexError
from keenkite.index.embedded.folder import META, Folder
from keenkite.index.embedded.lock import Hold, writing
from keenkite.index.meta import Meta
from keenkite.index.opening import COLLECTIONS, WAIT, is_url


@dataclass(frozen=True, kw_only=True)
class Collection:
    """A collection as it describes itself."""

    name: str
    location: str
    """What `TileIndex.open` takes."""
    meta: Meta | None
    """None where it cannot be used."""
    problem: str | None = None
    """Why it cannot be used."""

    @property
    def encoder(self) -> str | None:
        """Name of the encoder of its vectors."""
        return None if self.meta is None else self.meta.encoder

    @property
    def spans(self) -> tuple[float, ...]:
        """Widths of its tiles, metres."""
        return () if self.meta is None else self.meta.spans


def collections(data: str | Path, *, api_key: str | None = None) -> list[Collection]:
    """What a data folder or a server holds, by name; empty where there is nothing yet.

    A folder that itself is a collection holds that one. One that is damaged, or of another format,
    is among them with its problem.

    Args:
        data: a folder, or the URL of a server, or of one collection of it.
        api_key: of the server.

    Raises:
        TileIndexError: the server cannot be reached.
    """
    if is_url(data):
        return _on_server(str(data), api_key)
    folder = Path(data).expanduser()
    inside = sorted(path.parent for path in (folder / COLLECTIONS).glob(f"*/{META}"))
    if (folder / META).exists():
        inside.insert(0, folder)
    return [_described(path) for path in inside]


def choose(data: str | Path, name: str | None = None, *, api_key: str | None = None) -> Collection:
    """The collection of a name, or the only one.

    Raises:
        NoIndexError: there is none yet, or none of this name; says which there are.
        InputError: there are several and no name was given.
        TileIndexError: it cannot be used; says why.
    """
    found = collections(data, api_key=api_key)
    names = ", ".join(each.name for each in found)
    if not found:
        raise NoIndexError(f"There is no index in {data}. Check the path, or build one.")
    if name is None and len(found) > 1:
        raise InputError(f"{data} holds several collections: {names}. Name one of them.")
    for each in found:
        if name in (None, each.name):
            if each.problem is not None:
                raise TileIndexError(f"The collection {each.name} cannot be used: {each.problem}")
            return each
    raise NoIndexError(f"There is no collection {name!r} in {data}; it has {names}.")


def place_of(data: str | Path, name: str, *, api_key: str | None = None) -> str:
    """Where a collection of this name is, or will be: what `TileIndex.open` takes.

    Raises:
        InputError: the name cannot be one.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,99}", name):
        raise InputError(
            f"{name!r} cannot be the name of a collection: use letters, digits, dots and dashes."
        )
    for each in collections(data, api_key=api_key):
        if each.name == name:
            return each.location
    if is_url(data):
        from keenkite.index.server.listing import server_of

        return f"{server_of(str(data))}/{name}"
    return str(Path(data).expanduser() / COLLECTIONS / name)


def name_for(encoder: str) -> str:
    """The usual name of the collection of an encoder: the encoder's, as a file name."""
    return re.sub(r"[^A-Za-z0-9._@-]+", "-", encoder).strip("-.")[:100] or "default"


def remove_collection(
    data: str | Path, name: str | None = None, *, api_key: str | None = None
) -> None:
    """Delete a collection, damaged or not; pixels stay.

    Raises:
        NoIndexError: there is none of this name.
        InputError: there are several and no name was given.
        IndexBusyError: another process uses it.
        StorageError: its files cannot be deleted.
    """
    found = {each.name: each for each in collections(data, api_key=api_key)}
    if name is None and len(found) == 1:
        (name,) = found
    if name is None and found:
        raise InputError(f"{data} holds {', '.join(found)}: name the one to remove.")
    if name not in found:
        raise NoIndexError(f"There is no collection {name!r} in {data}.")
    location = found[name].location
    if is_url(location):
        from keenkite.index.server.listing import delete_collection

        delete_collection(location, api_key=api_key, timeout=WAIT)
        return
    _delete_folder(Path(location))


def _delete_folder(folder: Path) -> None:
    """The files of a collection, while nobody uses it; what else is in its folder stays."""
    hold = Hold(folder)
    with writing(folder, "removal", WAIT, shared=False):
        hold.acquire("removal", WAIT)
        try:
            # The description first: from here on it is no collection, whatever happens.
            (folder / META).unlink()
            for name in Folder.CONTENTS:
                path = folder / name
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(f"{folder} cannot be deleted: {error.strerror}.") from error
        finally:
            hold.release()
    if not any(folder.iterdir()):
        folder.rmdir()


def _described(folder: Path) -> Collection:
    facts = {"name": folder.name, "location": str(folder)}
    try:
        meta = Folder(folder).read_meta()
        assert meta is not None, "its description is there"
        meta.kind(str(folder))
    except TileIndexError as error:
        return Collection(**facts, meta=None, problem=str(error))
    return Collection(**facts, meta=meta)


def _on_server(url: str, api_key: str | None) -> list[Collection]:
    from keenkite.index.server.listing import described

    found = []
    for name, location, value in described(url, api_key=api_key, timeout=WAIT):
        try:
            meta = Meta.from_json(value, location)
            meta.kind(location)
            found.append(Collection(name=name, location=location, meta=meta))
        except TileIndexError as error:
            problem = str(error)
            found.append(Collection(name=name, location=location, meta=None, problem=problem))
    return found


def _shown(data: str | Path) -> str:
    return str(data)
