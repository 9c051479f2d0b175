"""Which models there are: for each its architecture, activation, pixel scaling and files.

A checkpoint holds numbers only. The activation between them (OpenAI's QuickGELU or the plain
GELU) cannot be read from it, and with the wrong one a model loads without a word and computes
other vectors. So it is a field of the record, never a default.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import file_digest
from importlib import resources
from json import loads
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keenkite.errors import InputError, ModelError

if TYPE_CHECKING:
    from torch import Tensor

logger = logging.getLogger(__name__)

Triple = tuple[float, float, float]

OPENAI_MEAN: Triple = (0.48145466, 0.4578275, 0.40821073)
OPENAI_STD: Triple = (0.26862954, 0.26130258, 0.27577711)

TINY = "keenkite-tiny"


@dataclass(frozen=True, kw_only=True)
class HubFile:
    """A file in a repository of the Hugging Face hub."""

    repo: str
    """owner/name"""

    files: tuple[str, ...]
    """Paths in the repository, the preferred first: the first that exists is taken."""


@dataclass(frozen=True, kw_only=True)
class ModelRecord:
    """All that must be known of a model to compute the vectors its authors meant."""

    name: str
    """Names the vectors: an index made under one name refuses another."""

    architecture: str
    """An open_clip model configuration, or `keenkite-tiny`."""

    quick_gelu: bool
    """True: x·sigmoid(1.702·x) between the layers, as OpenAI trained. False: GELU."""

    source: HubFile | Path
    """Where the weights are: to be fetched, or on this disk."""

    mean: Triple = OPENAI_MEAN
    """Subtracted from red, green, blue scaled to 0-1."""

    std: Triple = OPENAI_STD
    """Divides red, green, blue after that."""

    def config(self) -> dict[str, Any]:
        """The open_clip configuration, with this record's activation: a fresh dictionary."""
        if self.architecture == TINY:
            config: dict[str, Any] = loads(_packaged("json").read_text("utf-8"))
        else:
            import open_clip

            config = open_clip.get_model_config(self.architecture)
        return {**config, "quick_gelu": self.quick_gelu}


# RemoteCLIP and GeoRSCLIP were fine-tuned from OpenAI's CLIP: QuickGELU, though the snippets in
# both READMEs build it from names that let open_clip fall back to GELU.
RECORDS: Mapping[str, ModelRecord] = {
    record.name: record
    for record in (
        ModelRecord(
            name="remoteclip-vit-b-32",
            architecture="ViT-B-32-quickgelu",
            quick_gelu=True,
            source=HubFile(repo="chendelong/RemoteCLIP", files=("RemoteCLIP-ViT-B-32.pt",)),
        ),
        ModelRecord(
            name="remoteclip-vit-l-14",
            architecture="ViT-L-14-quickgelu",
            quick_gelu=True,
            source=HubFile(repo="chendelong/RemoteCLIP", files=("RemoteCLIP-ViT-L-14.pt",)),
        ),
        ModelRecord(
            name="georsclip-vit-b-32",
            architecture="ViT-B-32-quickgelu",
            quick_gelu=True,
            source=HubFile(repo="Zilun/GeoRSCLIP", files=("ckpt/RS5M_ViT-B-32.pt",)),
        ),
        ModelRecord(
            name="georsclip-vit-l-14",
            architecture="ViT-L-14-quickgelu",
            quick_gelu=True,
            source=HubFile(repo="Zilun/GeoRSCLIP", files=("ckpt/RS5M_ViT-L-14.pt",)),
        ),
    )
}


def find_record(name: str) -> ModelRecord | Path:
    """The record behind a name; a Path where the name is a checkpoint file and says no more.

    Names: one of RECORDS, `keenkite-tiny`, an open_clip tag `ViT-B-16:openai`, an architecture
    with a file `ViT-B-32-quickgelu:/path/file.pt`, or just `/path/file.pt`.

    Raises:
        InputError: The name is none of these.
        ModelError: The named file does not exist, or keenkite cannot use this architecture.
    """
    if name in RECORDS:
        return RECORDS[name]
    if name == TINY:
        config = loads(_packaged("json").read_text("utf-8"))
        return ModelRecord(
            name=TINY,
            architecture=TINY,
            quick_gelu=config.get("quick_gelu", False),
            source=_packaged("safetensors"),
        )
    architecture, colon, rest = name.partition(":")
    if colon and (record := _from_open_clip(architecture.replace("/", "-"), rest)):
        return record
    path = Path(name).expanduser()
    if path.is_file():
        return path
    if path.suffix in {".pt", ".pth", ".bin", ".safetensors"}:
        raise ModelError(f"There is no checkpoint file {name}. Check the path.")
    known = ", ".join([*RECORDS, TINY])
    raise InputError(
        f"There is no model {name!r}. Name one of {known}; an open_clip tag such as "
        f"'ViT-B-16:openai'; or a checkpoint, 'ViT-B-32-quickgelu:/path/to/file.pt'."
    )


