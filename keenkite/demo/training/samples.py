"""Endless labelled tiles to train on: windows of drawn worlds and mosaics of real chips."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from keenkite.demo.concepts import BIT, NAMES
from keenkite.demo.training.eurosat import CLASSES, Chips, mosaic
from keenkite.demo.training.vocabulary import EUROSAT_LABELS, LABELS, MAY_BE
from keenkite.demo.world import World

PATCH = 16
UNKNOWN, PRESENT = -1, 1
THIN = frozenset({"dam", "highway", "river", "coast", "railway station", "airport"})
"""Concepts that a patch shows although they cover little of it."""
WATER = ("sea", "lake", "reservoir")
CENTRED = 0.7
"""Share of windows that are laid round a placed thing; the others fall anywhere."""
CLOUDED = 0.1

Source = Callable[[np.random.Generator, int], "Sample"]
"""(random generator, size in px) -> a sample."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One window with what is known of it."""

    rgb: NDArray[np.uint8]
    """(size, size, 3)."""
    whole: NDArray[np.int8]
    """(labels,): 1 it shows the thing, 0 it does not, -1 cannot tell."""
    patches: NDArray[np.int8]
    """(size/16, size/16, labels): the same for each patch."""


def to_rgb(reflectance: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Reflectance 0-3000 -> 0-255, as the reader scales it."""
    scaled = np.minimum(reflectance, 3000) * np.float32(255 / 3000)
    return np.rint(scaled).astype(np.uint8)


def world_sample(world: World, rng: np.random.Generator, size: int) -> Sample:
    """A window of a drawn world, round one of its things or anywhere.

    Things are chosen so that each kind comes equally often, however many there are of it.
    """
    rows, columns = world.shape
    row, column = int(rng.integers(0, rows - size)), int(rng.integers(0, columns - size))
    if world.features and rng.random() < CENTRED:
        kind = rng.choice(sorted({feature.concept for feature in world.features}))
        outlines = [f.polygon for f in world.features if f.concept == kind]
        middle = outlines[rng.integers(len(outlines))].centroid
        shift = rng.uniform(-0.4, 0.4, 2) * size
        row = int(np.clip((world.north - middle.y) / 10 - size / 2 + shift[0], 0, rows - size))
        column = int(np.clip((middle.x - world.west) / 10 - size / 2 + shift[1], 0, columns - size))
    place = np.s_[row : row + size, column : column + size]
    state = world.present(row, column, size)
    whole = np.zeros(len(LABELS), np.int8)
    whole[: len(NAMES)] = [state[name] for name in NAMES]
    side = size // PATCH
    patches = np.zeros((side, side, len(LABELS)), np.int8)
    blocks = world.masks[place].reshape(side, PATCH, side, PATCH)
    for number, name in enumerate(NAMES):
        share = ((blocks & np.uint32(BIT[name])) != 0).mean(axis=(1, 3))
        enough = 0.12 if name in THIN else 0.4
        patches[..., number] = np.select([share >= enough, share > 0], [PRESENT, UNKNOWN], 0)
    for name in EUROSAT_LABELS.values():  # what real chips call it; not drawn as such
        if name not in NAMES:
            whole[LABELS.index(name)] = UNKNOWN
            patches[..., LABELS.index(name)] = UNKNOWN
    water = [NAMES.index(name) for name in WATER]
    for array in (whole, patches):
        array[..., LABELS.index("sea or lake")] = array[..., water].max(axis=-1)
    sample = Sample(rgb=to_rgb(world.reflectance[place]), whole=whole, patches=patches)
    return cloud_over(sample, rng) if rng.random() < CLOUDED else sample


def cloud_over(sample: Sample, rng: np.random.Generator) -> Sample:
    """The same under broken cloud; nothing is said of the patches that it hides."""
    side = len(sample.rgb)
    field = ndimage.zoom(rng.random((6, 6)), side / 6, order=3)[:side, :side]
    low = np.quantile(field, rng.uniform(0.6, 0.95))
    veil = np.clip((field - low) * rng.uniform(3, 8), 0, 1)[..., None]
    hidden = veil.reshape(side // PATCH, PATCH, side // PATCH, PATCH).mean(axis=(1, 3)) > 0.3
    rgb = sample.rgb * (1 - veil) + 250 * veil
    patches = np.where(hidden[..., None], UNKNOWN, sample.patches).astype(np.int8)
    return Sample(rgb=rgb.astype(np.uint8), whole=sample.whole, patches=patches)


def chip_sample(chips: Chips, rng: np.random.Generator, size: int) -> Sample:
    """A mosaic of real chips; one in three holds two classes."""
    rgb, classes = mosaic(chips, rng, size=size, mixed=rng.random() < 1 / 3)
    names = list(CLASSES)
    side = size // PATCH
    whole = np.zeros(len(LABELS), np.int8)
    patches = np.zeros((side, side, len(LABELS)), np.int8)
    blocks = classes.reshape(side, PATCH, side, PATCH)
    for number in np.unique(classes):
        name = names[number]
        label = LABELS.index(EUROSAT_LABELS[name])
        share = (blocks == number).mean(axis=(1, 3))
        for other in MAY_BE[name]:
            patches[..., LABELS.index(other)][share > 0] = UNKNOWN
            whole[LABELS.index(other)] = UNKNOWN
        patches[..., label] = np.select(
            [share > 0.5, share > 0], [PRESENT, UNKNOWN], patches[..., label]
        )
    for number in np.unique(classes):
        label = LABELS.index(EUROSAT_LABELS[names[number]])
        whole[label] = PRESENT if (classes == number).mean() > 0.25 else UNKNOWN
    return Sample(rgb=rgb, whole=whole, patches=patches)


def recolour(rgb: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Another day's light: gain and offset for each band, haze and a little noise."""
    gain = rng.uniform(0.85, 1.15) * rng.uniform(0.94, 1.06, 3)
    offset = rng.uniform(-6, 10) + rng.uniform(-4, 4, 3)
    noise = rng.normal(0, rng.uniform(0, 3), rgb.shape)
    return np.clip(rgb * gain + offset + noise, 0, 255).astype(np.uint8)


def turn(sample: Sample, rng: np.random.Generator) -> Sample:
    """Turned by a multiple of 90° and perhaps mirrored: from above, no side is up."""
    turns, mirror = int(rng.integers(4)), bool(rng.integers(2))
    rgb, patches = np.rot90(sample.rgb, turns), np.rot90(sample.patches, turns)
    if mirror:
        rgb, patches = rgb[:, ::-1], patches[:, ::-1]
    return Sample(rgb=rgb, whole=sample.whole, patches=patches)


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Samples of one size, side by side."""

    rgb: NDArray[np.uint8]
    """(n, size, size, 3)."""
    whole: NDArray[np.int8]
    """(n, labels)."""
    patches: NDArray[np.int8]
    """(n, (size/16)², labels)."""


def batches(
    sources: Sequence[Source], rng: np.random.Generator, *, size: int, count: int
) -> Iterator[Batch]:
    """Endless batches of ``count`` windows of ``size`` px, the sources in turn."""
    while True:
        samples = [turn(sources[n % len(sources)](rng, size), rng) for n in range(count)]
        yield Batch(
            rgb=np.stack([recolour(sample.rgb, rng) for sample in samples]),
            whole=np.stack([sample.whole for sample in samples]),
            patches=np.stack([sample.patches.reshape(-1, len(LABELS)) for sample in samples]),
        )
