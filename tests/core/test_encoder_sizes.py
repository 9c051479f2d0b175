"""Images of other sizes than 224 px, texts of other lengths than 77 tokens."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from keenkite import ClipEncoder
from keenkite.encoder.records import OPENAI_MEAN, OPENAI_STD, RECORDS
from keenkite.encoder.sight import Sight
from keenkite.errors import ModelError
from tests.support.checkpoints import (
    SMALL_TEXT,
    load_as,
    open_clip_model,
    random_state,
    register,
    save_ms_clip,
    save_random,
    ten_bands,
    tiles,
    tokenize,
)
from tests.support.clip_reference import Reference

CPU = torch.device("cpu")
RGB = RECORDS["remoteclip-vit-b-32"]
TEN = RECORDS["llama3-ms-clip-base"]


def enlarged(tile: np.ndarray, side: int) -> np.ndarray:
    """As models of other sizes were trained: pillow's bicubic, which works on bytes."""
    return np.asarray(Image.fromarray(tile).resize((side, side), Image.Resampling.BICUBIC))


def normalised(rgb: np.ndarray) -> np.ndarray:
    return (rgb / 255.0 - np.array(OPENAI_MEAN)) / np.array(OPENAI_STD)


def load(name: str, file: Path) -> ClipEncoder:
    return ClipEncoder.load(f"{name}:{file}", device="cpu", precision="fp32")


@pytest.mark.parametrize("side", [112, 196, 240, 256, 336, 378, 448, 512])
def test_tiles_are_resampled_as_pillow_does(side: int) -> None:
    (tile,) = tiles(1)
    tile[60:90, 60:90], tile[90:120, 60:90] = 255, 0  # edges that overshoot
    ours = Sight(RGB, side, CPU)(tile[None])[0].permute(1, 2, 0).double().numpy()
    pixels = (ours * np.array(OPENAI_STD) + np.array(OPENAI_MEAN)) * 255
    difference = np.abs(pixels - enlarged(tile, side))
    assert difference.max() < 1.01, "one byte, where a half is rounded the other way"
    assert (difference > 0.01).mean() < 0.002


@pytest.mark.parametrize("side", [112, 256])
def test_bands_are_resampled_as_numbers_and_not_rounded(side: int) -> None:
    bands = ten_bands(2)
    ours = Sight(TEN, side, CPU)(bands).permute(0, 2, 3, 1).double().numpy()
    x = torch.from_numpy(bands.astype(np.float64)).permute(0, 3, 1, 2)
    theirs = F.interpolate(x, (side, side), mode="bicubic", antialias=True).permute(0, 2, 3, 1)
    expected = (theirs.numpy() - np.array(TEN.mean)) / np.array(TEN.std)
    np.testing.assert_allclose(ours, expected, atol=1e-4)


