"""Where in a tile the thing is: ClearCLIP's patch features against a text.

    heat = heatmap(encoder, rgb, "airport")
    heat.values         # float32 (224, 224), 0-1
    heat.peak           # (row, col) of its maximum, heat.strength the value there

A cosine alone says little: every patch of every tile resembles every text a little, and some
texts more than others. So a patch is asked how much more it resembles this text than it resembles
the background texts, in units of how far those lie apart; and half of what the tile's patches
have in common is taken away, because the mean over patches carries the whole picture, not the
place (all of it would also empty the map of a tile that is forest from edge to edge).

The scale is fixed: nothing is stretched to a tile's own minimum and maximum. A tile without the
thing looks empty, and maps of different tiles can be laid side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from . import utm
from .errors import InputError
from .scene import PIXEL

if TYPE_CHECKING:
    from .encoder import Encoder
    from .tiling import Tile

TILE = 224
MAX_TILES = 256
"""In one call: they are all in memory at once, with all their patches."""

BACKGROUND = (
    "forest", "farmland", "grassland", "bare soil", "houses", "factories", "a road", "a river",
    "a lake", "the sea", "mountains", "clouds",
)  # fmt: skip

FOUND = 0.5
"""A map that reaches this value somewhere says that the thing is there."""

_COMMON = 0.5
"""How much of the mean over a tile's patches is taken away; see the module's text."""
_HALF = 2.5
"""Evidence that is given the value 0.5."""
_STEEP = 2.0
"""How fast the value rises there."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Heatmap:
    """How much each place of a tile looks like a text."""

    text: str
    """What was looked for."""
    values: NDArray[np.float32]
    """(224, 224), 0-1, row 0 the top: 0.5 where a place looks as much like the text as makes it
    more likely than not; the same scale for every tile."""
    grid: NDArray[np.float32]
    """(rows, cols): the same for each of the model's patches, before it was made smooth."""

    @property
    def peak(self) -> tuple[int, int]:
        """(row, col) of the pixel with the highest value."""
        row, col = np.unravel_index(int(self.values.argmax()), self.values.shape)
        return int(row), int(col)

    def peak_lonlat(self, tile: Tile) -> tuple[float, float]:
        """(lon, lat) of the peak's pixel, degrees; `tile` is the one that was looked at."""
        row, col = self.peak
        lon, lat = utm.unproject(
            tile.epsg, tile.west + PIXEL * (col + 0.5), tile.north - PIXEL * (row + 0.5)
        )
        return float(lon), float(lat)

    @property
    def strength(self) -> float:
        """The highest value."""
        return float(self.values.max())

    @property
    def found(self) -> bool:
        """Whether the map says that the thing is in this tile at all."""
        return self.strength >= FOUND


def heatmap(
    encoder: Encoder,
    rgb: NDArray[np.uint8],
    text: str,
    *,
    background: Sequence[str] = BACKGROUND,
) -> Heatmap:
    """Where in one tile, uint8 (224, 224, 3), a text's thing is: see `heatmaps`."""
    if rgb.ndim != 3:
        raise InputError(f"A tile is (224, 224, 3), not {rgb.shape}; use heatmaps() for several.")
    return heatmaps(encoder, rgb[None], text, background=background)[0]


def heatmaps(
    encoder: Encoder,
    rgb: NDArray[np.uint8],
    text: str,
    *,
    background: Sequence[str] = BACKGROUND,
) -> list[Heatmap]:
    """Where in each of some tiles a text's thing is.

    A tile's map does not depend on the tiles beside it, so maps of separate calls compare too.

    Args:
        encoder: Gives patch features; the vectors of an index are not needed.
        rgb: uint8 (n, 224, 224, 3), n at most 256.
        text: One concept, such as "airport".
        background: What else may be seen from above; more than one.

    Raises:
        InputError: the text, the tiles or the background cannot be used.
        ModelError: the model has no patches, or answers with numbers that are not finite.
    """
    if rgb.dtype != np.uint8 or rgb.ndim != 4 or rgb.shape[1:] != (TILE, TILE, 3):
        raise InputError(
            f"Tiles are uint8 (n, {TILE}, {TILE}, 3); these are {rgb.dtype} {rgb.shape}."
        )
    if len(rgb) > MAX_TILES:
        raise InputError(f"{len(rgb)} heatmaps at once are too many: ask for {MAX_TILES} at most.")
    vectors = encoder.encode_texts([text, *background])
    found = evidence(encoder.patch_features(rgb), vectors[0], vectors[1:])
    return [
        Heatmap(text=text, values=_to_value(_smooth(grid)), grid=_to_value(grid)) for grid in found
    ]


def evidence(
    patches: NDArray[np.float32], query: NDArray[np.float32], background: NDArray[np.float32]
) -> NDArray[np.float32]:
    """How much more each patch resembles a text than it resembles the background texts.

    Args:
        patches: (n, rows, cols, dim), unit vectors.
        query: (dim,), unit vector.
        background: (texts, dim), unit vectors.

    Returns:
        (n, rows, cols), in standard deviations of the background texts' cosines.
    """
    cosines = patches @ np.vstack([query, background]).T
    cosines -= _COMMON * cosines.mean(axis=(1, 2), keepdims=True)
    others = cosines[..., 1:]
    found: NDArray[np.float32] = (cosines[..., 0] - others.mean(-1)) / np.maximum(
        others.std(-1), 1e-6
    )
    return found


def _smooth(grid: NDArray[np.float32]) -> NDArray[np.float32]:
    """(rows, cols) -> (224, 224), by cubic splines through the patches' centres."""
    rows, cols = grid.shape
    zoomed: NDArray[np.float32] = ndimage.zoom(
        grid, (TILE / rows, TILE / cols), order=3, mode="nearest", grid_mode=True
    )
    return zoomed


def _to_value(found: NDArray[np.float32]) -> NDArray[np.float32]:
    """Evidence to 0-1, the same for every tile."""
    return np.asarray(1 / (1 + np.exp(-_STEEP * (found - _HALF))), np.float32)
