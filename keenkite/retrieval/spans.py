"""Spans in one answer: tiles of several widths compete, and one of them is the usual one.

Models learn the ground at some scale, and a tile that is enlarged or reduced to 224 pixels shows it
at another. Where a model was measured to be worse there, such a tile has to be a little surer
before it goes ahead of one of the usual span (`Calibration.doubt`). Without that, a second span
costs as much in what keenkite-tiny finds already as it brings; benchmarks/spans.py measures it.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from keenkite.index import TileIndex
from keenkite.retrieval.concepts import Floats
from keenkite.tiling import Tile


def usual_span(index: TileIndex) -> float:
    """The span that an index is mostly about, metres: the sensor's own, or the one nearest to it.

    So an index of one span, whatever it is, has no unusual tiles.
    """
    own = index.sensor.span
    return min(index.spans, key=lambda span: abs(float(np.log2(span / own))))


def octaves(tiles: Iterable[Tile], usual: float) -> Floats:
    """n tiles -> (n,) how often their span is the double or the half of the usual one."""
    return np.asarray(np.abs(np.log2(np.fromiter((t.span for t in tiles), float) / usual)))
