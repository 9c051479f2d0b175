"""Hrefs lead where their item means: files, URLs, S3 where it is allowed; and nowhere else."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keenkite.area import Area
from keenkite.catalog import open_catalog
from keenkite.catalog.hrefs import home_of, locate
from keenkite.catalog.stac_items import ItemError, RawItem, scene_from_item
from keenkite.errors import CatalogError
from tests.support.earth_search import c1_item, replay, serving

URL = "https://stac.example/v1/search"


def item_with(*hrefs: str, own: str | None = None) -> dict[str, Any]:
    links = [] if own is None else [{"rel": "root", "href": "/"}, {"rel": "self", "href": own}]
    return {"links": links, "assets": {str(n): {"href": href} for n, href in enumerate(hrefs)}}


def located(href: Any, base: Path | str = URL, **options: Any) -> str:
    return locate({"href": href}, "red", base, **options)


# On the network


@pytest.mark.parametrize(
    ("href", "url"),
    [
        ("https://h/a.tif", "https://h/a.tif"),
        ("HTTP://h/a.tif", "http://h/a.tif"),
        ("./a.tif", "https://stac.example/v1/a.tif"),
        ("../a.tif", "https://stac.example/a.tif"),
        ("/etc/passwd", "https://stac.example/etc/passwd"),
        ("//h/a.tif", "https://h/a.tif"),
        (" https://h/a.tif\n", "https://h/a.tif"),
        ("https://h/my scene/a.tif", "https://h/my%20scene/a.tif"),
        ("https://h/my%20scene/a.tif", "https://h/my%20scene/a.tif"),
        ("my scene/a b.tif", "https://stac.example/v1/my%20scene/a%20b.tif"),
        ("https://h/Süd/100%/a#1.tif", "https://h/S%C3%BCd/100%25/a%231.tif"),
        ("https://h/a.tif?sig=a%2Bb%3D&se=2024-05-12T01:00Z", None),
        ("https://h:8080/a+b,c;d@e!f(1)~.tif?x=y z", "https://h:8080/a+b,c;d@e!f(1)~.tif?x=y%20z"),
        ("https://user:p%40ss@h/a.tif", None),
        ("/vsicurl/https://h/a.tif", "https://h/a.tif"),
    ],
)
def test_a_url_is_written_as_urls_are(href: str, url: str | None) -> None:
    assert located(href) == (url or href)
    assert located(located(href)) == located(href), "once is enough"


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_any_path_becomes_a_url_or_is_refused(path: str) -> None:
    try:
        url = located(f"https://h/{path}")
    except ItemError:
        return
    assert url.isascii()
    assert not any(sign.isspace() for sign in url)


@pytest.mark.parametrize(
    ("own", "base", "home"),
    [
        (None, URL, URL),
        ("https://stac.example/v1/items/x", URL, "https://stac.example/v1/items/x"),
        ("items/x.json", URL, "https://stac.example/v1/items/x.json"),
        ("s3://bucket/x.json", URL, URL),
        ("file:///etc/x.json", URL, URL),
        ("http://[", URL, URL),
        ("", URL, URL),
    ],
)
def test_relative_hrefs_start_from_the_items_own_address(
    own: str | None, base: str, home: str
) -> None:
    assert home_of(item_with("a.tif", own=own), base) == home


def test_an_items_own_address_counts_in_an_api() -> None:
    item = c1_item()
    own = "https://pixels.example/archive/2024/item.json"
    item["links"] = [{"rel": "self", "href": own}]
    for asset in item["assets"].values():
        asset["href"] = f"./{asset['href'].rpartition('/')[2]}"
    with serving(replay([[item]])) as server:
        area, days = Area.around(139.3, 35.5, 10), date(2024, 5, 12)
        (scene,) = open_catalog(server.url).search(area, days, days)
        assert scene.assets["red"] == "https://pixels.example/archive/2024/B04.tif"
        del item["links"]
        (scene,) = open_catalog(server.url).search(area, days, days)
        assert scene.assets["red"] == f"{server.url}/B04.tif"


@pytest.mark.parametrize(
    "href", ["file:///etc/passwd", "gs://b/a.tif", "/vsizip/a.zip", "ftp://h/a"]
)
def test_an_api_names_nothing_but_urls(href: str) -> None:
    if href.startswith("/"):
        assert located(href) == f"https://stac.example{href}"
        return
    with pytest.raises(ItemError, match=r"red asset is at \w+://, and only http\(s\) URLs"):
        located(href)


# In a folder


def test_files_are_found_by_the_name_that_is_written_or_meant(tmp_path: Path) -> None:
    for name in ("my scene/a.tif", "100%25/a.tif", "b#1?.tif"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    items = tmp_path / "items"
    items.mkdir()
    for href, name in {
        "../my scene/a.tif": "my scene/a.tif",
        "../my%20scene/a.tif": "my scene/a.tif",
        "../100%25/a.tif": "100%25/a.tif",  # a folder of this very name
        "../b#1?.tif": "b#1?.tif",
        "../b%231%3F.tif": "b#1?.tif",
        "..\\my scene\\a.tif": "my scene/a.tif",
        (tmp_path / "my scene/a.tif").as_uri(): "my scene/a.tif",
        f"file://localhost{tmp_path}/my%20scene/a.tif": "my scene/a.tif",
        f"{tmp_path}/my scene/a.tif": "my scene/a.tif",
        "nowhere%20else.tif": "items/nowhere else.tif",
    }.items():
        assert located(href, items) == str(tmp_path / name), href
    assert located("https://h/a b.tif", items) == "https://h/a%20b.tif"


def test_an_item_alone_leads_to_where_it_came_from(tmp_path: Path) -> None:
    own = "https://pixels.example/x/item.json"
    item = item_with("./a.tif", own=own)
    assert home_of(item, tmp_path) == own
    (tmp_path / "a.tif").touch()
    assert home_of(item, tmp_path) == tmp_path, "the files beside it go first"
    assert home_of(item_with("./b.tif"), tmp_path) == tmp_path
    assert home_of(item_with("/b.tif", own=own), tmp_path) == tmp_path


def test_an_item_that_is_a_link_has_its_files_here_or_there(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()
    item = item_with("./a.tif")
    (there / "a.tif").touch()
    assert home_of(item, here, linked=there) == there
    (here / "a.tif").touch()
    assert home_of(item, here, linked=there) == here


@pytest.mark.parametrize(
    ("href", "message"),
    [
        (None, "no href"),
        ("", "no href"),
        (5, "no href"),
        ("\ud800.tif", "no href"),
        ("a\0b.tif", "cannot be used"),
        ("gs://bucket/a.tif", r"at gs://, and only files and http\(s\) URLs"),
    ],
)
def test_a_file_that_cannot_be_meant_is_said(href: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(ItemError, match=message):
        located(href, tmp_path)


# S3


def test_s3_is_read_where_the_operator_allows_it(tmp_path: Path) -> None:
    href = "s3://eodata/Sentinel-2/MSI/L2A/B04_10m.jp2"
    for base in (URL, tmp_path):
        assert located(href, base, allow_s3=True) == href
        assert located(f"/vsis3/{href[5:]}", base, allow_s3=True) == href
        with pytest.raises(ItemError, match=r"s3://eodata: reading from S3 is off.*--allow-s3 or"):
            located(href, base)
    with pytest.raises(ItemError, match="s3://, and only"):
        located("s3:///a.tif", allow_s3=True)


def test_a_catalog_says_how_s3_is_allowed(tmp_path: Path) -> None:
    item = c1_item()
    for asset in item["assets"].values():
        asset["href"] = f"s3://eodata/{asset['href'].rpartition('/')[2]}"
    (tmp_path / "item.json").write_text(json.dumps(item))
    area, day = Area.around(139.3, 35.5, 10), date(2024, 5, 12)
    with serving(replay([[item]])) as server:
        for place in (server.url, str(tmp_path)):
            (scene,) = open_catalog(place, allow_s3=True).search(area, day, day)
            assert scene.assets["scl"] == "s3://eodata/SCL.tif"
            with pytest.raises(CatalogError, match=r"KEENKITE_ALLOW_S3=1.*AWS_ACCESS_KEY_ID"):
                open_catalog(place).search(area, day, day)


def test_a_band_that_is_not_needed_is_left_out_where_it_cannot_be_read() -> None:
    item = c1_item()
    item["assets"]["nir"]["href"] = "s3://bucket/B08.tif"
    scene = scene_from_item(RawItem(item=item, base=URL))
    assert set(scene.assets) == {"red", "green", "blue", "scl"}
