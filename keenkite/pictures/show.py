"""Look at one tile of an index: its pixels, and where in it a thing is.

view = look(index, encoder, tile_id, "airport", archive=PixelArchive(folder))
view.heat.peak_lonlat(view.tile)
view.save(Path("airport.png"))      # or .tif, for a GIS
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from keenkite.area import Area
from keenkite.catalog import Catalog
from keenkite.encoder import Encoder
from keenkite.errors import CatalogError, InputError, SceneError, StorageError
from keenkite.index import TileIndex
from keenkite.retrieval.heatmap import Heatmap, heatmap, heatmaps
from keenkite.pictures.sheets import contact_sheet, overlay, write_geotiff
from keenkite.pixels import PixelArchive
from keenkite.reader import read_strips
from keenkite.retrieval.search import Result
from keenkite.scene import PIXEL, Window
from keenkite.tiling import Tile

FORMATS = (".png", ".tif", ".tiff")


@dataclass(frozen=True, kw_only=True, eq=False)
class View:
    """A tile, its pixels and its map."""

    tile: Tile
    rgb: NDArray[np.uint8]
    """(224, 224, 3)."""
    heat: Heatmap

    def save(self, path: Path) -> None:
        """As a picture (.png), or as numbers with their place (.tif).

        Raises:
            InputError: the name ends otherwise.
            StorageError: the file cannot be written.
        """
        check_format(path)
        if path.suffix.lower() != ".png":
            write_geotiff(path, self.heat, self.tile)
            return
        try:
            overlay(self.rgb, self.heat).save(path)
        except OSError as error:
            raise StorageError(
                f"The picture cannot be written to {path}: {error}. "
                f"Name a file in a folder that exists and has room."
            ) from error


def check_format(path: Path) -> None:
    """Refuse a file that a view cannot be written to, before any work.

    Raises:
        InputError: its name ends otherwise than `FORMATS`.
    """
    if path.suffix.lower() not in FORMATS:
        raise InputError(
            f"{path.name} ends in {path.suffix!r}: use .png for a picture, .tif for a GeoTIFF."
        )


def look(
    index: TileIndex,
    encoder: Encoder,
    tile_id: str,
    text: str,
    *,
    archive: PixelArchive | None,
    catalog: Catalog | None = None,
) -> View:
    """Where in a tile of the index a text's thing is.

    Args:
        index: Knows the tile. Its vectors are not used: any encoder will do.
        encoder: Makes the map.
        tile_id: As search answers it.
        text: One concept, such as "airport".
        archive: Where the pixels of what was indexed are kept, if anywhere.
        catalog: Where the tile's scene is looked up when its pixels are gone; None gives up.

    Raises:
        InputError: there is no such tile, or the text cannot be used.
        SceneError: the tile's pixels are gone and cannot be read again.
        ModelError: the model has no patches.
    """
    found = index.get([tile_id])
    if not found:
        raise InputError(
            f"Tile {tile_id!r:.120} is not in the index {index.location}. "
            f"Take an id from a search, such as 32654-345-3550-20240512-S2B."
        )
    rgb = tile_pixels(found[0], archive, catalog)
    return View(tile=found[0], rgb=rgb, heat=heatmap(encoder, rgb, text))


def answer_sheet(
    result: Result, encoder: Encoder, archive: PixelArchive, *, title: str | None = None
) -> Image.Image:
    """A contact sheet of an answer, each tile beside its heatmap where the query has a text.

    Args:
        result: What `search` answered.
        encoder: Makes the maps.
        archive: Where the pixels of what was indexed are kept; a hit without has an empty frame.
        title: The first line; the query's text by default.
    """
    images: list[NDArray[np.uint8] | None] = []
    for hit in result.hits:
        try:
            images.append(archive.tile(hit.tile))
        except SceneError:
            images.append(None)
    text = result.query.text
    heats = None
    if text is not None and images and all(image is not None for image in images):
        heats = heatmaps(encoder, np.stack([i for i in images if i is not None]), text)
    return contact_sheet(result, images, title=title or text or "like the examples", heats=heats)


def tile_pixels(
    tile: Tile, archive: PixelArchive | None, catalog: Catalog | None = None
) -> NDArray[np.uint8]:
    """A tile's pixels, uint8 (size, size, 3): from the archive, else from its scene.

    Raises:
        SceneError: neither has them.
    """
    missing = SceneError(f"No pixels are kept for tile {tile.id}: build with an archive.")
    if archive is not None:
        try:
            return archive.tile(tile)
        except SceneError as error:
            missing = error
    if catalog is None:
        raise missing
    try:
        return _read_again(tile, catalog)
    except (CatalogError, SceneError) as error:
        raise SceneError(f"{missing} Its scene was tried too: {error}") from error


def _read_again(tile: Tile, catalog: Catalog) -> NDArray[np.uint8]:
    """From the files that the build read."""
    around = Area.around(tile.lon, tile.lat, 0.1)
    day = tile.datetime.date()
    for scene in catalog.search(around, day, day, max_cloud=101):  # below 101 %: whatever it is
        if scene.id == tile.scene_id:
            window = Window(
                row=round((scene.north - tile.north) / PIXEL),
                col=round((tile.west - scene.west) / PIXEL),
                rows=tile.size,
                cols=tile.size,
            )
            return np.concatenate([strip.rgb for strip in read_strips(scene, window)])
    raise CatalogError(f"the catalog does not have scene {tile.scene_id}")
