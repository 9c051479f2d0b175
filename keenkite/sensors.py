"""Sensors: what must be known of a kind of imagery to read it, scale it, judge it and name it.

One record for each, as `ModelRecord` is for models. The stages take these facts from the scene
they work on; where a catalogue keeps a band, and under which name, is the catalogue's business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from keenkite.errors import InputError

COLOURS = ("red", "green", "blue")
"""The bands of a picture, in the order of its channels."""

COVERS = ("water", "vegetation", "bare", "snow")
"""Kinds of ground that a classification may tell apart, besides cloud."""


@dataclass(frozen=True, kw_only=True)
class Band:
    """One band of a sensor."""

    name: str
    """The sensor's own name for it, which encoders ask by: "B04"."""
    key: str
    """What it is called in `Scene.assets`: "red"; the three of a picture are called `COLOURS`."""
    metres: float
    """Side of its pixels on the ground."""


@dataclass(frozen=True, kw_only=True)
class Classification:
    """A file beside the bands that says what each pixel is."""

    key: str
    """What it is called in `Scene.assets`."""
    metres: float
    """Side of its pixels on the ground."""
    nodata: int
    """The class of pixels without data."""
    kinds: Mapping[str, tuple[int, ...]]
    """"cloud" and kinds of `COVERS` -> classes that are that; kinds it cannot tell are left out."""
    flags: tuple[tuple[int, int], ...] = ()
    """(bit, class), where the file's numbers are 16 flags: the first of these that is set tells the
    class, none of them is class 1. Empty where the numbers are the classes."""


UNCLASSIFIED = Classification(key="", metres=1, nodata=0, kinds={})
"""Where no file tells: 0 is no data, 1 is something."""


@dataclass(frozen=True, kw_only=True)
class OffsetRule:
    """A constant in the digital numbers of some products, and how to know whether it is there."""

    amount: int
    """What to take off the digital numbers where it is there."""
    always: tuple[str, ...]
    """STAC collections whose products all have it."""
    from_baseline: float
    """Processing baseline of the first products that have it."""
    dark_share: float
    """More of the valid pixels of `dark_band` below `amount` than this: it is off already."""
    dark_band: str
    """Key of a band that is darker than `amount` on nearly all ground."""


@dataclass(frozen=True, kw_only=True)
class Sensor:
    """What imagery of one kind is."""

    name: str
    """What collections and settings call it."""
    title: str
    """What people call it."""
    attribution: str
    """What pictures and exports must carry, "{year}" in it for the years the data are of."""
    metres: float
    """Side of every pixel once a scene is read; coarser files are laid on this grid."""
    bands: tuple[Band, ...]
    """All that an encoder may ask for."""
    brightest: float
    """Digital number, offset taken off, that becomes 255 in a picture; 0 becomes 0."""
    darkest: float = 0
    """What is taken off all digital numbers first."""
    picture: bool = False
    """Whether one file holds red, green and blue, as the asset "picture"."""
    reflectance: float
    """Reflectance of digital number 1, offset taken off: 1e-4."""
    classes: Classification | None = None
    """None where no file tells: fractions of cloud and cover are then not known."""
    offset: OffsetRule | None = None
    """None where the digital numbers have none."""
    beside: bool = False
    """Whether the pixels of its files lie beside multiples of their size, by a half. The nearest
    count then, and everything is at most that half off."""
    grid_metres: float | None = None
    """Width of its grid tiles, which overlap by more than a tile; None where there is no such
    grid. Smaller scenes are crops, without neighbours."""
    pass_minutes: float = 10.0
    """Products of one platform no further apart in time than this are of one pass."""
    max_cloud: float = 0.2
    """Scenes with more cloud than this fraction are left out of a build that does not say."""
    _by_name: Mapping[str, Band] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_name", {band.name: band for band in self.bands})

    @property
    def classification(self) -> Classification:
        """What the classes of its strips mean."""
        return self.classes or UNCLASSIFIED

    @property
    def span(self) -> float:
        """Metres: the width of a tile of 224 pixels."""
        return 224 * self.metres

    def band(self, name: str) -> Band:
        """The band an encoder asks for; InputError names those there are."""
        try:
            return self._by_name[name]
        except KeyError:
            raise InputError(
                f"{self.title} has no band {name!r}: it has {', '.join(self._by_name)}. "
                "Choose an encoder made for this imagery."
            ) from None

    def credit(self, years: tuple[int, ...] = ()) -> str:
        """The attribution of imagery of some years, oldest to newest."""
        when = f"{min(years)}-{max(years)}" if len(set(years)) > 1 else "".join(map(str, years[:1]))
        return self.attribution.replace("{year}", when).strip()


