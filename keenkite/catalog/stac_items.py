"""What a STAC item says, as a `Scene`: the one place that knows the fields of Sentinel-2 items.

Items of Earth Search, Planetary Computer and the Copernicus Data Space Ecosystem (CDSE) are read;
they name assets and the projection in different ways, and old ones leave things out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

import numpy as np
import shapely

from keenkite import utm
from keenkite.scene import Scene
from keenkite.sensors import COLOURS, SENTINEL2

JSONObject = Mapping[str, Any]

REQUIRED = (*COLOURS, "scl")
"""Assets that a scene cannot do without."""


ASSET_KEYS: Mapping[str, tuple[str, ...]] = {
    **{
        band.key: (band.key, band.name, f"{band.name}_{band.metres:.0f}m")
        for band in SENTINEL2.bands
    },
    "scl": ("scl", "SCL", "SCL_20m"),
}
"""What a band's asset is called by Earth Search, Planetary Computer and CDSE, in this order."""

_FULL = 1.0
"""Percent of a scene without data that is not worth an outline."""
_CONFIRMED = 2.0
"""Percent of a scene by which its geometry may differ from its nodata percentage. Real ones are
drawn a little inside the data, by 0.2 % of a scene."""


class ItemError(ValueError):
    """An item cannot be used; says why. The catalog logs it and goes on with the others."""


@dataclass(frozen=True, kw_only=True)
class RawItem:
    """A STAC item as it was found, nothing checked yet."""

    item: JSONObject
    base: Path | str
    """What its relative hrefs start from: the folder it lies in, or the URL it came from.

    A folder's items may name files anywhere on this machine, since they are the user's own; those
    of an API only http(s) URLs, so that no server can have local files read.
    """


def scene_from_item(found: RawItem) -> Scene:
    """The scene an item describes.

    The 10 m grid is taken from the red asset: `proj:transform` and `proj:shape` there or among the
    properties. `bbox` is not used, and `geometry` only where `s2:nodata_pixel_percentage` confirms
    it: at the antimeridian both are often wrong. The cloud of an item without `eo:cloud_cover`
    is not known here; its tiles are still judged one by one from their scene classification.

    Raises:
        ItemError: it lacks something, or is no Sentinel-2 item in a UTM zone.
    """
    item = found.item
    item_id = item.get("id")
    if not isinstance(item_id, str) or not item_id:
        raise ItemError("it has no id")
    properties = _object(item.get("properties"), "properties")
    assets = _object(item.get("assets"), "assets")
    bands = {
        band: asset
        for band in ASSET_KEYS
        if (asset := _asset(assets, band, required=band in REQUIRED)) is not None
    }
    epsg = _epsg(bands["red"], properties)
    west, north, width, height = _grid(bands["red"], properties)
    taken = _time(properties.get("datetime")) or _time(properties.get("start_datetime"))
    if taken is None:
        raise ItemError("it has no datetime")
    cloud = _number(properties.get("eo:cloud_cover"))
    baseline = properties.get("s2:processing_baseline", properties.get("processing:version"))
    applied = properties.get("earthsearch:boa_offset_applied")
    scene = Scene(
        id=item_id,
        sensor=SENTINEL2,
        collection=str(item.get("collection") or ""),
        epsg=epsg,
        west=west,
        north=north,
        width=width,
        height=height,
        datetime=taken,
        platform=_platform(properties, item_id),
        # Without a code the place serves as well: only scenes of the same rectangle share it.
        grid_code=_grid_code(properties) or f"{west:.0f}E{north:.0f}N",
        cloud=None if cloud is None else min(max(cloud / 100, 0.0), 1.0),
        assets=_locations(bands, found.base),
        processed=_processed(properties),
        baseline=baseline if isinstance(baseline, str) else None,
        boa_offset_applied=applied if isinstance(applied, bool) else None,
    )
    nodata = _nodata(properties)
    outline = _outline(scene, item.get("geometry"), nodata or 0.0)
    known = nodata is not None and (nodata < _FULL or outline is not None)
    return replace(scene, outline=outline, confirmed=known)


def _processed(properties: JSONObject) -> datetime | None:
    """When the pixels were made, UTC; of two versions of a scene the later is the better."""
    for field in ("s2:generation_time", "processing:datetime", "created"):
        if (moment := _time(properties.get(field))) is not None:
            return moment
    return None


def _nodata(properties: JSONObject) -> float | None:
    """Percentage of its pixels that hold no data; None where it does not say."""
    for field in ("s2:nodata_pixel_percentage", "sentinel2:nodata_pixel_percentage"):
        if (share := _number(properties.get(field))) is not None:
            return share
    return None


def _object(value: object, name: str) -> JSONObject:
    if not isinstance(value, Mapping):
        raise ItemError(f"it has no {name}")
    return value


def _asset(assets: JSONObject, band: str, *, required: bool) -> JSONObject | None:
    for key in ASSET_KEYS[band]:
        if isinstance(assets.get(key), Mapping):
            return _object(assets[key], key)
    if not required:
        return None
    raise ItemError(f"it has no {band} asset (looked for {', '.join(ASSET_KEYS[band])})")


def _locations(assets: Mapping[str, JSONObject], base: Path | str) -> dict[str, str]:
    """Where each can be read; one of those that are not always needed is left out if it cannot."""
    found = {}
    for band, asset in assets.items():
        try:
            found[band] = _location(asset, band, base)
        except ItemError:
            if band in REQUIRED:
                raise
    return found


