"""The only place that reads the environment: KEENKITE_* into dataclasses, parsed by their types.

Loads only the standard library. The settings of other packages, the server's, are filled here too.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from keenkite.errors import InputError

EARTH_SEARCH = "https://earth-search.aws.element84.com/v1"

DEFAULT_MODEL = "remoteclip-vit-b-32"
"""What a new collection is made with where nobody says."""

ALIASES: Mapping[str, str] = {"KEENKITE_INDEX": "data"}
"""Variable -> field that it means too; the field's own variable goes first."""

CA_BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")
"""Variables that name certificates to trust; the first that is set counts."""

_YES, _NO = ("1", "true", "yes", "on"), ("0", "false", "no", "off")

_Filled = TypeVar("_Filled")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a command uses when it is not told otherwise."""

    data: str = "keenkite-data"
    """Where the collections are: a folder, or the URL of a Qdrant server."""
    collection: str | None = None
    """Which of them; needed only where there are several."""
    catalog: str = EARTH_SEARCH
    """The URL of a STAC API, or a folder of STAC items."""
    stac_collection: tuple[str, ...] | None = None
    """Collections of the STAC API to look in; None for those that the catalogue has by default."""
    allow_s3: bool = False
    """Whether s3:// hrefs of items may be read, with the credentials that GDAL finds here."""
    model: str | None = None
    """Name, open_clip tag or checkpoint path of the encoder, see `keenkite.encoder`. None: the
    collection's own, and DEFAULT_MODEL for a new one."""
    weights: Path | None = None
    """A checkpoint file to use in place of the download."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:N or mps."""
    qdrant_api_key: str | None = field(default=None, repr=False)
    """Sent to a Qdrant server; never printed."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        """See `read_environment`."""
        return read_environment(cls, environment)


def read_environment(
    cls: type[_Filled],
    environment: Mapping[str, str] = os.environ,
    *,
    aliases: Mapping[str, str] = ALIASES,
    **given: Any,
) -> _Filled:
    """A dataclass with each field from KEENKITE_<NAME> where that is set and not empty.

    Args:
        cls: A dataclass whose fields are of the types that `parse` knows.
        environment: Variables and their texts.
        aliases: Variable -> field that it fills where the field has no variable of its own; those
            of other dataclasses' fields are passed over.
        given: Fields that are known already; they go before the environment.

    Raises:
        InputError: A variable does not fit its field; the message names it.
    """
    found: dict[str, Any] = {}
    for option in fields(cls):  # type: ignore[arg-type]
        own = f"KEENKITE_{option.name.upper()}"
        others = (name for name, meant in aliases.items() if meant == option.name)
        variable = next((name for name in (own, *others) if environment.get(name)), None)
        if variable and option.init and option.name not in given:
            found[option.name] = parse(cls, option.name, environment[variable], called=variable)
    return cls(**found, **given)


def ca_bundle(environment: Mapping[str, str] = os.environ) -> str | None:
    """The file or folder of certificates to trust in place of the usual ones, if one is named.

    As the usual tools do: REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE, SSL_CERT_FILE, SSL_CERT_DIR, the
    first that is set and not empty.
    """
    return next((environment[name] for name in CA_BUNDLES if environment.get(name)), None)


def parse(cls: type, name: str, text: str, *, called: str | None = None) -> Any:
    """What a text means for a field of a dataclass, by the field's type.

    Known are str, bool, int, float, Path, a Literal of texts, a tuple of any length of one of these
    (texts between commas), and each of them or None.

    Args:
        cls: The dataclass.
        name: Of its field.
        text: As somebody wrote it.
        called: What messages call it; the field's name as a flag if None.

    Raises:
        InputError: It means nothing of that type.
    """
    kind = get_type_hints(cls)[name]
    return _parse(kind, text.strip(), called or f"--{name.replace('_', '-')}")


def _parse(kind: Any, text: str, called: str) -> Any:
    if get_origin(kind) in (Union, UnionType):
        (kind,) = (part for part in get_args(kind) if part is not NoneType)
    if get_origin(kind) is Literal:
        if text not in get_args(kind):
            raise InputError(f"{called} is {' or '.join(get_args(kind))}, not {text!r}.")
        return text
    if get_origin(kind) is tuple:
        parts = (part.strip() for part in text.split(","))
        return tuple(_parse(get_args(kind)[0], part, called) for part in parts if part)
    return _SCALARS[kind](text, called)


def _bool(text: str, called: str) -> bool:
    if text.lower() not in _YES + _NO:
        raise InputError(f"{called} is true or false, not {text!r}.")
    return text.lower() in _YES


def _number(text: str, called: str, *, kind: type, noun: str) -> Any:
    try:
        return kind(text)
    except ValueError:
        raise InputError(f"{called} is {noun}, not {text!r}.") from None


_SCALARS: Mapping[Any, Callable[[str, str], Any]] = {
    str: lambda text, _: text,
    bool: _bool,
    int: partial(_number, kind=int, noun="a whole number"),
    float: partial(_number, kind=float, noun="a number"),
    Path: lambda text, _: Path(text).expanduser(),
}
