"""One index folder and several processes at once: real ones, some of them killed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from keenkite.errors import IndexBusyError
from keenkite.index import TileIndex
from keenkite.index.statistics import statistics_of
from tests.support.paths import ROOT
from tests.support.points import Named, World, opened, tile, vectors

PRELUDE = f"""
import sys, time
sys.path.insert(0, {str(ROOT)!r})
from pathlib import Path
from tests.support.points import World, opened

def say(text):
    print(text, flush=True)

WORLD = World.drawn(3000)
index = opened(Path(sys.argv[1]))
say("ready")
"""
WORLD = World.drawn(3000)
BATCH = 100


class Process:
    """A Python process that has the index open as `index`."""

    def __init__(self, folder: Path, code: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", PRELUDE + code, str(folder)], stdout=subprocess.PIPE, text=True
        )
        assert self.heard() == "ready"

    def heard(self) -> str:
        """The next line it says; empty when it has ended."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def ended(self) -> list[str]:
        """Wait for its end, which must be a good one; what it said until then."""
        said, _ = self._process.communicate(timeout=120)
        assert self._process.returncode == 0
        return said.split()

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.communicate()


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of 20,000 tiles without a graph, to be copied."""
    folder = tmp_path_factory.mktemp("large") / "index"
    world = World.drawn(20_000)
    with opened(folder) as index:
        index.upsert(world.tiles, world.vectors)
    return folder


@pytest.fixture
def copied(large: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(large, tmp_path / "copy"))


SEARCH = """
seen = searches = 0
slowest = 0.0
while not Path(sys.argv[1], "../stop").exists():
    begin = time.monotonic()
    number = len(index.nearest(WORLD.queries[searches % 50], limit=500))
    slowest = max(slowest, time.monotonic() - begin)
    assert number >= seen, (number, seen)
    seen, searches = number, searches + 1
    time.sleep(0.01)  # as a server would: the optimiser gives way to whoever is busy
say(searches); say(slowest); say(seen)
"""
WRITE = f"""
for i in range(0, 3000, {BATCH}):
    index.upsert(WORLD.tiles[i : i + {BATCH}], WORLD.vectors[i : i + {BATCH}])
    say(i + {BATCH})
index.close()
"""


def test_two_processes_search_while_a_third_writes(tmp_path: Path) -> None:
    folder = tmp_path / "index"
    searchers = [Process(folder, SEARCH) for _ in range(2)]
    writer = Process(folder, WRITE)
    assert writer.ended()[-1] == "3000"
    # With nobody at work a search finds everything.
    with opened(folder) as index:
        assert index.count() == 3000
        assert index.statistics().n == 3000
    (tmp_path / "stop").touch()
    for searcher in searchers:
        searches, _, seen = searcher.ended()
        assert int(searches) >= 5
        assert int(seen) <= 500


def test_a_wait_that_is_too_long_says_who_holds_the_index_and_what_for(tmp_path: Path) -> None:
    opened(tmp_path / "index").close()
    holder = Process(
        tmp_path / "index",
        """
