"""What an answer says beside its hits: verdicts, what they rest on, what was odd, what was cut."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from keenkite.area import Area
from keenkite.index import Filters
from keenkite.retrieval.query import Near, Query
from keenkite.retrieval.result import Result
from keenkite.retrieval.search import search
from keenkite.tiling import Tile
from tests.support.fakes import WORDS, FakeEncoder
from tests.support.memory_index import MemoryIndex
from tests.support.sown import COLOURS, ENCODER, meadow, plain, seen, tile


class Taught(FakeEncoder):
    """The same, which tells what it was taught to name."""

    vocabulary = dict.fromkeys(WORDS, ()) | {"red": ("crimson",)}


def world(**colours: tuple[int, ...]) -> tuple[list[Tile], list[NDArray[np.float32]]]:
    """100 tiles of plain ground that do not overlap, and in some of them a colour."""
    vectors = plain(100)
    for colour, places in colours.items():
        for i in places:
            vectors[i] = seen(colour, 0.01, i)
    return meadow(10), vectors


def ask(index: Any, text: str, *, encoder: Any = ENCODER, **asked: Any) -> Result:
    return search(index, encoder, Query(text=text, **asked), background=COLOURS)


# Verdicts


def test_each_text_has_a_verdict_by_itself_and_the_whole_has_that_of_its_best_hit() -> None:
    # Red in one corner, and water in the other, some 29 km away.
    index = MemoryIndex(*world(red=(0,), water=(99,)))
    apart = ask(index, "red", near=(Near(text="water", within_km=5),))
    assert apart.verdicts == {"red": "strong", "water": "strong"}
    assert apart.verdict == "none"
    near = ask(index, "red", near=(Near(text="water", within_km=40),))
    assert (near.verdict, near.verdicts) == ("strong", apart.verdicts)


def test_what_is_not_near_does_not_take_the_thing_itself_away() -> None:
    index = MemoryIndex(*world(red=(0, 55)))
    for strict in (False, True):
        result = ask(index, "red", near=(Near(text="purple", within_km=3),), strict=strict)
        assert result.verdicts == {"red": "strong", "purple": "none"}
        assert result.verdict == "none"
    assert ask(index, "red", near=(Near(text="purple", within_km=3),)).conditions[0].verdict == (
        "strong"
    )


def test_verdicts_of_texts_go_by_what_the_filters_let_through() -> None:
    tiles, vectors = world(red=(0,), water=(99,))
    index = MemoryIndex(tiles, vectors)
    around = Area.around(tiles[0].lon, tiles[0].lat, 8)
    here = ask(index, "red", exclude=("water",), area=around)
    assert here.verdicts == {"red": "strong", "water": "none"}
    there = ask(index, "red", exclude=("water",), filters=Filters(tile_ids=(tiles[99].id,)))
    assert there.verdicts == {"red": "none", "water": "strong"}
    nowhere = ask(index, "red", exclude=("water",), start=date(2030, 1, 1))
    assert nowhere.verdicts == {"red": "none", "water": "none"}


def test_the_best_tile_for_a_text_need_not_be_a_hit() -> None:
    index = MemoryIndex(*world(red=(0,), water=tuple(range(10, 50))))
    result = ask(index, "water", exclude=("red",), limit=3)
    assert result.verdicts["red"] == "strong"
    assert result.hits[0].of("exclude")[0].confidence < 0.1


def test_a_condition_that_is_met_is_strong_and_one_of_what_is_unwanted_by_its_absence() -> None:
    index = MemoryIndex(*world(red=(0,), water=(1,)))
    result = ask(
        index, "red", near=(Near(text="water", within_km=3),),
        exclude=("purple", Near(text="water", within_km=4)),
        filters=Filters(tile_ids=(index.tiles[0].id,)),
    )  # fmt: skip
    assert [(c.kind, c.text, c.within_km, c.verdict) for c in result.conditions] == [
        ("text", "red", None, "strong"),
        ("near", "water", 3, "strong"),
        ("exclude", "purple", None, "strong"),
        ("exclude", "water", 4, "none"),
    ]
    examples = search(
        index, ENCODER, Query(text="red", unlike=(index.tiles[50].id,)), background=COLOURS
    )
    assert [(c.kind, c.text) for c in examples.conditions] == [("text", "red"), ("unlike", None)]
    assert list(examples.verdicts) == ["red"]


def mild() -> MemoryIndex:
    """Red and something else in ever other parts, of a model that no calibration was set for."""
    tiles, vectors = world()
    for n, part in enumerate(np.linspace(0, 1, 60)):
        both = part * seen("red") + (1 - part) * seen("green")
        vectors[n] = (both / np.linalg.norm(both)).astype(np.float32)
    return MemoryIndex(tiles, vectors, calibration=None)


def test_strong_asks_for_more_where_no_confidence_was_ever_measured() -> None:
    index = mild()
    found = ask(index, "red", limit=60, min_confidence=0)
    assert not found.calibrated
    between = [hit for hit in found.hits if 0.7 <= hit.confidence < 0.85]
    surer = [hit for hit in found.hits if hit.confidence >= 0.85]
    assert between
    assert surer

    def of(one: Tile) -> Result:
        return ask(index, "red", filters=Filters(tile_ids=(one.id,)))

    for hit in between:
        result = of(hit.tile)
        assert (result.verdict, result.verdicts["red"]) == ("weak", "weak")
        assert result.conditions[0].verdict == "weak"
        assert not result.calibrated
    assert of(surer[0].tile).verdict == of(surer[0].tile).verdicts["red"] == "strong"
    empty = ask(index, "red", start=date(2030, 1, 1))
    assert (empty.hits, empty.calibrated) == ((), False)


def test_what_was_measured_is_strong_from_070() -> None:
    index = mild()
    index.kept = {
        "cosine": 0.0, "contrast": 1.0, "look_alikes": 1.0, "stands_out": 0.5, "spread": 0.0,
        "doubt": 0.0, "constant": -1.5,
    }  # fmt: skip
    found = ask(index, "red", limit=60, min_confidence=0)
    assert found.calibrated
    between = [hit for hit in found.hits if 0.7 <= hit.confidence < 0.85]
    assert between
    for hit in between:
        result = ask(index, "red", filters=Filters(tile_ids=(hit.tile.id,)))
        assert result.verdict == result.verdicts["red"] == result.conditions[0].verdict == "strong"


# What "none" rests on


def test_none_rests_on_the_confidence_of_the_best_tile() -> None:
    result = ask(MemoryIndex(*world()), "purple", limit=1)
    sure = result.hits[0].confidence
    assert result.verdict == "none"
    assert result.reason == (f"Not recognised here: the best tile has a confidence of {sure:.2f}.")
    assert ask(MemoryIndex(*world(red=(3,))), "red").reason is None


def test_none_rests_on_a_list_in_which_nothing_stands_out() -> None:
    # All tiles look alike, and none like purple.
    flat = MemoryIndex(meadow(4), [seen("green", 0.001, i) for i in range(16)])
    told = ask(flat, "purple", limit=3).reason or ""
    assert "nothing stands out among the hits" in told
    assert "stands out" not in (ask(flat, "purple", limit=2).reason or "")  # two are no list
    some = mild()
    found = ask(some, "red", limit=60, min_confidence=0)
    weakest = [hit.tile.id for hit in found.hits if 0.05 < hit.confidence < 0.29]
    spread = ask(
        some, "red", filters=Filters(tile_ids=(weakest[0], weakest[-1], *weakest[1:])), limit=60
    )
    confidences = [hit.confidence for hit in found.hits if hit.tile.id in weakest]
    assert max(confidences) - min(confidences) > 0.1
    assert spread.verdict == "none"
    assert "stands out" not in (spread.reason or "")


@pytest.mark.parametrize(("cloudy", "told"), [(24, None), (25, "25 %"), (60, "60 %")])
def test_none_rests_on_ground_that_is_under_cloud(cloudy: int, told: str | None) -> None:
    tiles, vectors = world()
    clouded = [tile(t.column, t.row, cloud=0.9 if i < cloudy else 0.5) for i, t in enumerate(tiles)]
    index = MemoryIndex(clouded, vectors)
    reason = ask(index, "purple").reason or ""
    if told is None:
        assert "cloudy" not in reason
    else:
        assert f"{told} of the tiles are cloudy" in reason
    # Not where only clear tiles were asked for, and by the tiles that pass the filters alone.
    assert "cloudy" not in (ask(index, "purple", max_cloud=0.95).reason or "")
    clear = Filters(tile_ids=tuple(t.id for t in clouded[cloudy:]))
    assert "cloudy" not in (ask(index, "purple", filters=clear).reason or "")


def test_none_rests_on_words_that_the_model_was_never_taught() -> None:
    index, encoder = MemoryIndex(*world()), Taught()
    result = ask(index, "castle", encoder=encoder)
    assert result.verdict == "none"
    assert "the model was never taught 'castle'" in (result.reason or "")
    assert "never taught" not in (ask(index, "purple", encoder=encoder).reason or "")
    # A model that does not say what it was taught is not blamed.
    assert "never taught" not in (ask(index, "castle").reason or "")
    both = ask(index, "castle", exclude=("bridge",), encoder=encoder)
    assert "never taught 'castle' nor 'bridge'" in (both.reason or "")


def test_none_comes_with_other_words_to_try() -> None:
    index = MemoryIndex(*world())
    reason = ask(index, "red", encoder=Taught()).reason or ""
    assert reason.endswith(". Other words to try: 'crimson'.")


def test_none_names_the_condition_by_which_the_best_hit_fails() -> None:
    index = MemoryIndex(*world(red=(0,), blue=(3,)))
    result = ask(index, "red", near=(Near(text="purple", within_km=3),), exclude=("blue",))
    sure = result.hits[0].of("text")[0].confidence
    assert f"'red' alone has {sure:.2f} there; what it fails by is 'purple within 3 km'" in (
        result.reason or ""
    )
    only = Filters(tile_ids=(index.tiles[3].id,))
    excluded = ask(index, "blue", exclude=(Near(text="red", within_km=9),), filters=only)
    assert "what it fails by is 'without red within 9 km'" in (excluded.reason or "")
    # Not where the thing itself is not there.
    none = ask(index, "purple", near=(Near(text="snow", within_km=3),))
    assert "fails by" not in (none.reason or "")


# Words


def test_a_doubtful_text_is_never_strong_and_the_answer_says_why() -> None:
    index = MemoryIndex(*world(red=(0, 50)))
    assert ask(index, "red").verdict == "strong"
    assert ask(index, "red").notes == ()
    doubtful = ask(index, "red or water", encoder=Taught())
    assert doubtful.verdict == "weak"
    assert doubtful.verdicts["red or water"] == "weak"
    assert doubtful.conditions[0].verdict == "weak"
    assert doubtful.notes
    assert doubtful.hits[0].confidence > 0.7  # the number itself is what it is
    assert doubtful.to_json()["notes"] == list(doubtful.notes)


def test_a_doubtful_condition_makes_the_whole_doubtful_and_not_the_other_texts() -> None:
    index = MemoryIndex(*world(red=(0, 50)))
    result = ask(index, "red", exclude=("purple or snow",), encoder=Taught())
    assert result.verdicts["red"] == "strong"
    assert result.verdict == "weak"
    assert [condition.verdict for condition in result.conditions] == ["strong", "weak"]


def test_a_text_in_quotes_is_asked_for_without_them_and_answered_as_it_was_asked() -> None:
    index = MemoryIndex(*world(red=(0, 50)))
    quoted, plainly = ask(index, '"red"'), ask(index, "red")
    assert [hit.score for hit in quoted.hits] == [hit.score for hit in plainly.hits]
    assert quoted.verdicts == {'"red"': "strong"}
    assert quoted.notes


# Cuts


def test_hits_under_half_of_weak_are_cut_and_counted() -> None:
    index = MemoryIndex(*world(red=(0, 50)))
    everyone = ask(index, "red", limit=40, min_confidence=0)
    result = ask(index, "red", limit=40)
    assert [hit.tile for hit in result.hits] == [
        hit.tile for hit in everyone.hits if hit.confidence >= 0.15
    ]
    assert result.below == 40 - len(result.hits) > 0
    assert result.to_json()["below"] == result.below
    assert everyone.below == 0


def test_the_first_hit_is_never_cut() -> None:
    index = MemoryIndex(*world())
    for cut in (None, 0.5, 1.0):
        result = ask(index, "purple", min_confidence=cut)
        assert [hit.rank for hit in result.hits] == [1]
        assert result.below == 9
        assert result.hits[0].confidence < 0.15
