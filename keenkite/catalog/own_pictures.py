"""PictureFolder: GeoTIFFs of one's own as scenes, without any STAC.

All pictures of a day in a UTM zone are one ground, read as a mosaic: they are products of one pass.
"""

from __future__ import annotations

import logging
import math
import re
import statistics
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin

import shapely

from keenkite import utm
from keenkite.area import Area
from keenkite.errors import CatalogError, InputError, SceneError
from keenkite.reader.picture import Facts, check_scaling, parse_moment, picture_facts
from keenkite.scene import Scene
from keenkite.sensors import COLOURS, NAIP, RGB, Sensor

logger = logging.getLogger(__name__)

SUFFIXES = (".tif", ".tiff", ".jp2")
ALIKE = 0.1
"""Pictures whose pixels differ by less than this part of each other are of one resolution."""
PLATFORM, COLLECTION = "own", "own-pictures"


@dataclass(frozen=True, kw_only=True)
class _Picture:
    path: Path
    facts: Facts
    taken: datetime
    source: str
    """What its date is by: "tags", "name", "date" or "start"."""


@dataclass(kw_only=True)
class PictureFolder:
    """A folder of pictures, or one; GeoTIFF or JPEG 2000 with red, green and blue."""

    path: Path
    day: date | None = None
    """When they were taken, where neither tags nor names say so."""
    resolution: float | None = None
    """Metres a pixel that they are read at; None is their own."""
    scale: tuple[float, float] | None = None
    """Numbers that become 0 and 255; None for pictures of bytes."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Name of a file -> why it cannot be used; known after the first search."""
    notes: list[str] = field(default_factory=list)
    """What a report should say; known after the first search."""
    _known: list[_Picture] | None = field(default=None, repr=False)
    _start: date | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self.path = Path(self.path).expanduser().absolute()
        if not self.path.exists():
            raise CatalogError(f"there is no {self.path}: pass a folder of pictures, or one")
        if self.resolution is not None and not 0.1 <= self.resolution <= 30:
            raise InputError(f"a resolution is 0.1 to 30 metres, not {self.resolution:g}")
        if self.scale is not None:
            check_scaling(*self.scale)

    def search(
        self,
        area: Area | None = None,
        start: date | None = None,
        end: date | None = None,
        *,
        max_cloud: float | str | None = None,  # noqa: ARG002  (not known of pictures)
    ) -> list[Scene]:
        """The pictures that show an area on some days; all of both where they are not given.

        Raises:
            CatalogError: there are none that can be used.
        """
        if self._known is None:
            self._start = start
        pictures = self._pictures()
        sensor = self.sensor()
        found = []
        for picture in pictures:
            day = picture.taken.date()
            if (start and day < start) or (end and day > end):
                continue
            scene = _scene(picture, sensor)
            if area is None or scene.footprint.intersects(area.in_utm(scene.epsg)):
                found.append(scene)
        return sorted(found, key=lambda scene: (scene.datetime, scene.id))

    def sensor(self) -> Sensor:
        """RGB at the resolution of these pictures, with their scaling.

        Raises:
            InputError: they are of several resolutions, or their numbers need a scaling.
        """
        pictures = self._pictures()
        sizes = [picture.facts.metres for picture in pictures]
        metres = self.resolution or statistics.median(sizes)
        odd = [p for p in pictures if not 1 - ALIKE < p.facts.metres / metres < 1 + ALIKE]
        if odd and self.resolution is None:
            raise InputError(
                f"pictures of {min(sizes):g} to {max(sizes):g} m a pixel, such as "
                f"{odd[0].path.name}: build them apart, or name one resolution for all"
            )
        needy = [p.path.name for p in pictures if not p.facts.bytewise]
        if needy and self.scale is None:
            raise InputError(
                f"{len(needy)} pictures, such as {needy[0]}, hold other numbers than 0-255: say "
                "which become black and white, such as --scale 0:3000"
            )
        low, high = self.scale or (0.0, 255.0)
        return replace(RGB, metres=metres, darkest=low, brightest=high - low)

    def extent(self, start: date | None = None) -> tuple[Area, date, date]:
        """The ground of all pictures, as a box, and their first and last day.

        Args:
            start: The day of those that do not say when they were taken.
        """
        self._start = start
        pictures = self._pictures()
        boxes = [_lonlat(picture.facts) for picture in pictures]
        west, south = min(b[0] for b in boxes), min(b[1] for b in boxes)
        east, north = max(b[2] for b in boxes), max(b[3] for b in boxes)
        days = [picture.taken.date() for picture in pictures]
        return Area.from_bbox(west, south, east, north), min(days), max(days)

    def _pictures(self) -> list[_Picture]:
        if self._known is None:
            files = [self.path] if self.path.is_file() else files_of(self.path)
            self._known, by = [], Counter[str]()
            for file in files:
                try:
                    picture = self._look(file)
                except SceneError as error:
                    name = _name(file, self.path)
                    logger.warning("%s", error)
                    self.left_out[name] = str(error)
                    continue
                self._known.append(picture)
                by[picture.source] += 1
            said = ", ".join(f"{number} by {source}" for source, number in sorted(by.items()))
            self.notes = [f"dates of pictures: {said}"] if said else []
        if not self._known:
            bad = next(iter(self.left_out.values()), "it holds no .tif or .jp2 files")
            raise CatalogError(f"no picture in {self.path} can be used: {bad}")
        return self._known

    def _look(self, file: Path) -> _Picture:
        facts = picture_facts(str(file))
        named, start = parse_moment(file.stem), self._start
        choices = {"tags": facts.taken, "name": named, "date": self.day, "start": start}
        for source, taken in choices.items():
            if taken is not None:
                moment = taken if isinstance(taken, datetime) else _midnight(taken)
                return _Picture(path=file, facts=facts, taken=moment, source=source)
        raise SceneError(
            f"{file} does not say when it was taken: write the day into its name "
            f"({file.stem}_2024-05-12{file.suffix}), or give --date"
        )


