"""Planetary Computer's hrefs are signed when they are read, with tokens that last."""

from __future__ import annotations

import json
import pickle
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from keenkite.area import Area
from keenkite.catalog import Signer, open_catalog
from keenkite.catalog.signing import SignedHrefs
from keenkite.errors import SceneError
from keenkite.scene import Scene
from tests.support.earth_search import Reply, Request, Server, c1_item, replay, serving

BLOBS = "https://sentinel2l2a01.blob.core.windows.net/sentinel2-l2/54/S/UE/2024/05/12"
TOKEN = "st=2024-05-12T00%3A00%3A00Z&se=2024-05-12T01%3A00%3A00Z&sp=rl&sv=2024-05-04&sr=c&sig=a%2Bb"
AREA, DAY = Area.around(139.3, 35.5, 10), date(2024, 5, 12)


def item_of(blobs: str = BLOBS, *, listed: bool = True) -> dict[str, Any]:
    """In the shape of Planetary Computer's: ESA's names as keys, bare hrefs, and its links."""
    item = c1_item()
    names = {"red": "B04", "green": "B03", "blue": "B02", "scl": "SCL"}
    grid = {key: item["assets"]["red"][key] for key in ("proj:shape", "proj:transform")}
    item["assets"] = {
        name: {"href": f"{blobs}/{name}_10m.tif", "type": "image/tiff", "roles": ["data"], **grid}
        for name in names.values()
    }
    item["collection"] = "sentinel-2-l2a"
    api = "https://planetarycomputer.microsoft.com/api/stac/v1"
    item["links"] = [{"rel": "root", "href": api if listed else "https://stac.example"}]
    return item


@contextmanager
def tokens(*replies: Any, lasts: timedelta | None = timedelta(hours=1)) -> Iterator[Server]:
    """The service; some first replies, then tokens, each numbered."""
    left = list(replies)

    def answer(request: Request, server: Server) -> Reply:
        if left:
            return left.pop(0)
        end = {} if lasts is None else {"msft:expiry": f"{datetime.now(UTC) + lasts:%FT%TZ}"}
        return 200, {"token": f"{TOKEN}{len(server.requests)}", **end}

    with serving(answer) as server:
        yield server


def scene_of(item: dict[str, Any], service: Server, folder: Path) -> Scene:
    (folder / "item.json").write_text(json.dumps(item))
    signer = Signer(f"{service.url}/token", backoff=0.01)
    (scene,) = open_catalog(str(folder), signer=signer).search(AREA, DAY, DAY)
    return scene


def test_hrefs_are_signed_when_they_are_looked_up(tmp_path: Path) -> None:
    with tokens() as service:
        scene = scene_of(item_of(), service, tmp_path)
        assert set(scene.assets) == {"red", "green", "blue", "scl"}
        assert not service.requests, "a search needs no token"
        assert scene.assets["red"] == f"{BLOBS}/B04_10m.tif?{TOKEN}1"
        assert scene.assets.get("scl") == f"{BLOBS}/SCL_10m.tif?{TOKEN}1"
        assert scene.assets.get("nir") is None
    (request,) = service.requests
    assert request.path == "/v1/token/sentinel2l2a01/sentinel2-l2"


def test_an_api_is_signed_for_too() -> None:
    with tokens() as service, serving(replay([[item_of()]])) as server:
        signer = Signer(f"{service.url}/token")
        (scene,) = open_catalog(server.url, signer=signer).search(AREA, DAY, DAY)
        assert scene.assets["blue"] == f"{BLOBS}/B02_10m.tif?{TOKEN}1"


def test_a_token_near_its_end_is_not_used_again(tmp_path: Path) -> None:
    with tokens(lasts=timedelta(seconds=-5)) as service:
        scene = scene_of(item_of(), service, tmp_path)
        assert [scene.assets["red"][-1], scene.assets["red"][-1]] == ["1", "2"]
    with tokens(lasts=timedelta(minutes=45)) as service:
        scene = scene_of(item_of(), service, tmp_path)
        assert [scene.assets["red"][-1], scene.assets["red"][-1]] == ["1", "1"]
    with tokens(lasts=None) as service:  # whose end is not told, for a while
        scene = scene_of(item_of(), service, tmp_path)
        assert [scene.assets["red"][-1], scene.assets["red"][-1]] == ["1", "1"]


