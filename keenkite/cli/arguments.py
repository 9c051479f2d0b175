"""What can be said on the command line; nothing here loads more than the standard library."""

from __future__ import annotations

import argparse
from datetime import date
from pathlib import Path

from keenkite import __version__
from keenkite.settings import Settings


def parser(settings: Settings) -> argparse.ArgumentParser:
    """The parser; what is not given comes from the settings."""
    top = argparse.ArgumentParser(
        prog="keenkite", description="Search satellite imagery in plain words."
    )
    top.add_argument("--version", action="version", version=f"keenkite {__version__}")
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB")
    _add_build(verbs.add_parser("build", help="index an area's Sentinel-2 scenes"), settings)
    _add_search(verbs.add_parser("search", help="find tiles by words or examples"), settings)
    _add_heatmap(verbs.add_parser("heatmap", help="show where in a tile a thing is"), settings)
    _add_info(verbs.add_parser("info", help="say what an index holds"), settings)
    _add_eval(verbs.add_parser("eval", help="measure a model on labelled images"), settings)
    _add_demo(verbs.add_parser("demo", help="draw a world and search it, without a network"))
    return top


def _add_build(build: argparse.ArgumentParser, settings: Settings) -> None:
    _add_area(build, required=True)
    build.add_argument("--start", type=_day, required=True, metavar="DATE", help="2024-04-01")
    build.add_argument("--end", type=_day, required=True, metavar="DATE", help="included")
    build.add_argument("--region", default="default", help="a name to find these tiles by later")
    build.add_argument(
        "--max-cloud",
        type=float,
        default=20.0,
        metavar="PERCENT",
        help="leave out scenes with this much cloud or more (default 20)",
    )
    build.add_argument(
        "--choose",
        choices=("every-date", "least-cloudy"),
        default="every-date",
        help="every scene, or the fewest and clearest that cover the area",
    )
    build.add_argument("--catalog", default=settings.catalog, help="STAC API or folder of items")
    build.add_argument(
        "--stride",
        type=int,
        metavar="PIXELS",
        help="from one tile to the next, for a new index (default 112, half a tile)",
    )
    build.add_argument("--dry-run", action="store_true", help="only say what would be done")
    _add_index(build, settings)
    _add_model(build, settings, default=settings.model)


def _add_search(search: argparse.ArgumentParser, settings: Settings) -> None:
    search.add_argument("text", nargs="?", help='one concept, such as "airport"')
    search.add_argument(
        "--near",
        nargs=2,
        action="append",
        default=[],
        metavar=("TEXT", "KM"),
        help="another concept that must be seen within some kilometres; may be repeated",
    )
    search.add_argument(
        "--exclude",
        action="append",
        default=[],
        metavar="TEXT",
        help="a concept that pushes a tile down; may be repeated",
    )
    search.add_argument(
        "--strict",
        action="store_true",
        help="leave out tiles without what must be near, or with what is excluded",
    )
    for name, what in (("like", "tiles that show what is meant"), ("unlike", "tiles that do not")):
        search.add_argument(
            f"--{name}", action="append", default=[], metavar="TILE", help=f"{what}: id or LON,LAT"
        )
    _add_area(search, required=False)
    search.add_argument("--start", type=_day, metavar="DATE")
    search.add_argument("--end", type=_day, metavar="DATE", help="included")
    search.add_argument(
        "--max-cloud", type=float, metavar="PERCENT", help="cloud of the tile itself"
    )
    search.add_argument(
        "--cover",
        type=_cover,
        action="append",
        default=[],
        metavar="NAME=LOW:HIGH",
        help="fraction of water, vegetation, bare or snow, such as water=0.1:1",
    )
    search.add_argument("--region", action="append", default=[], help="may be repeated")
    search.add_argument("--scene", action="append", default=[], help="may be repeated")
    search.add_argument("--limit", type=int, default=10)
    search.add_argument(
        "--overlap", action="store_true", help="keep hits that show the same ground"
    )
    search.add_argument("--explain", action="store_true", help="show what each score is made of")
    search.add_argument(
        "--sheet", type=Path, metavar="FILE.png", help="write a contact sheet with heatmaps"
    )
    search.add_argument("--geojson", type=Path, metavar="FILE", help="write the hits' outlines")
    _add_index(search, settings)
    _add_model(search, settings, default=None)


def _add_heatmap(heatmap: argparse.ArgumentParser, settings: Settings) -> None:
    heatmap.add_argument("tile", metavar="TILE_ID", help="as search prints it")
    heatmap.add_argument("text", help='one concept, such as "airport"')
    heatmap.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help=".png, or .tif for a GIS"
    )
    heatmap.add_argument(
        "--catalog",
        default=settings.catalog,
        help="where the scene is looked up if the tile's pixels are gone",
    )
    _add_index(heatmap, settings)
    _add_model(heatmap, settings, default=None)


def _add_info(info: argparse.ArgumentParser, settings: Settings) -> None:
    _add_index(info, settings)


def _add_eval(evaluate: argparse.ArgumentParser, settings: Settings) -> None:
    evaluate.add_argument(
        "source", type=Path, help="folder with a subfolder of images per class, or .npz of vectors"
    )
    evaluate.add_argument(
        "--fit",
        choices=("resize", "mosaic"),
        default="resize",
        help="how an image becomes 224 px: as CLIP does, or at its own resolution, mirrored",
    )
    evaluate.add_argument(
        "--cache", type=Path, metavar="FOLDER", help="keep vectors here, to go on after a stop"
    )
    evaluate.add_argument("--json", action="store_true", help="machine-readable answer on stdout")
    _add_model(evaluate, settings, default=settings.model)


def _add_demo(demo: argparse.ArgumentParser) -> None:
    demo.add_argument("--folder", type=Path, default=Path("demo"))
    demo.add_argument("--seed", type=int, default=2024, help="another world")


def _add_area(command: argparse.ArgumentParser, *, required: bool) -> None:
    area = command.add_mutually_exclusive_group(required=required)
    area.add_argument(
        "--bbox",
        type=float,
        nargs=4,
        metavar=("WEST", "SOUTH", "EAST", "NORTH"),
        help="degrees; longitude comes first",
    )
    area.add_argument(
        "--around", type=float, nargs=3, metavar=("LON", "LAT", "KM"), help="a circle"
    )
    area.add_argument("--area", type=Path, metavar="FILE", help="GeoJSON polygon")


def _add_index(command: argparse.ArgumentParser, settings: Settings) -> None:
    command.add_argument("--index", default=settings.index, help="folder or Qdrant URL")
    command.add_argument("--json", action="store_true", help="machine-readable answer on stdout")
    command.set_defaults(api_key=settings.qdrant_api_key)


def _add_model(
    command: argparse.ArgumentParser, settings: Settings, *, default: str | None
) -> None:
    which = f"default {default}" if default else "default: the one the index was built with"
    command.add_argument(
        "--model", default=default, help=f"name, open_clip tag or checkpoint ({which})"
    )
    command.add_argument(
        "--weights",
        type=Path,
        default=settings.weights,
        metavar="FILE",
        help="a checkpoint to use in place of the download",
    )
    command.add_argument("--device", default=settings.device, help="auto, cpu, cuda or mps")


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a day; write year-month-day, such as 2024-04-01"
        ) from None


def _cover(text: str) -> tuple[str, tuple[float, float]]:
    name, _, span = text.partition("=")
    low, _, high = span.partition(":")
    try:
        return name, (float(low), float(high or "1"))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a cover; write name=low:high, such as water=0.1:1"
        ) from None
