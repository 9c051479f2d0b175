"""The grid of a file that a catalogue says nothing of, by the file itself."""

from __future__ import annotations

import warnings

from rasterio.errors import NotGeoreferencedWarning, RasterioError

from keenkite.errors import SceneError
from keenkite.reader.laying import grid
from keenkite.reader.sources import FileError, Source, shown
from keenkite.scene import Grid


def grid_of(href: str) -> Grid:
    """Where a file's pixels lie: its UTM zone, its first corner, the size of a pixel and its own.

    Args:
        href: A file, an http(s) URL or s3://bucket/key, as in `Scene.assets`.

    Raises:
        SceneError: it cannot be opened, or its grid is not one of square pixels with north up in a
            UTM zone.
    """
    try:
        source = Source.of(href)
        with source.environment(), warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            try:
                with source.open() as file:
                    return grid(file)
            except RasterioError as error:
                raise source.failure(error) from None
    except FileError as error:
        raise SceneError(f"{shown(href)} {error}. Correct it, or leave it out.") from None
