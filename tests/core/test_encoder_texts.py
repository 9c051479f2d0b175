"""Text vectors against open_clip's own; texts cut, refused and remembered."""

from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch

from keenkite import ClipEncoder
from keenkite.encoder import clip as encoder
from keenkite.encoder import room_of, vocabulary_of
from keenkite.errors import InputError
from tests.support.checkpoints import (
    register,
    save_random,
    their_image_vectors,
    their_text_vectors,
    tiles,
    tokenize,
)
from tests.support.fakes import FakeEncoder


def test_texts_of_every_length_equal_open_clips(
    small_clip: ClipEncoder, small_clip_theirs: open_clip.CLIP
) -> None:
    words = ["airport", "near", "sea", "golf", "course", "dam"]  # one token each
    texts = [" ".join((words * 13)[:n]) for n in range(1, 76)]
    ends = tokenize(texts).argmax(dim=1).tolist()
    assert ends == list(range(2, 77)), "with a start and an end these are 3 to 77 tokens"
    theirs = their_text_vectors(small_clip_theirs, texts)
    for n in (1, 8, 75):  # alone, not beside longer ones
        np.testing.assert_allclose(
            small_clip.encode_texts([texts[n - 1]])[0], theirs[n - 1], atol=1e-5
        )
    np.testing.assert_allclose(small_clip.encode_texts(texts), theirs, atol=1e-5)


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
    small_clip: ClipEncoder, small_clip_theirs: open_clip.CLIP, text: str
) -> None:
    theirs = their_text_vectors(small_clip_theirs, [text])
    np.testing.assert_allclose(small_clip.encode_texts([text]), theirs, atol=1e-5)


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
    tmp_path: Path, small_clip_file: Path, tower: str, text: dict[str, Any], top: dict[str, Any]
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
    small_clip: ClipEncoder, small_clip_theirs: open_clip.CLIP, caplog: pytest.LogCaptureFixture
) -> None:
    # "aerodromeish" is several tokens, so that 75 falls into the middle of a word.
    words = ["the", "long", *["aerodromeish", "runway"] * 39]
    counts = [len(tokenize.encode(" ".join(words[:n]))) for n in range(81)]
    fits = max(n for n in range(81) if counts[n] <= 75)
    assert counts[fits] < 75, "the cut is within a word, or this test tests nothing"

    vectors = small_clip.encode_texts([" ".join(words)])

    cut = their_text_vectors(small_clip_theirs, [" ".join(words[:fits])])
    np.testing.assert_allclose(vectors, cut, atol=1e-5)
    assert f"only the first {fits} of 80 words" in caplog.text
    assert "the long aerodromeish runway" in caplog.text


def test_a_text_that_just_fits_is_not_cut(
    small_clip: ClipEncoder, caplog: pytest.LogCaptureFixture
) -> None:
    small_clip.encode_texts([" ".join(["sea"] * 75)])
    assert not caplog.records
    small_clip.encode_texts([" ".join(["sea"] * 76)])
    assert "only the first 75 of 76 words" in caplog.text


@pytest.mark.parametrize("text", ["sea", "the long aerodromeish runway", "空港 🛫", "sea " * 75])
def test_the_room_beside_a_text_is_what_more_words_of_one_token_fill(
    small_clip: ClipEncoder, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    room = small_clip.room(text)
    small_clip.encode_texts([text + " sea" * room])
    assert not caplog.records
    small_clip.encode_texts([text + " sea" * (room + 1)])
    assert "this text only the first" in caplog.text
    assert small_clip.room(text + " sea" * (room + 5)) == -5


def test_a_model_of_the_world_at_large_has_no_vocabulary(small_clip: ClipEncoder) -> None:
    assert small_clip.vocabulary is None
    assert vocabulary_of(small_clip) is None
    assert vocabulary_of(FakeEncoder()) is None
    assert room_of(FakeEncoder()) is None


def test_a_single_word_too_long_is_cut_as_open_clip_cuts_it(
    small_clip: ClipEncoder, small_clip_theirs: open_clip.CLIP
) -> None:
    word = "".join(chr(97 + i * i % 26) for i in range(400))
    theirs = their_text_vectors(small_clip_theirs, [word])
    np.testing.assert_allclose(small_clip.encode_texts([word]), theirs, atol=1e-5)


@pytest.mark.parametrize("text", ["", "   ", "\n", "\x00"])
def test_an_empty_text_is_refused(small_clip: ClipEncoder, text: str) -> None:
    with pytest.raises(InputError, match=r"Text 1 is empty|holds nothing to read"):
        small_clip.encode_texts(["airport", text])


def test_more_than_10000_characters_are_refused_and_10000_are_read(small_clip: ClipEncoder) -> None:
    with pytest.raises(InputError, match="10,001 characters, more than 10,000"):
        small_clip.encode_texts(["a" * 10_001])
    assert small_clip.encode_texts(["sea " * 2_500]).shape == (1, 512)


def test_a_string_is_not_a_list_of_texts(small_clip: ClipEncoder) -> None:
    with pytest.raises(InputError, match="list of texts"):
        small_clip.encode_texts("airport")
    with pytest.raises(InputError, match="Text 0"):
        small_clip.encode_texts([None])  # type: ignore[list-item]


def test_a_text_is_computed_once_and_the_oldest_is_forgotten(
    small_clip: ClipEncoder, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoder, "_REMEMBERED_TEXTS", 3)
    long = "sea " * 100

    def is_computed() -> bool:
        """Computing a text that is too long warns; remembering it does not."""
        caplog.clear()
        small_clip.encode_texts([long])
        return bool(caplog.records)

    assert is_computed()
    small_clip.encode_texts(["a", "b"])
    assert not is_computed()
    small_clip.encode_texts(["c", "d", "a"])
    assert is_computed()


def test_more_texts_than_are_remembered_come_back_complete_and_in_order(
    small_clip: ClipEncoder, small_clip_theirs: open_clip.CLIP, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoder, "_REMEMBERED_TEXTS", 3)
    texts = ["sea", "a very long runway", "dam", "sea", "golf course", "port"]
    theirs = their_text_vectors(small_clip_theirs, texts)
    np.testing.assert_allclose(small_clip.encode_texts(texts), theirs, atol=1e-5)
    np.testing.assert_allclose(small_clip.encode_texts(texts), theirs, atol=1e-5)


def test_changing_an_answer_does_not_change_what_is_remembered(small_clip: ClipEncoder) -> None:
    first = small_clip.encode_texts(["airport"])
    kept = first.copy()
    first[:] = 0
    np.testing.assert_array_equal(small_clip.encode_texts(["airport"]), kept)
