"""Names of models to their records: ours, open_clip's tags, repositories, checkpoint files."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from hashlib import file_digest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keenkite.encoder import hub
from keenkite.encoder.records import (
    OPEN_CLIP_FILES,
    OPENAI_MEAN,
    OPENAI_STD,
    RECORDS,
    REPOSITORIES,
    TAGS,
    TINY,
    HubFile,
    ModelRecord,
    tiny,
)
from keenkite.errors import InputError, ModelError

if TYPE_CHECKING:
    from torch import Tensor

logger = logging.getLogger(__name__)

_SUFFIXES = {".pt", ".pth", ".bin", ".safetensors"}


def find_record(name: str) -> ModelRecord | Path:
    """The record behind a name; a Path where the name is a checkpoint file and says no more.

    Names: one of RECORDS, `keenkite-tiny`, an open_clip tag `ViT-B-16:openai`, a repository with
    open_clip's configuration `hf-hub:owner/name` (which is fetched), an architecture with a file
    `ViT-B-32-quickgelu:/path/file.pt`, or just `/path/file.pt`.

    Raises:
        InputError: The name is none of these.
        ModelError: The named file does not exist, or keenkite cannot use this architecture.
    """
    if name in RECORDS:
        return RECORDS[name]
    if name == TINY:
        return tiny()
    if repo := hub.repository_in(name):
        if repo in REPOSITORIES:
            return RECORDS[REPOSITORIES[repo]]
        record = hub.record_of_repository(repo)
        require_usable(name, record.config())
        return record
    architecture, colon, rest = name.partition(":")
    if colon and (found := _from_open_clip(architecture.replace("/", "-"), rest)):
        return found
    path = Path(name).expanduser()
    if path.is_file():
        return path
    if path.suffix in _SUFFIXES:
        raise ModelError(f"There is no checkpoint file {name}. Check the path.")
    raise InputError(
        f"There is no model {name!r}. Name one of {', '.join([*RECORDS, TINY])}; an open_clip tag "
        f"such as 'ViT-B-16:openai'; a repository, 'hf-hub:owner/name'; or a checkpoint, "
        f"'ViT-B-32-quickgelu:/path/to/file.pt'."
    )


def record_of_checkpoint(path: Path, state: Mapping[str, Tensor]) -> ModelRecord:
    """The record of a checkpoint file that came with no name, from its shapes.

    A file under its published name is that model. Any other of the same shapes is read as the
    first known model of these shapes is, and named after its contents.

    Raises:
        ModelError: Its shapes are not those of a known model.
    """
    from keenkite.encoder.shapes import looks_like, records_like

    alike = records_like(state)
    for record in alike:
        if isinstance(record.source, HubFile) and path.name in _own_names(record.source):
            return record
    if not alike:
        like = looks_like(state)
        raise ModelError(
            f"{path}: its architecture is not known from its shapes"
            f"{f', which look like {like}' if like else ''}. Name it together with the file, as in "
            f"'ViT-B-16-quickgelu:{path}'; `open_clip.list_models()` lists architectures."
        )
    record = alike[0]
    taken, other = ("QuickGELU", "plain GELU") if record.quick_gelu else ("plain GELU", "QuickGELU")
    plain = record.architecture.removesuffix("-quickgelu")
    logger.warning(
        "%s: taken for %s (%s), from its shapes. If it was trained with %s, name it '%s:%s'.",
        path.name,
        record.architecture,
        taken,
        other,
        plain if record.quick_gelu else f"{plain}-quickgelu",
        path,
    )
    return replace(
        record,
        name=name_of_file(record.architecture, path),
        source=path,
        tag=None,
        file_says=True,
    )


def name_of_file(architecture: str, path: Path) -> str:
    """What a checkpoint of one's own is called: its contents name its vectors."""
    with path.open("rb") as file:
        digest = file_digest(file, "sha256").hexdigest()
    return f"{architecture}@{digest[:12]}"


def name_of_tag(architecture: str, tag: str) -> str:
    """What the weights of an open_clip tag are called, however it is written."""
    usual = f"{architecture}:{tag.lower().replace('-', '_')}"
    return TAGS.get(usual, usual)


def _own_names(source: HubFile) -> set[str]:
    """Names of a model's files that no other model's have."""
    return {Path(file).name for file in source.files} - set(OPEN_CLIP_FILES)


def _from_open_clip(architecture: str, rest: str) -> ModelRecord | None:
    """`rest` is a pretrained tag of the architecture or a file; None: not an architecture."""
    import open_clip
    from open_clip.pretrained import get_pretrained_cfg

    config = open_clip.get_model_config(architecture)
    if config is None:
        return None
    require_usable(architecture, config)
    if tag := get_pretrained_cfg(architecture, rest):
        name = name_of_tag(architecture, rest)
        return RECORDS.get(name) or _of_tag(name, architecture, tag)
    path = Path(rest).expanduser()
    if path.is_file():
        return ModelRecord(
            name=name_of_file(architecture, path),
            architecture=architecture,
            quick_gelu=config.get("quick_gelu", False),
            source=path,
            file_says=True,
        )
    tags = ", ".join(open_clip.list_pretrained_tags_by_model(architecture))
    raise InputError(
        f"{rest!r} is neither a file nor a tag of {architecture}"
        + (f". Its tags are: {tags}." if tags else ", which has no tags. Name a checkpoint file.")
    )


def _of_tag(name: str, architecture: str, tag: Mapping[str, Any]) -> ModelRecord:
    repo, _, file = tag["hf_hub"].rpartition("/")
    return ModelRecord(
        name=name,
        architecture=architecture,
        quick_gelu=tag.get("quick_gelu", False),
        # A tag that names no file means open_clip's usual two.
        source=HubFile(repo=repo, files=(file,) if file else OPEN_CLIP_FILES),
        mean=tuple(tag.get("mean", OPENAI_MEAN)),
        std=tuple(tag.get("std", OPENAI_STD)),
    )


def require_usable(name: str, config: Mapping[str, Any]) -> None:
    """ModelError where an architecture is no pair of towers that can be built here."""
    vision, text = config["vision_cfg"], config["text_cfg"]
    if "multimodal_cfg" in config:
        raise ModelError(f"{name}: CoCa models are not supported. Choose a CLIP model.")
    if text.get("hf_model_name"):
        raise ModelError(
            f"{name}: its text tower is one of the transformers package, which keenkite does not "
            f"build. Choose a model with open_clip's own text tower, such as ViT-B-16."
        )
    size = vision.get("image_size", 224)
    sides = set(size) if isinstance(size, list | tuple) else {size}
    if len(sides) != 1 or not all(isinstance(side, int) for side in sides):
        raise ModelError(
            f"{name}: takes images of {size} px, and tiles are square. Choose another model."
        )
    if (timm := vision.get("timm_model_name")) and not _in_timm(timm):
        raise ModelError(
            f"{name}: its image tower {timm!r} is not one that the installed timm knows. "
            f"Install a newer timm, or choose another model."
        )


def _in_timm(name: str) -> bool:
    from timm import is_model

    return bool(is_model(name))
