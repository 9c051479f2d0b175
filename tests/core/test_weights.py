"""Checkpoints of every kind are read, or refused without running anything in them."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from keenkite import ClipEncoder
from keenkite.encoder.checkpoint import read_checkpoint
from keenkite.errors import ModelError
from tests.support.checkpoints import SMALL_TEXT, random_state, register, save_random

TILES = np.random.default_rng(0).integers(0, 256, (1, 224, 224, 3), np.uint8)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("architecture")
    vision = {"layers": 2, "width": 128, "patch_size": 32}
    return register(folder, "weights-B-32", "ViT-B-32-quickgelu", vision=vision, text=SMALL_TEXT)


@pytest.fixture(scope="module")
def state(small: str) -> dict[str, torch.Tensor]:
    return random_state(small)


@pytest.fixture(scope="module")
def expected(
    small: str, state: dict[str, torch.Tensor], tmp_path_factory: pytest.TempPathFactory
) -> np.ndarray:
    """The vectors of the plain checkpoint."""
    path = tmp_path_factory.mktemp("plain") / "model.pt"
    torch.save(state, path)
    return vectors(small, path)


def vectors(architecture: str, path: Path) -> np.ndarray:
    model = ClipEncoder.load(f"{architecture}:{path}", device="cpu", precision="fp32")
    return np.vstack([model.encode_images(TILES), model.encode_texts(["a dam"])])


def refusal(path: Path) -> str:
    with pytest.raises(ModelError) as caught:
        read_checkpoint(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


FORMS: dict[str, Any] = {
    "of data-parallel training": lambda s: {f"module.{key}": value for key, value in s.items()},
    "with an optimizer beside it": lambda s: {"epoch": 3, "state_dict": s, "optimizer": {"lr": 1}},
    "with a scale of shape (1,)": lambda s: s | {"logit_scale": s["logit_scale"].reshape(1)},
    "with the bias of a sigmoid loss": lambda s: s | {"logit_bias": torch.tensor(-10.0)},
}


@pytest.mark.parametrize("form", FORMS)
def test_a_training_checkpoint_gives_the_same_vectors(
    small: str, state: dict[str, torch.Tensor], expected: np.ndarray, tmp_path: Path, form: str
) -> None:
    torch.save(FORMS[form](state), tmp_path / "model.pt")
    np.testing.assert_allclose(vectors(small, tmp_path / "model.pt"), expected, atol=1e-6)


def test_safetensors_and_old_torch_files_give_the_same_vectors(
    small: str, state: dict[str, torch.Tensor], expected: np.ndarray, tmp_path: Path
) -> None:
    whole = {key: value.clone() for key, value in state.items()}
    safetensors.torch.save_file(whole, tmp_path / "model.safetensors")
    torch.save(state, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    for name in ("model.safetensors", "old.pt"):
        np.testing.assert_allclose(vectors(small, tmp_path / name), expected, atol=1e-6)


def test_half_precision_checkpoints_load_as_what_was_asked_for(
    small: str, state: dict[str, torch.Tensor], expected: np.ndarray, tmp_path: Path
) -> None:
    torch.save({key: value.half() for key, value in state.items()}, tmp_path / "half.pt")
    np.testing.assert_allclose(vectors(small, tmp_path / "half.pt"), expected, atol=2e-3)


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_a_loaded_model_does_not_follow_its_file(
    small: str, state: dict[str, torch.Tensor], expected: np.ndarray, tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"model.{suffix}"
    if suffix == "pt":
        torch.save(state, path)
    else:
        safetensors.torch.save_file({key: value.clone() for key, value in state.items()}, path)
    model = ClipEncoder.load(f"{small}:{path}", device="cpu", precision="fp32")
    with path.open("r+b") as file:
        file.write(b"\0" * path.stat().st_size)
    np.testing.assert_allclose(model.encode_images(TILES), expected[:1], atol=1e-6)


@pytest.mark.parametrize("kind", ["torch", "old torch", "safetensors"])
@pytest.mark.parametrize("kept", [0.01, 0.5, 0.999])
def test_a_truncated_file_is_refused(
    state: dict[str, torch.Tensor], tmp_path: Path, kind: str, kept: float
) -> None:
    path = tmp_path / f"model.{kind}"
    if kind == "safetensors":
        safetensors.torch.save_file({key: value.clone() for key, value in state.items()}, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=kind == "torch")
    with path.open("r+b") as file:
        file.truncate(int(path.stat().st_size * kept))
    assert "Fetch it again" in refusal(path)


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (b"<!DOCTYPE html><html><title>429 Too Many Requests</title>", "web page"),
        (b"\n  <html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 605", "Git LFS pointer"),
        (b"", "Fetch it again"),
        (b"\x00" * 4096, "Fetch it again|no checkpoint at all"),
        (b'{"error": "Invalid credentials"}', "no checkpoint at all"),
        (b"PK\x03\x04 and then something else", "cut short"),
        (b"\x10\x00\x00\x00\x00\x00\x00\x00{not a header..", "damaged or cut short"),
    ],
)
def test_what_is_no_checkpoint_is_refused(tmp_path: Path, contents: bytes, message: str) -> None:
    path = tmp_path / "RemoteCLIP-ViT-B-32.pt"
    path.write_bytes(contents)
    assert any(part in refusal(path) for part in message.split("|"))


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    assert "No such file" in refusal(tmp_path / "missing.pt")
    assert "directory" in refusal(tmp_path)


class Payload:
    """Unpickled without care, it creates a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.target,)


