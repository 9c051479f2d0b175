"""The arguments that tools share: as clients see them, and what they are in the core.

Coordinates are degrees in WGS 84, longitude first, wherever they appear.
"""

from __future__ import annotations

import re
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from keenkite.cloud import cloud_fraction
from keenkite.errors import InputError

from .paging import LARGEST

if TYPE_CHECKING:
    from collections.abc import Sequence

    from keenkite.area import Area
    from keenkite.index import Filters
    from keenkite.retrieval.query import Near

MAX_TEXT = 300
"""Characters: a concept is a few words, and the model reads 77 tokens."""

_METRES = r"[0-9]{1,8}([.][0-9]{1,3})?"
TILE_ID = (
    rf"^[0-9]{{5}}-{_METRES}-(-?[0-9]{{1,7}}--?[0-9]{{1,7}}|@-?{_METRES}--?{_METRES})"
    r"-[0-9]{8}T[0-9]{6}-[A-Za-z0-9_]{1,24}$"
)
"""See `keenkite.tiling.Tile.id`: zone, span, where on the lattice or off it, time, platform."""
COLLECTION = r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,99}$"
JOB_ID = r"^build-[0-9a-f]{12}$"
SOME_TEXT = r"\S"
REGION = r"^\w[\w .-]{0,62}$"


def _not_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("a number is expected")
    return value


def _iso_day(value: Any) -> Any:
    # pydantic would take 20240401 for seconds since 1970.
    if isinstance(value, date):
        return value
    if not isinstance(value, str) or not re.fullmatch(r"\d{4}-\d{2}-\d{2}", value):
        raise ValueError("a day is written year-month-day, such as 2024-04-30")
    return value


def _cloud(value: Any) -> float:
    try:
        return cloud_fraction(value)
    except InputError:
        raise ValueError('cloud is a fraction (0.2), or per cent (20, "20%")') from None


Number = Annotated[float, BeforeValidator(_not_bool), Field(allow_inf_nan=False)]
Whole = Annotated[int, BeforeValidator(_not_bool)]
Day = Annotated[date, BeforeValidator(_iso_day)]
Fraction = Annotated[Number, Field(ge=0, le=1)]
Span = Annotated[list[Fraction], Field(min_length=2, max_length=2)]
Point = Annotated[list[Number], Field(min_length=2, max_length=2)]
Text = Annotated[str, Field(min_length=1, max_length=MAX_TEXT, pattern=SOME_TEXT)]
JobId = Annotated[str, Field(pattern=JOB_ID)]
TileId = Annotated[str, Field(pattern=TILE_ID)]
Format = Annotated[
    Literal["concise", "detailed"],
    Field(description="detailed adds bounds, regions, scenes and their address"),
]

Bbox = Annotated[
    Annotated[list[Number], Field(min_length=4, max_length=4)] | None,
    Field(
        description="Area as [west, south, east, north] in degrees, longitude first: "
        "[139.7, 35.5, 139.9, 35.7]. west > east crosses 180."
    ),
]
Polygon = Annotated[
    Annotated[list[Point], Field(min_length=3, max_length=500)] | None,
    Field(description="Area as corners [lon, lat] in degrees; the ring is closed for you"),
]
Start = Annotated[Day | None, Field(description="First day, UTC: 2024-04-01")]
End = Annotated[Day | None, Field(description="Last day, UTC, included")]
RegionName = Annotated[
    Annotated[str, Field(pattern=REGION)] | None,
    Field(description="Name of an indexed region, see list_indexes"),
]
Cursor = Annotated[
    Annotated[str, Field(max_length=100)] | None,
    Field(description="next_cursor of the previous answer; all else unchanged"),
]
Cloud = Annotated[float | str, BeforeValidator(_cloud)]
MaxCloud = Annotated[
    Cloud | None, Field(description='Most cloud of a tile: 0.2, 20 or "20%"; above 1 is per cent')
]
CollectionName = Annotated[
    Annotated[str, Field(pattern=COLLECTION)] | None,
    Field(description="Needed only where list_indexes names several"),
]
Spans = Annotated[
    Annotated[list[Annotated[Number, Field(gt=0)]], Field(min_length=1, max_length=5)] | None,
    Field(description="Widths of tiles to look at, metres: some of those in list_indexes"),
]
Limit = Annotated[Whole, Field(ge=1, le=LARGEST, description="Hits on this page")]
MinConfidence = Annotated[
    Fraction | None, Field(description="Cut hits below it; 0.15 by default, 0 shows all")
]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Circle(_Strict):
    """Area round a point."""

    lon: Annotated[Number, Field(ge=-180, le=180)]
    lat: Annotated[Number, Field(ge=-90, le=90)]
    radius_km: Annotated[Number, Field(gt=0, le=1000)]


