"""What an answer says before its hits and after them, on any page of it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import pytest

from keenkite.index import TileIndex
from keenkite.retrieval.headline import headline, remarks, rest
from keenkite.retrieval.query import Asked, Near, Query
from keenkite.retrieval.result import ConditionVerdict, Met, Result
from keenkite.retrieval.search import search
from tests.support.sown import ENCODER, close_all, meadow, plain, seen, sow

CONDITIONS = (
    ConditionVerdict(kind="text", text="airport", verdict="strong"),
    ConditionVerdict(kind="near", text="sea", within_km=3, verdict="weak"),
)


@pytest.fixture(scope="module")
def lakes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TileIndex]:
    """400 tiles, of which every twentieth shows water, less and less clearly."""
    folder: Path = tmp_path_factory.mktemp("lakes")
    vectors = plain(400)
    for i in range(0, 400, 20):
        vectors[i] = seen("water", i / 1000, i)
    yield sow(folder, meadow(), vectors)
    close_all()


def test_the_head_has_the_verdict_of_each_condition() -> None:
    query = Query(text="airport", near=(Near(text="sea", within_km=3),))
    result = Result(query=query, hits=(), verdict="weak", conditions=CONDITIONS)
    assert headline(result) == "verdict: weak (airport: strong; sea within 3 km: weak)"


def test_of_one_condition_the_verdict_is_that_of_the_whole() -> None:
    result = Result(
        query=Query(text="airport"), hits=(), verdict="strong", conditions=CONDITIONS[:1],
        verdicts={"airport": "strong"},
    )  # fmt: skip
    assert headline(result) == "verdict: strong"
    assert remarks(result) == []
    assert rest(result) == []


def test_remarks_are_all_that_is_to_be_known_about_a_verdict() -> None:
    result = Result(
        query=Query(text="air\nport", min_confidence=0.5), hits=(), verdict="none",
        verdicts={"air\nport": "strong", "sea": "none"}, reason="not recognised here",
        notes=("one thing", "another"), calibrated=False, below=31,
    )  # fmt: skip
    reason, alone, *notes, calibrated = remarks(result)
    assert reason == "Not recognised here"
    assert alone == "each text by itself: air port: strong; sea: none"
    assert notes == ["note: one thing", "note: another"]
    assert "not calibrated" in calibrated
    assert "0.85" in calibrated
    assert rest(result)[0].startswith("31 more below 0.5;")


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (Asked(kind="text", text="airport"), "airport"),
        (Asked(kind="near", text="sea", within_km=2.5), "sea within 2.5 km"),
        (Asked(kind="exclude", text="houses"), "without houses"),
        (Asked(kind="exclude", text="houses", within_km=1), "without houses within 1 km"),
        (Asked(kind="like"), "like the examples"),
        (Asked(kind="unlike"), "unlike the examples"),
    ],
)
def test_every_condition_has_words_for_people(asked: Asked, words: str) -> None:
    assert asked.words == words


def test_of_what_is_not_wanted_the_factor_is_that_it_is_not_seen() -> None:
    assert Met(kind="near", text="sea", within_km=3, confidence=0.9).factor == 0.9
    assert Met(kind="exclude", text="sea", confidence=0.9).factor == pytest.approx(0.1)


def test_confidence_is_the_product_of_its_factors(lakes: TileIndex) -> None:
    near = (Near(text="grey", within_km=5),)
    query = Query(text="water", near=near, exclude=["red"], min_confidence=0)
    for hit in search(lakes, ENCODER, query).hits:
        assert list(hit.factors) == ["water", "grey within 5 km", "without red"]
        assert hit.confidence == pytest.approx(math.prod(hit.factors.values()), rel=1e-6)
        shown = hit.to_json()["factors"]
        assert shown == {words: round(value, 4) for words, value in hit.factors.items()}


def test_what_was_skipped_does_not_move_verdicts(lakes: TileIndex) -> None:
    query = {"text": "water", "near": (Near(text="grey", within_km=5),), "min_confidence": 0}
    whole = search(lakes, ENCODER, Query(**query, limit=10))  # type: ignore[arg-type]
    assert whole.verdict != "none"
    page = search(lakes, ENCODER, Query(**query, limit=10, skip=30))  # type: ignore[arg-type]
    assert [hit.rank for hit in page.hits] == list(range(31, 41))
    assert page.hits[0].confidence < whole.hits[-1].confidence
    for name in ("verdict", "verdicts", "conditions", "reason"):
        assert getattr(page, name) == getattr(whole, name)


def test_a_page_without_hits_says_why(lakes: TileIndex) -> None:
    beyond = search(lakes, ENCODER, Query(text="water", limit=10, skip=400))
    assert (beyond.hits, beyond.below) == ((), 0)
    assert remarks(beyond)[0] == "There are no more hits"
    cut = search(lakes, ENCODER, Query(text="water", limit=10, skip=100))
    assert (cut.hits, cut.below) == ((), 10)
    assert remarks(cut)[0] == "All further hits are below 0.15"
    assert beyond.verdict == cut.verdict == search(lakes, ENCODER, Query(text="water")).verdict
