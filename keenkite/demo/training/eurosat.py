"""Mosaics of real Sentinel-2 chips (EuroSAT, P. Helber, MIT): what keenkite-tiny learns from.

A chip is 64×64 px at 10 m of one land-cover class, so a 224 px tile is a mosaic of 16 chips, cut
out of their 4×4 grid of 256 px. The folder or zip is the user's own; nothing of it is kept here.
"""

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from keenkite.errors import InputError

CLASSES: dict[str, tuple[str, ...]] = {
    "AnnualCrop": ("annual crop", "crop field"),
    "Forest": ("forest", "woodland"),
    "HerbaceousVegetation": ("herbaceous vegetation", "shrubland"),
    "Highway": ("highway", "motorway"),
    "Industrial": ("industrial", "factory buildings"),
    "Pasture": ("pasture", "grassland"),
    "PermanentCrop": ("permanent crop", "orchard"),
    "Residential": ("residential", "houses"),
    "River": ("river", "stream"),
    "SeaLake": ("sea or lake", "open water"),
}
"""Folder name of each class -> its name in words, then another way to say it."""

CHIP = 64
HELD_OUT = 5
"""Every fifth chip of a class, in file-name order, is never trained on."""


@dataclass(frozen=True, kw_only=True)
class Chips:
    """The chips of one split."""

    pixels: NDArray[np.uint8]
    """(n, 64, 64, 3) RGB."""
    classes: NDArray[np.int64]
    """(n,) position in CLASSES."""


def load_chips(path: Path) -> tuple[Chips, Chips]:
    """The chips under ``path`` (a zip, or a folder of class folders): (to train on, held out).

    Raises:
        InputError: where there is no chip of some class.
    """
    files: list[tuple[str, bytes]] = []
    if path.is_dir():
        files = [(f"{p.parent.name}/{p.name}", p.read_bytes()) for p in path.glob("**/*.jp*g")]
    elif path.is_file():
        with zipfile.ZipFile(path) as archive:
            files = [
                ("/".join(name.split("/")[-2:]), archive.read(name))
                for name in archive.namelist()
                if name.endswith((".jpg", ".jpeg"))
            ]
    splits: tuple[list[tuple[NDArray[np.uint8], int]], ...] = ([], [])
    for number, name in enumerate(CLASSES):
        chips = sorted(item for item in files if item[0].startswith(f"{name}/"))
        if not chips:
            raise InputError(
                f"no chips of class {name} in {path.name}: pass EuroSAT's RGB folder or zip, "
                f"with one folder of JPEG files for each class"
            )
        for order, (_, data) in enumerate(chips):
            pixels = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
            splits[order % HELD_OUT == 0].append((pixels, number))
    train, held_out = (
        Chips(
            pixels=np.stack([pixels for pixels, _ in split]),
            classes=np.array([number for _, number in split]),
        )
        for split in splits
    )
    return train, held_out


def mosaic(
    chips: Chips, rng: np.random.Generator, *, size: int = 224, mixed: bool = False
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """A tile laid from chips that are turned and mirrored at random.

    Args:
        chips: To draw from.
        rng: Decides everything.
        size: Side of the tile, px.
        mixed: Lay two classes side by side (in whole chips) in place of one.

    Returns:
        uint8 (size, size, 3), and int64 (size, size): the class of each pixel.
    """
    side = -(-size // CHIP) + 1
    present = np.unique(chips.classes)
    chosen = rng.choice(present, size=2 if mixed else 1, replace=False)
    split = rng.integers(1, side)
    rgb = np.empty((side * CHIP, side * CHIP, 3), np.uint8)
    label = np.empty((side * CHIP, side * CHIP), np.int64)
    for row in range(side):
        for column in range(side):
            number = chosen[int(column >= split) % len(chosen)]
            members = np.flatnonzero(chips.classes == number)
            chip = chips.pixels[rng.choice(members)]
            chip = np.rot90(chip, int(rng.integers(4)))
            place = np.s_[row * CHIP : (row + 1) * CHIP, column * CHIP : (column + 1) * CHIP]
            rgb[place] = chip[::-1] if rng.integers(2) else chip
            label[place] = number
    top, left = rng.integers(0, side * CHIP - size + 1, 2)
    window = np.s_[top : top + size, left : left + size]
    return rgb[window], label[window]
