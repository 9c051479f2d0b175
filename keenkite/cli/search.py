"""keenkite search: answer a query."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

from keenkite.cli.opening import area_of, check_folder, encoder_of, open_index
from keenkite.cli.output import hits_table, print_answer
from keenkite.errors import InputError, StorageError
from keenkite.export.geojson import hits_geojson
from keenkite.index import TileIndex
from keenkite.pictures import answer_sheet
from keenkite.pictures.sheets import MAX_TILES
from keenkite.pixels import PixelArchive
from keenkite.retrieval.query import Near, Query
from keenkite.retrieval.search import search


def run(arguments: argparse.Namespace) -> int:
    """Answer a query."""
    _check_files(arguments)
    with open_index(arguments) as index:
        query = query_of(arguments)
        archive = _archive(index) if arguments.sheet else None
        encoder = encoder_of(arguments, index.encoder_name)
        result = search(index, encoder, query, explain=arguments.explain)
        if archive is not None:
            sheet = answer_sheet(result, encoder, archive, sensor=index.sensor)
            _write(arguments.sheet, sheet.save)
    if arguments.geojson:
        text = json.dumps(hits_geojson(result))
        _write(arguments.geojson, lambda path: path.write_text(text, "utf-8"))
    print_answer(arguments, result.to_json(), hits_table(result))
    return 0


def query_of(arguments: argparse.Namespace) -> Query:
    """What is asked for.

    Raises:
        InputError: it cannot be meant.
    """
    return Query(
        text=arguments.text,
        near=tuple(Near(text=text, within_km=_km(km)) for text, km in arguments.near),
        exclude=tuple(arguments.exclude),
        strict=arguments.strict,
        like=tuple(map(_example, arguments.like)),
        unlike=tuple(map(_example, arguments.unlike)),
        area=area_of(arguments),
        start=arguments.start,
        end=arguments.end,
        max_cloud=arguments.max_cloud,
        cover=dict(arguments.cover),
        regions=tuple(arguments.region),
        scenes=tuple(arguments.scene),
        spans=tuple(arguments.span or ()),
        min_confidence=arguments.min_confidence,
        limit=arguments.limit,
        skip=arguments.skip,
        overlap=arguments.overlap,
    )


def _check_files(arguments: argparse.Namespace) -> None:
    """Refuse files that cannot be written before the search, not behind it."""
    for path in (arguments.sheet, arguments.geojson):
        check_folder(path)
    if arguments.sheet and arguments.sheet.suffix.lower() != ".png":
        raise InputError(f"{arguments.sheet.name} ends otherwise than .png: a sheet is one.")
    if arguments.sheet and arguments.limit > MAX_TILES:
        raise InputError(f"A sheet holds {MAX_TILES} hits at most: ask for --limit {MAX_TILES}.")


def _archive(index: TileIndex) -> PixelArchive:
    archive = PixelArchive.beside(index.folder)
    if archive is None:
        raise InputError("A contact sheet needs the pixels kept beside an index in a folder.")
    return archive


def _km(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"--near takes a text and a number of kilometres, not {text!r}.") from None


def _example(text: str) -> str | tuple[float, float]:
    """A tile's id, or "LON,LAT" as a pair."""
    lon, comma, lat = text.partition(",")
    try:
        return (float(lon), float(lat)) if comma else text
    except ValueError:
        return text


def _write(path: Path, write: Callable[[Path], object]) -> None:
    try:
        write(path)
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error}. Name another file.") from error
