"""Names of models: the published ones, open_clip's tags, and checkpoint files."""

from collections.abc import Mapping
from pathlib import Path

import open_clip
import pytest
import torch
from open_clip.pretrained import get_pretrained_cfg

from keenkite.encoder.models import find_record, record_of_checkpoint
from keenkite.encoder.records import RECORDS, TAGS, HubFile, ModelRecord
from keenkite.encoder.weights import build_model
from keenkite.errors import InputError, ModelError
from tests.support.checkpoints import SMALL_TEXT, on_meta, random_state, register, save_random
from tests.support.paths import ROOT


@pytest.mark.parametrize(
    ("name", "repo", "file", "dim", "quick_gelu"),
    [
        ("remoteclip-vit-b-32", "chendelong/RemoteCLIP", "RemoteCLIP-ViT-B-32.pt", 512, True),
        ("remoteclip-vit-l-14", "chendelong/RemoteCLIP", "RemoteCLIP-ViT-L-14.pt", 768, True),
        ("georsclip-vit-b-32", "Zilun/GeoRSCLIP", "ckpt/RS5M_ViT-B-32.pt", 512, True),
        ("georsclip-vit-l-14", "Zilun/GeoRSCLIP", "ckpt/RS5M_ViT-L-14.pt", 768, True),
        ("georsclip-vit-h-14", "Zilun/GeoRSCLIP", "ckpt/RS5M_ViT-H-14.pt", 1024, False),
        ("farslip1-vit-b-32", "ZhenShiL/FarSLIP", "FarSLIP1_ViT-B-32.pt", 512, True),
        ("farslip1-vit-b-16", "ZhenShiL/FarSLIP", "FarSLIP1_ViT-B-16.pt", 512, True),
        (
            "llama3-ms-clip-base",
            "ibm-esa-geospatial/Llama3-MS-CLIP-base",
            "Llama3_MS_CLIP_weights.pt",
            512,
            False,
        ),
    ],
)
def test_published_models_have_their_files_and_their_activation(
    name: str, repo: str, file: str, dim: int, quick_gelu: bool
) -> None:
    record = find_record(name)
    assert isinstance(record, ModelRecord)
    assert record.source == HubFile(repo=repo, files=(file,))
    config = record.config()
    assert config["quick_gelu"] is quick_gelu
    assert config["embed_dim"] == dim
    if record.bands is None:
        assert (record.mean, record.std) == (
            open_clip.OPENAI_DATASET_MEAN,
            open_clip.OPENAI_DATASET_STD,
        )


@pytest.mark.parametrize("name", RECORDS)
def test_every_record_loads_the_shapes_of_its_architecture_and_no_others(name: str) -> None:
    """On tensors without memory: the largest model has 3.9 GB of them."""
    record = RECORDS[name]
    meta = on_meta(record.architecture, channels=record.channels)
    state: dict[str, torch.Tensor] = dict(meta.state_dict())
    model = build_model(record, state, Path("whole.pt"))
    assert {k: v.shape for k, v in model.state_dict().items()} == {
        k: v.shape for k, v in state.items()
    }
    first = state.pop("visual.class_embedding")
    with pytest.raises(ModelError, match=rf"weights of {name} .*: missing 1: visual\.class_emb"):
        build_model(record, state, Path("less.pt"))
    wider = state | {"visual.class_embedding": torch.cat([first, first])}
    with pytest.raises(ModelError, match=r"of another shape 1: visual\.class_embedding"):
        build_model(record, wider, Path("wider.pt"))


