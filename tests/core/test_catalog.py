"""Folders of items and STAC APIs are searched alike, and what goes wrong is said."""

import json
import logging
import socket
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from keenkite.area import Area
from keenkite.catalog import Catalog, ItemFolder, StacApi, open_catalog
from keenkite.errors import CatalogError
from tests.support.earth_search import (
    NOON,
    Reply,
    Request,
    Server,
    c1_item,
    landing,
    legacy_item,
    replay,
    serving,
)
from tests.support.paths import SHARED

KANTO = Area.from_bbox(139.0, 35.3, 139.6, 35.8)
START, END = date(2024, 4, 1), date(2024, 6, 30)


def dates(number: int, **options: Any) -> list[dict[str, Any]]:
    return [c1_item(time=NOON + timedelta(days=day), **options) for day in range(number)]


def search(catalog: Catalog, area: Area = KANTO, max_cloud: float = 20) -> list[str]:
    return [scene.id for scene in catalog.search(area, START, END, max_cloud=max_cloud)]


def search_api(server: Server, **options: Any) -> list[str]:
    return search(StacApi(server.url, backoff=0.01), **options)


# A folder


def test_items_are_found_in_all_folders(tmp_path: Path) -> None:
    for number, item in enumerate(dates(3)):
        folder = tmp_path / "years" / str(number)
        folder.mkdir(parents=True)
        for asset in item["assets"].values():
            asset["href"] = asset["href"].rpartition("/")[2]
        (folder / "B04.tif").touch()
        (folder / "item.json").write_text(json.dumps(item))
    scenes = open_catalog(str(tmp_path)).search(KANTO, START, END, max_cloud=20)
    assert [scene.id for scene in scenes] == [item["id"] for item in dates(3)]
    assert scenes[1].assets["scl"] == str(tmp_path / "years" / "1" / "SCL.tif")


def test_an_item_collection_or_a_catalog_file_may_be_named(tmp_path: Path) -> None:
    file = tmp_path / "items.json"
    file.write_text(json.dumps({"type": "FeatureCollection", "features": dates(2)}))
    (tmp_path / "catalog.json").write_text(json.dumps({"type": "Catalog", "id": "mine"}))
    expected = [item["id"] for item in dates(2)]
    for path in (file, tmp_path, tmp_path / "catalog.json"):
        assert search(open_catalog(str(path))) == expected


def test_other_json_is_passed_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "item.json").write_text(json.dumps(c1_item()))
    feature: dict[str, Any] = {"type": "Feature", "geometry": None, "properties": {}}
    for number, content in enumerate(
        [[1], 7, "x", {}, {"type": []}, feature, {"type": "FeatureCollection", "features": 5}]
    ):
        (tmp_path / f"other{number}.json").write_text(json.dumps(content))
    assert search(ItemFolder(tmp_path)) == [c1_item()["id"]]
    assert not caplog.messages


@pytest.mark.parametrize("content", [b'{"type": "Feature",', b"\xff\xfe", b"", b"[" * 100_000])
def test_malformed_json_is_left_out_with_a_warning(
    content: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "good.json").write_text(json.dumps(c1_item()))
    (tmp_path / "broken.json").write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert search(ItemFolder(tmp_path)) == [c1_item()["id"]]
    assert "broken.json left out" in caplog.messages[0]


def test_a_folder_without_items_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match=r"no STAC items in .*stac_version"):
        search(ItemFolder(tmp_path))


def test_a_folder_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match=r"there is no .*nowhere"):
        open_catalog(str(tmp_path / "nowhere"))
    with pytest.raises(CatalogError, match="s3://"):
        open_catalog("s3://user:secret@bucket/items")


def test_an_area_or_days_outside_have_no_scenes(tmp_path: Path) -> None:
    (tmp_path / "item.json").write_text(json.dumps(c1_item()))
    folder = ItemFolder(tmp_path)
    assert search(folder, Area.from_bbox(10, 50, 11, 51)) == []
    assert folder.search(KANTO, date(2020, 1, 1), date(2020, 2, 1), max_cloud=20) == []


