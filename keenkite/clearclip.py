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

import torch.nn.functional as F
from torch import Tensor, nn

from .errors import ModelError


def trunk_and_patches(visual: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """Vector and patch features of a batch, from one pass through all blocks but the last.

    Args:
        visual: The vision tower of an open_clip model, a `VisionTransformer`.
        x: (n, 3, height, width) normalised images of the tower's size and dtype.

    Returns:
        vectors (n, dim), equal to `visual(x)`, and patches (n, rows, cols, dim). Neither is
        normalised; both carry gradients.

    Raises:
        ModelError: The tower is not a plain CLIP vision transformer.
    """
    tower = _plain_tower(visual)
    tokens = _tokens_before_last_block(tower, x)
    pooled, _ = tower._pool(tower.transformer.resblocks[-1](tokens))
    return pooled @ tower.proj, _patches(tower, tokens)


def patches(visual: nn.Module, x: Tensor) -> Tensor:
    """The second half of `trunk_and_patches` alone: (n, rows, cols, dim), not normalised."""
    tower = _plain_tower(visual)
    return _patches(tower, _tokens_before_last_block(tower, x))


def last_block(block: Any, tokens: Tensor) -> Tensor:
    """The last block as ClearCLIP computes it: out_proj(softmax(q·qᵀ/√d_head) · v), no more.

    Args:
        block: open_clip's `ResidualAttentionBlock`.
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
    mixed = F.scaled_dot_product_attention(q, q, v)  # divides by √d_head
    out: Tensor = attention.out_proj(mixed.transpose(1, 2).flatten(2))
    return out


def _tokens_before_last_block(tower: Any, x: Tensor) -> Tensor:
    """(n, 3, height, width) -> (n, 1 + rows·cols, width); the class token comes first."""
    tokens: Tensor = tower._embeds(x)
    for block in tower.transformer.resblocks[:-1]:
        tokens = block(tokens)
    return tokens


def _patches(tower: Any, tokens: Tensor) -> Tensor:
    # The class token took part in the attention; only now is it dropped.
    out = last_block(tower.transformer.resblocks[-1], tokens)[:, 1:]
    features: Tensor = tower.ln_post(out) @ tower.proj
    return features.view(len(tokens), *tower.grid_size, features.shape[-1])


def _plain_tower(visual: nn.Module) -> Any:
    """`visual` itself, typed Any: open_clip is untyped. Refuses what the method is not made for."""
    from open_clip.transformer import ResidualAttentionBlock, VisionTransformer

    if not isinstance(visual, VisionTransformer):
        raise ModelError(
            f"ClearCLIP works on CLIP's vision transformer; this vision tower is a "
            f"{type(visual).__name__}. Choose a ViT model for heatmaps."
        )
    last = visual.transformer.resblocks[-1]
    unlike = [
        what
        for what, differs in (
            (
                "its blocks are not the plain pre-norm ones",
                type(last) is not ResidualAttentionBlock,
            ),
            ("it pools with attention", visual.attn_pool is not None),
            ("it does not pool by the class token", visual.pool_type != "tok"),
            ("it normalises after pooling", visual.final_ln_after_pool),
            ("it scales its layers", not isinstance(getattr(last, "ls_1", None), nn.Identity)),
            ("it drops patches", not isinstance(visual.patch_dropout, nn.Identity)),
            ("it has no projection", visual.proj is None),
        )
        if differs
    ]
    if unlike:
        raise ModelError(
            f"ClearCLIP works on CLIP's vision transformer; this one differs: "
            f"{', '.join(unlike)}. Choose another ViT model for heatmaps."
        )
    return visual
