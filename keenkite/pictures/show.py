"""Look at tiles of an index: their pixels, and where in them a thing is.

view = look(index, encoder, tile_id, text="airport", archive=PixelArchive.beside(index.folder))
view.heat.peak_lonlat(view.tile)
view.save(Path("airport.png"))      # or .tif, for a GIS
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from keenkite.area import Area
from keenkite.build.units import units
from keenkite.catalog import Catalog
from keenkite.encoder import Encoder, bands_of
from keenkite.errors import CatalogError, InputError, SceneError, StorageError
from keenkite.index import TileIndex
from keenkite.pictures.files import write_geotiff
from keenkite.pictures.sheets import contact_sheet
from keenkite.pictures.tile import overlay
from keenkite.pixels import PixelArchive
from keenkite.pixels.writer import CLEAR, NODATA, mask_values
from keenkite.reader import read_strips
from keenkite.retrieval.confidence import confidence_of
from keenkite.retrieval.heatmap import Heatmap, heatmap, heatmaps
from keenkite.retrieval.result import Result
from keenkite.scene import Scene, Window
from keenkite.sensors import Sensor
from keenkite.tiling import Tile, resample
from keenkite.tiling.resample import resample_mask

FORMATS = (".png", ".tif", ".tiff")


@dataclass(frozen=True, kw_only=True, eq=False)
class View:
    """A tile, its pixels and its map."""

    tile: Tile
    rgb: NDArray[np.uint8]
    """(224, 224, 3)."""
    heat: Heatmap
    sensor: Sensor
    """Whose imagery it is; pictures and files carry its attribution."""

    def picture(self, *, scale: int = 2) -> Image.Image:
        """The tile under its heatmap; see `overlay`."""
        return overlay(self.rgb, self.heat, self.tile, sensor=self.sensor, scale=scale)

    def save(self, path: Path) -> None:
        """As a picture (.png), or as numbers with their place (.tif).

        Raises:
            InputError: the name ends otherwise.
            StorageError: the file cannot be written.
        """
        check_format(path)
        if path.suffix.lower() != ".png":
            write_geotiff(path, self.heat, self.tile, sensor=self.sensor)
            return
        try:
            self.picture().save(path)
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
    *,
    text: str,
    archive: PixelArchive | None,
    catalog: Catalog | None = None,
) -> View:
    """Where in a tile of the index a text's thing is.

    Args:
        index: Knows the tile, and how sure a search is of it.
        encoder: Makes the map; where it is not the index's, the map stands alone.
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
            f"Take an id from a search, such as 32654-2240-345-3550-20240512T012345-S2B."
        )
    (tile,) = found
    rgb, hidden = _seen(tile, archive, catalog)
    bands = bands_of(encoder)
    shown = rgb if bands is None else tile_pixels(tile, archive, catalog, bands=bands)
    heat = heatmap(encoder, shown, text, mask=hidden)
    if index.encoder_name == encoder.name:
        (sure,) = confidence_of(index, encoder, text, [tile.id])
        heat = replace(heat, confidence=sure)
    return View(tile=tile, rgb=rgb, heat=heat, sensor=index.sensor)


def kept_heatmaps(
    encoder: Encoder,
    archive: PixelArchive,
    tiles: Sequence[Tile],
    text: str,
    confidences: Sequence[float | None],
) -> list[Heatmap]:
    """Where in each of some tiles a text's thing is, by the pixels that are kept.

    Args:
        encoder: Makes the maps.
        archive: Has the tiles' pixels, and where they show no ground.
        tiles: At most 256.
        text: One concept.
        confidences: That each tile shows it, as a search says; None where it was not asked.

    Raises:
        InputError: the text cannot be used, or there are too many tiles.
        SceneError: the pixels of a tile are not there.
        ModelError: the model has no patches.
    """
    if not tiles:
        return []
    bands = bands_of(encoder)
    shown: list[Any] = (
        archive.tiles(tiles) if bands is None else [archive.bands(tile, bands) for tile in tiles]
    )
    mask = np.stack(archive.hidden(tiles))
    heats = heatmaps(encoder, np.stack(shown), text, mask=mask)
    pairs = zip(heats, confidences, strict=True)
    return [replace(heat, confidence=sure) for heat, sure in pairs]


