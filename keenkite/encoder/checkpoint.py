"""Reading a checkpoint: tensors only, under open_clip's names, whoever saved them.

A checkpoint is data from elsewhere: it is read as tensors only (`weights_only=True`), so that a
pickle with code in it is refused and not run.
"""

from __future__ import annotations

import logging
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from keenkite.errors import ModelError

logger = logging.getLogger(__name__)

_LIGHTNING = "clip_base_model.model."
"""Where the Lightning module of MS-CLIP has its CLIP."""

_COPIES = ("image_encoder.model.", "text_encoder.model.")
"""Where that module has the same CLIP again."""

_LONG = "positional_embedding_res"
"""The positions of Long-CLIP's text tower from the 21st on; the first 20 are CLIP's own."""
_LONG_KEEPS = 20

_FETCH_AGAIN = "Fetch it again and compare its size with the published one."


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors file or of a PyTorch checkpoint, in memory.

    Training checkpoints are unpacked: {"state_dict": …}, keys that start with "module.", MS-CLIP's
    Lightning module with its copies, and Long-CLIP's two tables of positions.

    Raises:
        ModelError: No such file, not a checkpoint, cut short, a pickle that holds more than
            tensors, or copies that differ. Nothing in the file is executed.
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
    return _long(_out_of_lightning(state, path))


def _out_of_lightning(state: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    """The CLIP within MS-CLIP's Lightning module; any other state as it is.

    What is neither the CLIP, nor a copy, nor the loss's temperature stays under its own name, and
    so does not fit.
    """
    own = {
        key.removeprefix(_LIGHTNING): value
        for key, value in state.items()
        if key.startswith(_LIGHTNING)
    }
    if not own:
        return state
    for key, value in state.items():
        if key.startswith(_LIGHTNING) or key == "temperature":
            continue
        name = next((key.removeprefix(copy) for copy in _COPIES if key.startswith(copy)), None)
        if name not in own:
            own[key] = value
        elif not _equal(value, own[name]):
            raise ModelError(
                f"{path}: {key} differs from {_LIGHTNING}{name}, of which it is a copy in a whole "
                f"file: it is damaged, or its parts were trained apart. {_FETCH_AGAIN}"
            )
    return own


def _long(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Long-CLIP's two tables of positions as the one that its text tower adds up."""
    first, rest = state.get("positional_embedding"), state.get(_LONG)
    if first is None or rest is None or first.shape != rest.shape:
        return state
    joined = torch.cat([first[:_LONG_KEEPS], rest[_LONG_KEEPS:].to(first.dtype)])
    return {
        key: joined if key == "positional_embedding" else value
        for key, value in state.items()
        if key != _LONG
    }


def _equal(one: Tensor, other: Tensor) -> bool:
    if (one.shape, one.dtype) != (other.shape, other.dtype):
        return False
    same_memory = (one.data_ptr(), one.stride()) == (other.data_ptr(), other.stride())
    return same_memory or torch.equal(one, other)


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
