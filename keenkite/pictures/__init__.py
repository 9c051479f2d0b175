"""Pictures of tiles and answers, and heatmaps as files."""

from keenkite.pictures.files import to_png, write_geotiff
from keenkite.pictures.sheets import contact_sheet, place, tile_sheet
from keenkite.pictures.show import answer_sheet, kept_heatmaps, look
from keenkite.pictures.tile import overlay, tile_image

__all__ = [
    "answer_sheet",
    "contact_sheet",
    "kept_heatmaps",
    "look",
    "overlay",
    "place",
    "tile_image",
    "tile_sheet",
    "to_png",
    "write_geotiff",
]