def _location(asset: JSONObject, band: str, base: Path | str) -> str:
    """Absolute path or http(s) URL of an asset."""
    href = asset.get("href")
    if not isinstance(href, str) or not href:
        raise ItemError(f"its {band} asset has no href")
    try:
        if isinstance(base, str):
            href = urljoin(base, href)
        parts = urlsplit(href)
        if parts.scheme in ("http", "https") and parts.hostname:
            return href
        if isinstance(base, Path) and parts.scheme in ("", "file"):
            return str((base / (unquote(parts.path) if parts.scheme else href)).resolve())
    except (ValueError, OSError) as error:
        raise ItemError(f"the href of its {band} asset cannot be used: {error}") from None
    raise ItemError(
        f"its {band} asset is at {parts.scheme or 'no'}://, and only "
        f"{'files and ' if isinstance(base, Path) else ''}http(s) URLs can be read"
    )


def _epsg(*sources: JSONObject) -> int:
    """EPSG code of a UTM zone, from the first source that has one."""
    for source in sources:
        code = source.get("proj:code")
        value = code.upper().removeprefix("EPSG:") if isinstance(code, str) else None
        value = value or source.get("proj:epsg")
        if value is None:
            continue
        if not re.fullmatch(r"32[67](0[1-9]|[1-5]\d|60)", str(value)):
            raise ItemError(f"its projection is {value!r}, not a UTM zone (EPSG:326xx or 327xx)")
        return int(value)
    raise ItemError("it has neither proj:epsg nor proj:code")


def _grid(*sources: JSONObject) -> tuple[float, float, int, int]:
    """(west, north, width, height): edges in metres, size in pixels of 10 m."""
    transform = _numbers(sources, "proj:transform")
    shape = _numbers(sources, "proj:shape")
    if len(transform) not in (6, 9) or len(shape) != 2:
        raise ItemError("proj:transform needs 6 or 9 numbers and proj:shape 2")
    size, skew_x, west, skew_y, step_y, north = transform[:6]
    if size <= 0 or (skew_x, skew_y, step_y) != (0, 0, -size):
        raise ItemError("its proj:transform is not one of square pixels with north up")
    # Rows first in proj:shape.
    height, width = (length * size / SENTINEL2.metres for length in shape)
    if min(width, height) < 1 or not (width.is_integer() and height.is_integer()):
        raise ItemError(f"its size is not a whole number of pixels of {SENTINEL2.metres:g} m")
    return west, north, int(width), int(height)


def _numbers(sources: tuple[JSONObject, ...], field: str) -> list[float]:
    for source in sources:
        values = source.get(field)
        if isinstance(values, list):
            numbers = [number for number in map(_number, values) if number is not None]
            if len(numbers) != len(values):
                raise ItemError(f"its {field} holds something that is not a number")
            return numbers
    raise ItemError(f"it has no {field}, neither at the red asset nor among its properties")


def _number(value: object) -> float | None:
    """A finite number, or None. JSON may hold integers that no float can."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _time(value: object) -> datetime | None:
    """An RFC 3339 time, in UTC; one without a zone is taken as UTC."""
    if not isinstance(value, str):
        return None
    try:
        time = datetime.fromisoformat(value)
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _outline(
    scene: Scene, geometry: object, nodata: float
) -> shapely.Polygon | shapely.MultiPolygon | None:
    """Where a scene has data by its item's geometry, if the nodata percentage says the same.

    Corner by corner the geometry is right even where it seems to go round the world: in UTM 179°
    and -179° are as near as they are on the ground.
    """
    if nodata < _FULL:
        return None
    try:
        shape = shapely.geometry.shape(geometry)
        shape = shapely.transform(
            shape, lambda lonlat: np.column_stack(utm.project(scene.epsg, *lonlat.T))
        )
        if not np.isfinite(shapely.get_coordinates(shape)).all():
            return None
        inside = shapely.make_valid(shape).intersection(scene.footprint)
    except (ValueError, TypeError, LookupError, AttributeError, shapely.errors.ShapelyError):
        return None
    polygons = [part for part in shapely.get_parts(inside).tolist() if part.area > 0]
    outline = shapely.union_all(polygons)
    share = 100.0 * outline.area / scene.footprint.area
    return outline if polygons and abs(share - (100.0 - nodata)) < _CONFIRMED else None


def _platform(properties: JSONObject, item_id: str) -> str:
    """ "S2A" from "sentinel-2a", "Sentinel-2A", or an id that begins with it."""
    match = re.fullmatch(r"sentinel-2([a-z])", str(properties.get("platform")), re.IGNORECASE)
    match = match or re.match(r"S2([A-Z])_", item_id)
    if match is None:
        raise ItemError(f"its platform is {properties.get('platform')!r}, not a Sentinel-2")
    return f"S2{match[1].upper()}"


def _grid_code(properties: JSONObject) -> str | None:
    """ "01WCR" from "MGRS-1WCR", "MGRS-01WCR", or Planetary Computer's s2:mgrs_tile."""
    code = properties.get("grid:code", properties.get("s2:mgrs_tile"))
    match = re.fullmatch(r"(?:MGRS-)?T?(\d{1,2})([C-X][A-Z]{2})", str(code))
    return f"{match[1]:0>2}{match[2]}" if match else None
