"""Labelled images: a folder of class subfolders -> pictures of 224 px -> vectors."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from keenkite.encoder import Encoder, Rgb
from keenkite.errors import InputError
from keenkite.files import make_folder, write_whole
from keenkite.retrieval.concepts import Vectors
from keenkite.tiling import TILE

Fit = Literal["resize", "mosaic"]
"""How an image becomes 224 px: "resize" as CLIP does, shorter side to 224 by bicubic and the middle
taken, which published numbers use; "mosaic" at its own resolution, mirrored at its edges until 224
are full, which is what a model of 10 m tiles is used to seeing."""

SUFFIXES = {".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp"}
BATCH = 64
"""Images encoded between two looks at the cache."""


def labelled_images(folder: Path) -> tuple[list[Path], NDArray[np.int64], list[str]]:
    """The images of a folder's subfolders, their labels, and the names of the classes.

    A class is called as its subfolder, in words: "SeaLake" and "sea_lake" are "sea lake".
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder. Give one with a subfolder of images per class.")
    files: list[Path] = []
    labels: list[int] = []
    names: list[str] = []
    for place in sorted(p for p in folder.iterdir() if p.is_dir()):
        found = sorted(p for p in place.rglob("*") if p.suffix.lower() in SUFFIXES)
        if found:
            files += found
            labels += [len(names)] * len(found)
            names.append(_words(place.name))
    if len(names) < 3:
        raise InputError(
            f"{folder} has {len(names)} subfolders with images; at least 3 classes are needed. "
            "Give the folder that holds one subfolder per class."
        )
    return files, np.array(labels), names


def read_image(path: Path, fit: Fit = "resize") -> Rgb:
    """An image file as uint8 (224, 224, 3); see `Fit`.

    Raises:
        InputError: it is no image that can be read.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as opened:
            image = opened.convert("RGB")
    except (OSError, UnidentifiedImageError) as error:
        raise InputError(f"{path} cannot be read as an image: {error}. Remove it.") from None
    if fit == "resize":
        scale = TILE / min(image.size)
        size = (max(TILE, round(image.width * scale)), max(TILE, round(image.height * scale)))
        pixels = np.asarray(image.resize(size, Image.Resampling.BICUBIC))
    else:
        pixels = np.asarray(image)
        missing = [max(TILE - side, 0) for side in pixels.shape[:2]]
        edges = [(short // 2, short - short // 2) for short in missing]
        pixels = np.pad(pixels, [*edges, (0, 0)], mode="symmetric")
    top, left = ((side - TILE) // 2 for side in pixels.shape[:2])
    return pixels[top : top + TILE, left : left + TILE]


def encode_files(
    files: Sequence[Path],
    encoder: Encoder,
    fit: Fit,
    cache: Path | None,
    progress: Callable[[int, int], None] | None,
) -> Vectors:
    """The vectors of image files, (n, dim); those that the cache has are not made again."""
    parts: list[Vectors] = []
    for start in range(0, len(files), BATCH):
        batch = files[start : start + BATCH]
        kept = None if cache is None else cache / f"{_key(batch, encoder, fit)}.npy"
        if kept is not None and kept.exists():
            parts.append(np.load(kept, allow_pickle=False))
        else:
            parts.append(encoder.encode_images(np.stack([read_image(p, fit) for p in batch])))
            if kept is not None:
                make_folder(kept.parent)
                content = io.BytesIO()
                np.save(content, parts[-1])
                write_whole(kept, content.getvalue(), durable=False)
        if progress is not None:
            progress(start + len(batch), len(files))
    return np.concatenate(parts)


def _key(batch: Sequence[Path], encoder: Encoder, fit: Fit) -> str:
    """Another one when the model, the way of reading or a file is another."""
    facts = [encoder.name, fit]
    for path in batch:
        state = path.stat()
        facts.append(f"{path.resolve()} {state.st_size} {state.st_mtime_ns}")
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:24]


def _words(name: str) -> str:
    """ "SeaLake", "sea_lake" -> "sea lake"."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|[_-]+", " ", name).strip().lower()
