"""UTM zones of WGS 84 by EPSG code (326zz north, 327zz south): degrees to metres and back."""

from __future__ import annotations

from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pyproj import Transformer
from pyproj.enums import TransformDirection

from keenkite.errors import InputError

Pair: TypeAlias = tuple[NDArray[np.float64], NDArray[np.float64]]


def central_meridian(epsg: int) -> float:
    """Longitude of the middle of a zone, degrees.

    Raises:
        InputError: the code is not one of a UTM zone of WGS 84.
    """
    hemisphere, zone = divmod(epsg, 100)
    if hemisphere not in (326, 327) or not 1 <= zone <= 60:
        raise InputError(
            f"EPSG:{epsg} is not a UTM zone of WGS 84: 32601 to 32660 (north) or 32701 to 32760"
        )
    return 6.0 * zone - 183


def project(epsg: int, lon: ArrayLike, lat: ArrayLike) -> Pair:
    """(lon, lat) in degrees -> (easting, northing) in metres of a zone; InputError if it is none.

    Sound far outside the zone too: PROJ's transverse Mercator (Poder/Engsager) errs by less than a
    millimetre 20° from the central meridian.
    """
    x, y = _transformer(epsg).transform(lon, lat)
    return x, y


def unproject(epsg: int, x: ArrayLike, y: ArrayLike) -> Pair:
    """(easting, northing) in metres of a zone -> (lon, lat) in degrees, -180 to 180."""
    lon, lat = _transformer(epsg).transform(x, y, direction=TransformDirection.INVERSE)
    return lon, lat


@lru_cache(maxsize=120)
def _transformer(epsg: int) -> Transformer:
    # Making one takes 30 ms, so each is made once; they may be used from several threads.
    central_meridian(epsg)
    return Transformer.from_crs("EPSG:4326", f"EPSG:{epsg}", always_xy=True)
