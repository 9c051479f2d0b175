"""STAC APIs as they really are: behind proxies, with odd pages, with collections of their own."""

from __future__ import annotations

import json
import ssl
import subprocess
from base64 import b64decode
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest

from keenkite.area import Area
from keenkite.catalog import Scenes, StacApi, open_catalog
from keenkite.catalog.client import Client, Credentials, ReplyError
from keenkite.catalog.pages import Search, pages
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

KANTO = Area.from_bbox(139.0, 35.3, 139.6, 35.8)
START, END = date(2024, 4, 1), date(2024, 6, 30)


def dates(number: int, **options: Any) -> list[dict[str, Any]]:
    return [c1_item(time=NOON + timedelta(days=day), **options) for day in range(number)]


def search(server: Server, *collections: str, max_cloud: float = 20) -> Scenes:
    api = StacApi(server.url, collections or None, backoff=0.01)
    return api.search(KANTO, START, END, max_cloud=max_cloud)


def ids(scenes: Scenes) -> list[str]:
    return [scene.id for scene in scenes]


def items(*some: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "FeatureCollection", "features": list(some), "links": [], **more}


def following(href: str, **link: Any) -> list[dict[str, Any]]:
    return [{"rel": "self", "href": "here"}, {"rel": "next", "href": href, **link}]


# Redirections


def moved(status: int, where: Callable[[Server], str]) -> Callable[[Request, Server], Reply]:
    """An API whose landing page links a search that is somewhere else."""
    well = replay([dates(1), dates(2)])

    def answer(request: Request, server: Server) -> Reply:
        if request.path == "/v1/old/search":
            return status, b"", {"Location": where(server)}
        if request.path.endswith("/search") or request.path == "/v1":
            status_, page = well(request, server)[:2]
            if request.path == "/v1":
                for link in page["links"]:
                    if link["rel"] == "search":
                        link["href"] = link["href"].replace("/search", "/old/search")
            return status_, page
        return 404, b""

    return answer


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize("relative", [False, True])
def test_a_search_that_is_redirected_keeps_its_method_and_what_it_asks(
    status: int, relative: bool
) -> None:
    where = (lambda _: "../search") if relative else (lambda server: f"{server.url}/search")
    with serving(moved(status, where)) as server:
        assert ids(search(server)) == [item["id"] for item in dates(2)]
    asked = [request for request in server.requests if request.path.endswith("/search")]
    assert [request.method for request in asked] == ["POST"] * 3
    assert asked[0].body == asked[1].body
    assert asked[1].body["bbox"] == [139.0, 35.3, 139.6, 35.8]


def test_a_search_whose_answer_is_elsewhere_is_fetched_there() -> None:
    def answer(request: Request, server: Server) -> Reply:
        if request.path == "/v1/result":
            return 200, items(*dates(1))
        if request.path.endswith("/search"):
            return 303, b"", {"Location": f"{server.url}/result"}
        return 200, landing(server)

    with serving(answer) as server:
        assert len(search(server)) == 1
    assert [request.method for request in server.requests] == ["GET", "POST", "GET"]


def test_a_search_does_not_go_to_another_host() -> None:
    with (
        serving(moved(307, lambda _: "https://elsewhere.example/search?a=secret")) as server,
        pytest.raises(CatalogError, match=r"redirects to https://elsewhere.example, another") as e,
    ):
        search(server)
    assert "secret" not in str(e.value)
    assert "pass the URL that it redirects to" in str(e.value)


@pytest.mark.parametrize("target", ["ftp://127.0.0.1/x", "file:///etc/passwd"])
def test_a_redirection_to_what_is_no_http_is_refused(target: str) -> None:
    with (
        serving(lambda *_: (302, b"", {"Location": target})) as server,
        pytest.raises(CatalogError, match="which is no http"),
    ):
        search(server)


def test_a_landing_page_may_have_moved_to_another_host() -> None:
    with (
        serving(replay([dates(1)])) as new,
        serving(
            lambda *_: (301, b"", {"Location": new.url.replace("127.0.0.1", "localhost")})
        ) as old,
    ):
        api = StacApi(old.url.replace("://", "://me:secret@"), backoff=0.01)
        assert len(api.search(KANTO, START, END)) == 1
    assert "Authorization" in old.requests[0].headers
    assert all("Authorization" not in request.headers for request in new.requests)


