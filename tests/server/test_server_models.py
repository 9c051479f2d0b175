"""Which model a server loads, when, and what it says while it has none."""

import threading
import time
from pathlib import Path

import pytest

from keenkite.encoder import Encoder
from keenkite.errors import InputError, ModelError
from keenkite_server.models import ClipModels, Downloaded, Models
from keenkite_server.settings import ServerSettings
from tests.support.fakes import FakeEncoder


class Source:
    """Models that come when they are let."""

    named = None
    usual = "fake-colours"

    def __init__(self) -> None:
        self.arrived = threading.Event()
        self.error: Exception | None = None
        self.loads = 0

    def load(self, name: str, progress: Downloaded) -> Encoder:
        self.loads += 1
        progress(50_000_000, 600_000_000)
        if self.error is not None:
            raise self.error
        assert self.arrived.wait(20)
        return FakeEncoder()


def test_a_call_waits_a_while_and_then_says_how_far_the_model_is() -> None:
    source = Source()
    models = Models(source)
    with pytest.raises(ModelError, match=r"still loading \(50 of 600 MB downloaded\)"):
        models.encoder("fake-colours", wait=0.2)
    source.arrived.set()
    assert models.encoder("fake-colours") is models.encoder("fake-colours")
    assert source.loads == 1


def test_a_model_that_failed_is_tried_again_with_the_next_call() -> None:
    source = Source()
    source.error = ModelError("no network")
    models = Models(source)
    with pytest.raises(ModelError, match="no network"):
        models.encoder("fake-colours")
    source.error = None
    source.arrived.set()
    assert models.encoder("fake-colours").name == "fake-colours"


def test_one_model_that_is_slow_does_not_keep_another_waiting() -> None:
    source = Source()
    models = Models(source)
    models.start("slow")
    while not source.loads:
        time.sleep(0.01)
    source.arrived.set()
    assert models.encoder("other", wait=5).dim


def test_the_operators_model_is_named_without_being_loaded(small_clip_file: Path) -> None:
    assert ClipModels(ServerSettings()).named is None
    assert ClipModels(ServerSettings()).usual == "remoteclip-vit-b-32"
    tiny = ClipModels(ServerSettings(model="keenkite-tiny"))
    assert tiny.named == tiny.usual == "keenkite-tiny"
    own = ClipModels(ServerSettings(model=f"small-ViT-B-32:{small_clip_file}"))
    assert own.usual.startswith("small-ViT-B-32@")
    with pytest.raises(InputError, match="no-such-model"):
        ClipModels(ServerSettings(model="no-such-model")).usual  # noqa: B018


def test_a_model_is_loaded_by_its_name_and_the_operators_own_by_its_file(
    small_clip_file: Path,
) -> None:
    def nothing(done: int, total: int) -> None:
        pass

    own = ClipModels(ServerSettings(model=f"small-ViT-B-32:{small_clip_file}", device="cpu"))
    assert own.load(own.usual, nothing).name == own.usual
    assert own.load("keenkite-tiny", nothing).name == "keenkite-tiny"
    stranger = ClipModels(ServerSettings(device="cpu"))
    with pytest.raises(ModelError, match="start this server with --model and the checkpoint"):
        stranger.load(own.usual, nothing)
