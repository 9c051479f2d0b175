"""Where a scene's pixels lie: what `proj:*` of an item says, or the header of a file.

The projection extension is written in many ways, and by many programs not at all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pyproj import CRS
from pyproj.exceptions import CRSError

from keenkite.catalog.values import ItemError, JSONObject, as_number, as_numbers
from keenkite.scene import Grid

NOISE = 1.5e-3
"""Metres by which corners may be off, after a way through other programs' arithmetic; edges of a
whole scene too."""

_MOST = 10_000_000
"""Rows or columns that no image has."""
_LONGEST = 20_000
"""Characters of WKT that are looked at."""
_CODES = (
    r"(?:\+init=)?(?:epsg:+)?(\d{4,6})",
    r"urn:(?:x-)?ogc:def:crs:epsg:[^:]*:(\d+)",
    r"https?://www\.opengis\.net/def/crs/epsg/[^/]+/(\d+)/?",
)


class UnstatedError(ItemError):
    """An item does not say, or not in a way that means anything, where its pixels lie."""


def stated_grid(sources: Sequence[JSONObject]) -> Grid:
    """The grid of a file by what its item states.

    Args:
        sources: Where it may be stated: an asset, then the item's properties. Each field is taken
            from the first that has it.

    Raises:
        UnstatedError: it is not stated, or what is stated are no numbers that mean a grid.
        ItemError: it is stated, and is of a kind that cannot be used.
    """
    epsg = _stated_epsg(sources)
    transform, shape, bbox = (
        _stated_numbers(sources, field, counts)
        for field, counts in (("transform", (6, 9)), ("shape", (2,)), ("bbox", (4, 6)))
    )
    if transform is None and bbox is not None and shape is not None:
        transform = _transform_of(bbox, shape)
    if transform is not None and shape is None and bbox is not None:
        shape = _shape_of(bbox, transform)
    if epsg is None:
        raise UnstatedError("it has neither proj:epsg nor proj:code")
    if transform is None:
        raise UnstatedError(_lack(sources, "proj:transform", "6 or 9 numbers"))
    if shape is None:
        raise UnstatedError(_lack(sources, "proj:shape", "2 numbers"))
    if not re.fullmatch(r"32[67](0[1-9]|[1-5]\d|60)", str(epsg)):
        raise ItemError(f"its projection is EPSG:{epsg}, not a UTM zone (EPSG:326xx or 327xx)")
    if not all(1 <= length <= _MOST and length.is_integer() for length in shape):
        raise UnstatedError(f"its proj:shape is {shape}, not a number of rows and one of columns")
    height, width = map(int, shape)
    size, west, north = _north_up(transform, max(height, width))
    return Grid(epsg=epsg, west=west, north=north, metres=size, width=width, height=height)


def on_pixels(grid: Grid, metres: float) -> Grid:
    """The same ground in pixels of another size.

    An edge that is off a whole pixel, or a corner that is off a whole metre, by up to 1 mm is put
    on it.

    Raises:
        ItemError: it is no whole number of them.
    """
    width, height = (length * grid.metres / metres for length in (grid.width, grid.height))
    whole = round(width), round(height)
    off = max(abs(width - whole[0]), abs(height - whole[1])) * metres
    if min(whole) < 1 or off > NOISE:
        raise ItemError(f"its size is not a whole number of pixels of {metres:g} m")
    return replace(
        grid,
        west=_snapped(grid.west),
        north=_snapped(grid.north),
        metres=metres,
        width=whole[0],
        height=whole[1],
    )


def _north_up(transform: Sequence[float], pixels: float) -> tuple[float, float, float]:
    """(side of a pixel, west, north), whichever order the numbers have."""
    size, skew_x, west, skew_y, step_y, north = transform[:6]
    if abs(skew_x) * pixels > NOISE and abs(west) * pixels <= NOISE:
        # GDAL's order: west first. A pixel has a size, so no numbers are right in both orders.
        west, size, skew_x, north, skew_y, step_y = transform[:6]
    if size == 0 == step_y:
        raise UnstatedError("its proj:transform has pixels without a size")
    off = max(abs(skew_x), abs(skew_y), abs(size + step_y)) * pixels
    if size <= 0 or off > NOISE:
        raise ItemError("its proj:transform is not one of square pixels with north up")
    return size, west, north


def _snapped(edge: float) -> float:
    return float(round(edge)) if abs(edge - round(edge)) <= NOISE else edge


def _stated_numbers(
    sources: Sequence[JSONObject], field: str, counts: tuple[int, ...]
) -> list[float] | None:
    for source in sources:
        numbers = as_numbers(source.get(f"proj:{field}"))
        if numbers is not None and len(numbers) in counts:
            return numbers
    return None


def _lack(sources: Sequence[JSONObject], field: str, needed: str) -> str:
    if any(source.get(field) is not None for source in sources):
        return f"its {field} is not a list of {needed}"
    return f"it has no {field}, neither at the red asset nor among its properties"


def _transform_of(bbox: Sequence[float], shape: Sequence[float]) -> list[float] | None:
    """Of 4 numbers, or 6 with heights."""
    west, south, east, north = bbox[0], bbox[1], bbox[len(bbox) // 2], bbox[len(bbox) // 2 + 1]
    rows, columns = shape
    if not (west < east and south < north and rows >= 1 and columns >= 1):
        return None
    return [(east - west) / columns, 0, west, 0, -(north - south) / rows, north]


def _shape_of(bbox: Sequence[float], transform: Sequence[float]) -> list[float] | None:
    west, south, east, north = bbox[0], bbox[1], bbox[len(bbox) // 2], bbox[len(bbox) // 2 + 1]
    try:
        size, _, _ = _north_up(transform, 1)
    except ItemError:
        return None
    return [float(round((north - south) / size)), float(round((east - west) / size))]


def _stated_epsg(sources: Sequence[JSONObject]) -> int | None:
    for source in sources:
        for field in ("proj:code", "proj:epsg", "proj:wkt2", "proj:projjson"):
            value = source.get(field)
            if value is not None and value not in ("", {}):
                return epsg_of(value)
    return None


def epsg_of(value: Any) -> int:
    """The EPSG code that is meant by a code, a URN, WKT or PROJJSON.

    Raises:
        ItemError: it is another coordinate system, or none.
    """
    number = as_number(value)
    if number is not None and number.is_integer():
        return int(number)
    text = value.strip()[:_LONGEST] if isinstance(value, str) else ""
    for pattern in _CODES:
        if found := re.fullmatch(pattern, text, re.IGNORECASE):
            return int(found[1])
    try:
        crs = CRS.from_json_dict(dict(value)) if isinstance(value, Mapping) else CRS(text)
        code = crs.to_epsg(min_confidence=25)
        if code is not None and crs.equals(CRS.from_epsg(code), ignore_axis_order=True):
            return int(code)
        name = crs.name
    except (CRSError, ValueError, TypeError, UnicodeError):
        name = value
    shown = repr(name)
    raise ItemError(
        f"its projection is {shown[:100]}, not a UTM zone of WGS 84 (EPSG:326xx or 327xx)"
    )
