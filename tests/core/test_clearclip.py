"""Patch features against the paper's formulas, written out in float64; towers it is not for."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import open_clip
import pytest
import torch
from PIL import Image

from keenkite import ClipEncoder
from keenkite.encoder import clearclip
from keenkite.encoder.records import RECORDS
from keenkite.encoder.sight import Sight
from keenkite.errors import InputError, ModelError
from tests.support.checkpoints import (
    SMALL_TEXT,
    on_meta,
    open_clip_model,
    register,
    save_random,
    tiles,
)
from tests.support.clip_reference import Reference


def reference_of(architecture: str, checkpoint: Path) -> Reference:
    state = torch.load(checkpoint, weights_only=True)
    return Reference.of(open_clip.get_model_config(architecture), state)


def normalised(rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    mean, std = open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD
    return (rgb / 255.0 - np.array(mean)) / np.array(std)


def load(architecture: str, file: Path) -> ClipEncoder:
    return ClipEncoder.load(f"{architecture}:{file}", device="cpu", precision="fp32")


def assert_is_clearclip(ours: ClipEncoder, architecture: str, file: Path) -> None:
    """Both ways to patch features equal the reference, and the vectors stay what they are."""
    rgb = tiles(2)[1:]
    reference = reference_of(architecture, file)
    expected = reference.patch_features(normalised(rgb[0]))
    vectors, patches = ours.encode_with_patches(rgb)
    np.testing.assert_allclose(patches[0], expected, atol=1e-4)
    if reference.layers < 24:  # a large tower takes its time
        np.testing.assert_allclose(ours.patch_features(rgb)[0], expected, atol=1e-4)
    np.testing.assert_allclose(vectors, ours.encode_images(rgb), atol=1e-5)


def test_patch_features_of_remoteclip_vit_b_32_are_the_papers(
    remoteclip_b_32: ClipEncoder, vit_b_32: Path
) -> None:
    assert_is_clearclip(remoteclip_b_32, "ViT-B-32-quickgelu", vit_b_32)


@pytest.mark.slow
def test_patch_features_of_remoteclip_vit_l_14_are_the_papers(
    remoteclip_l_14: ClipEncoder, vit_l_14: Path
) -> None:
    assert_is_clearclip(remoteclip_l_14, "ViT-L-14-quickgelu", vit_l_14)


@pytest.mark.parametrize(
    ("like", "layers"),
    [("ViT-B-16-quickgelu", 12), ("ViT-B-16", 3), ("ViT-B-32", 3), ("ViT-L-14", 3)],
)
def test_patch_features_of_other_sizes_and_of_plain_gelu_are_the_papers(
    tmp_path: Path, like: str, layers: int
) -> None:
    name = register(tmp_path, f"short-{like}", like, vision={"layers": layers}, text=SMALL_TEXT)
    file = save_random(name, tmp_path / "model.pt")
    assert_is_clearclip(load(name, file), name, file)


VARIANTS: dict[str, dict[str, Any]] = {
    "no norm before": {"no_ln_pre": True},
    "norm after pooling": {"final_ln_after_pool": True},
    "mean over patches": {"pool_type": "avg"},
    "mean over patches, norm after pooling": {"pool_type": "avg", "final_ln_after_pool": True},
    "layer scale": {"ls_init_value": 1e-4},
    "patch dropout in training": {"patch_dropout": 0.5},
    "sine positions": {"pos_embed_type": "sin_cos_2d"},
    "open_clip's own attention": {"block_type": "custom"},
    "norms of queries and keys": {"qk_norm": True},
    "scaled heads": {"scale_heads": True},
    "norms inside": {"scale_attn_inner": True, "scale_attn": True, "scale_fc": True},
    "one block": {"layers": 1},
    "narrow heads": {"head_width": 32},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_patch_features_of_variants_are_the_papers(tmp_path: Path, variant: str) -> None:
    vision = {"layers": 3, "width": 128, "patch_size": 16, **VARIANTS[variant]}
    name = register(
        tmp_path, f"variant-{variant}", "ViT-B-16-quickgelu", vision=vision, text=SMALL_TEXT
    )
    file = save_random(name, tmp_path / "model.pt")
    assert_is_clearclip(load(name, file), name, file)


def test_patch_features_are_the_same_without_torchs_fused_attention(
    remoteclip_b_32: ClipEncoder, vit_b_32: Path
) -> None:
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
            assert_is_clearclip(remoteclip_b_32, "ViT-B-32-quickgelu", vit_b_32)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


def test_gradients_flow_through_vector_and_patches(vit_b_32: Path) -> None:
    """What a training loop needs; and the paper's features do not depend on the mode."""
    visual = open_clip_model("ViT-B-32-quickgelu", vit_b_32).visual
    x = torch.from_numpy(normalised(tiles(1))).float().permute(0, 3, 1, 2)
    vectors, patches = clearclip.trunk_and_patches(visual, x)
    torch.testing.assert_close(vectors, visual(x), rtol=0, atol=1e-5)
    (vectors.sum() + patches.sum()).backward()
    for name, parameter in visual.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """Few blocks of ViT-B-32: name and checkpoint."""
    folder = tmp_path_factory.mktemp("short")
    name = register(
        folder, "short-B-32", "ViT-B-32-quickgelu", vision={"layers": 3}, text=SMALL_TEXT
    )
    return name, save_random(name, folder / "model.pt")


