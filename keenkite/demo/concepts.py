"""The words of the demo world: what can be looked for in it, and what people call it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Concept:
    """One kind of thing or land cover; bit i of a world's masks is `CONCEPTS[i]`."""

    name: str
    """The name used in masks, features and truth files."""
    synonyms: tuple[str, ...]
    """What people type for it, the name included."""
    placed: bool
    """True for single things with an outline, False for land cover and lines."""
    removable: bool = True
    """True when `draw_world(leave_out=...)` can leave it out."""


CONCEPTS: tuple[Concept, ...] = (
    Concept("airport", ("airport", "airfield", "runway", "aerodrome", "landing strip"), True),
    Concept(
        "highway",
        ("highway", "motorway", "expressway", "freeway", "dual carriageway", "major road"),
        False,
    ),
    Concept("golf course", ("golf course", "golf club", "golf links", "fairways"), True),
    Concept(
        "park",
        ("park", "city park", "urban park", "public garden", "botanical garden", "green space"),
        True,
    ),
    Concept("dam", ("dam", "dam wall", "hydroelectric dam", "barrage"), True),
    Concept("lake", ("lake", "natural lake", "large pond"), True),
    Concept("reservoir", ("reservoir", "dam lake", "artificial lake", "impoundment"), True),
    Concept(
        "sports ground",
        (
            "sports ground", "athletics track", "stadium", "running track", "playing fields",
            "football pitch", "sports complex", "sports field",
        ),
        True,
    ),
    Concept(
        "railway station",
        ("railway station", "train station", "large station", "rail yard", "station"),
        True,
    ),
    Concept(
        "harbour",
        ("harbour", "harbor", "port", "docks", "fishing port", "seaport", "marina"),
        True,
    ),
    Concept("coast", ("coast", "shoreline", "beach", "seaside", "coastline"), False),
    Concept("sea", ("sea", "ocean", "open sea"), False),
    Concept(
        "solar farm",
        (
            "solar farm", "solar panels", "solar power plant", "photovoltaic park", "solar park",
            "photovoltaic power station",
        ),
        True,
    ),
    Concept("river", ("river", "stream", "meandering river", "riverbank", "creek"), False),
    Concept("forest", ("forest", "woodland", "wooded mountains", "trees", "woods"), False, False),
    Concept(
        "farmland",
        ("farmland", "fields", "rice paddies", "cropland", "agricultural land"),
        False,
        False,
    ),
    Concept(
        "residential",
        ("residential", "houses", "town", "residential area", "housing", "village", "suburb"),
        False,
        False,
    ),
    Concept(
        "industrial",
        ("industrial", "factories", "warehouses", "industrial area", "industrial zone"),
        False,
        False,
    ),
)  # fmt: skip
NAMES: tuple[str, ...] = tuple(concept.name for concept in CONCEPTS)
BIT: dict[str, int] = {name: 1 << i for i, name in enumerate(NAMES)}
