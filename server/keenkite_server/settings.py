"""What the operator decides.

Each field is also a flag of `keenkite-mcp` and a variable KEENKITE_<NAME>, read by
`keenkite.settings`. None of them can be set by a tool's argument: the client of a server does not
choose its catalogue, model or folders.
"""

# ruff: noqa: RUF009  (`_option` is dataclasses.field with a help text)

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from keenkite.errors import InputError
from keenkite.settings import DEFAULT_MODEL, Settings

_CORE = Settings()
LOOPBACK = ("127.0.0.1", "localhost", "::1")


def _option(default: Any, text: str) -> Any:
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """All that a server is told at its start."""

    transport: Literal["stdio", "http"] = _option("stdio", "how clients talk to it")
    host: str = _option("127.0.0.1", "address to listen on, http only")
    port: int = _option(8000, "port to listen on, http only")
    data: str = _option(
        _CORE.data,
        "folder of the collections, their pixels and the build jobs, made when needed; "
        "or the URL of a Qdrant server that keeps the collections",
    )
    folder: Path | None = _option(
        None, f"folder of pixels and jobs where --data is a URL (default {_CORE.data})"
    )
    collection: str | None = _option(
        None, "the collection that is meant where a client names none; needed where --data has many"
    )
    qdrant_api_key: str | None = None
    """Environment only: flags can be seen by every user of a machine."""
    catalog: str = _option(_CORE.catalog, "URL of a STAC API, or folder of STAC items")
    stac_collection: tuple[str, ...] | None = _option(
        None, "collections of the STAC API to look in, with commas between"
    )
    allow_s3: bool = _option(
        False, "read s3:// hrefs of items, with the credentials that GDAL finds on this machine"
    )
    model: str | None = _option(
        None,
        "name, open_clip tag or checkpoint of the encoder of what is built; without it a "
        f"collection's own, and {DEFAULT_MODEL} for a new one",
    )
    weights: Path | None = _option(None, "checkpoint to use in place of the download")
    device: str = _option(_CORE.device, "auto, cpu, cuda, cuda:N or mps")
    read_only: bool = _option(False, "hide the tools that build or cancel")

    token_file: Path | None = _option(None, "http: accept the bearer tokens in this file")
    jwt_issuer: str | None = _option(None, "http: accept JWTs of this issuer (a URL)")
    jwt_audience: str | None = _option(None, "http: that were issued for this audience")
    jwt_keys: str | None = _option(None, "http: URL of the issuer's JWKS, or PEM file of its key")
    allow_anonymous: bool = _option(False, "http: serve other machines without any token")
    allowed_hosts: tuple[str, ...] = _option(
        (), "http: names clients may reach it by, such as maps.example.org or maps.example.org:*"
    )

    confirm_tiles: int = _option(20_000, "builds of more tiles need the user's confirmation")
    max_tiles: int = _option(500_000, "builds of more tiles are refused")
    max_area_km2: int = _option(100_000, "builds of a larger area are refused")
    max_days: int = _option(1100, "builds of a longer time are refused")
    builds_per_hour: int = _option(20, "more builds than this are refused")

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise InputError(f"The port is a number from 0 to 65535, not {self.port}.")
        for name in ("confirm_tiles", "max_tiles", "max_area_km2", "max_days", "builds_per_hour"):
            if getattr(self, name) < 1:
                raise InputError(f"{flag(name)} is at least 1, not {getattr(self, name)}.")
        if self.jwt_issuer and not (self.jwt_audience and self.jwt_keys):
            raise InputError("--jwt-issuer also needs --jwt-audience and --jwt-keys.")
        if self.jwt_issuer and self.token_file:
            raise InputError("Name a token file or a JWT issuer, not both.")
        if self.folder is not None and not self.by_url:
            raise InputError(
                f"--folder is for pixels and jobs where --data is a URL; {self.data} is a folder, "
                "and keeps them itself. Leave --folder out."
            )
        if self.transport == "http":
            self._check_exposure()

    def _check_exposure(self) -> None:
        if self.host in LOOPBACK:
            return
        if not (self.token_file or self.jwt_issuer or self.allow_anonymous):
            raise InputError(
                f"Listening on {self.host} without tokens would let every machine that reaches it "
                "use this index. Give --token-file or --jwt-issuer, or say --allow-anonymous."
            )
        if self.host in ("0.0.0.0", "::", "") and not self.allowed_hosts:  # noqa: S104
            raise InputError(
                f"Listening on {self.host or 'all addresses'} needs --allowed-hosts: the names "
                "clients reach it by, such as maps.example.org:*"
            )

    @property
    def files(self) -> Path:
        """The folder on this machine where pixels and build jobs are."""
        where = (self.folder or Path(_CORE.data)) if self.by_url else Path(self.data)
        return where.expanduser()

    @property
    def place(self) -> str:
        """Where the collections are, as the core takes it: a folder, or a URL."""
        return self.data if self.by_url else str(self.files)

    @property
    def by_url(self) -> bool:
        """Whether the collections are on a Qdrant server."""
        return "://" in self.data

    @property
    def authenticated(self) -> bool:
        """Whether clients over HTTP need a token."""
        return bool(self.token_file or self.jwt_issuer)

    def __repr__(self) -> str:
        """Without the secret."""
        shown = [f"{f.name}={getattr(self, f.name)!r}" for f in fields(self) if f.metadata]
        return f"ServerSettings({', '.join(shown)})"


def flag(name: str) -> str:
    """What a field is called on the command line."""
    return f"--{name.replace('_', '-')}"
