"""evaluate: labelled images or vectors to figures, and vectors that are kept between runs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from keenkite import Query, TileIndex, search
from keenkite.errors import InputError
from keenkite.evaluation.evaluate import evaluate
from keenkite.evaluation.images import labelled_images, read_image
from keenkite.evaluation.ranking import auc, average_precision
from keenkite.evaluation.trials import judged, trials
from keenkite.evaluation.vector_table import VectorTable
from keenkite.index.statistics import statistics_of
from keenkite.retrieval.recall import CANDIDATES
from keenkite.retrieval.scoring import Scorer
from tests.support.fakes import WORDS, FakeEncoder
from tests.support.sown import tile

CLASSES = ("water", "purple", "desert", "red")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve images of each of four colours, the class in the subfolder's name."""
    rng = np.random.default_rng(0)
    for name in CLASSES:
        place = tmp_path / "images" / name.title()
        place.mkdir(parents=True)
        for i in range(12):
            colour = np.array(WORDS[name]) + rng.normal(0, 8, 3)
            pixels = np.clip(colour + rng.normal(0, 5, (64, 64, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(place / f"{name}{i:02}.png")
    return tmp_path / "images"


class Counting(FakeEncoder):
    def __init__(self) -> None:
        self.images = 0

    def encode_images(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.images += len(rgb)
        return super().encode_images(rgb)


def test_classes_an_encoder_knows_are_found(folder: Path) -> None:
    found = evaluate(folder, FakeEncoder())
    assert [row.name for row in found.classes] == sorted(CLASSES)
    assert found.images == 48
    assert found.mean.map == pytest.approx(1)
    assert found.mean.precision10 == pytest.approx(1)
    assert found.presence == pytest.approx(1)
    assert json.loads(json.dumps(found.to_json()))["mean"]["images"] == 48
    assert "presence AUC" in str(found)
    assert found.covered.rare[0].images == 1
    assert found.uncovered is None  # four classes leave too few for the background
    assert "it takes 5 classes" in str(found)


def test_a_run_that_was_stopped_goes_on_where_it_was(folder: Path, tmp_path: Path) -> None:
    class StoppedError(Exception):
        pass

    def stop(done: int, total: int) -> None:
        raise StoppedError

    import keenkite.evaluation.images

    cache, first, second = tmp_path / "cache", Counting(), Counting()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keenkite.evaluation.images, "BATCH", 20)
        with pytest.raises(StoppedError):
            evaluate(folder, first, cache=cache, progress=stop)
        seen: list[tuple[int, int]] = []
        result = evaluate(folder, second, cache=cache, progress=lambda *done: seen.append(done))
    assert (first.images, second.images) == (20, 28)
    assert seen == [(20, 48), (40, 48), (48, 48)]
    assert result == evaluate(folder, FakeEncoder())


def test_another_fit_or_a_changed_image_is_encoded_again(folder: Path, tmp_path: Path) -> None:
    cache, encoder = tmp_path / "cache", Counting()
    evaluate(folder, encoder, cache=cache)
    evaluate(folder, encoder, cache=cache, fit="mosaic")
    assert encoder.images == 96
    Image.new("RGB", (64, 64), (1, 2, 3)).save(folder / "Water" / "water00.png")
    evaluate(folder, encoder, cache=cache)
    assert encoder.images == 144


def test_a_file_of_vectors_is_measured_without_a_model(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(5, 32))
    labels = np.repeat(np.arange(5), 20)
    np.savez(
        tmp_path / "vectors.npz",
        image_embeddings=(centres[labels] + 0.3 * rng.normal(size=(100, 32))).astype(np.float16),
        labels=labels,
        class_names=np.array(["one", "two", "three", "four", "five"]),
        text_embeddings=centres[None] + 0.3 * rng.normal(size=(3, 5, 32)),
        templates=np.array(["a {}", "the {}", "many {}"]),
    )
    rounds: list[tuple[int, int]] = []
    found = evaluate(tmp_path / "vectors.npz", searching=lambda *done: rounds.append(done))
    assert found.mean.map == pytest.approx(1)
    assert rounds == [(i, 10) for i in range(1, 11)]
    table = VectorTable.load(tmp_path / "vectors.npz")
    np.testing.assert_allclose(np.linalg.norm(table.images, axis=1), 1, rtol=1e-5)
    exact, other = table.encode_texts(["the two", "a picture of two"])
    assert exact @ other > 0.9
    assert not np.array_equal(exact, other)
    with pytest.raises(InputError, match="no vector of 'a six'"):
        table.encode_texts(["a six"])
    with pytest.raises(InputError, match="cannot encode images"):
        table.encode_images(np.zeros((1, 224, 224, 3), np.uint8))


def test_searches_of_what_is_there_removed_and_rare_are_counted() -> None:
    table = classes(12, each=20, noise=0.3)
    for covered in (True, False):
        found = trials(table, table.images, table.labels, table.names, covered=covered)
        assert found is not None
        for rates in (found.present, found.removed):
            assert rates.strong + rates.weak + rates.none == pytest.approx(1)
        assert found.present.none < 0.05
        assert found.removed.none > found.present.none
        assert [rare.images for rare in found.rare] == [1, 3]
        assert all(rare.first_right > 0.9 for rare in found.rare)
        assert found.rare[0].none >= found.rare[1].none
        # Ten hits of two searches for each class on each of five grounds.
        assert found.hits == 10 * 2 * (12 if covered else 7) * 5
        assert sum(each.number for each in found.reliability.bins) == found.hits
        assert found == trials(table, table.images, table.labels, table.names, covered=covered)


def test_names_that_say_nothing_of_the_pictures_are_no_finds() -> None:
    table = classes(8, each=15, noise=0.3)
    rng = np.random.default_rng(1)
    strangers = VectorTable(
        name="strangers", images=rng.normal(size=(120, 64)), labels=table.labels,
        names=table.names, texts=rng.normal(size=(2, 8, 64)), templates=["a {}", "the {}"],
    )  # fmt: skip
    known = trials(table, table.images, table.labels, table.names, covered=True)
    strange = trials(strangers, strangers.images, table.labels, table.names, covered=True)
    assert known is not None
    assert strange is not None
    assert known.present.strong > strange.present.strong + 0.5
    assert known.reliability.brier < strange.reliability.brier + 0.1


def test_a_trial_says_what_a_search_of_an_index_says(tmp_path: Path) -> None:
    table = classes(6, each=15, noise=0.6)
    scorer = Scorer(table, statistics_of(table.images), table.names)
    tiles = [tile(300 + 4 * (i % 10), 3500 + 4 * (i // 10)) for i in range(len(table.labels))]
    with TileIndex.open(tmp_path / "index", encoder=table) as index:
        index.upsert(tiles, table.images)
        for name in table.names[:3]:
            rows, odds = judged(scorer, name, table.images, CANDIDATES)
            best = np.argsort(-odds)[:10]
            query = Query(text=name, limit=10, min_confidence=0)
            hits = search(index, table, query, background=table.names).hits
            assert [hit.tile.id for hit in hits] == [tiles[i].id for i in rows[best]]
            assert [hit.score for hit in hits] == pytest.approx(odds[best], abs=1e-3)


def test_an_encoder_of_more_bands_is_refused_by_name(folder: Path) -> None:
    class TenBands(FakeEncoder):
        name = "ten-bands"
        bands = ("B02", "B03", "B04", "B08")

    with pytest.raises(InputError, match=r"ten-bands sees the bands B02, B03, B04, B08.*npz"):
        evaluate(folder, TenBands())


def classes(number: int, *, each: int, noise: float) -> VectorTable:
    """Vectors of images round as many directions as there are classes, and texts near these."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(number, 64))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    labels = np.repeat(np.arange(number), each)
    common = 0.5 * rng.normal(size=64) / 8
    images = noise * rng.normal(size=(len(labels), 64)) / 8
    texts = 0.3 * rng.normal(size=(2, number, 64)) / 8
    return VectorTable(
        name="classes",
        images=centres[labels] + common + images,
        labels=labels,
        names=[f"kind {chr(97 + k)}" for k in range(number)],
        texts=centres + texts,
        templates=["a {}", "the {}"],
    )


def test_images_are_fitted_as_documented(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    mosaic = read_image(tmp_path / "a.png", "mosaic")
    assert mosaic.shape == (224, 224, 3)
    np.testing.assert_array_equal(mosaic[80:144, 80:144], pixels)  # itself in the middle
    np.testing.assert_array_equal(mosaic[80:144, 144:208], pixels[:, ::-1])  # mirrored beside
    Image.new("RGB", (448, 300), (9, 8, 7)).save(tmp_path / "b.png")
    assert read_image(tmp_path / "b.png").shape == (224, 224, 3)
    assert (read_image(tmp_path / "b.png", "mosaic") == (9, 8, 7)).all()


def test_class_names_are_the_folders_in_words(tmp_path: Path) -> None:
    for name in ("SeaLake", "golf_course", "harbor"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (8, 8)).save(tmp_path / name / "a.tif")
    (tmp_path / "empty").mkdir()
    files, labels, names = labelled_images(tmp_path)
    assert names == ["sea lake", "golf course", "harbor"]
    assert labels.tolist() == [0, 1, 2]
    assert len(files) == 3


def test_what_cannot_be_measured_is_refused(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(InputError, match="is no folder"):
        evaluate(tmp_path / "nothing", FakeEncoder())
    with pytest.raises(InputError, match="at least 3 classes"):
        evaluate(folder / "Water", FakeEncoder())
    with pytest.raises(InputError, match="need an encoder"):
        evaluate(folder)
    (folder / "Water" / "water00.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"water00\.png cannot be read"):
        evaluate(folder, FakeEncoder())
    np.savez(
        tmp_path / "two.npz", image_embeddings=np.eye(2), labels=np.arange(2),
        class_names=np.array(["a", "b"]), text_embeddings=np.eye(2)[None],
        templates=np.array(["{}"]),
    )  # fmt: skip
    with pytest.raises(InputError, match="2 classes; at least 3"):
        evaluate(tmp_path / "two.npz")
    (tmp_path / "bad.npz").write_bytes(b"no archive")
    with pytest.raises(InputError, match="no file of vectors"):
        evaluate(tmp_path / "bad.npz")
    np.savez(tmp_path / "half.npz", labels=np.zeros(3))
    with pytest.raises(InputError, match="image_embeddings"):
        evaluate(tmp_path / "half.npz")


def test_average_precision_and_auc_are_the_textbook_ones() -> None:
    right = np.array([True, False, True, False])
    assert average_precision([4, 3, 2, 1], right) == pytest.approx((1 + 2 / 3) / 2)
    assert auc([3, 2], [1, 2]) == pytest.approx(3.5 / 4)
