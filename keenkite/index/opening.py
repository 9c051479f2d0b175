"""Finding the collection behind a location, and the engine for it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from keenkite.errors import EncoderMismatchError, InputError
from keenkite.index.backend import Backend
from keenkite.index.embedded.backend import EdgeBackend
from keenkite.index.embedded.folder import META
from keenkite.index.meta import Meta
from keenkite.sensors import Sensor

WAIT = 30.0
"""Seconds to wait for other processes that use the same folder."""

COLLECTIONS = "collections"
"""Folder of a data folder that its collections are in."""


class Named(Protocol):
    """What an index asks of an encoder; it may also have `bands`."""

    @property
    def name(self) -> str:
        """Tells its vectors from those of other encoders."""

    @property
    def dim(self) -> int:
        """Length of a vector."""


def is_url(location: str | Path) -> bool:
    """Whether it is the address of a server, and no folder."""
    return isinstance(location, str) and location.lower().startswith(("http://", "https://"))


def open_backend(
    location: str | Path,
    encoder: Named | None,
    *,
    sensor: Sensor,
    spans: Sequence[float] | None,
    wait: float,
    api_key: str | None,
) -> tuple[Backend, Path | None]:
    """The engine of a collection, made where there is none, and its folder: `TileIndex.open`."""
    meta = None
    if encoder is not None:
        bands = getattr(encoder, "bands", None)
        meta = Meta(
            encoder=encoder.name,
            dim=encoder.dim,
            bands=None if bands is None else tuple(bands),
            sensor=sensor.name,
            spans=tuple(sorted(set(spans or (sensor.span,)))),
        )
    if is_url(location):
        # Here, since the client of the server takes longer to import than all the rest.
        from keenkite.index.server.backend import RemoteBackend

        return RemoteBackend.open(str(location), meta, api_key=api_key, timeout=wait), None
    folder = the_collection(Path(location).expanduser())
    return EdgeBackend.open(folder, meta, wait=wait), folder


def the_collection(folder: Path) -> Path:
    """The folder itself, or of a data folder the one collection that it holds.

    Raises:
        InputError: it holds several.
    """
    if (folder / META).exists():
        return folder
    inside = sorted(path.parent for path in (folder / COLLECTIONS).glob(f"*/{META}"))
    if len(inside) > 1:
        names = ", ".join(path.name for path in inside)
        raise InputError(f"{folder} holds several collections: {names}. Name one of them.")
    return inside[0] if inside else folder


def mismatch(location: str, meta: Meta, wants: Named) -> EncoderMismatchError:
    """What to say of an encoder that is not the index's."""
    return EncoderMismatchError(
        f"The index {location} holds vectors of encoder {meta.encoder!r} ({meta.dim} numbers), "
        f"not of {wants.name!r} ({wants.dim}). Search it with {meta.encoder!r}, or build "
        f"another index with {wants.name!r} in another place."
    )
