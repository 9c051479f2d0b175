"""The command line: one verb, one call. Data goes to stdout, progress and errors to stderr.

Exit codes: 0 done, 1 an error (the message says what to do), 2 a command line that cannot be
used, 3 a build that left out scenes it could not read, 130 stopped by Ctrl-C.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import __version__
from .errors import InputError, KeenkiteError
from .settings import Settings

if TYPE_CHECKING:  # the verbs import what they need, so that --help is quick
    from .area import Area
    from .build import Progress, Report
    from .encoder import Encoder
    from .index import TileIndex
    from .search import Result

SCENES_FAILED = 3
INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line; returns its exit code."""
    settings = Settings.from_environment()
    arguments = _parser(settings).parse_args(argv)
    try:
        code: int = arguments.run(arguments)
        return code
    except KeenkiteError as error:
        print(f"keenkite: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("keenkite: stopped; what was done is kept, run it again to go on", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        return 1


def _parser(settings: Settings) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="keenkite", description="Search satellite imagery in plain words."
    )
    parser.add_argument("--version", action="version", version=f"keenkite {__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    build = verbs.add_parser("build", help="index an area's Sentinel-2 scenes of some days")
    _add_area(build, required=True)
    build.add_argument("--start", type=_day, required=True, metavar="DATE", help="2024-04-01")
    build.add_argument("--end", type=_day, required=True, metavar="DATE", help="included")
    build.add_argument("--region", default="default", help="a name to find these tiles by later")
    build.add_argument(
        "--max-cloud", type=float, default=20.0, metavar="PERCENT",
        help="leave out scenes with this much cloud or more (default 20)",
    )  # fmt: skip
    build.add_argument(
        "--choose", choices=("every-date", "least-cloudy"), default="every-date",
        help="every scene, or the fewest and clearest that cover the area",
    )  # fmt: skip
    build.add_argument("--catalog", default=settings.catalog, help="STAC API or folder of items")
    build.add_argument("--dry-run", action="store_true", help="only say what would be done")
    _add_common(build, settings)
    build.set_defaults(run=_build)

    search = verbs.add_parser("search", help="find tiles by a text")
    search.add_argument("text", help='one concept, such as "airport"')
    _add_area(search, required=False)
    search.add_argument("--start", type=_day, metavar="DATE")
    search.add_argument("--end", type=_day, metavar="DATE", help="included")
    search.add_argument(
        "--max-cloud", type=float, metavar="PERCENT", help="cloud of the tile itself"
    )
    search.add_argument(
        "--cover", type=_cover, action="append", default=[], metavar="NAME=LOW:HIGH",
        help="fraction of water, vegetation, bare or snow, such as water=0.1:1",
    )  # fmt: skip
    search.add_argument("--region", action="append", default=[], help="may be repeated")
    search.add_argument("--scene", action="append", default=[], help="may be repeated")
    search.add_argument("--limit", type=int, default=10)
    search.add_argument(
        "--overlap", action="store_true", help="keep hits that show the same ground"
    )
    search.add_argument("--sheet", type=Path, metavar="FILE.png", help="write a contact sheet")
    search.add_argument("--geojson", type=Path, metavar="FILE", help="write the hits' outlines")
    _add_common(search, settings)
    search.set_defaults(run=_search)

    info = verbs.add_parser("info", help="what the index holds")
    info.add_argument("--index", default=settings.index, help="folder or Qdrant URL")
    info.add_argument("--json", action="store_true")
    info.set_defaults(run=_info)

    demo = verbs.add_parser("demo", help="draw a world, index it and search it, without a network")
    demo.add_argument("--folder", type=Path, default=Path("demo"))
    demo.add_argument("--seed", type=int, default=2024, help="another world")
    demo.set_defaults(run=_demo)
    return parser


def _add_area(parser: argparse.ArgumentParser, *, required: bool) -> None:
    area = parser.add_mutually_exclusive_group(required=required)
    area.add_argument(
        "--bbox", type=float, nargs=4, metavar=("WEST", "SOUTH", "EAST", "NORTH"),
        help="degrees; longitude comes first",
    )  # fmt: skip
    area.add_argument(
        "--around", type=float, nargs=3, metavar=("LON", "LAT", "KM"), help="a circle"
    )
    area.add_argument("--area", type=Path, metavar="FILE", help="GeoJSON polygon")


def _add_common(parser: argparse.ArgumentParser, settings: Settings) -> None:
    parser.add_argument("--index", default=settings.index, help="folder or Qdrant URL")
    parser.add_argument("--model", default=settings.model, help="name, open_clip tag or checkpoint")
    parser.add_argument("--weights", type=Path, default=settings.weights, metavar="FILE",
                        help="a checkpoint to use in place of the download")  # fmt: skip
    parser.add_argument("--device", default=settings.device, help="auto, cpu, cuda or mps")
    parser.add_argument("--json", action="store_true", help="machine-readable answer on stdout")


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


def _area_of(arguments: argparse.Namespace) -> "Area | None":
    from .area import Area

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


def _encoder_of(arguments: argparse.Namespace) -> "Encoder":
    from .encoder import ClipEncoder

    return ClipEncoder.load(arguments.model, device=arguments.device, weights=arguments.weights)


def _index_of(location: str, encoder: "Encoder | None") -> "TileIndex":
    from .index import TileIndex

    return TileIndex.open(location, encoder=encoder)


def _build(arguments: argparse.Namespace) -> int:
    from .build import build_index, plan_build
    from .catalog import open_catalog

    area = _area_of(arguments)
    assert area is not None  # argparse requires one
    catalog = open_catalog(arguments.catalog)
    encoder = _encoder_of(arguments)
    with _index_of(arguments.index, encoder) as index:
        wanted: dict[str, Any] = {
            "catalog": catalog,
            "max_cloud": arguments.max_cloud,
            "choose": arguments.choose,
            "region": arguments.region,
        }
        if arguments.dry_run:
            plan = plan_build(index, area, arguments.start, arguments.end, **wanted)
            todo = [work for work in plan.works if not work.done]
            answer = {"scenes": [work.scene.id for work in todo], "tiles": plan.tiles,
                      "done": len(plan.works) - len(todo)}  # fmt: skip
            if arguments.json:
                print(json.dumps(answer))
            else:
                print(f"{len(todo)} scenes to do, {plan.tiles:,} tiles; {answer['done']} done")
                for work in todo:
                    print(f"  {work.scene.id}  {work.scene.cloud:.0f} % cloud")
            return 0
        report = build_index(
            index, encoder, area, arguments.start, arguments.end,
            progress=ProgressLine(), **wanted,
        )  # fmt: skip
    if arguments.json:
        print(json.dumps(report.to_dict()))
    else:
        print(report_text(report))
    return SCENES_FAILED if report.failed else 0


class ProgressLine:
    """A line on stderr that says how far a build is; rewritten on a terminal."""

    def __init__(self) -> None:
        self._shown = 0.0

    def __call__(self, progress: "Progress") -> None:
        """Show it, at most twice a second (every ten seconds into a file)."""
        live = sys.stderr.isatty()
        now = time.monotonic()
        last = progress.tiles_done == progress.tiles
        if not last and now - self._shown < (0.5 if live else 10):
            return
        self._shown = now
        left = progress.seconds_left
        text = (
            f"{progress.tiles_done:,} of {progress.tiles:,} tiles, "
            f"scene {min(progress.scenes_done + 1, progress.scenes)} of {progress.scenes}, "
            f"{progress.rate:.0f} tiles/s" + (f", {left:.0f} s left" if left is not None else "")
        )
        end = "\n" if last or not live else ""
        print(f"\r{text:<78}" if live else text, end=end or "", file=sys.stderr, flush=True)


def report_text(report: "Report") -> str:
    """A build's report for people."""
    lines = [
        f"{len(report.scenes)} scenes done, {len(report.skipped)} were done before, "
        f"{len(report.failed)} failed",
        f"{report.kept:,} tiles kept; dropped: "
        + (", ".join(f"{count:,} for {why}" for why, count in report.dropped.items()) or "none"),
        "seconds: " + ", ".join(f"{stage} {took:.1f}" for stage, took in report.seconds.items()),
        f"pixels kept: {report.bytes_kept / 1e6:.1f} MB",
    ]
    lines += [f"failed: {reason}" for reason in report.failed.values()]
    return "\n".join(lines)


def _search(arguments: argparse.Namespace) -> int:
    from .search import Query, search

    query = Query(
        text=arguments.text,
        area=_area_of(arguments),
        start=arguments.start,
        end=arguments.end,
        max_cloud=None if arguments.max_cloud is None else arguments.max_cloud / 100,
        cover=dict(arguments.cover),
        regions=tuple(arguments.region),
        scenes=tuple(arguments.scene),
        limit=arguments.limit,
        overlap=arguments.overlap,
    )
    encoder = _encoder_of(arguments)
    with _index_of(arguments.index, encoder) as index:
        result = search(index, encoder, query)
        if arguments.sheet:
            write_sheet(result, index, arguments.sheet)
    if arguments.geojson:
        from .pictures import hits_geojson

        arguments.geojson.write_text(json.dumps(hits_geojson(result)))
    if arguments.json:
        print(json.dumps(result.to_dict()))
    else:
        print(hits_table(result))
    return 0


def hits_table(result: "Result") -> str:
    """An answer for people: one line a hit."""
    if not result.hits:
        return f"nothing found: {result.reason}"
    lines = [f"{'':>2}  {'score':>6}  {'lon':>9}  {'lat':>8}  {'date':<10}  tile"]
    for hit in result.hits:
        tile = hit.tile
        lines.append(
            f"{hit.rank:>2}  {hit.score:6.3f}  {tile.lon:9.4f}  {tile.lat:8.4f}  "
            f"{tile.datetime:%Y-%m-%d}  {tile.id}"
        )
    return "\n".join(lines)


def write_sheet(result: "Result", index: "TileIndex", path: Path) -> None:
    """A contact sheet of an answer, from the pixels kept beside an embedded index."""
    from .pictures import contact_sheet
    from .pixels import PixelArchive

    if index.folder is None:
        raise InputError("a contact sheet needs the pixels kept beside an index in a folder")
    archive = PixelArchive(index.folder / "pixels")
    images = [archive.tile(hit.tile) for hit in result.hits]
    contact_sheet(result, images, title=result.query.text).save(path)


def _info(arguments: argparse.Namespace) -> int:
    with _index_of(arguments.index, None) as index:
        regions = index.regions()
        if arguments.json:
            print(json.dumps({"model": index.encoder_name, "dim": index.dim,
                              "tiles": index.count(),
                              "regions": [region.to_dict() for region in regions]}))  # fmt: skip
        else:
            print(f"{index.count():,} tiles by {index.encoder_name} ({index.dim} numbers each)")
            for region in regions:
                print(f"  {region}")
    return 0


def _demo(arguments: argparse.Namespace) -> int:
    from .demo.tour import tour

    return tour(arguments.folder, seed=arguments.seed)
