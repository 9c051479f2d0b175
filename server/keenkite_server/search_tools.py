"""search_tiles and find_similar."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING, Annotated

from mcp.server.mcpserver.tools import Tool
from mcp_types import CallToolResult
from pydantic import Field

from keenkite.errors import InputError

from . import arguments as args
from .answers import HitsOut, hit_out, hits_text, plain
from .boundary import Scrubber, said, strict_tool
from .library import Workspace

if TYPE_CHECKING:
    from keenkite.index import TileIndex
    from keenkite.retrieval.search import Query

DEEPEST = 500
"""Hits that paging goes down to."""


class SearchTools:
    """Finding tiles."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def tools(self) -> list[Tool]:
        """Its tools."""
        scrub = Scrubber(self._workspace.settings)
        return [
            strict_tool(self.search_tiles, title="Search satellite tiles", scrub=scrub),
            strict_tool(self.find_similar, title="Find similar tiles", scrub=scrub),
        ]

    def search_tiles(
        self,
        text: Annotated[args.Text, Field(description='One concept seen from above: "airport"')],
        bbox: args.Bbox = None,
        circle: args.CircleArea = None,
        polygon: args.Polygon = None,
        start: args.Start = None,
        end: args.End = None,
        max_cloud: args.MaxCloud = None,
        cover: args.Covers = None,
        near: Annotated[
            Annotated[list[args.NearBy], Field(max_length=3)] | None,
            Field(description='Concepts close by: [{"text": "sea", "within_km": 3}]'),
        ] = None,
        exclude: Annotated[
            Annotated[list[args.Text | args.NearBy], Field(max_length=5)] | None,
            Field(description='Concepts to avoid in the tile, or near it as in near: ["houses"]'),
        ] = None,
        region: args.RegionName = None,
        limit: args.Limit = 10,
        cursor: args.Cursor = None,
        response_format: args.Format = "concise",
    ) -> Annotated[CallToolResult, HitsOut]:
        """Find Sentinel-2 tiles (2.24 km squares) that show something described in words.
        Use it for any "where is / are there" question about indexed ground. Put one concept in
        text; relations go into near, negations into exclude, places into one of bbox, circle or
        polygon, ground cover into cover. Answers a verdict (strong, weak, none) and ranked tiles;
        believe the verdict before the ranking."""
        from keenkite.retrieval.search import Near, Query

        query = Query(
            text=text,
            area=args.area_of(bbox, circle, polygon),
            start=start,
            end=end,
            max_cloud=max_cloud,
            cover=cover.spans() if cover else {},
            near=tuple(Near(text=each.text, within_km=each.within_km) for each in near or ()),
            exclude=tuple(
                each if isinstance(each, str) else Near(text=each.text, within_km=each.within_km)
                for each in exclude or ()
            ),
            regions=(region,) if region else (),
            limit=limit,
        )
        return self._page(query, repr(text), cursor, response_format == "detailed")

    def find_similar(
        self,
        like: Annotated[
            Annotated[list[args.TileId], Field(max_length=10)] | None,
            Field(description="Tiles it should look like, from earlier answers"),
        ] = None,
        unlike: Annotated[
            Annotated[list[args.TileId], Field(max_length=10)] | None,
            Field(description="Tiles it should not look like"),
        ] = None,
        like_place: Annotated[
            args.Place | None,
            Field(description='Instead of a tile, an indexed place: {"lon": 139.8, "lat": 35.5}'),
        ] = None,
        bbox: args.Bbox = None,
        circle: args.CircleArea = None,
        polygon: args.Polygon = None,
        start: args.Start = None,
        end: args.End = None,
        region: args.RegionName = None,
        limit: args.Limit = 10,
        cursor: args.Cursor = None,
        response_format: args.Format = "concise",
    ) -> Annotated[CallToolResult, HitsOut]:
        """Find tiles that look like given tiles, or like a place, and unlike others.
        Use it when the user points at an example ("more like this one"), or when words find the
        wrong kind of thing: pass good hits as like and bad ones as unlike."""
        from keenkite.retrieval.search import Query

        if not like and like_place is None:
            raise InputError("Say what it should look like: tile ids in like, or a like_place.")
        places = [(like_place.lon, like_place.lat)] if like_place else []
        query = Query(
            like=(*(like or ()), *places),
            unlike=tuple(unlike or ()),
            area=args.area_of(bbox, circle, polygon),
            start=start,
            end=end,
            regions=(region,) if region else (),
            limit=limit,
        )
        about = ", ".join([*(like or ()), *(f"the place {lon:g}, {lat:g}" for lon, lat in places)])
        return self._page(query, f"tiles like {about}", cursor, response_format == "detailed")

    def _page(self, query: Query, about: str, cursor: str | None, detailed: bool) -> CallToolResult:
        """The hits of one page: those before it are found again, which costs next to nothing."""
        from dataclasses import replace

        from keenkite.retrieval.search import search

        mark = _fingerprint(query)
        first = _first(cursor, mark)
        last = min(first + query.limit, DEEPEST)
        index, encoder = self._workspace.search_index()
        self._check_place(index, query)
        # One more than wanted tells whether there is another page.
        result = search(index, encoder, replace(query, limit=last + 1))
        more = len(result.hits) > last and last < DEEPEST
        catalog = self._workspace.settings.catalog
        reason = result.reason
        if result.hits and result.verdict == "none":
            reason = "No tile shows it convincingly; these are only the least unlikely"
        page = HitsOut(
            verdict=result.verdict,
            reason=reason,
            hits=[hit_out(h, detailed=detailed, catalog=catalog) for h in result.hits[first:last]],
            next_cursor=_cursor(last, mark) if more else None,
        )
        if not page.hits and result.hits:
            page.reason = "There are no more hits"
        return said(hits_text(page, about), plain(page))

    def _check_place(self, index: TileIndex, query: Query) -> None:
        """An area or a region without a single tile is a mistake to be told, not an answer."""
        from keenkite.index import Filters

        for name in query.regions:
            regions = [region.name for region in index.regions()]
            if name not in regions:
                known = f"Indexed: {', '.join(regions[:20])}." if regions else "Nothing is indexed."
                raise InputError(f"There is no region {name!r}. {known} build_index makes others.")
        if query.area is not None and index.count(Filters(area=query.area)) == 0:
            west, south, *_ = query.area.bboxes[0]
            boxes = "; ".join(
                f"{region.name} [{', '.join(f'{edge:.2f}' for edge in region.bounds)}]"
                for region in index.regions()[:10]
            )
            raise InputError(
                f"Nothing is indexed in that area (its lower left is lon {west:g}, lat {south:g}; "
                f"longitude comes first). Indexed, as [west, south, east, north]: {boxes}. "
                "Search there, or call build_index for the area."
            )


def _fingerprint(query: Query) -> str:
    """Names a query but for its limit, so that a cursor is used with its own query only."""
    from dataclasses import replace

    return hashlib.sha256(repr(replace(query, limit=1)).encode("utf-8", "replace")).hexdigest()[:12]


def _cursor(first: int, mark: str) -> str:
    return base64.urlsafe_b64encode(json.dumps([first, mark]).encode()).decode().rstrip("=")


def _first(cursor: str | None, mark: str) -> int:
    """How many hits were shown before."""
    if cursor is None:
        return 0
    try:
        first, found = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, TypeError):
        first, found = 0, None
    if found != mark or not isinstance(first, int) or not 0 < first < DEEPEST:
        raise InputError(
            "That cursor is not of this query. Repeat the arguments it came from, or leave it out."
        )
    return first
