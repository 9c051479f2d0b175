"""Where tiles lie among the pixels of a scene."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from keenkite.errors import InputError, SceneError
from keenkite.scene import Scene, Window


def pixels_of(scene: Scene, span: float) -> int:
    """Pixels of a scene along the side of a tile.

    Raises:
        InputError: Tiles of this span do not begin and end between two of them.
    """
    half = span / 2 / scene.metres
    if abs(half - round(half)) > 1e-6 or half < 1:
        raise InputError(
            f"a span of {span:g} m is not an even number of pixels of {scene.metres:g} m: "
            f"take {scene.sensor.span:g} m, or a half or a double of it"
        )
    return 2 * round(half)


def upper_left(scene: Scene, corners: NDArray[np.float64]) -> tuple[NDArray[np.int64], ...]:
    """(row, col) in the scene of the first pixel of each tile: two arrays of (n,).

    Args:
        scene: Of the same zone.
        corners: (n, 2) easting and northing of upper left corners, metres.

    Raises:
        SceneError: one does not lie between the scene's pixels.
    """
    exact = (corners - [scene.west, scene.north]) / [scene.metres, -scene.metres]
    col, row = np.rint(exact).astype(np.int64).T
    if len(corners) and np.abs(exact - np.rint(exact)).max() > 1e-3:
        raise SceneError(
            f"scene {scene.id}: its origin ({scene.west}, {scene.north}) is not a multiple of "
            f"{scene.metres:g} m, so its pixels are not those of the lattice; resample it first"
        )
    return row, col


def window_of(scene: Scene, corners: NDArray[np.float64], span: float) -> Window:
    """The pixels of a scene that some tiles need; may reach beyond it, where there is no data.

    Args:
        scene: Of the same zone.
        corners: (n, 2) easting and northing of upper left corners, metres; one at least.
        span: Width of the tiles, metres.

    Raises:
        InputError: there are no tiles, or the span is no even number of pixels.
        SceneError: a corner does not lie between the scene's pixels.
    """
    if not len(corners):
        raise InputError(f"scene {scene.id}: no tiles, so no window; leave the scene out")
    (top, left), side = upper_left(scene, corners), pixels_of(scene, span)
    row, col = int(top.min()), int(left.min())
    return Window(
        row=row, col=col, rows=int(top.max()) + side - row, cols=int(left.max()) + side - col
    )


def hull(windows: Iterable[Window]) -> Window | None:
    """The smallest window that holds all; None of none."""
    some = list(windows)
    if not some:
        return None
    row, col = min(w.row for w in some), min(w.col for w in some)
    return Window(
        row=row,
        col=col,
        rows=max(w.row + w.rows for w in some) - row,
        cols=max(w.col + w.cols for w in some) - col,
    )