def test_redirections_end() -> None:
    def answer(request: Request, server: Server) -> Reply:
        return 302, b"", {"Location": f"{server.url}/x{len(server.requests)}"}

    with serving(answer) as server, pytest.raises(CatalogError, match="redirects more than 10"):
        search(server)
    assert len(server.requests) == 11


def test_links_of_a_service_behind_a_proxy_are_meant_as_https() -> None:
    own = Credentials.of("https://me:pw@stac.example:8443/v1?token=x")
    assert own.url == "https://stac.example:8443/v1"
    assert own.upgraded("http://stac.example/v1/search?a=1") == (
        "https://stac.example:8443/v1/search?a=1"
    )
    for other in ("http://other.example/x", "http://stac.example:8080/x", "https://stac.example/x"):
        assert own.upgraded(other) == other
    assert Credentials.of("http://stac.example/").upgraded("http://stac.example/x")[:5] == "http:"


@pytest.mark.parametrize(
    ("url", "fits"),
    [
        ("https://stac.example/x", True),
        ("https://stac.example:8443/x", False),
        ("http://stac.example/x", False),
        ("https://stac.example.evil.example/x", False),
    ],
)
def test_credentials_go_to_their_own_origin(url: str, fits: bool) -> None:
    assert Credentials.of("https://u:p@stac.example/").fit(url) is fits


def test_a_password_may_hold_any_letter() -> None:
    with serving(replay([dates(1)])) as server:
        url = server.url.replace("://", "://j%C3%BCrgen:10%E2%82%AC@")
        assert len(StacApi(url).search(KANTO, START, END)) == 1
    sent = b64decode(server.requests[0].headers["Authorization"].removeprefix("Basic "))
    assert sent.decode() == "jürgen:10€"


def test_credentials_go_from_http_to_https_of_the_same_host() -> None:
    own = Credentials.of("http://u:p@stac.example/")
    assert own.fit("https://stac.example/x")
    assert not own.fit("https://other.example/x")


# Pages


def test_an_empty_page_with_a_next_one_is_no_end() -> None:
    with serving(replay([[], [], dates(2), [], dates(3)])) as server:
        assert ids(search(server)) == [item["id"] for item in dates(3)]
    assert len(server.searches) == 5
    with serving(circling(lambda *_: items() | {"features": None, "links": None})) as server:
        assert search(server) == []


def test_empty_pages_do_not_go_on_for_ever() -> None:
    def answer(request: Request, server: Server) -> Reply:
        if not request.path.endswith("/search"):
            return 200, landing(server)
        return 200, items(links=following(f"{server.url}/search?token={len(server.requests)}"))

    with serving(answer) as server, pytest.raises(CatalogError, match="one empty page after"):
        search(server)
    assert len(server.searches) == 100


def circling(page: Callable[[int, Server], dict[str, Any]]) -> Callable[[Request, Server], Reply]:
    def answer(request: Request, server: Server) -> Reply:
        if not request.path.endswith("/search"):
            return 200, landing(server)
        return 200, page(len(server.searches), server)

    return answer


@pytest.mark.parametrize(
    "page",
    [
        lambda n, server: items(*dates(1), links=following(f"{server.url}/search?token=1")),
        lambda n, server: items(*dates(1), links=following(f"{server.url}/search?token={n % 2}")),
        lambda n, server: items(*dates(1), links=following(f"{server.url}/search?token={n}")),
        lambda n, server: items(
            *dates(n), links=following(f"{server.url}/search", method="POST", body={"next": "x"})
        ),
        lambda n, server: items(*dates(1), links=following(f"{server.url}/search", method="POST")),
        lambda n, server: items(links=following(f"{server.url}/search?token={n % 3}")),
    ],
    ids=["one", "two", "new tokens, same items", "same body", "nothing said", "empty ones"],
)
def test_pages_in_a_circle_are_noticed_at_once(
    page: Callable[[int, Server], dict[str, Any]],
) -> None:
    with serving(circling(page)) as server, pytest.raises(CatalogError, match="in a circle"):
        search(server)
    assert len(server.searches) <= 4


def test_a_last_page_that_links_itself_is_an_end_where_all_items_have_come() -> None:
    def page(n: int, server: Server) -> dict[str, Any]:
        links = following(f"{server.url}/search?token=last")
        return items(*dates(3)[:2] if n == 1 else dates(3)[2:], links=links, numberMatched=3)

    with serving(circling(page)) as server:
        assert ids(search(server)) == [item["id"] for item in dates(3)]
    assert len(server.searches) == 2


