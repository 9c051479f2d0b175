"""How texts of queries are read: what is encoded, what is told, what is doubted."""

from __future__ import annotations

import gzip
from collections.abc import Sequence

import numpy as np
import open_clip
import pytest

from keenkite.demo.training.vocabulary import ABSENT, PHRASES
from keenkite.encoder import ClipEncoder, Encoder, Pixels, Vectors
from keenkite.encoder.words import ClipWords
from keenkite.errors import InputError
from keenkite.retrieval.concepts import BACKGROUND, TEMPLATES
from keenkite.retrieval.english import english_words, is_english
from keenkite.retrieval.words import Reading, read_text
from tests.support.paths import ROOT, SHARED


class Table:
    """An Encoder with no more than it must have; it is asked for no vector here."""

    name = "table"
    dim = 4

    def encode_images(self, rgb: Pixels) -> Vectors:
        raise AssertionError("reading encodes nothing")

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        raise AssertionError("reading encodes nothing")

    def patch_features(self, rgb: Pixels) -> Vectors:
        raise AssertionError("reading encodes nothing")


class Clip(Table):
    """One with CLIP's tokens and no bounds to what it may be asked."""

    name = "clip"

    def __init__(self) -> None:
        self._words = ClipWords(77, {})

    def room(self, text: str) -> int:
        return self._words.length - self._words.marks - self._words.count(text)


@pytest.fixture(scope="module")
def tiny() -> Encoder:
    encoder = ClipEncoder.load("keenkite-tiny", device="cpu")
    encoder.encode_texts = Table().encode_texts  # type: ignore[method-assign]
    return encoder


@pytest.fixture(scope="module")
def clip() -> Encoder:
    return Clip()


T, F, N = True, False, None
SAME = "="
"""The concept is the text as it stands."""

