"""The verbs of the command line, one function each: arguments in, exit code out."""

from __future__ import annotations

import argparse
import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from keenkite.area import Area
from keenkite.build import build_index, plan_build
from keenkite.catalog import open_catalog
from keenkite.cli.output import ProgressLine, hits_table, plan_text, report_text
from keenkite.encoder import TILE, ClipEncoder, Encoder
from keenkite.errors import CatalogError, InputError, StorageError
from keenkite.index import TileIndex
from keenkite.pixels import PixelArchive
from keenkite.tiling import Lattice

DONE, SCENES_FAILED = 0, 3


def build(arguments: argparse.Namespace) -> int:
    """Index an area, or say what that would take."""
    area = _area(arguments)
    assert area is not None  # the parser requires one
    catalog = open_catalog(arguments.catalog)
    grid = None if arguments.stride is None else (TILE, arguments.stride)
    what = (area, arguments.start, arguments.end)
    wanted: dict[str, Any] = {
        "catalog": catalog,
        "max_cloud": arguments.max_cloud,
        "choose": arguments.choose,
        "region": arguments.region,
    }
    if arguments.dry_run:
        with _existing(arguments) if _may_exist(arguments.index) else nullcontext() as old:
            plan = plan_build(old, *what, lattice=grid and Lattice(*grid), **wanted)
        _print(arguments, plan.to_dict(), plan_text(plan))
        return DONE
    encoder = _load(arguments, arguments.model)
    with TileIndex.open(
        arguments.index, encoder=encoder, grid=grid, api_key=arguments.api_key
    ) as index:
        report = build_index(index, encoder, *what, progress=ProgressLine(), **wanted)
    _print(arguments, report.to_dict(), report_text(report))
    return SCENES_FAILED if report.failed else DONE


def search(arguments: argparse.Namespace) -> int:
    """Answer a query."""
    from keenkite.retrieval.search import Near, Query
    from keenkite.retrieval.search import search as run

    query = Query(
        text=arguments.text,
        near=tuple(Near(text=text, within_km=_km(km)) for text, km in arguments.near),
        exclude=tuple(arguments.exclude),
        strict=arguments.strict,
        like=tuple(map(_example, arguments.like)),
        unlike=tuple(map(_example, arguments.unlike)),
        area=_area(arguments),
        start=arguments.start,
        end=arguments.end,
        max_cloud=None if arguments.max_cloud is None else arguments.max_cloud / 100,
        cover=dict(arguments.cover),
        regions=tuple(arguments.region),
        scenes=tuple(arguments.scene),
        limit=arguments.limit,
        overlap=arguments.overlap,
    )
    with _existing(arguments) as index:
        encoder = _load(arguments, arguments.model or index.encoder_name)
        result = run(index, encoder, query, explain=arguments.explain)
        if arguments.sheet:
            from keenkite.pictures.show import answer_sheet

            _write(arguments.sheet, answer_sheet(result, encoder, _archive(index)).save)
    if arguments.geojson:
        from keenkite.pictures import hits_geojson

        text = json.dumps(hits_geojson(result))
        _write(arguments.geojson, lambda path: path.write_text(text))
    _print(arguments, result.to_dict(), hits_table(result))
    return DONE


def heatmap(arguments: argparse.Namespace) -> int:
    """Write where in a tile a text's thing is, and say it."""
    from keenkite.pictures.show import check_format, look

    check_format(arguments.out)
    with _existing(arguments) as index:
        encoder = _load(arguments, arguments.model or index.encoder_name)
        try:
            catalog = open_catalog(arguments.catalog)
        except CatalogError:
            catalog = None
        view = look(
            index,
            encoder,
            arguments.tile,
            arguments.text,
            archive=PixelArchive.beside(index.folder),
            catalog=catalog,
        )
    view.save(arguments.out)
    lon, lat = view.heat.peak_lonlat(view.tile)
    answer = {
        "tile_id": view.tile.id,
        "text": arguments.text,
        "strength": round(view.heat.strength, 3),
        "lon": round(lon, 5),
        "lat": round(lat, 5),
        "file": str(arguments.out),
    }
    _print(
        arguments,
        answer,
        f"strongest at lon {lon:.4f}, lat {lat:.4f}: {view.heat.strength:.2f} of 1\n"
        f"written to {arguments.out}",
    )
    return DONE


def info(arguments: argparse.Namespace) -> int:
    """Say what an index holds."""
    with _existing(arguments) as index:
        regions = index.regions()
        answer = {
            "model": index.encoder_name,
            "dim": index.dim,
            "tiles": index.count(),
            "regions": [region.to_json() for region in regions],
        }
        lines = [
            f"{answer['tiles']:,} tiles by {index.encoder_name} ({index.dim} numbers each)",
            *(
                f"  {region.name}: {region.tiles:,} tiles of {region.scenes} scenes, "
                f"{region.start} to {region.end}, within "
                + " ".join(f"{edge:.4f}" for edge in region.bounds)
                for region in regions
            ),
        ]
    _print(arguments, answer, "\n".join(lines))
    return DONE


def eval(arguments: argparse.Namespace) -> int:  # noqa: A001  (the verb's own name)
    """Measure a model on labelled images."""
    from keenkite.evaluation.evaluate import evaluate

    encoder = None
    if arguments.source.suffix != ".npz":
        encoder = _load(arguments, arguments.model)
    evaluation = evaluate(
        arguments.source,
        encoder,
        fit=arguments.fit,
        cache=arguments.cache,
        progress=ProgressLine.of_counts("images"),
    )
    _print(arguments, evaluation.to_dict(), str(evaluation))
    return DONE


def demo(arguments: argparse.Namespace) -> int:
    """Draw a world, index it, ask it things."""
    from keenkite.demo.tour import tour

    return tour(arguments.folder, seed=arguments.seed)


def _existing(arguments: argparse.Namespace) -> TileIndex:
    return TileIndex.open(arguments.index, encoder=None, api_key=arguments.api_key)


def _may_exist(location: str) -> bool:
    """Whether an index may be there: a URL always, a folder that is not missing or empty."""
    return "://" in location or any(Path(location).expanduser().glob("*"))


def _load(arguments: argparse.Namespace, model: str) -> Encoder:
    return ClipEncoder.load(model, device=arguments.device, weights=arguments.weights)


def _archive(index: TileIndex) -> PixelArchive:
    archive = PixelArchive.beside(index.folder)
    if archive is None:
        raise InputError("A contact sheet needs the pixels kept beside an index in a folder.")
    return archive


def _area(arguments: argparse.Namespace) -> Area | None:
    if arguments.bbox:
        return Area.from_bbox(*arguments.bbox)
    if arguments.around:
        return Area.around(*arguments.around)
    if arguments.area:
        try:
            return Area.from_geojson(json.loads(arguments.area.read_text()))
        except (OSError, ValueError) as error:
            raise InputError(f"{arguments.area} is no GeoJSON file to be read: {error}") from None
    return None


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


def _write(path: Path, write: Any) -> None:
    try:
        write(path)
    except (OSError, ValueError) as error:
        raise StorageError(f"{path} cannot be written: {error}. Name another file.") from error


def _print(arguments: argparse.Namespace, answer: dict[str, Any], text: str) -> None:
    print(json.dumps(answer) if arguments.json else text)