def test_a_tile_of_the_models_own_size_is_not_touched() -> None:
    ours = Sight(RGB, 224, CPU)(tiles(1))[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(ours, normalised(tiles(1)[0]), atol=1e-6)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A narrow ViT-L/14 of 336 px."""
    folder = tmp_path_factory.mktemp("large")
    vision = {"layers": 3, "width": 128}
    name = register(
        folder, "sizes-L-14-336", "ViT-L-14-336-quickgelu", vision=vision, text=SMALL_TEXT
    )
    return name, save_random(name, folder / "model.pt")


def test_a_model_of_336_px_gives_open_clips_vectors(large: tuple[str, Path]) -> None:
    name, file = large
    rgb = tiles(2)
    prepare = open_clip.image_transform(
        336, is_train=False, mean=OPENAI_MEAN, std=OPENAI_STD, resize_mode="squash"
    )
    with torch.inference_mode():
        images = torch.stack([prepare(Image.fromarray(tile)) for tile in rgb])
        theirs = open_clip_model(name, file).encode_image(images, normalize=True).numpy()
    # A few bytes of the enlarged tile are rounded differently, by one.
    np.testing.assert_allclose(load(name, file).encode_images(rgb), theirs, atol=5e-4)


def test_its_patch_grid_is_24_by_24_and_the_papers(large: tuple[str, Path]) -> None:
    name, file = large
    rgb = tiles(1)
    vectors, patches = load(name, file).encode_with_patches(rgb)
    assert patches.shape == (1, 24, 24, 768)
    state = torch.load(file, weights_only=True)
    reference = Reference.of(open_clip.get_model_config(name), state)
    image = normalised(enlarged(rgb[0], 336))
    np.testing.assert_allclose(patches[0], reference.patch_features(image), atol=1e-3)
    np.testing.assert_allclose(vectors[0], reference.image_vector(image), atol=5e-4)


def test_a_finer_grid_and_nothing_at_all_have_its_size(large: tuple[str, Path]) -> None:
    ours = load(*large)
    assert ours.patch_features(tiles(1), grid_scale=2).shape == (1, 48, 48, 768)
    assert ours.patch_features(tiles(0)).shape == (0, 24, 24, 768)


def test_many_tiles_come_back_in_order_in_the_smaller_batches_of_a_large_model(
    large: tuple[str, Path],
) -> None:
    ours = load(*large)
    rgb = tiles(17)  # 14 are a batch on the CPU
    whole = ours.encode_images(rgb)
    np.testing.assert_allclose(whole[13:15], ours.encode_images(rgb[13:15]), atol=1e-5)


def test_a_file_says_the_size_that_its_architectures_name_leaves_open(
    large: tuple[str, Path], tmp_path: Path
) -> None:
    name, file = large
    small = register(tmp_path, "sizes-L-14", name, vision={"image_size": 224})
    ours = load(small, file)
    np.testing.assert_allclose(
        ours.encode_images(tiles(1)), load(name, file).encode_images(tiles(1)), atol=1e-6
    )
    assert ours.patch_features(tiles(1)).shape == (1, 24, 24, 768)


def test_ten_bands_may_be_of_another_size(tmp_path: Path) -> None:
    vision = {"layers": 2, "width": 128, "image_size": 256}
    name = register(tmp_path, "sizes-B-16-256", "ViT-B-16", vision=vision, text=SMALL_TEXT)
    file = save_ms_clip(name, tmp_path / "model.pt")
    ours = load_as(replace(TEN, architecture=name), file)
    bands = ten_bands(1)
    x = torch.from_numpy(bands.astype(np.float64)).permute(0, 3, 1, 2)
    grown = F.interpolate(x, (256, 256), mode="bicubic", antialias=True)[0].permute(1, 2, 0)
    image = (grown.numpy() - np.array(TEN.mean)) / np.array(TEN.std)
    reference = Reference(
        torch.load(file, weights_only=True),
        quick_gelu=False,
        heads=2,
        prefix="clip_base_model.model.",
    )
    np.testing.assert_allclose(
        ours.encode_images(bands)[0], reference.image_vector(image), atol=1e-5
    )
    assert ours.patch_features(bands).shape == (1, 16, 16, 512)


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str, Path]:
    """A short and a long architecture that differ in the length of texts, and a long file."""
    folder = tmp_path_factory.mktemp("long")
    text = {"layers": 2, "width": 128, "heads": 2}
    vision = {"layers": 1, "width": 64}
    short = register(folder, "sizes-77", "ViT-B-16-quickgelu", vision=vision, text=text)
    name = register(folder, "sizes-248", short, text={"context_length": 248})
    return short, name, save_random(name, folder / "model.pt")


def long_texts() -> list[str]:
    words = ["airport", "near", "sea", "golf", "course", "dam"]  # one token each
    return [" ".join((words * 42)[:n]) for n in (1, 60, 76, 150, 246)]


def test_a_text_tower_is_as_long_as_its_file(
    long: tuple[str, str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    short, name, file = long
    texts = long_texts()
    with torch.inference_mode():
        tokens = tokenize(texts, context_length=248)
        theirs = open_clip_model(name, file).encode_text(tokens, normalize=True).numpy()
    ours = load(short, file)
    np.testing.assert_allclose(ours.encode_texts(texts), theirs, atol=1e-5)
    assert not caplog.records
    ours.encode_texts([" ".join(["sea"] * 247)])
    assert "The model reads 248 tokens" in caplog.text


def test_long_clips_two_tables_of_positions_are_added_up_as_it_does(
    long: tuple[str, str, Path], tmp_path: Path
) -> None:
    """Its tower adds one table where its first mask is 1, and the other where the second is."""
    short, name, file = long
    state = torch.load(file, weights_only=True)
    first, rest = state["positional_embedding"], torch.randn(248, 128)
    mask = torch.zeros(248, 1)
    mask[:20] = 1
    torch.save(state | {"positional_embedding_res": rest}, tmp_path / "longclip.pt")
    added = state | {"positional_embedding": first * mask + rest * (1 - mask)}
    torch.save(added, tmp_path / "added.pt")
    texts = long_texts()
    np.testing.assert_allclose(
        load(short, tmp_path / "longclip.pt").encode_texts(texts),
        load(name, tmp_path / "added.pt").encode_texts(texts),
        atol=1e-6,
    )


def test_a_published_model_of_another_length_or_size_is_not_it(
    vit_b_32: Path, tmp_path: Path
) -> None:
    state = torch.load(vit_b_32, weights_only=True)
    changes = {
        "texts of 248 tokens": {"positional_embedding": torch.zeros(248, 512)},
        "images of 256 px": {"visual.positional_embedding": torch.zeros(65, 768)},
    }
    for what, change in changes.items():
        torch.save(state | change, tmp_path / "model.pt")
        with pytest.raises(ModelError, match=f"looks like ViT-B-32 with {what}"):
            ClipEncoder.load("remoteclip-vit-b-32", weights=tmp_path / "model.pt", device="cpu")


@pytest.mark.parametrize("record", ["farslip1-vit-b-32", "farslip1-vit-b-16"])
@pytest.mark.parametrize("tokens", [77, 248])
def test_farslip_is_read_from_its_format_with_quickgelu_and_the_length_it_has(
    tmp_path: Path, record: str, tokens: int
) -> None:
    like = RECORDS[record].architecture
    vision, text = {"layers": 2, "width": 128}, {"layers": 2, "width": 128, "heads": 2}
    name = register(tmp_path, f"sizes-{record}", like, vision=vision, text=text)
    longer = register(tmp_path, f"sizes-{record}-{tokens}", name, text={"context_length": tokens})
    state = random_state(longer)
    torch.save(state, tmp_path / "plain.pt")
    theirs = open_clip_model(longer, tmp_path / "plain.pt")
    file = tmp_path / "FarSLIP.pt"
    torch.save({"state_dict": {f"module.{k}": v for k, v in state.items()}}, file)

    ours = load_as(replace(RECORDS[record], architecture=name), file)

    reference = Reference.of(open_clip.get_model_config(longer), state)
    assert reference.quick_gelu
    np.testing.assert_allclose(
        ours.encode_images(tiles(1))[0],
        reference.image_vector(normalised(tiles(1)[0])),
        atol=1e-5,
    )
    texts = ["a dam", " ".join(["river"] * (tokens - 2))]
    with torch.inference_mode():
        ids = tokenize(texts, context_length=tokens)
        expected = theirs.encode_text(ids, normalize=True).numpy()
    np.testing.assert_allclose(ours.encode_texts(texts), expected, atol=1e-5)
