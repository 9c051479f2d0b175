"""Tiles to what an image tower takes: checked, resampled to its size, scaled, on its device."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from keenkite.encoder.protocol import Pixels
from keenkite.encoder.records import ModelRecord
from keenkite.errors import InputError
from keenkite.tiling import TILE


class Sight:
    """How a model sees tiles of 224 pixels."""

    def __init__(self, record: ModelRecord, side: int, device: torch.device) -> None:
        """`side` is that of the tower's images, in pixels."""
        self.side = side
        self._name = record.name
        self._bands = record.bands
        self._device = device
        # (pixel / white - mean) / std as one multiplication and one addition.
        white = 255 if record.bands is None else 1
        std = torch.tensor(record.std, device=device).view(-1, 1, 1)
        self._scale = 1 / (white * std)
        self._shift = -torch.tensor(record.mean, device=device).view(-1, 1, 1) / std
        self._resampling: dict[int, Tensor] = {}

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of one tile."""
        return TILE, TILE, 3 if self._bands is None else len(self._bands)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of its numbers."""
        return np.dtype(np.uint8 if self._bands is None else np.uint16)

    def check(self, pixels: Pixels) -> None:
        """InputError where these are no tiles as this model sees them."""
        if pixels.dtype == self.dtype and pixels.ndim == 4 and pixels.shape[1:] == self.shape:
            return
        wanted = f"{self.dtype} of shape (n, {', '.join(map(str, self.shape))})"
        if self._bands is not None:
            wanted += f", reflectance × 10,000 of {', '.join(self._bands)}"
        raise InputError(
            f"{self._name} sees images as {wanted}; these are {pixels.dtype} of shape "
            f"{pixels.shape}. Cut and scale them first."
        )

    def __call__(self, pixels: Pixels, *, finer: int = 1) -> Tensor:
        """(n, 224, 224, channels) -> float32 (n, channels, finer·side, finer·side), normalised."""
        x = self._on_device(pixels).permute(0, 3, 1, 2)
        if self.side * finer != TILE:
            x = self._resampled(x, self.side * finer)
        return x * self._scale + self._shift

    def _on_device(self, pixels: NDArray[Any]) -> Tensor:
        """The same numbers as float32; they travel as they are, which is least."""
        batch = pixels.copy()  # torch warns of arrays it may not write to
        if batch.dtype == np.uint8:
            return torch.from_numpy(batch).to(self._device).to(torch.float32)
        # Not every device knows unsigned numbers of 16 bits.
        signed = torch.from_numpy(batch.view(np.int16)).to(self._device)
        return signed.to(torch.int32).bitwise_and(0xFFFF).to(torch.float32)

    def _resampled(self, x: Tensor, side: int) -> Tensor:
        """Bicubic with antialias, along rows and then columns; bytes rounded after each as pillow
        does, by which models of other sizes were trained. Two products of matrices: not every
        device has the operation itself, and all give the same numbers this way."""
        matrix = self._matrix(side)
        wide = self._whole(x @ matrix.T)
        return self._whole(matrix @ wide)

    def _matrix(self, side: int) -> Tensor:
        """(side, 224): how much of each pixel is in each new one."""
        if side not in self._resampling:
            unit = torch.eye(TILE)[None, None]
            matrix = F.interpolate(unit, (side, TILE), mode="bicubic", antialias=True)
            self._resampling[side] = matrix[0, 0].to(self._device)
        return self._resampling[side]

    def _whole(self, x: Tensor) -> Tensor:
        """Bytes are whole numbers between 0 and 255; reflectances stay what they are."""
        return (x + 0.5).floor().clamp(0, 255) if self._bands is None else x
