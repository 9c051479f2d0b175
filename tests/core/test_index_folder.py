"""What is said, and what is left alone, when a folder is not as an index leaves it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from keenkite.errors import TileIndexError
from keenkite.index import TileIndex
from tests.support.paths import ROOT
from tests.support.points import Named, World, tile, vectors

ENCODER = Named()
WORLD = World.drawn(300)


def opened(folder: Path) -> TileIndex:
    return TileIndex.open(folder, encoder=ENCODER, wait=10)


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
        (b'{"format": "keenkite-index", "version": 2}', "format 2, this keenkite reads 1"),
        (b'{"format": "keenkite-index", "version": 1, "encoder": "x"}', "no usable 'dim'"),
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


def damaged(folder: Path) -> None:
    (folder / "statistics").write_bytes((folder / "statistics").read_bytes()[:-8])


def of_another_generation(folder: Path) -> None:
    (folder / "generation").write_text("cut off before the points changed")


def of_a_time_before_the_machine_lost_power(folder: Path) -> None:
    header, _, data = (folder / "statistics").read_bytes().partition(b"\n")
    generation = header.split(b" ")[0]
    wrong = np.frombuffer(data, "<f8") * 2
    (folder / "statistics").write_bytes(generation + b" another-boot\n" + wrong.tobytes())


def of_other_points(folder: Path) -> None:
    header, _, data = (folder / "statistics").read_bytes().partition(b"\n")
    (folder / "statistics").write_bytes(header + b"\n" + (np.frombuffer(data, "<f8") * 2).tobytes())


def missing(folder: Path) -> None:
    (folder / "statistics").unlink()


@pytest.mark.parametrize(
    "harm",
    [
        damaged,
        missing,
        of_another_generation,
        of_a_time_before_the_machine_lost_power,
        of_other_points,
    ],
)
def test_statistics_that_are_not_sure_are_computed_again(
    made: Path, harm: Callable[[Path], None]
) -> None:
    harm(made)
    for _ in range(2):
        with opened(made) as index:
            statistics = index.statistics()
            values = WORLD.vectors.astype(np.float64)
            assert statistics.n == 300
            np.testing.assert_allclose(statistics.mean, values.mean(axis=0), atol=1e-12)
            covariance = np.cov(values.T, bias=True)
            np.testing.assert_allclose(statistics.covariance, covariance, atol=1e-12)


def test_what_was_flushed_keeps_its_statistics_though_power_is_lost(made: Path) -> None:
    """The fixture ends with `mark_complete`, which flushes."""
    assert (made / "statistics").read_bytes().partition(b"\n")[0].endswith(b" flushed")


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
    assert "a change needs 256. Free some space" in refused
    assert "opening it, which writes a log, needs 64. Free some space" in unopened
    assert counts == f"{number} {number}"


def test_a_folder_that_cannot_be_written_is_named(made: Path, tmp_path: Path) -> None:
    code = """
import sys; sys.path[:0] = [TESTS]
from tests.support.points import Named
from keenkite.index import TileIndex
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