def answer_sheet(
    result: Result,
    encoder: Encoder,
    archive: PixelArchive,
    *,
    sensor: Sensor,
    title: str | None = None,
) -> Image.Image:
    """A contact sheet of an answer, each tile beside its heatmap where the query has a text.

    Args:
        result: What `search` answered.
        encoder: Makes the maps.
        archive: Where the pixels of what was indexed are kept; a hit without has an empty frame.
        sensor: Whose imagery it is: the index's.
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
        tiles = [hit.tile for hit in result.hits]
        # Of the text alone: a hit's own confidence is of all its conditions.
        sure = [met.confidence for hit in result.hits for met in hit.of("text")]
        heats = kept_heatmaps(encoder, archive, tiles, text, sure)
    title = title or text or "like the examples"
    return contact_sheet(result, images, title=title, sensor=sensor, heats=heats)


def tile_pixels(
    tile: Tile,
    archive: PixelArchive | None,
    catalog: Catalog | None = None,
    *,
    bands: Sequence[str] | None = None,
) -> NDArray[Any]:
    """A tile's pixels, from the archive, else from its scenes.

    Args:
        tile: Of any span.
        archive: Where they are kept, if anywhere.
        catalog: Where its scenes are looked up otherwise; None gives up.
        bands: Names of the sensor's bands; None for a picture.

    Returns:
        uint8 (224, 224, 3) red, green, blue; or uint16 (224, 224, bands) reflectance × 10,000.

    Raises:
        SceneError: neither has them.
    """
    return _seen(tile, archive, catalog, bands=bands)[0]


def _seen(
    tile: Tile,
    archive: PixelArchive | None,
    catalog: Catalog | None,
    *,
    bands: Sequence[str] | None = None,
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """`tile_pixels`, and where they show no ground, bool (224, 224)."""
    missing = SceneError(f"No pixels are kept for tile {tile.id}: build with an archive.")
    if archive is not None:
        try:
            shown = archive.tile(tile) if bands is None else archive.bands(tile, bands)
            return shown, archive.hidden([tile])[0]
        except SceneError as error:
            missing = error
    if catalog is None:
        raise missing
    try:
        return _read_again(tile, catalog, bands)
    except (CatalogError, SceneError) as error:
        raise SceneError(f"{missing} Its scene was tried too: {error}") from error


def _read_again(
    tile: Tile, catalog: Catalog, bands: Sequence[str] | None
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """From the files that the build read, put together as the build did."""
    first = tile.datetime.astimezone(UTC)
    # The moment is that of the earliest scene: others of the pass may be of the next day.
    days = first.date(), (first + timedelta(minutes=10)).date()
    shown = catalog.search(Area.from_bbox(*tile.bounds), *days, max_cloud=None)
    found = units(scene for scene in shown if scene.id in tile.scene_ids)
    parts = [_read(tile, unit, bands) for unit in found if unit.epsg == tile.epsg]
    # A product that shows none of this tile is not missed.
    gone = set(tile.scene_ids).difference(*(unit.scene_ids for unit in found))
    pixels, mask = parts[0] if parts else (np.empty(0), np.full(1, NODATA, np.uint8))
    for more, its_mask in parts[1:]:
        empty = mask == NODATA
        pixels, mask = np.where(empty[..., None], more, pixels), np.where(empty, its_mask, mask)
    if not parts or (gone and (mask != NODATA).mean() < tile.valid - 0.01):
        name = min(gone) if gone else tile.scene_ids[0]
        raise CatalogError(f"the catalog does not have scene {name}")
    return np.ascontiguousarray(resample(pixels[None])[0]), resample_mask(mask) != CLEAR


def _read(
    tile: Tile, scene: Scene, bands: Sequence[str] | None
) -> tuple[NDArray[Any], NDArray[np.uint8]]:
    """A tile in the pixels of a scene, (side, side, channels), and its mask as it is kept."""
    side = round(tile.span / scene.metres)
    window = Window(
        row=round((scene.north - tile.north) / scene.metres),
        col=round((tile.west - scene.west) / scene.metres),
        rows=side,
        cols=side,
    )
    strips = list(read_strips(scene, window, bands=bands or ()))
    shown = np.concatenate([strip.rgb if bands is None else strip.bands for strip in strips])
    classes = np.concatenate([strip.classes for strip in strips])
    return shown, mask_values(scene.sensor).take(classes)