class Place(_Strict):
    """A point in degrees."""

    lon: Annotated[Number, Field(ge=-180, le=180)]
    lat: Annotated[Number, Field(ge=-90, le=90)]


class NearBy(_Strict):
    """Another concept that must be close."""

    text: Text
    within_km: Annotated[Number, Field(gt=0, le=100)] = 3.0

    def near(self) -> Near:
        """The same in the core."""
        from keenkite.retrieval.query import Near

        return Near(text=self.text, within_km=self.within_km)


class Cover(_Strict):
    """[lowest, highest] fraction, 0-1, of a tile's ground."""

    water: Span | None = None
    vegetation: Span | None = None
    bare: Span | None = None
    snow: Span | None = None

    def spans(self) -> dict[str, tuple[float, float]]:
        """Those that are given."""
        given = self.model_dump(exclude_none=True)
        return {kind: (low, high) for kind, (low, high) in given.items()}


NearTexts = Annotated[
    Annotated[list[NearBy], Field(max_length=3)] | None,
    Field(description='Concepts close by: [{"text": "sea", "within_km": 3}]'),
]
ExcludeTexts = Annotated[
    Annotated[list[Text | NearBy], Field(max_length=5)] | None,
    Field(description='Concepts to avoid in the tile, or near it as in near: ["houses"]'),
]
TileIds = Annotated[list[TileId], Field(max_length=10)] | None
CircleArea = Annotated[Circle | None, Field(description="Area as a circle; degrees, km")]
Covers = Annotated[
    Cover | None,
    Field(description='Ground cover of a tile, from scene classification: {"water": [0.1, 1]}'),
]


def area_of(
    bbox: list[float] | None, circle: Circle | None, polygon: list[list[float]] | None
) -> Area | None:
    """The area that was given; None where none was.

    Raises:
        InputError: more than one was given, or it cannot be one.
    """
    from keenkite.area import Area

    given = [
        name
        for name, value in (("bbox", bbox), ("circle", circle), ("polygon", polygon))
        if value is not None
    ]
    if len(given) > 1:
        raise InputError(f"Give one area, not {' and '.join(given)}.")
    if bbox is not None:
        west, south, east, north = bbox
        return Area.from_bbox(west, south, east, north)
    if circle is not None:
        return Area.around(circle.lon, circle.lat, circle.radius_km)
    if polygon is not None:
        ring = polygon if polygon[0] == polygon[-1] else [*polygon, polygon[0]]
        return Area.from_geojson({"type": "Polygon", "coordinates": [ring]})
    return None


def filters_of(
    *,
    bbox: list[float] | None = None,
    circle: Circle | None = None,
    polygon: list[list[float]] | None = None,
    start: date | None = None,
    end: date | None = None,
    max_cloud: float | str | None = None,
    cover: Cover | None = None,
    region: str | None = None,
    spans: list[float] | None = None,
) -> Filters:
    """Which tiles to look among.

    Raises:
        InputError: see `area_of`; or days, cloud or cover contradict themselves.
    """
    from keenkite.index import Filters

    return Filters(
        area=area_of(bbox, circle, polygon),
        start=start,
        end=end,
        max_cloud=max_cloud,
        cover=cover.spans() if cover else {},
        regions=(region,) if region else (),
        spans=tuple(spans or ()),
    )


def near_of(given: Sequence[NearBy] | None) -> tuple[Near, ...]:
    """What must be close by."""
    return tuple(each.near() for each in given or ())


def exclude_of(given: Sequence[str | NearBy] | None) -> tuple[str | Near, ...]:
    """What must not be there, or not close by."""
    return tuple(each if isinstance(each, str) else each.near() for each in given or ())
