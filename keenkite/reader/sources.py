"""Where a file is, and how GDAL is told to read it: paths, http(s) URLs, S3.

GDAL can open nearly anything, so what an item says is narrowed first: a file, an http(s) URL or an
object in S3, as GeoTIFF or JPEG 2000 and nothing else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote, urlsplit
from urllib.request import url2pathname

import rasterio
from rasterio.errors import RasterioError

from keenkite.reader.probe import NO_RANGES, why_not
from keenkite.settings import ca_bundle

DRIVERS = ("GTiff", "JP2OpenJPEG")
CACHE_BYTES = 16_000_000
"""For decoded blocks, in the whole process. Each is used at once and only once: more is waste."""

GDAL: dict[str, Any] = {
    "GDAL_CACHEMAX": CACHE_BYTES,
    "GDAL_HTTP_MERGE_CONSECUTIVE_RANGES": "YES",
    "GDAL_HTTP_MAX_RETRY": "5",
    "GDAL_HTTP_RETRY_DELAY": "0.5",
    "GDAL_HTTP_CONNECTTIMEOUT": "15",
    # A request that crawls is given up; a long one that moves is not.
    "GDAL_HTTP_LOW_SPEED_LIMIT": "1000",
    "GDAL_HTTP_LOW_SPEED_TIME": "30",
    "GDAL_HTTP_TIMEOUT": "600",
}

_S3 = re.compile(r"s3://([a-z0-9][a-z0-9._-]+)/(.+)", re.IGNORECASE)
_STRAY_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_URL_CHARACTERS = "%/:@!$&'()*+,;=~-._[]"


class FileError(Exception):
    """What is wrong with a file, as the end of a sentence that begins with its name."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """One file."""

    kind: Literal["file", "http", "s3"]
    path: str
    """What GDAL is to open."""
    url: str
    """The URL, where the kind is http: without what a URL may not hold; else empty."""
    shown: str
    """What messages call it: without query and credentials."""

    @classmethod
    def of(cls, href: str) -> Source:
        """Where a href leads.

        An http(s) URL may hold spaces and other characters as people type them; what is encoded
        already stays as it is. Who may name objects in S3 is for the catalogue to say.

        Raises:
            FileError: It is none of the three, or no file is there. Its `shown` is not known then,
                see `shown`.
        """
        parts = urlsplit(href)
        if parts.scheme in ("http", "https") and parts.hostname:
            url = parts._replace(
                path=_encoded(parts.path), query=_encoded(parts.query, "?"), fragment=""
            ).geturl()
            return cls(kind="http", path=f"/vsicurl/{url}", url=url, shown=shown(href))
        if match := _S3.fullmatch(href):
            return cls(kind="s3", path=f"/vsis3/{match[1]}/{match[2]}", url="", shown=href)
        if parts.scheme == "file" and parts.netloc in ("", "localhost"):
            path = Path(url2pathname(parts.path))
        elif len(parts.scheme) > 1 or href.startswith("/vsi"):
            # Also keeps out GDAL's own file systems and connection strings.
            raise FileError("is neither a file, an http(s) URL nor an object in S3")
        else:
            path = Path(href)
        path = path.absolute()
        if not path.is_file() or str(path).startswith("/vsi"):
            raise FileError("is not there, or is no file")
        return cls(kind="file", path=str(path), url="", shown=str(path))

    def environment(self) -> rasterio.Env:
        """GDAL's settings for it; they belong to a thread, so each call of GDAL enters them."""
        options = dict(GDAL)
        # No listing of folders. Beside a local file GDAL may look for a mask and the like; beside
        # another each look costs a request.
        options["GDAL_DISABLE_READDIR_ON_OPEN"] = "TRUE" if self.kind == "file" else "EMPTY_DIR"
        if self.kind != "file":
            # Else one failed request makes every later one for this URL fail without being sent.
            options["CPL_VSIL_CURL_NON_CACHED"] = self.path.partition("?")[0]
            if bundle := ca_bundle():
                # rasterio's wheels set the first for certifi, and it goes before all others.
                files = ("GDAL_CURL_CA_BUNDLE", "CURL_CA_BUNDLE")
                folder = Path(bundle).is_dir()
                options |= dict.fromkeys(("GDAL_HTTP_CAPATH",) if folder else files, bundle)
        return rasterio.Env(**options)

    def open(self) -> Any:
        """The opened dataset; within `environment`.

        Raises:
            FileError: It cannot be opened, or is of another format.
        """
        with rasterio.Env() as environment:
            known = environment.drivers()
        for driver in DRIVERS:
            if driver in known:
                try:
                    return rasterio.open(self.path, driver=driver)
                except RasterioError as error:
                    if "supported file format" not in str(error):
                        raise self.failure(error) from None
        if self.kind == "http" and (reason := why_not(self.url)):
            raise FileError(reason)
        raise FileError("is not a GeoTIFF or JPEG 2000 image")

    def failure(self, error: RasterioError) -> FileError:
        """What an error of GDAL means, without secrets."""
        reason = str(error.__cause__ or error)
        if "Range downloading not supported" in reason:
            return FileError(NO_RANGES)
        # GDAL quotes names, and a URL's query may hold a signature.
        reason = reason.replace(self.path, self.shown)
        reason = re.sub(r"(https?://)[^\s/@'\"]*@", r"\1", re.sub(r"\?[^\s'\"]*", "", reason))
        if self.kind != "file" and "certificate" in reason:
            reason += "; if its authority is your own, name its certificates in REQUESTS_CA_BUNDLE"
        return FileError(f"cannot be read ({reason.strip().rstrip('.')})")


def shown(href: str) -> str:
    """A href as messages may have it: without query and credentials."""
    parts = urlsplit(href)
    if parts.scheme in ("http", "https") and parts.hostname:
        port = f":{parts.port}" if parts.port else ""
        return f"{parts.scheme}://{parts.hostname}{port}{parts.path}"
    return href.partition("?")[0] if parts.scheme else href


def _encoded(part: str, more: str = "") -> str:
    return quote(_STRAY_PERCENT.sub("%25", part), safe=_URL_CHARACTERS + more)