def pickled(payload: Payload, path: Path) -> None:
    path.write_bytes(pickle.dumps({"state_dict": payload}))


def zipped(payload: Payload, path: Path) -> None:
    torch.save({"visual.proj": torch.zeros(2), "extra": payload}, path)


def zipped_old(payload: Payload, path: Path) -> None:
    torch.save({"extra": payload}, path, _use_new_zipfile_serialization=False)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")  # torch's, on its way to refusing
@pytest.mark.parametrize("write", [pickled, zipped, zipped_old])
def test_code_in_a_pickle_is_refused_and_not_run(tmp_path: Path, write: Any) -> None:
    target = tmp_path / "the payload ran"
    write(Payload(target), tmp_path / "evil.pt")
    if write is pickled:
        pickle.loads((tmp_path / "evil.pt").read_bytes())
    else:
        torch.load(tmp_path / "evil.pt", weights_only=False)
    assert target.exists(), "the payload works where it is let"
    target.unlink()

    message = refusal(tmp_path / "evil.pt")
    assert "does not run code from files" in message
    assert ".safetensors" in message
    assert not target.exists()


def test_a_whole_model_is_refused(tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(2, 2), tmp_path / "model.pt")
    assert "Python objects besides tensors" in refusal(tmp_path / "model.pt")


@pytest.mark.filterwarnings("ignore:.*torch.jit")  # torch's, for making one
def test_a_torchscript_program_is_refused(tmp_path: Path) -> None:
    torch.jit.script(torch.nn.Linear(2, 2)).save(tmp_path / "model.pt")
    assert "TorchScript archive" in refusal(tmp_path / "model.pt")


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        ([torch.zeros(2)], "holds no state dictionary"),
        ({}, "holds no state dictionary"),
        ({"state_dict": {}}, "holds no state dictionary"),
        ({"epoch": 3}, "its entry 'epoch' is a int"),
        ({3: torch.zeros(2)}, "its entry 3 is a Tensor"),
    ],
)
def test_tensors_that_are_no_state_dictionary_are_refused(
    tmp_path: Path, contents: Any, message: str
) -> None:
    torch.save(contents, tmp_path / "model.pt")
    assert message in refusal(tmp_path / "model.pt")


def test_weights_of_another_architecture_are_refused_with_its_name(
    vit_b_32: Path, tmp_path: Path, small: str
) -> None:
    with pytest.raises(ModelError) as caught:
        ClipEncoder.load("remoteclip-vit-l-14", weights=vit_b_32, device="cpu")
    message = str(caught.value)
    assert str(vit_b_32) in message
    assert "remoteclip-vit-l-14 (ViT-L-14-quickgelu)" in message
    assert "looks like ViT-B-32." in message
    assert "missing" in message
    assert "of another shape" in message

    other = save_random(small, tmp_path / "RemoteCLIP-ViT-B-32.pt")
    with pytest.raises(ModelError, match="does not hold the weights of remoteclip-vit-b-32"):
        ClipEncoder.load("remoteclip-vit-b-32", weights=other, device="cpu")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("visual.proj"), "missing 1: visual.proj"),
        (lambda s: s.update(extra=torch.zeros(1)), "unexpected 1: extra"),
        (
            lambda s: s.update(text_projection=torch.zeros(64, 7)),
            r"of another shape 1: text_projection \(64, 7\) instead of \(64, 512\)",
        ),
    ],
)
def test_a_single_key_too_few_or_too_many_is_refused(
    small: str, state: dict[str, torch.Tensor], tmp_path: Path, change: Any, message: str
) -> None:
    changed = dict(state)
    change(changed)
    torch.save(changed, tmp_path / "model.pt")
    with pytest.raises(ModelError, match=message):
        ClipEncoder.load(f"{small}:{tmp_path / 'model.pt'}", device="cpu")
