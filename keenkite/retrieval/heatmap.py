"""Where in a tile the thing is: ClearCLIP's patch features against a text.

    heat = heatmap(encoder, rgb, "airport", mask=cloud)
    heat.values         # float32 (224, 224), 0-1
    heat.peak           # (row, col) of the find; heat.strength is the highest value
    heat.belief         # what to believe, where a search judged the tile too

What a patch's value means is in `evidence`. The scale is fixed: nothing is stretched to a tile's
own minimum and maximum. A tile without the thing looks empty, and maps of different tiles can be
laid side by side.

Where a mask says that pixels are no evidence (cloud, no data) the map has no value: a patch that
they hide has no part in it, and 0 stands for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, cast

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from keenkite import utm
from keenkite.encoder import Pixels, bands_of, patches_trained
from keenkite.errors import InputError
from keenkite.retrieval.belief import Believed, belief, believed
from keenkite.retrieval.concepts import BACKGROUND, SYNONYM, concept_and_rivals
from keenkite.retrieval.evidence import evidence
from keenkite.retrieval.hot_area import middle
from keenkite.retrieval.words import read_text
from keenkite.tiling import TILE
from keenkite.tiling.resample import resample, resample_mask

if TYPE_CHECKING:
    from keenkite.encoder import Encoder
    from keenkite.tiling import Tile

MAX_TILES = 256
"""In one call: they are all in memory at once, with all their patches."""

FOUND = 0.5
"""A map that reaches this value somewhere says that the thing is there."""

_HIDDEN = 0.1
"""A patch of which more than this part is masked is no evidence: bright edges of cloud look like
things, and single pixels that a classification took for cloud are no cloud."""
_BESIDE = 0.5
"""Patches: how far (a Gaussian's sigma) those beside it speak for a patch when the best is chosen:
they count for a little, so that of two alike the one within a thing is taken."""
_ALIKE = 0.9
"""Part of the highest value from which a patch is like the highest in that."""
_TAUGHT = 0.8
"""`SYNONYM` of a model whose patches were taught. It was taught on tiles of which a few things show
at a time, so what stands side by side lies close for it (harbour and open sea .75, other ways to
say harbour .99), and a map has to tell these apart."""
_EVEN = 1.2
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
    """(row, col) of the find: the centroid of the hot area at the best patch, a pixel of that area;
    the tile's middle where all of it is hidden."""
    hidden: NDArray[np.bool_] | None = None
    """(224, 224): True where pixels are no evidence, and the values 0; None for nowhere."""
    confidence: float | None = None
    """That the tile shows the thing, 0-1, as a search of its collection says; None where none was
    asked. See `confidence_of`."""
    doubtful: bool = False
    """Whether the model was never taught such words, or may have read something else in them."""
    patches_trained: bool = False
    """Whether the model learnt what its patches show, or whole pictures alone."""

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
    def seen(self) -> float:
        """The part of the tile that is not hidden, 0-1."""
        return 1.0 if self.hidden is None else 1 - float(self.hidden.mean())

    @property
    def found(self) -> bool:
        """Whether the map says that the thing is in this tile at all."""
        return self.strength >= FOUND

    @property
    def believed(self) -> Believed | None:
        """Which one to go by where map and search differ; None where they do not."""
        return believed(self)

    @property
    def belief(self) -> str:
        """What map and search together say, and which one to go by where they differ and why."""
        return belief(self)


def heatmap(
    encoder: Encoder,
    rgb: Pixels,
    text: str,
    *,
    mask: NDArray[np.bool_] | None = None,
    background: Sequence[str] = BACKGROUND,
    grid_scale: int = 1,
) -> Heatmap:
    """Where in one tile, (224, 224, channels), a text's thing is: see `heatmaps`.

    `mask` is bool (224, 224) here.
    """
    if rgb.ndim != 3:
        raise InputError(
            f"A tile is (224, 224, channels), not {rgb.shape}; use heatmaps() for several."
        )
    masks = None if mask is None else mask[None]
    return heatmaps(
        encoder, rgb[None], text, mask=masks, background=background, grid_scale=grid_scale
    )[0]


def heatmaps(
    encoder: Encoder,
    rgb: Pixels,
    text: str,
    *,
    mask: NDArray[np.bool_] | None = None,
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
        mask: bool (n, 224, 224), True where pixels are no evidence: cloud, or no data. None where
            all of them are.
        background: What else is seen from above; what means nearly the same as the text is left
            out.
        grid_scale: 2 to 4 for a grid that much finer, at its square of the work or more. Needs an
            encoder that can, such as `ClipEncoder`: see its `patch_features`.

    Raises:
        InputError: the text, the tiles or the background cannot be used.
        ModelError: the model has no patches, or answers with numbers that are not finite.
    """
    _check(encoder, rgb, mask)
    if not text.strip():
        raise InputError("The text is empty. Describe what to look for in a few words.")
    trained, reading = patches_trained(encoder), read_text(text, encoder)
    query, rivals = concept_and_rivals(
        encoder, reading.concept, background, synonym=_TAUGHT if trained else SYNONYM
    )
    if len(rivals) < 2:
        raise InputError("A map needs a background: two concepts or more that are not the text.")
    if grid_scale == 1:
        patches = encoder.patch_features(rgb)
    else:
        patches = cast("_FineEncoder", encoder).patch_features(rgb, grid_scale=grid_scale)
    if mask is None:
        mask = np.zeros((len(rgb), TILE, TILE), bool)
    hidden = _hidden(mask, patches.shape[1])
    found = evidence(patches, query, rivals, seen=~hidden)
    doubtful = reading.doubtful or reading.known is False
    return [
        replace(_to_map(text, *each), patches_trained=trained, doubtful=doubtful)
        for each in zip(found, hidden, mask, strict=True)
    ]


def _check(encoder: Encoder, rgb: Pixels, mask: NDArray[np.bool_] | None) -> None:
    """InputError for what is no tiles, or no mask of them."""
    bands = bands_of(encoder)
    kind, channels = ("uint8", 3) if bands is None else ("uint16", len(bands))
    if rgb.dtype != kind or rgb.ndim != 4 or rgb.shape[1:] != (TILE, TILE, channels):
        raise InputError(
            f"Tiles are {kind} (n, {TILE}, {TILE}, {channels}); these are {rgb.dtype} {rgb.shape}."
        )
    if len(rgb) > MAX_TILES:
        raise InputError(f"{len(rgb)} heatmaps at once are too many: ask for {MAX_TILES} at most.")
    if mask is not None and (mask.dtype != bool or mask.shape != rgb.shape[:3]):
        raise InputError(
            f"The mask of these tiles is bool {rgb.shape[:3]}, True where pixels are no evidence; "
            f"this one is {mask.dtype} {mask.shape}."
        )


def _hidden(mask: NDArray[np.bool_], side: int) -> NDArray[np.bool_]:
    """(n, 224, 224) -> (n, side, side): which patches are masked."""
    share = resample(mask[..., None].astype(np.uint8) * 255, side)[..., 0]
    return np.asarray(share > _HIDDEN * 255)


def _to_value(found: NDArray[np.float32]) -> NDArray[np.float32]:
    """Evidence to 0-1, the same for every tile."""
    return np.asarray(1 / (1 + np.exp((_EVEN - found) / _SLOPE)), np.float32)


def _to_map(
    text: str,
    found: NDArray[np.float32],
    hidden: NDArray[np.bool_],
    mask: NDArray[np.bool_],
) -> Heatmap:
    """Evidence of patches and which of them are hidden, (rows, cols), as a map.

    It is made smooth by cubic splines through the patches' centres.
    """
    covered = mask | resample_mask(hidden.astype(np.uint8)).astype(bool)
    grid = np.where(hidden, 0, _to_value(found)).astype(np.float32)
    values, peak = np.zeros((TILE, TILE), np.float32), (TILE // 2, TILE // 2)
    if not hidden.all():
        # What a hidden patch would pull down is the nearest seen one's instead.
        nearest = tuple(
            ndimage.distance_transform_edt(hidden, return_distances=False, return_indices=True)
        )
        rows, cols = grid.shape
        smooth: NDArray[np.float32] = ndimage.zoom(
            grid[nearest], (TILE / rows, TILE / cols), order=3, mode="nearest",
            grid_mode=True,
        )  # fmt: skip
        values = np.where(covered, 0, smooth.clip(0, grid.max()))  # splines overshoot
        rank = ndimage.gaussian_filter(found[nearest], _BESIDE, mode="mirror")
        rank[hidden | (grid < _ALIKE * grid.max())] = -np.inf
        best = np.unravel_index(int(rank.argmax()), rank.shape)
        peak = middle(values, covered, (int(best[0]), int(best[1])), TILE / rows)
    somewhere = covered if covered.any() else None
    return Heatmap(text=text, values=values, grid=grid, peak=peak, hidden=somewhere)
