"""Heatmaps, and pictures of tiles and answers."""

from keenkite.pictures.sheets import (
    contact_sheet,
    hits_geojson,
    overlay,
    place,
    tile_image,
    tile_sheet,
    to_png,
    write_geotiff,
)

__all__ = [
    "contact_sheet",
    "hits_geojson",
    "overlay",
    "place",
    "tile_image",
    "tile_sheet",
    "to_png",
    "write_geotiff",
]
