"""The vector index of tiles: in a folder, or on a Qdrant server by URL."""

from keenkite.index.filters import Filters
from keenkite.index.region import Region
from keenkite.index.statistics import Statistics
from keenkite.index.tile_index import Match, TileIndex

__all__ = ["Filters", "Match", "Region", "Statistics", "TileIndex"]
