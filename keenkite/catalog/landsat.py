"""What items of Landsat Collection 2 Level-2 say in fields of their own (Earth Search, USGS)."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import datetime

from keenkite.catalog.values import ItemError, JSONObject, as_text, as_time
from keenkite.scene import Grid, Scene
from keenkite.sensors import LANDSAT

_PRODUCT = re.compile(r"L[COTEM]0(\d)_L2S[PR]_(\d{6})_\d{8}_(\d{8})_")
"""LC09_L2SP_107035_20240512_20240513_02_T1: mission, path and row, day taken, day processed."""


def is_landsat(item: JSONObject, properties: JSONObject) -> bool:
    """Whether an item is of Landsat: by its platform, its collection or its id."""
    names = (properties.get("platform"), item.get("collection"), item.get("id"))
    says = (as_text(name) or "" for name in names)
    return any(re.match(r"landsat[-_ ]?(\d|c2)|L[COTEM]0\d_", name, re.I) for name in says)


def scene(
    item: JSONObject, properties: JSONObject, grid: Grid, time: datetime, assets: Mapping[str, str]
) -> Scene:
    """The scene of an item, its edges moved by half a pixel, west and north, onto multiples of one.

    Its outline is not taken on trust.

    Raises:
        ItemError: it does not say which Landsat it is of.
    """
    metres, item_id = grid.metres, str(item.get("id"))
    return Scene(
        id=item_id,
        sensor=LANDSAT,
        collection=as_text(item.get("collection")) or "",
        epsg=grid.epsg,
        west=metres * math.floor(grid.west / metres),
        north=metres * math.ceil(grid.north / metres),
        width=grid.width,
        height=grid.height,
        datetime=time,
        platform=_platform(item_id, properties),
        grid_code=_path_row(item_id, properties) or f"{grid.west:.0f}E{grid.north:.0f}N",
        assets=assets,
        cloud=None,
        processed=_processed(item_id, properties),
    )


def _platform(item_id: str, properties: JSONObject) -> str:
    """ "L9" from "landsat-9" or an id.

    Raises:
        ItemError: neither tells.
    """
    stated = re.fullmatch(r"landsat[-_ ]?0?(\d)", as_text(properties.get("platform")) or "", re.I)
    match = stated or _PRODUCT.match(item_id)
    if match is None:
        raise ItemError("it does not say which Landsat it is of")
    return f"L{match[1]}"


def _path_row(item_id: str, properties: JSONObject) -> str | None:
    """ "107035" from the item's path and row, its grid code or its id; None where none tells."""
    parts = [as_text(properties.get(f"landsat:wrs_{part}")) for part in ("path", "row")]
    if all(parts):
        return "".join(f"{part:0>3}" for part in parts)
    match = re.fullmatch(r"WRS2-(\d{6})", as_text(properties.get("grid:code")) or "")
    match = match or re.search(r"_(\d{6})_", item_id)
    return match[1] if match else None


def _processed(item_id: str, properties: JSONObject) -> datetime | None:
    """When it was processed, to the day where only the id says so; None where nothing does."""
    for name in ("processing:datetime", "created"):
        if (moment := as_time(properties.get(name))) is not None:
            return moment
    match = _PRODUCT.match(item_id)
    return as_time(f"{match[3]}T000000") if match else None
