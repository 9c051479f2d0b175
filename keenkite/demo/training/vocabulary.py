"""What keenkite-tiny is taught to tell apart, and the ways to say it."""

from keenkite.demo.concepts import CONCEPTS
from keenkite.demo.training.eurosat import CLASSES

ABSENT = (
    "snow-covered mountains", "glacier", "iceberg", "volcano", "desert", "sand dunes",
    "savanna", "tundra", "coral reef", "mangrove swamp", "salt lake", "canyon", "open-pit mine",
    "quarry", "oil refinery", "oil tanks", "nuclear power plant", "wind turbines", "greenhouses",
    "pyramids", "castle", "cemetery", "racetrack", "theme park", "military base", "spaceport",
    "tea plantation", "palm oil plantation", "burnt forest", "flooded village",
)  # fmt: skip
"""Overhead scenes that are in no picture it learns from: it is taught that they are not there."""

EUROSAT_LABELS: dict[str, str] = {
    "AnnualCrop": "annual crop",
    "Forest": "forest",
    "HerbaceousVegetation": "herbaceous vegetation",
    "Highway": "highway",
    "Industrial": "industrial",
    "Pasture": "pasture",
    "PermanentCrop": "permanent crop",
    "Residential": "residential",
    "River": "river",
    "SeaLake": "sea or lake",
}
"""EuroSAT class -> label; where a drawn concept means the same, they share one."""

MAY_BE: dict[str, tuple[str, ...]] = {
    "AnnualCrop": ("farmland",),
    "PermanentCrop": ("farmland",),
    "Pasture": ("farmland", "park", "golf course"),
    "HerbaceousVegetation": ("farmland", "park"),
    "Highway": ("farmland", "residential", "industrial", "forest", "river"),
    "Industrial": ("railway station", "highway", "harbour", "residential"),
    "Residential": ("park", "sports ground", "industrial", "highway"),
    "River": ("lake", "reservoir", "farmland", "forest", "harbour"),
    "SeaLake": ("sea", "lake", "reservoir", "coast"),
    "Forest": (),
}
"""EuroSAT class -> labels that its chips may also show: nothing is taught about these."""

PHRASES: dict[str, tuple[str, ...]] = (
    {concept.name: concept.synonyms for concept in CONCEPTS}
    | {label: (label, *CLASSES[name]) for name, label in EUROSAT_LABELS.items()
       if label not in {concept.name for concept in CONCEPTS}}
    | {text: (text,) for text in ABSENT}
)  # fmt: skip
"""Label -> ways to say it. The order of the labels is the order of every label array."""

LABELS = tuple(PHRASES)

TEMPLATES = (
    "a satellite photo of a {}", "a satellite photo of {}", "satellite image of {}",
    "an aerial view of a {}", "a Sentinel-2 image of {}", "{} seen from above", "a {}", "the {}",
    "an overhead picture with {}", "{} from space",
)  # fmt: skip
