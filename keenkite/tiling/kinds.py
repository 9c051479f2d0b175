"""How much of each tile is what: counts of a classification's kinds in any rectangle."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from keenkite.sensors import Classification


class KindCounter:
    """An integral image of each kind, kept only for the rows where a tile begins or ends.

    The rows of a window are shown to it once, top to bottom; then the pixels of each kind in any
    rectangle between two of its edges are four numbers away, however much tiles overlap.
    """

    def __init__(
        self, classes: Classification, edges: Iterable[int], width: int, *, first_row: int
    ) -> None:
        """Count in a window.

        Args:
            classes: What the numbers mean.
            edges: Rows that a rectangle may begin at, or end before.
            width: Columns of the window.
            first_row: The row that `add` is given first.
        """
        self.kinds = ("valid", *classes.kinds)
        """What is counted, in this order; "valid" is every class but nodata."""
        self._nodata = classes.nodata
        self._members: list[Sequence[int]] = list(classes.kinds.values())
        self._edges = sorted(set(edges), reverse=True)
        self._row = first_row
        self._columns = np.zeros((len(self.kinds), width), dtype=np.int32)
        self._at: dict[int, NDArray[np.int32]] = {}
        self._mark()

    def add(self, classes: NDArray[np.uint8]) -> None:
        """The next rows, (rows, width) of classes."""
        begin = 0
        while begin < len(classes):
            end = (
                min(begin + self._edges[-1] - self._row, len(classes))
                if self._edges
                else len(classes)
            )
            # One byte a column holds what up to 255 rows add, and sums of bytes are the fastest.
            end = min(end, begin + 255)
            for kind, of_kind in enumerate(self._of(classes[begin:end])):
                self._columns[kind] += of_kind.view(np.uint8).sum(axis=0, dtype=np.uint8)
            self._row += end - begin
            begin = end
            self._mark()

    def _mark(self) -> None:
        """Keep the integral image at this row if it is an edge."""
        if self._edges and self._edges[-1] == self._row:
            self._edges.pop()
            integral = np.zeros((len(self.kinds), self._columns.shape[1] + 1), dtype=np.int32)
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
            (len(kinds), n) in the order of `kinds`.
        """
        between = self._at[bottom] - self._at[top]
        return between[:, right] - between[:, left]

    def forget(self, row: int) -> None:
        """The edges above a row are done with."""
        for edge in [edge for edge in self._at if edge < row]:
            del self._at[edge]

    def _of(self, classes: NDArray[np.uint8]) -> Iterable[NDArray[np.bool_]]:
        """Where each of `kinds` is."""
        yield classes != self._nodata
        for members in self._members:
            if len(members) == 1:
                yield classes == members[0]
            elif members == tuple(range(members[0], members[-1] + 1)):
                # What lies below the range wraps round to more than it: one comparison, not two.
                yield classes - np.uint8(members[0]) < len(members)
            else:
                yield np.isin(classes, members)
