"""The hot area of a map: what surrounds its best patch, and where its middle is.

The maximum of a map is no place: splines run on flat, or rise, from the outermost patches' centres
to the rim, so that it lies there whenever an outer patch is hot.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

_HOT = 0.5
"""Part of the best patch's highest value above which what surrounds it is of the same find."""


def middle(
    values: NDArray[np.float32],
    covered: NDArray[np.bool_],
    best: tuple[int, int],
    patch: float,
) -> tuple[int, int]:
    """(row, col) of the find: the centroid of the hot area at a patch and those beside it.

    What lies farther is another thing, or another part of a large one.

    Args:
        values: (224, 224).
        covered: (224, 224): these are not of the area.
        best: (row, col) of the patch.
        patch: Its size in pixels.
    """

    def window(more: int) -> tuple[slice, slice]:
        row, col = (
            slice(max(round((n - more) * patch), 0), round((n + 1 + more) * patch)) for n in best
        )
        return row, col

    line = _HOT * float(values[window(0)].max())
    around = np.zeros_like(covered)
    around[window(1)] = True
    areas, _ = ndimage.label(around & ~covered & (values >= line))
    within = areas[window(0)]
    first = int(np.where(within > 0, values[window(0)], -1).argmax())
    area = areas == within.flat[first]
    weights = np.where(area, values - line + 1e-6, 0)
    centroid = ndimage.center_of_mass(weights)
    # The nearest pixel of the area, for one that is bent round its centroid.
    rows, cols = np.nonzero(area)
    nearest = int(np.hypot(rows - centroid[0], cols - centroid[1]).argmin())
    return int(rows[nearest]), int(cols[nearest])
