"""Search satellite imagery in plain words.

The names below are imported when first used, so that `import keenkite` does not load torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keenkite.area import Area as Area
    from keenkite.build import build_index as build_index
    from keenkite.encoder import ClipEncoder as ClipEncoder
    from keenkite.encoder import Encoder as Encoder
    from keenkite.index import Filters as Filters
    from keenkite.index import TileIndex as TileIndex
    from keenkite.retrieval.heatmap import heatmap as heatmap
    from keenkite.retrieval.query import Near as Near
    from keenkite.retrieval.query import Query as Query
    from keenkite.retrieval.search import search as search
    from keenkite.tiling import Tile as Tile

__version__ = "0.2.0"

_HOME = {
    "Area": "area",
    "ClipEncoder": "encoder",
    "Encoder": "encoder",
    "Filters": "index",
    "Near": "retrieval.query",
    "Query": "retrieval.query",
    "Tile": "tiling",
    "TileIndex": "index",
    "build_index": "build",
    "heatmap": "retrieval.heatmap",
    "search": "retrieval.search",
}
__all__ = list(_HOME)


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)
