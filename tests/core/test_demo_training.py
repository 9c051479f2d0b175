"""Training data and training of the embedded model, in small."""

import io
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from keenkite.demo.concepts import CONCEPTS
from keenkite.demo.training.eurosat import CLASSES, Chips, load_chips, mosaic
from keenkite.demo.training.samples import Batch, batches, chip_sample, world_sample
from keenkite.demo.training.train import MODEL_FOLDER, Phase, export, train
from keenkite.demo.training.vocabulary import EUROSAT_LABELS, LABELS, MAY_BE, PHRASES
from keenkite.demo.world import World, draw_world
from keenkite.errors import InputError

PER_CLASS = 11


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A zip as EuroSAT's: the chips of a class all have the class's number as their red."""
    path = tmp_path_factory.mktemp("chips") / "train.zip"
    with zipfile.ZipFile(path, "w") as file:
        for number, name in enumerate(CLASSES):
            for chip in range(PER_CLASS):
                buffer = io.BytesIO()
                colour = (20 * number, 10 * chip, 0)
                Image.new("RGB", (64, 64), colour).save(buffer, "JPEG", quality=95)
                file.writestr(f"EuroSAT/{name}/{name}_{chip:02}.jpg", buffer.getvalue())
    return path


@pytest.fixture(scope="module")
def world() -> World:
    return draw_world(32, size_km=(9, 9), per_concept=1)


def test_a_fifth_of_the_chips_of_every_class_is_held_out_and_in_neither_split_twice(
    archive: Path,
) -> None:
    training, held_out = load_chips(archive)
    for number in range(len(CLASSES)):
        greens = [
            np.rint(split.pixels[split.classes == number][:, 32, 32, 1] / 10).astype(int).tolist()
            for split in (training, held_out)
        ]
        assert greens[1] == [0, 5, 10]
        assert sorted(greens[0] + greens[1]) == list(range(PER_CLASS))


def test_a_folder_without_a_class_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="AnnualCrop"):
        load_chips(tmp_path)


def test_a_mosaic_shows_the_classes_it_says(archive: Path) -> None:
    chips, _ = load_chips(archive)
    for seed in range(6):
        rgb, classes = mosaic(chips, np.random.default_rng(seed), mixed=seed % 2 == 1)
        assert rgb.shape == (224, 224, 3)
        shown = np.rint(rgb[..., 0] / 20).astype(int)
        assert (shown == classes).mean() > 0.97  # JPEG blurs nothing here but a level or two
        assert len(np.unique(classes)) == 1 + seed % 2


def test_nothing_is_taught_of_what_a_class_may_also_show(archive: Path) -> None:
    chips, _ = load_chips(archive)
    only = Chips(pixels=chips.pixels[chips.classes == 1], classes=chips.classes[chips.classes == 1])
    name = list(CLASSES)[1]
    sample = chip_sample(only, np.random.default_rng(0), 224)
    assert sample.whole[LABELS.index(EUROSAT_LABELS[name])] == 1
    assert all(sample.whole[LABELS.index(other)] == -1 for other in MAY_BE[name])
    assert sample.whole[LABELS.index("airport")] == 0


def test_what_a_window_of_a_world_shows_is_what_the_world_says(world: World) -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        sample = world_sample(world, rng, 112)
        assert sample.rgb.shape == (112, 112, 3)
        assert sample.patches.shape == (7, 7, len(LABELS))
        assert set(np.unique(sample.whole)) <= {-1, 0, 1}
        # A placed thing that a patch shows, the window shows or shows too little of to call.
        there = (sample.patches == 1).any(axis=(0, 1))
        placed = [LABELS.index(concept.name) for concept in CONCEPTS if concept.placed]
        assert (sample.whole[placed][there[placed]] != 0).all()


def test_no_way_to_say_a_label_belongs_to_two_labels() -> None:
    assert all(PHRASES.values())
    labels = Counter(way for label in PHRASES for way in set(PHRASES[label]))
    assert {way for way, number in labels.items() if number > 1} == set()


def test_training_stopped_goes_on_where_it_was_and_exports_what_the_encoder_loads(
    world: World, tmp_path: Path
) -> None:
    steps: list[int] = []

    def stream(phase: Phase, step: int) -> Iterator[Batch]:
        steps.append(step)
        rng = np.random.default_rng(step)
        source = lambda rng, size: world_sample(world, rng, size)  # noqa: E731
        return batches([source], rng, size=phase.size, count=phase.count)

    checkpoint = tmp_path / "training.pt"
    phases = [Phase(size=112, count=2, steps=2, rate=1e-3)]
    train(stream, seed=0, phases=phases, checkpoint=checkpoint, save_every=1)
    phases.append(Phase(size=224, count=2, steps=1, rate=1e-3))
    model = train(stream, seed=0, phases=phases, checkpoint=checkpoint, save_every=1)
    assert steps == [0, 2]
    export(model.state_dict(), tmp_path)
    vocabulary = (tmp_path / "keenkite-tiny.txt").read_text()
    assert vocabulary == (MODEL_FOLDER / "keenkite-tiny.txt").read_text(), "the shipped one is old"
    state = load_file(tmp_path / "keenkite-tiny.safetensors")
    assert all(torch.isfinite(tensor.float()).all() for tensor in state.values())
    assert {tensor.dtype for tensor in state.values()} == {torch.float16}
    assert sum(file.stat().st_size for file in tmp_path.glob("keenkite-tiny.*")) < 12_000_000
