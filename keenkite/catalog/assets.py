"""Which asset of an item is which band, however the catalogue calls it.

Known are the keys of Earth Search (v0 and v1), Planetary Computer and CDSE; band metadata of STAC
1.0 (`eo:bands`) and 1.1 (`bands`), by the sensor's name or the common one; and names that are part
of a key or of a file's name. What says it more clearly counts: keys, then metadata, then parts.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from keenkite.catalog.values import ItemError, JSONObject, as_number, as_numbers, as_text, objects
from keenkite.sensors import COLOURS, Sensor

_WAVELENGTHS = {
    "B02": 0.490, "B03": 0.560, "B04": 0.665, "B05": 0.704, "B06": 0.740, "B07": 0.783,
    "B08": 0.842, "B8A": 0.865, "B11": 1.610, "B12": 2.190,
}  # fmt: skip
"""Micrometres: "rededge" is the common name of three bands, and only this tells which."""
_NEAR = 0.012
_ALIASES = {
    "rededge071": "rededge1", "rededge075": "rededge2", "rededge078": "rededge3",
    "re1": "rededge1", "re2": "rededge2", "re3": "rededge3",
    "swir1": "swir16", "swir2": "swir22",
}  # fmt: skip
"""Common names of STAC's extension of 2024, and what others write -> band."""
_SCL = (
    "sceneclassification",
    "sceneclassificationmap",
    "sceneclassificationlayer",
    "classification",
)
_SCL_CLASSES = frozenset(range(1, 12))
"""What `classification:classes` of a scene classification tells apart, besides nodata."""
_NOISE = frozenset(
    (
        "10m", "20m", "60m", "jp2", "tif", "tiff", "cog", "band", "image", "img", "l2a", "sr",
        "boa", "data", "asset", "surface", "reflectance",
    )
)  # fmt: skip
"""Words of a key that say nothing of which band it is."""
_COMPOUND = frozenset(("edge", "infra", "near", "ir"))
"""Words that make another band of a colour beside them."""
_OTHER_ROLES = frozenset(("thumbnail", "overview", "visual", "metadata", "preview", "tiles"))
_OTHER_TYPES = re.compile(
    r"text/.*|image/(jpe?g|png|webp|gif)\b.*"
    r"|application/(.*json|.*xml|zip|pdf|gzip|.*zarr|.*hdf|.*netcdf)\b.*"
)
_OTHER_ENDS = re.compile(r".*\.(jpe?g|png|webp|gif|xml|json|html?|txt|zip|nc|zarr)", re.IGNORECASE)

EXACT, DESCRIBED, NAMED = range(3)
"""How an asset says which band it is: by a key in use, by metadata, by a part of a name."""


@dataclass(frozen=True, kw_only=True)
class _Known:
    """What a sensor's bands are called."""

    keys: Mapping[str, tuple[str, ...]]
    """Band -> keys in use, the better first."""
    names: Mapping[str, str]
    """Name in small letters and digits -> band."""
    codes: Mapping[str, str]
    """The same for names that no other word looks like: "b04"."""
    metres: Mapping[str, float]
    waves: Mapping[float, str]


_KNOWN: dict[str, _Known] = {}
"""By the sensor's name."""


@dataclass(frozen=True, kw_only=True)
class _Candidate:
    """An asset that may be a band."""

    key: str
    asset: JSONObject
    clearness: int
    rank: int


def required_of(sensor: Sensor) -> tuple[str, ...]:
    """The assets that a scene cannot do without."""
    return (*COLOURS, *([sensor.classes.key] if sensor.classes is not None else []))