def files_of(folder: Path) -> list[Path]:
    """The pictures of a folder and the folders in it, by name."""
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())


def picture_scene(
    href: str, *, sensor: Sensor, name: str, collection: str, taken: datetime, platform: str
) -> Scene:
    """One picture as a scene, such as a STAC item names it.

    Raises:
        SceneError: it cannot be used.
    """
    facts = picture_facts(href)
    at = replace(sensor, metres=facts.metres)
    return replace(
        _laid(facts, at, {"picture": href}, taken),
        id=name, collection=collection, platform=platform,
    )  # fmt: skip


def _scene(picture: _Picture, sensor: Sensor) -> Scene:
    scene = _laid(picture.facts, sensor, {"picture": str(picture.path)}, picture.taken)
    return replace(scene, id=picture.path.stem)


def _laid(facts: Facts, sensor: Sensor, assets: dict[str, str], taken: datetime) -> Scene:
    """On the grid of the zone's lattice: edges on multiples of a pixel, nothing lost."""
    metres = sensor.metres
    west, south, east, north = facts.bounds
    # To the nearest pixel, where pixels are of that size already; else all that is touched.
    left, right = _edges(west, east, metres)
    bottom, top = _edges(south, north, metres)
    return Scene(
        id="", sensor=sensor, collection=COLLECTION, epsg=facts.epsg,
        west=left * metres, north=top * metres, width=right - left, height=top - bottom,
        datetime=taken, platform=PLATFORM, grid_code=f"own-{facts.epsg}", cloud=None,
        assets=assets, confirmed=False,
    )  # fmt: skip


def _edges(low: float, high: float, metres: float) -> tuple[int, int]:
    count = (high - low) / metres
    first = round(low / metres)
    if abs(count - round(count)) < 1e-3:
        return first, first + round(count)
    return math.floor(low / metres + 1e-6), math.ceil(high / metres - 1e-6)


def _lonlat(facts: Facts) -> tuple[float, float, float, float]:
    west, south, east, north = facts.bounds
    ring = shapely.segmentize(shapely.box(west, south, east, north), (east - west) / 20 or 1.0)
    x, y = shapely.get_coordinates(ring).T
    lon, lat = utm.unproject(facts.epsg, x, y)
    return float(lon.min()), float(lat.min()), float(lon.max()), float(lat.max())


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _name(file: Path, folder: Path) -> str:
    return str(file.relative_to(folder)) if file != folder else file.name


def is_picture(path: Path) -> bool:
    """Whether a path is a picture, by its name."""
    return path.is_file() and path.suffix.lower() in SUFFIXES


def holds_only_pictures(folder: Path) -> bool:
    """Whether a folder holds pictures, and nothing that could be STAC items."""
    if not folder.is_dir():
        return False
    items = any(p.suffix.lower() in (".json", ".geojson") for p in folder.rglob("*"))
    return not items and bool(files_of(folder))


def picture_of_item(item: Mapping[str, Any], base: Path | str) -> Scene | None:
    """A STAC item whose one asset holds red, green and blue, as rio-stac makes it; None for others.

    Raises:
        SceneError: it names a picture that cannot be used.
    """
    properties, assets = item.get("properties"), item.get("assets")
    if not isinstance(properties, Mapping) or not isinstance(assets, Mapping):
        return None
    moment = properties.get("datetime") or properties.get("start_datetime")
    for asset in assets.values():
        if not isinstance(asset, Mapping) or not _has_colours(asset):
            continue
        href = str(asset.get("href"))
        if isinstance(base, Path):
            href = str((base / unquote(href)).resolve()) if "://" not in href else href
        else:
            href = urljoin(base, href)
        collection = str(item.get("collection") or COLLECTION)
        sensor = NAIP if re.match(r"naip", collection, re.IGNORECASE) else RGB
        taken = parse_moment(str(moment)) or parse_moment(str(item.get("id")))
        if taken is None:
            raise SceneError("it has no datetime")
        return picture_scene(
            href,
            sensor=sensor,
            name=str(item.get("id")),
            collection=collection,
            taken=taken,
            platform=PLATFORM if sensor is RGB else sensor.title,
        )
    return None


def _has_colours(asset: Mapping[str, Any]) -> bool:
    bands = asset.get("eo:bands") or asset.get("bands")
    if not isinstance(bands, list):
        return False
    names = {
        str(band.get("common_name") or band.get("eo:common_name") or band.get("name")).lower()
        for band in bands
        if isinstance(band, Mapping)
    }
    return set(COLOURS) <= names and str(asset.get("href", "")).lower().endswith(SUFFIXES)
