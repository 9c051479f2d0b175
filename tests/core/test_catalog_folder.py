"""Folders of items as people keep them: links, other names, byte order marks, broken files."""

from __future__ import annotations

import codecs
import json
import logging
import os
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from keenkite.area import Area
from keenkite.catalog import ItemFolder, account_of, open_catalog
from keenkite.catalog.stac_items import RawItem, scene_from_item
from keenkite.errors import CatalogError
from tests.support.earth_search import NOON, c1_item

KANTO = Area.from_bbox(139.0, 35.3, 139.6, 35.8)
START, END = date(2024, 4, 1), date(2024, 6, 30)


def item_on(day: int, **changes: Any) -> dict[str, Any]:
    return c1_item(time=NOON + timedelta(days=day)) | changes


def put(path: Path, item: dict[str, Any], encoding: str = "utf-8") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(json.dumps(item).encode(encoding))
    return path


def days(folder: Path | str, area: Area = KANTO, max_cloud: float | None = None) -> list[int]:
    """Days after the first of the scenes that are found."""
    scenes = open_catalog(str(folder)).search(area, START, END, max_cloud=max_cloud)
    return [(scene.datetime - NOON).days for scene in scenes]


def test_items_are_found_by_any_ending_of_json(tmp_path: Path) -> None:
    for day, name in enumerate(("a.json", "b.geojson", "C.JSON", "d.GeoJSON")):
        put(tmp_path / str(day) / name, item_on(day))
    put(tmp_path / "e.json.bak", item_on(9))
    assert days(tmp_path) == [0, 1, 2, 3]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32", "utf-8"])
def test_a_byte_order_mark_is_no_matter(encoding: str, tmp_path: Path) -> None:
    file = put(tmp_path / "item.json", item_on(0, title="Süd"), encoding)
    if encoding != "utf-8":
        marks = (codecs.BOM_UTF8, codecs.BOM_UTF16, codecs.BOM_UTF32)
        assert file.read_bytes().startswith(marks)
    assert days(tmp_path) == [0]
    assert days(file) == [0]
    assert days(file.as_uri()) == [0]


def test_links_to_folders_and_files_are_followed(tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    put(archive / "a" / "item.json", item_on(1))
    put(archive / "b.json", item_on(2))
    mine = tmp_path / "mine"
    put(mine / "own.json", item_on(0))
    (mine / "a").symlink_to(archive / "a")
    (mine / "b.json").symlink_to(archive / "b.json")
    assert days(mine) == [0, 1, 2]
    (tmp_path / "all").symlink_to(mine)
    assert days(tmp_path / "all") == [0, 1, 2]


def test_links_that_lead_back_end(tmp_path: Path) -> None:
    put(tmp_path / "a" / "item.json", item_on(0))
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "a" / "self").symlink_to(tmp_path / "a")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    (tmp_path / "lost").symlink_to(tmp_path / "nowhere")
    (tmp_path / "lost.json").symlink_to(tmp_path / "nowhere.json")
    scenes = ItemFolder(tmp_path).search(KANTO, START, END)
    assert len(scenes) == 1
    assert scenes.account.counts["found"] == 1, "a folder is looked in once"


def test_files_are_found_beside_a_linked_item_or_where_it_really_is(tmp_path: Path) -> None:
    item = item_on(0)
    for key, asset in item["assets"].items():
        asset["href"] = f"./{key}.tif"
    put(tmp_path / "store" / "item.json", item)
    for key in ("red", "green", "blue", "scl"):
        (tmp_path / "store" / f"{key}.tif").touch()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "item.json").symlink_to(tmp_path / "store" / "item.json")
    (scene,) = open_catalog(str(tmp_path / "mine")).search(KANTO, START, END)
    assert scene.assets["red"] == str(tmp_path / "store" / "red.tif")
    (tmp_path / "mine" / "red.tif").touch()
    (scene,) = open_catalog(str(tmp_path / "mine")).search(KANTO, START, END)
    assert scene.assets["red"] == str(tmp_path / "mine" / "red.tif")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    put(tmp_path / "a.json", item_on(0))
    (tmp_path / "closed").mkdir(mode=0)
    assert days(tmp_path) == [0]
    assert "closed left out" in caplog.text


def test_a_thousand_files_with_some_bad_ones_are_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(1000):
        (tmp_path / f"{number}.json").write_text('{"type": "Collection"}')
    for name, content in {"x.json": b"{", "y.json": b"\xff", "z.json": b"[1"}.items():
        (tmp_path / name).write_bytes(content)
    put(tmp_path / "zz" / "item.geojson", item_on(3))
    with caplog.at_level(logging.WARNING):
        assert days(tmp_path) == [3]
    assert sum("left out, it is not JSON" in message for message in caplog.messages) == 3