def find_assets(assets: JSONObject, sensor: Sensor) -> dict[str, list[JSONObject]]:
    """The assets of an item that are bands of a sensor, or its classification.

    Returns:
        Band -> assets that are this band, the one to read first: of the band's own resolution,
        GeoTIFF before JPEG 2000, the more clearly named. Previews and metadata are none of them.

    Raises:
        ItemError: there is none for a band that is needed; says what was looked for.
    """
    known = _known(sensor)
    found: dict[str, list[_Candidate]] = {}
    for key, asset in assets.items():
        if isinstance(asset, Mapping) and not _is_other(asset):
            for band, clearness in _bands_of(key, asset, known):
                ranks = known.keys[band]
                rank = ranks.index(key) if key in ranks else len(ranks)
                one = _Candidate(key=key, asset=asset, clearness=clearness, rank=rank)
                found.setdefault(band, []).append(one)
    for band in required_of(sensor):
        if band not in found:
            raise ItemError(_lack(band, assets, known))
    return {
        band: [
            one.asset
            for one in sorted(found[band], key=lambda one: _merit(one, known.metres[band]))
        ]
        for band in known.keys
        if band in found
    }


def _known(sensor: Sensor) -> _Known:
    if sensor.name not in _KNOWN:
        _KNOWN[sensor.name] = _learn(sensor)
    return _KNOWN[sensor.name]


def _learn(sensor: Sensor) -> _Known:
    keys = {
        band.key: (band.key, band.name, f"{band.name}_{band.metres:.0f}m") for band in sensor.bands
    }
    codes = {code: band.key for band in sensor.bands for code in _codes(band.name)}
    names = {band.key: band.key for band in sensor.bands}
    names |= {alias: band for alias, band in _ALIASES.items() if band in keys}
    metres = {band.key: band.metres for band in sensor.bands}
    if sensor.classes is not None:
        key = sensor.classes.key
        keys[key] = (key, key.upper(), f"{key.upper()}_{sensor.classes.metres:.0f}m")
        names |= dict.fromkeys((key, *(_SCL if key == "scl" else ())), key)
        codes[key] = key
        metres[key] = sensor.classes.metres
    waves = {_WAVELENGTHS[b.name]: b.key for b in sensor.bands if b.name in _WAVELENGTHS}
    return _Known(keys=keys, names=names | codes, codes=codes, metres=metres, waves=waves)


def _codes(name: str) -> set[str]:
    """ "B04" as it is written: b04, b4, band4, band04."""
    number = name.casefold().removeprefix("b")
    forms = {number, number.lstrip("0"), number.zfill(3 if number.endswith("a") else 2)}
    return {name.casefold()} | {f"{word}{form}" for word in ("b", "band") for form in forms}


def _bands_of(key: str, asset: JSONObject, known: _Known) -> Iterator[tuple[str, int]]:
    """(band, how clearly) of an asset: one by the clearest that is said."""
    for band, keys in known.keys.items():
        if key in keys:
            yield band, EXACT
            return
    described = _described(asset)
    if len(described) > 1:
        return  # a picture of several bands
    for one in described:
        if meant := _by_description(one, known):
            yield meant, DESCRIBED
            return
    if "scl" in known.keys and _is_classification(asset):
        yield "scl", DESCRIBED
        return
    for name in (key, unquote(urlsplit(as_text(asset.get("href")) or "").path).rpartition("/")[2]):
        if meant := _by_parts(name, known):
            yield meant, NAMED
            return


def _described(asset: JSONObject) -> list[JSONObject]:
    """The bands of an asset by its metadata; what STAC 1.1 says once for all stands for one."""
    bands = objects(asset.get("bands")) or objects(asset.get("eo:bands"))
    if not bands and asset.get("eo:common_name") is not None:
        return [asset]
    return bands


def _is_classification(asset: JSONObject) -> bool:
    """By its title, or by the classes that it tells apart."""
    if _plain(as_text(asset.get("title")) or "").startswith(_SCL[0]):
        return True
    places = [asset, *objects(asset.get("bands")), *objects(asset.get("raster:bands"))]
    classes = [one for place in places for one in objects(place.get("classification:classes"))]
    values = {as_number(one.get("value")) for one in classes}
    return values >= _SCL_CLASSES


