"""Rows of a file, decoded in whole rows of blocks, none twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window as FileWindow


class Layer:
    """The numbers of a file or its mask, in some columns; rows are asked for from top to bottom."""

    def __init__(
        self,
        load: Callable[..., Any],
        block: int,
        cols: tuple[int, int],
        last: int,
        dtype: str,
    ) -> None:
        """Nothing is read yet.

        Args:
            load: `read` or `read_masks` of the dataset.
            block: Rows that are decoded together.
            cols: First column, and the one after the last.
            last: Blocks down to this row may be read together with what is asked for.
            dtype: Of its pixels.
        """
        self._load, self._block, self._last = load, block, last
        self._col, self._width = cols[0], cols[1] - cols[0]
        self._rows: NDArray[Any] = np.empty((0, self._width), dtype)  # used for every read
        self._first = self._next = 0  # the rows of the file that are in it

    def read(self, first: int, stop: int) -> NDArray[Any]:
        """Rows first to stop, (rows, columns): a view that the next call may overwrite."""
        if self._next < stop:
            kept = max(self._next - first, 0)
            begin, end = first + kept, min(-(-stop // self._block) * self._block, self._last)
            rows = self._rows
            if len(rows) < end - first:
                rows = np.empty((end - first, self._width), rows.dtype)
            if kept:
                rows[:kept] = self._rows[first - self._first :][:kept]
            window = FileWindow(self._col, begin, self._width, end - begin)
            self._load(1, window=window, out=rows[kept : end - first])
            self._rows, self._first, self._next = rows, first, end
        return self._rows[first - self._first : stop - self._first]
