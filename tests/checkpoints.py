"""Random checkpoints in the format of the published ones."""

from pathlib import Path

import open_clip
import torch


def random_state(architecture: str, *, seed: int = 0) -> dict[str, torch.Tensor]:
    """A float32 state dictionary as open_clip names it, lively in every entry.

    Biases and norms are random too (open_clip starts them at 0 and 1), so that no mistake with
    one of them can hide.
    """
    config = open_clip.get_model_config(architecture)
    with torch.device("meta"):
        shapes = open_clip.CLIP(**config).state_dict()
    random = torch.Generator().manual_seed(seed)
    state = {}
    for key, meta in shapes.items():
        tensor = torch.empty(meta.shape)
        if key == "logit_scale":
            tensor.fill_(4.6052)
        elif tensor.ndim >= 2:
            tensor.normal_(0, tensor.shape[-1] ** -0.5, generator=random)
        else:
            tensor.normal_(0, 0.1, generator=random)
            if "ln_" in key and key.endswith("weight"):
                tensor += 1
        state[key] = tensor
    return state


def save_random(architecture: str, path: Path, *, seed: int = 0) -> Path:
    """Saved as RemoteCLIP's files are: torch.save of a plain state dictionary."""
    torch.save(random_state(architecture, seed=seed), path)
    return path
