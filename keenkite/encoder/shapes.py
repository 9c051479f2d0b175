"""What the shapes in a checkpoint say of the model they belong to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isqrt
from typing import TYPE_CHECKING, Any

from keenkite.encoder.records import RECORDS, ModelRecord

if TYPE_CHECKING:
    from torch import Tensor

_BLOCKS = "visual.transformer.resblocks."


@dataclass(frozen=True, kw_only=True)
class Shape:
    """The shape of a CLIP model whose image tower is open_clip's vision transformer."""

    patch: int
    """Pixels along a patch."""
    width: int
    """Of the image tower."""
    layers: int
    """Of the image tower."""
    dim: int
    """Length of the vectors."""
    text_width: int
    channels: int
    """Of the images."""


@dataclass(frozen=True, kw_only=True)
class Reach:
    """How much the towers of such a model take at once: other lengths of the same shape."""

    grid: int | None
    """Patches along the side of an image; None where they fill no square."""
    tokens: int | None
    """Of a text; None where the text tower has no positions."""


def shape_of(config: Mapping[str, Any], channels: int = 3) -> Shape | None:
    """The shape an open_clip configuration has; None for another kind of tower."""
    vision, text = config["vision_cfg"], config["text_cfg"]
    if "timm_model_name" in vision or not isinstance(vision.get("layers"), int):
        return None
    return Shape(
        patch=vision["patch_size"],
        width=vision["width"],
        layers=vision["layers"],
        dim=config["embed_dim"],
        text_width=text.get("width", 512),
        channels=channels,
    )


def shape_in(state: Mapping[str, Tensor]) -> Shape | None:
    """The same of a state dictionary; None where it has no such towers."""
    try:
        width, channels, patch, _ = state["visual.conv1.weight"].shape
        text = "text_projection" if "text_projection" in state else "text.text_projection"
        text_width, dim = state[text].shape
    except (KeyError, ValueError):
        return None
    return Shape(
        patch=patch,
        width=width,
        layers=len({key.split(".")[3] for key in state if key.startswith(_BLOCKS)}),
        dim=dim,
        text_width=text_width,
        channels=channels,
    )


def reach_in(state: Mapping[str, Tensor]) -> Reach:
    """What a state dictionary has positions for."""
    grid = tokens = None
    if (table := state.get("visual.positional_embedding")) is not None and table.ndim == 2:
        side = isqrt(max(len(table) - 1, 0))  # the first is the class token's
        grid = side if side and side * side + 1 == len(table) else None
    for key in ("positional_embedding", "text.positional_embedding"):
        if (table := state.get(key)) is not None and table.ndim == 2:
            tokens = len(table)
    return Reach(grid=grid, tokens=tokens)


def reaching(config: dict[str, Any], reach: Reach) -> dict[str, Any]:
    """The configuration, changed to take images and texts as long as a file has positions for."""
    vision, text = config["vision_cfg"], config["text_cfg"]
    patch = vision.get("patch_size")
    if reach.grid and patch and "timm_model_name" not in vision:
        size = vision.get("image_size", 224)
        if isinstance(size, int) and size // patch != reach.grid:
            vision["image_size"] = patch * reach.grid
    if reach.tokens and not text.get("embed_cls"):  # whose class token has a position as well
        text["context_length"] = reach.tokens
    return config


def records_like(state: Mapping[str, Tensor]) -> list[ModelRecord]:
    """The records of the same shape, in their order."""
    shape = shape_in(state)
    return [
        record
        for record in RECORDS.values()
        if shape is not None and shape_of(record.config(), record.channels) == shape
    ]


def looks_like(state: Mapping[str, Tensor]) -> str | None:
    """What a state dictionary looks like, for messages: "ViT-B-16 with 10 channels"; or None.

    Of two architectures that differ in the activation alone the plain one is named: shapes are
    the same with both.
    """
    import open_clip

    shape = shape_in(state)
    if shape is None:
        return None
    configs = _known(open_clip.list_models())
    like = next(
        (found for found in configs if shape_of(found[1], shape.channels) == shape),
        None,
    )
    if like is None:
        return (
            f"a vision transformer of {shape.layers} layers of width {shape.width} with patches "
            f"of {shape.patch} px and {shape.channels} channels"
        )
    name, config = like[0].removesuffix("-quickgelu"), like[1]
    reach, vision = reach_in(state), config["vision_cfg"]
    usual = vision.get("image_size", 224)
    notes = []
    if shape.channels != 3:
        notes.append(f"{shape.channels} channels")
    if reach.grid and reach.grid != usual // shape.patch:
        notes.append(f"images of {shape.patch * reach.grid} px")
    if reach.tokens and reach.tokens != config["text_cfg"].get("context_length", 77):
        notes.append(f"texts of {reach.tokens} tokens")
    return name + (f" with {', '.join(notes)}" if notes else "")


def _known(names: Iterable[str]) -> Iterable[tuple[str, dict[str, Any]]]:
    """Architectures and their configurations, those of the records first."""
    import open_clip

    first = dict.fromkeys(record.architecture for record in RECORDS.values())
    for name in (*first, *names):
        config = open_clip.get_model_config(name)
        if config is not None:
            yield name, config
