"""Map and search judge the same tile; where they differ, one of them is to be believed."""

from __future__ import annotations

from typing import Literal, Protocol

from keenkite.retrieval.result import STRONG, WEAK

Believed = Literal["map", "search"]

_CLOUDY = 0.5
"""A tile of which less is seen is judged by its map: it alone leaves out what hides the ground."""


class Looked(Protocol):
    """What a map says of a tile, beside what a search does."""

    @property
    def found(self) -> bool:
        """By the map."""

    @property
    def strength(self) -> float:
        """The highest value of the map, 0-1."""

    @property
    def seen(self) -> float:
        """The part of the tile that is not hidden, 0-1."""

    @property
    def confidence(self) -> float | None:
        """By the search; None where it was not asked."""

    @property
    def doubtful(self) -> bool:
        """Whether the model may have read something else than what was meant."""

    @property
    def patches_trained(self) -> bool:
        """Whether the model learnt what its patches show."""


def believed(looked: Looked) -> Believed | None:
    """Which one to go by where map and search differ; None where they do not."""
    if looked.confidence is None or looked.seen == 0 or looked.doubtful:
        return None
    if looked.found == (looked.confidence >= WEAK):
        return None
    clear = looked.patches_trained and looked.strength >= STRONG
    return "map" if clear or looked.seen < _CLOUDY else "search"


def belief(looked: Looked) -> str:
    """One sentence: what both say together, and which one to go by where they differ and why."""
    if looked.seen == 0:
        return "Nothing can be told of this tile: all of it is cloud or has no data."
    if looked.doubtful:
        return (
            "Go by neither map nor search: this model was never taught such words, or may have "
            "read something else in them."
        )
    which = believed(looked)
    if which is None:
        return _alone(looked) if looked.confidence is None else _agreed(looked)
    pair = ("map", "search") if looked.found else ("search", "map")
    why = _because_of_search(looked) if which == "search" else _because_of_map(looked)
    return f"Believe the {which}: the {pair[0]} finds it and the {pair[1]} does not, and {why}."


def _because_of_map(looked: Looked) -> str:
    if looked.seen < _CLOUDY:
        return "only the map leaves out the cloud that hides most of this tile"
    return "the map is clear, of a model that learnt what single patches show"


def _because_of_search(looked: Looked) -> str:
    if not looked.patches_trained:
        return "this model learnt from whole pictures, so what its single patches say is less sure"
    if looked.found:
        return "the map finds it only faintly"
    return "the search has the whole tile to go by, and others like it"


def _alone(looked: Looked) -> str:
    return "The map finds it." if looked.found else "It is too weak to be a find."


def _agreed(looked: Looked) -> str:
    both = "Map and search agree: "
    return both + ("it is here." if looked.found else "it is not recognised here.")