def test_items_of_a_collection_that_says_their_version_are_items(tmp_path: Path) -> None:
    items = [item_on(0), item_on(1)]
    for item in items:
        del item["stac_version"]
    whole = {"type": "FeatureCollection", "features": [*items, 7]}
    put(tmp_path / "a.json", whole)
    with pytest.raises(CatalogError, match="no STAC items"):
        days(tmp_path)
    put(tmp_path / "a.json", whole | {"stac_version": "1.0.0"})
    assert days(tmp_path) == [0, 1]


@pytest.mark.parametrize(
    ("times", "day"),
    [
        ({"datetime": None, "start_datetime": "2024-05-14T01:00:00Z"}, 14),
        ({"datetime": None, "end_datetime": "2024-05-14T01:00:00Z"}, 14),
        (
            {
                "datetime": None,
                "start_datetime": "2024-05-13T23:59:00Z",
                "end_datetime": "2024-05-14T00:01:00Z",
            },
            13,
        ),
        ({"datetime": "2024-05-14 01:00:00+00:00"}, 14),
        ({"datetime": None}, 12),
        ({"datetime": ..., "s2:product_uri": None}, 12),
    ],
)
def test_an_item_without_a_moment_has_the_start_of_its_time(
    times: dict[str, Any], day: int
) -> None:
    item = c1_item()
    item["properties"] |= times
    item["properties"] = {k: v for k, v in item["properties"].items() if v is not ...}
    scene = scene_from_item(RawItem(item=item, base="https://stac.example/"))
    assert (scene.date.month, scene.date.day) == (5, day)


@pytest.mark.parametrize(
    ("stated", "cloud"),
    [
        ({"eo:cloud_cover": 7.5}, 0.075),
        ({"eo:cloud_cover": "7.5"}, 0.075),
        ({"eo:cloud_cover": 0}, 0.0),
        ({"eo:cloud_cover": 100.0001}, 1.0),
        ({"eo:cloud_cover": None, "cloudCover": 40}, 0.4),
        ({"eo:cloud_cover": -1}, None),
        ({"eo:cloud_cover": None}, None),
        ({"eo:cloud_cover": "little"}, None),
        ({"eo:cloud_cover": True}, None),
    ],
)
def test_cloud_is_what_is_stated_or_not_known(stated: dict[str, Any], cloud: float | None) -> None:
    item = c1_item()
    item["properties"] |= stated
    scene = scene_from_item(RawItem(item=item, base="https://stac.example/"))
    assert scene.cloud == pytest.approx(cloud) if cloud is not None else scene.cloud is None


def test_an_item_that_does_not_state_its_cloud_is_never_too_cloudy(tmp_path: Path) -> None:
    item = item_on(0)
    del item["properties"]["eo:cloud_cover"]
    put(tmp_path / "a.json", item)
    assert days(tmp_path, max_cloud=0) == [0]


@pytest.mark.parametrize(
    ("stated", "platform"),
    [
        ("sentinel-2a", "S2A"),
        ("Sentinel-2A", "S2A"),
        ("SENTINEL_2C", "S2C"),
        ("sentinel2b", "S2B"),
        ("S2A", "S2A"),
        ("sentinel-2", "S2"),
        (None, "S2"),
    ],
)
def test_a_platform_is_known_however_it_is_written(stated: str | None, platform: str) -> None:
    item = c1_item() | {"id": "mine"}
    item["properties"] |= {"platform": stated, "s2:product_uri": None}
    scene = scene_from_item(RawItem(item=item, base="https://stac.example/"))
    assert scene.platform == platform


def test_what_a_folder_holds_is_told_where_nothing_is_left(tmp_path: Path) -> None:
    for number, item in enumerate((item_on(0), item_on(400), item_on(-400), item_on(1))):
        if number == 3:
            item["properties"]["eo:cloud_cover"] = 90
        put(tmp_path / f"{number}.json", item)
    folder = ItemFolder(tmp_path)
    elsewhere = folder.search(Area.from_bbox(10, 50, 11, 51), START, END, max_cloud=20)
    assert elsewhere == []
    assert account_of(elsewhere) == (
        f"{tmp_path} gave 4 items: 2 of other days, 1 with more than 20 % cloud (the clearest has "
        f"90 %), 1 that show none of the area; "
    )
    assert account_of([]) == "", "a catalogue of another make tells nothing"
