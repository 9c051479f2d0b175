"""What clients are taught: the server's instructions and two prompts."""

from __future__ import annotations

from typing import Annotated

from mcp.server.mcpserver import MCPServer
from pydantic import Field

INSTRUCTIONS = """\
Search Sentinel-2 satellite tiles (2.24 km squares, 10 m pixels) by what they show.

Start with list_indexes; where it names several collections, pass one as collection. Search only \
where something is indexed; elsewhere call build_index, first with dry_run.

Split every request. The model (CLIP) compares one picture with one short text: it cannot count, \
measure, negate or relate.
- text: one concept seen from above, a noun phrase in English: "airport", "golf course".
- Relations go into near: "airport near the sea" is text "airport", near [{"text": "sea", \
"within_km": 3}].
- Negations go into exclude: "without houses" is exclude ["houses"].
- "Coastal", "forested", "snowy" go into cover: {"water": [0.1, 1]}.
- Places go into bbox, circle or polygon: degrees, longitude first. Times go into start and end.
- Two questions are two searches.

Read the verdict before the hits. strong: it is there. weak: look at the pictures first. none: \
nothing indexed shows it; say so, and do not offer the best of nothing. Scores rank hits of one \
answer; confidence, 0-1, compares answers.

Check with get_heatmap (where in the tile) or get_tile_image before you describe a place. When \
words fail, give a good hit to find_similar. At 10 m, things under 30 m (cars, single houses) \
cannot be seen.

Tile ids come from answers only; never make one up. Builds go on by themselves: follow them with \
get_build_status."""

FIND_PLACES = """\
Find this on satellite images: {request}

1. Call list_indexes to see what is indexed{where}.
2. Split the request into: one concept (text), what must be close to it (near), what must not be \
there (exclude), ground cover (cover), place (bbox, circle or polygon, longitude first) and time \
(start, end). Sizes, counts and colours of small things cannot be asked for: leave them out and \
say so.
3. Call search_tiles. If the verdict is none, try one other word for the same thing, then say that \
it is not there.
4. Check the best three hits with get_heatmap; where map and search differ, go by the one it names.
5. Answer with place (lon, lat), date and confidence of each find, and with what you left out."""

EXPLORE_REGION = """\
Give an overview of the indexed region {region}.

1. Call list_indexes for its bounds and dates.
2. Call search_tiles with region "{region}" and limit 3 for each of: airport, harbour, river, \
forest, farmland, city, industrial area, solar farm, golf course, reservoir.
3. Keep the answers whose verdict is strong, look at one tile of each with get_tile_image, and \
describe what is there and where, with coordinates and dates. Name what was not found."""


def add_prompts(server: MCPServer) -> None:
    """Offer the prompts."""

    @server.prompt(title="Find places")
    def find_places(
        request: Annotated[str, Field(description='In your words: "airports near the sea"')],
        region: Annotated[str, Field(description="Name of an indexed region, or nothing")] = "",
    ) -> str:
        """Split a request into concept, neighbours, cover, place and time, search, and check."""
        where = f", in particular the region {_quoted(region)}" if region else ""
        return FIND_PLACES.format(request=_quoted(request), where=where)

    @server.prompt(title="Explore a region")
    def explore_region(
        region: Annotated[str, Field(description="Name of an indexed region")],
    ) -> str:
        """An overview of what an indexed region has."""
        return EXPLORE_REGION.format(region=_quoted(region))


def _quoted(text: str) -> str:
    """A user's words on one line, not endless."""
    return " ".join(text.split())[:1000]
