"""What is said, and what is left alone, when a folder is not as an index leaves it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from keenkite.errors import IndexFormatError, TileIndexError
from keenkite.index import Filters, TileIndex
from tests.support.paths import ROOT
from tests.support.points import SPANS, Named, World, tile, vectors
from tests.support.points import opened as points_opened

ENCODER = Named()
WORLD = World.drawn(300)

DESCRIPTION = (
    b'{"format": "keenkite-index", "version": 2, "encoder": {"name": "fake", "dim": 64, '
    b'"bands": null}, "sensor": "sentinel-2-l2a", "spans": [2240]}'
)


def opened(folder: Path) -> TileIndex:
    return TileIndex.open(folder, encoder=ENCODER, spans=SPANS, wait=10)


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """The folder of an index of 300 tiles."""
    with opened(tmp_path / "index") as index:
        index.upsert(WORLD.tiles, WORLD.vectors)
        index.mark_complete("work", {"scene": "scene-1"})
    return tmp_path / "index"


def test_a_folder_of_other_files_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "shards").mkdir()
    (tmp_path / "shards" / "0001").write_text("a photo")
    with pytest.raises(TileIndexError, match="not a keenkite index and not empty"):
        opened(tmp_path)
    assert [p.relative_to(tmp_path).as_posix() for p in sorted(tmp_path.rglob("*"))] == [
        "shards",
        "shards/0001",
    ]


def test_files_beside_an_index_are_left_alone(made: Path) -> None:
    (made / "pixels").mkdir()
    (made / "pixels" / "scene.tif").write_text("pixels")
    with opened(made) as index:
        index.maintain()
        assert index.count() == 300
    assert (made / "pixels" / "scene.tif").read_text() == "pixels"


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    with pytest.raises(TileIndexError, match="is a file, not a folder"):
        opened(tmp_path / "file")


def test_an_empty_folder_becomes_an_index(tmp_path: Path) -> None:
    with opened(tmp_path) as index:
        assert index.count() == 0


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "damaged"),
        (b'{"format": "keenkite-in', "damaged"),
        (b"\xff\xfe\x00", "damaged"),
        (b"[]", "not a keenkite index"),
        (b'{"format": "other"}', "not a keenkite index"),
        (b'{"format": "keenkite-index", "version": 3}', "format 3, and this keenkite reads 2"),
        (b'{"format": "keenkite-index", "version": 2, "encoder": "x"}', "no usable 'encoder'"),
        (DESCRIPTION.replace(b"64", b'"64"'), "no usable 'dim'"),
        (DESCRIPTION.replace(b"null", b'"B02"'), "no usable 'bands'"),
        (DESCRIPTION.replace(b'"sentinel-2-l2a"', b"7"), "no usable 'sensor'"),
        (DESCRIPTION.replace(b"[2240]", b"[]"), "no usable 'spans'"),
        (DESCRIPTION.replace(b"[2240]", b"[true]"), "no usable 'spans'"),
        (DESCRIPTION.replace(b"[2240]", b"[-5]"), "no usable 'spans'"),
    ],
)
def test_a_description_that_cannot_be_read_is_named(made: Path, content: bytes, says: str) -> None:
    (made / "index.json").write_bytes(content)
    with pytest.raises(TileIndexError, match=says):
        opened(made)
    assert (made / "index.json").read_bytes() == content
    assert (made / "shards" / "0001").is_dir()


@pytest.mark.parametrize("name", ["0007", "../../elsewhere", "", "one\ntwo"])
def test_a_shard_that_is_not_there_is_named(made: Path, name: str) -> None:
    (made / "current").write_text(name)
    with pytest.raises(TileIndexError, match="which is not there"):
        opened(made).count()
    assert (made / "shards" / "0001").is_dir()


def test_a_shard_that_is_damaged_is_no_crash(made: Path) -> None:
    for path in (made / "shards").rglob("*"):
        if path.is_file():
            path.write_bytes(b"\xff" * 100)
    with pytest.raises(TileIndexError, match="restore"):
        opened(made).count()


def test_a_record_that_is_damaged_is_named(made: Path) -> None:
    (record,) = (made / "records").iterdir()
    record.write_text("{")
    with opened(made) as index, pytest.raises(TileIndexError, match=f"{record}.*delete it"):
        index.is_complete("work")


def test_an_index_of_format_1_is_refused_with_what_to_do(made: Path) -> None:
    old = {"format": "keenkite-index", "version": 1, "encoder": "fake", "dim": 64, "size": 224}
    (made / "index.json").write_text(json.dumps(old))
    for encoder in (ENCODER, None):
        with pytest.raises(IndexFormatError, match=r"format 1, .* Build it anew in another place"):
            TileIndex.open(made, encoder=encoder)
    assert (made / "shards" / "0001").is_dir()


def test_a_description_written_by_hand_is_read(made: Path) -> None:
    (made / "index.json").write_bytes(DESCRIPTION)
    with TileIndex.open(made, encoder=ENCODER) as index:
        assert (index.count(), index.spans, index.bands) == (300, (2240.0,), None)


def test_a_program_that_does_not_share_the_shard_is_told_of(made: Path) -> None:
    import qdrant_edge

    shard = qdrant_edge.EdgeShard.load(str(made / "shards" / "0001"))
    with opened(made) as index, pytest.raises(TileIndexError, match="does not share it"):
        index.count()
    shard.close()


FULL_DISK = """
import shutil, sys; sys.path.insert(0, TESTS)
from pathlib import Path
from tests.support.points import World, opened
from keenkite.errors import StorageError
world = World.drawn(30_000)
index = opened(Path("small/index"))
try:
    for done in range(0, 30_000, 500):
        index.upsert(world.tiles[done : done + 500], world.vectors[done : done + 500])
