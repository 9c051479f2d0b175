"""What a STAC item says of how its pixels were made: product, processing baseline, offset, time.

Every catalogue says it in fields of its own, as text or as a number, or only in the name of the
product. Whether it is true is for the reader to judge, by the pixels.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime

from keenkite.catalog.values import JSONObject, as_number, as_text, as_time, objects

_BASELINE_FIELD = re.compile(r"(?:\w+:)?processing_?baseline", re.IGNORECASE)
"""s2:processing_baseline, sentinel2:processing_baseline, processingBaseline."""
_APPLIED_FIELD = re.compile(r"(?:\w+:)?boa_offset_applied", re.IGNORECASE)
_IN_PRODUCT_ID = re.compile(r"S2[A-Z]_MSIL[12][AC]_\d{8}T\d{6}_N(\d{2})(\d{2})_")
"""S2A_MSIL2A_20200219T112111_N0214_R037_T29RKH_20200219T123947: baseline 02.14."""
_IN_DATATAKE_ID = re.compile(r"_N(\d{2})\.(\d{2})$")
"""GS2A_20230818T100031_042590_N05.09, and likewise ids of granules and datastrips."""
_PRODUCT = re.compile(r"S2[A-Z]_MSIL2A_\d{8}T\d{6}_\w+")
"""Planetary Computer leaves the baseline out: S2B_MSIL2A_20240512T013659_R117_T54SUE_2024…"""
_BY_HAND = "99.99"
"""Products that somebody processed at home: says nothing of the version."""
_YES_NO: Mapping[str, bool] = {"true": True, "1": True, "false": False, "0": False}


def baseline(item_id: str, properties: JSONObject) -> str | None:
    """The processing baseline as "05.10"; None when nothing says it.

    A field for it goes before the ids of product, datatake, granule and datastrip.
    """
    fields = [_of_field(name, value) for name, value in properties.items()]
    ids = [_of_id(value) for value in (*properties.values(), item_id) if isinstance(value, str)]
    return next((text for text in (*fields, *ids) if text not in (None, _BY_HAND)), None)


def offset_applied(properties: JSONObject) -> bool | None:
    """What a flag such as `earthsearch:boa_offset_applied` claims: True, the offset is off."""
    claims = {
        _YES_NO.get(str(value).lower())
        for name, value in properties.items()
        if _APPLIED_FIELD.fullmatch(name)
    } - {None}
    return claims.pop() if len(claims) == 1 else None


def raster_offset(asset: JSONObject) -> float | None:
    """What must be added to an asset's digital numbers by its scale and offset.

    Looked for in `raster:bands`, and as STAC 1.1 has it: in `bands` and at the asset.

    Returns:
        -1000 for an offset of -0.1 at a scale of 0.0001; 0 where there is none; None where nothing
        is said, also by an offset of 0 at a scale of 1, which some tools write into every item.
    """
    places = [(band, "") for band in objects(asset.get("raster:bands"))[:1]]
    places += [(band, "raster:") for band in (*objects(asset.get("bands"))[:1], asset)]
    for place, prefix in places:
        offset = as_number(place.get(f"{prefix}offset"))
        scale = as_number(place.get(f"{prefix}scale"))
        if offset is None or scale == 0 or (offset == 0 and scale == 1):
            continue
        if scale is None:  # reflectance if it is small, else digital numbers
            scale = 1.0 if abs(offset) >= 1 else 1e-4
        return round(offset / scale, 3)
    return None


def product_id(item_id: str, properties: JSONObject) -> str | None:
    """The id of ESA's product, without ".SAFE"; None when nothing says it."""
    for value in (*properties.values(), item_id):
        if text := as_text(value):
            name = text.strip().rpartition("/")[2].removesuffix(".SAFE")
            if _PRODUCT.fullmatch(name):
                return name
    return None


def processed(properties: JSONObject) -> datetime | None:
    """When the pixels were made of what was sensed, UTC; None when nothing says it."""
    for field in ("s2:generation_time", "processing:datetime", "created"):
        if (moment := as_time(properties.get(field))) is not None:
            return moment
    return None


def _of_field(name: str, value: object) -> str | None:
    """ "02.14" from "02.14", "2.14", 2.14, "N0214" or 214 in a field for it."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    if name == "processing:version":  # may be that of any software: only as ESA writes it
        match = re.fullmatch(r"0(\d)\.(\d{2})", str(value))
    elif _BASELINE_FIELD.fullmatch(name):
        text = f"{value:.2f}" if isinstance(value, float) else str(value).strip()
        match = re.fullmatch(r"[Nn]?(\d{1,2})(?:\.(\d{1,2}))?", text)
        match = match or re.fullmatch(r"[Nn]?(\d{1,2})(\d{2})", text)
    else:
        return None
    return f"{int(match[1]):02}.{match[2] or '':0<2}" if match else None


def _of_id(text: str) -> str | None:
    match = _IN_PRODUCT_ID.search(text) or _IN_DATATAKE_ID.search(text)
    return f"{match[1]}.{match[2]}" if match else None