@pytest.mark.parametrize("scale", [2, 3])
def test_a_finer_grid_is_the_enlarged_tile_with_open_clips_resized_positions(
    short: tuple[str, Path], scale: int
) -> None:
    name, file = short
    rgb, side = tiles(1), 224 * scale
    large = on_meta(name)
    large.visual.grid_size = (7 * scale, 7 * scale)
    state = torch.load(file, weights_only=True)
    open_clip.model.resize_pos_embed(state, large)
    positions = state["visual.positional_embedding"].numpy().astype(np.float64)
    enlarged = np.asarray(Image.fromarray(rgb[0]).resize((side, side), Image.Resampling.BICUBIC))

    ours = load(name, file).patch_features(rgb, grid_scale=scale)

    assert ours.shape == (1, 7 * scale, 7 * scale, 512)
    expected = reference_of(name, file).patch_features(normalised(enlarged), positions)
    # torch and pillow round a few bytes of the enlarged tile differently, by one.
    np.testing.assert_allclose(ours[0], expected, atol=1e-3)


def test_a_grid_scale_of_one_changes_nothing(short: tuple[str, Path]) -> None:
    ours = load(*short)
    np.testing.assert_array_equal(
        ours.patch_features(tiles(1), grid_scale=1), ours.patch_features(tiles(1))
    )


@pytest.mark.parametrize("scale", [0, 5, 1.5, "2", None])
def test_other_grid_scales_are_refused(short: tuple[str, Path], scale: Any) -> None:
    with pytest.raises(InputError, match="grid_scale is 1, 2, 3 or 4"):
        load(*short).patch_features(tiles(1), grid_scale=scale)


def their_vectors(model: Any, rgb: npt.NDArray[np.uint8], side: int) -> npt.NDArray[np.float32]:
    x = Sight(RECORDS["remoteclip-vit-b-32"], side, torch.device("cpu"))(rgb)
    with torch.inference_mode():
        return model.eval().encode_image(x, normalize=True).numpy()


@pytest.mark.parametrize(
    ("tower", "vision"),
    [
        ("ModifiedResNet", {"layers": [1, 1, 1, 1], "width": 16, "patch_size": None}),
        ("TimmModel", {"timm_model_name": "convnext_atto", "timm_pool": "", "timm_proj": "linear"}),
        # The kinds of EVA02 and PE, in their smallest sizes.
        (
            "TimmModel",
            {"timm_model_name": "eva02_tiny_patch14_224", "timm_pool": "", "timm_proj": "linear"},
        ),
        (
            "TimmModel",
            {
                "timm_model_name": "vit_pe_core_tiny_patch16_384",
                "timm_pool": "",
                "timm_proj": "linear",
                "image_size": 384,
            },
        ),
    ],
)
def test_a_tower_without_a_transformer_gives_vectors_and_no_patch_features(
    tmp_path: Path, tower: str, vision: dict[str, Any]
) -> None:
    name = register(tmp_path, f"tower-{len(str(vision))}", "RN50", vision=vision, text=SMALL_TEXT)
    theirs = open_clip.create_model(name).eval()
    file = tmp_path / "model.pt"
    torch.save(theirs.state_dict(), file)
    ours = load(name, file)
    side = vision.get("image_size", 224)
    np.testing.assert_allclose(
        ours.encode_images(tiles(2)), their_vectors(theirs, tiles(2), side), atol=1e-5
    )
    for method in (ours.patch_features, ours.encode_with_patches):
        with pytest.raises(ModelError, match=f"{tower}. Choose a ViT model"):
            method(tiles(1))


@pytest.mark.parametrize("pool", [True, "parallel", "cascade"])
def test_attentional_pooling_is_refused(pool: bool | str) -> None:
    visual = open_clip.transformer.VisionTransformer(
        32, 16, 64, 2, 1, 4.0, attentional_pool=pool, attn_pooler_queries=4, output_dim=64
    )
    with pytest.raises(ModelError, match="another attention"):
        clearclip.patches(visual, torch.zeros(1, 3, 32, 32))


def test_scaled_cosine_attention_is_refused() -> None:
    visual = open_clip.transformer.VisionTransformer(
        32, 16, 64, 2, 1, 4.0, scaled_cosine_attn=True, output_dim=64
    )
    with pytest.raises(ModelError, match="scaled cosine"):
        clearclip.patches(visual, torch.zeros(1, 3, 32, 32))
