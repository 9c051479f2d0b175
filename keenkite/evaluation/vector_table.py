"""VectorTable: vectors made elsewhere, in the place of a model."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from keenkite.encoder import Encoder, Rgb
from keenkite.errors import InputError
from keenkite.retrieval.concepts import Vectors, encode_concepts


class VectorTable:
    """Vectors made elsewhere, as an Encoder: images by row, texts by what they say."""

    def __init__(
        self,
        *,
        name: str,
        images: ArrayLike,
        labels: ArrayLike,
        names: Sequence[str],
        texts: ArrayLike,
        templates: Sequence[str],
    ) -> None:
        """Images (n, dim), labels (n,), texts (templates, classes, dim); made unit norm."""
        self.images: Vectors = _unit(images)
        self.labels = np.asarray(labels, np.int64)
        self.names = [str(n) for n in names]
        self._texts: Vectors = _unit(texts)
        self.name = name
        self.dim: int = self.images.shape[1]
        self._said = {
            str(template).replace("{}", n): self._texts[i, k]
            for i, template in enumerate(templates)
            for k, n in enumerate(self.names)
        }

    @classmethod
    def load(cls, path: str | Path) -> VectorTable:
        """Read a .npz file; InputError when it is not one of these."""
        try:
            with np.load(path, allow_pickle=False) as data:
                table = cls(
                    name=Path(path).stem,
                    images=data["image_embeddings"],
                    labels=data["labels"],
                    names=data["class_names"],
                    texts=data["text_embeddings"],
                    templates=data["templates"],
                )
        except (OSError, ValueError, KeyError, IndexError) as error:
            raise InputError(
                f"{path} is no file of vectors: {error}. It holds image_embeddings, labels, "
                "class_names, text_embeddings and templates."
            ) from None
        return table

    def text(self, name: str) -> NDArray[np.float64]:
        """(dim,) the mean of a class's vectors over keenkite's templates, unit norm."""
        return np.asarray(encode_concepts(self, [name])[0])

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """The vector of a template with a class, or else the mean of the class that is named."""
        return np.stack([self._text(text) for text in texts])

    def encode_images(self, rgb: Rgb) -> Vectors:  # noqa: ARG002
        """Not possible: the images are not here."""
        raise InputError(f"{self.name} is a file of vectors and cannot encode images.")

    def patch_features(self, rgb: Rgb) -> Vectors:  # noqa: ARG002
        """Not possible: the images are not here."""
        raise InputError(f"{self.name} is a file of vectors and cannot encode images.")

    def _text(self, text: str) -> Vectors:
        if text in self._said:
            return np.asarray(self._said[text])
        for k in sorted(range(len(self.names)), key=lambda k: -len(self.names[k])):
            if re.search(rf"\b{re.escape(self.names[k])}\b", text):
                return np.asarray(_unit(self._texts[:, k].mean(axis=0)))
        raise InputError(
            f"{self.name} has no vector of {text!r}; it knows {', '.join(self.names)}."
        )


def _unit(values: ArrayLike) -> Vectors:
    array = np.asarray(values, np.float32)
    return np.asarray(array / np.linalg.norm(array, axis=-1, keepdims=True))


if TYPE_CHECKING:
    _vector_table_is_an_encoder: type[Encoder] = VectorTable
