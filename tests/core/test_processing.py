"""What items say of baseline and offset, in the fields that catalogues have for it."""

from typing import Any

import pytest

from keenkite.catalog.processing import baseline, offset_applied, product_id, raster_offset
from keenkite.catalog.stac_items import RawItem, scene_from_item
from tests.support.earth_search import c1_item

PRODUCT = "S2A_MSIL2A_20200219T112111_N0214_R037_T29RKH_20200219T123947"
ID = "S2A_29RKH_20200219_0_L2A"


@pytest.mark.parametrize(
    ("item_id", "properties", "found"),
    [
        (ID, {"s2:processing_baseline": "05.10"}, "05.10"),
        (ID, {"s2:processing_baseline": "2.14"}, "02.14"),
        (ID, {"s2:processing_baseline": 2.14}, "02.14"),
        (ID, {"s2:processing_baseline": 5.1}, "05.10"),
        (ID, {"s2:processing_baseline": 4}, "04.00"),
        (ID, {"s2:processing_baseline": 214}, "02.14"),
        (ID, {"s2:processing_baseline": "N0509"}, "05.09"),
        (ID, {"sentinel2:processing_baseline": "04.00"}, "04.00"),
        (ID, {"processingBaseline": 5.09}, "05.09"),
        (ID, {"processing:version": "05.11"}, "05.11"),
        (ID, {"processing:version": "1.2"}, None),
        (ID, {"processing:version": "2024.02.01"}, None),
        (ID, {"s2:product_uri": f"{PRODUCT}.SAFE"}, "02.14"),
        (ID, {"sentinel:product_id": PRODUCT}, "02.14"),
        (ID, {"s2:datatake_id": "GS2A_20230818T100031_042590_N05.09"}, "05.09"),
        (PRODUCT, {}, "02.14"),
        (PRODUCT, {"s2:processing_baseline": "05.00"}, "05.00"),
        (PRODUCT.replace("N0214", "N9999"), {}, None),
        (ID, {"s2:processing_baseline": "99.99", "s2:product_uri": PRODUCT}, "02.14"),
        (ID, {"s2:processing_baseline": True, "title": 5, "x": None}, None),
        (ID, {"s2:processing_baseline": "latest"}, None),
        (ID, {"s2:processing_baseline": ["05.10"]}, None),
        (ID, {}, None),
    ],
)
def test_the_baseline_is_found_wherever_it_is(
    item_id: str, properties: dict[str, Any], found: str | None
) -> None:
    assert baseline(item_id, properties) == found


@pytest.mark.parametrize(
    ("properties", "claim"),
    [
        ({"earthsearch:boa_offset_applied": True}, True),
        ({"sentinel:boa_offset_applied": False}, False),
        ({"earthsearch:boa_offset_applied": "true"}, True),
        ({"earthsearch:boa_offset_applied": True, "sentinel:boa_offset_applied": False}, None),
        ({"earthsearch:boa_offset_applied": None}, None),
        ({}, None),
    ],
)
def test_a_flag_of_any_catalog_is_a_claim(properties: dict[str, Any], claim: bool | None) -> None:
    assert offset_applied(properties) is claim


@pytest.mark.parametrize(
    ("asset", "amount"),
    [
        ({"raster:bands": [{"scale": 0.0001, "offset": -0.1}]}, -1000),
        ({"raster:bands": [{"scale": 0.0001, "offset": 0}]}, 0),
        ({"raster:bands": [{"offset": 0}]}, 0),
        ({"raster:bands": [{"offset": -0.1}]}, -1000),
        ({"raster:bands": [{"scale": 1, "offset": -1000}]}, -1000),
        ({"raster:bands": [{"scale": 1.0, "offset": 0.0}]}, None),  # what rio-stac writes always
        ({"raster:bands": [{"scale": 0.0001}]}, None),
        ({"bands": [{"raster:scale": 0.0001, "raster:offset": -0.1}]}, -1000),
        ({"raster:scale": 0.0001, "raster:offset": -0.1}, -1000),
        ({"bands": [{"name": "B02"}], "raster:scale": 0.0001, "raster:offset": 0}, 0),
        ({"raster:bands": [{"scale": 0, "offset": -0.1}]}, None),
        ({"raster:bands": [{"scale": 0.0001, "offset": 10**400}]}, None),
        ({"raster:bands": [None], "bands": "blue"}, None),
        ({"raster:bands": []}, None),
        ({}, None),
    ],
)
def test_scale_and_offset_say_what_must_be_added(
    asset: dict[str, Any], amount: float | None
) -> None:
    assert raster_offset(asset) == amount


@pytest.mark.parametrize(
    ("item_id", "properties", "found"),
    [
        (ID, {"s2:product_uri": f"{PRODUCT}.SAFE"}, PRODUCT),
        (ID, {"s2:product_id": f"/eodata/Sentinel-2/MSI/L2A/2020/02/19/{PRODUCT}.SAFE"}, PRODUCT),
        (PRODUCT.replace("_N0214", ""), {}, PRODUCT.replace("_N0214", "")),
        (ID, {"title": PRODUCT.replace("L2A", "L1C"), "note": 5}, None),
    ],
)
def test_the_product_is_found_wherever_it_is(
    item_id: str, properties: dict[str, Any], found: str | None
) -> None:
    assert product_id(item_id, properties) == found


def test_a_scene_has_what_its_item_says() -> None:
    item = c1_item()
    kept = {k: v for k, v in item["properties"].items() if not k.startswith("s2:")}
    item["properties"] = kept | {
        "sentinel:product_id": PRODUCT,
        "sentinel:boa_offset_applied": False,
    }
    item["assets"]["blue"]["raster:bands"] = [{"scale": 0.0001, "offset": 0}]
    scene = scene_from_item(RawItem(item=item, base="https://stac.example/"))
    assert (scene.baseline, scene.boa_offset_applied, scene.raster_offset) == ("02.14", False, 0)
