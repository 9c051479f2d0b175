"""Repositories with open_clip's configuration, by the real huggingface_hub from a local hub."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import save

from keenkite.encoder.hub import fetch, record_of_repository
from keenkite.encoder.models import require_usable
from keenkite.encoder.records import RECORDS, HubFile
from keenkite.encoder.weights import bare_model, build_model
from keenkite.encoder.words import words_of
from keenkite.errors import ModelError
from tests.support.checkpoints import SMALL_TEXT, load_as, random_state, register, tiles, tokenize
from tests.support.clip_reference import Reference
from tests.support.hub_server import Hub, serve

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)
TEXT = "a golf course beside the sea"

LOAD = """
import sys
import numpy as np
from keenkite import ClipEncoder
encoder = ClipEncoder.load("hf-hub:owner/mine", device="cpu", precision="fp32")
rgb = np.load(sys.argv[1])
np.savez(sys.argv[2], image=encoder.encode_images(rgb), patches=encoder.patch_features(rgb),
         text=encoder.encode_texts([sys.argv[3]]), name=encoder.name)
"""


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A narrow ViT-B/16 of 240 px with QuickGELU, which open_clip has no name for."""
    folder = tmp_path_factory.mktemp("architecture")
    vision = {"layers": 2, "width": 128, "image_size": 240}
    name = register(folder, "hub-B-16", "ViT-B-16", vision=vision, text=SMALL_TEXT)
    return open_clip.get_model_config(name) | {"quick_gelu": True}


@pytest.fixture(scope="module")
def state(config: dict[str, Any]) -> dict[str, torch.Tensor]:
    return random_state("hub-B-16", seed=7)


@pytest.fixture
def hub(config: dict[str, Any], state: dict[str, torch.Tensor]) -> Iterator[Hub]:
    described = {"model_cfg": config, "preprocess_cfg": {"mean": MEAN, "std": STD}}
    weights = save({key: value.clone() for key, value in state.items()})
    files: dict[str, bytes | Path] = {
        "owner/mine/open_clip_config.json": json.dumps(described).encode(),
        "owner/mine/open_clip_model.safetensors": weights,
    }
    with serve(files) as hub:
        yield hub


