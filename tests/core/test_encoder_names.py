"""The name that an encoder would have, against the one it has once it is loaded."""

import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import save_file

from keenkite import ClipEncoder
from keenkite.encoder import bands_of, models, name_of
from keenkite.encoder.records import ModelRecord
from keenkite.errors import InputError, ModelError
from tests.support.fakes import FakeEncoder


def test_a_checkpoint_has_the_name_that_it_loads_under(
    small_clip: ClipEncoder, small_clip_file: Path, vit_b_32: Path, tmp_path: Path
) -> None:
    assert name_of(f"small-ViT-B-32:{small_clip_file}") == small_clip.name
    published = ClipEncoder.load(vit_b_32, device="cpu")
    assert name_of(vit_b_32) == published.name == "remoteclip-vit-b-32"
    mine = tmp_path / "mine.pt"
    mine.symlink_to(vit_b_32)
    assert name_of(mine) == ClipEncoder.load(mine, device="cpu").name
    assert name_of(mine).startswith("ViT-B-32-quickgelu@")
    assert name_of(f"ViT-B-32:{mine}") == name_of(mine).replace("-quickgelu", "")


def test_a_record_keeps_its_name_whatever_file_its_weights_come_from(vit_b_32: Path) -> None:
    assert name_of("remoteclip-vit-b-32") == "remoteclip-vit-b-32"
    assert name_of("remoteclip-vit-b-32", "nowhere.pt") == "remoteclip-vit-b-32"
    with pytest.raises(InputError, match="Two checkpoints"):
        name_of(vit_b_32, vit_b_32)


@pytest.mark.parametrize("model", ["ViT-B-16:openai", "ViT-B/32:openai", "RN50:openai"])
def test_a_tag_has_the_name_of_its_record(model: str) -> None:
    record = models.find_record(model)
    assert isinstance(record, ModelRecord)
    assert name_of(model) == record.name


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("ViT-L-14:datacomp_xl_s13b_b90k", "datacomp-vit-l-14"),
        ("ViT-L-14:datacomp-xl-s13B-b90K", "datacomp-vit-l-14"),
        ("hf-hub:laion/CLIP-ViT-H-14-laion2B-s32B-b79K", "laion-vit-h-14"),
        ("hf-hub:owner/some.model_1", "hf-hub:owner/some.model_1"),
        ("ViT-B-32:laion2B-s34B-b79K", "ViT-B-32:laion2b_s34b_b79k"),
    ],
)
def test_the_same_weights_have_one_name_and_a_repository_its_own(model: str, name: str) -> None:
    assert name_of(model) == name


def test_a_file_called_like_a_tag_is_not_taken_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "openai").write_bytes(b"weights")
    (tmp_path / "mine").write_bytes(b"weights")
    monkeypatch.chdir(tmp_path)
    for model in ("ViT-B-16:openai", "ViT-B-16:mine"):
        record = models.find_record(model)
        assert isinstance(record, ModelRecord)
        assert name_of(model) == record.name


@pytest.mark.parametrize("model", ["remoteclip", "", ":", "ViT-B-32", "nowhere:openai", "hf-hub:a"])
def test_what_is_no_model_is_said(model: str) -> None:
    with pytest.raises(InputError, match="There is no model"):
        name_of(model)


def test_a_file_that_is_not_there_is_said() -> None:
    with pytest.raises(ModelError, match=r"no checkpoint file nowhere\.pt"):
        name_of("nowhere.pt")


def test_a_name_costs_neither_torch_nor_a_network(tmp_path: Path) -> None:
    file = tmp_path / "mine.safetensors"
    save_file({}, file)
    code = (
        "import sys, socket\n"
        "def refuse(*_): raise AssertionError('a network')\n"
        "socket.socket.connect = refuse\n"
        "from keenkite.encoder import name_of\n"
        f"for model in ('remoteclip-vit-b-32', 'keenkite-tiny', 'ViT-B-16:openai',\n"
        f"              'ViT-B-16:{file}', 'llama3-ms-clip-base', 'hf-hub:a/b'):\n"
        "    name_of(model)\n"
        "print({'torch', 'open_clip', 'huggingface_hub'} & set(sys.modules))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "set()"


def test_an_encoder_may_say_which_bands_it_wants() -> None:
    class Ten(FakeEncoder):
        bands = ("B02", "B08")

    assert bands_of(FakeEncoder()) is None
    assert bands_of(Ten()) == ("B02", "B08")
