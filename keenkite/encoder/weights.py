"""Weights into a model of open_clip, strictly: all keys and shapes fit, or it is said which not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from keenkite.encoder.records import ModelRecord
from keenkite.encoder.shapes import looks_like, reach_in, reaching
from keenkite.errors import ModelError


def build_model(record: ModelRecord, state: dict[str, Tensor], path: Path) -> nn.Module:
    """An open_clip model in evaluation mode with these weights, on the CPU.

    Args:
        record: Says what to build.
        state: From `read_checkpoint`; its tensors become the model's, uncopied.
        path: Named in messages.

    Raises:
        ModelError: The weights do not fit the architecture, or it cannot be built.
    """
    from open_clip.convert import convert_state_dict
    from open_clip.model import CustomTextCLIP, convert_to_custom_text_state_dict

    config = record.config()
    if record.file_says:
        config = reaching(config, reach_in(state))
    if "timm_model_name" in config["vision_cfg"]:
        model: Any = bare_model(record, config)  # timm's towers compute some of their tensors here
    else:
        # Random initial weights would take longer than reading the real ones.
        with torch.device("meta"):
            model = bare_model(record, config)

    state = dict(convert_state_dict(model, dict(state)))
    custom = isinstance(model, CustomTextCLIP)
    if custom and "positional_embedding" in state:
        state = convert_to_custom_text_state_dict(state)
    _scalars(model, state)
    _check_fit(record, model.state_dict(), state, path)
    model.load_state_dict(state, strict=True, assign=True)

    text = model.text if custom else model
    if text.attn_mask is not None:  # computed, not stored in checkpoints
        n = text.attn_mask.shape[0]
        text.attn_mask = torch.full((n, n), float("-inf")).triu(1)
    model.requires_grad_(False)
    built: nn.Module = model.eval()
    return built


def bare_model(record: ModelRecord, config: dict[str, Any] | None = None) -> nn.Module:
    """An open_clip model of a record with random weights; under `torch.device("meta")` with none.

    Args:
        record: Says what to build.
        config: Its configuration, where that has been changed.

    Raises:
        ModelError: open_clip cannot make it.
    """
    from open_clip.model import CLIP, CustomTextCLIP

    config = record.config() if config is None else config
    if "timm_model_name" in config["vision_cfg"]:
        config["vision_cfg"]["timm_model_pretrained"] = False  # nothing but the file is fetched
    kind = CustomTextCLIP if config.pop("custom_text", False) else CLIP
    try:
        model: Any = kind(**config)
    except (TypeError, ValueError, KeyError, AttributeError, AssertionError, RuntimeError) as error:
        raise ModelError(
            f"open_clip cannot make {record.name} of its configuration: {type(error).__name__}: "
            f"{error}. Install a newer open_clip_torch, or choose another model."
        ) from error
    if record.bands is not None:
        narrow = model.visual.conv1
        model.visual.conv1 = nn.Conv2d(
            record.channels,
            narrow.out_channels,
            kernel_size=narrow.kernel_size,
            stride=narrow.stride,
            bias=False,
        )
    built: nn.Module = model
    return built


def _scalars(model: Any, state: dict[str, Tensor]) -> None:
    """Scale and bias of the loss, on which no vector depends, as the model stores them."""
    for scalar in ("logit_scale", "logit_bias"):  # stored as () or (1,)
        if scalar in state and getattr(model, scalar) is not None:
            state[scalar] = state[scalar].reshape(getattr(model, scalar).shape)
    if model.logit_bias is None:  # of training with a sigmoid loss
        state.pop("logit_bias", None)


def _check_fit(
    record: ModelRecord, wanted: Mapping[str, Tensor], state: Mapping[str, Tensor], path: Path
) -> None:
    """Raises ModelError where keys or shapes differ, with the first few that do."""
    misshaped = [
        f"{key} {tuple(state[key].shape)} instead of {tuple(wanted[key].shape)}"
        for key in wanted
        if key in state and state[key].shape != wanted[key].shape
    ]
    differences = [
        f"{what} {len(keys)}: {', '.join(keys[:3])}{', …' if len(keys) > 3 else ''}"
        for what, keys in (
            ("missing", [key for key in wanted if key not in state]),
            ("unexpected", [key for key in state if key not in wanted]),
            ("of another shape", misshaped),
        )
        if keys
    ]
    if differences:
        looks = looks_like(state)
        known = {None, record.architecture.removesuffix("-quickgelu")}
        other = f" It looks like {looks}." if looks not in known else ""
        raise ModelError(
            f"{path} does not hold the weights of {record.name} ({record.architecture}): "
            f"{'; '.join(differences)}.{other} Name the file of this model, or "
            f"the model of this file."
        )