@pytest.mark.skipif(not SHARED.exists(), reason="needs ../shared: real items")
def test_a_folder_of_real_items_is_searched() -> None:
    folder = open_catalog(str(SHARED / "data" / "stac"))
    days = date(2025, 4, 1), date(2025, 4, 30)
    for area in (Area.from_bbox(179.5, 67.8, -179.5, 68.2), Area.from_bbox(-180, 67.8, -179.5, 68)):
        (scene,) = folder.search(area, *days, max_cloud=100)
        assert scene.id == "S2B_T01WCR_20250427T000611_L2A"
    assert folder.search(Area.from_bbox(-170, 67.8, 170, 68.2), *days, max_cloud=100) == []


# An API


def test_pages_are_followed_as_earth_search_links_them() -> None:
    pages = [dates(3), [*dates(5)[3:], legacy_item(generated=NOON + timedelta(days=900))]]
    with serving(replay(pages)) as server:
        assert search_api(server) == [item["id"] for item in dates(5)]
    assert [request.method for request in server.requests] == ["GET", "POST", "POST"]
    first, second = (request.body for request in server.searches)
    assert first == {
        "limit": 100,
        "collections": ["sentinel-2-c1-l2a", "sentinel-2-l2a"],
        "bbox": [139.0, 35.3, 139.6, 35.8],
        "datetime": "2024-04-01T00:00:00Z/2024-06-30T23:59:59.999Z",
        "query": {"eo:cloud_cover": {"lte": 20}},
    }
    assert second == first | {"next": "1"}


def test_filter_is_never_sent() -> None:
    areas = [KANTO, Area.from_bbox(179.5, -17, -179.5, -16), Area.around(139.3, 35.5, 10)]
    with serving(replay([dates(1), dates(2)])) as server:
        for area in areas:
            search_api(server, area=area, max_cloud=12.5)
    assert len(server.searches) == 2 * 4
    for request in server.requests:
        assert not any("filter" in name for name in [*request.query, *(request.body or {})])


def test_an_area_across_the_antimeridian_is_asked_for_on_both_sides() -> None:
    item = c1_item(grid="01KAB", epsg=32701, west=199_980, north=8_200_000)
    with serving(replay([[item]])) as server:
        assert search_api(server, area=Area.from_bbox(179.5, -17, -179.5, -16)) == [item["id"]]
    boxes = [request.body["bbox"] for request in server.searches]
    assert boxes == [[179.5, -17, 180, -16], [-180, -17, -179.5, -16]]


def test_an_api_without_query_or_post_is_searched_all_the_same() -> None:
    items = [*dates(2), c1_item(time=NOON + timedelta(days=9), cloud=80)]

    def answer(request: Request, server: Server) -> Reply:
        if request.path.endswith("/search"):
            return 200, {"type": "FeatureCollection", "features": items}
        page = landing(server) | {"conformsTo": []}
        page["links"] = [link for link in page["links"] if link.get("method") != "POST"]
        return 200, page

    with serving(answer) as server:
        assert search_api(server) == [item["id"] for item in dates(2)]
    (request,) = server.searches
    assert request.method == "GET"
    assert request.query["bbox"] == ["139.0,35.3,139.6,35.8"]
    assert "query" not in request.query


def failing(*failures: Reply) -> Callable[[Request, Server], Reply]:
    """The first replies of a search; then what Earth Search replies."""
    left, well = list(failures), replay([dates(1)])

    def answer(request: Request, server: Server) -> Reply:
        return left.pop(0) if left and request.path.endswith("/search") else well(request, server)

    return answer


FORBIDDEN = (403, {"message": "Forbidden"})


@pytest.mark.parametrize("failure", [(503, b""), (429, b"slow down"), FORBIDDEN, (502, b"<html>")])
def test_a_request_that_fails_twice_is_sent_again(failure: Reply) -> None:
    with serving(failing(failure, failure)) as server:
        assert search_api(server) == [dates(1)[0]["id"]]
    assert len(server.searches) == 3