def test_a_search_of_too_many_pages_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keenkite.catalog.pages.MAX_PAGES", 5)

    def page(n: int, server: Server) -> dict[str, Any]:
        return items(*dates(n)[-1:], links=following(f"{server.url}/search?token={n}"))

    with serving(circling(page)) as server, pytest.raises(CatalogError, match="more than 500 item"):
        search(server)
    assert len(server.searches) == 5


def test_a_next_link_is_followed_however_it_is_written() -> None:
    first = Search.of("https://h/v1/search?key=a&limit=5", "GET", {"limit": 100, "bbox": [1, 2]})
    assert first.url == "https://h/v1/search?key=a&limit=100&bbox=1,2"
    post = Search.of("https://h/v1/search", "POST", {"limit": 100, "bbox": [1, 2]})

    def after(search: Search, **link: Any) -> Search | None:
        return search.after({"links": following(**link)}, "https://h/v1/search?page=1")

    assert after(first, href="?page=2") == Search(url="https://h/v1/search?page=2", method="GET")
    assert after(first, href="/x?t=1", headers={"a": 1}) == Search(
        url="https://h/x?t=1", method="GET", headers={"a": "1"}
    )
    url = "https://h/v1/search"
    body = {"limit": 100, "bbox": [1, 2]}
    assert after(post, href=url, method="POST", body={"t": 1}) == Search(
        url=url, method="POST", body={"t": 1}
    )
    assert after(post, href=url, method="post", body={"t": 1}, merge=True) == Search(
        url=url, method="POST", body=body | {"t": 1}
    )
    assert after(post, href=f"{url}?t=1", method="POST") == Search(
        url=f"{url}?t=1", method="POST", body=body
    )
    assert after(post, href="") is None
    assert post.after({"links": None}, url) is None
    assert post.after({"links": [5, {"rel": "prev", "href": "x"}]}, url) is None


def test_a_get_search_says_everything_in_its_query() -> None:
    asked = {"collections": ["a", "b"], "datetime": "x/y", "query": {"eo:cloud_cover": {"lte": 2}}}
    query = dict(parse_qsl(Search.of("https://h/s", "GET", asked).url.partition("?")[2]))
    assert query == {
        "collections": "a,b", "datetime": "x/y", "query": '{"eo:cloud_cover": {"lte": 2}}'
    }  # fmt: skip


def test_the_same_item_on_both_sides_of_180_degrees_is_one() -> None:
    item = c1_item(grid="01KAB", epsg=32701, west=199_980, north=8_200_000)
    del item["properties"]["s2:nodata_pixel_percentage"]  # so that it stands for no other
    with serving(replay([[item]])) as server:
        scenes = StacApi(server.url).search(Area.from_bbox(179.5, -17, -179.5, -16), START, END)
    assert ids(scenes) == [item["id"]]
    assert scenes.account.counts["found"] == 1


# What goes wrong with one item goes wrong with no other


def broken_items() -> dict[str, Any]:
    def changed(**properties: Any) -> dict[str, Any]:
        item = c1_item()
        item["properties"] |= properties
        return item

    zero, far, huge = c1_item(), c1_item(), c1_item()
    zero["assets"]["red"]["proj:transform"] = [0, 0, 300_000, 0, 0, 4_000_020]
    far["assets"]["red"]["proj:transform"] = [10, 0, 10**400, 0, -10, 1e308]
    huge["geometry"] = {"type": "Polygon", "coordinates": [[[10**400, 0], [1, 1], [2, 2]]]}
    huge["properties"]["s2:nodata_pixel_percentage"] = 40
    nested: Any = []
    for _ in range(500):
        nested = [nested]
    strange = c1_item()
    strange["assets"]["red"]["href"] = "https://h/\ud800.tif"
    return {
        "pixels without a size": zero,
        "numbers beyond any float": far,
        "a geometry beyond any float": huge,
        "half a surrogate pair as id": c1_item() | {"id": "\ud800"},
        "half a surrogate pair in a href": strange,
        "half a surrogate pair as text": changed(platform="\udfff", datetime="\ud800"),
        "a number as id": c1_item() | {"id": 5},
        "an id that cannot be compared": c1_item() | {"id": {"a": []}},
        "no properties": {"type": "Feature", "id": "x"},
        "properties that are a text": c1_item() | {"properties": "x"},
        "assets that are a list": c1_item() | {"assets": [1]},
        "assets that are no objects": c1_item() | {"assets": {"red": 1, "": None}},
        "links that are none": c1_item() | {"links": [1, {"rel": "self", "href": "http://["}]},
        "deep nesting": changed(**{"x": nested, "proj:epsg": nested}),
        "infinite cloud": changed(**{"eo:cloud_cover": float("inf")}),
        "a year beyond any": changed(datetime="99999-01-01T00:00:00Z"),
        "no object at all": 7,
    }


