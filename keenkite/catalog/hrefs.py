"""Where an item's assets can be read: hrefs as they are written -> files, URLs and S3 objects.

What an item says is narrowed here: those of an API name http(s) URLs alone, so that no server can
have local files read; those of a folder any file too, since they are the user's own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias
from urllib.parse import quote, unquote, urljoin, urlsplit, urlunsplit

from keenkite.catalog.values import ItemError, JSONObject, as_text, objects

Base: TypeAlias = Path | str
"""What relative hrefs start from: a folder, or a URL."""

_ALLOW_S3 = (
    "reading from S3 is off; where this machine's own credentials may be used for it, allow it "
    "with --allow-s3 or KEENKITE_ALLOW_S3=1, and give GDAL the credentials (AWS_ACCESS_KEY_ID and "
    "AWS_SECRET_ACCESS_KEY, AWS_S3_ENDPOINT for a store that is not Amazon's, "
    "AWS_NO_SIGN_REQUEST=YES for a public bucket)"
)
_URL_SAFE = "%/:=&?~+!$,;'@()*[]"


def home_of(item: JSONObject, base: Base, *, linked: Path | None = None) -> Base:
    """What the relative hrefs of an item start from.

    The item's own address: its self link, or else where it came from. Of an item in a folder the
    files beside it go first, and the self link counts where none of them is there.

    Args:
        item: The item.
        base: The folder that it lies in, or the URL that it came from.
        linked: The folder that it really lies in, where it is a link.
    """
    own = _self_link(item, base)
    if isinstance(base, str):
        return own or base
    relative = [href for href in _hrefs(item) if _is_relative(href)]
    folders = [base] if linked is None else [base, linked]
    for folder in folders:
        if any(_exists(folder / name) for href in relative for name in {href, unquote(href)}):
            return folder
    return own if own is not None and relative else base


def locate(asset: JSONObject, name: str, base: Base, *, allow_s3: bool = False) -> str:
    """Absolute path, http(s) URL or, where it is allowed, s3:// address of an asset.

    Where its href cannot be read, one of its alternate hrefs may be that needs no login.

    Args:
        asset: Of an item.
        name: What messages call it.
        base: See `home_of`.
        allow_s3: Whether s3:// may be read.

    Raises:
        ItemError: it has no href that can be read.
    """
    problem = None
    for href in (asset.get("href"), *_alternates(asset)):
        text = as_text(href)
        if text is None:
            problem = problem or ItemError(f"its {name} asset has no href")
            continue
        try:
            return _location(text, name, base, allow_s3=allow_s3)
        except ItemError as error:
            problem = problem or error
    assert problem is not None
    raise problem


def _location(href: str, name: str, base: Base, *, allow_s3: bool) -> str:
    href = _plain(href.strip())
    try:
        if isinstance(base, str):
            href = urljoin(base, href)
        parts = urlsplit(href)
        if parts.scheme in ("http", "https") and parts.hostname:
            return _encoded(href)
        if parts.scheme == "s3" and parts.netloc and parts.path.strip("/"):
            if allow_s3:
                return href
            raise ItemError(f"its {name} asset is at s3://{parts.netloc}: {_ALLOW_S3}")
        if isinstance(base, Path) and parts.scheme in ("", "file"):
            return str(_file(href, base))
    except (ValueError, OSError) as error:
        if isinstance(error, ItemError):
            raise
        raise ItemError(f"the href of its {name} asset cannot be used: {error}") from None
    raise ItemError(
        f"its {name} asset is at {parts.scheme or 'no'}://, and only "
        f"{'files and ' if isinstance(base, Path) else ''}http(s) URLs can be read"
    )


def _file(href: str, base: Path) -> Path:
    """An href is a URL, where a space is %20; many programs write the plain name instead."""
    parts = urlsplit(href)
    path = parts.path if parts.scheme else href
    written, meant, windows = (
        base / name for name in (path, unquote(path), unquote(path).replace("\\", "/"))
    )
    return next((file for file in (written, meant, windows) if _exists(file)), meant).resolve()


def _plain(href: str) -> str:
    """GDAL's way to write remote files, as the rest of the world writes it."""
    if href.startswith("/vsicurl/"):
        return href.removeprefix("/vsicurl/")
    if href.startswith("/vsis3/"):
        return f"s3://{href.removeprefix('/vsis3/')}"
    return href


def _encoded(url: str) -> str:
    """A URL with spaces and other signs that no URL may hold written as %20; others as they are."""
    # A file has no part that a fragment could name: the sign is one of its name's.
    parts = urlsplit(url.replace("#", "%23"))
    path, query = (
        quote(re.sub(r"%(?![0-9A-Fa-f]{2})", "%25", part), safe=_URL_SAFE)
        for part in (parts.path, parts.query)
    )
    return urlunsplit((parts.scheme, parts.netloc, path, query, ""))


def _self_link(item: JSONObject, base: Base) -> str | None:
    for link in objects(item.get("links")):
        href = as_text(link.get("href"))
        if link.get("rel") == "self" and href is not None:
            try:
                address: str = urljoin(base, href) if isinstance(base, str) else href
                parts = urlsplit(address)
                if parts.scheme in ("http", "https") and parts.hostname:
                    return address
            except ValueError:
                continue
    return None


def _hrefs(item: JSONObject) -> Iterator[str]:
    assets = item.get("assets")
    for asset in objects(list(assets.values())) if isinstance(assets, dict) else ():
        if (href := as_text(asset.get("href"))) is not None:
            yield href


def _alternates(asset: JSONObject) -> Iterator[object]:
    """Other hrefs of the same file, by the Alternate Assets extension."""
    others = asset.get("alternate")
    for other in objects(list(others.values())) if isinstance(others, dict) else ():
        if not other.get("auth:refs"):
            yield other.get("href")


def _is_relative(href: str) -> bool:
    try:
        return not urlsplit(href).scheme and not href.startswith("/")
    except ValueError:
        return False


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False