def _by_description(one: JSONObject, known: _Known) -> str | None:
    for field in ("name", "eo:common_name", "common_name", "description"):
        if band := known.names.get(_plain(as_text(one.get(field)) or "")):
            return band
    common = _plain(as_text(one.get("eo:common_name", one.get("common_name"))) or "")
    wave = as_number(one.get("eo:center_wavelength", one.get("center_wavelength")))
    if common.startswith("rededge") and wave is not None and known.waves:
        nearest = min(known.waves, key=lambda known_wave: abs(known_wave - wave))
        return known.waves[nearest] if abs(nearest - wave) <= _NEAR else None
    return None


def _by_parts(name: str, known: _Known) -> str | None:
    """ "red" of "T33TWL_20240512T100031_B04_10m.jp2", "b04", "B04.tif" and "RED-image"."""
    words = [word for word in re.split(r"[^a-z0-9]+", name.casefold()) if word]
    found = {known.codes[word] for word in words if word in known.codes}
    if not found:
        telling = [word for word in words if word not in _NOISE]
        whole = known.names.get("".join(telling))
        if whole is not None or _COMPOUND & set(words):
            return whole
        found = {known.names[word] for word in telling if word in known.names}
    return found.pop() if len(found) == 1 else None


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "", name.casefold())


def _is_other(asset: JSONObject) -> bool:
    """Whether it is no data: a preview, a picture for people, metadata."""
    roles = asset.get("roles")
    given = {role for role in roles if isinstance(role, str)} if isinstance(roles, list) else set()
    if given & _OTHER_ROLES and not given & {"data", "reflectance"}:
        return True
    kind = as_text(asset.get("type"))
    if kind is not None:
        return _OTHER_TYPES.fullmatch(kind.strip().casefold()) is not None
    href = as_text(asset.get("href")) or ""
    return _OTHER_ENDS.fullmatch(href.partition("?")[0]) is not None


def _merit(one: _Candidate, metres: float) -> tuple[float, int, int, int, str]:
    """The smaller the better."""
    stated = _metres_of(one.key, one.asset)
    off = 0.0 if stated is None else abs(math.log2(stated / metres))
    kind = as_text(one.asset.get("type")) or ""
    href = (as_text(one.asset.get("href")) or "").partition("?")[0]
    is_jp2 = "jp2" in kind or href.casefold().endswith(".jp2")
    return round(off, 3), int(is_jp2), one.clearness, one.rank, one.key


def _metres_of(key: str, asset: JSONObject) -> float | None:
    """Side of an asset's pixels, where something says it."""
    if named := re.search(r"_(\d+)m(?![a-z0-9])", key.casefold()):
        return float(named[1]) or None
    rasters: Sequence[JSONObject] = [
        asset, *objects(asset.get("raster:bands")), *objects(asset.get("bands"))
    ]  # fmt: skip
    for one in rasters:
        for field in ("raster:spatial_resolution", "spatial_resolution", "gsd"):
            if (stated := as_number(one.get(field))) is not None and stated > 0:
                return stated
    transform = as_numbers(asset.get("proj:transform"))
    return transform[0] if transform and len(transform) in (6, 9) and transform[0] > 0 else None


def _lack(band: str, assets: JSONObject, known: _Known) -> str:
    there = ", ".join(repr(key)[:30] for key in list(assets)[:12]) or "none"
    several = [key for key, asset in assets.items() if _holds_several(asset)]
    more = f"; {several[0]!r} holds several bands, and each needs a file" if several else ""
    return (
        f"it has no {band} asset (looked for {', '.join(known.keys[band])} among its keys, in "
        f"bands, eo:bands and file names; it has {there}{more})"
    )


def _holds_several(asset: object) -> bool:
    return isinstance(asset, Mapping) and not _is_other(asset) and len(_described(asset)) > 1
