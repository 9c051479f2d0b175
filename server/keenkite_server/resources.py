"""Resources: pictures of tiles and outlines of regions; and completions of their names."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import anyio
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError
from mcp_types import (
    Completion,
    CompletionArgument,
    CompletionContext,
    PromptReference,
    ResourceTemplateReference,
)

from keenkite.errors import InputError, KeenkiteError, NoIndexError

from .arguments import TILE_ID
from .boundary import Scrubber
from .library import Library
from .picture_tools import png

if TYPE_CHECKING:
    from keenkite.index import Region

GEOJSON = "application/geo+json"


def add_resources(server: MCPServer, library: Library) -> None:
    """Offer the resources and completions."""
    scrub = Scrubber(library.settings)

    @server.resource(
        "keenkite://tiles/{tile_id}",
        name="tile",
        title="Picture of a tile",
        description="A tile in true colour, as PNG; tile ids come from search_tiles",
        mime_type="image/png",
    )
    def tile_picture(tile_id: str) -> bytes:
        if not re.fullmatch(TILE_ID, tile_id):
            raise ResourceNotFoundError("That is not the id of a tile; search_tiles gives ids.")
        from keenkite.pictures import tile_image

        try:
            _, tiles = library.tiles([tile_id])
            (rgb,) = library.images(tiles)
            return png(tile_image(rgb))
        except (InputError, NoIndexError) as error:
            raise ResourceNotFoundError(scrub(str(error))) from error
        except KeenkiteError as error:
            raise ResourceError(scrub(str(error))) from error

    @server.resource(
        "keenkite://regions",
        name="regions",
        title="Outlines of all regions",
        description="A GeoJSON FeatureCollection of what is indexed; longitude first",
        mime_type=GEOJSON,
    )
    def all_outlines() -> str:
        return _features(_regions())

    @server.resource(
        "keenkite://regions/{region}",
        name="region",
        title="Outline of a region",
        description="A GeoJSON FeatureCollection of a region: of each collection that has it",
        mime_type=GEOJSON,
    )
    def one_outline(region: str) -> str:
        found = [(name, each) for name, each in _regions() if each.name == region]
        if not found:
            raise ResourceNotFoundError("There is no region of that name; list_indexes names them.")
        return _features(found)

    def _regions() -> list[tuple[str, Region]]:
        """Name of a collection and one of its regions: all there are."""
        try:
            return [
                (holding.name, region)
                for holding in library.every()
                for region in holding.index.regions()
            ]
        except KeenkiteError as error:
            raise ResourceError(scrub(str(error))) from error

    async def complete(
        _ref: PromptReference | ResourceTemplateReference,
        argument: CompletionArgument,
        _context: CompletionContext | None,
    ) -> Completion | None:
        if argument.name != "region":
            return None
        try:
            regions = await anyio.to_thread.run_sync(_regions)
        except ResourceError:
            return None  # a list that cannot be had is no reason to fail while somebody types
        typed = argument.value.casefold()
        known = dict.fromkeys(each.name for _, each in regions)
        names = [name for name in known if name.casefold().startswith(typed)]
        return Completion(values=names[:100], total=len(names), has_more=len(names) > 100)

    server.completion()(complete)  # type: ignore[no-untyped-call]


def _features(regions: Sequence[tuple[str, Region]]) -> str:
    features = [outline(region, collection) for collection, region in regions]
    return json.dumps({"type": "FeatureCollection", "features": features})


def outline(region: Region, collection: str) -> dict[str, Any]:
    """A region's bounds as a GeoJSON Feature (RFC 7946); two polygons across ±180."""
    west, south, east, north = region.bounds
    spans = [(west, east)] if west <= east else [(west, 180.0), (-180.0, east)]
    rings = [[[[w, south], [e, south], [e, north], [w, north], [w, south]]] for w, e in spans]
    single = len(rings) == 1
    return {
        "type": "Feature",
        "id": f"{collection}/{region.name}",
        "properties": {
            "collection": collection,
            "region": region.name,
            "tiles": region.tiles,
            "scenes": region.scenes,
            "start": region.start.isoformat(),
            "end": region.end.isoformat(),
        },
        "geometry": {
            "type": "Polygon" if single else "MultiPolygon",
            "coordinates": rings[0] if single else rings,
        },
    }
