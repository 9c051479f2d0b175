"""Several collections in a data folder or on a server: found, described, chosen, removed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from qdrant_client import models

from keenkite.errors import (
    IndexBusyError,
    IndexFormatError,
    InputError,
    NoIndexError,
    TileIndexError,
)
from keenkite.index import TileIndex
from keenkite.index.collections import (
    Collection,
    choose,
    collections,
    name_for,
    place_of,
    remove_collection,
)
from keenkite.sensors import SENTINEL2
from tests.support.paths import ROOT
from tests.support.points import Named, tile, vectors
from tests.support.qdrant_server import Server, serving


class Bands(Named):
    bands = ("B02", "B8A")


class Place:
    """Where collections are, and how one of them is damaged there."""

    def __init__(self, data: str, server: Server | None) -> None:
        self.data = data
        self.server = server

    def make(self, name: str, encoder: Named | None = None, **options: object) -> str:
        location = place_of(self.data, name)
        with TileIndex.open(location, encoder=encoder or Named(name), **options) as index:  # type: ignore[arg-type]
            index.upsert([tile()], vectors(1, dim=index.dim))
            index.mark_complete("scene", {})
        return location

    def describe(self, name: str, change: Callable[[dict[str, object]], object]) -> None:
        """Change what a collection says about itself."""
        if self.server is None:
            path = Path(self.data) / "collections" / name / "index.json"
            value = json.loads(path.read_text())
            change(value)
            path.write_text(json.dumps(value))
            return
        records = f"{name}-records"
        points, _ = self.server.engine.scroll(records, limit=100, with_vectors=True)
        (point,) = (p for p in points if (p.payload or {})["key"] == "index/meta")
        change(point.payload["value"])  # type: ignore[index]
        same = models.PointStruct(id=point.id, vector=[1.0], payload=point.payload)
        self.server.engine.upsert(records, [same])


@pytest.fixture(params=["folder", "url"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param == "folder":
        yield Place(str(tmp_path / "data"), None)
    else:
        with serving() as server:
            yield Place(server.url, server)


def test_there_is_none_where_there_is_nothing_yet(place: Place) -> None:
    assert collections(place.data) == []
    with pytest.raises(NoIndexError, match=r"no collection in .* yet"):
        choose(place.data)
    if place.server is None:
        assert not Path(place.data).exists()


def test_collections_are_described_and_not_opened(place: Place) -> None:
    first = place.make("small", spans=(1120, 2240))
    second = place.make("wide", Bands("wide-model", 32), sensor=SENTINEL2)
    assert collections(place.data) == [
        Collection(
            name="small", location=first, encoder="small", dim=64, bands=None,
            sensor="sentinel-2-l2a", spans=(1120.0, 2240.0), problem=None,
        ),
        Collection(
            name="wide", location=second, encoder="wide-model", dim=32, bands=("B02", "B8A"),
            sensor="sentinel-2-l2a", spans=(2240.0,), problem=None,
        ),
    ]  # fmt: skip
    # One that another process is at work in can be described all the same.
    with TileIndex.open(first, encoder=None) as index:
        index.count()
        index.add_spans([4480])
        assert collections(place.data)[0].spans == (1120.0, 2240.0, 4480.0)


def test_the_only_one_is_chosen_and_of_several_one_is_to_be_named(place: Place) -> None:
    first = place.make("small")
    assert choose(place.data).name == "small"
    second = place.make("wide")
    with pytest.raises(InputError, match="several collections: small, wide"):
        choose(place.data)
    assert choose(place.data, "wide").location == second
    assert place_of(place.data, "small") == first
    with pytest.raises(NoIndexError, match=r"no collection 'large'.*small, wide"):
        choose(place.data, "large")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda value: value.pop("spans"), "no usable 'spans'"),
        (lambda value: value["encoder"].pop("name"), "no usable 'encoder'"),
        (lambda value: value.update(version=1), "has index format 1, and this keenkite reads 2"),
        (lambda value: value.update(version=3), "has index format 3"),
        (lambda value: value.update(sensor="landsat-9"), "no sensor 'landsat-9'"),
        (lambda value: value.clear(), "not a keenkite index"),
    ],
)
def test_a_damaged_one_is_listed_with_its_problem_and_the_others_work(
    place: Place, change: Callable[[dict[str, object]], object], says: str
) -> None:
    for name in ("before", "damaged", "later"):
        place.make(name)
    place.describe("damaged", change)
    found = {each.name: each for each in collections(place.data)}
    assert [name for name, each in found.items() if each.problem] == ["damaged"]
    assert says in (found["damaged"].problem or "")
    assert (found["damaged"].encoder, found["damaged"].spans) == (None, ())
    assert choose(place.data, "damaged") == found["damaged"]
    with pytest.raises(TileIndexError, match=says):
        TileIndex.open(found["damaged"].location, encoder=None)
    for name in ("before", "later"):
        with TileIndex.open(found[name].location, encoder=None) as index:
            assert index.count() == 1
            assert len(index.nearest(vectors(1)[0], limit=1)) == 1
    remove_collection(place.data, "damaged")
    assert [each.name for each in collections(place.data)] == ["before", "later"]


def test_another_format_is_told_by_its_class_with_what_to_do(place: Place) -> None:
    location = place.make("old")
    place.describe("old", lambda value: value.update(version=1))
    for encoder in (None, Named("old")):
        with pytest.raises(IndexFormatError, match="Build it anew in another place"):
            TileIndex.open(location, encoder=encoder)


def test_one_that_is_removed_is_gone_with_its_records_and_can_be_made_again(place: Place) -> None:
    place.make("stays")
    location = place.make("goes")
    remove_collection(place.data, "goes")
    assert [each.name for each in collections(place.data)] == ["stays"]
    with pytest.raises(NoIndexError):
        TileIndex.open(location, encoder=None)
    with pytest.raises(NoIndexError, match="no collection 'goes'"):
        remove_collection(place.data, "goes")
    if place.server is not None:
        there = {each.name for each in place.server.engine.get_collections().collections}
        assert there == {"stays", "stays-records"}
    else:
        assert not Path(location).exists()
    with TileIndex.open(location, encoder=Named("another", 16)) as index:
        assert index.count() == 0
        assert index.complete() == {}


def test_who_has_it_open_while_it_is_removed_is_told(place: Place) -> None:
    location = place.make("goes")
    with TileIndex.open(location, encoder=None) as index:
        assert index.count() == 1
        remove_collection(place.data, "goes")
        for work in (index.count, lambda: index.upsert([tile(2)], vectors(1))):
            with pytest.raises(TileIndexError, match="anew"):
                work()
    assert collections(place.data) == []
    if place.server is None:
        assert not Path(location).exists()


@pytest.mark.parametrize("name", ["", "a/b", "..", ".hidden", "a b", "x" * 101, "é"])
def test_a_name_that_cannot_be_one_is_refused(place: Place, name: str) -> None:
    with pytest.raises(InputError, match="cannot be the name of a collection"):
        place_of(place.data, name)


@pytest.mark.parametrize(
    ("encoder", "name"),
    [
        ("remoteclip-vit-b-32", "remoteclip-vit-b-32"),
        ("ViT-B-32:/home/me/my weights.pt@3f2a", "ViT-B-32-home-me-my-weights.pt@3f2a"),
        ("hf-hub:laion/CLIP-ViT", "hf-hub-laion-CLIP-ViT"),
        ("..", "collection"),
        ("x" * 200, "x" * 100),
    ],
)
def test_a_collection_is_called_as_its_encoder_as_a_file_name(encoder: str, name: str) -> None:
    assert name_for(encoder) == name
    assert name_for(name) == name
    assert place_of("/data", name) == f"/data/collections/{name}"


# --- in a folder --------------------------------------------------------------------------------


def test_a_data_folder_that_holds_one_is_opened_as_that_one(tmp_path: Path) -> None:
    place = Place(str(tmp_path), None)
    location = place.make("only")
    (tmp_path / "pixels").mkdir()
    with TileIndex.open(tmp_path, encoder=Named("only")) as index:
        assert (str(index.folder), index.data) == (location, tmp_path)
        assert index.count() == 1
    place.make("second")
    with pytest.raises(InputError, match="several collections: only, second"):
        TileIndex.open(tmp_path, encoder=None)


def test_a_folder_that_is_a_collection_counts_as_one_of_its_own_name(tmp_path: Path) -> None:
    alone = tmp_path / "kanto"
    with TileIndex.open(alone, encoder=Named()) as index:
        assert index.data == alone
    assert [(each.name, each.location) for each in collections(alone)] == [("kanto", str(alone))]
    assert choose(alone).location == place_of(alone, "kanto") == str(alone)
    # Others may be beside it, with the same pixels.
    place = Place(str(alone), None)
    second = place.make("second")
    with TileIndex.open(second, encoder=None) as index:
        assert index.data == alone
    assert [each.name for each in collections(alone)] == ["kanto", "second"]
    with TileIndex.open(alone, encoder=Named()) as index:
        assert str(index.folder) == str(alone)


def test_removing_leaves_pixels_and_other_collections_alone(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with TileIndex.open(data, encoder=Named()) as index:
        index.upsert([tile()], vectors(1))
    place = Place(str(data), None)
    place.make("second")
    (data / "pixels").mkdir()
    (data / "pixels" / "scene.tif").write_text("pixels")
    remove_collection(data, "data")
    assert sorted(path.name for path in data.iterdir()) == ["collections", "pixels"]
    assert [each.name for each in collections(data)] == ["second"]
    assert (data / "pixels" / "scene.tif").read_text() == "pixels"
    remove_collection(data, "second")
    with TileIndex.open(data, encoder=Named()) as index:
        assert (index.folder, index.count()) == (data, 0)
    assert (data / "pixels" / "scene.tif").read_text() == "pixels"


def test_one_that_another_process_maintains_is_not_removed(tmp_path: Path) -> None:
    place = Place(str(tmp_path), None)
    location = place.make("busy")
    code = f"""
