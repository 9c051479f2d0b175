"""MemoryIndex: what search asks of a TileIndex, by looking at every tile; quick, and an oracle."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import shapely
from numpy.typing import NDArray

from keenkite.area import Area
from keenkite.encoder import Encoder
from keenkite.errors import EncoderMismatchError
from keenkite.index import Filters, Match, Statistics
from keenkite.sensors import SENTINEL2
from keenkite.tiling import Tile
from tests.support.sown import ENCODER, MILD


class MemoryIndex:
    """Tiles and vectors in two lists."""

    location = "memory"
    encoder_name = MILD.name
    sensor = SENTINEL2

    def __init__(self, tiles: Sequence[Tile], vectors: Sequence[NDArray[np.float32]]) -> None:
        self.tiles = list(tiles)
        self.all = np.stack(vectors)
        self.spans = tuple(sorted({tile.span for tile in tiles}))
        self.limits: list[int] = []
        """Of each question for the nearest tiles."""

    def require(self, encoder: Encoder) -> None:
        if encoder.name not in (ENCODER.name, MILD.name):
            raise EncoderMismatchError("another encoder")

    def statistics(self) -> Statistics:
        exact = self.all.astype(np.float64)
        return Statistics(
            n=len(exact), mean=exact.mean(axis=0),
            covariance=np.cov(exact.T, bias=True), vectors=self.all.astype(np.float16),
        )  # fmt: skip

    def calibration(self) -> None:
        return None

    def nearest(
        self,
        vector: NDArray[np.floating],
        *,
        limit: int,
        filters: Filters | None = None,
        with_vectors: bool = False,
    ) -> list[Match]:
        self.limits.append(limit)
        scores = self.all @ np.asarray(vector, np.float32)
        order = [i for i in np.argsort(-scores, kind="stable") if _passes(self.tiles[i], filters)]
        return [
            Match(
                tile=self.tiles[i],
                score=float(scores[i]),
                vector=self.all[i] if with_vectors else None,
            )
            for i in order[:limit]
        ]

    def count(self, filters: Filters | None = None) -> int:
        return sum(_passes(tile, filters) for tile in self.tiles)

    def get(self, tile_ids: Sequence[str]) -> list[Tile]:
        known = {tile.id: tile for tile in self.tiles}
        return [known[tile_id] for tile_id in tile_ids if tile_id in known]

    def vectors(self, tile_ids: Sequence[str]) -> NDArray[np.float32]:
        number = {tile.id: i for i, tile in enumerate(self.tiles)}
        return self.all[[number[tile_id] for tile_id in tile_ids]]

    def scroll(self, filters: Filters | None = None) -> Iterator[Tile]:
        return (tile for tile in self.tiles if _passes(tile, filters))


def _passes(tile: Tile, filters: Filters | None) -> bool:
    return filters is None or passes(tile, filters)


def passes(tile: Tile, filters: Filters) -> bool:
    """Whether a tile passes, by the filters' own words."""
    day = tile.datetime.date()
    return (
        (filters.area is None or _holds(filters.area, tile))
        and (filters.start is None or filters.start <= day)
        and (filters.end is None or day <= filters.end)
        and _cloud_passes(tile, filters)
        and all(
            getattr(tile, kind) is not None and low <= getattr(tile, kind) <= high
            for kind, (low, high) in filters.cover.items()
        )
        and (not filters.regions or bool(set(filters.regions) & set(tile.regions)))
        and (not filters.scenes or bool(set(filters.scenes) & set(tile.scene_ids)))
        and (not filters.spans or tile.span in filters.spans)
        and (not filters.cells or tile.cell in filters.cells)
        and (not filters.tile_ids or tile.id in filters.tile_ids)
    )


def _cloud_passes(tile: Tile, filters: Filters) -> bool:
    if filters.max_cloud is None or filters.max_cloud == 1:
        return True
    return tile.cloud is not None and tile.cloud <= float(filters.max_cloud)


def _holds(area: Area, tile: Tile) -> bool:
    return any(part.covers(shapely.Point(tile.lon, tile.lat)) for part in area.parts)