@pytest.mark.parametrize("what", broken_items())
def test_an_item_that_is_broken_sinks_none_of_the_others(what: str, tmp_path: Path) -> None:
    good = c1_item(time=NOON + timedelta(days=9))
    with serving(replay([[broken_items()[what], good], [broken_items()[what]]])) as server:
        assert ids(search(server))[-1] == good["id"]


def test_neither_a_number_too_long_for_python_nor_latin_1_spoils_a_page() -> None:
    def answer(request: Request, server: Server) -> Reply:
        if not request.path.endswith("/search"):
            return 200, landing(server)
        text = json.dumps(items(c1_item(), dates(2)[1] | {"title": "Süd"}), ensure_ascii=False)
        text = text.replace('"eo:cloud_cover": 5.0', f'"eo:cloud_cover": {"9" * 5000}', 1)
        return 200, text.encode("latin-1")

    with serving(answer) as server:
        assert len(search(server)) == 2


# Collections


def holding(
    *some: dict[str, Any], listed: bool = True, refuses: int | None = None, more: Any = ()
) -> Callable[[Request, Server], Reply]:
    """An API that compares collections and clouds, as servers do."""
    names = {item["collection"] for item in some}

    def answer(request: Request, server: Server) -> Reply:
        if request.path.endswith("/collections"):
            known = [{"id": name, "title": f"Sentinel-2 {name}"} for name in sorted(names)]
            return (200, {"collections": [*known, *more], "links": []}) if listed else (404, b"")
        if not request.path.endswith("/search"):
            return 200, landing(server)
        body = request.body
        if refuses is not None and not names & set(body["collections"]):
            return refuses, {"detail": "no such collection"}
        most = body.get("query", {}).get("eo:cloud_cover", {}).get("lte", 100)
        return 200, items(
            *(
                item
                for item in some
                if item["collection"] in body["collections"]
                and item["properties"]["eo:cloud_cover"] <= most
            )
        )

    return answer


def own(collection: str, **options: Any) -> dict[str, Any]:
    return c1_item(**options) | {"collection": collection}


@pytest.mark.parametrize("refuses", [None, 400, 404])
@pytest.mark.parametrize("listed", [True, False])
def test_collections_of_ones_own_are_looked_in_where_they_are_named(
    listed: bool, refuses: int | None
) -> None:
    with serving(holding(own("field-images"), listed=listed, refuses=refuses)) as server:
        (scene,) = search(server, "field-images")
        assert scene.collection == "field-images"
    assert [request.body["collections"] for request in server.searches] == [["field-images"]]