@pytest.mark.parametrize(
    ("name", "tag"),
    [
        ("datacomp-vit-l-14", "ViT-L-14:datacomp_xl_s13b_b90k"),
        ("commonpool-vit-l-14", "ViT-L-14:commonpool_xl_laion_s13b_b90k"),
        ("laion-vit-h-14", "ViT-H-14:laion2b_s32b_b79k"),
    ],
)
def test_a_record_of_an_open_clip_tag_is_what_the_tag_means(name: str, tag: str) -> None:
    record = RECORDS[name]
    published = get_pretrained_cfg(*tag.split(":"))
    assert isinstance(record.source, HubFile)
    assert published["hf_hub"] == f"{record.source.repo}/"
    assert record.quick_gelu == published.get("quick_gelu", False)
    assert (record.mean, record.std) == (published["mean"], published["std"])
    # One name for one space of vectors, however its weights are asked for.
    for asked in (name, tag, tag.replace("_", "-"), f"hf-hub:{record.source.repo}"):
        assert find_record(asked) is record


def test_the_document_has_every_record_with_what_it_sees_and_gives() -> None:
    rows = {}
    for line in (ROOT / "docs" / "models.md").read_text("utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 6 and cells[0].startswith("`"):
            rows[cells[0].strip("`")] = cells
    assert list(rows) == [*RECORDS, "keenkite-tiny"]
    for name, cells in rows.items():
        record = find_record(name)
        assert isinstance(record, ModelRecord)
        config = record.config()
        assert cells[5] == str(config["embed_dim"])
        metres = 2240 // (224 // config["vision_cfg"]["patch_size"])
        assert cells[2] == f"{metres} m"
        if record.bands is not None:
            assert cells[1] == f"ten bands, {record.bands[0]} … {record.bands[-1]}"


ALL_TAGS = [f"{architecture}:{tag}" for architecture, tag in open_clip.list_pretrained()]


def test_every_tag_of_open_clip_is_a_record_or_refused_with_a_reason() -> None:
    usable, refused = [], {}
    for name in ALL_TAGS:
        try:
            record = find_record(name)
        except ModelError as error:
            refused[name] = str(error)
            continue
        assert isinstance(record, ModelRecord)
        assert isinstance(record.source, HubFile)
        published = get_pretrained_cfg(*name.split(":"))
        assert record.name == TAGS.get(name, name)
        assert record.quick_gelu == record.config()["quick_gelu"]
        assert record.quick_gelu == published.get("quick_gelu", False)
        assert record.mean == tuple(published.get("mean", open_clip.OPENAI_DATASET_MEAN))
        assert record.std == tuple(published.get("std", open_clip.OPENAI_DATASET_STD))
        owner, _, repo = record.source.repo.partition("/")
        assert owner
        assert repo
        assert "/" not in repo
        assert published["hf_hub"].startswith(record.source.repo)
        usable.append(name)
    assert set(TAGS) <= set(usable)
    for expected in (
        "ViT-B-32:openai",
        "ViT-B-32:laion2b_s34b_b79k",
        "ViT-B-16:openai",
        "RN50:openai",
        "convnext_base:laion400m_s13b_b51k",
        "ViT-L-14-336:openai",
        "EVA02-L-14-336:merged2b_s6b_b61k",
        "PE-Core-L-14-336:meta",
        "ViT-B-16-SigLIP2-384:webli",
        "ViT-H-14-378-quickgelu:dfn5b",
    ):
        assert expected in usable
    for name, reason in refused.items():
        architecture = name.split(":")[0]
        assert architecture in reason
        assert open_clip.get_model_config(architecture)["text_cfg"].get("hf_model_name") or (
            architecture.startswith("coca")
        )
    for expected in (
        "xlm-roberta-base-ViT-B-32:laion5b_s13b_b90k",
        "coca_ViT-B-32:laion2b_s13b_b90k",
    ):
        assert expected in refused


def test_openais_weights_get_quickgelu_whatever_the_architecture_is_called() -> None:
    for name in ("ViT-B-32:openai", "ViT-B-32-quickgelu:openai", "ViT-B/32:openai"):
        record = find_record(name)
        assert isinstance(record, ModelRecord)
        assert record.quick_gelu


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(InputError) as caught:
        find_record("remoteclip")
    for known in (*RECORDS, "keenkite-tiny", "ViT-B-16:openai", "hf-hub:owner/name"):
        assert known in str(caught.value)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    "name",
    ["", ":", "ViT-B-32", "no-such-architecture:openai", "hf-hub:", "hf-hub:a", "hf-hub:a/b/../c"],
)
def test_names_that_are_none_of_these_are_refused(name: str) -> None:
    with pytest.raises(InputError, match="There is no model"):
        find_record(name)


