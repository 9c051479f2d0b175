"""Where in a tile the thing is: ClearCLIP's patch features against a text.

    heat = heatmap(encoder, rgb, "airport")
    heat.values         # float32 (224, 224), 0-1
    heat.peak           # (row, col) of its maximum; heat.strength is the value there

A cosine alone says little: every patch of every tile resembles every text a little, and some
texts more than others. So a patch is asked how far its cosine with this text is above those with
the background texts that fit the patch best, in units of how far all of them lie apart, which
takes the scale of the model away. A quarter of the mean over the tile's patches is taken away
first: it carries what the whole picture is, not where. (ClearCLIP maps are often shown with all of
it gone, which also empties the map of a tile that is forest from edge to edge, and lifts the noise
of a tile without the thing; docs/heatmaps.md has the measurements.)

The scale is fixed: nothing is stretched to a tile's own minimum and maximum. A tile without the
thing looks empty, and maps of different tiles can be laid side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from keenkite import utm
from keenkite.encoder import Pixels, bands_of
from keenkite.errors import InputError
from keenkite.retrieval.concepts import BACKGROUND, concept_and_rivals
from keenkite.tiling import TILE

if TYPE_CHECKING:
    from keenkite.encoder import Encoder
    from keenkite.tiling import Tile

MAX_TILES = 256
"""In one call: they are all in memory at once, with all their patches."""

FOUND = 0.5
"""A map that reaches this value somewhere says that the thing is there."""

_COMMON = 0.25
"""How much of the mean over a tile's patches is taken away; see the module's text."""
_SHARPNESS = 3.0
"""How strictly the best rivals decide, per unit of evidence."""
_EVEN = 0.9
"""Evidence that is given the value 0.5."""
_SLOPE = 0.3
"""Evidence by which the log-odds of a value grow by 1."""


class _FineEncoder(Protocol):
    """An encoder that can look closer."""

    def patch_features(self, rgb: Pixels, *, grid_scale: int) -> NDArray[np.float32]: ...


@dataclass(frozen=True, kw_only=True, eq=False)
class Heatmap:
    """How much each place of a tile looks like a text."""

    text: str
    """What was looked for."""
    values: NDArray[np.float32]
    """(224, 224), 0-1, row 0 the top: above 0.5 where a place looks more like the text than like
    anything of the background; the same scale for every tile."""
    grid: NDArray[np.float32]
    """(rows, cols): the same for each of the model's patches, before it was made smooth."""

    peak: tuple[int, int]
    """(row, col) of the pixel that looks most like the text."""

    def peak_lonlat(self, tile: Tile) -> tuple[float, float]:
        """(lon, lat) of the peak's pixel, degrees; `tile` is the one that was looked at."""
        row, col = self.peak
        lon, lat = utm.unproject(
            tile.epsg, tile.west + tile.metres * (col + 0.5), tile.north - tile.metres * (row + 0.5)
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
    rgb: Pixels,
    text: str,
    *,
    background: Sequence[str] = BACKGROUND,
    grid_scale: int = 1,
) -> Heatmap:
    """Where in one tile, (224, 224, channels), a text's thing is: see `heatmaps`."""
    if rgb.ndim != 3:
        raise InputError(
            f"A tile is (224, 224, channels), not {rgb.shape}; use heatmaps() for several."
        )
    return heatmaps(encoder, rgb[None], text, background=background, grid_scale=grid_scale)[0]


def heatmaps(
    encoder: Encoder,
    rgb: Pixels,
    text: str,
    *,
    background: Sequence[str] = BACKGROUND,
    grid_scale: int = 1,
) -> list[Heatmap]:
    """Where in each of some tiles a text's thing is.

    A tile's map does not depend on the tiles beside it, so maps of separate calls compare too.

    Args:
        encoder: Gives patch features; the vectors of an index are not needed.
        rgb: (n, 224, 224, channels) as the encoder sees them, see `keenkite.encoder.Pixels`; n at
            most 256.
        text: One concept, such as "airport".
        background: What else is seen from above; what means nearly the same as the text is left
            out.
        grid_scale: 2 to 4 for a grid that much finer, at its square of the work or more. Needs an
            encoder that can, such as `ClipEncoder`: see its `patch_features`.

    Raises:
        InputError: the text, the tiles or the background cannot be used.
        ModelError: the model has no patches, or answers with numbers that are not finite.
    """
    bands = bands_of(encoder)
    kind, channels = ("uint8", 3) if bands is None else ("uint16", len(bands))
    if rgb.dtype != kind or rgb.ndim != 4 or rgb.shape[1:] != (TILE, TILE, channels):
        raise InputError(
            f"Tiles are {kind} (n, {TILE}, {TILE}, {channels}); these are {rgb.dtype} {rgb.shape}."
        )
    if len(rgb) > MAX_TILES:
        raise InputError(f"{len(rgb)} heatmaps at once are too many: ask for {MAX_TILES} at most.")
    if not text.strip():
        raise InputError("The text is empty. Describe what to look for in a few words.")
    query, rivals = concept_and_rivals(encoder, text, background)
    if len(rivals) < 2:
        raise InputError("A map needs a background: two concepts or more that are not the text.")
    if grid_scale == 1:
        patches = encoder.patch_features(rgb)
    else:
        patches = cast("_FineEncoder", encoder).patch_features(rgb, grid_scale=grid_scale)
    return [_to_map(text, _to_value(grid)) for grid in evidence(patches, query, rivals)]


def evidence(
    patches: NDArray[np.float32], query: NDArray[np.floating], rivals: NDArray[np.floating]
) -> NDArray[np.float32]:
    """How far a text beats the rivals that fit a patch best.

    Args:
        patches: (n, rows, cols, dim), unit vectors.
        query: (dim,), the text's unit vector.
        rivals: (texts, dim), unit vectors of the background.

    Returns:
        (n, rows, cols), in standard deviations of the rivals' cosines: 0 where the text is an
        average rival, above 1 where it beats nearly all.
    """
    texts = np.vstack([query, rivals]).astype(np.float32)
    cosines = patches @ texts.T
    unit = np.maximum(cosines[..., 1:].std(axis=-1, keepdims=True), 1e-6)
    cosines -= _COMMON * cosines.mean(axis=(1, 2), keepdims=True)
    ahead = (cosines[..., :1] - cosines[..., 1:]) / unit
    # A soft minimum over the rivals; their number does not matter.
    least = ahead.min(axis=-1, keepdims=True)
    mean = np.exp(_SHARPNESS * (least - ahead)).mean(axis=-1)
    return np.asarray(least[..., 0] - np.log(mean) / _SHARPNESS, np.float32)


def _to_value(found: NDArray[np.float32]) -> NDArray[np.float32]:
    """Evidence to 0-1, the same for every tile."""
    return np.asarray(1 / (1 + np.exp((_EVEN - found) / _SLOPE)), np.float32)


def _to_map(text: str, grid: NDArray[np.float32]) -> Heatmap:
    """Values of patches, (rows, cols), made smooth by cubic splines through their centres."""
    rows, cols = grid.shape
    smooth: NDArray[np.float32] = ndimage.zoom(
        grid, (TILE / rows, TILE / cols), order=3, mode="nearest", grid_mode=True
    )
    # Splines overshoot: that is cut off, but it says where in a patch of value 1 the middle is.
    row, col = np.unravel_index(int(smooth.argmax()), smooth.shape)
    return Heatmap(text=text, values=smooth.clip(0, 1), grid=grid, peak=(int(row), int(col)))
