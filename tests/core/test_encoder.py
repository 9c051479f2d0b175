"""Vectors against open_clip's own; devices, precisions, names, threads."""

import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import open_clip
import pytest
import torch

from keenkite import ClipEncoder
from keenkite.errors import InputError, ModelError
from tests.support.checkpoints import (
    open_clip_model,
    register,
    save_random,
    their_image_vectors,
    their_text_vectors,
    tiles,
)


@pytest.mark.parametrize("size", ["b_32", "l_14"])
def test_vectors_of_remoteclip_equal_open_clips_with_quickgelu(
    size: str, request: pytest.FixtureRequest
) -> None:
    file = request.getfixturevalue(f"vit_{size}")
    ours: ClipEncoder = request.getfixturevalue(f"remoteclip_{size}")
    architecture = {"b_32": "ViT-B-32", "l_14": "ViT-L-14"}[size]
    rgb, texts = tiles(1), ["airport", "a satellite photo of a golf course beside the sea"]

    theirs = open_clip_model(f"{architecture}-quickgelu", file)
    image, text = their_image_vectors(theirs, rgb), their_text_vectors(theirs, texts)
    np.testing.assert_allclose(ours.encode_images(rgb), image, atol=1e-5)
    np.testing.assert_allclose(ours.encode_texts(texts), text, atol=1e-5)
    assert (ours.name, ours.dim) == (f"remoteclip-{architecture.lower()}", image.shape[1])

    plain = open_clip_model(architecture, file)
    assert abs(ours.encode_texts(texts) - their_text_vectors(plain, texts)).max() > 1e-3
    if size == "b_32":  # once is enough, and large towers take their time
        assert abs(ours.encode_images(rgb) - their_image_vectors(plain, rgb)).max() > 1e-3


def test_a_checkpoint_loads_as_open_clip_loads_it(
    small_clip: ClipEncoder, small_clip_file: Path
) -> None:
    theirs = open_clip.create_model("small-ViT-B-32", pretrained=str(small_clip_file)).eval()
    rgb = tiles(2)
    np.testing.assert_allclose(
        small_clip.encode_images(rgb), their_image_vectors(theirs, rgb), atol=1e-5
    )


def test_plain_gelu_is_used_where_the_name_says_no_quickgelu(
    tmp_path: Path, small_clip_file: Path
) -> None:
    register(tmp_path, "plain-ViT-B-32", "small-ViT-B-32", quick_gelu=False)
    ours = ClipEncoder.load(f"plain-ViT-B-32:{small_clip_file}", device="cpu", precision="fp32")
    theirs = their_image_vectors(open_clip_model("plain-ViT-B-32", small_clip_file), tiles(1))
    np.testing.assert_allclose(ours.encode_images(tiles(1)), theirs, atol=1e-5)
    quick = their_image_vectors(open_clip_model("small-ViT-B-32", small_clip_file), tiles(1))
    assert abs(theirs - quick).max() > 1e-4


def test_images_of_several_batches_come_back_in_order(
    small_clip: ClipEncoder, small_clip_theirs: open_clip.CLIP
) -> None:
    rgb = tiles(35)  # 32 are a batch on the CPU
    vectors = small_clip.encode_images(rgb)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, their_image_vectors(small_clip_theirs, rgb), atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_nothing_in_gives_nothing_out(small_clip: ClipEncoder) -> None:
    none = np.zeros((0, 224, 224, 3), np.uint8)
    assert small_clip.encode_images(none).shape == (0, 512)
    assert small_clip.patch_features(none).shape == (0, 7, 7, 512)
    assert small_clip.patch_features(none, grid_scale=2).shape == (0, 14, 14, 512)
    assert [part.shape for part in small_clip.encode_with_patches(none)] == [
        (0, 512),
        (0, 7, 7, 512),
    ]
    assert small_clip.encode_texts([]).shape == (0, 512)


def test_images_may_be_read_only_or_a_view(small_clip: ClipEncoder) -> None:
    wide = np.ascontiguousarray(np.concatenate([tiles(2), tiles(2, seed=1)], axis=2))
    wide.setflags(write=False)
    np.testing.assert_allclose(
        small_clip.encode_images(wide[:, :, ::-1][:, :, :224][:, :, ::-1]),
        small_clip.encode_images(tiles(2, seed=1)),
        atol=1e-6,
    )