@pytest.mark.parametrize("refuses", [None, 400, 404])
def test_an_api_with_other_names_is_asked_for_what_it_has_of_sentinel_2(
    refuses: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    others = [{"id": "landsat-l2a"}, {"id": "s2-l1c", "title": "Sentinel-2 L1C"}, {"id": 5}, 7]
    with serving(holding(own("Field-S2-L2A"), more=others, refuses=refuses)) as server:
        (scene,) = search(server)
        assert scene.collection == "Field-S2-L2A"
    assert server.searches[-1].body["collections"] == ["Field-S2-L2A"]
    assert "has none of sentinel-2-c1-l2a, sentinel-2-l2a: looked in Field-S2-L2A" in caplog.text


def test_an_api_that_lists_nothing_is_asked_by_the_usual_names() -> None:
    with serving(holding(own("sentinel-s2-l2a-cogs"), listed=False)) as server:
        (scene,) = search(server)
        assert scene.collection == "sentinel-s2-l2a-cogs"


def test_an_api_that_has_the_usual_ones_is_not_asked_for_others() -> None:
    there = legacy_item(time=NOON + timedelta(days=400))
    other = own("s2-l2a-of-ours")
    days = [{"id": "sentinel-2-l2a"}]

    def answer(request: Request, server: Server) -> Reply:
        if request.path.endswith("/search"):
            return 200, items()
        return holding(there, other, more=days)(request, server)

    with serving(answer) as server:
        assert search(server) == []
    assert all("s2-l2a-of-ours" not in r.body["collections"] for r in server.searches)


# Why nothing is left


def test_what_a_search_found_is_told_before_each_filter() -> None:
    found = [
        *dates(2, cloud=80),
        c1_item(time=NOON - timedelta(days=400)),
        c1_item(grid="33TWL", epsg=32633, west=499_980, north=5_000_040),
        c1_item() | {"id": "bare", "assets": {}},
    ]
    with serving(replay([found])) as server:
        scenes = search(server)
    assert scenes == []
    told = scenes.account.text
    assert told == (
        f"collections sentinel-2-c1-l2a, sentinel-2-l2a of {server.url[7:-3]} gave 5 items: 1 of "
        f"other days, 2 with more than 20 % cloud (the clearest has 80 %), 1 that cannot be used "
        f"(such as 'bare': it has no red asset (looked for red, B04, B04_10m among "
        f"its keys, in bands, eo:bands and file names; it has none)), 1 that show none of the area"
    )


def test_what_the_api_itself_left_out_for_cloud_is_told() -> None:
    with serving(holding(*dates(3, cloud=60), c1_item(cloud=45))) as server:
        scenes = search(server)
    assert scenes == []
    assert scenes.account.text.endswith(
        "gave no items; with more cloud, or without saying it, it has 4 (the clearest of 4 has "
        "45 %)"
    )


def test_collections_that_the_api_does_not_have_are_named_beside_those_it_has() -> None:
    names = [{"id": f"other-{number}"} for number in range(20)]
    with serving(holding(own("ours"), more=names)) as server:
        scenes = search(server, "theirs", "sentinel-2-l2a", max_cloud=100)
    assert scenes == []
    assert scenes.account.text.startswith("collections theirs, sentinel-2-l2a of 127.0.0.1:")
    assert (
        "it has no theirs and no sentinel-2-l2a, it has ours, other-0, other-1, other-2, other-3, "
        "other-4, other-5, other-6, other-7, other-8, other-9, other-10 and 9 more: choose with "
        "--stac-collection or KEENKITE_STAC_COLLECTION"
    ) in scenes.account.text


def test_an_api_that_lists_no_collections_is_said_how_to_ask() -> None:
    with serving(holding(own("ours"), listed=False)) as server:
        text = search(server, "theirs", max_cloud=100).account.text
    assert text.endswith(
        "gave no items; if its collections have other names, say which with --stac-collection or "
        "KEENKITE_STAC_COLLECTION"
    )


# Certificates


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of localhost, signed by itself; the key beside it."""
    folder = tmp_path_factory.mktemp("certificate")
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-keyout", folder / "key.pem", "-out", folder / "own.pem",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
        capture_output=True,
    )  # fmt: skip
    if made.returncode:
        pytest.skip("needs openssl to make a certificate")
    return folder / "own.pem"


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"])
def test_a_certificate_of_ones_own_is_trusted_where_it_is_named(
    variable: str, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    with serving(replay([dates(1)]), context) as server:
        with pytest.raises(CatalogError, match=r"CERTIFICATE_VERIFY.*REQUESTS_CA_BUNDLE"):
            search(server)
        monkeypatch.setenv(variable, str(certificate))
        assert len(search(server)) == 1
        monkeypatch.setenv(variable, "/nowhere.pem")
        with pytest.raises(CatalogError, match=r"/nowhere\.pem"):
            search(server)


def test_pages_end_when_the_caller_stops() -> None:
    with serving(replay([dates(1), dates(2)])) as server, Client() as client:
        first = Search.of(f"{server.url}/search", "POST", {})
        assert len(next(pages(client, first)).items) == 1
    assert len(server.searches) == 1


def test_an_answer_that_is_no_json_is_said() -> None:
    with (
        serving(lambda *_: (200, b"<html>")) as server,
        Client() as client,
        pytest.raises(ReplyError, match="sent no JSON"),
    ):
        client.json(server.url)
    with pytest.raises(CatalogError, match="cannot be read: pass the http"):
        open_catalog("s3://bucket/catalog.json")
