"""What an encoder would be called, before anything of it is loaded or fetched."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

from keenkite.encoder import hub, models
from keenkite.encoder.records import REPOSITORIES, ModelRecord
from keenkite.errors import InputError

_TAG = re.compile(r"\w+")
"""A pretrained tag of open_clip: "openai", "laion2b_s34b_b79k". A file's name has more in it."""


def name_of(model: str | Path, weights: str | Path | None = None) -> str:
    """The name that `ClipEncoder.load(model, weights=weights)` would have.

    Nothing is fetched, and torch is loaded only for a checkpoint that is named alone, whose
    architecture is in the shapes it holds. That an open_clip tag or a repository exists is seen
    when it is loaded.

    Raises:
        InputError: There is no such model, or two checkpoints are named.
        ModelError: The named file does not exist, or its model cannot be used.
    """
    model = str(model)
    if repo := hub.repository_in(model):
        return REPOSITORIES.get(repo, model)
    if quick := _tag(model) or _checkpoint_of(model):
        return quick
    found = models.find_record(model)
    if isinstance(found, ModelRecord):
        return found.name
    if weights is not None:
        raise InputError(f"Two checkpoints are named: {found} and {weights}. Name one.")
    from keenkite.encoder.checkpoint import read_checkpoint

    return models.record_of_checkpoint(found, read_checkpoint(found)).name


def _tag(model: str) -> str | None:
    """The name of "ViT-B-16:openai"; None where it may be anything else."""
    architecture, tag = _parts(model)
    if not _TAG.fullmatch(tag) or Path(tag).is_file() or not _in_open_clip(architecture):
        return None
    return models.name_of_tag(architecture, tag)


def _checkpoint_of(model: str) -> str | None:
    """The name of "ViT-B-16:/path/file.pt"; None where it may be anything else."""
    architecture, rest = _parts(model)
    path = Path(rest).expanduser()
    if _TAG.fullmatch(rest) or not path.is_file() or not _in_open_clip(architecture):
        return None
    return models.name_of_file(architecture, path)


def _parts(model: str) -> tuple[str, str]:
    """What stands before a colon, as open_clip writes it, and what behind it."""
    architecture, _, rest = model.partition(":")
    return architecture.replace("/", "-"), rest


def _in_open_clip(architecture: str) -> bool:
    """Whether open_clip comes with an architecture; it takes seconds to import, so it is not."""
    spec = find_spec("open_clip")
    folders = (spec.submodule_search_locations if spec else None) or ()
    return any((Path(p) / "model_configs" / f"{architecture}.json").is_file() for p in folders)
