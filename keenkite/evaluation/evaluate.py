"""Evaluate: how well an encoder, with and without keenkite's scoring, finds labelled images.

For a user's own choice of model, and to repeat published numbers. Two sources:

- a folder of class subfolders of images, as EuroSAT and UC Merced come: `airport/airport01.tif`;
- a file of vectors (.npz) with `image_embeddings` (n, dim), `labels` (n,), `class_names` (k,),
  `text_embeddings` (templates, k, dim) and `templates`, as RS-TransCLIP publishes them.

Each class is searched for by its name, with the other classes' names as the background.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from keenkite.encoder import Encoder, Rgb
from keenkite.errors import InputError
from keenkite.evaluation.vector_table import VectorTable
from keenkite.files import make_folder, write_whole
from keenkite.index.statistics import statistics_of
from keenkite.retrieval.calibration import confidence
from keenkite.retrieval.concepts import Vectors, encode_concepts
from keenkite.retrieval.look_alikes import POOL, Ground
from keenkite.retrieval.scoring import Scorer
from keenkite.tiling import TILE

Fit = Literal["resize", "mosaic"]
"""How an image becomes 224 px: "resize" as CLIP does, shorter side to 224 by bicubic and the middle
taken, which published numbers use; "mosaic" at its own resolution, mirrored at its edges until 224
are full, which is what a model of 10 m tiles is used to seeing."""

SUFFIXES = {".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp"}
BATCH = 64
"""Images encoded between two looks at the cache."""


@dataclass(frozen=True, kw_only=True)
class Figures:
    """How well one class, or the mean of all, was found."""

    name: str
    images: int
    map_raw: float
    """Average precision of the plain cosine with the mean over templates."""
    map: float
    """Average precision of keenkite's order."""
    precision10_raw: float
    """Part of the first 10 that is right."""
    precision10: float


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What `evaluate` measured."""

    encoder: str
    images: int
    classes: tuple[Figures, ...]
    mean: Figures
    presence_raw: float
    """AUC: how often the first cosine of a class that is there beats that of one whose images
    were taken away."""
    presence: float
    """The same of the first hit's confidence."""

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)

    def __str__(self) -> str:
        wide = max(len(row.name) for row in (*self.classes, self.mean))
        lines = [
            f"{self.encoder}: {self.images:,} images, {len(self.classes)} classes",
            f"{'':{wide}}  images     mAP           precision@10",
            f"{'':{wide}}             raw   ours     raw   ours",
        ]
        lines += [
            f"{row.name:{wide}}  {row.images:6,}  {row.map_raw:6.3f} {row.map:6.3f}  "
            f"{row.precision10_raw:6.2f} {row.precision10:6.2f}"
            for row in (*self.classes, self.mean)
        ]
        lines.append(f"presence AUC: raw {self.presence_raw:.3f}, ours {self.presence:.3f}")
        return "\n".join(lines)


def evaluate(
    source: str | Path,
    encoder: Encoder | None = None,
    *,
    fit: Fit = "resize",
    cache: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Measure an encoder on labelled images.

    Args:
        source: a folder with one subfolder of images per class, or a .npz file of vectors.
        encoder: for the images and the class names; not used with a file of vectors.
        fit: how images become 224 px.
        cache: a folder where vectors are kept, so that a run that was stopped goes on where it
            was; None keeps nothing.
        progress: called with the images done and the images in all.

    Raises:
        InputError: the source has no labelled images, one cannot be read, or an encoder is missing.
        StorageError: the cache cannot be written.
    """
    path = Path(source).expanduser()
    if path.suffix == ".npz":
        table = VectorTable.load(path)
        return _measure(table, table.images, table.labels, table.names)
    if encoder is None:
        raise InputError(f"Images in {path} need an encoder; name a model.")
    files, labels, names = labelled_images(path)
    vectors = _encode(files, encoder, fit, None if cache is None else Path(cache), progress)
    return _measure(encoder, vectors, labels, names)


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


def average_precision(scores: ArrayLike, right: NDArray[np.bool_]) -> float:
    """Mean of the precision at each right item, in the order of falling scores; nan if none is."""
    found = right[np.argsort(-np.asarray(scores), kind="stable")]
    ranks = np.flatnonzero(found) + 1
    return float(np.mean(np.arange(1, len(ranks) + 1) / ranks)) if len(ranks) else float("nan")


def auc(there: ArrayLike, gone: ArrayLike) -> float:
    """How often a value of `there` is above one of `gone`; equal counts half."""
    a, b = np.asarray(there, float)[:, None], np.asarray(gone, float)[None]
    return float(((a > b) + 0.5 * (a == b)).mean())


def _measure(
    encoder: Encoder, vectors: Vectors, labels: NDArray[np.int64], names: Sequence[str]
) -> Evaluation:
    rows: list[Figures] = []
    first: dict[str, list[float]] = {"raw": [], "ours": [], "raw gone": [], "ours gone": []}
    whole = _scorer(encoder, vectors, names)
    for k, name in enumerate(names):
        right = labels == k
        cosines = np.asarray(vectors @ encode_concepts(encoder, [name])[0])
        ours = _order(whole, name, vectors)
        rows.append(
            Figures(
                name=name,
                images=int(right.sum()),
                map_raw=average_precision(cosines, right),
                map=average_precision(ours, right),
                precision10_raw=_precision(cosines, right),
                precision10=_precision(ours, right),
            )
        )
        rest = _scorer(encoder, vectors[~right], names)
        first["raw"].append(cosines.max())
        first["raw gone"].append(cosines[~right].max())
        first["ours"].append(float(confidence(ours.max())))
        first["ours gone"].append(float(confidence(_order(rest, name, vectors[~right]).max())))
    fields = ("map_raw", "map", "precision10_raw", "precision10")
    means = {each: float(np.mean([getattr(row, each) for row in rows])) for each in fields}
    return Evaluation(
        encoder=encoder.name,
        images=len(vectors),
        classes=tuple(rows),
        mean=Figures(name="mean", images=len(vectors), **means),
        presence_raw=auc(first["raw"], first["raw gone"]),
        presence=auc(first["ours"], first["ours gone"]),
    )


def _scorer(encoder: Encoder, vectors: Vectors, names: Sequence[str]) -> Scorer:
    return Scorer(encoder, statistics_of(vectors), names)


def _order(scorer: Scorer, name: str, vectors: Vectors) -> NDArray[np.float64]:
    """(n,) log-odds of each image, in the images' own order; each is ground of its own."""
    wanted, ground = scorer.wanted(name), Ground.apart(len(vectors))
    best = np.argsort(-wanted.z(vectors), kind="stable")[:POOL]
    return scorer.judge(wanted, vectors[best], ground.part(best)).log_odds(vectors, ground)


def _precision(scores: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    return float(right[np.argsort(-scores, kind="stable")[:10]].mean())


def _encode(
    files: Sequence[Path],
    encoder: Encoder,
    fit: Fit,
    cache: Path | None,
    progress: Callable[[int, int], None] | None,
) -> Vectors:
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
