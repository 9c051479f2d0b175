"""What a STAC item says, as a `Scene`: the one place that knows the fields of items.

Items of Earth Search, Planetary Computer, the Copernicus Data Space Ecosystem (CDSE) and of one's
own are read; they say the same in different ways, and many leave things out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path

import numpy as np
import shapely

from keenkite import utm
from keenkite.catalog import landsat, processing
from keenkite.catalog.assets import find_assets, required_of
from keenkite.catalog.grid import UnstatedError, on_pixels, stated_grid
from keenkite.catalog.hrefs import Base, home_of, locate
from keenkite.catalog.signing import Signer
from keenkite.catalog.values import (
    ItemError,
    JSONObject,
    as_number,
    as_object,
    as_text,
    as_time,
)
from keenkite.scene import Grid, Scene
from keenkite.sensors import LANDSAT, SENTINEL2, Sensor

__all__ = ["NONSENSE", "ItemError", "RawItem", "cloud_of", "scene_from_item", "time_of"]

_FULL = 1.0
"""Percent of a scene without data that is not worth an outline."""
_CONFIRMED = 2.0
"""Percent of a scene by which its geometry may differ from its nodata percentage. Real ones are
drawn a little inside the data, by 0.2 % of a scene."""
NONSENSE = (
    ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError,
    shapely.errors.ShapelyError,
)  # fmt: skip
"""What values that nobody thought of may raise."""


@dataclass(frozen=True, kw_only=True)
class RawItem:
    """A STAC item as it was found, nothing checked yet."""

    item: JSONObject
    base: Base
    """Where it came from: the folder it lies in, or its URL. See `hrefs` for what it may name."""
    linked: Path | None = None
    """The folder that it really lies in, where it is a symbolic link."""
    allow_s3: bool = False
    """Whether s3:// may be read."""
    signer: Signer | None = None
    """Signs hrefs that need it."""
    grid: Grid | None = None
    """Of its file, where the item itself states none."""
    flaw: str | None = None
    """Why its file does not tell either."""

    @property
    def identity(self) -> str:
        """The same for the same item found twice."""
        where = self.base if isinstance(self.base, Path) else ""
        properties = self.item.get("properties")
        facts = properties if isinstance(properties, Mapping) else {}
        times = [facts.get(name) for name in ("datetime", "start_datetime")]
        return repr((where, self.item.get("collection"), self.item.get("id"), times))

    @cached_property
    def scene(self) -> Scene:
        """The scene that it describes, see `scene_from_item`."""
        return _scene(self)

    @cached_property
    def sensor(self) -> Sensor:
        """Whose imagery it is: Landsat's where it says so, else Sentinel-2."""
        properties = as_object(self.item.get("properties"), "properties")
        return LANDSAT if landsat.is_landsat(self.item, properties) else SENTINEL2

    @cached_property
    def bands(self) -> Mapping[str, Sequence[JSONObject]]:
        """Band -> its assets, the best first; see `find_assets`."""
        return find_assets(as_object(self.item.get("assets"), "assets"), self.sensor)

    @cached_property
    def locations(self) -> Mapping[str, str]:
        """Band -> where it can be read; those not always needed are left out if they cannot be.

        ItemError where one that is needed is not there, or not to be read.
        """
        base = home_of(self.item, self.base, linked=self.linked)
        found = {}
        for band, assets in self.bands.items():
            try:
                found[band] = _first(assets, band, base, allow_s3=self.allow_s3)
            except ItemError:
                if band in required_of(self.sensor):
                    raise
        return found if self.signer is None else self.signer.signing(found, self.item)


def _first(assets: Sequence[JSONObject], band: str, base: Base, *, allow_s3: bool) -> str:
    """Where the first of some assets that can be read is."""
    problem: ItemError | None = None
    for asset in assets:
        try:
            return locate(asset, band, base, allow_s3=allow_s3)
        except ItemError as error:
            problem = problem or error
    assert problem is not None, "a band has an asset"
    raise problem


def scene_from_item(found: RawItem) -> Scene:
    """The scene an item describes.

    The grid is that of the red asset, as `proj:*` states it there or among the properties, or else
    `RawItem.grid`. `bbox` is not used, and `geometry` only where `s2:nodata_pixel_percentage`
    confirms it: at the antimeridian both are often wrong. The cloud of an item without
    `eo:cloud_cover` is not known here; its tiles are still judged one by one from their scene
    classification.

    Raises:
        UnstatedError: it does not state its grid.
        ItemError: it lacks something, or is of no known sensor in a UTM zone.
    """
    try:
        return found.scene
    except ItemError:
        raise
    except NONSENSE as error:
        raise ItemError(f"it holds what cannot be understood ({type(error).__name__})") from None