def record_of_checkpoint(path: Path, state: Mapping[str, "Tensor"]) -> ModelRecord:
    """The record of a checkpoint file that came with no name, from its shapes.

    A file under its published name is that model. Any other of the same shapes is read as the
    known models of these shapes are, with QuickGELU, and named after its contents.

    Raises:
        ModelError: Its shapes are not those of a known model.
    """
    for record in RECORDS.values():
        if _shape_of(record) != _shape_in(state):
            continue
        source = record.source
        if isinstance(source, HubFile) and path.name == Path(source.files[0]).name:
            return record
        logger.warning(
            "%s: taken for %s (QuickGELU), from its shapes. If it was trained with plain GELU, "
            "name it '%s:%s'.",
            path.name,
            record.architecture,
            record.architecture.removesuffix("-quickgelu"),
            path,
        )
        return _local(record.architecture, quick_gelu=record.quick_gelu, path=path)
    raise ModelError(
        f"{path}: its architecture is not known from its shapes. Name it together with the file, "
        f"as in 'ViT-B-16-quickgelu:{path}'; `open_clip.list_models()` lists architectures."
    )


def name_of_file(architecture: str, path: Path) -> str:
    """What a checkpoint of one's own is called: its contents name its vectors."""
    with path.open("rb") as file:
        digest = file_digest(file, "sha256").hexdigest()
    return f"{architecture}@{digest[:12]}"


def architecture_in(state: Mapping[str, "Tensor"]) -> str | None:
    """The known architecture these shapes belong to, for error messages."""
    shape = _shape_in(state)
    for record in RECORDS.values():
        if _shape_of(record) == shape:
            return record.architecture
    return None


def _from_open_clip(architecture: str, rest: str) -> ModelRecord | None:
    """`rest` is a pretrained tag of the architecture or a file; None: not an architecture."""
    import open_clip
    from open_clip.pretrained import get_pretrained_cfg

    config = open_clip.get_model_config(architecture)
    if config is None:
        return None
    _require_usable(architecture, config)
    if tag := get_pretrained_cfg(architecture, rest):
        return _of_tag(architecture, rest, tag)
    path = Path(rest).expanduser()
    if path.is_file():
        return _local(architecture, quick_gelu=config.get("quick_gelu", False), path=path)
    tags = ", ".join(open_clip.list_pretrained_tags_by_model(architecture))
    raise InputError(
        f"{rest!r} is neither a file nor a tag of {architecture}"
        + (f". Its tags are: {tags}." if tags else ", which has no tags. Name a checkpoint file.")
    )


def _require_usable(architecture: str, config: Mapping[str, Any]) -> None:
    """Raise ModelError where an architecture needs what keenkite does not have."""
    text = config["text_cfg"]
    if (
        text.get("hf_tokenizer_name")
        or text.get("hf_model_name")
        or "siglip" in architecture.lower()
    ):
        raise ModelError(
            f"{architecture}: its texts need a tokenizer of the transformers package, which "
            f"keenkite does not use. Choose a model with CLIP's own tokenizer, such as ViT-B-16."
        )
    if "multimodal_cfg" in config:
        raise ModelError(f"{architecture}: CoCa models are not supported. Choose a CLIP model.")
    if (size := config["vision_cfg"].get("image_size", 224)) != 224:
        raise ModelError(
            f"{architecture}: takes images of {size} px, and tiles are 224 px. "
            f"Choose another model."
        )


def _of_tag(architecture: str, name: str, tag: Mapping[str, Any]) -> ModelRecord:
    """The record of a pretrained tag, as open_clip describes it."""
    repo, _, file = tag["hf_hub"].rpartition("/")
    # A tag that names no file means open_clip's usual two, safetensors first.
    usual = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
    return ModelRecord(
        name=f"{architecture}:{name}",
        architecture=architecture,
        quick_gelu=tag.get("quick_gelu", False),
        source=HubFile(repo=repo, files=(file,) if file else usual),
        mean=tag.get("mean", OPENAI_MEAN),
        std=tag.get("std", OPENAI_STD),
    )


def _local(architecture: str, *, quick_gelu: bool, path: Path) -> ModelRecord:
    """A file keenkite knows nothing of."""
    return ModelRecord(
        name=name_of_file(architecture, path),
        architecture=architecture,
        quick_gelu=quick_gelu,
        source=path,
    )


def _packaged(suffix: str) -> Path:
    path = Path(str(resources.files("keenkite.encoder") / "tiny" / f"{TINY}.{suffix}"))
    if not path.is_file():
        raise ModelError(f"{path.name} is missing from this installation. Install keenkite again.")
    return path


def _shape_of(record: ModelRecord) -> tuple[int, ...]:
    """(patch size, vision width, vision layers, embedding, text width)."""
    config = record.config()
    vision, text = config["vision_cfg"], config["text_cfg"]
    return (
        vision["patch_size"],
        vision["width"],
        vision["layers"],
        config["embed_dim"],
        text["width"],
    )


def _shape_in(state: Mapping[str, "Tensor"]) -> tuple[int, ...] | None:
    """The same of a state dictionary, None where it has no CLIP vision transformer."""
    try:
        width, _, patch, _ = state["visual.conv1.weight"].shape
        text_width, embedding = state["text_projection"].shape
    except (KeyError, ValueError):
        return None
    prefix = "visual.transformer.resblocks."
    layers = {key.split(".")[3] for key in state if key.startswith(prefix)}
    return patch, width, len(layers), embedding, text_width
