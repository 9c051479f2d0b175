"""ClearCLIP: what every patch of an image looks like, in the space of the text vectors.

A CLIP vision transformer answers for the whole image through its class token; the patch tokens
that come out beside it are blurred by the last block's residual connection. Lan et al.,
"ClearCLIP: Decomposing CLIP Representations for Dense Vision-Language Inference" (ECCV 2024),
change only the last block: queries attend to queries, softmax(q·qᵀ/√d_head), and both the
residual connection and the feed-forward part are left out. Written from that description.

Everything here is plain differentiable torch on an open_clip vision tower: the encoder calls it
under inference_mode, a training loop under autograd.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from keenkite.errors import ModelError


def trunk_and_patches(visual: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """Vector and patch features of a batch, from one pass through all blocks but the last.

    Args:
        visual: The vision tower of an open_clip model, a `VisionTransformer`.
        x: (n, channels, height, width) normalised images, in the tower's dtype; height and width
            are multiples of its patch size.

    Returns:
        vectors (n, dim), equal to `visual(x)` at the tower's own image size, and patches
        (n, rows, cols, dim). Neither is normalised; both carry gradients.

    Raises:
        ModelError: The tower is not a CLIP vision transformer.
    """
    tower = _transformer_of(visual)
    tokens, grid = _tokens_before_last_block(tower, x)
    pooled, _ = tower._pool(tower.transformer.resblocks[-1](tokens))
    return pooled @ tower.proj, _patches(tower, tokens, grid)


def patches(visual: nn.Module, x: Tensor) -> Tensor:
    """The second half of `trunk_and_patches` alone: (n, rows, cols, dim), not normalised."""
    tower = _transformer_of(visual)
    return _patches(tower, *_tokens_before_last_block(tower, x))


def last_block(block: Any, tokens: Tensor) -> Tensor:
    """The last block as ClearCLIP computes it: out_proj(softmax(q·qᵀ/√d_head) · v), no more.

    Args:
        block: open_clip's `ResidualAttentionBlock`; or its `CustomResidualAttentionBlock`, whose
            norms and scales within the attention are applied where that block applies them.
        tokens: (n, length, width), what the block is given.

    Returns:
        (n, length, width), before `ln_post` and the projection.
    """
    attention = block.attn
    weight_q, _, weight_v = attention.in_proj_weight.chunk(3)
    bias_q, _, bias_v = attention.in_proj_bias.chunk(3)
    by_head = (*tokens.shape[:2], attention.num_heads, attention.head_dim)
    h = block.ln_1(tokens)
    q = F.linear(h, weight_q, bias_q).view(by_head).transpose(1, 2)
    v = F.linear(h, weight_v, bias_v).view(by_head).transpose(1, 2)
    if isinstance(attention, nn.MultiheadAttention):
        out = attention.out_proj(_attend(q, v).transpose(1, 2).flatten(2))
    else:
        mixed = _attend(attention.ln_q(q), v)
        if attention.head_scale is not None:
            mixed = mixed * attention.head_scale
        out = attention.out_proj(attention.ln_inner(mixed.transpose(1, 2).flatten(2)))
        out = block.ln_attn(out)
    scaled: Tensor = block.ls_1(out)
    return scaled


def _attend(q: Tensor, v: Tensor) -> Tensor:
    """Queries attend to queries: (n, heads, length, d_head) each."""
    return F.scaled_dot_product_attention(q, q, v)  # divides by √d_head


def _tokens_before_last_block(tower: Any, x: Tensor) -> tuple[Tensor, tuple[int, int]]:
    """(n, channels, height, width) -> (n, 1 + rows·cols, width), and (rows, cols).

    The class token comes first.
    """
    embedded = tower.conv1(x)
    rows, cols = embedded.shape[2:]
    class_token = tower.class_embedding.expand(len(x), 1, -1)
    tokens = torch.cat([class_token, embedded.flatten(2).transpose(1, 2)], dim=1)
    tokens = tower.ln_pre(tokens + _position_embeddings(tower, rows, cols))
    for block in tower.transformer.resblocks[:-1]:
        tokens = block(tokens)
    return tokens, (rows, cols)


def _position_embeddings(tower: Any, rows: int, cols: int) -> Tensor:
    """(1 + rows·cols, width): the tower's own, resized as open_clip does for other image sizes."""
    embeddings: Tensor = tower.positional_embedding
    if (rows, cols) == tuple(tower.grid_size):
        return embeddings
    grid = embeddings[1:].T.reshape(1, -1, *tower.grid_size)
    # On the CPU in float32: not every device resizes with antialias, nor in fp16.
    grid = F.interpolate(
        grid.float().cpu(), (rows, cols), mode="bicubic", align_corners=False, antialias=True
    ).to(grid)
    return torch.cat([embeddings[:1], grid[0].flatten(1).T])


def _patches(tower: Any, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
    # The class token took part in the attention; only now is it dropped.
    out = last_block(tower.transformer.resblocks[-1], tokens)[:, 1:]
    features: Tensor = tower.ln_post(out) @ tower.proj
    return features.view(len(tokens), *grid, features.shape[-1])


def _transformer_of(visual: nn.Module) -> Any:
    """`visual` itself, typed Any: open_clip is untyped. Refuses what the method is not made for."""
    from open_clip.transformer import VisionTransformer

    if not isinstance(visual, VisionTransformer):
        raise ModelError(
            f"Heatmaps need CLIP's vision transformer; this model sees with a "
            f"{type(visual).__name__}. Choose a ViT model, such as remoteclip-vit-b-32."
        )
    if visual.attn_pool is not None:
        raise ModelError(
            "Heatmaps need CLIP's vision transformer with its projection; this one gathers its "
            "patches with another attention (attentional_pool) before it projects. Choose "
            "another ViT model, such as remoteclip-vit-b-32."
        )
    if getattr(visual.transformer.resblocks[-1].attn, "scaled_cosine", False):
        raise ModelError(
            "Heatmaps need dot-product attention; this model's is scaled cosine. Choose another "
            "ViT model, such as remoteclip-vit-b-32."
        )
    return visual
