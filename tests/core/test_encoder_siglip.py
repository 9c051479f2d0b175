"""Models whose texts need a tokenizer of the transformers package: SigLIP and its kin."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch

from keenkite import ClipEncoder
from keenkite.encoder.models import find_record
from keenkite.encoder.records import ModelRecord
from keenkite.encoder.words import words_of
from keenkite.errors import InputError, ModelError
from tests.support.checkpoints import register, tiles
from tests.support.hub_server import serve

with_transformers = pytest.mark.skipif(
    find_spec("transformers") is None,
    reason="the transformers package is not installed: pip install 'keenkite[siglip]'",
)

WORDS = ("a", "golf", "course", "beside", "the", "sea", "airport", "rice", "field", "dam")
LENGTH = 16
"""Tokens; with its end token a text of 15 words fits."""


def test_without_transformers_the_extra_is_named_before_anything_is_fetched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    for name in ("ViT-B-16-SigLIP2:webli", "ViT-B-16-SigLIP-384:webli"):
        with pytest.raises(ModelError, match=r"pip install 'keenkite\[siglip\]'"):
            ClipEncoder.load(name, device="cpu")


def test_a_tag_of_siglip_is_a_record_with_its_own_scaling_and_plain_gelu() -> None:
    record = find_record("ViT-B-16-SigLIP2-384:webli")
    assert isinstance(record, ModelRecord)
    assert (record.mean, record.std) == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    assert record.quick_gelu is False


def save_tokenizer(folder: Path) -> None:
    """One token a word, an end token, padding: in the files that transformers writes."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: n for n, word in enumerate(("<pad>", "</s>", "<unk>", *WORDS))}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", vocabulary["</s>"])]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    ).save_pretrained(folder)


