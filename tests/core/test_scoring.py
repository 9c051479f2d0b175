"""scoring: what the numbers are, against plain numpy; and what they do on real vectors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from keenkite.errors import InputError
from keenkite.evaluation.ranking import auc, average_precision
from keenkite.evaluation.vector_table import VectorTable
from keenkite.index import Statistics
from keenkite.retrieval.concepts import (
    BACKGROUND,
    TEMPLATES,
    concept_and_rivals,
    encode_concepts,
)
from keenkite.retrieval.scoring import (
    CONTRAST,
    CORRECTION,
    SHARPNESS,
    Calibration,
    Scorer,
    among_look_alikes,
    confidence,
    log_confidence,
    log_odds_of,
)
from tests.support.fakes import FakeEncoder
from tests.support.paths import SHARED
from tests.support.sown import COLOURS, ENCODER

WHU = SHARED / "data/whu_rs19/remoteclip-vit-b-32.npz"


def unit(values: NDArray[np.float64]) -> NDArray[np.float32]:
    return (values / np.linalg.norm(values, axis=-1, keepdims=True)).astype(np.float32)


def statistics(vectors: NDArray[np.float32]) -> Statistics:
    exact = vectors.astype(np.float64)
    return Statistics(n=len(exact), mean=exact.mean(axis=0), covariance=np.cov(exact.T, bias=True))


@pytest.fixture
def vectors() -> NDArray[np.float32]:
    return unit(np.random.default_rng(0).normal(0.3, 1, (400, 16)))


def test_a_concept_is_the_mean_over_captions() -> None:
    class Captions(FakeEncoder):
        asked: tuple[str, ...] = ()

        def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
            self.asked = tuple(texts)
            return super().encode_texts(texts)

    encoder = Captions()
    (found,) = encode_concepts(encoder, ["{odd} forest"])
    assert encoder.asked == tuple(t.replace("{}", "{odd} forest") for t in TEMPLATES)
    mean = encoder.encode_texts(encoder.asked).mean(axis=0)
    np.testing.assert_allclose(found, mean / np.linalg.norm(mean), rtol=1e-6)


def test_z_is_what_a_scan_of_the_index_gives(vectors: NDArray[np.float32]) -> None:
    wanted = Scorer(ENCODER, statistics(vectors), COLOURS).wanted("water")
    scores = vectors.astype(np.float64) @ wanted.query
    expected = (scores - scores.mean()) / scores.std()
    np.testing.assert_allclose(wanted.z(vectors), expected, rtol=1e-5, atol=1e-6)


def test_the_query_is_the_text_less_half_of_the_others(
    vectors: NDArray[np.float32],
) -> None:
    wanted = Scorer(ENCODER, statistics(vectors), COLOURS).wanted("red")
    text = encode_concepts(ENCODER, ["red"])[0]
    others = encode_concepts(ENCODER, [c for c in COLOURS if c != "red"])
    assert wanted.rivals is not None
    np.testing.assert_allclose(wanted.rivals, others)  # red itself says nothing against red
    direction = text - others.mean(axis=0) / 2
    cosine = wanted.query @ direction / np.linalg.norm(wanted.query) / np.linalg.norm(direction)
    assert cosine == pytest.approx(1)


def test_what_means_nearly_the_same_is_no_rival(vectors: NDArray[np.float32]) -> None:
    wanted = Scorer(ENCODER, statistics(vectors), COLOURS).wanted("water")
    black, green = encode_concepts(ENCODER, ["black", "green"])  # water is nearly black
    assert wanted.rivals is not None
    assert not np.isclose(wanted.rivals, black).all(axis=1).any()
    assert np.isclose(wanted.rivals, green).all(axis=1).any()


def test_evidence_is_made_of_fit_and_contrast_in_units_of_the_background(
    vectors: NDArray[np.float32],
) -> None:
    wanted = Scorer(ENCODER, statistics(vectors), COLOURS).wanted("water")
    background = encode_concepts(ENCODER, COLOURS)
    cosines = vectors @ background.T
    unit_ = np.sqrt((cosines.var(axis=1)).mean())
    text, others = encode_concepts(ENCODER, ["water"])[0], wanted.rivals
    assert others is not None
    theirs = vectors @ others.T
    ahead = (vectors @ text)[:, None] - theirs
    known = CORRECTION * theirs.mean(axis=1) + (1 - CORRECTION) * theirs.mean()
    fit = (vectors @ text - known) / unit_
    contrast = -np.log(np.exp(-SHARPNESS * ahead / unit_).sum(axis=1)) / SHARPNESS
    np.testing.assert_allclose(wanted.fit(vectors), fit, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(wanted.contrast(vectors), contrast, rtol=1e-4, atol=1e-5)
    evidence = (1 - CONTRAST) * fit + CONTRAST * contrast
    scale = Calibration.of(ENCODER.name)
    expected = (evidence - scale.even) / scale.slope
    np.testing.assert_allclose(wanted.log_odds(vectors), expected, rtol=1e-3, atol=1e-3)


def test_examples_are_a_direction_from_what_was_not_said(vectors: NDArray[np.float32]) -> None:
    good, bad = vectors[:3].astype(float), vectors[3:5].astype(float)
    scorer, mean = Scorer(ENCODER, statistics(vectors), COLOURS), vectors.astype(float).mean(axis=0)
    spread = np.cov(vectors.astype(float).T, bias=True)

    def unit_of(way: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(way / np.sqrt(way @ spread @ way))

    both = scorer.wanted(like=vectors[:3], unlike=vectors[3:5])
    way = good.mean(axis=0) - (bad.mean(axis=0) + mean) / 2
    np.testing.assert_allclose(both.query, unit_of(way), rtol=1e-4)
    like = scorer.wanted(like=vectors[:3])
    np.testing.assert_allclose(like.query, unit_of(good.mean(axis=0) - mean), rtol=1e-4)
    text, unlike = scorer.wanted("red"), scorer.wanted("red", unlike=vectors[3:5])
    against = unit_of(mean - bad.mean(axis=0)) / 4
    np.testing.assert_allclose(unlike.query, text.query + against, rtol=1e-4, atol=1e-6)
    assert unlike.alike is None  # it moves the candidates, and their confidence by a condition
    # Evidence is 0 for the mean tile and 1 for the examples: even at .45, a unit of log-odds a .1.
    there = np.stack([mean, good.mean(axis=0)]).astype(np.float32)
    np.testing.assert_allclose(like.log_odds(there), [-4.5, 5.5], atol=1e-3)
    np.testing.assert_allclose(both.log_odds(there[1:]), [5.5], atol=1e-3)
    named = scorer.wanted("red", like=vectors[:3])
    expected = (text.log_odds(vectors) + like.log_odds(vectors)) / 2
    np.testing.assert_allclose(named.log_odds(vectors), expected, rtol=1e-4, atol=1e-4)


def test_the_query_of_a_text_is_as_long_as_makes_it_one_deviation(
    vectors: NDArray[np.float32],
) -> None:
    wanted = Scorer(ENCODER, statistics(vectors), COLOURS).wanted("red")
    assert wanted.deviation == pytest.approx(1, rel=1e-6)
    assert (vectors @ wanted.query).std() == pytest.approx(1, rel=1e-4)
    assert wanted.usual == pytest.approx(float(vectors.mean(axis=0) @ vectors.mean(axis=0)))


def test_only_the_first_of_a_long_list_are_judged_among_their_look_alikes() -> None:
    vectors = unit(np.random.default_rng(1).normal(0.3, 1, (600, 16)))
    wanted = Scorer(ENCODER, statistics(vectors), COLOURS).wanted("red")
    vectors = vectors[np.argsort(-wanted.z(vectors))]
    alone, together = wanted.log_odds(vectors), wanted.judge(vectors)
    expected = among_look_alikes(alone[:512], vectors[:512], wanted.usual)
    np.testing.assert_allclose(together[:512], expected)
    np.testing.assert_array_equal(together[512:], alone[512:])
    assert not np.allclose(together[:512], alone[:512])


def test_a_look_alike_counts_in_proportion_to_its_likeness() -> None:
    angle = np.arccos([1.0, 0.8, 0.5, 0.1, -0.2])
    vectors = np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)
    values = np.array([1.0, 5.0, 7.0, 11.0, 13.0])
    # To the first: 0.8, 0.5 and 0.1 from 0.2 on are 0.75, 0.375 and nothing.
    expected = (1 + 0.75 * 5 + 0.375 * 7) / (1 + 0.75 + 0.375)
    found = among_look_alikes(values, vectors, usual=0.2)
    assert found[0] == pytest.approx(expected, rel=1e-5)
    four = among_look_alikes(values[:4], vectors[:4], usual=0.2)
    assert four[0] == pytest.approx(expected, rel=1e-5)


def test_a_model_may_have_a_calibration_of_its_own() -> None:
    assert Calibration.of("keenkite-tiny") != Calibration.of("remoteclip-vit-b-32")
    assert Calibration.of("remoteclip-vit-b-32") == Calibration.of("anything")


def test_look_alikes_share_their_evidence_and_strangers_do_not() -> None:
    vectors = unit(np.eye(6)[[0, 0, 0, 0, 4, 5]] + 0.001)
    values = np.array([1.0, 2.0, 3.0, 6.0, 10.0, 20.0])
    shared = among_look_alikes(values, vectors, usual=0.3)
    np.testing.assert_allclose(shared, [3, 3, 3, 3, 10, 20], atol=0.01)
    np.testing.assert_array_equal(among_look_alikes(values[:3], vectors[:3], 0.3), values[:3])


def test_log_odds_and_confidence_are_inverse_far_beyond_what_a_float_of_p_can_hold() -> None:
    odds = np.array([-700.0, -40.0, -1.0, 0.0, 1.0, 30.0])
    np.testing.assert_allclose(log_odds_of(log_confidence(odds)), odds, rtol=1e-3)
    np.testing.assert_allclose(confidence(odds[2:]), 1 / (1 + np.exp(-odds[2:])))


def test_certainty_has_log_odds_too() -> None:
    assert 30 < log_odds_of(np.array(0.0)) < np.inf


def test_without_a_background_confidence_rests_on_z(vectors: NDArray[np.float32]) -> None:
    for background in ((), ("green",)):
        wanted = Scorer(ENCODER, statistics(vectors), background).wanted("water")
        assert wanted.rivals is None
        odds = wanted.log_odds(vectors)
        np.testing.assert_array_equal(np.argsort(odds), np.argsort(wanted.z(vectors)))


def test_two_other_concepts_are_enough_to_compare_with(vectors: NDArray[np.float32]) -> None:
    wanted = Scorer(ENCODER, statistics(vectors), ("green", "red", "snow")).wanted("red")
    assert wanted.rivals is not None
    np.testing.assert_allclose(wanted.rivals, encode_concepts(ENCODER, ["green", "snow"]))
    assert Scorer(ENCODER, statistics(vectors), ("green", "red")).wanted("red").rivals is None
    vector, rivals = concept_and_rivals(ENCODER, "red", ("green", "red"))
    np.testing.assert_allclose(vector, encode_concepts(ENCODER, ["red"])[0])
    np.testing.assert_allclose(rivals, encode_concepts(ENCODER, ["green"]))


def test_one_tile_alone_can_be_judged() -> None:
    vectors = unit(np.random.default_rng(0).normal(size=(1, 16)))
    odds = Scorer(ENCODER, statistics(vectors), COLOURS).wanted("water").judge(vectors)
    assert np.isfinite(odds).all()


def test_a_background_of_no_words_is_refused(vectors: NDArray[np.float32]) -> None:
    with pytest.raises(InputError, match="holds ''"):
        Scorer(ENCODER, statistics(vectors), ("forest", ""))


def test_the_background_is_encoded_once(vectors: NDArray[np.float32]) -> None:
    class Counting(FakeEncoder):
        texts = 0

        def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
            self.texts += len(texts)
            return super().encode_texts(texts)

    encoder = Counting()
    for _ in range(3):
        Scorer(encoder, statistics(vectors)).wanted("water")
    assert encoder.texts == len(TEMPLATES) * (len(BACKGROUND) + 3)


def test_the_shipped_lists_are_plain_and_without_repetition() -> None:
    assert len(set(BACKGROUND)) == len(BACKGROUND) > 60
    assert all(template.count("{}") == 1 for template in TEMPLATES)


@pytest.mark.skipif(not WHU.exists(), reason="needs shared/data/whu_rs19")
def test_real_images_are_ranked_and_absence_is_noticed() -> None:
    table = VectorTable.load(WHU)
    precisions, there, gone = [], [], []
    for k, name in enumerate(table.names):
        right = table.labels == k
        for kept in (slice(None), ~right):
            images = table.images[kept]
            wanted = Scorer(table, statistics(images), table.names).wanted(name)
            order = np.argsort(-wanted.z(images))
            odds = wanted.judge(images[order])
            if kept is not slice(None) and not isinstance(kept, slice):
                gone.append(odds[:64].max())
            else:
                precisions.append(average_precision(odds, right[order]))
                there.append(odds[:64].max())
    assert np.mean(precisions) >= 0.98
    assert auc(there, gone) >= 0.99