import sys, time
sys.path.insert(0, {str(ROOT)!r})
from pathlib import Path
from keenkite.index.embedded.lock import writing
with writing(Path({location!r}), "maintenance", 5, shared=False):
    print("ready", flush=True)
    time.sleep(60)
"""
    holder = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "ready\n"
    with pytest.raises(IndexBusyError, match="maintenance, since"):
        remove_collection(tmp_path, "busy", wait=0.3)
    holder.kill()
    holder.communicate()
    with TileIndex.open(location, encoder=None) as index:
        assert index.count() == 1
    remove_collection(tmp_path, "busy")


def test_a_removal_that_was_killed_can_be_done_again(tmp_path: Path) -> None:
    place = Place(str(tmp_path), None)
    location = Path(place.make("goes"))
    # What is left when it is ended after the records and the name of the shard.
    for path in (location / "records").iterdir():
        path.unlink()
    (location / "records").rmdir()
    (location / "current").unlink()
    with TileIndex.open(location, encoder=None) as index:
        assert index.count() == 0
        assert index.complete() == {}
    remove_collection(tmp_path, "goes")
    assert not location.exists()


def test_what_is_no_collection_is_not_listed(tmp_path: Path) -> None:
    (tmp_path / "collections" / "empty").mkdir(parents=True)
    (tmp_path / "collections" / "file").write_text("text")
    assert collections(tmp_path) == []
    with TileIndex.open(tmp_path / "collections" / "empty", encoder=Named()) as index:
        assert index.data == tmp_path


def test_a_relative_folder_knows_its_data_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    location = Place(str(tmp_path), None).make("here")
    monkeypatch.chdir(location)
    with TileIndex.open(".", encoder=None) as index:
        assert index.data == tmp_path
    assert [each.name for each in collections(".")] == ["here"]


# --- on a server --------------------------------------------------------------------------------


def test_collections_of_others_on_the_server_are_not_listed() -> None:
    with serving() as server:
        Place(server.url, server).make("ours")
        two = models.VectorParams(size=2, distance=models.Distance.DOT)
        for name in ("theirs", "their-records"):
            server.engine.create_collection(name, vectors_config=two)
        assert [each.name for each in collections(server.url)] == ["ours"]
        assert [each.name for each in collections(f"{server.url}/ours")] == ["ours"]
        assert collections(f"{server.url}/theirs") == []


def test_a_url_that_names_a_collection_stands_for_that_one() -> None:
    with serving() as server:
        place = Place(server.url, server)
        place.make("alps")
        place.make("andes")
        assert choose(f"{server.url}/andes").name == "andes"
        assert place_of(f"{server.url}/andes", "urals") == f"{server.url}/urals"


def test_a_key_that_may_only_read_is_enough_to_list() -> None:
    with serving(api_key="all", read_key="read") as server:
        with TileIndex.open(f"{server.url}/alps", encoder=Named(), api_key="all") as index:
            index.add_spans([560])
        (found,) = collections(server.url, api_key="read")
        assert (found.name, found.spans) == ("alps", (560.0, 2240.0))
        with pytest.raises(TileIndexError, match="403"):
            remove_collection(server.url, "alps", api_key="read")
        with pytest.raises(TileIndexError, match="401"):
            collections(server.url)


def test_two_builds_that_add_spans_at_a_time_lose_none() -> None:
    with serving() as server:
        one, two = (TileIndex.open(server.url, encoder=Named()) for _ in range(2))
        one.add_spans([1120])
        two.add_spans([4480])
        assert TileIndex.open(server.url, encoder=None).spans == (1120.0, 2240.0, 4480.0)


def test_a_server_that_is_not_asked_of_collections_answers_with_why() -> None:
    with serving() as server:
        server.fail = lambda method, path: 500
        with pytest.raises(TileIndexError, match="failed \\(500"):
            collections(server.url)
    with pytest.raises(InputError):
        collections("http://user:secret@host")


def test_an_index_without_tiles_becomes_one_of_another_sensor(place: Place) -> None:
    own = replace(SENTINEL2, name="own", metres=5.0)
    location = place_of(place.data, "x")
    with TileIndex.open(location, encoder=Named(), spans=(2240, 560)) as index:
        index.add_spans([4480])
        index.prepare(own, [1120])
        assert (index.sensor, index.spans) == (own, (1120.0,))
        index.upsert([tile(span=1120)], vectors(1))
        index.prepare(own, [560])
        assert index.spans == (560.0, 1120.0)
        with pytest.raises(TileIndexError, match="imagery of 'own', not of 'sentinel-2-l2a'"):
            index.prepare(SENTINEL2, [2240])
    with TileIndex.open(location, encoder=Named(), sensor=own) as index:
        assert (index.sensor, index.spans) == (own, (560.0, 1120.0))