@pytest.fixture(scope="module")
def siglip(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """The towers of SigLIP 2 in a small size, random weights, a tokenizer in a folder."""
    folder = tmp_path_factory.mktemp("siglip")
    save_tokenizer(folder / "tokenizer")
    name = register(
        folder,
        "siglip-tiny",
        "ViT-B-16-SigLIP2-256",
        vision={"timm_model_name": "vit_tiny_patch16_384", "image_size": 384},
        text={
            "context_length": LENGTH,
            "vocab_size": 3 + len(WORDS),
            "hf_tokenizer_name": str(folder / "tokenizer"),
            "width": 192,
            "heads": 3,
            "layers": 2,
        },
        embed_dim=192,
    )
    torch.manual_seed(0)
    torch.save(open_clip.create_model(name).state_dict(), folder / "model.pt")
    return name, folder / "model.pt"


@pytest.fixture(scope="module")
def encoder(siglip: tuple[str, Path]) -> ClipEncoder:
    name, file = siglip
    return ClipEncoder.load(f"{name}:{file}", device="cpu", precision="fp32")


def their_texts(siglip: tuple[str, Path], texts: list[str]) -> np.ndarray:
    name, file = siglip
    theirs = open_clip.create_model(name, pretrained=str(file)).eval()
    with torch.inference_mode():
        tokens = open_clip.get_tokenizer(name)(texts)
        vectors: np.ndarray = theirs.encode_text(tokens, normalize=True).numpy()
    return vectors


@with_transformers
def test_texts_are_read_by_its_tokenizer_as_open_clip_reads_them(
    siglip: tuple[str, Path], encoder: ClipEncoder
) -> None:
    texts = ["airport", "A golf course, beside the SEA!", "rice field " * 7, "unheard of"]
    np.testing.assert_allclose(encoder.encode_texts(texts), their_texts(siglip, texts), atol=1e-5)


@with_transformers
def test_a_long_text_is_cut_after_the_word_that_still_fits(
    siglip: tuple[str, Path], encoder: ClipEncoder, caplog: pytest.LogCaptureFixture
) -> None:
    fits = " ".join(["sea"] * (LENGTH - 1))
    expected = their_texts(siglip, [fits])
    np.testing.assert_allclose(encoder.encode_texts([fits]), expected, atol=1e-5)
    assert not caplog.records
    np.testing.assert_allclose(encoder.encode_texts([f"{fits} dam"]), expected, atol=1e-5)
    assert "reads 16 tokens: of this text only the first 15 of 16 words" in caplog.text


@with_transformers
def test_a_text_that_its_cleaning_leaves_nothing_of_is_refused(encoder: ClipEncoder) -> None:
    with pytest.raises(InputError, match="holds nothing to read"):
        encoder.encode_texts(["!?"])


@with_transformers
def test_images_are_open_clips_and_there_are_no_patch_features(
    siglip: tuple[str, Path], encoder: ClipEncoder
) -> None:
    from PIL import Image

    name, file = siglip
    rgb = tiles(2)
    theirs = open_clip.create_model(name, pretrained=str(file)).eval()
    prepare = open_clip.image_transform(
        384, is_train=False, mean=open_clip.OPENAI_DATASET_MEAN, std=open_clip.OPENAI_DATASET_STD
    )
    with torch.inference_mode():
        images = torch.stack([prepare(Image.fromarray(tile)) for tile in rgb])
        expected = theirs.encode_image(images, normalize=True).numpy()
    np.testing.assert_allclose(encoder.encode_images(rgb), expected, atol=5e-4)
    with pytest.raises(ModelError, match=r"TimmModel\. Choose a ViT model"):
        encoder.patch_features(rgb)


@with_transformers
def test_a_tokenizer_that_cannot_be_had_is_named(tmp_path: Path) -> None:
    config = {"hf_tokenizer_name": str(tmp_path / "nowhere")}
    with pytest.raises(ModelError, match=r"mine: its tokenizer .*nowhere .*cannot be had"):
        words_of("mine", config, 64)


FROM_HUB = """
import numpy as np, socket, sys
from keenkite.encoder.words import words_of
config = {"hf_tokenizer_name": "owner/mine", "tokenizer_kwargs": {"clean": "canonicalize"}}
words_of("mine", config, 16)
def refuse(*_): raise AssertionError("a network")
socket.socket.connect = refuse
np.save(sys.argv[1], words_of("mine", config, 16)(["A golf course!"]).numpy())
"""


@with_transformers
def test_a_tokenizer_comes_from_the_hub_once_and_then_from_the_cache(tmp_path: Path) -> None:
    save_tokenizer(tmp_path / "tokenizer")
    files: dict[str, Any] = {
        f"owner/mine/{path.name}": path.read_bytes() for path in (tmp_path / "tokenizer").iterdir()
    }
    with serve(files) as hub:
        environment = os.environ | {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home")}
        command = [sys.executable, "-c", FROM_HUB, tmp_path / "ids.npy"]
        subprocess.run(command, env=environment, check=True, capture_output=True)
        assert ("GET", "owner/mine/tokenizer.json", None) in hub.requests
    ids = np.load(tmp_path / "ids.npy")
    assert ids.tolist() == [[3, 4, 5, 1, *[0] * (LENGTH - 4)]]


@with_transformers
def test_no_code_of_a_tokenizers_repository_is_run(tmp_path: Path) -> None:
    folder = tmp_path / "tokenizer"
    save_tokenizer(folder)
    described = json.loads((folder / "tokenizer_config.json").read_text())
    target = tmp_path / "the code ran"
    (folder / "mine.py").write_text(f"open({str(target)!r}, 'w')\nclass Mine: pass\n")
    described |= {"tokenizer_class": "Mine", "auto_map": {"AutoTokenizer": [None, "mine.Mine"]}}
    (folder / "tokenizer_config.json").write_text(json.dumps(described))
    try:
        words_of("mine", {"hf_tokenizer_name": str(folder)}, 16)
    except ModelError as error:
        assert "cannot be had" in str(error)  # noqa: PT017 (it may also be read without the code)
    assert not target.exists()
