"""Vectors against open_clip's own; texts cut, refused and remembered; devices and precisions."""

import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import open_clip
import pytest
import torch
from checkpoints import open_clip_model, register, save_random
from PIL import Image

from keenkite import ClipEncoder, encoder
from keenkite.errors import InputError, ModelError

preprocess = open_clip.image_transform(
    224, is_train=False, mean=open_clip.OPENAI_DATASET_MEAN, std=open_clip.OPENAI_DATASET_STD
)
tokenize = open_clip.get_tokenizer("ViT-B-32")


def tiles(n: int, *, seed: int = 0) -> npt.NDArray[np.uint8]:
    """Noise on a slope: every pixel and every patch differs."""
    rng = np.random.default_rng(seed)
    slope = np.linspace(0, 200, 224)[:, None, None]
    return (slope + rng.integers(0, 56, (n, 224, 224, 3))).astype(np.uint8)


def their_image_vectors(model: open_clip.CLIP, rgb: npt.NDArray[np.uint8]) -> npt.NDArray:
    with torch.inference_mode():
        images = torch.stack([preprocess(Image.fromarray(tile)) for tile in rgb])
        return model.encode_image(images, normalize=True).numpy()


def their_text_vectors(model: open_clip.CLIP, texts: list[str]) -> npt.NDArray:
    with torch.inference_mode():
        return model.encode_text(tokenize(texts), normalize=True).numpy()


@pytest.fixture(scope="module")
def small_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small")
    name = register(
        folder,
        "small-ViT-B-32",
        "ViT-B-32-quickgelu",
        vision={"layers": 2, "width": 256},
        text={"layers": 2, "width": 128, "heads": 2},
    )
    return save_random(name, folder / "small.pt")


@pytest.fixture
def small(small_file: Path) -> ClipEncoder:
    """Two narrow layers each; made anew for every test, so nothing is remembered."""
    return ClipEncoder.load(f"small-ViT-B-32:{small_file}", device="cpu", precision="fp32")


@pytest.fixture(scope="module")
def small_theirs(small_file: Path) -> open_clip.CLIP:
    return open_clip_model("small-ViT-B-32", small_file)


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


def test_a_checkpoint_loads_as_open_clip_loads_it(small: ClipEncoder, small_file: Path) -> None:
    theirs = open_clip.create_model("small-ViT-B-32", pretrained=str(small_file)).eval()
    rgb = tiles(2)
    np.testing.assert_allclose(
        small.encode_images(rgb), their_image_vectors(theirs, rgb), atol=1e-5
    )


def test_plain_gelu_is_used_where_the_name_says_no_quickgelu(
    tmp_path: Path, small_file: Path
) -> None:
    register(tmp_path, "plain-ViT-B-32", "small-ViT-B-32", quick_gelu=False)
    ours = ClipEncoder.load(f"plain-ViT-B-32:{small_file}", device="cpu", precision="fp32")
    theirs = their_image_vectors(open_clip_model("plain-ViT-B-32", small_file), tiles(1))
    np.testing.assert_allclose(ours.encode_images(tiles(1)), theirs, atol=1e-5)
    quick = their_image_vectors(open_clip_model("small-ViT-B-32", small_file), tiles(1))
    assert abs(theirs - quick).max() > 1e-4


def test_images_of_several_batches_come_back_in_order(
    small: ClipEncoder, small_theirs: open_clip.CLIP
) -> None:
    rgb = tiles(35)  # 32 are a batch on the CPU
    vectors = small.encode_images(rgb)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, their_image_vectors(small_theirs, rgb), atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_nothing_in_gives_nothing_out(small: ClipEncoder) -> None:
    none = np.zeros((0, 224, 224, 3), np.uint8)
    assert small.encode_images(none).shape == (0, 512)
    assert small.patch_features(none).shape == (0, 7, 7, 512)
    assert small.patch_features(none, grid_scale=2).shape == (0, 14, 14, 512)
    assert [part.shape for part in small.encode_with_patches(none)] == [(0, 512), (0, 7, 7, 512)]
    assert small.encode_texts([]).shape == (0, 512)


