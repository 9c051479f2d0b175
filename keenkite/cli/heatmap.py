"""keenkite heatmap: write where in a tile a text's thing is, and say it."""

from __future__ import annotations

import argparse
from typing import Any

from keenkite.catalog import Catalog, open_catalog
from keenkite.cli.opening import check_folder, encoder_of, open_index
from keenkite.cli.output import print_answer
from keenkite.cloud import cloud_text
from keenkite.errors import CatalogError
from keenkite.pictures import look
from keenkite.pictures.show import View, check_format
from keenkite.pixels import PixelArchive


def run(arguments: argparse.Namespace) -> int:
    """Write where in a tile a text's thing is, and say it."""
    check_format(arguments.out)
    check_folder(arguments.out)
    with open_index(arguments) as index:
        view = look(
            index,
            encoder_of(arguments, index.encoder_name),
            arguments.tile,
            text=arguments.text,
            archive=PixelArchive.beside(index.folder),
            catalog=_catalog(arguments),
        )
    view.save(arguments.out)
    answer, text = _answer(view, str(arguments.out))
    print_answer(arguments, answer, text)
    return 0


def _answer(view: View, file: str) -> tuple[dict[str, Any], str]:
    """What the map says, for programs and for people."""
    heat, tile = view.heat, view.tile
    lon, lat = (round(degrees, 5) for degrees in heat.peak_lonlat(tile))
    sure = None if heat.confidence is None else round(heat.confidence, 4)
    answer = {
        "tile_id": tile.id,
        "text": heat.text,
        "strength": round(heat.strength, 3),
        "found": heat.found,
        "confidence": sure,
        "believe": heat.believed,
        "belief": heat.belief,
        "cloud": None if tile.cloud is None else round(tile.cloud, 4),
        "lon": lon if heat.seen else None,
        "lat": lat if heat.seen else None,
        "file": file,
    }
    lines = [heat.belief, f"{cloud_text(tile.cloud)}; written to {file}"]
    if heat.seen:
        search = "" if sure is None else f"; confidence of the search {sure:.2f}"
        lines.insert(
            0, f"strongest at lon {lon:.4f}, lat {lat:.4f}: {heat.strength:.2f} of 1{search}"
        )
    return answer, "\n".join(lines)


def _catalog(arguments: argparse.Namespace) -> Catalog | None:
    """Where pixels that are gone are read again; without it those that are kept still do."""
    try:
        return open_catalog(
            arguments.catalog, arguments.stac_collection, allow_s3=arguments.allow_s3
        )
    except CatalogError:
        return None
