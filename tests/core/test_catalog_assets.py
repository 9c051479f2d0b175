"""An asset is known for the band it is, whatever a catalogue calls it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keenkite.catalog.assets import find_assets
from keenkite.catalog.stac_items import RawItem, scene_from_item
from keenkite.catalog.values import ItemError
from keenkite.sensors import SENTINEL2
from tests.support.earth_search import c1_item

BANDS = {band.key: band for band in SENTINEL2.bands}
CODES = {**{key: band.name for key, band in BANDS.items()}, "scl": "SCL"}
"""Earth Search's key -> ESA's name."""
METRES = {**{key: int(band.metres) for key, band in BANDS.items()}, "scl": 20}
COG = "image/tiff; application=geotiff; profile=cloud-optimized"
PREVIEWS = {
    "thumbnail": {"href": "thumbnail.jpg", "type": "image/jpeg", "roles": ["thumbnail"]},
    "visual": {
        "href": "TCI.tif",
        "type": COG,
        "roles": ["visual"],
        "eo:bands": [{"name": code, "common_name": key} for key, code in list(CODES.items())[:3]],
    },
    "overview": {"href": "L2A_PVI.tif", "type": COG, "roles": ["overview"], "gsd": 10},
    "metadata": {"href": "MTD_TL.xml", "type": "application/xml", "roles": ["metadata"]},
    "B01": {"href": "B01.tif", "type": COG, "eo:bands": [{"name": "B01"}]},
    "aot": {"href": "AOT.tif", "type": COG, "roles": ["data"]},
}
COMMON = {
    "red": "red", "green": "green", "blue": "blue", "nir": "nir", "nir08": "nir08",
    "rededge1": "rededge", "rededge2": "rededge", "rededge3": "rededge",
    "swir16": "swir16", "swir22": "swir22", "scl": "scl",
}  # fmt: skip
WAVES = {"rededge1": 0.704, "rededge2": 0.740, "rededge3": 0.783}


def file_of(key: str) -> str:
    return f"{CODES[key]}.tif"


def found(assets: dict[str, Any]) -> dict[str, str]:
    return {band: str(some[0]["href"]) for band, some in find_assets(assets, SENTINEL2).items()}


def named(name: Any, more: Any = lambda key: {}) -> dict[str, Any]:
    """Assets of all bands, in no order, between those that are none."""
    keys = sorted(CODES)
    return (
        dict(list(PREVIEWS.items())[:3])
        | {name(key): {"href": file_of(key), "type": COG} | more(key) for key in keys}
        | dict(list(PREVIEWS.items())[3:])
    )


NAMINGS = {
    "Earth Search v1": named(lambda key: key),
    "Earth Search v0, Planetary Computer": named(CODES.__getitem__),
    "CDSE": named(lambda key: f"{CODES[key]}_{METRES[key]}m"),
    "small letters": named(lambda key: CODES[key].lower()),
    "capital letters": named(str.upper),
    "without zeros": named(lambda key: CODES[key].replace("B0", "B")),
    "words": named(lambda key: CODES[key].replace("B", "Band ")),
    "file names": named(lambda key: f"{CODES[key]}.tif"),
    "ESA's file names": named(
        lambda key: f"T54SUE_20240512T013701_{CODES[key]}_{METRES[key]}m.jp2"
    ),
    "names among others": named(lambda key: f"img-{key}_{METRES[key]}m"),
    "eo:bands, names": named(
        lambda key: f"a{sorted(CODES).index(key)}", lambda key: {"eo:bands": [{"name": CODES[key]}]}
    ),
    "eo:bands, common names": named(
        lambda key: f"a{sorted(CODES).index(key)}",
        lambda key: {
            "eo:bands": [
                {"name": "x", "common_name": COMMON[key], "center_wavelength": WAVES.get(key)}
            ]
        },
    ),
    "bands of STAC 1.1, names": named(
        lambda key: f"a{sorted(CODES).index(key)}", lambda key: {"bands": [{"name": CODES[key]}]}
    ),
    "bands of STAC 1.1, common names": named(
        lambda key: f"a{sorted(CODES).index(key)}",
        lambda key: {
            "bands": [{"eo:common_name": COMMON[key], "eo:center_wavelength": WAVES.get(key)}]
        },
    ),
    "STAC 1.1, said once": named(
        lambda key: f"a{sorted(CODES).index(key)}",
        lambda key: {"eo:common_name": COMMON[key], "eo:center_wavelength": WAVES.get(key)},
    ),
    "names of files alone": named(lambda key: f"a{sorted(CODES).index(key)}"),
}


@pytest.mark.parametrize("naming", NAMINGS)
def test_every_band_is_found_by_any_naming(naming: str) -> None:
    assert found(NAMINGS[naming]) == {key: file_of(key) for key in CODES}


def test_the_common_names_of_2024_tell_the_red_edges_apart() -> None:
    names = {"rededge071": "rededge1", "rededge075": "rededge2", "rededge078": "rededge3"}
    assets = {key: {"href": f"{key}.tif"} for key in ("red", "green", "blue", "scl")} | {
        f"a{number}": {"href": f"{band}.tif", "bands": [{"eo:common_name": name}]}
        for number, (name, band) in enumerate(names.items())
    }
    assert {band: href for band, href in found(assets).items() if "edge" in band} == {
        band: f"{band}.tif" for band in names.values()
    }


def test_planetary_computers_narrow_infrared_is_no_red_edge() -> None:
    described = {
        "eo:bands": [{"name": "B8A", "common_name": "rededge", "center_wavelength": 0.865}]
    }
    assets = NAMINGS["Earth Search v0, Planetary Computer"]
    assets = assets | {"B8A": assets["B8A"] | described}
    assert found(assets)["nir08"] == "B8A.tif"
    keyless = {key: asset for key, asset in assets.items() if key != "B8A"}
    assert found(keyless | {"x": assets["B8A"]})["nir08"] == "B8A.tif"


def test_the_file_of_the_bands_own_resolution_goes_first() -> None:
    assets = {}
    for key, code in CODES.items():
        for metres in (60, 20, 10):
            if metres >= METRES[key]:
                assets[f"{code}_{metres}m"] = {"href": f"s{metres}/{code}.jp2", "gsd": metres}
    assert found(assets) == {key: f"s{METRES[key]}/{CODES[key]}.jp2" for key in CODES}


@pytest.mark.parametrize(
    "worse",
    [
        {"type": "image/jp2"},
        {"href": "B04_other.jp2"},
        {"gsd": 60},
        {"raster:bands": [{"spatial_resolution": 320}]},
        {"proj:transform": [20, 0, 300_000, 0, -20, 4_000_020]},
        {"roles": ["overview"]},
        {"roles": ["thumbnail", "x", 5], "type": "image/tiff"},
        {"type": "image/jpeg"},
        {"type": "application/json"},
        {"href": "B04.png"},
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_of_several_assets_of_a_band_the_data_is_read(worse: dict[str, Any], first: bool) -> None:
    described = {"eo:bands": [{"name": "B04", "common_name": "red"}]}
    good = {"href": "good.tif", "gsd": 10, **described}
    twin = {"href": "worse.tif", **described} | worse
    pair = {"x1": twin, "x2": good} if first else {"x1": good, "x2": twin}
    others = {key: {"href": file_of(key)} for key in ("green", "blue", "scl")}
    assert found(pair | others)["red"] == "good.tif"


def test_a_twin_or_an_alternate_that_can_be_read_stands_for_one_that_cannot() -> None:
    item = c1_item()
    assets = item["assets"]
    assets["red-https"] = assets["red"] | {"href": "https://pixels.example/B04.tif"}
    assets["red"] |= {"href": "s3://bucket/B04.tif"}
    assets["green"] |= {
        "href": "s3://bucket/B03.tif",
        "alternate": {
            "login": {"href": "https://login.example/B03.tif", "auth:refs": ["oidc"]},
            "https": {"href": "https://pixels.example/B03.tif"},
        },
    }
    scene = scene_from_item(RawItem(item=item, base="https://stac.example/"))
    assert scene.assets["red"] == "https://pixels.example/B04.tif"
    assert scene.assets["green"] == "https://pixels.example/B03.tif"


@pytest.mark.parametrize(
    "key", ["infra_red", "red-edge", "near-red", "redish", "B040", "B04_B03", "red_green", "cred"]
)
def test_names_that_only_look_like_a_band_are_none(key: str) -> None:
    assets = {name: {"href": "x"} for name in ("green", "blue", "scl")} | {key: {"href": "y"}}
    with pytest.raises(ItemError, match="it has no red asset"):
        find_assets(assets, SENTINEL2)


def test_metadata_counts_for_more_than_the_parts_of_a_name() -> None:
    assets = {
        f"B{number}": {"href": f"{key}.tif", "eo:bands": [{"common_name": key}]}
        for number, key in enumerate(("blue", "green", "red"), start=1)
    } | {"scl": {"href": "scl.tif"}}
    assert found(assets)["red"] == "red.tif"


@pytest.mark.parametrize(
    "said",
    [
        {"title": "Scene classification map (SCL)"},
        {"title": "Scene Classification Layer"},
        {"classification:classes": [{"value": value} for value in range(12)]},
        {"bands": [{"classification:classes": [{"value": value} for value in range(1, 12)]}]},
        {"bands": [{"name": "SCL"}]},
        {"eo:bands": [{"name": "b1", "description": "SCL"}]},
    ],
)
def test_a_classification_is_known_by_what_is_said_of_it(said: dict[str, Any]) -> None:
    assets = {key: {"href": file_of(key)} for key in ("red", "green", "blue")}
    masks = {"clouds": {"href": "c.tif", "classification:classes": [{"value": 0}, {"value": 1}]}}
    assert found(assets | masks | {"x": {"href": "classes.tif"} | said})["scl"] == "classes.tif"


def test_bands_in_one_file_are_named() -> None:
    bands = [{"name": code} for code in CODES.values()]
    with pytest.raises(ItemError, match="'stack' holds several bands, and each needs a file"):
        find_assets({"stack": {"href": "all.tif", "bands": bands}}, SENTINEL2)


@given(st.data())
def test_case_and_separators_do_not_matter(data: st.DataObject) -> None:
    separator = data.draw(st.sampled_from("-_. /"))
    assets = {}
    for key, code in CODES.items():
        words = [*data.draw(st.permutations(["T54SUE", code, f"{METRES[key]}m", "20240512"]))]
        name = separator.join(words)
        cased = "".join(data.draw(st.sampled_from((c.lower(), c.upper()))) for c in name)
        assets[cased] = {"href": f"{key}.tif"}
    assert found(assets) == {key: f"{key}.tif" for key in CODES}
