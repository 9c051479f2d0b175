"""Evaluate: how well an encoder, with and without keenkite's scoring, finds labelled images.

For a user's own choice of model, and to repeat published numbers. Two sources:

- a folder of class subfolders of images, as EuroSAT and UC Merced come: `airport/airport01.tif`;
- a file of vectors (.npz) with `image_embeddings` (n, dim), `labels` (n,), `class_names` (k,),
  `text_embeddings` (templates, k, dim) and `templates`, as RS-TransCLIP publishes them.

Each class is searched for by its name, with the other classes' names as the background; what
searches say of what is there, removed or rare is told by `trials`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keenkite.encoder import Encoder, bands_of
from keenkite.errors import InputError
from keenkite.evaluation.images import Fit, encode_files, labelled_images
from keenkite.evaluation.ranking import auc, average_precision, precision
from keenkite.evaluation.trials import ENOUGH, ROUNDS, Trials, judged, trials
from keenkite.evaluation.vector_table import VectorTable
from keenkite.index.statistics import statistics_of
from keenkite.retrieval.calibration import confidence
from keenkite.retrieval.concepts import Vectors, encode_concepts
from keenkite.retrieval.scoring import Scorer


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
    covered: Trials
    """What searches say when the background names what is on the ground."""
    uncovered: Trials | None
    """The same when it names nothing of it; None with too few classes for that."""

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
        lines.append(f"verdicts of {ROUNDS} rounds, the background names what is there:")
        lines.append(str(self.covered))
        lines.append("the same, the background names nothing that is there:")
        lines.append(str(self.uncovered or f"  not measured: it takes {ENOUGH} classes"))
        return "\n".join(lines)


def evaluate(
    source: str | Path,
    encoder: Encoder | None = None,
    *,
    fit: Fit = "resize",
    cache: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    searching: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Measure an encoder on labelled images.

    Args:
        source: a folder with one subfolder of images per class, or a .npz file of vectors.
        encoder: for the images and the class names; not used with a file of vectors.
        fit: how images become 224 px.
        cache: a folder where vectors are kept, so that a run that was stopped goes on where it
            was; None keeps nothing.
        progress: called with the images done and the images in all.
        searching: called with the rounds of searches done and in all, once images are vectors.

    Raises:
        InputError: the source has no labelled images, one cannot be read, or an encoder is missing
            or sees more than red, green and blue.
        StorageError: the cache cannot be written.
    """
    path = Path(source).expanduser()
    if path.suffix == ".npz":
        table = VectorTable.load(path)
        if len(table.names) < 3:
            raise InputError(f"{path} has {len(table.names)} classes; at least 3 are needed.")
        return _measure(table, table.images, table.labels, table.names, searching)
    if encoder is None:
        raise InputError(f"Images in {path} need an encoder; name a model.")
    if bands := bands_of(encoder):
        raise InputError(
            f"{encoder.name} sees the bands {', '.join(bands)}, and images in {path} are read as "
            "red, green and blue. Encode them yourself with encode_images, and give a .npz file of "
            "the vectors; or build an index and measure it with keenkite calibrate --dry-run."
        )
    files, labels, names = labelled_images(path)
    kept = None if cache is None else Path(cache)
    vectors = encode_files(files, encoder, fit, kept, progress)
    return _measure(encoder, vectors, labels, names, searching)


def _measure(
    encoder: Encoder,
    vectors: Vectors,
    labels: NDArray[np.int64],
    names: Sequence[str],
    searching: Callable[[int, int], None] | None,
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
                precision10_raw=precision(cosines, right),
                precision10=precision(ours, right),
            )
        )
        rest = _scorer(encoder, vectors[~right], names)
        first["raw"].append(cosines.max())
        first["raw gone"].append(cosines[~right].max())
        first["ours"].append(float(confidence(ours.max())))
        first["ours gone"].append(float(confidence(_order(rest, name, vectors[~right]).max())))
    fields = ("map_raw", "map", "precision10_raw", "precision10")
    covered, uncovered = _trials(encoder, vectors, labels, names, searching)
    means = {each: float(np.mean([getattr(row, each) for row in rows])) for each in fields}
    return Evaluation(
        encoder=encoder.name,
        images=len(vectors),
        classes=tuple(rows),
        mean=Figures(name="mean", images=len(vectors), **means),
        presence_raw=auc(first["raw"], first["raw gone"]),
        presence=auc(first["ours"], first["ours gone"]),
        covered=covered,
        uncovered=uncovered,
    )


def _trials(
    encoder: Encoder,
    vectors: Vectors,
    labels: NDArray[np.int64],
    names: Sequence[str],
    searching: Callable[[int, int], None] | None,
) -> tuple[Trials, Trials | None]:
    """With both kinds of background."""

    def told(before: int) -> Callable[[int, int], None]:
        return lambda done, _: searching(before + done, 2 * ROUNDS) if searching else None

    covered = trials(encoder, vectors, labels, names, covered=True, progress=told(0))
    assert covered is not None, "any classes are enough for it"
    uncovered = trials(encoder, vectors, labels, names, covered=False, progress=told(ROUNDS))
    return covered, uncovered


def _scorer(encoder: Encoder, vectors: Vectors, names: Sequence[str]) -> Scorer:
    return Scorer(encoder, statistics_of(vectors), names)


def _order(scorer: Scorer, name: str, vectors: Vectors) -> NDArray[np.float64]:
    """(n,) log-odds of each image, in the images' own order."""
    rows, odds = judged(scorer, name, vectors)
    return odds[np.argsort(rows)]
