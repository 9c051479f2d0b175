"""Query by example: the tiles that are meant."""

from __future__ import annotations

from collections.abc import Sequence

from keenkite.area import Area
from keenkite.errors import InputError
from keenkite.index import Filters, TileIndex
from keenkite.ground import distance_km
from keenkite.retrieval.query import Example
from keenkite.tiling import Tile


def example_tiles(index: TileIndex, examples: Sequence[Example]) -> list[Tile]:
    """The tiles meant; InputError for the first that is not in the index."""
    return [
        _tile(index, example) if isinstance(example, str) else _tile_at(index, *example)
        for example in examples
    ]


def _tile(index: TileIndex, tile_id: str) -> Tile:
    found = index.get([tile_id])
    if not found:
        raise InputError(
            f"Tile {tile_id} is not in the index {index.location}. Take the id from a hit, or give "
            "the place as (longitude, latitude)."
        )
    return found[0]


def _tile_at(index: TileIndex, lon: float, lat: float) -> Tile:
    """The tile whose centre is nearest to a place on its ground; of several dates the clearest."""
    reach = 0.75 * index.grid[0] / 100  # km; a tile's corner is 0.71 of its side from its centre
    tiles = list(index.scroll(Filters(area=Area.around(lon, lat, reach))))
    if not tiles:
        raise InputError(
            f"No tile of the index {index.location} shows the place ({lon:g}, {lat:g}), longitude "
            "first. Choose a place inside the regions that were built."
        )
    away = distance_km(
        [lon] * len(tiles), [lat] * len(tiles), [t.lon for t in tiles], [t.lat for t in tiles]
    )
    # To 10 m, so that the dates of one piece of ground tie.
    return min(zip(away.round(2), (t.cloud for t in tiles), range(len(tiles)), tiles, strict=True))[
        3
    ]
