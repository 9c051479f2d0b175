"""Which scenes there are: a STAC API or a folder of STAC items, as `Scene`s."""

from keenkite.catalog.catalog import Catalog, ItemFolder, open_catalog
from keenkite.catalog.own_pictures import PictureFolder
from keenkite.catalog.selection import least_cloudy_cover
from keenkite.catalog.stac_api import StacApi

__all__ = [
    "Catalog",
    "ItemFolder",
    "PictureFolder",
    "StacApi",
    "least_cloudy_cover",
    "open_catalog",
]