from keenkite.index.embedded.lock import Hold
import os
hold = Hold(index.folder)
hold.acquire("counting the stars", 5)
say(os.getpid())
time.sleep(60)
""",
    )
    pid = holder.heard()
    with (
        opened(tmp_path / "index", wait=0.3) as index,
        pytest.raises(IndexBusyError, match=rf"process {pid} \(counting the stars, since .* 0.3 s"),
    ):
        index.count()
    holder.kill()
    with opened(tmp_path / "index", wait=0.3) as index:
        assert index.count() == 0


@pytest.mark.parametrize("batches", [1, 4, 11])
def test_a_writer_that_is_killed_loses_nothing_and_leaves_no_lock(
    tmp_path: Path, batches: int
) -> None:
    folder = tmp_path / "index"
    writer = Process(folder, WRITE)
    for _ in range(batches):
        acknowledged = int(writer.heard())
    time.sleep(0.004 * batches)  # somewhere in the next batch
    writer.kill()
    with opened(folder, wait=5) as index:
        ids = {t.id for t in index.scroll()}
        assert ids >= {t.id for t in WORLD.tiles[:acknowledged]}
        check_statistics(index)
    assert Process(folder, WRITE).ended()[-1] == "3000"
    with opened(folder, wait=5) as index:
        assert index.count() == 3000
        check_statistics(index)


def check_statistics(index: TileIndex) -> None:
    """They are of what is there, whatever was killed: of all of it, as it is a small index."""
    exact = statistics_of(index.vectors([t.id for t in index.scroll()]))
    found = index.statistics()
    assert (found.n, found.sample) == (exact.n, exact.n)
    np.testing.assert_allclose(found.mean, exact.mean, rtol=0, atol=1e-12)
    np.testing.assert_allclose(found.covariance, exact.covariance, rtol=0, atol=1e-12)


def test_maintenance_stalls_no_search_of_its_own_process(copied: Path) -> None:
    moments: dict[str, list[float]] = {"copying": [], "optimising": [], "done": []}
    with opened(copied) as index:
        thread = threading.Thread(
            target=lambda: index.maintain(lambda stage, s: moments[stage].append(time.monotonic()))
        )
        thread.start()
        times = []
        while thread.is_alive():
            begin = time.monotonic()
            assert len(index.nearest(vectors(1)[0], limit=10)) == 10
            times.append(time.monotonic() - begin)
            time.sleep(0.01)  # the optimiser gives way to whoever is busy
        took = moments["done"][0] - moments["copying"][0]
        assert len(times) >= 10
        assert max(times) < max(took / 2, 1)
        assert len(index.nearest(vectors(1)[0], limit=10)) == 10
        assert index.count() == 20_000
        assert index.statistics().sample == 16_384
        assert index.maintain() is False
    assert [path.name for path in (copied / "shards").iterdir()] == ["0002"]


@pytest.mark.slow
def test_maintenance_stalls_no_search_of_another_process(copied: Path) -> None:
    searcher = Process(copied, SEARCH)
    maintainer = Process(copied, "assert index.maintain(); say('done')")
    begin = time.monotonic()
    assert maintainer.ended() == ["done"]
    took = time.monotonic() - begin
    (copied.parent / "stop").touch()
    searches, slowest, seen = searcher.ended()
    assert int(searches) >= 5
    assert float(slowest) < max(took / 2, 2)
    assert int(seen) == 500


def test_upserts_wait_for_maintenance_and_say_what_for(copied: Path) -> None:
    maintainer = Process(
        copied, "index.maintain(lambda stage, s: say(stage) or time.sleep(60 * (s > 1)))"
    )
    while maintainer.heard() != "optimising":
        pass
    with opened(copied, wait=0.5) as index:
        with pytest.raises(IndexBusyError, match=r"maintenance, since"):
            index.upsert([tile(500)], vectors(1))
        assert index.statistics().n == 20_000
    maintainer.kill()
    with opened(copied) as index:
        index.upsert([tile(500)], vectors(1))
        assert index.count() == 20_001


def test_maintenance_that_is_killed_leaves_the_index_and_its_rests_go(copied: Path) -> None:
    maintainer = Process(copied, "index.maintain(lambda stage, s: say(stage))")
    while maintainer.heard() != "optimising":
        pass
    time.sleep(0.3)
    assert optimisers(copied)
    maintainer.kill()
    assert (copied / "shards" / "0002").is_dir()
    deadline = time.monotonic() + 20
    while optimisers(copied) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not optimisers(copied)
    # What an engine killed while optimising in place would leave.
    (copied / "shards/0001/temp_segments/segment_builder_x").mkdir(parents=True)
    with opened(copied) as index:
        assert not (copied / "shards" / "0002").exists()
        assert index.count() == 20_000
        assert not (copied / "shards/0001/temp_segments/segment_builder_x").exists()
        assert index.maintain()
        assert len(index.nearest(vectors(1)[0], limit=10)) == 10


def optimisers(folder: Path) -> list[int]:
    """Processes that optimise a shard of this folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes()
        except OSError:
            continue
        if b"optimise.py" in command and os.fsencode(folder) in command:
            found.append(int(path.parent.name))
    return found


def test_a_progress_callback_can_end_maintenance(copied: Path) -> None:
    class EnoughError(Exception):
        pass

    def stop(stage: str, seconds: float) -> None:
        if stage == "optimising":
            raise EnoughError

    with opened(copied) as index:
        with pytest.raises(EnoughError):
            index.maintain(stop)
        assert [path.name for path in (copied / "shards").iterdir()] == ["0001"]
        assert index.count() == 20_000


def test_there_is_nothing_to_maintain_in_a_small_index(tmp_path: Path) -> None:
    with TileIndex.open(tmp_path / "index", encoder=Named()) as index:
        index.upsert([tile()], vectors(1))
        assert index.maintain() is False


def test_threads_share_an_index(tmp_path: Path) -> None:
    problems: list[BaseException] = []
    with opened(tmp_path / "index") as index:

        def work(number: int) -> None:
            try:
                for i in range(number * 500, number * 500 + 500, 50):
                    index.upsert(WORLD.tiles[i : i + 50], WORLD.vectors[i : i + 50])
                    index.nearest(WORLD.queries[number], limit=5)
            except BaseException as error:  # noqa: BLE001
                problems.append(error)

        threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not problems
        assert index.count() == 2000
        check_statistics(index)
