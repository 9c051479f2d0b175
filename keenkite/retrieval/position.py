"""Where a thing is: nearer than the tile that shows it, by the other tiles that show it too.

Tiles overlap by half, so that four of them show a thing, each in another corner. Every tile that is
convincing says "at my middle, give or take half my diagonal", and counts by its confidence and by
how narrow it is. The mean of those that overlap is where the thing is; with four as sure as each
other, that is the middle of the ground they have in common, give or take half its diagonal.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from keenkite.ground import degrees, positions
from keenkite.retrieval.calibration import confidence
from keenkite.retrieval.concepts import Floats
from keenkite.retrieval.result import WEAK
from keenkite.tiling import Tile

CONVINCING = float(np.log(WEAK / (1 - WEAK)))
"""Log-odds from which a tile is taken to show a thing: the line of the verdict "weak"."""

TOUCHING = 0.95
"""Tiles overlap when their centres are nearer than this part of their mean span. Those that only
touch have all of it between them, less what a UTM zone shortens (0.1 %)."""

NARROWEST = 0.5
"""The ground that tiles of a lattice have in common is no narrower than this part of one of them,
however many there are: something wide is seen by all of them."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Spots:
    """Where n things are."""

    points: Floats
    """(n, 3) metres from the Earth's centre; see `ground.positions`."""
    error_km: Floats
    """(n,) how far off that may be: half the diagonal of the ground that the thing is on."""

    def at(self, rows: Sequence[int]) -> Spots:
        """Some of them, in this order."""
        return Spots(points=self.points[rows], error_km=self.error_km[rows])

    def lonlat(self, i: int) -> tuple[float, float]:
        """Of one of them, degrees."""
        lon, lat = degrees(self.points[i])
        return float(lon), float(lat)


@dataclass(frozen=True, kw_only=True, eq=False)
class Sightings:
    """A concept as n pieces of ground show it, surest first."""

    tiles: Sequence[Tile]
    """Of each piece of ground (`Tile.cell`) the date that shows the concept best."""
    odds: Floats
    """(n,) log-odds that the concept is seen."""
    spots: Spots
    """Where it is there."""

    @classmethod
    def of(cls, tiles: Sequence[Tile], odds: Floats) -> Sightings:
        """As n tiles of any date show it, by their log-odds (n,); ties stay in the order given."""
        best: dict[str, int] = {}
        for i in np.argsort(-odds, kind="stable").tolist():
            best.setdefault(tiles[i].cell, i)
        rows = list(best.values())
        shown, sure = [tiles[i] for i in rows], odds[rows]
        return cls(tiles=shown, odds=sure, spots=locate(shown, sure))

    @property
    def convincing(self) -> int:
        """How many of them, which are the first, are convincing."""
        return int(np.count_nonzero(self.odds >= CONVINCING))

    def rows_of(self, tiles: Iterable[Tile]) -> list[int | None]:
        """For each tile the row of its piece of ground; None where it is not among these."""
        rows = {tile.cell: row for row, tile in enumerate(self.tiles)}
        return [rows.get(tile.cell) for tile in tiles]


def locate(tiles: Sequence[Tile], odds: Floats) -> Spots:
    """Where the thing is that each of n tiles shows.

    Args:
        tiles: each piece of ground once; the tiles that one may overlap with are among them.
        odds: (n,) log-odds that they show it.

    Returns:
        For a convincing tile the weighted mean over it and the convincing tiles that overlap it;
        for another its own centre, give or take half its diagonal.
    """
    points = positions([t.lon for t in tiles], [t.lat for t in tiles])
    span = np.array([t.span for t in tiles], float)
    half = span / np.sqrt(2)
    shown = np.flatnonzero(odds >= CONVINCING)
    spots = Spots(points=points, error_km=half / 1000)
    if len(shown) < 2:
        return spots
    pairs = shown[_overlapping(points[shown], span[shown])]
    one, other = np.concatenate([pairs, pairs[:, ::-1], np.column_stack([shown, shown])]).T
    sure = confidence(odds)
    surest, least = sure.copy(), half.copy()
    np.maximum.at(surest, one, sure[other])
    np.minimum.at(least, one, half[other])
    weight = sure[other] / surest[one] / half[other] ** 2
    total = np.bincount(one, weight, len(tiles))[shown]
    # Moves from the tile's own centre, which lose no digits.
    moves = weight[:, None] * (points[other] - points[one])
    for axis in range(3):
        points[shown, axis] += np.bincount(one, moves[:, axis], len(tiles))[shown] / total
    spots.error_km[shown] = np.maximum(total**-0.5, NARROWEST * least[shown]) / 1000
    return spots


def _overlapping(points: Floats, span: Floats) -> np.ndarray:
    """(m, 2) of those squares of ground that overlap, each pair once."""
    pairs = cKDTree(points).query_pairs(TOUCHING * span.max(), output_type="ndarray")
    pairs = pairs[np.lexsort(pairs.T)]  # sums do not depend on what else is in the tree
    one, other = pairs.T
    apart = np.linalg.norm(points[one] - points[other], axis=1)
    return np.asarray(pairs[apart < TOUCHING * (span[one] + span[other]) / 2])
