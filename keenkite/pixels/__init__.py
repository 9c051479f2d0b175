"""The pixels of what was indexed, kept for pictures and heatmaps: `PixelArchive`."""

from keenkite.pixels.archive import PixelArchive

__all__ = ["PixelArchive"]
