"""Weights from the hub, with the real huggingface_hub against a local server of its endpoints."""

import os
import shutil
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from keenkite.encoder.hub import fetch
from keenkite.encoder.records import RECORDS, HubFile
from keenkite.errors import ModelError, StorageError
from tests.support.hub_server import Hub, serve

SOURCE = RECORDS["remoteclip-vit-b-32"].source
NAME = "chendelong/RemoteCLIP/RemoteCLIP-ViT-B-32.pt"
WEIGHTS = np.random.default_rng(0).bytes(25_000_000)
"""More than two of the 10 MB pieces in which huggingface_hub writes what it receives."""
assert isinstance(SOURCE, HubFile)


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serve({NAME: WEIGHTS}) as hub:
        yield hub


def gets(hub: Hub) -> list[str | None]:
    """The Range header of every GET."""
    return [asked for method, _, asked in hub.requests if method == "GET"]


def refusal(hub: Hub | str, cache: Path, source: HubFile = SOURCE) -> str:
    """The message of the error; it names the file and both ways out."""
    with pytest.raises(ModelError) as caught:
        fetch(source, endpoint=hub if isinstance(hub, str) else hub.url, cache_dir=cache)
    message = str(caught.value)
    assert source.files[0] in message
    assert "connect this machine to the network" in message
    assert "--weights PATH" in message
    return message


def test_a_file_is_downloaded_once_and_its_progress_is_told(hub: Hub, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    path = fetch(
        SOURCE,
        endpoint=hub.url,
        cache_dir=tmp_path,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert path.name == "RemoteCLIP-ViT-B-32.pt"
    assert path.read_bytes() == WEIGHTS
    assert seen[-1] == (len(WEIGHTS), len(WEIGHTS))
    assert seen == sorted(seen)

    assert fetch(SOURCE, endpoint=hub.url, cache_dir=tmp_path) == path
    assert len(gets(hub)) == 1


def test_a_download_that_breaks_off_goes_on_where_it_stopped(hub: Hub, tmp_path: Path) -> None:
    hub.break_off_after = [12_000_000, 11_000_000]
    seen: list[int] = []
    path = fetch(
        SOURCE,
        endpoint=hub.url,
        cache_dir=tmp_path,
        progress=lambda done, total: seen.append(done),
    )
    assert path.read_bytes() == WEIGHTS
    first, second, third = gets(hub)
    assert first is None
    assert second == f"bytes={10 << 20}-", "what had been written is not fetched again"
    assert third == f"bytes={20 << 20}-"
    assert seen[-1] == len(WEIGHTS)


def test_a_download_that_cannot_go_on_leaves_no_file_and_the_next_one_works(
    hub: Hub, tmp_path: Path
) -> None:
    hub.break_off_after, hub.after_break = [12_000_000], 503
    assert "503" in refusal(hub, tmp_path)
    assert not list(tmp_path.rglob("RemoteCLIP-ViT-B-32.pt"))

    hub.status, hub.after_break = 200, None
    assert fetch(SOURCE, endpoint=hub.url, cache_dir=tmp_path).read_bytes() == WEIGHTS


FETCH = """
from keenkite.encoder.records import RECORDS
from keenkite.encoder.hub import fetch
try:
    print(fetch(RECORDS["remoteclip-vit-b-32"].source))
except Exception as error:
    print(type(error).__name__, error)
"""


def environment(hub: Hub, home: Path) -> dict[str, str]:
    """How users point huggingface_hub at a mirror and a folder."""
    return os.environ | {"HF_ENDPOINT": hub.url, "HF_HOME": str(home)}


def test_a_killed_download_leaves_no_file_and_the_next_one_works_and_draws_a_bar(
    hub: Hub, tmp_path: Path
) -> None:
    hub.hold = threading.Event()
    process = subprocess.Popen([sys.executable, "-c", FETCH], env=environment(hub, tmp_path))
    assert hub.half_sent.wait(60)
    process.kill()
    process.wait()
    hub.hold.set()
    assert not list(tmp_path.rglob("RemoteCLIP-ViT-B-32.pt"))

    screen, terminal = os.openpty()
    termios.tcsetwinsize(terminal, (24, 100))
    process = subprocess.Popen(
        [sys.executable, "-c", FETCH],
        env=environment(hub, tmp_path),
        stdout=subprocess.PIPE,
        stderr=terminal,
        text=True,
    )
    os.close(terminal)
    path = Path(process.communicate()[0].strip())
    assert tmp_path in path.parents
    assert path.read_bytes() == WEIGHTS
    shown = b""
    with suppress(OSError):  # the end of a terminal whose last user is gone
        while part := os.read(screen, 10_000):
            shown += part
    os.close(screen)
    assert b"25.0M/25.0M" in shown


def test_a_full_disk_is_a_storage_error(hub: Hub, tmp_path: Path) -> None:
    """In a mount namespace of its own, with a file system of 20 MB for 25 MB of weights."""
    mount = f"mount -t tmpfs -o size=20m none {tmp_path}"
    alone = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    if not shutil.which("unshare") or subprocess.run([*alone, mount], check=False).returncode:
        pytest.skip("this system lets nobody mount a small file system")
    out = subprocess.run(
        [*alone, f'{mount} && exec "$0" -c "$1"', sys.executable, FETCH],
        env=environment(hub, tmp_path),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert out.startswith("StorageError RemoteCLIP-ViT-B-32.pt of chendelong/RemoteCLIP")
    assert "No space left on device. Free some space" in out


def test_a_cache_that_cannot_be_written_is_a_storage_error(hub: Hub, tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    tmp_path.chmod(0o500)
    with pytest.raises(StorageError, match="Permission denied"):
        fetch(SOURCE, endpoint=hub.url, cache_dir=tmp_path / "cache")


def test_a_cached_file_needs_no_network(hub: Hub, tmp_path: Path) -> None:
    path = fetch(SOURCE, endpoint=hub.url, cache_dir=tmp_path)
    hub.status = 500
    hub.requests.clear()
    assert fetch(SOURCE, endpoint=hub.url, cache_dir=tmp_path) == path
    assert not hub.requests


def test_no_network_names_the_file_and_both_ways_out(tmp_path: Path) -> None:
    message = refusal("http://127.0.0.1:9", tmp_path)  # the discard port: nobody listens
    assert "refused" in message


@pytest.mark.parametrize(("status", "reason"), [(401, "401"), (403, "403"), (500, "500")])
def test_a_hub_that_refuses_is_named(hub: Hub, tmp_path: Path, status: int, reason: str) -> None:
    hub.status = status
    assert reason in refusal(hub, tmp_path)


def test_a_repository_or_file_that_is_not_there_is_named(hub: Hub, tmp_path: Path) -> None:
    missing = HubFile(repo="chendelong/RemoteCLIP", files=("gone.pt",))
    assert "404" in refusal(hub, tmp_path, missing)
    nobody = HubFile(repo="nobody/nothing", files=("gone.pt",))
    assert "404" in refusal(hub, tmp_path, nobody)


def test_the_first_file_that_exists_is_taken_with_and_without_a_network(tmp_path: Path) -> None:
    both = HubFile(repo="a/b", files=("open_clip_model.safetensors", "open_clip_pytorch_model.bin"))
    with serve({"a/b/open_clip_pytorch_model.bin": b"old", "a/b/other": b""}) as hub:
        path = fetch(both, endpoint=hub.url, cache_dir=tmp_path)
        assert path.read_bytes() == b"old"
        hub.status = 500
        assert fetch(both, endpoint=hub.url, cache_dir=tmp_path) == path
