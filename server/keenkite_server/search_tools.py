"""search_tiles and find_similar."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from mcp.server.mcpserver.tools import Tool
from mcp_types import CallToolResult
from pydantic import Field

from keenkite.cloud import percent
from keenkite.errors import InputError

from . import arguments as args
from .answers import HitsOut, hit_out, hits_out, hits_text, plain
from .boundary import Scrubber, said, strict_tool
from .library import Library
from .paging import Page

if TYPE_CHECKING:
    from keenkite.index import Filters, TileIndex
    from keenkite.retrieval.query import Query


class SearchTools:
    """Finding tiles."""

    def __init__(self, library: Library) -> None:
        self._library = library

    def tools(self) -> list[Tool]:
        """Its tools."""
        scrub = Scrubber(self._library.settings)
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
        near: args.NearTexts = None,
        exclude: args.ExcludeTexts = None,
        region: args.RegionName = None,
        spans: args.Spans = None,
        collection: args.CollectionName = None,
        min_confidence: args.MinConfidence = None,
        limit: args.Limit = 10,
        cursor: args.Cursor = None,
        response_format: args.Format = "concise",
    ) -> Annotated[CallToolResult, HitsOut]:
        """Find Sentinel-2 tiles (2.24 km squares) that show something described in words.
        Use it for any "where is / are there" question about indexed ground. Put one concept in
        text; relations go into near, negations into exclude, places into one of bbox, circle or
        polygon, ground cover into cover. Answers verdicts (strong, weak, none = not recognised) of
        the whole and of each part, notes on the words, and ranked tiles; believe the verdict
        before the ranking."""
        from keenkite.retrieval.query import Query

        filters = args.filters_of(
            bbox=bbox, circle=circle, polygon=polygon, start=start, end=end,
            max_cloud=max_cloud, cover=cover, region=region, spans=spans,
        )  # fmt: skip
        query = Query(
            text=text,
            near=args.near_of(near),
            exclude=args.exclude_of(exclude),
            filters=filters,
            min_confidence=min_confidence,
            limit=limit,
        )
        detailed = response_format == "detailed"
        about = repr(text) + _cloud_text(filters)
        return self._answer(query, about, collection=collection, cursor=cursor, detailed=detailed)

    def find_similar(
        self,
        like: Annotated[
            args.TileIds, Field(description="Tiles it should look like, from earlier answers")
        ] = None,
        unlike: Annotated[args.TileIds, Field(description="Tiles it should not look like")] = None,
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
        collection: args.CollectionName = None,
        min_confidence: args.MinConfidence = None,
        limit: args.Limit = 10,
        cursor: args.Cursor = None,
        response_format: args.Format = "concise",
    ) -> Annotated[CallToolResult, HitsOut]:
        """Find tiles that look like given tiles, or like a place, and unlike others.
        Use it when the user points at an example ("more like this one"), or when words find the
        wrong kind of thing: pass good hits as like and bad ones as unlike."""
        from keenkite.retrieval.query import Query

        if not like and like_place is None:
            raise InputError("Say what it should look like: tile ids in like, or a like_place.")
        filters = args.filters_of(
            bbox=bbox, circle=circle, polygon=polygon, start=start, end=end, region=region
        )
        places = [(like_place.lon, like_place.lat)] if like_place else []
        query = Query(
            like=(*(like or ()), *places), unlike=unlike or (), filters=filters,
            min_confidence=min_confidence, limit=limit,
        )  # fmt: skip
        known = [*(like or ()), *(f"the place {lon:g}, {lat:g}" for lon, lat in places)]
        about = f"tiles like {', '.join(known)}"
        detailed = response_format == "detailed"
        return self._answer(query, about, collection=collection, cursor=cursor, detailed=detailed)

    def _answer(
        self,
        query: Query,
        about: str,
        *,
        collection: str | None,
        cursor: str | None,
        detailed: bool,
    ) -> CallToolResult:
        """The hits of one page: those before it are found again, which costs next to nothing."""
        from keenkite.retrieval.search import search

        holding = self._library.open(collection)
        page = Page.of(query, holding.name, cursor)
        encoder = self._library.encoder(holding)
        _check_place(holding.index, query.filters)
        result = search(holding.index, encoder, page.query)
        catalog = self._library.settings.catalog
        hits = [hit_out(hit, detailed=detailed, catalog=catalog) for hit in page.hits(result)]
        answer = hits_out(result, hits, collection=holding.name, next_cursor=page.next(result))
        return said(hits_text(answer, result, about), plain(answer))


def _cloud_text(filters: Filters) -> str:
    """How much cloud a tile may have, said back."""
    cloud = filters.max_cloud
    return "" if cloud is None else f" in tiles of at most {percent(float(cloud))} cloud"


def _check_place(index: TileIndex, filters: Filters) -> None:
    """An area or a region without a single tile is a mistake to be told, not an answer."""
    from keenkite.index import Filters

    for name in filters.regions:
        regions = [region.name for region in index.regions()]
        if name not in regions:
            known = f"Indexed: {', '.join(regions[:20])}." if regions else "Nothing is indexed."
            raise InputError(f"There is no region {name!r}. {known} build_index makes others.")
    if filters.area is not None and index.count(Filters(area=filters.area)) == 0:
        west, south, *_ = filters.area.bboxes[0]
        boxes = "; ".join(
            f"{region.name} [{', '.join(f'{edge:.2f}' for edge in region.bounds)}]"
            for region in index.regions()[:10]
        )
        raise InputError(
            f"Nothing is indexed in that area (its lower left is lon {west:g}, lat {south:g}; "
            f"longitude comes first). Indexed, as [west, south, east, north]: {boxes}. "
            "Search there, or call build_index for the area."
        )