def _scene(found: RawItem) -> Scene:
    item = found.item
    item_id = as_text(item.get("id"))
    if item_id is None:
        raise ItemError("it has no id" if not item.get("id") else "its id is no text")
    properties = as_object(item.get("properties"), "properties")
    locations = found.locations
    sensor = found.sensor
    grid = on_pixels(found.grid or _stated(found, properties), sensor.metres)
    if sensor is LANDSAT:
        scene = landsat.scene(item, properties, grid, time_of(item), locations)
        return replace(scene, cloud=cloud_of(item))
    product = processing.product_id(item_id, properties)
    scene = Scene(
        id=item_id,
        sensor=sensor,
        collection=as_text(item.get("collection")) or "",
        epsg=grid.epsg,
        west=grid.west,
        north=grid.north,
        width=grid.width,
        height=grid.height,
        datetime=time_of(item),
        platform=_platform(properties, product or item_id),
        # Without a code the place serves as well: only scenes of the same rectangle share it.
        grid_code=_grid_code(properties, product or item_id)
        or f"{grid.west:.0f}E{grid.north:.0f}N",
        cloud=cloud_of(item),
        assets=locations,
        baseline=processing.baseline(item_id, properties),
        boa_offset_applied=processing.offset_applied(properties),
        raster_offset=processing.raster_offset(found.bands["blue"][0]),
        product=product,
        processed=processing.processed(properties),
    )
    nodata = _nodata(properties)
    outline = _outline(scene, item.get("geometry"), nodata or 0.0)
    known = nodata is not None and (nodata < _FULL or outline is not None)
    return replace(scene, outline=outline, confirmed=known)


def _stated(found: RawItem, properties: JSONObject) -> Grid:
    """The grid that the item states for its red asset; where nothing does, what its file said."""
    try:
        return stated_grid((found.bands["red"][0], properties))
    except UnstatedError as error:
        if found.flaw is None:
            raise
        raise ItemError(f"{error}; nor does its file say it: {found.flaw}") from None


def time_of(item: JSONObject) -> datetime:
    """When it was taken, UTC: its datetime, the start of its time, or what its product's id says.

    Raises:
        ItemError: it does not say.
    """
    properties = as_object(item.get("properties"), "properties")
    for field in ("datetime", "start_datetime", "end_datetime"):
        if (moment := as_time(properties.get(field))) is not None:
            return moment
    item_id = as_text(item.get("id")) or ""
    product = processing.product_id(item_id, properties)
    named = re.search(r"_(\d{8}T\d{6})(?!\d)", product or item_id)
    moment = as_time(named[1]) if named else None
    if moment is None:
        raise ItemError("it has no datetime")
    return moment


def cloud_of(item: JSONObject) -> float | None:
    """Fraction of it that is cloud, 0-1; None where it does not say."""
    properties = as_object(item.get("properties"), "properties")
    for field in ("eo:cloud_cover", "cloudCover", "cloud_cover"):
        value = properties.get(field)
        if isinstance(value, str) and re.fullmatch(r"\d{1,3}(\.\d{1,9})?", value.strip()):
            value = float(value)
        if (percent := as_number(value)) is not None and percent >= 0:
            return min(percent / 100, 1.0)
    return None


def _nodata(properties: JSONObject) -> float | None:
    """Percentage of its pixels that hold no data; None where it does not say."""
    for field in ("s2:nodata_pixel_percentage", "sentinel2:nodata_pixel_percentage"):
        if (share := as_number(properties.get(field))) is not None and 0 <= share <= 100:
            return share
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
    except NONSENSE:
        return None
    polygons = [part for part in shapely.get_parts(inside).tolist() if part.area > 0]
    outline = shapely.union_all(polygons)
    share = 100.0 * outline.area / scene.footprint.area
    return outline if polygons and abs(share - (100.0 - nodata)) < _CONFIRMED else None


def _platform(properties: JSONObject, name: str) -> str:
    """ "S2A" from "sentinel-2a", "Sentinel-2A", "S2A", or an id that begins with it.

    "S2" where nothing says which of them: an item with a scene classification is of one.
    """
    stated = as_text(properties.get("platform"))
    match = re.fullmatch(r"(?:sentinel[-_ ]?2|s2)[-_ ]?([a-z])", stated or "", re.IGNORECASE)
    match = match or re.match(r"S2([A-Z])_", name)
    if match is not None:
        return f"S2{match[1].upper()}"
    if stated is None or re.fullmatch(r"sentinel[-_ ]?2|s2", stated, re.IGNORECASE):
        return "S2"
    raise ItemError(f"its platform is {stated[:60]!r}, not a Sentinel-2")


def _grid_code(properties: JSONObject, name: str) -> str | None:
    """ "01WCR" from "MGRS-1WCR", "MGRS-01WCR", Planetary Computer's s2:mgrs_tile, or an id."""
    for code in _codes(properties, name):
        if match := re.fullmatch(r"(?:MGRS-)?T?(\d{1,2})([C-X][A-Z]{2})", str(code)):
            return f"{match[1]:0>2}{match[2]}"
    return None


def _codes(properties: JSONObject, name: str) -> Iterator[object]:
    yield from map(properties.get, ("grid:code", "s2:mgrs_tile", "s2:tile"))
    parts = [properties.get(f"mgrs:{part}") for part in ("utm_zone", "latitude_band")]
    yield "".join(map(str, [*parts, properties.get("mgrs:grid_square")]))
    if named := re.search(r"_T?(\d{1,2}[C-X][A-Z]{2})(?=_)", name):
        yield named[1]
