"""A model's weights: out of a file, and into the model, strictly.

A checkpoint is data from elsewhere: it is read as tensors only (`weights_only=True`), so that a
pickle with code in it is refused and not run, and it must fit its architecture key by key.
"""

import logging
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from keenkite.encoder.models import ModelRecord, architecture_in
from keenkite.errors import ModelError

logger = logging.getLogger(__name__)


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors file or of a PyTorch checkpoint, in memory.

    Training checkpoints are unpacked: {"state_dict": …}, and keys that start with "module.".

    Raises:
        ModelError: No such file, not a checkpoint, cut short, or a pickle that holds more than
            tensors. Nothing in the file is executed.
    """
    try:
        with path.open("rb") as file:
            start = file.read(512)
    except OSError as error:
        raise ModelError(
            f"{path} cannot be read: {error.strerror or error}. Check the path."
        ) from error
    if what := _not_a_checkpoint(start):
        raise ModelError(f"{path} {what}. Fetch the file itself, not its page.")
    if start.startswith(b"PK") and not zipfile.is_zipfile(path):
        raise ModelError(f"{path} is cut short: its end is missing. {_FETCH_AGAIN}")
    loaded = _read_safetensors(path) if _is_safetensors(start) else _read_torch(path)
    if isinstance(loaded, Mapping) and isinstance(loaded.get("state_dict"), Mapping):
        loaded = loaded["state_dict"]
    if not isinstance(loaded, Mapping) or not loaded:
        raise ModelError(f"{path} holds no state dictionary. {_FETCH_AGAIN}")
    state = {}
    for key, value in loaded.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise ModelError(
                f"{path} is not a model's state dictionary: its entry {key!r} is a "
                f"{type(value).__name__}. Save model.state_dict() and name that file."
            )
        state[key.removeprefix("module.")] = value
    return state


def build_model(record: ModelRecord, state: dict[str, Tensor], path: Path) -> nn.Module:
    """An open_clip model in evaluation mode with these weights, on the CPU.

    Args:
        record: Says what to build.
        state: From `read_checkpoint`; its tensors become the model's, uncopied.
        path: Named in messages.

    Raises:
        ModelError: The weights do not fit the architecture.
    """
    from open_clip.convert import convert_state_dict
    from open_clip.model import CLIP, CustomTextCLIP, convert_to_custom_text_state_dict

    config = record.config()
    kind = CustomTextCLIP if config.pop("custom_text", False) else CLIP
    if "timm_model_name" in config["vision_cfg"]:
        model: Any = kind(**config)  # timm's towers compute some of their tensors here
    else:
        # Random initial weights would take longer than reading the real ones.
        with torch.device("meta"):
            model = kind(**config)

    state = dict(convert_state_dict(model, dict(state)))
    if kind is CustomTextCLIP and "positional_embedding" in state:
        state = convert_to_custom_text_state_dict(state)
    for scalar in ("logit_scale", "logit_bias"):  # stored as () or (1,)
        if scalar in state and getattr(model, scalar) is not None:
            state[scalar] = state[scalar].reshape(getattr(model, scalar).shape)
    if model.logit_bias is None:  # of training with a sigmoid loss; no vector depends on it
        state.pop("logit_bias", None)
    _check_fit(record, model.state_dict(), state, path)
    model.load_state_dict(state, strict=True, assign=True)

    text = model.text if kind is CustomTextCLIP else model
    if text.attn_mask is not None:  # computed, not stored in checkpoints
        n = text.attn_mask.shape[0]
        text.attn_mask = torch.full((n, n), float("-inf")).triu(1)
    model.requires_grad_(False)
    built: nn.Module = model.eval()
    return built


_FETCH_AGAIN = "Fetch it again and compare its size with the published one."


def _not_a_checkpoint(start: bytes) -> str | None:
    """Two things that browsers and git leave under a checkpoint's name."""
    if start.lstrip()[:1] == b"<":
        return "is a web page (HTML), not a checkpoint"
    if start.startswith(b"version https://git-lfs"):
        return "is a Git LFS pointer, not the checkpoint it points to"
    return None


def _is_safetensors(start: bytes) -> bool:
    """The format: the header's length in 8 bytes, then the header, a JSON object."""
    return start[8:9] == b"{"


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        # Copied: these tensors are the mapped file, which somebody may overwrite.
        return {key: tensor.clone() for key, tensor in load_file(path).items()}
    except (SafetensorError, OSError) as error:
        raise ModelError(
            f"{path} is damaged or cut short: safetensors says {error}. {_FETCH_AGAIN}"
        ) from error


def _read_torch(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        logger.debug("%s: %s", path, error)
        raise ModelError(
            f"{path} is not a plain checkpoint: it holds Python objects besides tensors, or is "
            f"no checkpoint at all. keenkite does not run code from files. Save its state "
            f"dictionary as .safetensors where you trust it, and name that file."
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, AttributeError) as error:
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        if "TorchScript" in str(error):
            reason = "it is a TorchScript archive, which is a program"
        raise ModelError(
            f"{path} cannot be read as a checkpoint: {reason}. {_FETCH_AGAIN}"
        ) from error


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
        looks = architecture_in(state)
        other = f" It looks like {looks}." if looks not in {None, record.architecture} else ""
        raise ModelError(
            f"{path} does not hold the weights of {record.name} ({record.architecture}): "
            f"{'; '.join(differences)}.{other} Name the file of this model, or "
            f"the model of this file."
        )
