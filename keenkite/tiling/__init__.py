"""The lattice of tiles in each UTM zone, and cutting a scene's strips into them.

Pure: arrays in, tiles and arrays out; nothing is read or written.
"""

from keenkite.tiling.cutter import TileCutter
from keenkite.tiling.lattice import Lattice
from keenkite.tiling.tile import Tile

__all__ = ["Lattice", "Tile", "TileCutter"]