SENTINEL2 = Sensor(
    name="sentinel-2-l2a",
    title="Sentinel-2 L2A",
    attribution="Contains modified Copernicus Sentinel data {year}",
    metres=10.0,
    bands=(
        Band(name="B02", key="blue", metres=10),
        Band(name="B03", key="green", metres=10),
        Band(name="B04", key="red", metres=10),
        Band(name="B05", key="rededge1", metres=20),
        Band(name="B06", key="rededge2", metres=20),
        Band(name="B07", key="rededge3", metres=20),
        Band(name="B08", key="nir", metres=10),
        Band(name="B8A", key="nir08", metres=20),
        Band(name="B11", key="swir16", metres=20),
        Band(name="B12", key="swir22", metres=20),
    ),
    brightest=3000,
    reflectance=1e-4,
    grid_metres=109_800,
    classes=Classification(
        key="scl",
        metres=20,
        nodata=0,
        kinds={
            # Medium and high probability, thin cirrus: what `eo:cloud_cover` counts. Not cloud
            # shadow (3): that is ground one can see, and Sen2Cor takes dark ground for it.
            "cloud": (8, 9, 10),
            "water": (6,),
            "vegetation": (4,),
            "bare": (5,),  # also holds what is built
            "snow": (11,),
        },
    ),
    # Since January 2022 (baseline 04.00) reflectance 0 is digital number 1000. Reflectance of blue
    # is below 0.1 on nearly all ground, so numbers below 1000 are rare with the offset.
    offset=OffsetRule(
        amount=1000,
        always=("sentinel-2-c1-l2a",),
        from_baseline=4.0,
        dark_share=0.005,
        dark_band="blue",
    ),
)

LANDSAT = Sensor(
    name="landsat-c2-l2",
    title="Landsat Collection 2 Level-2",
    attribution="Landsat {year} imagery courtesy of the U.S. Geological Survey",
    metres=30.0,
    # Numbers of bands differ from Landsat 7 to Landsat 8, so they go by their common names.
    bands=tuple(
        Band(name=name, key=name, metres=30)
        for name in ("blue", "green", "red", "nir08", "swir16", "swir22")
    ),
    # Reflectance is 0.0000275 times the number, less 0.2; a picture shows 0 to 0.3 of it.
    darkest=7273,
    brightest=10909,
    reflectance=2.75e-5,
    beside=True,
    grid_metres=150_000,
    classes=Classification(
        key="qa_pixel",
        metres=30,
        nodata=0,
        kinds={"cloud": (2,), "snow": (3,), "water": (4,)},
        # Fill; dilated cloud, cirrus, cloud; snow; water. Shadow is ground that one can see.
        flags=((0, 0), (1, 2), (2, 2), (3, 2), (5, 3), (7, 4)),
    ),
)

RGB = Sensor(
    name="rgb",
    title="pictures",
    attribution="",
    metres=1.0,  # what a picture has itself, see `catalog.own_pictures`
    bands=(),
    brightest=255,
    reflectance=1 / 255,
    picture=True,
    pass_minutes=24 * 60 - 1,  # all pictures of a day
)
"""Red, green and blue of one's own, 0-255."""

NAIP = replace(
    RGB,
    name="naip",
    title="NAIP",
    attribution="USDA National Agriculture Imagery Program {year}",
)
"""Aerial pictures of the United States: red, green, blue and near infrared in one file."""

SENSORS: Mapping[str, Sensor] = {sensor.name: sensor for sensor in (SENTINEL2, LANDSAT, RGB, NAIP)}


def find_sensor(name: str) -> Sensor:
    """The sensor of a name; InputError names those there are."""
    try:
        return SENSORS[name]
    except KeyError:
        raise InputError(
            f"There is no sensor {name!r}. Known: {', '.join(SENSORS)}. "
            "A newer keenkite may know it."
        ) from None
