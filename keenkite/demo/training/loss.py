"""What keenkite-tiny is taught by: a sigmoid for every pair of picture and phrase, and of patch."""

import open_clip
import torch
import torch.nn.functional as F

from keenkite.demo.training.samples import Batch
from keenkite.encoder import encode_tokens
from keenkite.encoder.clearclip import last_block

GRID = 14
"""Patches along one side of a 224 px tile."""


def forward(
    visual: open_clip.transformer.VisionTransformer, images: torch.Tensor, corner: tuple[int, int]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Both outputs of the image tower for a window of a tile.

    Args:
        visual: The image tower.
        images: (n, 3, h, w), normalised; h and w multiples of 16, at most 224.
        corner: (row, column) of the window in the tile's grid of patches: which position
            embeddings it gets.

    Returns:
        Unit vectors (n, dim) of the windows, and (n, h/16 · w/16, dim) of their patches.
    """
    x = visual.conv1(images)
    rows, columns = x.shape[2:]
    row, column = corner
    place = visual.positional_embedding
    grid = place[1:].unflatten(0, (GRID, GRID))[row : row + rows, column : column + columns]
    x = x.flatten(2).transpose(1, 2) + grid.flatten(0, 1)
    head = (visual.class_embedding + place[0]).expand(len(x), 1, -1)
    x = visual.ln_pre(torch.cat([head, x], dim=1))
    *blocks, last = visual.transformer.resblocks
    for block in blocks:
        x = block(x)
    whole = visual.ln_post(last(x)[:, 0]) @ visual.proj
    patches = visual.ln_post(last_block(last, x)[:, 1:]) @ visual.proj
    return F.normalize(whole, dim=-1), F.normalize(patches, dim=-1)


def pair_loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Sigmoid loss of each pair of picture and label, over pairs that are 1 or 0 (-1: unknown).

    Present and absent weigh the same, and what is present of each label, however rare it is.
    """
    raw = F.softplus(torch.where(labels == 1, -logits, logits)).flatten(0, -2)
    there, absent = (labels == 1).flatten(0, -2), labels == 0
    count = there.sum(0)
    each = (raw * there).sum(0)[count > 0] / count[count > 0]
    return each.mean() + raw[absent.flatten(0, -2)].mean()


def choice_loss(logits: torch.Tensor, labels: torch.Tensor, dim: int) -> torch.Tensor:
    """Contrastive loss with several right answers along ``dim``: any of them against the rest."""
    logits, labels = logits.movedim(dim, -1), labels.movedim(dim, -1)
    some = (labels == 1).any(-1)
    logits, labels = logits[some], labels[some]
    known = logits.masked_fill(labels == -1, -torch.inf)
    right = logits.masked_fill(labels != 1, -torch.inf)
    return (torch.logsumexp(known, -1) - torch.logsumexp(right, -1)).mean()


def loss_of(
    model: open_clip.CLIP, batch: Batch, tokens: torch.Tensor, corner: tuple[int, int]
) -> torch.Tensor:
    """Tiles and patches against all labels, and against further texts that name nothing there."""
    texts = F.normalize(encode_tokens(model, tokens), dim=-1)
    mean, std = (
        torch.tensor(values).view(1, 3, 1, 1)
        for values in (open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD)
    )
    images = (torch.from_numpy(batch.rgb).permute(0, 3, 1, 2).float() / 255 - mean) / std
    whole, patches = forward(model.visual, images, corner)
    scale, bias = model.logit_scale.exp(), model.logit_bias
    strange = len(texts) - batch.whole.shape[-1]
    labels = F.pad(torch.from_numpy(batch.whole), (0, strange))
    logits = scale * whole @ texts.T + bias
    loss = (
        pair_loss(logits, labels)
        + 0.5 * choice_loss(logits, labels, 1)
        + 0.5 * choice_loss(logits, labels, 0)
    )
    patch_logits = scale * patches @ texts.T + bias
    patch_labels = F.pad(torch.from_numpy(batch.patches), (0, strange))
    return (
        loss
        + pair_loss(patch_logits, patch_labels)
        + 0.5 * choice_loss(patch_logits, patch_labels, 2)
    )
