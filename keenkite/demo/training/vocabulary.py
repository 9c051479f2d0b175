"""What keenkite-tiny is taught to tell apart, and the ways to say it."""

from collections.abc import Mapping

from keenkite.demo.concepts import CONCEPTS, Concept
from keenkite.demo.training.eurosat import CLASSES

ABSENT = (
    "snow-covered mountains", "snow", "glacier", "iceberg", "volcano", "lava field", "desert",
    "sand dunes", "savanna", "tundra", "coral reef", "mangrove swamp", "mangrove", "salt lake",
    "salt flat", "canyon", "cliff", "dry riverbed", "rocky terrain", "river delta", "tidal flat",
    "waterfall", "geyser", "oasis", "meteor crater", "cave", "steppe", "peat bog",
    "open-pit mine", "quarry", "landfill", "oil refinery", "oil tanks", "storage tanks",
    "oil platform", "nuclear power plant", "cooling towers", "chimney", "wind turbines",
    "sewage treatment plant", "power line", "pipeline", "telescope", "antenna", "greenhouses",
    "greenhouse", "circular irrigated field", "tea plantation", "palm oil plantation",
    "palm plantation", "burnt forest", "clear-cut forest", "burning forest", "flooded village",
    "pyramids", "ruins", "castle", "palace", "cathedral", "church", "mosque", "temple", "cemetery",
    "prison", "fortress", "border wall", "refugee camp", "shanty town", "skyscrapers",
    "racetrack", "theme park", "amusement park", "ski slope", "ski resort", "swimming pool",
    "roundabout", "military base", "spaceport", "rocket launch pad", "missile silo", "shipyard",
    "shipwreck", "aircraft carrier", "cruise ship", "submarine", "lighthouse", "ferry",
    "helicopter", "hot air balloon", "elephant", "whale", "giraffe", "horse", "dog", "person",
    "crowd", "bicycle", "bus", "train carriage", "guitar", "teapot", "computer keyboard",
    "handwriting", "diagram", "cartoon", "portrait", "food on a plate", "flower", "butterfly",
)  # fmt: skip
"""Things that are in no picture it learns from: it is taught that they are not there."""

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

_COUNTED = frozenset({"coast", "forest", "highway", "river"})
"""Concepts with a plural beside those that are placed one by one."""


def plural(way: str) -> str:
    """The plural of an English noun whose last word is regular: "dam" -> "dams"."""
    if way.endswith(("s", "x", "ch", "sh")):
        return f"{way}es"
    if way.endswith("y") and way[-2] not in "aeiou":
        return f"{way[:-1]}ies"
    return f"{way}s"


def _ways(concept: Concept) -> tuple[str, ...]:
    """What people call a concept, then the plurals of it."""
    if not (concept.placed or concept.name in _COUNTED):
        return concept.synonyms
    single = [way for way in concept.synonyms if not way.endswith("s")]
    return (*concept.synonyms, *map(plural, single))


PHRASES: dict[str, tuple[str, ...]] = (
    {concept.name: _ways(concept) for concept in CONCEPTS}
    | {label: (label, *CLASSES[name]) for name, label in EUROSAT_LABELS.items()
       if label not in {concept.name for concept in CONCEPTS}}
    | {"cloud": ("cloud", "clouds", "cloud cover")}
)  # fmt: skip
"""Label -> ways to say it. The order of the labels is the order of every label array."""

LABELS = tuple(PHRASES)

TEMPLATES = (
    "a satellite photo of a {}", "a satellite photo of {}", "satellite image of {}",
    "an aerial view of a {}", "a Sentinel-2 image of {}", "{} seen from above", "a {}", "the {}",
    "an overhead picture with {}", "{} from space",
)  # fmt: skip

HELD_OUT = 5
"""Every fifth word of the tokenizer is never told, so that strange words can be measured too."""


def strange_words(words: Mapping[str, int]) -> list[str]:
    """Words that name nothing it is taught, to be told that they are nowhere.

    Args:
        words: the tokenizer's tokens, with their numbers; whole words end with "</w>".
    """
    taught = {word for ways in (*PHRASES.values(), ABSENT) for way in ways for word in way.split()}
    near = ("field", "water", "pond", "road", "tree", "build", "land", "rail", "sport", "air")
    return [
        word
        for token, number in words.items()
        if token.endswith("</w>") and number % HELD_OUT
        for word in [token.removesuffix("</w>")]
        if word.isascii()
        and word.isalpha()
        and len(word) > 3
        and word not in taught
        and word.rstrip("s") not in taught
        and not word.startswith(near)
    ]
