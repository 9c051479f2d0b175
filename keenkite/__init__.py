"""Search satellite imagery in plain words.

The names below are imported when first used, so that `import keenkite` does not load torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .area import Area as Area
    from .build import build_index as build_index
    from .encoder import ClipEncoder as ClipEncoder
    from .encoder import Encoder as Encoder
    from .heatmap import heatmap as heatmap
    from .index import TileIndex as TileIndex
    from .near import Near as Near
    from .query import Query as Query
    from .search import search as search

__version__ = "0.1.0"

_HOME = {
    "Area": "area",
    "ClipEncoder": "encoder",
    "Encoder": "encoder",
    "Near": "near",
    "Query": "query",
    "TileIndex": "index",
    "build_index": "build",
    "heatmap": "heatmap",
    "search": "search",
}
__all__ = list(_HOME)


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)
