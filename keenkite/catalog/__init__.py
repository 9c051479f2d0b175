"""Which scenes there are: a STAC API or a folder of STAC items, as `Scene`s."""

from keenkite.catalog.catalog import Catalog, open_catalog
from keenkite.catalog.folder import ItemFolder
from keenkite.catalog.intake import Scenes, account_of
from keenkite.catalog.selection import least_cloudy_cover
from keenkite.catalog.signing import Signer
from keenkite.catalog.stac_api import StacApi

__all__ = [
    "Catalog",
    "ItemFolder",
    "Scenes",
    "Signer",
    "StacApi",
    "account_of",
    "least_cloudy_cover",
    "open_catalog",
]
