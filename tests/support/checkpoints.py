"""Random checkpoints in the format of the published ones, and open_clip's own models of them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import open_clip
import torch
from PIL import Image

from keenkite.encoder import ClipEncoder
from keenkite.encoder.checkpoint import read_checkpoint
from keenkite.encoder.records import ModelRecord
from keenkite.encoder.weights import build_model

preprocess = open_clip.image_transform(
    224, is_train=False, mean=open_clip.OPENAI_DATASET_MEAN, std=open_clip.OPENAI_DATASET_STD
)
tokenize = open_clip.get_tokenizer("ViT-B-32")

SMALL_TEXT = {"width": 64, "heads": 1, "layers": 1}
"""For tests of the image tower: the text tower is two thirds of a small model."""


def register(
    folder: Path,
    name: str,
    like: str,
    *,
    vision: dict[str, Any] | None = None,
    text: dict[str, Any] | None = None,
    **top: Any,
) -> str:
    """Adds the architecture `name` to open_clip's: that of `like` with some entries changed."""
    config = open_clip.get_model_config(like)
    config["vision_cfg"] |= vision or {}
    config["text_cfg"] |= text or {}
    path = folder / f"{name}.json"
    path.write_text(json.dumps(config | top))
    open_clip.add_model_config(path)
    return name


def on_meta(architecture: str, *, channels: int = 3, **top: Any) -> Any:
    """open_clip's model of an architecture, its tensors without memory."""
    config = open_clip.get_model_config(architecture) | top
    kind = open_clip.CustomTextCLIP if config.pop("custom_text", False) else open_clip.CLIP
    with torch.device("meta"):
        model = kind(**config)
        if channels != 3:
            first = model.visual.conv1
            model.visual.conv1 = torch.nn.Conv2d(
                channels, first.out_channels, first.kernel_size, first.stride, bias=False
            )
    return model


def random_state(architecture: str, *, seed: int = 0, channels: int = 3) -> dict[str, torch.Tensor]:
    """A float32 state dictionary as open_clip names it, lively in every entry.

    Biases and norms are random too (open_clip starts them at 0 and 1), so that no mistake with
    one of them can hide. The matrices are overlapping pieces of one long random row, which keeps
    a model of 1.7 GB at 160 MB, in memory and in a file.
    """
    rng = np.random.default_rng(seed)
    model = on_meta(architecture, channels=channels)
    shapes = {key: meta.shape for key, meta in model.state_dict().items()}
    longest = max(shape.numel() for shape in shapes.values())
    row = torch.from_numpy(rng.standard_normal(longest + 100_000, np.float32) / 32)
    state = {}
    for key, shape in shapes.items():
        if key.split(".")[-1] in {"logit_scale", "logit_bias"}:
            state[key] = torch.full(shape, 4.6052)
        elif len(shape) >= 2:
            start = int(rng.integers(len(row) - shape.numel()))
            state[key] = row[start : start + shape.numel()].view(shape)
        else:
            is_scale = key.endswith((".gamma", "head_scale"))
            is_scale |= ".ln" in f".{key}" and key.endswith("weight")
            values = 0.1 * rng.standard_normal(tuple(shape), np.float32) + is_scale
            state[key] = torch.from_numpy(values)
    return state


def save_random(architecture: str, path: Path, *, seed: int = 0) -> Path:
    """Saved as RemoteCLIP's files are: torch.save of a plain state dictionary."""
    torch.save(random_state(architecture, seed=seed), path)
    return path


def lightning_state(clip: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A CLIP's state as the Lightning module of MS-CLIP saves it.

    That module has the same CLIP three times, `clip_base_model.model`, `text_encoder.model` and
    `image_encoder.model`, and so all its tensors, which share their memory, under three names.
    """
    copies = ("clip_base_model.model", "text_encoder.model", "image_encoder.model")
    state = {"temperature": torch.tensor(0.07)}
    return state | {f"{copy}.{key}": value for copy in copies for key, value in clip.items()}


def save_ms_clip(architecture: str, path: Path, *, seed: int = 0) -> Path:
    """Random weights of ten channels in the format of Llama3_MS_CLIP_weights.pt."""
    torch.save(lightning_state(random_state(architecture, seed=seed, channels=10)), path)
    return path


def open_clip_model(architecture: str, path: Path, **top: Any) -> Any:
    """open_clip's model with a checkpoint's weights, strictly loaded, in evaluation mode.

    What `open_clip.create_model(architecture, pretrained=str(path))` gives, without the half
    minute of random weights that it makes first for a large model.
    """
    model = on_meta(architecture, **top)
    state = torch.load(path, mmap=True, weights_only=True)
    model.load_state_dict(state, strict=True, assign=True)
    length = model.context_length
    model.attn_mask = torch.full((length, length), float("-inf")).triu(1)
    return model.eval()


def load_as(record: ModelRecord, path: Path) -> ClipEncoder:
    """A file loaded as a record says, which need not be a published one; fp32 on the CPU."""
    model = build_model(record, read_checkpoint(path), path)
    return ClipEncoder(record, model, device=torch.device("cpu"), dtype=torch.float32)


def tiles(n: int, *, seed: int = 0) -> npt.NDArray[np.uint8]:
    """Noise on a slope: every pixel and every patch differs."""
    rng = np.random.default_rng(seed)
    slope = np.linspace(0, 200, 224)[:, None, None]
    return (slope + rng.integers(0, 56, (n, 224, 224, 3))).astype(np.uint8)


def ten_bands(n: int, *, seed: int = 0) -> npt.NDArray[np.uint16]:
    """Reflectance × 10,000 of ten bands, on slopes of their own; some of it above 1."""
    rng = np.random.default_rng(seed)
    slopes = np.linspace(0, 1, 224)[:, None, None] * np.linspace(500, 9000, 10)
    drawn = slopes + rng.gamma(2.0, 800.0, (n, 224, 224, 10))
    drawn[:, :4, :4] = 0
    drawn[:, -4:, -4:] = 40_000  # beyond what a signed number of 16 bits holds
    return drawn.astype(np.uint16)


def their_image_vectors(model: Any, rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    with torch.inference_mode():
        images = torch.stack([preprocess(Image.fromarray(tile)) for tile in rgb])
        return model.encode_image(images, normalize=True).numpy()


def their_text_vectors(model: Any, texts: list[str]) -> npt.NDArray[np.float32]:
    with torch.inference_mode():
        return model.encode_text(tokenize(texts), normalize=True).numpy()
