"""Texts through CLIP's text tower, without the work on padding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


def encode_tokens(model: Any, tokens: Tensor) -> Tensor:
    """open_clip's `model.encode_text(tokens)`, without the work on padding.

    Attention in CLIP's text tower is causal and the vector is read at the end token, so what
    comes after the longest text's end token cannot matter. Towers that differ are left to
    open_clip.

    Args:
        model: An open_clip model.
        tokens: int (n, context length) from its tokenizer.

    Returns:
        float (n, dim), not normalised, differentiable.
    """
    from open_clip.transformer import text_global_pool

    features: Tensor
    if getattr(model, "text_pool_type", None) != "argmax" or model.attn_mask is None:
        features = model.encode_text(tokens)
        return features
    length = int(tokens.argmax(dim=-1).max()) + 1
    tokens = tokens[:, :length]
    x = model.token_embedding(tokens) + model.positional_embedding[:length]
    x = model.transformer(x, attn_mask=model.attn_mask[:length, :length])
    x = text_global_pool(model.ln_final(x), tokens, "argmax")
    projection = model.text_projection  # a matrix, a linear layer, or none
    features = (
        x if projection is None else projection(x) if callable(projection) else x @ projection
    )
    return features
