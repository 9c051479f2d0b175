"""Sites: places of which somebody knows what is there, and the tiles that show them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from keenkite import geojson, utm
from keenkite.area import Area
from keenkite.errors import InputError
from keenkite.ground import GEOD, SHARED
from keenkite.index import Filters, TileIndex
from keenkite.retrieval.candidates import HIDDEN
from keenkite.tiling import Tile

LEAST, LEAST_OF_A_KIND = 8, 3
"""Sites from which something is learnt: in all, and of those where the thing is, or is not."""

_MARGIN = 1.01
"""Circles are measured on a sphere by the index, 0.6 % off."""

_SHOWN = 5
"""Sites that a message names."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Site:
    """One feature of a truth file."""

    number: int
    """In its file, from 1."""
    text: str
    present: bool
    place: tuple[float, float]
    """(lon, lat), degrees, of the point or of somewhere in the polygons."""
    outline: Area | None
    """None for a point."""

    @property
    def name(self) -> str:
        """For messages: "feature 3 ('airport')"."""
        return f"feature {self.number} ({self.text!r})"

    @property
    def reach_km(self) -> float:
        """How far it goes from its place."""
        if self.outline is None:
            return 0.0
        corners = shapely.get_coordinates(self.outline.parts)
        lon, lat = np.broadcast_to(self.place, corners.shape).T
        return float(GEOD.inv(lon, lat, *corners.T)[2].max()) / 1000

    def parts(self, tiles: Sequence[Tile]) -> NDArray[np.float64]:
        """(n,) how much of the site, or of the tile where that is smaller, each tile shows, 0-1."""
        found = np.zeros(len(tiles))
        zones = np.array([tile.epsg for tile in tiles])
        for epsg in np.unique(zones):
            rows = np.flatnonzero(zones == epsg)
            west, north, span = np.array([(t.west, t.north, t.span) for t in tiles])[rows].T
            squares = shapely.box(west, north - span, west + span, north)
            if self.outline is None:
                found[rows] = shapely.intersects_xy(squares, *utm.project(int(epsg), *self.place))
            else:
                shape = self.outline.in_utm(int(epsg))
                smaller = np.minimum(shapely.area(squares), max(shape.area, 1e-9))
                found[rows] = shapely.area(shapely.intersection(squares, shape)) / smaller
        return found


@dataclass(frozen=True, kw_only=True, eq=False)
class Sites:
    """Sites and the tiles of an index that hold them.

    A tile holds a point that is on its ground, and polygons when it shows half of them or they
    fill half of it; of what is too long for that, those tiles hold it that show most.
    """

    held: tuple[tuple[Site, tuple[Tile, ...]], ...]
    """Each with the tiles of all dates and spans that hold it and are not mostly cloud."""
    outside: tuple[Site, ...]
    """On the ground of no tile."""
    hidden: tuple[Site, ...]
    """Under cloud on every date: more than half of the tile is."""

    @classmethod
    def of(cls, index: TileIndex, truth: Any) -> Sites:
        """Find the sites of a parsed GeoJSON file in an index.

        Args:
            index: of tiles.
            truth: a FeatureCollection of points and polygons, with the properties `text` (what
                to look for) and `present` (true, which is the default, where the site shows it;
                false where no tile that holds the site shows it).

        Raises:
            InputError: the file is none of these, says which feature; or too few sites are left.
        """
        held: list[tuple[Site, tuple[Tile, ...]]] = []
        outside: list[Site] = []
        hidden: list[Site] = []
        for site in read_sites(truth):
            tiles = _holding(index, site)
            clear = tuple(tile for tile in tiles if (tile.cloud or 0) <= HIDDEN)
            if clear:
                held.append((site, clear))
            else:
                (hidden if tiles else outside).append(site)
        sites = cls(held=tuple(held), outside=tuple(outside), hidden=tuple(hidden))
        sites.check()
        return sites

    @property
    def there(self) -> int:
        """How many of those that are held are sites of the thing."""
        return sum(site.present for site, _ in self.held)

    def left_out(self) -> list[str]:
        """What is not used, and why, in words."""
        kinds = (("outside of what is indexed", self.outside), ("under cloud", self.hidden))
        return [f"{len(sites)} {where}: {_names(sites)}" for where, sites in kinds if sites]

    def check(self) -> None:
        """Raise InputError when there are too few."""
        total, there = len(self.held), self.there
        if total >= LEAST and min(there, total - there) >= LEAST_OF_A_KIND:
            return
        left_out = "".join(f"; {each}" for each in self.left_out())
        raise InputError(
            f"{total} places can be used, {there} where the thing is and {total - there} where it "
            f"is not{left_out}. It takes {LEAST} with at least {LEAST_OF_A_KIND} of each kind: "
            'add places inside what is indexed; those with "present": false are where nothing of '
            "the kind is to be seen."
        )


def read_sites(truth: Any) -> list[Site]:
    """The features of a parsed truth file; see `Sites.of`.

    Raises:
        InputError: it is no such file; says which feature is wrong, and how.
    """
    features = truth.get("features") if isinstance(truth, Mapping) else None
    if not isinstance(features, list) or truth.get("type") != "FeatureCollection":
        raise InputError(
            "Known places are a GeoJSON FeatureCollection of points and polygons, each with the "
            'property "text", and "present": false where the thing is not. This is none.'
        )
    return [_site(feature, i, truth.get("crs")) for i, feature in enumerate(features, start=1)]


def _site(feature: Any, number: int, crs: object) -> Site:
    facts = (feature.get("properties") or {}) if isinstance(feature, Mapping) else {}
    text, present = facts.get("text"), facts.get("present", True)
    if not isinstance(text, str) or not text.strip():
        raise InputError(
            f"feature {number} has the text {text!r}; name what to look for in its property "
            '"text", such as "airport".'
        )
    if not isinstance(present, bool):
        raise InputError(
            f'feature {number} ({text!r}) has "present": {present!r}; write true where the thing '
            "is, false where it is not."
        )
    geometry = feature.get("geometry")
    kind = geometry.get("type") if isinstance(geometry, Mapping) else None
    try:
        if kind == "Point":
            place, outline = geojson.point(geometry, crs), None
        elif kind in ("Polygon", "MultiPolygon"):
            outline = Area.from_geojson({**geometry, "crs": crs})
            within = outline.parts[0].representative_point()
            place = (within.x, within.y)
        else:
            raise InputError(f"it is a {kind}: give a Point, a Polygon or a MultiPolygon")
    except InputError as error:
        raise InputError(f"feature {number} ({text!r}): {error}.") from None
    return Site(number=number, text=text.strip(), present=present, place=place, outline=outline)


def _holding(index: TileIndex, site: Site) -> list[Tile]:
    """The tiles that hold a site."""
    reach = site.reach_km + max(index.spans) / 2**0.5 / 1000
    try:
        around = Area.around(*site.place, _MARGIN * reach)
    except InputError as error:
        raise InputError(f"{site.name}: {error}.") from None
    tiles = list(index.scroll(Filters(area=around)))
    parts = site.parts(tiles)
    least = max(min(SHARED, parts.max(initial=0)) - 1e-6, 1e-6)
    return [tile for tile, part in zip(tiles, parts, strict=True) if part >= least]


def _names(sites: Sequence[Site]) -> str:
    shown = ", ".join(site.name for site in sites[:_SHOWN])
    more = len(sites) - _SHOWN
    return shown if more <= 0 else f"{shown} and {more} more"
