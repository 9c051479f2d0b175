"""calibration: measures become a chance by one regression, of a model or of a collection."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keenkite.errors import InputError
from keenkite.retrieval.calibration import (
    Calibration,
    Measures,
    confidence,
    log_confidence,
    log_odds_of,
)
from keenkite.retrieval.query import Query
from keenkite.retrieval.result import Result
from keenkite.retrieval.search import search
from tests.support.memory_index import MemoryIndex
from tests.support.sown import CALIBRATION, COLOURS, ENCODER, close_all, meadow, plain, seen, sow

WEIGHTS = {
    "cosine": 17.0, "contrast": 2.0, "look_alikes": 3.0, "stands_out": 5.0, "spread": 7.0,
    "doubt": 11.0, "constant": -13.0,
}  # fmt: skip


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    close_all()


def ask(index: Any, **asked: Any) -> Result:
    return search(index, ENCODER, Query(text="water", **asked), background=COLOURS)


def world() -> tuple[list[Any], list[Any]]:
    vectors = plain(36)
    vectors[7], vectors[20] = seen("water", 0.02, 1), seen("water", 0.02, 2)
    return meadow(6), vectors


def test_log_odds_are_a_weighted_sum_of_the_measures_and_a_constant() -> None:
    measures = Measures(
        cosine=np.array([0.0, 0.0, 0.1]), contrast=np.array([1.0, 0.0, 0.5]),
        look_alikes=np.array([0.0, 1.0, -0.5]), stands_out=np.array([0.0, 0.0, 2.0]), spread=0.25,
    )  # fmt: skip
    found = Calibration.from_json(WEIGHTS).log_odds(measures)
    # 7 · .25 - 13 = -11.25, and 2, 3 and 1.7 + 1 - 1.5 + 10 for the tiles. The doubt is of tiles,
    # not of measures.
    np.testing.assert_allclose(found, [-9.25, -8.25, -0.05])


def test_weights_survive_json_and_are_all_there_is_to_it() -> None:
    one = Calibration.from_json(WEIGHTS)
    assert one.to_json() == WEIGHTS
    assert Calibration.from_json(one.to_json()) == one
    assert one.measured


@given(st.floats(-2, 2), st.floats(-5, 5))
def test_a_stretched_one_is_platts_scaling_of_the_log_odds(slope: float, shift: float) -> None:
    rng = np.random.default_rng(0)
    measures = Measures(
        cosine=rng.normal(size=9), contrast=rng.normal(size=9), look_alikes=rng.normal(size=9),
        stands_out=rng.normal(size=9), spread=1.3,
    )  # fmt: skip
    one = Calibration.from_json(WEIGHTS)
    other = one.stretched(slope, shift)
    np.testing.assert_allclose(
        other.log_odds(measures), slope * one.log_odds(measures) + shift, rtol=1e-9, atol=1e-9
    )
    assert other.doubt == pytest.approx(slope * one.doubt)


def test_a_model_that_none_was_measured_for_has_the_default_and_says_so() -> None:
    default, own = Calibration.of("anything"), Calibration.of("remoteclip-vit-b-32")
    assert default == Calibration.of("something else")
    assert not default.measured
    assert own.measured
    assert Calibration.of("keenkite-tiny").measured


def test_evidence_of_every_kind_speaks_for_a_thing_in_all_that_are_shipped() -> None:
    for name in ("anything", "remoteclip-vit-b-32", "keenkite-tiny"):
        weights = Calibration.of(name).to_json()
        assert min(weights[kind] for kind in ("contrast", "look_alikes", "stands_out")) > 0
        assert weights["doubt"] >= 0


def test_an_answer_goes_by_the_collections_own_where_it_has_one(tmp_path: Path) -> None:
    index = sow(tmp_path, *world())
    index.calibrate(None)
    default = ask(index)
    assert not default.calibrated
    assert not default.to_json()["calibrated"]
    index.calibrate(CALIBRATION)
    own = ask(index)
    assert own.calibrated
    index.calibrate(Calibration.from_json(CALIBRATION).stretched(0.5, -1).to_json())
    less = ask(index)
    assert [hit.tile for hit in less.hits] == [hit.tile for hit in own.hits[: len(less.hits)]]
    np.testing.assert_allclose(
        [hit.score for hit in less.hits],
        [0.5 * hit.score - 1 for hit in own.hits[: len(less.hits)]],
        rtol=1e-5,
    )
    index.calibrate(None)
    assert [hit.score for hit in ask(index).hits] == [hit.score for hit in default.hits]


def test_without_one_of_its_own_an_index_goes_by_its_model() -> None:
    index = MemoryIndex(*world(), calibration=None)
    index.encoder_name = "remoteclip-vit-b-32"
    assert Calibration.of_index(index) == Calibration.of("remoteclip-vit-b-32")  # type: ignore[arg-type]


@pytest.mark.parametrize("damage", [{"contrast": "much"}, {"constant": None}, {}])
def test_one_that_is_damaged_is_refused_with_the_way_out(damage: dict[str, Any]) -> None:
    kept: dict[str, Any] = {**CALIBRATION, **damage}
    if not damage:
        del kept["spread"]
    with pytest.raises(InputError, match=r"cannot be read.*keenkite calibrate --reset"):
        ask(MemoryIndex(*world(), calibration=kept))


def test_log_odds_and_confidence_are_inverse_far_beyond_what_a_float_of_p_can_hold() -> None:
    odds = np.array([-700.0, -40.0, -1.0, 0.0, 1.0, 30.0])
    np.testing.assert_allclose(log_odds_of(log_confidence(odds)), odds, rtol=1e-3)
    np.testing.assert_allclose(confidence(odds[2:]), 1 / (1 + np.exp(-odds[2:])))
    assert float(confidence(-700.0)) == pytest.approx(math.exp(-700))


def test_certainty_has_log_odds_too() -> None:
    assert 30 < log_odds_of(np.array(0.0)) < np.inf
