"""keenkite heatmap: write where in a tile a text's thing is, and say it."""

from __future__ import annotations

import argparse

from keenkite.catalog import Catalog, open_catalog
from keenkite.cli.opening import check_folder, encoder_of, open_index
from keenkite.cli.output import print_answer
from keenkite.errors import CatalogError
from keenkite.pictures import look
from keenkite.pictures.show import check_format
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
    lon, lat = view.heat.peak_lonlat(view.tile)
    answer = {
        "tile_id": view.tile.id,
        "text": arguments.text,
        "strength": round(view.heat.strength, 3),
        "lon": round(lon, 5),
        "lat": round(lat, 5),
        "file": str(arguments.out),
    }
    text = (
        f"strongest at lon {lon:.4f}, lat {lat:.4f}: {view.heat.strength:.2f} of 1\n"
        f"written to {arguments.out}"
    )
    print_answer(arguments, answer, text)
    return 0


def _catalog(arguments: argparse.Namespace) -> Catalog | None:
    """Where pixels that are gone are read again; without it those that are kept still do."""
    try:
        return open_catalog(
            arguments.catalog, arguments.stac_collection, allow_s3=arguments.allow_s3
        )
    except CatalogError:
        return None