def test_each_container_has_its_own_token(tmp_path: Path) -> None:
    with tokens() as service:
        item = item_of()
        item["assets"]["SCL"]["href"] = "https://other.blob.core.windows.net/c/SCL.tif?x=y"
        scene = scene_of(item, service, tmp_path)
        assert scene.assets["red"] == f"{BLOBS}/B04_10m.tif?{TOKEN}1"
        assert scene.assets["scl"] == f"https://other.blob.core.windows.net/c/SCL.tif?x=y&{TOKEN}2"
    assert [request.path for request in service.requests] == [
        "/v1/token/sentinel2l2a01/sentinel2-l2",
        "/v1/token/other/c",
    ]


@pytest.mark.parametrize(
    ("blobs", "listed", "signed"),
    [
        (BLOBS, False, True),
        ("https://ours.blob.core.windows.net/images", False, False),
        ("https://ours.blob.core.windows.net/images", True, True),
        ("https://pixels.example/blob.core.windows.net", True, False),
        ("https://blob.core.windows.net.example/c", True, False),
        ("http://sentinel2l2a01.blob.core.windows.net/c", True, False),
    ],
)
def test_only_hrefs_of_planetary_computer_are_signed(
    blobs: str, listed: bool, signed: bool, tmp_path: Path
) -> None:
    with tokens() as service:
        scene = scene_of(item_of(blobs, listed=listed), service, tmp_path)
        assert scene.assets["red"].endswith("B04_10m.tif") is not signed
    assert len(service.requests) == signed


def test_what_is_signed_already_stays_as_it_is(tmp_path: Path) -> None:
    item = item_of()
    for asset in item["assets"].values():
        asset["href"] += f"?{TOKEN}0"
    with tokens() as service:
        scene = scene_of(item, service, tmp_path)
        assert scene.assets["red"] == f"{BLOBS}/B04_10m.tif?{TOKEN}0"
    assert not service.requests


def test_a_container_that_the_service_does_not_know_is_read_unsigned(tmp_path: Path) -> None:
    with tokens((404, {"detail": "no such account"})) as service:
        scene = scene_of(item_of(), service, tmp_path)
        assert scene.assets["red"] == scene.assets["green"].replace("B03", "B04")
        assert scene.assets["red"] == f"{BLOBS}/B04_10m.tif"
    assert len(service.requests) == 1


def test_an_overloaded_service_is_asked_again(tmp_path: Path) -> None:
    with tokens((429, b"slow down"), (503, b"")) as service:
        scene = scene_of(item_of(), service, tmp_path)
        assert scene.assets["red"] == f"{BLOBS}/B04_10m.tif?{TOKEN}3"


@pytest.mark.parametrize(
    ("reply", "tries", "message"),
    [
        ((500, b""), 6, "the service that gives them answered 500. Build again"),
        ((200, {"nothing": 1}), 1, "sent none. Build again"),
        ((200, [1]), 1, "sent none. Build again"),
        ((200, b"<html>"), 1, "sent no JSON"),
    ],
)
def test_without_a_token_the_scene_fails_and_no_other(
    reply: Reply, tries: int, message: str, tmp_path: Path
) -> None:
    with tokens(*[reply] * tries) as service:
        scene = scene_of(item_of(), service, tmp_path)
        with pytest.raises(SceneError, match=message) as caught:
            scene.assets["red"]
        assert "sentinel2l2a01" in str(caught.value)
        assert scene.assets["red"] == f"{BLOBS}/B04_10m.tif?{TOKEN}{tries + 1}"


def test_a_service_that_cannot_be_reached_is_said(tmp_path: Path) -> None:
    with tokens() as service:
        scene = scene_of(item_of(), service, tmp_path)
    with pytest.raises(SceneError, match=r"cannot be reached: .*refused"):
        scene.assets["red"]


def test_threads_share_a_token(tmp_path: Path) -> None:
    with tokens() as service:
        scene = scene_of(item_of(), service, tmp_path)
        threads = [threading.Thread(target=scene.assets.get, args=("red",)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(service.requests) == 1


def test_a_scene_goes_to_another_process_and_signs_there(tmp_path: Path) -> None:
    with tokens() as service:
        scene = scene_of(item_of(), service, tmp_path)
        assert scene.assets["red"].endswith("1")
        sent = pickle.loads(pickle.dumps(scene))
        assert sent == scene
        assert hash(sent.assets) == hash(scene.assets)
        assert sent.assets["red"].endswith("2"), "tokens stay here"
    assert isinstance(sent.assets, SignedHrefs)
    assert "sig=" not in repr(scene), "what is printed holds no token"
