"""Query by example: the tiles that are meant, and what they look like."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from keenkite.area import Area
from keenkite.errors import InputError
from keenkite.ground import distance_km
from keenkite.index import Filters, TileIndex
from keenkite.retrieval.concepts import Vectors
from keenkite.retrieval.query import Example, Query
from keenkite.retrieval.spans import usual_span
from keenkite.tiling import Tile

_CORNER = 0.75
"""Of a tile's span: no corner is this far from its centre."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Examples:
    """The tiles that a query names."""

    tiles: tuple[Tile, ...] = ()
    """All of them: none is a hit, nor is their ground."""
    good: Vectors | None = None
    """(n, dim) of those it is like; None without any."""
    bad: Vectors | None = None
    """(n, dim) of those it is unlike; None without any."""

    @classmethod
    def of(cls, query: Query, index: TileIndex) -> Examples:
        """Those of a query; InputError for the first that is not in the index."""
        like, unlike = (
            [_meant(index, example, query.filters.spans) for example in examples]
            for examples in (query.like, query.unlike)
        )
        good, bad = (
            index.vectors([tile.id for tile in tiles]) if tiles else None
            for tiles in (like, unlike)
        )
        return cls(tiles=(*like, *unlike), good=good, bad=bad)


def _meant(index: TileIndex, example: Example, spans: Sequence[float]) -> Tile:
    if isinstance(example, str):
        return _tile(index, example)
    return _tile_at(index, example, spans or index.spans)


def _tile(index: TileIndex, tile_id: str) -> Tile:
    found = index.get([tile_id])
    if not found:
        raise InputError(
            f"Tile {tile_id} is not in the index {index.location}. Take the id from a hit, or give "
            "the place as (longitude, latitude)."
        )
    return found[0]


def _tile_at(index: TileIndex, place: tuple[float, float], spans: Sequence[float]) -> Tile:
    """The tile whose centre is nearest to a place on its ground.

    Of several spans the usual one is meant, or the one that is nearest to it; of several dates the
    clearest, and one whose cloud is not known only where there is no other.
    """
    lon, lat = place
    usual = usual_span(index)
    for span in sorted(spans, key=lambda span: abs(math.log(span / usual))):
        reach = _CORNER * span / 1000
        area = Area.around(lon, lat, reach)
        tiles = list(index.scroll(Filters(area=area, spans=(span,))))
        if tiles:
            break
    else:
        raise InputError(
            f"No tile of the index {index.location} shows the place ({lon:g}, {lat:g}), longitude "
            "first. Choose a place inside the regions that were built."
        )
    away = distance_km(
        [lon] * len(tiles), [lat] * len(tiles), [t.lon for t in tiles], [t.lat for t in tiles]
    ).round(2)  # to 10 m, so that the dates of one piece of ground tie
    cloud = [math.inf if t.cloud is None else t.cloud for t in tiles]
    return tiles[min(range(len(tiles)), key=lambda i: (away[i], cloud[i], i))]
