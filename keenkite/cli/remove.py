"""keenkite remove: take a region, old tiles or a collection away, and give the room back."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from keenkite.cli.info import size_of
from keenkite.cli.opening import open_index
from keenkite.cli.output import print_answer, size_text
from keenkite.errors import InputError, KeenkiteError, StorageError
from keenkite.index import Filters, TileIndex
from keenkite.index.collections import Collection, choose, collections, remove_collection
from keenkite.pixels import PixelArchive
from keenkite.tiling import Tile

DONE, INCOMPLETE = 0, 1


def run(arguments: argparse.Namespace) -> int:
    """Remove what is named, then pixels that no collection of the data folder uses any more."""
    found = choose(arguments.data, arguments.collection, api_key=arguments.api_key)
    folder = None if "://" in str(found.location) else Path(found.location)
    before = 0 if folder is None else size_of(folder)
    answer: dict[str, Any] = {"collection": found.name}
    if arguments.all:
        answer["tiles"] = _count(arguments, found)
        remove_collection(arguments.data, found.name, api_key=arguments.api_key)
        what = f"collection {found.name} removed"
    else:
        answer["tiles"] = _remove_tiles(arguments)
        what = _what(arguments)
    after = 0 if folder is None or not folder.exists() else size_of(folder)
    answer["index_bytes"] = max(before - after, 0)
    answer["pixel_bytes"], problem = _remove_pixels(arguments, folder)
    freed = f"{size_text(answer['index_bytes'])} of index, {size_text(answer['pixel_bytes'] or 0)}"
    tiles = "" if answer["tiles"] is None else f": {answer['tiles']:,} tiles gone"
    print_answer(arguments, answer, f"{what}{tiles}\nroom given back: {freed} of pixels")
    if problem is not None:
        print(f"keenkite: pixels were left: {problem}", file=sys.stderr)
    return DONE if problem is None else INCOMPLETE


def _what(arguments: argparse.Namespace) -> str:
    if arguments.region:
        return f"region {arguments.region!r} removed"
    return f"tiles before {arguments.before} removed"


def _remove_tiles(arguments: argparse.Namespace) -> int:
    with open_index(arguments) as index:
        if arguments.before:
            gone = index.remove(Filters(end=arguments.before - timedelta(days=1)))
        else:
            names = [region.name for region in index.regions()]
            if arguments.region not in names:
                raise InputError(
                    f"There is no region {arguments.region!r} in {index.location}; it has "
                    f"{', '.join(names) or 'none'}."
                )
            gone = index.remove_region(arguments.region)
        index.maintain()
        return gone


def _count(arguments: argparse.Namespace, found: Collection) -> int | None:
    """Tiles of a collection; None where it cannot be opened, which must not keep it from going."""
    try:
        with TileIndex.open(found.location, encoder=None, api_key=arguments.api_key) as index:
            return index.count()
    except KeenkiteError:
        return None


def _remove_pixels(
    arguments: argparse.Namespace, folder: Path | None
) -> tuple[int | None, str | None]:
    """Bytes of pixels given back, None by URL; and what kept unused ones from going, if anything.

    Pixels are kept once for all collections, so all of them say which they use.
    """
    archive = PixelArchive.beside(folder)
    if archive is None:
        return None, None
    left = collections(arguments.data, api_key=arguments.api_key)
    if damaged := [each.name for each in left if each.problem is not None]:
        return 0, f"{', '.join(damaged)} cannot be opened, and may use them"
    try:
        return archive.remove_unused(_used(left)), None
    except StorageError as error:
        return 0, str(error)


def _used(left: list[Collection]) -> Iterator[Tile]:
    for collection in left:
        with TileIndex.open(collection.location, encoder=None) as index:
            yield from index.scroll()
