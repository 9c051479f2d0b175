"""Several products of one pass as one scene: the first that has data gives the pixel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from keenkite.reader.bands import STRIP_ROWS
from keenkite.reader.strips import read_strips as read_product
from keenkite.scene import Scene, Strip, Window


def read_strips(scene: Scene, window: Window, *, bands: Sequence[str] = ()) -> Iterator[Strip]:
    """Read a window of a scene, or of a unit of several products; see `reader.strips.read_strips`.

    Where products overlap, the pixel is that of the first of `Scene.products` that has data there.
    A product is opened when the strips reach it and closed when they have passed it.
    """
    if not scene.products:
        yield from read_product(scene, window, bands=bands)
        return
    layers = [_Layer(scene, product, window, bands) for product in scene.products]
    try:
        row, end = window.row, window.row + window.rows
        while row < end:
            stop = min((row // STRIP_ROWS + 1) * STRIP_ROWS, end)
            yield _overlaid(scene, window, row, stop, layers, len(bands))
            row = stop
    finally:
        for layer in layers:
            layer.close()


class _Layer:
    """One product, read in step with the others."""

    def __init__(self, unit: Scene, product: Scene, window: Window, bands: Sequence[str]) -> None:
        # Where the product lies among the unit's pixels.
        self._down = round((unit.north - product.north) / unit.metres)
        self._right = round((product.west - unit.west) / unit.metres)
        self.first = max(self._down, window.row)
        self.stop = min(self._down + product.height, window.row + window.rows)
        left = max(self._right, window.col)
        right = min(self._right + product.width, window.col + window.cols)
        self.col, self.cols = left, right - left
        self._product, self._bands = product, bands
        self._strips: Iterator[Strip] | None = None
        self._held: Strip | None = None

    def rows(self, row: int, stop: int) -> Strip | None:
        """Its pixels in some rows of the unit; None where it has none."""
        first, last = max(row, self.first), min(stop, self.stop)
        if first >= last or self.cols <= 0:
            self.close() if row >= self.stop else None
            return None
        if self._strips is None:
            window = Window(
                row=self.first - self._down,
                col=self.col - self._right,
                rows=self.stop - self.first,
                cols=self.cols,
            )
            self._strips = read_product(self._product, window, bands=self._bands)
        parts = list(self._taken(first - self._down, last - self._down))
        return replace(
            parts[0],
            row=first,
            col=self.col,
            rgb=np.concatenate([part.rgb for part in parts]),
            classes=np.concatenate([part.classes for part in parts]),
            bands=np.concatenate([part.bands for part in parts if part.bands is not None])
            if self._bands
            else None,
        )

    def _taken(self, row: int, stop: int) -> Iterator[Strip]:
        """Rows of the product, in the pieces in which they were read."""
        assert self._strips is not None
        while row < stop:
            held = self._held
            if held is None or held.row + len(held.rgb) <= row:
                self._held = next(self._strips)
                continue
            some = np.s_[row - held.row : stop - held.row]
            bands = None if held.bands is None else held.bands[some]
            part = replace(
                held, row=row, rgb=held.rgb[some], classes=held.classes[some], bands=bands
            )
            yield part
            row += len(part.rgb)

    def close(self) -> None:
        """Let go of its files."""
        if self._strips is not None:
            self._strips.close()  # type: ignore[attr-defined]  # a generator
            self._strips = self._held = None


def _overlaid(
    scene: Scene, window: Window, row: int, stop: int, layers: Sequence[_Layer], bands: int
) -> Strip:
    assert scene.sensor.classes is not None
    nodata = scene.sensor.classes.nodata
    shape = (stop - row, window.cols)
    rgb = np.zeros((*shape, 3), np.uint8)
    classes = np.full(shape, nodata, np.uint8)
    more = np.zeros((*shape, bands), np.uint16) if bands else None
    for layer in layers:
        strip = layer.rows(row, stop)
        if strip is None:
            continue
        place = np.s_[strip.row - row :, strip.col - window.col :]
        height, width = strip.classes.shape
        under = classes[place][:height, :width]
        fill = (under == nodata) & (strip.classes != nodata)
        rgb[place][:height, :width][fill] = strip.rgb[fill]
        if more is not None and strip.bands is not None:
            more[place][:height, :width][fill] = strip.bands[fill]
        under[fill] = strip.classes[fill]
    return Strip(row=row, col=window.col, rgb=rgb, classes=classes, bands=more)
