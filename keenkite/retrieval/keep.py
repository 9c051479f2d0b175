"""Keep: each piece of ground once, the clear date before the cloudy one."""

from __future__ import annotations

from keenkite.ground import KeptGround
from keenkite.retrieval.conditions import Judgement
from keenkite.retrieval.examples import Examples
from keenkite.retrieval.query import Query
from keenkite.retrieval.recall import CLOUDY


class Keep:
    """Which candidates of a query become hits, from one lot of candidates to the next."""

    def __init__(self, query: Query, examples: Examples) -> None:
        """Nothing is kept yet, and the examples' ground is known already."""
        self._query = query
        self._ground = KeptGround()
        for tile in examples.tiles:
            self._ground.keep(tile)
        self._known = {tile.id for tile in examples.tiles}
        self._kept = 0

    @property
    def full(self) -> bool:
        """Whether there are as many hits as the query asked for."""
        return self._kept == self._query.skip + self._query.limit

    def of(self, judgement: Judgement) -> list[int]:
        """The candidates that are hits, best first; those of earlier pages are passed over."""
        kept: list[int] = []
        tiles = judgement.candidates.tiles
        clear = {tile.cell for tile in tiles if (tile.cloud or 0) <= CLOUDY}
        for i in judgement.order(strict=self._query.strict):
            tile = tiles[i]
            if self.full:
                break
            if tile.id in self._known:
                continue
            if not self._query.overlap:
                if (tile.cloud or 0) > CLOUDY and tile.cell in clear:
                    continue  # a clear date of the same ground speaks for it
                if self._ground.has(tile):
                    continue
                self._ground.keep(tile)
            self._kept += 1
            if self._kept > self._query.skip:
                kept.append(i)
        return kept
