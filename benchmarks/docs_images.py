"""Draw the pictures of docs/heatmaps.md anew: tiles of the demo's world, by keenkite-tiny.

    python benchmarks/docs_images.py FOLDER [--out docs/images]

FOLDER is what `keenkite demo` made, or is made: about two minutes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from keenkite.demo.tour import DAYS, SIZE_KM, index_world, truth_of
from keenkite.demo.world import World, draw_world
from keenkite.encoder import ClipEncoder, Encoder
from keenkite.index import Filters, TileIndex
from keenkite.pictures import kept_heatmaps, look, tile_sheet, to_png
from keenkite.pixels import PixelArchive
from keenkite.retrieval.confidence import confidence_of
from keenkite.retrieval.query import Query
from keenkite.retrieval.search import search
from keenkite.tiling import Tile

SEED = 2024
MAY = Filters(start=DAYS[0], end=DAYS[0].replace(day=31))
JUNE = Filters(start=MAY.end)
"""The clear pass, and the one with clouds."""


def best(
    index: TileIndex,
    encoder: Encoder,
    world: World,
    text: str,
    *,
    among: Filters = MAY,
    overlap: bool = False,
) -> list[Tile]:
    """The first hits that show a thing."""
    query = Query(text=text, filters=among, limit=50, overlap=overlap)
    hits = search(index, encoder, query).hits
    return [hit.tile for hit in hits if truth_of(world, hit.tile, text) == 1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    world = draw_world(SEED, size_km=SIZE_KM)
    encoder = ClipEncoder.load("keenkite-tiny")
    index, _ = index_world(world, arguments.folder, encoder)
    with index:
        archive = PixelArchive.beside(index.folder)
        assert archive is not None
        harbour, station = (
            best(index, encoder, world, text)[0] for text in ("harbour", "railway station")
        )
        golf = best(index, encoder, world, "golf course")[0]
        june = best(index, encoder, world, "airport", among=JUNE, overlap=True)
        clouded = next(tile for tile in june if (tile.cloud or 0) > 0.15)
        for tile, text, name in (
            (harbour, "harbour", "harbour"),
            (golf, "golf course", "golf-course"),
            (clouded, "airport", "cloud"),
        ):
            view = look(index, encoder, tile.id, text=text, archive=archive)
            view.save(arguments.out / f"{name}.png")
            print(f"{name}: {tile.id}, strength {view.heat.strength:.2f}. {view.heat.belief}")
        tiles = [*best(index, encoder, world, "airport")[:2], harbour, station]
        sure = confidence_of(index, encoder, "airport", [tile.id for tile in tiles])
        heats = kept_heatmaps(encoder, archive, tiles, "airport", sure)
        sheet = tile_sheet(
            tiles, archive.tiles(tiles), title="airport", sensor=index.sensor, heats=heats
        )
        (arguments.out / "airports.png").write_bytes(to_png(sheet, max_bytes=300_000))


if __name__ == "__main__":
    main()
