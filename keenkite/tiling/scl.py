"""The scene classification (SCL) of Sentinel-2 L2A, and how much of each tile is what."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

NODATA, VEGETATION, BARE, WATER, SNOW = 0, 4, 5, 6, 11
CLOUD = range(8, 11)
"""Cloud of medium and of high probability, thin cirrus: what `eo:cloud_cover` counts. Cloud shadow
(3) is not in it: that is ground one can see, and Sen2Cor takes dark ground for it."""

KINDS = ("valid", "cloud", "water", "vegetation", "bare", "snow")
"""What is counted, in this order; "valid" is every class but nodata."""


class KindCounter:
    """An integral image of each kind, kept only for the rows where a tile begins or ends.

    The rows of a window are shown to it once, top to bottom; then the pixels of each kind in any
    rectangle between two of its edges are four numbers away, however much tiles overlap.
    """

    def __init__(self, edges: Iterable[int], width: int, *, first_row: int) -> None:
        """Count in a window.

        Args:
            edges: Rows that a rectangle may begin at, or end before.
            width: Columns of the window.
            first_row: The row that `add` is given first.
        """
        self._edges = sorted(set(edges), reverse=True)
        self._row = first_row
        self._columns = np.zeros((len(KINDS), width), dtype=np.int32)
        self._at: dict[int, NDArray[np.int32]] = {}
        self._mark()

    def add(self, scl: NDArray[np.uint8]) -> None:
        """The next rows, (rows, width) of SCL classes."""
        begin = 0
        while begin < len(scl):
            end = min(begin + self._edges[-1] - self._row, len(scl)) if self._edges else len(scl)
            # One byte a column holds what up to 255 rows add, and sums of bytes are the fastest.
            end = min(end, begin + 255)
            for kind, of_kind in enumerate(_kinds(scl[begin:end])):
                self._columns[kind] += of_kind.view(np.uint8).sum(axis=0, dtype=np.uint8)
            self._row += end - begin
            begin = end
            self._mark()

    def _mark(self) -> None:
        """Keep the integral image at this row if it is an edge."""
        if self._edges and self._edges[-1] == self._row:
            self._edges.pop()
            integral = np.zeros((len(KINDS), self._columns.shape[1] + 1), dtype=np.int32)
            np.cumsum(self._columns, axis=1, out=integral[:, 1:])
            self._at[self._row] = integral

    def count(
        self, top: int, bottom: int, left: NDArray[np.int64], right: NDArray[np.int64]
    ) -> NDArray[np.int32]:
        """Pixels of each kind in rows `top` to `bottom` and columns `left` to `right`, ends out.

        Args:
            top: One of the edges, shown already.
            bottom: Another, further down, shown already.
            left: (n,) columns of the window.
            right: (n,)

        Returns:
            (6, n) in the order of KINDS.
        """
        between = self._at[bottom] - self._at[top]
        return between[:, right] - between[:, left]

    def forget(self, row: int) -> None:
        """The edges above a row are done with."""
        for edge in [edge for edge in self._at if edge < row]:
            del self._at[edge]


def _kinds(scl: NDArray[np.uint8]) -> Iterable[NDArray[np.bool_]]:
    """Where each of KINDS is."""
    yield scl != NODATA
    # What lies below the range wraps round to more than it: one comparison instead of two.
    yield scl - np.uint8(CLOUD.start) < len(CLOUD)
    yield scl == WATER
    yield scl == VEGETATION
    yield scl == BARE
    yield scl == SNOW
