"""scoring: what the numbers are, against plain numpy; and what they do on real vectors."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from keenkite.errors import InputError
from keenkite.evaluation.ranking import auc, average_precision
from keenkite.evaluation.vector_table import VectorTable
from keenkite.index import Statistics
from keenkite.index.statistics import statistics_of
from keenkite.retrieval.calibration import Calibration
from keenkite.retrieval.concepts import (
    BACKGROUND,
    TEMPLATES,
    concept_and_rivals,
    encode_concepts,
)
from keenkite.retrieval.look_alikes import POOL, Ground, LookAlikes
from keenkite.retrieval.scoring import Judge, Scorer
from keenkite.retrieval.wanted import Wanted
from tests.support.fakes import FakeEncoder
from tests.support.paths import SHARED
from tests.support.points import unit
from tests.support.sown import CALIBRATION, COLOURS, ENCODER

WHU = SHARED / "data/whu_rs19/remoteclip-vit-b-32.npz"
OWN = Calibration.from_json(CALIBRATION)


def statistics(vectors: NDArray[np.float32], *, shown: int | None = None) -> Statistics:
    exact = vectors.astype(np.float64)
    return Statistics(
        n=len(exact), mean=exact.mean(axis=0), covariance=np.cov(exact.T, bias=True),
        vectors=None if shown == 0 else vectors[:shown],
    )  # fmt: skip


def judged(
    scorer: Scorer, wanted: Wanted, vectors: NDArray[np.float32], ground: Ground | None = None
) -> Judge:
    """Who judges by the best 128 of some vectors."""
    ground = Ground.apart(len(vectors)) if ground is None else ground
    best = np.argsort(-wanted.z(vectors), kind="stable")[:POOL]
    return scorer.judge(wanted, vectors[best], ground.part(best))


def of_the_best(rivals: NDArray[np.float64], drawn: int = 6) -> NDArray[np.float64]:
    """(n,) the mean, over all draws of six of the (n, m) rivals, of the best."""
    draws = itertools.combinations(range(rivals.shape[1]), min(drawn, rivals.shape[1]))
    return np.mean([rivals[:, list(draw)].max(axis=1) for draw in draws], axis=0)


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


def test_the_contrast_is_how_far_the_text_beats_the_best_of_six_on_average_over_all_draws(
    vectors: NDArray[np.float32],
) -> None:
    names = ["green", "red", "blue", "snow", "desert", "purple", "cyan", "orange", "forest"]
    wanted = Scorer(ENCODER, statistics(vectors), names).wanted("water")
    assert wanted.rivals is not None
    assert len(wanted.rivals) == 8  # all but forest, which is nearly as dark
    theirs = vectors.astype(np.float64) @ wanted.rivals.T
    own = vectors @ encode_concepts(ENCODER, ["water"])[0]
    expected = (own - of_the_best(theirs)) / wanted.unit
    np.testing.assert_allclose(wanted.contrast(vectors), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("number", [2, 5, 6, 7])
def test_of_few_rivals_as_many_are_drawn_as_there_are(
    vectors: NDArray[np.float32], number: int
) -> None:
    names = ["green", "red", "blue", "snow", "desert", "purple", "cyan"][:number]
    wanted = Scorer(ENCODER, statistics(vectors), names).wanted("water")
    assert wanted.rivals is not None
    assert len(wanted.rivals) == number
    theirs = vectors.astype(np.float64) @ wanted.rivals.T
    own = vectors @ encode_concepts(ENCODER, ["water"])[0]
    expected = (own - of_the_best(theirs)) / wanted.unit
    np.testing.assert_allclose(wanted.contrast(vectors), expected, rtol=1e-4, atol=1e-5)


def test_the_contrast_expects_the_same_of_8_names_as_of_90() -> None:
    rng = np.random.default_rng(0)
    dim, n = 256, 300
    vectors, text = unit(rng.normal(size=(n, dim))), unit(rng.normal(size=dim)).astype(float)
    names = unit(rng.normal(size=(90, dim))).astype(np.float64)
    best = {}
    for number in (8, 30, 90):
        parts = [names[i : i + number] for i in range(0, 90 - number + 1, number)]
        contrasts = [
            Wanted(query=text, offset=0, deviation=1, text=text, rivals=part).contrast(vectors)
            for part in parts
        ]
        best[number] = np.mean(contrasts)
    spread = (vectors @ names.T).std()
    assert best[8] == pytest.approx(best[90], abs=0.02 * spread)
    assert best[30] == pytest.approx(best[90], abs=0.01 * spread)
    # What six of a normal distribution are expected to reach: 1.267 of its spreads.
    assert -best[90] == pytest.approx(1.267 * spread, rel=0.1)


def test_the_unit_of_evidence_is_how_much_the_background_differs_on_the_index(
    vectors: NDArray[np.float32],
) -> None:
    wanted = Scorer(ENCODER, statistics(vectors), COLOURS).wanted("water")
    cosines = vectors @ encode_concepts(ENCODER, COLOURS).T
    # Of a sample, over its number less one: few names spread no less than many.
    assert wanted.unit == pytest.approx(np.sqrt(cosines.var(axis=1, ddof=1).mean()), rel=1e-4)
    assert wanted.unit == Scorer(ENCODER, statistics(vectors), COLOURS).wanted("red").unit


def test_evidence_is_three_quarters_of_fit_and_one_of_contrast(
    vectors: NDArray[np.float32],
) -> None:
    wanted = Scorer(ENCODER, statistics(vectors), COLOURS).wanted("water")
    text, others = encode_concepts(ENCODER, ["water"])[0], wanted.rivals
    assert others is not None
    theirs = vectors @ others.T
    # Half of the rivals' mean on this tile, half of their mean on all.
    known = 0.5 * theirs.mean(axis=1) + 0.5 * theirs.mean()
    fit = (vectors @ text - known) / wanted.unit
    np.testing.assert_allclose(wanted.fit(vectors), fit, rtol=1e-4, atol=1e-5)
    evidence = 0.75 * fit + 0.25 * wanted.contrast(vectors)
    np.testing.assert_allclose(wanted.evidence(vectors), evidence, rtol=1e-4, atol=1e-5)


def usual_ground(evidence: NDArray[np.float64], n: int) -> tuple[float, float]:
    """By its percentiles, with 20 tiles more of -0.8 and a spread of 0.9."""
    low, quarter, middle = (np.quantile(evidence, q) for q in (0.1, 0.25, 0.5))
    usual = (n * min(quarter, 0.5) + 20 * -0.8) / (n + 20)
    spread = (n * (middle - low) + 20 * 0.9) / (n + 20)
    return usual, min(max(spread, 0.5), 2.6)


@pytest.mark.parametrize("number", [1, 5, 40, 400])
def test_the_usual_ground_is_told_by_a_sample_and_by_what_is_supposed_of_any(
    vectors: NDArray[np.float32], number: int
) -> None:
    some = vectors[:number]
    wanted = Scorer(ENCODER, statistics(some), COLOURS).wanted("water")
    usual, spread = usual_ground(wanted.evidence(some), number)
    assert wanted.usual == pytest.approx(usual, abs=1e-5)
    assert wanted.spread == pytest.approx(spread, abs=1e-5)


def test_the_sample_of_a_large_index_counts_as_often_as_it_has_tiles(
    vectors: NDArray[np.float32],
) -> None:
    wanted = Scorer(ENCODER, statistics(vectors, shown=50), COLOURS).wanted("water")
    usual, spread = usual_ground(wanted.evidence(vectors[:50]), 50)
    assert wanted.usual == pytest.approx(usual, abs=1e-5)
    assert wanted.spread == pytest.approx(spread, abs=1e-5)


def test_without_a_sample_the_usual_ground_is_what_is_supposed(
    vectors: NDArray[np.float32],
) -> None:
    wanted = Scorer(ENCODER, statistics(vectors, shown=0), COLOURS).wanted("water")
    assert (wanted.usual, wanted.spread) == pytest.approx((-0.8, 0.9))


def test_what_covers_the_index_does_not_raise_the_usual_ground_beyond_a_bound() -> None:
    rng = np.random.default_rng(0)
    water = encode_concepts(ENCODER, ["water"])[0]
    alike = unit(water + 0.01 * rng.normal(size=(300, 16)))
    wanted = Scorer(ENCODER, statistics(alike), COLOURS).wanted("water")
    assert wanted.evidence(alike).min() > 1
    assert wanted.usual == pytest.approx((300 * 0.5 - 20 * 0.8) / 320)
    assert wanted.spread == 0.5  # and ground that is all the same is not believed to be
    red = encode_concepts(ENCODER, ["red"])[0]
    two = np.concatenate([alike, unit(red + 0.01 * rng.normal(size=(100, 16)))])
    one_of_four = Scorer(ENCODER, statistics(two), COLOURS).wanted("water")
    assert one_of_four.spread == 2.6


def test_log_odds_are_the_calibrated_measures_less_a_doubt_for_each_octave(
    vectors: NDArray[np.float32],
) -> None:
    scorer = Scorer(ENCODER, statistics(vectors), COLOURS, calibration=OWN)
    wanted, ground = scorer.wanted("water"), Ground.apart(len(vectors))
    judge = judged(scorer, wanted, vectors)
    measures = judge.measures(vectors, ground)
    evidence, contrast = wanted.evidence(vectors), wanted.contrast(vectors)
    pool = np.argsort(-wanted.z(vectors), kind="stable")[:128]
    mean = vectors.astype(np.float64).mean(axis=0)
    alike = LookAlikes(
        vectors=vectors[pool], ground=ground.part(pool), usual=float(mean @ mean)
    ).of(vectors, ground)
    more = alike.difference(evidence, evidence[pool])
    stands_out = (evidence - wanted.usual) / wanted.spread
    cosine = vectors @ encode_concepts(ENCODER, ["water"])[0]
    np.testing.assert_allclose(measures.cosine, cosine, rtol=1e-6)
    np.testing.assert_allclose(measures.contrast, contrast)
    np.testing.assert_allclose(measures.look_alikes, more, atol=1e-6)
    np.testing.assert_allclose(measures.stands_out, stands_out, rtol=1e-6)
    assert measures.spread == wanted.spread
    octaves = np.random.default_rng(1).integers(0, 3, len(vectors)).astype(float)
    expected = 2 * cosine + 4 * contrast + 3 * more + 0.5 * stands_out + 0.5 * wanted.spread - 4
    expected -= 0.5 * octaves  # as in CALIBRATION
    found = judge.log_odds(vectors, ground, octaves)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_a_tile_is_judged_alike_whoever_is_judged_with_it(vectors: NDArray[np.float32]) -> None:
    scorer = Scorer(ENCODER, statistics(vectors), COLOURS)
    wanted, ground = scorer.wanted("red"), Ground.apart(len(vectors))
    judge = judged(scorer, wanted, vectors)
    together = judge.log_odds(vectors, ground)
    turned = np.arange(len(vectors))[::-1]
    np.testing.assert_allclose(
        judge.log_odds(vectors[turned], ground.part(turned)), together[turned]
    )
    for i in (0, 7, 399):
        one = np.array([i])
        assert judge.log_odds(vectors[one], ground.part(one))[0] == pytest.approx(together[i])


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
    np.testing.assert_allclose(like.example(there), [-4.5, 5.5], atol=1e-3)
    np.testing.assert_allclose(both.example(there[1:]), [5.5], atol=1e-3)
    assert text.example(vectors).tolist() == [0] * len(vectors)


def test_a_text_with_examples_is_worth_the_mean_of_both(vectors: NDArray[np.float32]) -> None:
    scorer, ground = Scorer(ENCODER, statistics(vectors), COLOURS), Ground.apart(len(vectors))
    pool = np.arange(100)
    text, like, both = (
        scorer.judge(wanted, vectors[pool], ground.part(pool)).log_odds(vectors, ground)
        for wanted in (
            scorer.wanted("red"), scorer.wanted(like=vectors[:3]),
            scorer.wanted("red", like=vectors[:3]),
        )
    )  # fmt: skip
    np.testing.assert_allclose(both, (text + like) / 2, rtol=1e-4, atol=1e-4)
    # Examples too are told by look-alikes.
    wanted = scorer.wanted(like=vectors[:3])
    alike = scorer.judge(wanted, vectors[pool], ground.part(pool)).look_alikes.of(vectors, ground)
    alone = wanted.example(vectors)
    np.testing.assert_allclose(like, alone + alike.difference(alone, alone[pool]), rtol=1e-6)
    assert not np.allclose(like, alone)


def test_the_query_of_a_text_is_as_long_as_makes_it_one_deviation(
    vectors: NDArray[np.float32],
) -> None:
    wanted = Scorer(ENCODER, statistics(vectors), COLOURS).wanted("red")
    assert wanted.deviation == pytest.approx(1, rel=1e-6)
    assert (vectors @ wanted.query).std() == pytest.approx(1, rel=1e-4)


def test_look_alikes_are_weighed_from_the_usual_cosine_of_two_tiles_of_the_index(
    vectors: NDArray[np.float32],
) -> None:
    scorer = Scorer(ENCODER, statistics(vectors), COLOURS)
    exact = vectors.astype(np.float64)
    pairs = exact @ exact.T
    assert judged(scorer, scorer.wanted("red"), vectors).look_alikes.usual == pytest.approx(
        pairs.mean()
    )


def test_without_a_background_confidence_rests_on_z_three_deviations_out(
    vectors: NDArray[np.float32],
) -> None:
    ground = Ground.apart(len(vectors))
    for background in ((), ("green",)):
        scorer = Scorer(ENCODER, statistics(vectors), background)
        wanted = scorer.wanted("water")
        assert wanted.rivals is None
        judge = judged(scorer, wanted, vectors)
        best, z = np.argsort(-wanted.z(vectors), kind="stable")[:128], wanted.z(vectors)
        alike = judge.look_alikes.of(vectors, ground).difference(z, z[best])
        np.testing.assert_allclose(judge.log_odds(vectors, ground), z - 3 + alike, rtol=1e-5)
        assert not np.allclose(alike, 0)


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
    scorer = Scorer(ENCODER, statistics(vectors), COLOURS)
    judge = judged(scorer, scorer.wanted("water"), vectors)
    assert np.isfinite(judge.log_odds(vectors, Ground.apart(1))).all()


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
        for kept in (np.ones(len(right), bool), ~right):
            images = table.images[kept]
            scorer = Scorer(table, statistics_of(images), table.names)
            judge = judged(scorer, scorer.wanted(name), images)
            odds = judge.log_odds(images, Ground.apart(len(images)))
            if kept.all():
                precisions.append(average_precision(odds, right))
                there.append(odds.max())
            else:
                gone.append(odds.max())
    assert np.mean(precisions) >= 0.98
    assert auc(there, gone) >= 0.98