def test_a_repository_is_fetched_once_and_gives_the_vectors_its_configuration_means(
    hub: Hub, config: dict[str, Any], state: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    rgb = tiles(1)
    np.save(tmp_path / "rgb.npy", rgb)
    environment = os.environ | {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home")}
    command = [sys.executable, "-c", LOAD, tmp_path / "rgb.npy", tmp_path / "out.npz", TEXT]
    subprocess.run(command, env=environment, check=True, capture_output=True)
    out = np.load(tmp_path / "out.npz")

    assert str(out["name"]) == "hf-hub:owner/mine"
    assert out["patches"].shape == (1, 15, 15, 512)
    reference = Reference.of(config, state)
    hub.status = 500  # from now on all of it is in the cache
    cache = tmp_path / "home" / "hub"
    record = record_of_repository("owner/mine", endpoint=hub.url, cache_dir=cache)
    assert isinstance(record.source, HubFile)
    assert fetch(record.source, endpoint=hub.url, cache_dir=cache).is_file()
    x = load_image(rgb, 240)
    np.testing.assert_allclose(out["image"][0], reference.image_vector(x), atol=5e-4)
    (ids,) = tokenize([TEXT]).tolist()
    expected = reference.text_vector(ids[: int(np.argmax(ids)) + 1])
    np.testing.assert_allclose(out["text"][0], expected, atol=1e-5)
    assert (record.mean, record.std, record.quick_gelu) == (MEAN, STD, True)


def load_image(rgb: np.ndarray, side: int) -> np.ndarray:
    from PIL import Image

    grown = Image.fromarray(rgb[0]).resize((side, side), Image.Resampling.BICUBIC)
    return (np.asarray(grown) / 255.0 - np.array(MEAN)) / np.array(STD)


def test_only_the_configuration_is_fetched_for_a_record(hub: Hub, tmp_path: Path) -> None:
    record = record_of_repository("owner/mine", endpoint=hub.url, cache_dir=tmp_path)
    assert record.name == "hf-hub:owner/mine"
    assert record.source == HubFile(
        repo="owner/mine", files=("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
    )
    assert {name for _, name, _ in hub.requests} == {"owner/mine/open_clip_config.json"}
    record.config()["vision_cfg"]["layers"] = 9
    assert record.config()["vision_cfg"]["layers"] == 2


def test_weights_that_do_not_fit_their_configuration_are_refused(
    hub: Hub, state: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    record = record_of_repository("owner/mine", endpoint=hub.url, cache_dir=tmp_path)
    torch.save(state | {"visual.proj": torch.zeros(128, 7)}, tmp_path / "model.pt")
    with pytest.raises(ModelError, match=r"hf-hub:owner/mine .*another shape 1: visual\.proj"):
        load_as(record, tmp_path / "model.pt")


@pytest.mark.parametrize(
    "contents",
    [b"{", b"[]", b"{}", b'{"model_cfg": {}}', b'{"model_cfg": {"vision_cfg": 3, "text_cfg": {}}}'],
)
def test_a_configuration_that_describes_no_model_is_refused(
    hub: Hub, tmp_path: Path, contents: bytes
) -> None:
    hub.files["owner/mine/open_clip_config.json"] = contents
    with pytest.raises(ModelError, match="of owner/mine describes no model"):
        record_of_repository("owner/mine", endpoint=hub.url, cache_dir=tmp_path)


@pytest.mark.parametrize("preprocess", [{"mean": [0.5]}, {"std": [0, 1, 1]}, {"mean": "dark"}])
def test_a_scaling_that_is_none_is_refused(
    hub: Hub, config: dict[str, Any], tmp_path: Path, preprocess: dict[str, Any]
) -> None:
    described = {"model_cfg": config, "preprocess_cfg": preprocess}
    hub.files["owner/mine/open_clip_config.json"] = json.dumps(described).encode()
    with pytest.raises(ModelError, match="of owner/mine describes no model"):
        record_of_repository("owner/mine", endpoint=hub.url, cache_dir=tmp_path)


def test_a_repository_without_one_says_what_is_missing(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"configuration open_clip_config\.json of owner/other"):
        record_of_repository("owner/other", endpoint=hub.url, cache_dir=tmp_path)


def test_a_configuration_of_what_open_clip_cannot_make_is_refused(
    hub: Hub, config: dict[str, Any], state: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    for change in ({"towers": 3}, {"embed_dim": "wide"}):
        hub.files["owner/mine/open_clip_config.json"] = json.dumps(
            {"model_cfg": config | change}
        ).encode()
        cache = tmp_path / str(*change)
        record = record_of_repository("owner/mine", endpoint=hub.url, cache_dir=cache)
        with pytest.raises(ModelError, match="cannot make hf-hub:owner/mine"):
            build_model(record, dict(state), tmp_path / "model.pt")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"vision_cfg": {"image_size": [224, 448]}}, "tiles are square"),
        ({"vision_cfg": {"image_size": 22.4}}, "tiles are square"),
        ({"vision_cfg": {"timm_model_name": "hf-hub:somebody/else"}}, "installed timm knows"),
        ({"text_cfg": {"hf_model_name": "roberta-base"}}, "of the transformers package"),
        ({"multimodal_cfg": {}}, "CoCa"),
    ],
)
def test_a_configuration_of_what_keenkite_does_not_do_is_refused_with_the_reason(
    hub: Hub, config: dict[str, Any], tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    merged = {
        key: config.get(key, {}) | value if key != "multimodal_cfg" else value
        for key, value in change.items()
    }
    described = {"model_cfg": config | merged}
    hub.files["owner/mine/open_clip_config.json"] = json.dumps(described).encode()
    record = record_of_repository("owner/mine", endpoint=hub.url, cache_dir=tmp_path)
    with pytest.raises(ModelError, match=reason):
        require_usable(record.name, record.config())


def test_no_weights_but_the_files_own_are_fetched(
    config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a network")

    monkeypatch.setattr("socket.socket.connect", refuse)
    tower = {"timm_model_name": "vit_tiny_patch16_224", "timm_model_pretrained": True}
    record = replace(RECORDS["remoteclip-vit-b-32"], own_config=config | {"vision_cfg": tower})
    assert bare_model(record).visual.image_size == (224, 224)


def test_a_configuration_cannot_make_its_tokenizer_run_code() -> None:
    for option in ("trust_remote_code", "reduction_mask", "bpe_path"):
        with pytest.raises(ModelError, match=f"asks its tokenizer for {option}"):
            words_of("hf-hub:owner/mine", {"tokenizer_kwargs": {option: True}}, 77)