def test_an_unknown_tag_lists_the_architectures_tags() -> None:
    with pytest.raises(InputError, match=r"neither a file nor a tag of ViT-B-16.*: openai, laion"):
        find_record("ViT-B-16:opnai")


def test_a_missing_checkpoint_is_reported_as_one() -> None:
    with pytest.raises(ModelError, match=r"no checkpoint file missing\.pt"):
        find_record("missing.pt")


@pytest.mark.parametrize(
    ("like", "quick_gelu"), [("ViT-B-32", False), ("ViT-B-32-quickgelu", True)]
)
def test_a_file_has_the_activation_of_the_architecture_it_is_named_with(
    tmp_path: Path, like: str, quick_gelu: bool
) -> None:
    path = tmp_path / "mine.pt"
    path.write_bytes(b"weights")
    record = find_record(f"{like}:{path}")
    assert isinstance(record, ModelRecord)
    assert record.config()["quick_gelu"] is quick_gelu
    assert record.source == path
    assert record.name.startswith(f"{like}@")


def test_a_home_folder_is_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    path = tmp_path / "mine.pt"
    path.write_bytes(b"weights")
    record = find_record("ViT-B-32:~/mine.pt")
    assert isinstance(record, ModelRecord)
    assert record.source == path
    assert find_record("~/mine.pt") == path


def test_shapes_that_no_known_model_has_ask_for_the_architecture(tmp_path: Path) -> None:
    name = register(
        tmp_path, "models-B-16", "ViT-B-16", vision={"layers": 2, "width": 128}, text=SMALL_TEXT
    )
    state = random_state(name)
    path = save_random(name, tmp_path / "RemoteCLIP-ViT-B-32.pt")
    with pytest.raises(ModelError, match="its architecture is not known from its shapes"):
        record_of_checkpoint(path, state)
    with pytest.raises(ModelError, match="its architecture is not known from its shapes"):
        record_of_checkpoint(path, {"linear.weight": state["visual.proj"]})


def test_a_file_of_a_known_shape_is_told_apart_by_its_published_name(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    state = on_meta("ViT-H-14").state_dict()
    published, usual = tmp_path / "RS5M_ViT-H-14.pt", tmp_path / "open_clip_model.safetensors"
    for path in (published, usual):
        path.write_bytes(b"weights")
    assert record_of_checkpoint(published, state) is RECORDS["georsclip-vit-h-14"]
    assert not caplog.records
    # Every repository of open_clip's has a file of this name.
    other = record_of_checkpoint(usual, state)
    assert other.name.startswith("ViT-H-14@")
    assert (other.quick_gelu, other.tag, other.source) == (False, None, usual)
    assert "(plain GELU)" in caplog.text
    assert f"trained with QuickGELU, name it 'ViT-H-14-quickgelu:{usual}'" in caplog.text


def test_what_an_unknown_file_looks_like_is_said(tmp_path: Path) -> None:
    state: Mapping[str, torch.Tensor] = on_meta("ViT-g-14").state_dict()
    with pytest.raises(ModelError, match="not known from its shapes, which look like ViT-g-14"):
        record_of_checkpoint(tmp_path / "mine.pt", state)


def test_a_record_gives_a_fresh_configuration_each_time() -> None:
    record = RECORDS["remoteclip-vit-b-32"]
    record.config()["vision_cfg"]["layers"] = 1
    record.config()["quick_gelu"] = False
    assert record.config()["vision_cfg"]["layers"] == 12
    assert record.config()["quick_gelu"] is True