READINGS: tuple[tuple[str, tuple[str, bool | None, bool], tuple[str, bool | None, bool], str], ...]
READINGS = (
    # text, then for keenkite-tiny and for a CLIP: concept, known, doubtful; then what is told
    # -- one thing, however it is written
    ("airport", (SAME, T, F), (SAME, T, F), ""),
    ("airports", (SAME, T, F), (SAME, T, F), ""),
    ("AIRPORT", ("airport", T, F), (SAME, T, F), ""),
    ("  golf   course ", ("golf course", T, F), ("golf course", T, F), ""),
    ("“airport”", ("airport", T, F), ("airport", T, F), "write just that"),
    ('"golf course"', ("golf course", T, F), ("golf course", T, F), "write just that"),
    ("'harbour'", ("harbour", T, F), ("harbour", T, F), "write just that"),
    ("«dam»", ("dam", T, F), ("dam", T, F), "write just that"),
    ("„river“", ("river", T, F), ("river", T, F), "write just that"),
    ("「sea」", ("sea", T, F), ("sea", T, F), "write just that"),
    ("(airport)", ("airport", T, F), ("airport", T, F), "write just that"),
    ("(airport!)", ("airport", T, F), ("airport", T, F), "write just that"),
    ("- airport.", ("airport", T, F), ("airport", T, F), "write just that"),
    ("an airport", ("airport", T, F), ("airport", T, F), ""),
    ("solar panel", ("solar panels", T, F), (SAME, T, F), ""),
    ("playing field", ("playing fields", T, F), (SAME, T, F), ""),
    ("seas", ("sea", T, F), (SAME, T, F), ""),
    ("Golf-Course", ("golf course", T, F), (SAME, T, F), ""),
    ("railwaystation", ("railway station", T, F), (SAME, T, F), ""),
    ("open-pit mine", (SAME, F, T), (SAME, T, F), ""),
    ("port of entry", (SAME, F, T), (SAME, T, F), ""),
    ("bed and breakfast", (SAME, F, T), (SAME, T, F), ""),
    ("oil and gas platform", (SAME, F, T), (SAME, T, F), ""),
    ("red and white tower", (SAME, F, T), (SAME, T, F), ""),
    ("large, round tank", (SAME, F, T), (SAME, T, F), ""),
    ("Newcastle-upon-Tyne", (SAME, F, T), (SAME, N, F), ""),
    ("sea or lake", (SAME, T, F), (SAME, T, T), ""),
    # -- requests, numbers, sizes
    ("where are airports?", ("airports", T, F), ("airports", T, F), "write just that"),
    ("where is the airport?", ("airport", T, F), ("airport", T, F), "write just that"),
    ("show me all golf courses", ("golf courses", T, F), ("golf courses", T, F), "write just"),
    ("Find all airports", ("airports", T, F), ("airports", T, F), "write just that"),
    ("how many dams are there?", ("dams", T, F), ("dams", T, F), "write just that"),
    ("a satellite image of a harbour", ("harbour", T, F), ("harbour", T, F), "write just that"),
    ("three airports", ("airports", T, F), ("airports", T, F), "count the answers"),
    ("northern forest", (SAME, F, T), (SAME, T, F), ""),
    ("3 Gorges dam", (SAME, F, T), (SAME, T, F), ""),
    ("a large airport", ("airport", T, F), ("large airport", T, F), ""),
    ("large pond", (SAME, T, F), (SAME, T, F), ""),
    # -- several things
    ("airport and harbour", (SAME, T, T), (SAME, T, T), "put 'harbour' into near"),
    ("airport, harbour", (SAME, T, T), (SAME, T, T), "put 'harbour' into near"),
    ("“airport” and “harbour”", ("airport and harbour", T, T), ("airport and harbour", T, T),
     "put 'harbour' into near"),
    ("airport or harbour", (SAME, T, T), (SAME, T, T), "each in a search of its own"),
    ("airport / harbour", (SAME, T, T), (SAME, T, T), "each in a search of its own"),
    ("A / B", (SAME, F, T), (SAME, T, T), "'A' and 'B'"),
    ("dam with a reservoir", (SAME, T, T), (SAME, T, T), "put 'reservoir' into near"),
    # -- what is not there
    ("no clouds", (SAME, T, T), (SAME, T, T), "max_cloud"),
    ("not a golf course", (SAME, T, T), (SAME, T, T), "put 'golf course' into exclude"),
    ("airport without houses", (SAME, T, T), (SAME, T, T), "put 'houses' into exclude"),
    ("coast except harbour", (SAME, T, T), (SAME, T, T), "put 'harbour' into exclude"),
    ("airport not near the sea", (SAME, T, T), (SAME, T, T), "put 'sea' into exclude"),
    ("airport not next to the sea", (SAME, T, T), (SAME, T, T), "put 'sea' into exclude"),
    ("airport near the sea with a dam", (SAME, T, T), (SAME, T, T), "put 'dam' into near"),
    ("airport without dams or lakes", (SAME, T, T), (SAME, T, T), "'dams' and 'lakes' into excl"),
    # -- relations
    ("airport near the sea", (SAME, T, T), (SAME, T, T), "text 'airport', and put 'sea' into near"),
    ("houses next to a river", (SAME, T, T), (SAME, T, T), "put 'river' into near"),
    ("residential area by the sea", (SAME, T, T), (SAME, T, T), "put 'sea' into near"),
    ("harbour within 3 km of a dam", (SAME, T, T), (SAME, T, T), "'within 3 km of' is not"),
    ("forest between rivers", (SAME, T, T), (SAME, T, T), "put 'rivers' into near"),
    ("airport in Japan", (SAME, F, T), (SAME, T, T), "area"),
    # -- what the model never met, other languages, other scripts, no words
    ("wedding cake", (SAME, F, T), (SAME, T, F), ""),
    ("military airport", (SAME, F, T), (SAME, T, F), ""),
    ("airport and wedding cake", (SAME, F, T), (SAME, T, T), "put 'wedding cake' into near"),
    ("Narita airport", (SAME, F, T), (SAME, N, F), ""),
    ("zxqwv", (SAME, F, T), (SAME, N, T), ""),
    ("aéroport", (SAME, F, T), (SAME, N, T), "English"),
    ("terrain de golf", (SAME, F, T), (SAME, N, T), "English"),
    ("Flughafen", (SAME, F, T), (SAME, N, T), ""),
    ("空港", (SAME, F, T), (SAME, F, T), "ask in English"),
    ("مطار", (SAME, F, T), (SAME, F, T), "Arabic"),
    ("аэропорт", (SAME, F, T), (SAME, F, T), "Cyrillic"),
    ("airport 空港", (SAME, F, T), (SAME, N, T), "ask in English"),
    ("✈️", (SAME, F, T), (SAME, F, T), "no words"),
    ("✈️ airport", ("airport", T, F), (SAME, T, F), ""),
    ("?!…", (SAME, F, T), (SAME, F, T), "no words"),
    ("747", (SAME, F, T), (SAME, N, T), "no words"),
)  # fmt: skip