@pytest.mark.parametrize(
    "rgb",
    [
        np.zeros((1, 224, 224, 3), np.float32),
        np.zeros((1, 3, 224, 224), np.uint8),
        np.zeros((224, 224, 3), np.uint8),
        np.zeros((1, 223, 224, 3), np.uint8),
        np.zeros((0, 100, 100, 3), np.uint8),
    ],
    ids=["float", "channels first", "one tile", "another size", "none of another size"],
)
def test_other_images_are_refused(small_clip: ClipEncoder, rgb: npt.NDArray) -> None:
    for method in (
        small_clip.encode_images,
        small_clip.patch_features,
        small_clip.encode_with_patches,
    ):
        with pytest.raises(InputError, match=r"uint8 of shape \(n, 224, 224, 3\)"):
            method(rgb)


def test_threads_share_an_encoder(
    small_clip: ClipEncoder, small_clip_theirs: open_clip.CLIP
) -> None:
    rgb, texts = tiles(8), [f"golf course number {n}" for n in range(8)]
    image = their_image_vectors(small_clip_theirs, rgb)
    text = their_text_vectors(small_clip_theirs, texts)
    with ThreadPoolExecutor(4) as pool:
        images = [pool.submit(small_clip.encode_images, rgb[i : i + 1]) for i in range(8)]
        encoded = [pool.submit(small_clip.encode_texts, [texts[i % 8]]) for i in range(32)]
        for i in range(8):
            np.testing.assert_allclose(images[i].result()[0], image[i], atol=1e-5)
        for i in range(32):
            np.testing.assert_allclose(encoded[i].result()[0], text[i % 8], atol=1e-5)


def test_bf16_vectors_are_near_those_of_fp32(remoteclip_b_32: ClipEncoder, vit_b_32: Path) -> None:
    narrow = ClipEncoder.load(
        "remoteclip-vit-b-32", weights=vit_b_32, device="cpu", precision="bf16"
    )
    rgb, texts = tiles(2), ["airport", "golf course"]
    for ours, wide in (
        (narrow.encode_images(rgb), remoteclip_b_32.encode_images(rgb)),
        (narrow.encode_texts(texts), remoteclip_b_32.encode_texts(texts)),
    ):
        assert ours.dtype == np.float32
        assert ((ours * wide).sum(axis=1) > 0.999).all()


def test_weights_that_give_no_numbers_are_reported(small_clip_file: Path, tmp_path: Path) -> None:
    state = torch.load(small_clip_file, weights_only=True)
    state["visual.proj"] = torch.full_like(state["visual.proj"], float("nan"))
    torch.save(state, tmp_path / "nan.pt")
    damaged = ClipEncoder.load(f"small-ViT-B-32:{tmp_path / 'nan.pt'}", device="cpu")
    with pytest.raises(ModelError, match="not finite"):
        damaged.encode_images(tiles(1))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "gpu"}, "no device 'gpu'"),
        ({"device": "meta"}, "no device 'meta'"),
        ({"device": "cpu:1"}, "not available: torch sees 1"),
        ({"device": "cuda:99"}, "not available: torch sees"),
        ({"precision": "int8"}, "no precision 'int8'"),
    ],
)
def test_a_device_or_precision_that_is_not_there_is_refused(
    small_clip_file: Path, options: dict[str, str], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        ClipEncoder.load(f"small-ViT-B-32:{small_clip_file}", **options)


def test_naming_two_checkpoints_is_refused(small_clip_file: Path) -> None:
    with pytest.raises(InputError, match="Two checkpoints are named"):
        ClipEncoder.load(small_clip_file, weights=small_clip_file)


def test_a_checkpoint_of_ones_own_is_named_after_its_contents(
    small_clip: ClipEncoder, small_clip_file: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "other name.pt"
    copy.write_bytes(small_clip_file.read_bytes())
    again = ClipEncoder.load(f"small-ViT-B-32:{copy}", device="cpu")
    assert again.name == small_clip.name
    other = save_random("small-ViT-B-32", tmp_path / "small_clip.pt", seed=1)
    assert ClipEncoder.load(f"small-ViT-B-32:{other}", device="cpu").name != small_clip.name


def test_a_path_alone_is_known_by_its_shapes(
    vit_b_32: Path, remoteclip_b_32: ClipEncoder, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    published = ClipEncoder.load(vit_b_32, device="cpu", precision="fp32")
    assert published.name == "remoteclip-vit-b-32"
    own = tmp_path / "mine.pt"
    own.symlink_to(vit_b_32)
    with caplog.at_level(logging.WARNING):
        mine = ClipEncoder.load(own, device="cpu", precision="fp32")
    assert mine.name.startswith("ViT-B-32-quickgelu@")
    assert "If it was trained with plain GELU" in caplog.text
    np.testing.assert_array_equal(
        mine.encode_images(tiles(1)), remoteclip_b_32.encode_images(tiles(1))
    )