except StorageError as error:
    print(done, error)
index.close()
try:
    with open("small/filler", "wb") as filler:
        while True:
            filler.write(bytes(1_000_000))
except OSError:
    pass
try:
    opened(Path("small/index")).count()
except StorageError as error:
    print(error)
Path("small/filler").unlink()
index = opened(Path("small/index"))
print(index.count(), len(index.get([tile.id for tile in world.tiles[:done]])))
"""


def confined(tmp_path: Path, setup: str, code: str) -> subprocess.CompletedProcess[str]:
    """Run Python after mounting something in a namespace of its own; skip where that is refused."""
    if shutil.which("unshare") is None:
        pytest.skip("needs unshare, to mount a file system of its own")
    script = f'{setup} || exit 77; exec "$0" -c "$1"'
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script, sys.executable, code],
        cwd=tmp_path, text=True, capture_output=True, timeout=120,
    )  # fmt: skip
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip(f"cannot mount in a namespace of its own: {done.stderr.strip()}")
    return done


def test_a_full_disk_is_named_and_costs_nothing_that_was_written(tmp_path: Path) -> None:
    (tmp_path / "small").mkdir()
    code = FULL_DISK.replace("TESTS", repr(str(ROOT)))
    done = confined(tmp_path, "mount -t tmpfs -o size=280m none small", code)
    assert done.returncode == 0, done.stderr
    refused, unopened, counts = done.stdout.splitlines()
    number = refused.partition(" ")[0]
    assert int(number) > 0
    assert "a change of the index needs 256. Free some space" in refused
    assert "opening the index, which writes a log, needs 64. Free some space" in unopened
    assert counts == f"{number} {number}"


def test_a_folder_that_cannot_be_written_is_named(made: Path, tmp_path: Path) -> None:
    code = """
import sys; sys.path[:0] = [TESTS]
from tests.support.points import Named
from keenkite.index import Filters, TileIndex
from keenkite.errors import StorageError
for place in ("index", "index/new"):
    try:
        TileIndex.open(place, encoder=Named())
    except StorageError as error:
        print(error)
"""
    code = code.replace("TESTS", repr(str(ROOT)))
    done = confined(tmp_path, "mount --bind index index && mount -o remount,ro,bind index", code)
    assert done.returncode == 0, done.stderr
    index, new = done.stdout.splitlines()
    assert "Read-only file system" in index
    assert "Make the folder writable" in index
    assert "Cannot make the folder index/new" in new


def test_an_index_that_is_dropped_is_released(tmp_path: Path) -> None:
    index = opened(tmp_path / "index")
    index.upsert([tile()], vectors(1))
    del index
    with TileIndex.open(tmp_path / "index", encoder=None, wait=2) as again:
        assert again.count() == 1


def test_a_folder_can_be_moved(made: Path) -> None:
    moved = made.rename(made.with_name("moved"))
    with opened(moved) as index:
        assert index.count() == 300
        assert index.statistics().n == 300


def test_records_hold_any_text(made: Path) -> None:
    with opened(made) as index:
        index.mark_complete("../../etc/passwd\0\n/é" + "x" * 500, {"a": [1, None, "é"]})
        assert len(index.complete()) == 2
    assert {p.suffix for p in (made / "records").iterdir()} == {".json"}
    assert json.loads((made / "index.json").read_text())["format"] == "keenkite-index"
    assert not list(made.rglob("*.tmp"))
    assert os.listdir(made.parent) == ["index"]  # noqa: PTH208


def test_the_room_of_removed_tiles_is_given_back(tmp_path: Path) -> None:
    world = World.drawn(12_000)
    folder = tmp_path / "index"
    with points_opened(folder) as index:
        index.upsert(world.tiles, world.vectors)
        assert index.maintain()
        full = taken(folder)
        few = Filters(max_cloud=0.1)
        index.remove(few)
        assert index.maintain() is False  # too few to be worth it
        many = Filters(max_cloud=0.8)
        left = ~world.mask(many)
        index.remove(many)
        assert index.maintain()
        assert index.count() == left.sum()
        assert taken(folder) < full / 2
        assert index.maintain() is False
        kept = {t.id for t, stays in zip(world.tiles, left, strict=True) if stays}
        assert {t.id for t in index.scroll()} == kept
        best = max(world.vectors[left] @ world.queries[0])
        assert index.nearest(world.queries[0], limit=1)[0].score == pytest.approx(best, abs=1e-5)


@pytest.mark.slow
def test_the_room_of_replaced_tiles_is_given_back(tmp_path: Path) -> None:
    world = World.drawn(10_500)
    folder = tmp_path / "index"
    with points_opened(folder) as index:
        index.upsert(world.tiles, world.vectors)
        assert index.maintain()
        index.upsert(world.tiles[:6000], world.vectors[:6000])
        before = taken(folder)
        assert index.maintain()
        assert taken(folder) < before
        assert index.count() == 10_500


def taken(folder: Path) -> int:
    """Bytes on the disk, but for the engine's log: some megabytes, whatever the index holds."""
    files = (path for path in folder.rglob("*") if path.is_file() and "wal" not in path.parts)
    return sum(path.stat().st_blocks * 512 for path in files)
