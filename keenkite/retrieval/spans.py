"""Spans in one answer: tiles of several widths compete, and one of them is the model's own scale.

Models learn the ground at some scale, and a tile that is enlarged or reduced to 224 pixels shows it
at another: they are as sure of what they say there, and more often wrong. So such a tile has to be
a little surer before it goes ahead of one of the usual span. Without that, a second span costs as
much in what the usual one finds already as it brings; benchmarks/spans.py measures it.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from keenkite.index import TileIndex
from keenkite.retrieval.concepts import Floats

DOUBT = 0.5
"""Log-odds taken off for each doubling or halving of the usual span. Set on eight drawn worlds of
their own; from 0.25 to 1 it made little difference."""


def usual_span(index: TileIndex) -> float:
    """The width of most of its tiles' kind, metres: the sensor's own, or the one nearest to it.

    So an index of one span, whatever it is, has no unusual tiles.
    """
    own = index.sensor.span
    return min(index.spans, key=lambda span: abs(float(np.log2(span / own))))


def doubt(spans: Iterable[float], usual: float) -> Floats:
    """Widths of n tiles -> (n,) log-odds to take off what is said of them."""
    return np.asarray(DOUBT * np.abs(np.log2(np.fromiter(spans, float) / usual)))
