"""What a patch says of a text.

A cosine alone says little: every patch of every tile resembles every text a little, and some
texts more than others. So a patch is asked how far its cosine with this text is above those with
the background texts that fit the patch best, in units of how far all of them lie apart, which
takes the scale of the model away. A quarter of the mean over the tile's patches is taken away
first: it carries what the whole picture is, not where. (ClearCLIP maps are often shown with all of
it gone, which also empties the map of a tile that is forest from edge to edge, and lifts the noise
of a tile without the thing; docs/heatmaps.md has the measurements.)
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_COMMON = 0.25
"""How much of the mean over a tile's patches is taken away; see the module's text."""
_SHARPNESS = 3.0
"""How strictly the best rivals decide, per unit of evidence."""


def evidence(
    patches: NDArray[np.float32],
    query: NDArray[np.floating],
    rivals: NDArray[np.floating],
    *,
    seen: NDArray[np.bool_] | None = None,
) -> NDArray[np.float32]:
    """How far a text beats the rivals that fit a patch best.

    Args:
        patches: (n, rows, cols, dim), unit vectors.
        query: (dim,), the text's unit vector.
        rivals: (texts, dim), unit vectors of the background.
        seen: (n, rows, cols): which patches show the ground; the others have no part in the mean
            over the tile. None for all.

    Returns:
        (n, rows, cols), in standard deviations of the rivals' cosines: 0 where the text is an
        average rival, above 1 where it beats nearly all.
    """
    texts = np.vstack([query, rivals]).astype(np.float32)
    cosines = patches @ texts.T
    unit = np.maximum(cosines[..., 1:].std(axis=-1, keepdims=True), 1e-6)
    counted = np.ones(patches.shape[:3], np.float32) if seen is None else seen.astype(np.float32)
    number = np.maximum(counted.sum(axis=(1, 2)), 1)
    mean = np.einsum("nrct,nrc->nt", cosines, counted) / number[:, None]
    cosines -= _COMMON * mean[:, None, None]
    ahead = (cosines[..., :1] - cosines[..., 1:]) / unit
    # A soft minimum over the rivals; their number does not matter.
    least = ahead.min(axis=-1, keepdims=True)
    rest = np.exp(_SHARPNESS * (least - ahead)).mean(axis=-1)
    return np.asarray(least[..., 0] - np.log(rest) / _SHARPNESS, np.float32)
