"""CLIP by its formulas, in float64 and for one image or text at a time: what models must equal.

Written from the papers (CLIP; ClearCLIP for patch features) and not from open_clip's code or ours:
it takes numbers out of a state dictionary and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import erf, softmax

Array = npt.NDArray[np.float64]


class Reference:
    """One model of a plain CLIP: a vision transformer and a causal text transformer."""

    def __init__(
        self,
        state: Mapping[str, torch.Tensor],
        *,
        quick_gelu: bool,
        heads: int,
        text_heads: int = 8,
        prefix: str = "",
    ) -> None:
        """`prefix` is what stands before the names in `state`."""
        self.heads, self.text_heads, self.quick_gelu = heads, text_heads, quick_gelu
        self.weights = {
            key.removeprefix(prefix): value
            for key, value in state.items()
            if key.startswith(prefix)
        }
        self.patch = self.weights["visual.conv1.weight"].shape[-1]
        self.layers = self._layers("visual.transformer")

    @classmethod
    def of(cls, config: Mapping[str, Any], state: Mapping[str, torch.Tensor]) -> Reference:
        """The heads and the activation of an open_clip configuration."""
        vision = config["vision_cfg"]
        return cls(
            state,
            quick_gelu=config.get("quick_gelu", False),
            heads=vision["width"] // vision.get("head_width", 64),
            text_heads=config["text_cfg"].get("heads", 8),
        )

    def image_vector(self, image: Array, positions: Array | None = None) -> Array:
        """(height, width, channels), normalised -> (dim,), unit norm."""
        tokens, _ = self._embedded(image, positions)
        for i in range(self.layers):
            tokens = self.block(tokens, f"visual.transformer.resblocks.{i}", self.heads)
        vector = self.norm(tokens[:1], "visual.ln_post") @ self.get("visual.proj")
        return vector[0] / np.linalg.norm(vector)

    def patch_features(self, image: Array, positions: Array | None = None) -> Array:
        """ClearCLIP: (height, width, channels), normalised -> (rows, cols, dim), unit norm."""
        tokens, (rows, cols) = self._embedded(image, positions)
        for i in range(self.layers - 1):
            tokens = self.block(tokens, f"visual.transformer.resblocks.{i}", self.heads)
        last = f"visual.transformer.resblocks.{self.layers - 1}"
        out = self.attention_branch(tokens, last, self.heads, keys_are_queries=True)
        features = self.norm(out, "visual.ln_post") @ self.get("visual.proj")
        features = features[1:]
        features /= np.linalg.norm(features, axis=1, keepdims=True)
        return features.reshape(rows, cols, -1)

    def text_vector(self, tokens: Sequence[int]) -> Array:
        """Tokens from the start to the end token -> (dim,), unit norm."""
        x = self.get("token_embedding.weight")[list(tokens)]
        x = x + self.get("positional_embedding")[: len(tokens)]
        for i in range(self._layers("transformer")):
            x = self.block(x, f"transformer.resblocks.{i}", self.text_heads, causal=True)
        vector = self.norm(x[-1:], "ln_final") @ self.get("text_projection")
        return vector[0] / np.linalg.norm(vector)

    def _embedded(self, image: Array, positions: Array | None) -> tuple[Array, tuple[int, int]]:
        """Class token and patches before the first block; (rows, cols)."""
        p, channels = self.patch, image.shape[2]
        rows, cols = image.shape[0] // p, image.shape[1] // p
        pieces = (
            image[: rows * p, : cols * p]
            .reshape(rows, p, cols, p, channels)
            .transpose(0, 2, 4, 1, 3)
            .reshape(rows * cols, -1)
        )
        kernel = self.get("visual.conv1.weight")  # (width, channels, p, p)
        tokens = np.vstack(
            [self.get("visual.class_embedding"), pieces @ kernel.reshape(len(kernel), -1).T]
        )
        own = self.get("visual.positional_embedding") if positions is None else positions
        return self.norm(tokens + own, "visual.ln_pre"), (rows, cols)

    def block(self, x: Array, name: str, heads: int, *, causal: bool = False) -> Array:
        """x + attention(ln_1(x)), then x + feed-forward(ln_2(x))."""
        x = x + self.attention_branch(x, name, heads, causal=causal)
        hidden = self.linear(self.norm(x, f"{name}.ln_2"), f"{name}.mlp.c_fc")
        hidden = self.norm(self.activation(hidden), f"{name}.mlp.ln")
        return x + self.scale(self.linear(hidden, f"{name}.mlp.c_proj"), f"{name}.ls_2.gamma")

    def attention_branch(
        self,
        x: Array,
        name: str,
        heads: int,
        *,
        keys_are_queries: bool = False,
        causal: bool = False,
    ) -> Array:
        """Everything between the block's input and the sum: softmax(q·kᵀ/√d)·v, out_proj."""
        a = f"{name}.attn"
        h = self.norm(x, f"{name}.ln_1")
        qkv = h @ self.get(f"{a}.in_proj_weight").T + self.get(f"{a}.in_proj_bias")
        # (length, 3·width) -> three of (heads, length, d)
        q, k, v = qkv.reshape(len(x), 3, heads, -1).transpose(1, 2, 0, 3)
        q, k = self.norm(q, f"{a}.ln_q"), self.norm(k, f"{a}.ln_k")
        logits = q @ (q if keys_are_queries else k).transpose(0, 2, 1) / np.sqrt(q.shape[-1])
        if causal:
            logits = np.where(np.tri(len(x), dtype=bool), logits, -np.inf)
        mixed = self.scale(softmax(logits, axis=-1) @ v, f"{a}.head_scale")
        mixed = self.norm(mixed.transpose(1, 0, 2).reshape(len(x), -1), f"{a}.ln_inner")
        out = self.norm(self.linear(mixed, f"{a}.out_proj"), f"{name}.ln_attn")
        return self.scale(out, f"{name}.ls_1.gamma")

    def activation(self, x: Array) -> Array:
        if self.quick_gelu:
            return x / (1 + np.exp(-1.702 * x))
        return x * (1 + erf(x / np.sqrt(2))) / 2

    def linear(self, x: Array, name: str) -> Array:
        return x @ self.get(f"{name}.weight").T + self.get(f"{name}.bias")

    def norm(self, x: Array, name: str) -> Array:
        """Layer norm; x itself where this model has none there."""
        if f"{name}.weight" not in self.weights:
            return x
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
        return x * self.get(f"{name}.weight") + self.get(f"{name}.bias")

    def scale(self, x: Array, name: str) -> Array:
        return x * self.get(name) if name in self.weights else x

    def get(self, key: str) -> Array:
        return self.weights[key].numpy().astype(np.float64)

    def _layers(self, tower: str) -> int:
        start = f"{tower}.resblocks."
        return len(
            {k.removeprefix(start).split(".")[0] for k in self.weights if k.startswith(start)}
        )
