"""What the operator decides; the only place of the server that reads the environment.

Each field is also a flag of `keenkite-mcp` and a variable KEENKITE_<NAME>. None of them can be set
by a tool's argument: the client of a server does not choose its catalog, model or folders.
"""

# ruff: noqa: RUF009  (`_option` is dataclasses.field with a help text)

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_type_hints

from keenkite.errors import InputError
from keenkite.settings import Settings

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
    data: Path = _option(
        Path(_CORE.index), "folder of the index, its pixels and the build jobs; made when needed"
    )
    qdrant_url: str | None = _option(None, "keep the index on this Qdrant server instead")
    qdrant_api_key: str | None = None
    """Environment only: flags can be seen by every user of a machine."""
    catalog: str = _option(_CORE.catalog, "URL of a STAC API, or folder of STAC items")
    model: str = _option(_CORE.model, "name, open_clip tag or checkpoint of the encoder")
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
                raise InputError(f"{_flag(name)} is at least 1, not {getattr(self, name)}.")
        if self.jwt_issuer and not (self.jwt_audience and self.jwt_keys):
            raise InputError("--jwt-issuer also needs --jwt-audience and --jwt-keys.")
        if self.jwt_issuer and self.token_file:
            raise InputError("Name a token file or a JWT issuer, not both.")
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
    def index(self) -> str:
        """Where the index is: a folder, or a URL."""
        return self.qdrant_url or str(self.data)

    @property
    def authenticated(self) -> bool:
        """Whether clients over HTTP need a token."""
        return bool(self.token_file or self.jwt_issuer)

    def __repr__(self) -> str:
        """Without the secret."""
        shown = [f"{f.name}={getattr(self, f.name)!r}" for f in fields(self) if f.metadata]
        return f"ServerSettings({', '.join(shown)})"

    @classmethod
    def from_environment(
        cls, environment: Mapping[str, str] = os.environ, **given: Any
    ) -> ServerSettings:
        """Each field from KEENKITE_<NAME> where it is set and not empty; `given` goes first.

        KEENKITE_INDEX, which the command line `keenkite` reads, is taken for the data folder or
        the Qdrant URL when neither has a variable of its own.

        Raises:
            InputError: a variable does not fit its field, or the settings contradict each other.
        """
        found: dict[str, Any] = {}
        if index := environment.get("KEENKITE_INDEX"):
            found["qdrant_url" if "://" in index else "data"] = (
                index if "://" in index else Path(index)
            )
        for option in fields(cls):
            text = environment.get(f"KEENKITE_{option.name.upper()}")
            if text:
                found[option.name] = parse(option.name, text)
        return cls(**(found | given))


def parse(name: str, text: str) -> Any:
    """The value that `text` means for the field `name`; InputError where it means none."""
    kind = get_type_hints(ServerSettings)[name]
    if kind is bool:
        if text.lower() not in ("1", "true", "yes", "on", "0", "false", "no", "off"):
            raise InputError(f"{_flag(name)} is true or false, not {text!r}.")
        return text.lower() in ("1", "true", "yes", "on")
    if kind is int:
        try:
            return int(text)
        except ValueError:
            raise InputError(f"{_flag(name)} is a whole number, not {text!r}.") from None
    if name == "transport" and text not in ("stdio", "http"):
        raise InputError(f"--transport is stdio or http, not {text!r}.")
    if name == "allowed_hosts":
        return tuple(part.strip() for part in text.split(",") if part.strip())
    return Path(text).expanduser() if name in ("data", "weights", "token_file") else text


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
