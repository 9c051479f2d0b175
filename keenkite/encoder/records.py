"""Records of models: for each its architecture, activation, pixel scaling and files.

A checkpoint holds numbers only. The activation between them (OpenAI's QuickGELU or the plain
GELU) cannot be read from it, and with the wrong one a model loads without a word and computes
other vectors. So it is a field of the record, never a default. docs/models.md tells the records
apart: what each is good for, its licence, its size.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from importlib import resources
from json import loads
from pathlib import Path
from typing import Any

from keenkite.errors import ModelError

OPENAI_MEAN = (0.48145466, 0.4578275, 0.40821073)
OPENAI_STD = (0.26862954, 0.26130258, 0.27577711)

TINY = "keenkite-tiny"

OPEN_CLIP_FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
"""Where a repository made by open_clip has its weights, the preferred first."""


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
    """An open_clip model configuration, `keenkite-tiny`, or where `own_config` is from."""

    quick_gelu: bool
    """True: x·sigmoid(1.702·x) between the layers, as OpenAI trained. False: GELU."""

    source: HubFile | Path
    """Where the weights are: to be fetched, or on this disk."""

    mean: tuple[float, ...] = OPENAI_MEAN
    """Subtracted from each channel: red, green, blue scaled to 0-1; bands as they are."""

    std: tuple[float, ...] = OPENAI_STD
    """Divides each channel after that."""

    bands: tuple[str, ...] | None = None
    """The sensor's bands it sees, as reflectance × 10,000. None: red, green, blue as bytes."""

    patches_trained: bool = False
    """Whether its patches were taught what they show; else it learnt from whole pictures alone."""

    tag: str | None = None
    """The open_clip tag that means the same weights, and so the same record."""

    file_says: bool = False
    """Whether how many tokens and pixels the towers take is read off the file's shapes. Else they
    are those of the architecture, and a file that differs is not this model's."""

    vocabulary: Mapping[str, tuple[str, ...]] | None = field(
        default=None, repr=False, compare=False
    )
    """All that it was taught to name, each with the other wordings of the same thing; None: it
    learnt from the captions of the world at large."""

    own_config: Mapping[str, Any] | None = field(default=None, repr=False, compare=False)
    """An open_clip configuration that came with the weights; None: open_clip's own by name."""

    @property
    def channels(self) -> int:
        """How many the image tower sees."""
        return 3 if self.bands is None else len(self.bands)

    def config(self) -> dict[str, Any]:
        """The open_clip configuration, with this record's activation: a fresh dictionary."""
        config: dict[str, Any]
        if self.own_config is not None:
            config = deepcopy(dict(self.own_config))
        elif self.architecture == TINY:
            config = loads(_packaged("json").read_text("utf-8"))
        else:
            import open_clip

            config = open_clip.get_model_config(self.architecture)
        return {**config, "quick_gelu": self.quick_gelu}


def tiny() -> ModelRecord:
    """The model that comes with keenkite."""
    config = loads(_packaged("json").read_text("utf-8"))
    return ModelRecord(
        name=TINY,
        architecture=TINY,
        quick_gelu=config.get("quick_gelu", False),
        source=_packaged("safetensors"),
        vocabulary=_vocabulary(_packaged("txt").read_text("utf-8")),
        patches_trained=True,
    )


def _vocabulary(table: str) -> Mapping[str, tuple[str, ...]]:
    """Of lines, each with the wordings of one thing: "harbour, port"; # begins a remark."""
    lines = [line for line in table.splitlines() if not line.startswith("#")]
    things = [tuple(way.strip() for way in line.split(",")) for line in lines]
    return {way: tuple(w for w in ways if w != way) for ways in things for way in ways}


def _packaged(suffix: str) -> Path:
    path = Path(str(resources.files("keenkite.encoder") / "tiny" / f"{TINY}.{suffix}"))
    if not path.is_file():
        raise ModelError(f"{path.name} is missing from this installation. Install keenkite again.")
    return path


def _tagged(name: str, tag: str, repo: str) -> ModelRecord:
    """Weights of open_clip's authors: plain GELU, OpenAI's scaling."""
    return ModelRecord(
        name=name,
        architecture=tag.partition(":")[0],
        quick_gelu=False,
        source=HubFile(repo=repo, files=OPEN_CLIP_FILES),
        tag=tag,
    )


# RemoteCLIP and GeoRSCLIP B/32 and L/14 were fine-tuned from OpenAI's CLIP: QuickGELU, though the
# snippets in both READMEs build it from names that let open_clip fall back to GELU. FarSLIP is too,
# and says so (--force-quick-gelu). GeoRSCLIP H/14 and MS-CLIP began from LAION's: GELU.
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
        ModelRecord(
            name="georsclip-vit-h-14",
            architecture="ViT-H-14",
            quick_gelu=False,
            source=HubFile(repo="Zilun/GeoRSCLIP", files=("ckpt/RS5M_ViT-H-14.pt",)),
        ),
        ModelRecord(
            name="farslip1-vit-b-32",
            architecture="ViT-B-32-quickgelu",
            quick_gelu=True,
            source=HubFile(repo="ZhenShiL/FarSLIP", files=("FarSLIP1_ViT-B-32.pt",)),
            file_says=True,
        ),
        ModelRecord(
            name="farslip1-vit-b-16",
            architecture="ViT-B-16-quickgelu",
            quick_gelu=True,
            source=HubFile(repo="ZhenShiL/FarSLIP", files=("FarSLIP1_ViT-B-16.pt",)),
            file_says=True,
        ),
        ModelRecord(
            name="llama3-ms-clip-base",
            architecture="ViT-B-16",
            quick_gelu=False,
            source=HubFile(
                repo="ibm-esa-geospatial/Llama3-MS-CLIP-base", files=("Llama3_MS_CLIP_weights.pt",)
            ),
            bands=("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12"),
            mean=(
                925.161, 1183.128, 1338.041, 1667.254, 2233.633,
                2460.96, 2555.569, 2619.542, 2406.497, 1841.645,
            ),
            std=(
                1205.586, 1223.713, 1399.638, 1403.298, 1378.513,
                1434.924, 1491.141, 1454.089, 1473.248, 1365.08,
            ),
        ),
        _tagged(
            "datacomp-vit-l-14",
            "ViT-L-14:datacomp_xl_s13b_b90k",
            "laion/CLIP-ViT-L-14-DataComp.XL-s13B-b90K",
        ),
        _tagged(
            "commonpool-vit-l-14",
            "ViT-L-14:commonpool_xl_laion_s13b_b90k",
            "laion/CLIP-ViT-L-14-CommonPool.XL.laion-s13B-b90K",
        ),
        _tagged(
            "laion-vit-h-14", "ViT-H-14:laion2b_s32b_b79k", "laion/CLIP-ViT-H-14-laion2B-s32B-b79K"
        ),
    )
}  # fmt: skip

TAGS: Mapping[str, str] = {record.tag: name for name, record in RECORDS.items() if record.tag}
"""open_clip tag -> the name it has here: one name for one space of vectors."""

REPOSITORIES: Mapping[str, str] = {
    record.source.repo: name
    for name, record in RECORDS.items()
    if record.tag and isinstance(record.source, HubFile)
}
"""Repository that open_clip made -> the name its weights have here."""
