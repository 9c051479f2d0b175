"""Candidates: tiles that a search looks at, as arrays beside the tiles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from keenkite.index import Match
from keenkite.retrieval.concepts import Floats, Vectors
from keenkite.retrieval.look_alikes import Ground
from keenkite.retrieval.spans import octaves
from keenkite.tiling import Tile

HIDDEN = 0.5
"""Cloudy part of a tile above which it tells less; at 1 it tells nothing."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Candidates:
    """Some tiles."""

    tiles: Sequence[Tile]
    vectors: Vectors
    """(n, dim), unit norm."""
    ground: Ground
    octaves: Floats
    """(n,) how often their span is the double or the half of the usual one."""
    clear: Floats
    """(n,) how much of what a tile says counts, 0-1: cloudy pixels are no evidence. All of it up to
    half a tile of cloud, which hides no more than the thing's part of it, then less, and nothing of
    a tile that is all cloud. Unknown cloud takes nothing away."""

    @classmethod
    def of(cls, matches: Sequence[Match], *, usual: float) -> Candidates:
        """Those that the index found, with their vectors; and the usual span of its tiles."""
        tiles = [match.tile for match in matches]
        cloud = np.array([tile.cloud or 0.0 for tile in tiles], float)
        return cls(
            tiles=tiles,
            vectors=vectors_of(matches),
            ground=Ground.of(tiles),
            octaves=octaves(tiles, usual),
            clear=np.clip((1 - cloud) / (1 - HIDDEN), 0, 1),
        )


def together(matches: Sequence[Match]) -> list[Match]:
    """Each tile once, best z first, whatever the order they come in."""
    found = {match.tile.id: match for match in matches}
    return [found[name] for name in sorted(found, key=lambda name: (-found[name].score, name))]


def vectors_of(matches: Sequence[Match]) -> Vectors:
    """(n, dim) of matches that were asked for with their vectors."""
    return np.stack([match.vector for match in matches if match.vector is not None])