@pytest.mark.parametrize(
    ("failure", "tries", "message"),
    [
        ((502, b"<html>Bad Gateway</html>"), 6, r"answered 502: it is overloaded or fails: try"),
        (FORBIDDEN, 6, r"answered 403 .*Forbidden.*try again later"),
        ((403, b"no such key"), 1, r"answered 403 \(no such key\): check the user, password"),
        ((400, {"detail": "bad bbox"}), 1, r"answered 400 .*bad bbox"),
        ((200, b"<html>hello</html>"), 1, r"answers, but not as a STAC API"),
        ((200, [1, 2]), 1, r"answers, but not as a STAC API"),
        ((200, {"features": 7}), 1, r"answers, but not as a STAC API"),
        ((200, {"features": [7]}), 1, r"answers, but not as a STAC API"),
    ],
)
def test_an_api_that_fails_for_good_is_an_error(failure: Reply, tries: int, message: str) -> None:
    with (
        serving(failing(*[failure] * 10)) as server,
        pytest.raises(CatalogError, match=message) as caught,
    ):
        search_api(server)
    assert len(server.searches) == tries
    assert server.url.split("/")[2] in str(caught.value)


def test_an_api_that_fails_in_the_middle_of_its_pages_is_an_error() -> None:
    pages = replay([dates(1), dates(2), dates(3)])

    def answer(request: Request, server: Server) -> Reply:
        second = request.body is not None and request.body.get("next") == "1"
        return (500, b"") if second else pages(request, server)

    with serving(answer) as server, pytest.raises(CatalogError, match="answered 500"):
        search_api(server)


@pytest.mark.parametrize(
    ("page", "message"),
    [
        (b"<html>", "not as a STAC API"),
        ([], "not as a STAC API"),
        ({"links": "none"}, "not as a STAC API"),
        ({"type": "Catalog", "links": []}, "not a STAC API with item search"),
    ],
)
def test_a_url_that_is_no_stac_api_is_an_error(page: Any, message: str) -> None:
    with serving(lambda *_: (200, page)) as server, pytest.raises(CatalogError, match=message):
        search_api(server)


def test_an_api_nobody_listens_at_is_an_error() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(CatalogError, match=f"{host} cannot be reached: .*refused") as caught:
            search(StacApi(f"http://user:hidden@{host}/v1?token=alsohidden", backoff=0.01))
    assert "hidden" not in str(caught.value)
    assert caught.value.__suppress_context__, "the cause would be printed, and has the URL"


@pytest.mark.parametrize("url", ["https://", "http://user:hidden@:80/", "http://[", "ftp://host"])
def test_a_url_that_is_none_is_an_error(url: str) -> None:
    with pytest.raises(CatalogError, match="https://host/path") as caught:
        StacApi(url)
    assert "hidden" not in str(caught.value)


def test_credentials_go_with_each_request_to_the_host_and_to_no_other() -> None:
    def elsewhere(request: Request, server: Server) -> Reply:
        return 200, {"features": dates(1)}

    def answer(request: Request, server: Server) -> Reply:
        link = {"rel": "next", "href": f"{other.url}/more"}
        if request.path.endswith("/search"):
            return 200, {"features": dates(2), "links": [link]}
        return 200, landing(server)

    with serving(elsewhere) as other, serving(answer) as server:
        url = server.url.replace("://", "://me:p%40ss@") + "?token=abc"
        assert len(search(StacApi(url))) == 2
    assert len(server.requests) == 2
    for request in server.requests:
        assert request.headers["Authorization"] == "Basic bWU6cEBzcw=="
        assert request.query["token"] == ["abc"]
    (leaked,) = other.requests
    assert "Authorization" not in leaked.headers
    assert not leaked.query


def test_a_server_that_repeats_a_secret_does_not_get_it_printed() -> None:
    def answer(request: Request, server: Server) -> Reply:
        return 400, {"detail": f"token {request.query['token'][0]} is not for you"}

    with (
        serving(answer) as server,
        pytest.raises(CatalogError, match=r"token \*\*\* is not") as caught,
    ):
        search(StacApi(f"{server.url}?token=abc"))
    assert "abc" not in str(caught.value)
    assert "abc" not in repr(vars(StacApi("https://u:abc@host/?token=abc")))