def check(read: Reading, expected: tuple[str, bool | None, bool], told: str) -> None:
    concept, known, doubtful = expected
    assert read.concept == (read.text if concept == SAME else concept)
    assert (read.known, read.doubtful) == (known, doubtful)
    assert told in " ".join(read.notes)


@pytest.mark.parametrize(("text", "of_tiny", "of_clip", "told"), READINGS)
def test_a_text_is_read_as_it_must_be(
    tiny: Encoder,
    clip: Encoder,
    text: str,
    of_tiny: tuple[str, bool | None, bool],
    of_clip: tuple[str, bool | None, bool],
    told: str,
) -> None:
    check(read_text(text, tiny), of_tiny, told)
    check(read_text(text, clip), of_clip, told)


@pytest.mark.parametrize("text", [row[0] for row in READINGS])
def test_what_is_doubted_is_told_with_what_to_do(tiny: Encoder, clip: Encoder, text: str) -> None:
    for encoder in (tiny, clip, Table()):
        read = read_text(text, encoder)
        assert read.text == text
        assert not (read.doubtful or read.known is False) or read.notes
        assert read.doubtful or read.known is not False
        for note in read.notes:
            steps = ("ask", "put", "write", "say", "count", "compare", "check")
            assert any(f"{step} " in note for step in steps), note
            assert note.endswith(".")


@pytest.mark.parametrize(
    "name",
    ["buildings", "storage tanks", "footballField", "Sea", "the sea", "denseresidential", "park"],
)
def test_a_table_of_vectors_is_asked_for_its_names_to_the_letter(name: str) -> None:
    for written in (name, f" “{name}”. ", f"'{name}'"):
        read = read_text(written, Table())
        assert (read.concept, read.known, read.doubtful) == (name, True, False)


@pytest.mark.parametrize("text", ["zxqwv", "Flughafen", "Narita"])
def test_a_word_that_may_be_anything_speaks_against_nothing_where_a_table_is_asked(
    text: str,
) -> None:
    read = read_text(text, Table())
    assert (read.known, read.doubtful) == (None, False)
    assert read.notes


def test_names_of_a_published_table_are_read_without_a_word() -> None:
    path = SHARED / "data" / "whu_rs19" / "remoteclip-vit-b-32.npz"
    if not path.exists():
        pytest.skip(f"needs {path.name}")
    for name in map(str, np.load(path)["class_names"]):
        assert read_text(name, Table()) == Reading(text=name, concept=name, known=True)


def test_all_that_keenkite_tiny_was_taught_is_known_in_its_own_wording(tiny: Encoder) -> None:
    for way in {way for ways in PHRASES.values() for way in ways}:
        for text in (way, way.upper(), f"“{way}”", f"the {way}", f"find {way}"):
            read = read_text(text, tiny)
            assert (read.concept, read.known, read.doubtful) == (way, True, False)


def test_what_keenkite_tiny_was_taught_to_be_nowhere_is_not_known(tiny: Encoder) -> None:
    for text in ABSENT:
        read = read_text(text, tiny)
        assert (read.known, read.doubtful) == (False, True)


def test_background_and_vocabulary_are_single_concepts_in_english(clip: Encoder) -> None:
    ways = {way for ways in PHRASES.values() for way in ways} - {"sea or lake"}
    for text in {*BACKGROUND, *ABSENT, *ways} - {"food on a plate"}:
        read = read_text(text, clip)
        assert (read.concept, read.notes, read.doubtful) == (text, (), False) or text.startswith(
            "impoundment"
        )


@pytest.mark.parametrize(
    ("text", "suggestions"),
    [
        ("airports", ("airfield", "runway", "aerodrome")),
        ("military airport", ("airport",)),
        ("old railway station", ("railway station", "station")),
        ("golf", ("golf course", "golf club", "golf links")),
        ("harbur", ("harbour", "harbor")),
        ("wedding cake", ()),
    ],
)
def test_other_wordings_are_those_of_the_vocabulary(
    tiny: Encoder, clip: Encoder, text: str, suggestions: tuple[str, ...]
) -> None:
    assert read_text(text, tiny).suggestions == suggestions
    assert read_text(text, clip).suggestions == ()


@pytest.mark.parametrize(
    "text", ["wedding cake", "red and white tower", "airport and wedding cake"]
)
def test_what_a_taught_model_never_met_is_named(tiny: Encoder, text: str) -> None:
    never_met = text.removeprefix("airport and ")
    (note,) = (note for note in read_text(text, tiny).notes if "never taught" in note)
    assert f"keenkite-tiny was never taught {never_met!r}: ask for " in note


