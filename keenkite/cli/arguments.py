"""What can be said on the command line; nothing here loads more than the standard library."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from keenkite import __version__
from keenkite.cli import flags
from keenkite.settings import DEFAULT_MODEL, Settings

OWN = "the collection's own"
_NUMBERS = re.compile(r"-\.?\d[-+.,\deE]*")
"""Numbers and places that begin with a minus, "-58.38,-34.6": values, not flags."""


def parser(settings: Settings) -> argparse.ArgumentParser:
    """The parser; what is not given comes from the settings."""
    top = argparse.ArgumentParser(
        prog="keenkite", description="Search satellite imagery in plain words."
    )
    top.add_argument("--version", action="version", version=f"keenkite {__version__}")
    top._negative_number_matcher = _NUMBERS
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB")

    def verb(name: str, summary: str, *, module: str | None = None) -> argparse.ArgumentParser:
        command = verbs.add_parser(name, help=summary, description=f"{summary}.")
        command._negative_number_matcher = _NUMBERS
        command.set_defaults(module=module or name)
        return command

    _build(verb("build", "index an area's scenes"), settings)
    _search(verb("search", "find tiles by words or examples"), settings)
    _heatmap(verb("heatmap", "show where in a tile a thing is"), settings)
    _info(verb("info", "say what a data folder holds"), settings)
    _remove(verb("remove", "take a region, old tiles or a collection away"), settings)
    _calibrate(verb("calibrate", "set confidence right by places that you know"), settings)
    _eval(verb("eval", "measure a model on labelled images", module="evaluate"), settings)
    _demo(verb("demo", "draw a world and search it, without a network"))
    return top


def _build(build: argparse.ArgumentParser, settings: Settings) -> None:
    flags.add_area(build, required=False)
    flags.add_days(build, required=False)
    build.add_argument("--region", default="default", help="a name to find these tiles by later")
    flags.add_cloud(build, "leave out scenes with more cloud (default 20)")
    build.add_argument(
        "--choose",
        choices=("every-date", "least-cloudy"),
        default="every-date",
        help="every scene, or the fewest and clearest that cover the area",
    )
    flags.add_spans(build, "width of the tiles (default: those that the collection has, or 2240)")
    flags.add_catalog(build, settings, "where scenes are looked up")
    flags.add_pictures(build)
    build.add_argument("--dry-run", action="store_true", help="only say what would be done")
    flags.add_data(build, settings)
    flags.add_model(build, settings, default=f"{OWN}, {DEFAULT_MODEL} for a new one", many=True)


def _search(search: argparse.ArgumentParser, settings: Settings) -> None:
    search.add_argument("text", nargs="?", help='one concept, such as "airport"')
    _add_relations(search)
    for name, what in (("like", "tiles that show what is meant"), ("unlike", "tiles that do not")):
        search.add_argument(
            f"--{name}", action="append", default=[], metavar="TILE", help=f"{what}: id or LON,LAT"
        )
    _add_filters(search)
    search.add_argument("--limit", type=int, default=10, help="hits wanted (default 10)")
    search.add_argument(
        "--skip", type=int, default=0, metavar="HITS", help="pass over so many: the pages before"
    )
    search.add_argument(
        "--min-confidence",
        type=float,
        metavar="P",
        help="cut hits below it, but never the first (default 0.15; 0 cuts none)",
    )
    search.add_argument(
        "--overlap", action="store_true", help="keep hits that show the same ground"
    )
    search.add_argument("--explain", action="store_true", help="show what each score is made of")
    search.add_argument(
        "--sheet", type=Path, metavar="FILE.png", help="write a contact sheet with heatmaps"
    )
    search.add_argument("--geojson", type=Path, metavar="FILE", help="write the hits' outlines")
    flags.add_data(search, settings)
    flags.add_model(search, settings, default=OWN)


def _add_relations(search: argparse.ArgumentParser) -> None:
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


def _add_filters(search: argparse.ArgumentParser) -> None:
    flags.add_area(search, required=False)
    flags.add_days(search, required=False)
    flags.add_cloud(search, "leave out tiles with more cloud")
    search.add_argument(
        "--cover",
        type=flags.cover,
        action="append",
        default=[],
        metavar="NAME=LOW:HIGH",
        help="fraction of water, vegetation, bare or snow, such as water=0.1:1",
    )
    search.add_argument("--region", action="append", default=[], help="may be repeated")
    search.add_argument("--scene", action="append", default=[], help="may be repeated")
    flags.add_spans(search, "width of the tiles to look at (default: all)")


def _heatmap(heatmap: argparse.ArgumentParser, settings: Settings) -> None:
    heatmap.add_argument("tile", metavar="TILE_ID", help="as search prints it")
    heatmap.add_argument("text", help='one concept, such as "airport"')
    heatmap.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help=".png, or .tif for a GIS"
    )
    flags.add_catalog(heatmap, settings, "where the scene is looked up if the pixels are gone")
    flags.add_data(heatmap, settings)
    flags.add_model(heatmap, settings, default=OWN)


def _info(info: argparse.ArgumentParser, settings: Settings) -> None:
    flags.add_data(info, settings)


def _remove(remove: argparse.ArgumentParser, settings: Settings) -> None:
    what = remove.add_mutually_exclusive_group(required=True)
    what.add_argument("--region", metavar="NAME", help="a region: tiles that have others stay")
    what.add_argument("--before", type=flags.day, metavar="DATE", help="tiles seen before this day")
    what.add_argument("--all", action="store_true", help="the whole collection")
    flags.add_data(remove, settings)


def _calibrate(calibrate: argparse.ArgumentParser, settings: Settings) -> None:
    what = calibrate.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--truth",
        type=Path,
        metavar="FILE",
        help='GeoJSON of points and polygons; properties "text", and "present" (default true)',
    )
    what.add_argument("--reset", action="store_true", help="go back to the model's own")
    calibrate.add_argument("--dry-run", action="store_true", help="only say what it comes to")
    flags.add_data(calibrate, settings)
    flags.add_model(calibrate, settings, default=OWN)


def _eval(evaluate: argparse.ArgumentParser, settings: Settings) -> None:
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
    flags.add_json(evaluate)
    flags.add_model(evaluate, settings, default=DEFAULT_MODEL)


def _demo(demo: argparse.ArgumentParser) -> None:
    demo.add_argument("--folder", type=Path, default=Path("demo"), help="default: demo")
    demo.add_argument("--seed", type=int, default=2024, help="another world (default 2024)")
