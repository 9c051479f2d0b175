"""Names of models: the published ones, open_clip's tags, and checkpoint files."""

from pathlib import Path

import open_clip
import pytest
from tests.support.checkpoints import SMALL_TEXT, random_state, register, save_random
from open_clip.pretrained import get_pretrained_cfg

from keenkite.encoder.models import RECORDS, HubFile, ModelRecord, find_record, record_of_checkpoint
from keenkite.errors import InputError, ModelError


@pytest.mark.parametrize(
    ("name", "repo", "file", "dim"),
    [
        ("remoteclip-vit-b-32", "chendelong/RemoteCLIP", "RemoteCLIP-ViT-B-32.pt", 512),
        ("remoteclip-vit-l-14", "chendelong/RemoteCLIP", "RemoteCLIP-ViT-L-14.pt", 768),
        ("georsclip-vit-b-32", "Zilun/GeoRSCLIP", "ckpt/RS5M_ViT-B-32.pt", 512),
        ("georsclip-vit-l-14", "Zilun/GeoRSCLIP", "ckpt/RS5M_ViT-L-14.pt", 768),
    ],
)
def test_published_models_have_their_files_and_quickgelu(
    name: str, repo: str, file: str, dim: int
) -> None:
    record = find_record(name)
    assert isinstance(record, ModelRecord)
    assert record.source == HubFile(repo=repo, files=(file,))
    config = record.config()
    assert config["quick_gelu"] is True
    assert config["embed_dim"] == dim
    assert (record.mean, record.std) == (
        open_clip.OPENAI_DATASET_MEAN,
        open_clip.OPENAI_DATASET_STD,
    )


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
        assert record.name == name
        assert record.quick_gelu == record.config()["quick_gelu"]
        assert record.quick_gelu == published.get("quick_gelu", False)
        assert record.mean == published.get("mean", open_clip.OPENAI_DATASET_MEAN)
        assert record.std == published.get("std", open_clip.OPENAI_DATASET_STD)
        owner, _, repo = record.source.repo.partition("/")
        assert owner
        assert repo
        assert "/" not in repo
        assert published["hf_hub"].startswith(record.source.repo)
        usable.append(name)
    assert all(name.split(":")[0] in reason for name, reason in refused.items())
    for expected in (
        "ViT-B-32:openai",
        "ViT-B-32:laion2b_s34b_b79k",
        "ViT-B-16:openai",
        "ViT-L-14:datacomp_xl_s13b_b90k",
        "RN50:openai",
        "convnext_base:laion400m_s13b_b51k",
    ):
        assert expected in usable
    for expected in (
        "ViT-B-16-SigLIP:webli",  # another tokenizer
        "xlm-roberta-base-ViT-B-32:laion5b_s13b_b90k",
        "coca_ViT-B-32:laion2b_s13b_b90k",
        "ViT-L-14-336:openai",  # another size of image
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
    for known in (*RECORDS, "keenkite-tiny", "ViT-B-16:openai"):
        assert known in str(caught.value)


@pytest.mark.parametrize("name", ["", ":", "ViT-B-32", "no-such-architecture:openai", "hf-hub:a/b"])
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


def test_a_record_gives_a_fresh_configuration_each_time() -> None:
    record = RECORDS["remoteclip-vit-b-32"]
    record.config()["vision_cfg"]["layers"] = 1
    record.config()["quick_gelu"] = False
    assert record.config()["vision_cfg"]["layers"] == 12
    assert record.config()["quick_gelu"] is True
