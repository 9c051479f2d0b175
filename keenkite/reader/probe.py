"""Why a file cannot be read over HTTP: asked once more, when GDAL has failed, in plain words.

GDAL calls a sound image "not recognized" where the server does not send parts of files.
"""

from __future__ import annotations

import base64
import ssl
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urlsplit
from urllib.request import Request, urlopen

from keenkite.settings import ca_bundle

NO_RANGES = (
    "cannot be read in parts: its server does not support byte ranges (it answers a request for "
    "some bytes with the whole file). Serve it with one that does, such as nginx, Caddy or an "
    "object store, or download it and name the local file"
)
_PATIENCE = 15.0
"""Seconds."""


def why_not(url: str) -> str | None:
    """What is wrong between here and a file, as the end of a sentence that begins with its name.

    Args:
        url: http or https; may hold a login.

    Returns:
        None when its server sends the first bytes as it should: then it is the file.
    """
    try:
        with urlopen(_request(url), timeout=_PATIENCE, context=_trust(url)) as reply:  # noqa: S310
            if reply.status == 206:
                return None
    except HTTPError as error:
        with error:
            if error.code == 416:
                return f"is empty, or {NO_RANGES}"
            return f"cannot be read (its server answers {error.code})"
    except (OSError, HTTPException, ValueError) as error:
        reason = error.reason if isinstance(error, URLError) else error
        return f"cannot be read (no answer from its server: {reason})"
    return NO_RANGES


def _request(url: str) -> Request:
    parts = urlsplit(url)
    url = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    headers = {"Range": "bytes=0-15", "User-Agent": "keenkite"}
    request = Request(url, headers=headers)  # noqa: S310  (only http and https come here)
    if parts.username is not None:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        word = "Basic " + base64.b64encode(login.encode()).decode()
        request.add_unredirected_header("Authorization", word)  # not for another host
    return request


def _trust(url: str) -> ssl.SSLContext | None:
    if not url.startswith("https:"):
        return None
    bundle = ca_bundle()
    if bundle is None:
        return ssl.create_default_context()
    folder = Path(bundle).is_dir()
    return ssl.create_default_context(
        cafile=None if folder else bundle, capath=bundle if folder else None
    )
