"""Pixels of a scene: Cloud Optimized GeoTIFFs, local or by HTTP, as strips of RGB and classes."""

from keenkite.reader.mosaic import read_strips
from keenkite.reader.strips import STRIP_ROWS, scaling

__all__ = ["STRIP_ROWS", "read_strips", "scaling"]