def test_images_may_be_read_only_or_a_view(small: ClipEncoder) -> None:
    wide = np.ascontiguousarray(np.concatenate([tiles(2), tiles(2, seed=1)], axis=2))
    wide.setflags(write=False)
    np.testing.assert_allclose(
        small.encode_images(wide[:, :, ::-1][:, :, :224][:, :, ::-1]),
        small.encode_images(tiles(2, seed=1)),
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
def test_other_images_are_refused(small: ClipEncoder, rgb: npt.NDArray) -> None:
    for method in (small.encode_images, small.patch_features, small.encode_with_patches):
        with pytest.raises(InputError, match=r"uint8 of shape \(n, 224, 224, 3\)"):
            method(rgb)


def test_texts_of_every_length_equal_open_clips(
    small: ClipEncoder, small_theirs: open_clip.CLIP
) -> None:
    words = ["airport", "near", "sea", "golf", "course", "dam"]  # one token each
    texts = [" ".join((words * 13)[:n]) for n in range(1, 76)]
    ends = tokenize(texts).argmax(dim=1).tolist()
    assert ends == list(range(2, 77)), "with a start and an end these are 3 to 77 tokens"
    theirs = their_text_vectors(small_theirs, texts)
    for n in (1, 8, 75):  # alone, not beside longer ones
        np.testing.assert_allclose(small.encode_texts([texts[n - 1]])[0], theirs[n - 1], atol=1e-5)
    np.testing.assert_allclose(small.encode_texts(texts), theirs, atol=1e-5)


@pytest.mark.parametrize(
    "text",
    [
        "Café — Straße 東京 🛫",
        "  A   GOLF\tCourse\n",
        "a &amp; b",
        "end <end_of_text> of text",
        "1",
    ],
)
def test_unusual_texts_equal_open_clips(
    small: ClipEncoder, small_theirs: open_clip.CLIP, text: str
) -> None:
    theirs = their_text_vectors(small_theirs, [text])
    np.testing.assert_allclose(small.encode_texts([text]), theirs, atol=1e-5)


@pytest.mark.parametrize(
    ("tower", "text", "top"),
    [
        ("a tower of its own", {}, {"custom_text": True}),
        ("attention both ways", {"no_causal_mask": True, "pool_type": "last"}, {}),
        ("attention both ways, own tower", {"no_causal_mask": True}, {"custom_text": True}),
        ("pooled at the first token", {"pool_type": "first"}, {}),
        ("pooled at the end token", {"pool_type": "eos", "eos_id": 49407}, {}),
        ("no projection", {"proj_type": "none", "width": 512}, {}),
        ("a projection with bias", {"proj_bias": True}, {}),
        ("fewer tokens", {"context_length": 32}, {}),
    ],
)
def test_other_text_towers_equal_open_clips(
    tmp_path: Path, small_file: Path, tower: str, text: dict[str, Any], top: dict[str, Any]
) -> None:
    name = register(tmp_path, f"text-{tower}", "small-ViT-B-32", text=text, **top)
    file = save_random(name, tmp_path / "model.pt")
    ours = ClipEncoder.load(f"{name}:{file}", device="cpu", precision="fp32")
    theirs = open_clip.create_model(name, pretrained=str(file)).eval()
    texts = ["airport", "a golf course beside the sea"]
    with torch.inference_mode():
        tokens = tokenize(texts, context_length=text.get("context_length", 77))
        expected = theirs.encode_text(tokens, normalize=True).numpy()
    np.testing.assert_allclose(ours.encode_texts(texts), expected, atol=1e-5)
    np.testing.assert_allclose(
        ours.encode_images(tiles(1)), their_image_vectors(theirs, tiles(1)), atol=1e-5
    )


def test_a_long_text_is_cut_after_a_word_with_a_warning(
    small: ClipEncoder, small_theirs: open_clip.CLIP, caplog: pytest.LogCaptureFixture
) -> None:
    # "aerodromeish" is several tokens, so that 75 falls into the middle of a word.
    words = ["the", "long", *["aerodromeish", "runway"] * 39]
    counts = [len(tokenize.encode(" ".join(words[:n]))) for n in range(81)]
    fits = max(n for n in range(81) if counts[n] <= 75)
    assert counts[fits] < 75, "the cut is within a word, or this test tests nothing"

    vectors = small.encode_texts([" ".join(words)])

    cut = their_text_vectors(small_theirs, [" ".join(words[:fits])])
    np.testing.assert_allclose(vectors, cut, atol=1e-5)
    assert f"only the first {fits} of 80 words" in caplog.text
    assert "the long aerodromeish runway" in caplog.text


def test_a_text_that_just_fits_is_not_cut(
    small: ClipEncoder, caplog: pytest.LogCaptureFixture
) -> None:
    small.encode_texts([" ".join(["sea"] * 75)])
    assert not caplog.records
    small.encode_texts([" ".join(["sea"] * 76)])
    assert "only the first 75 of 76 words" in caplog.text


def test_a_single_word_too_long_is_cut_as_open_clip_cuts_it(
    small: ClipEncoder, small_theirs: open_clip.CLIP
) -> None:
    word = "".join(chr(97 + i * i % 26) for i in range(400))
    theirs = their_text_vectors(small_theirs, [word])
    np.testing.assert_allclose(small.encode_texts([word]), theirs, atol=1e-5)


@pytest.mark.parametrize("text", ["", "   ", "\n", "\x00"])
def test_an_empty_text_is_refused(small: ClipEncoder, text: str) -> None:
    with pytest.raises(InputError, match=r"Text 1 is empty|holds nothing to read"):
        small.encode_texts(["airport", text])


def test_more_than_10000_characters_are_refused_and_10000_are_read(small: ClipEncoder) -> None:
    with pytest.raises(InputError, match="10,001 characters, more than 10,000"):
        small.encode_texts(["a" * 10_001])
    assert small.encode_texts(["sea " * 2_500]).shape == (1, 512)


def test_a_string_is_not_a_list_of_texts(small: ClipEncoder) -> None:
    with pytest.raises(InputError, match="list of texts"):
        small.encode_texts("airport")
    with pytest.raises(InputError, match="Text 0"):
        small.encode_texts([None])  # type: ignore[list-item]


def test_a_text_is_computed_once_and_the_oldest_is_forgotten(
    small: ClipEncoder, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoder, "_REMEMBERED_TEXTS", 3)
    long = "sea " * 100

    def is_computed() -> bool:
        """Computing a text that is too long warns; remembering it does not."""
        caplog.clear()
        small.encode_texts([long])
        return bool(caplog.records)

    assert is_computed()
    small.encode_texts(["a", "b"])
    assert not is_computed()
    small.encode_texts(["c", "d", "a"])
    assert is_computed()


def test_more_texts_than_are_remembered_come_back_complete_and_in_order(
    small: ClipEncoder, small_theirs: open_clip.CLIP, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoder, "_REMEMBERED_TEXTS", 3)
    texts = ["sea", "a very long runway", "dam", "sea", "golf course", "port"]
    theirs = their_text_vectors(small_theirs, texts)
    np.testing.assert_allclose(small.encode_texts(texts), theirs, atol=1e-5)
    np.testing.assert_allclose(small.encode_texts(texts), theirs, atol=1e-5)


def test_changing_an_answer_does_not_change_what_is_remembered(small: ClipEncoder) -> None:
    first = small.encode_texts(["airport"])
    kept = first.copy()
    first[:] = 0
    np.testing.assert_array_equal(small.encode_texts(["airport"]), kept)


def test_threads_share_an_encoder(small: ClipEncoder, small_theirs: open_clip.CLIP) -> None:
    rgb, texts = tiles(8), [f"golf course number {n}" for n in range(8)]
    image = their_image_vectors(small_theirs, rgb)
    text = their_text_vectors(small_theirs, texts)
    with ThreadPoolExecutor(4) as pool:
        images = [pool.submit(small.encode_images, rgb[i : i + 1]) for i in range(8)]
        encoded = [pool.submit(small.encode_texts, [texts[i % 8]]) for i in range(32)]
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


def test_weights_that_give_no_numbers_are_reported(small_file: Path, tmp_path: Path) -> None:
    state = torch.load(small_file, weights_only=True)
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
    small_file: Path, options: dict[str, str], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        ClipEncoder.load(f"small-ViT-B-32:{small_file}", **options)


def test_naming_two_checkpoints_is_refused(small_file: Path) -> None:
    with pytest.raises(InputError, match="Two checkpoints are named"):
        ClipEncoder.load(small_file, weights=small_file)


def test_a_checkpoint_of_ones_own_is_named_after_its_contents(
    small: ClipEncoder, small_file: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "other name.pt"
    copy.write_bytes(small_file.read_bytes())
    again = ClipEncoder.load(f"small-ViT-B-32:{copy}", device="cpu")
    assert again.name == small.name
    other = save_random("small-ViT-B-32", tmp_path / "small.pt", seed=1)
    assert ClipEncoder.load(f"small-ViT-B-32:{other}", device="cpu").name != small.name


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
