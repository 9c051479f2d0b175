"""What digital numbers become: a colour of a picture, or reflectance."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from keenkite.sensors import Sensor


@dataclass(frozen=True, kw_only=True)
class Tables:
    """What digital numbers become, the same for all bands of a scene."""

    colour: NDArray[np.uint8]
    """(65536,) digital number -> a colour's value."""
    reflectance: NDArray[np.uint16]
    """(65536,) digital number -> reflectance × 10,000."""

    @classmethod
    def of(cls, sensor: Sensor, offset: float) -> Tables:
        """Those of a sensor's numbers with an offset to be taken off."""
        return cls(
            colour=scaling(offset, sensor.brightest),
            reflectance=_reflectance(offset, sensor.reflectance),
        )

    def but(self, nodata: int | None) -> Tables:
        """The same, with 0 for a number that stands for no data."""
        if nodata is None:
            return self
        colour, reflectance = self.colour.copy(), self.reflectance.copy()
        colour[nodata] = reflectance[nodata] = 0
        return Tables(colour=colour, reflectance=reflectance)


def scaling(offset: float, brightest: float) -> NDArray[np.uint8]:
    """(65536,) digital number -> 0-255: 0 at the offset, 255 at `brightest` above it."""
    reflectance = np.clip(np.arange(65536) - offset, 0, brightest).astype(np.uint16)
    scaled: NDArray[np.uint8] = np.rint(reflectance * np.float32(255 / brightest)).astype(np.uint8)
    return scaled


def _reflectance(offset: float, unit: float) -> NDArray[np.uint16]:
    """(65536,) digital number -> reflectance × 10,000; none is below 0."""
    values = np.rint((np.arange(65536) - offset) * (unit * 1e4))
    reflectance: NDArray[np.uint16] = np.clip(values, 0, 65535).astype(np.uint16)
    return reflectance


@cache
def classes_of_flags(flags: tuple[tuple[int, int], ...]) -> NDArray[np.uint8]:
    """(65536,) 16 flags -> class, see `Classification.flags`; 0, no flag at all, is class 0."""
    numbers = np.arange(65536)
    classes = np.ones(65536, np.uint8)
    for bit, kind in reversed(flags):
        classes[(numbers >> bit & 1) == 1] = kind
    classes[0] = 0
    return classes
