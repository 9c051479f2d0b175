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
from keenkite.tiling import resample

PATCH = 16
UNKNOWN, PRESENT = -1, 1
THIN = frozenset({"dam", "highway", "river", "coast", "railway station", "airport"})
"""Concepts that a patch shows although they cover little of it."""
WATER = ("sea", "lake", "reservoir")
CENTRED = 0.8
"""Share of windows that are laid round a thing; the others fall anywhere."""
LINES = ("river", "highway")
"""What windows are laid round beside the placed things."""
HARD = ("sports ground", "park", "railway station", "river", "highway")
"""What windows are laid round three times as often as round other things."""
CLOUDED, OVERCAST = 0.12, 0.03
"""Shares of windows with broken cloud, and with nothing but cloud."""
SPANS = {1.0: 0.55, 0.5: 0.35, 2.0: 0.1}
"""Width of a window's ground, as a part of what its pixels are at 10 m -> share of windows: a
collection may hold tiles that are seen enlarged, and seen reduced."""

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
    """A window of a drawn world, round one of its things or anywhere, at one of `SPANS`.

    Things are chosen so that each kind comes equally often, however many there are of it.
    """
    span = float(rng.choice(list(SPANS), p=list(SPANS.values())))
    wide = round(size * span)
    row, column = _corner(world, rng, wide)
    place = np.s_[row : row + wide, column : column + wide]
    state = world.present(row, column, wide)
    whole = np.zeros(len(LABELS), np.int8)
    whole[: len(NAMES)] = [state[name] for name in NAMES]
    side = size // PATCH
    patches = np.zeros((side, side, len(LABELS)), np.int8)
    blocks = world.masks[place].reshape(side, wide // side, side, wide // side)
    for number, name in enumerate(NAMES):
        share = ((blocks & np.uint32(BIT[name])) != 0).mean(axis=(1, 3))
        enough = 0.12 if name in THIN else 0.4
        patches[..., number] = np.select([share >= enough, share > 0], [PRESENT, UNKNOWN], 0)
    # What lies under another thing is in the masks, and not what the window is said to show.
    unsure = (patches == PRESENT).any(axis=(0, 1)) & (whole == 0)
    whole[unsure] = UNKNOWN
    for name in EUROSAT_LABELS.values():  # what real chips call it; not drawn as such
        if name not in NAMES:
            whole[LABELS.index(name)] = UNKNOWN
            patches[..., LABELS.index(name)] = UNKNOWN
    water = [NAMES.index(name) for name in WATER]
    for array in (whole, patches):
        array[..., LABELS.index("sea or lake")] = array[..., water].max(axis=-1)
    rgb = resample(to_rgb(world.reflectance[place])[None], size)[0]
    return cloud_over(Sample(rgb=rgb, whole=whole, patches=patches), rng)


def _corner(world: World, rng: np.random.Generator, wide: int) -> tuple[int, int]:
    """(row, column) of a window of so many pixels."""
    rows, columns = world.shape
    row, column = int(rng.integers(0, rows - wide)), int(rng.integers(0, columns - wide))
    kinds = sorted({feature.concept for feature in world.features})
    if not kinds or rng.random() >= CENTRED:
        return row, column
    kinds += LINES
    kind = str(rng.choice([*kinds, *(2 * [kind for kind in kinds if kind in HARD])]))
    if kind in LINES:
        step = 8
        there = np.argwhere(world.masks[::step, ::step] & np.uint32(BIT[kind])) * step
        if not len(there):
            return row, column
        y, x = there[rng.integers(len(there))]
    else:
        outlines = [f.polygon for f in world.features if f.concept == kind]
        middle = outlines[rng.integers(len(outlines))].centroid
        y, x = (world.north - middle.y) / 10, (middle.x - world.west) / 10
    shift = rng.uniform(-0.4, 0.4, 2) * wide
    row = int(np.clip(y - wide / 2 + shift[0], 0, rows - wide))
    column = int(np.clip(x - wide / 2 + shift[1], 0, columns - wide))
    return row, column


def cloud_over(sample: Sample, rng: np.random.Generator) -> Sample:
    """The same under broken cloud, or under nothing but cloud, or as it was.

    A patch that cloud hides shows cloud alone. Nothing is said of a window's thing that it hides
    for the most part.
    """
    chance = rng.random()
    if chance >= CLOUDED + OVERCAST:
        return sample
    side = len(sample.rgb)
    field = ndimage.zoom(rng.random((6, 6)), side / 6, order=3)[:side, :side]
    if chance < OVERCAST:
        veil = np.clip(0.9 + 0.1 * field, 0, 1)[..., None]
    else:
        low = np.quantile(field, rng.uniform(0.4, 0.95))
        veil = np.clip((field - low) * rng.uniform(3, 8), 0, 1)[..., None]
    white = rng.uniform(200, 255) + 12 * ndimage.zoom(rng.normal(size=(9, 9)), side / 9, order=1)
    rgb = np.clip(sample.rgb * (1 - veil) + white[:side, :side, None] * veil, 0, 255)
    share = veil.reshape(side // PATCH, PATCH, side // PATCH, PATCH).mean(axis=(1, 3))
    cloud, hidden = LABELS.index("cloud"), share > 0.6
    veiled = np.where((share > 0.2)[..., None], UNKNOWN, sample.patches)
    patches = np.where(hidden[..., None], 0, veiled).astype(np.int8)
    patches[..., cloud] = np.select([hidden, share > 0.05], [PRESENT, UNKNOWN], 0)
    whole = sample.whole.copy()
    if hidden.all():
        whole[:] = 0
    shown = (sample.patches == PRESENT).sum(axis=(0, 1))
    left = ((sample.patches == PRESENT) & (share <= 0.2)[..., None]).sum(axis=(0, 1))
    whole[(whole == PRESENT) & (left < 0.5 * shown)] = UNKNOWN
    whole[cloud] = PRESENT if hidden.mean() > 0.15 else UNKNOWN
    return Sample(rgb=rgb.astype(np.uint8), whole=whole, patches=patches)


def chip_sample(chips: Chips, rng: np.random.Generator, size: int) -> Sample:
    """A mosaic of real chips; one in three holds two classes, one in four is seen enlarged."""
    mixed = rng.random() < 1 / 3
    wide = size // 2 if rng.random() < SPANS[0.5] else size
    rgb, classes = mosaic(chips, rng, size=wide, mixed=mixed)
    rgb, classes = resample(rgb[None], size)[0], classes.repeat(size // wide, 0)
    classes = classes.repeat(size // wide, 1)
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