def test_a_word_that_may_be_a_name_is_told(clip: Encoder) -> None:
    (note,) = read_text("Narita airport", clip).notes
    assert "'Narita'" in note
    assert "area" in note


def test_sizes_that_a_taught_model_cannot_tell_are_told(tiny: Encoder) -> None:
    assert any("'large'" in note for note in read_text("a large airport", tiny).notes)
    assert read_text("large pond", tiny).notes == ()


@pytest.mark.parametrize("word", ["airport", "greenhouses", "hydroelectric"])
@pytest.mark.parametrize("encoder", ["tiny", "clip"])
def test_a_long_text_is_cut_within_the_concept_so_that_every_caption_holds_its_end(
    encoder: str, word: str, request: pytest.FixtureRequest
) -> None:
    text = " ".join([word] * 150)
    read = read_text(text, request.getfixturevalue(encoder))
    assert read.doubtful
    assert word in read.notes[-1]
    tokens = open_clip.SimpleTokenizer(context_length=400)

    def longest(concept: str) -> int:
        captions = [caption.replace("{}", concept) for caption in TEMPLATES]
        return int((tokens(captions) != 0).sum(axis=1).max())

    words = read.concept.split()
    assert words == [word] * len(words)
    assert longest(read.concept) <= 77 < longest(f"{read.concept} {word}")


def test_a_word_longer_than_the_model_reads_is_cut_within_and_not_dropped(clip: Encoder) -> None:
    for text in ("x" * 900, "空港" * 200):
        read = read_text(text, clip)
        assert text.startswith(read.concept)
        assert 10 < len(read.concept) < len(text)
        assert read.doubtful


def test_a_text_that_just_fits_is_whole(clip: Encoder) -> None:
    text = " ".join(["airport"] * 60)
    assert read_text(text, clip).concept == text
    assert read_text(text, clip).doubtful is False


@pytest.mark.parametrize("text", ["", " \n", "\u200b", "x" * 10_001])
def test_no_text_and_a_book_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="few words"):
        read_text(text, Table())


@pytest.mark.parametrize(
    ("text", "doubted"),
    [
        ("Rio de Janeiro harbour", False),
        ("São Paulo airport", False),
        ("UN base", False),
        ("Big Sur coast", False),
        ("café", False),
        ("Aéroport", True),
        ("TERRAIN DE GOLF", True),
        ("barrage et lac", True),
        ("Hafen mit Kai", True),
        ("forêt dense", True),
    ],
)
def test_names_of_places_are_not_taken_for_another_language(text: str, doubted: bool) -> None:
    assert read_text(text, Table()).doubtful is doubted


def test_a_vocabulary_may_be_a_plain_set() -> None:
    class Taught(Table):
        vocabulary = frozenset({"Sports Ground", "dams", "beach", "factories", "glass", "gas"})

    assert read_text("beaches", Taught()).concept == "beach"
    assert read_text("Factory", Taught()).concept == "factories"
    assert read_text("glas", Taught()).known is False
    assert read_text("ga", Taught()).known is False
    assert read_text("sports grounds", Taught()).concept == "Sports Ground"
    assert read_text("dam", Taught()).concept == "dams"
    assert read_text("dam", Taught()).suggestions == ()
    assert read_text("harbour", Taught()).known is False


def test_a_number_that_was_taught_is_not_exchanged_for_the_other() -> None:
    class Taught(Table):
        vocabulary = ("dams", "dam", "lake", "lakes")

    for way in Taught.vocabulary:
        assert read_text(way, Taught()).concept == way


def test_english_words_are_a_small_sorted_list_with_its_notice(tiny: Encoder) -> None:
    folder = ROOT / "keenkite" / "retrieval" / "data"
    packed = (folder / "english-words.txt.gz").read_bytes()
    assert len(packed) < 300_000
    heading, _, body = gzip.decompress(packed).decode().partition("\n\n")
    assert "SCOWL" in heading
    assert "english-words-licence.txt" in heading
    assert "Copyright 2000-2011 by Kevin Atkinson" in (
        folder / "english-words-licence.txt"
    ).read_text("utf-8")
    words = body.split()
    assert words == sorted(set(words))
    assert all(word.isascii() and word.islower() and word.isalpha() for word in words)
    assert is_english("harbours")
    assert is_english("quarry's")
    assert not is_english("London")
    english_words.cache_clear()
    read_text("airport", tiny)
    assert english_words.cache_info().currsize == 0, "read only when it is needed"
