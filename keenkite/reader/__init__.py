"""Pixels of a scene: Cloud Optimized GeoTIFFs, local or by HTTP, as strips of RGB and classes."""

from keenkite.reader.bands import STRIP_ROWS
from keenkite.reader.grid import grid_of
from keenkite.reader.mosaic import read_strips
from keenkite.reader.tables import scaling
from keenkite.scene import Grid

__all__ = ["STRIP_ROWS", "Grid", "grid_of", "read_strips", "scaling"]
