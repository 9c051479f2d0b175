"""get_heatmap and get_tile_image: pictures, with their facts in a few lines of text."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from mcp.server.mcpserver.tools import Tool
from mcp_types import CallToolResult, ImageContent, TextContent
from pydantic import Field

from keenkite.cloud import cloud_text

from . import arguments as args
from .boundary import Scrubber, strict_tool
from .library import Library

if TYPE_CHECKING:
    from PIL.Image import Image

    from keenkite.retrieval.heatmap import Heatmap
    from keenkite.tiling import Tile

MAX_BYTES = 480_000
"""Of a picture: clients break on more than some 700 KB of base64, which is 4/3 of this."""

Tiles = Annotated[
    list[args.TileId],
    Field(min_length=1, max_length=9, description="One to nine tile ids, from earlier answers"),
]


class PictureTools:
    """Looking at tiles. They answer blocks and no structure: some clients show only one of both."""

    def __init__(self, library: Library) -> None:
        self._library = library

    def tools(self) -> list[Tool]:
        """Its tools."""
        scrub = Scrubber(self._library.settings)
        return [
            strict_tool(self.get_heatmap, title="Show where in a tile", scrub=scrub),
            strict_tool(self.get_tile_image, title="Show tiles", scrub=scrub),
        ]

    def get_heatmap(
        self,
        tile_ids: Tiles,
        text: Annotated[args.Text, Field(description='One concept: "airport"')],
        collection: args.CollectionName = None,
    ) -> CallToolResult:
        """Show where in one to nine tiles a concept is: a picture with its heatmap, the lon/lat of
        its peak, its strength and the search's confidence (0-1), and which of the two to believe
        where they differ. Use it to check and to point at what search_tiles found. Cloud is
        hatched: what it hides is not judged."""
        from keenkite.pictures import kept_heatmaps, overlay, tile_sheet
        from keenkite.retrieval.confidence import confidence_of

        name = self._library.choose(collection).name
        holding, tiles = self._library.tiles(tile_ids, name)
        images = self._library.images(tiles)
        encoder, index = self._library.encoder(holding), holding.index
        sure = confidence_of(index, encoder, text, [tile.id for tile in tiles])
        heats = kept_heatmaps(encoder, self._library.pixels, tiles, text, sure)
        sensor = index.sensor
        if len(tiles) == 1:
            picture = overlay(images[0], heats[0], tiles[0], sensor=sensor, text=text)
        else:
            picture = tile_sheet(tiles, images, title=text, sensor=sensor, heats=heats)
        pairs = zip(tiles, heats, strict=True)
        return _shown(picture, [_heat_line(tile, heat, text) for tile, heat in pairs])

    def get_tile_image(self, tile_ids: Tiles) -> CallToolResult:
        """Show one to nine tiles as a picture in true colour, 224 pixels a tile, north up. Use it
        to look at hits before describing them."""
        from keenkite.pictures import tile_image, tile_sheet

        holding, tiles = self._library.tiles(tile_ids)
        images, sensor = self._library.images(tiles), holding.index.sensor
        if len(tiles) == 1:
            picture = tile_image(images[0])
        else:
            picture = tile_sheet(tiles, images, title=sensor.title, sensor=sensor)
        credit = sensor.credit(tuple(sorted({tile.datetime.year for tile in tiles})))
        return _shown(picture, [*map(tile_line, tiles), credit])


def tile_line(tile: Tile) -> str:
    """Where and when, for the text beside a picture."""
    regions = ", ".join(tile.regions) or "none"
    return (
        f"{tile.id}: centre lon {tile.lon:.4f}, lat {tile.lat:.4f}, {tile.datetime:%Y-%m-%d}, "
        f"{tile.span:g} m wide, {cloud_text(tile.cloud)}, regions {regions}"
    )


def png(picture: Image) -> bytes:
    """A picture as PNG, small enough for a chat."""
    from keenkite.pictures import to_png

    return to_png(picture, max_bytes=MAX_BYTES)


def _heat_line(tile: Tile, heat: Heatmap, text: str) -> str:
    cloud = cloud_text(tile.cloud)
    if heat.seen == 0:
        return f"{tile.id} ({cloud}): {heat.belief}"
    lon, lat = heat.peak_lonlat(tile)
    line = f"{tile.id} ({cloud}): {text!r} peaks at lon {lon:.4f}, lat {lat:.4f} with strength "
    line += f"{heat.strength:.2f}, confidence {heat.confidence:.2f} (0-1). {heat.belief}"
    return line


def _shown(picture: Image, lines: Sequence[str]) -> CallToolResult:
    data = base64.b64encode(png(picture)).decode()
    return CallToolResult(
        content=[
            ImageContent(type="image", data=data, mime_type="image/png"),
            TextContent(type="text", text="\n".join(lines)),
        ]
    )
