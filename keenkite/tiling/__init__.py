"""The lattice of tiles in each UTM zone, and cutting a scene's strips into them.

Pure: arrays in, tiles and arrays out; nothing is read or written.
"""

from keenkite.tiling.cutter import TileCutter
from keenkite.tiling.lattice import Lattice
from keenkite.tiling.resample import resample
from keenkite.tiling.tile import FRACTIONS, TILE, Place, Tile, parse_cell, places
from keenkite.tiling.window import hull, pixels_of, window_of

__all__ = [
    "FRACTIONS",
    "TILE",
    "Lattice",
    "Place",
    "Tile",
    "TileCutter",
    "hull",
    "parse_cell",
    "pixels_of",
    "places",
    "resample",
    "window_of",
]
