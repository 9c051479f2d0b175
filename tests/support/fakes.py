"""FakeEncoder: sees colours and reads colour words, in numpy alone."""

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

WORDS = {
    "black": (10, 10, 10),
    "grey": (128, 128, 128),
    "city": (150, 145, 150),
    "white": (245, 245, 245),
    "snow": (230, 235, 245),
    "red": (220, 40, 40),
    "orange": (240, 140, 40),
    "yellow": (235, 220, 50),
    "desert": (215, 190, 140),
    "field": (160, 180, 80),
    "green": (40, 160, 50),
    "forest": (25, 75, 35),
    "cyan": (60, 200, 210),
    "blue": (30, 60, 200),
    "water": (15, 40, 90),
    "purple": (140, 50, 160),
}
"""Word -> RGB 0-255. Each is one axis of the fake's space: how near a colour is to this one."""

_ANCHORS = np.array(list(WORDS.values()), np.float64)
_REACH = 60.0  # RGB levels: neighbouring colours overlap, far ones do not


class FakeEncoder:
    """An Encoder whose vectors say which of 16 named colours a tile's mean colour is near."""

    name = "fake-colours"
    dim = len(WORDS)
    patch = 32

    def encode_images(self, rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """uint8 (n, 224, 224, 3) -> float32 (n, 16), unit norm, from each tile's mean colour."""
        return _near(rgb.mean(axis=(1, 2), dtype=np.float64))

    def encode_texts(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Texts with colour words -> the mean of these colours; others -> a hash, far from all."""
        return (
            np.stack([self._text(text) for text in texts])
            if len(texts)
            else _near(np.empty((0, 3)))
        )

    def patch_features(self, rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """uint8 (n, 224, 224, 3) -> float32 (n, 7, 7, 16), unit norm, from 32×32 px patches."""
        n, height, width, _ = rgb.shape
        rows, cols = height // self.patch, width // self.patch
        patches = rgb.reshape(n, rows, self.patch, cols, self.patch, 3)
        return _near(patches.mean(axis=(2, 4), dtype=np.float64))

    def _text(self, text: str) -> npt.NDArray[np.float32]:
        vector: npt.NDArray[np.float32]
        known = [WORDS[word] for word in text.lower().split() if word in WORDS]
        if known:
            vector = _near(np.array(known, np.float64)).sum(axis=0)
        else:
            seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])
            vector = np.random.default_rng(seed).normal(size=self.dim).astype(np.float32)
        vector /= np.linalg.norm(vector)
        return vector


def _near(colours: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """RGB (…, 3) -> nearness to each anchor (…, 16), unit norm."""
    squared = ((colours[..., None, :] - _ANCHORS) ** 2).sum(axis=-1)
    # The nearest anchor is taken as distance 0, so that no colour has a vector of zeros.
    near = np.exp(-(squared - squared.min(axis=-1, keepdims=True)) / (2 * _REACH**2))
    near /= np.linalg.norm(near, axis=-1, keepdims=True)
    return np.asarray(near, np.float32)
