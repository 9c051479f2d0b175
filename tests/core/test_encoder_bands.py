"""Llama3-MS-CLIP: ten bands, against CLIP's formulas written out in float64."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from keenkite import ClipEncoder, heatmap
from keenkite.encoder import bands_of, name_of
from keenkite.encoder.checkpoint import read_checkpoint
from keenkite.encoder.records import RECORDS
from keenkite.encoder.shapes import looks_like
from keenkite.errors import InputError, ModelError
from keenkite.sensors import SENTINEL2
from tests.support.checkpoints import (
    SMALL_TEXT,
    lightning_state,
    load_as,
    random_state,
    register,
    save_ms_clip,
    ten_bands,
    tiles,
    tokenize,
)
from tests.support.clip_reference import Reference
from tests.support.paths import SHARED

NAME = "llama3-ms-clip-base"
BANDS = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")
MEANS = (
    925.161, 1183.128, 1338.041, 1667.254, 2233.633,
    2460.96, 2555.569, 2619.542, 2406.497, 1841.645,
)  # fmt: skip
DEVIATIONS = (
    1205.586, 1223.713, 1399.638, 1403.298, 1378.513,
    1434.924, 1491.141, 1454.089, 1473.248, 1365.08,
)  # fmt: skip
TEXTS = ["a satellite image of an airport", "sea", "rice fields beside a river in spring"]
BASE = "clip_base_model.model."


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights of the whole model, in the published file's format."""
    return save_ms_clip(
        "ViT-B-16", tmp_path_factory.mktemp("ms") / "Llama3_MS_CLIP_weights.pt", seed=4
    )


@pytest.fixture(scope="module")
def encoder(file: Path) -> ClipEncoder:
    return ClipEncoder.load(NAME, weights=file, device="cpu", precision="fp32")


@pytest.fixture(scope="module")
def reference(file: Path) -> Reference:
    state = torch.load(file, weights_only=True)
    return Reference(state, quick_gelu=False, heads=12, text_heads=8, prefix=BASE)


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("narrow")
    vision = {"layers": 2, "width": 128}
    return register(folder, "bands-B-16", "ViT-B-16", vision=vision, text=SMALL_TEXT)


def normalised(bands: npt.NDArray[np.uint16]) -> npt.NDArray[np.float64]:
    return (bands.astype(np.float64) - np.array(MEANS)) / np.array(DEVIATIONS)


def real_tiles() -> list[Path | None]:
    return [*sorted((SHARED / "data" / "msclip").glob("*.tif"))]


def read_real(path: Path) -> npt.NDArray[np.uint16]:
    """uint16 (1, 224, 224, 10): the files have B01 … B12 without B10; B01 and B09 are not seen."""
    import rasterio

    with rasterio.open(path) as opened:
        everything = opened.read().clip(0).astype(np.uint16)
    return np.delete(everything, [0, 9], axis=0).transpose(1, 2, 0)[None]


def test_it_declares_its_bands_in_order_and_the_sensor_has_them(encoder: ClipEncoder) -> None:
    assert encoder.bands == bands_of(encoder) == BANDS
    assert [SENTINEL2.band(name).name for name in encoder.bands] == list(BANDS)
    assert (encoder.name, encoder.dim) == (NAME, 512)
    record = RECORDS[NAME]
    assert (record.bands, record.mean, record.std) == (BANDS, MEANS, DEVIATIONS)


def test_vectors_of_drawn_bands_are_those_of_clips_formulas(
    encoder: ClipEncoder, reference: Reference
) -> None:
    bands = ten_bands(1)
    assert bands.max() > 32_767, "numbers that a signed one could not hold"
    expected = reference.image_vector(normalised(bands[0]))
    np.testing.assert_allclose(encoder.encode_images(bands)[0], expected, atol=1e-5)
    reference.quick_gelu = True
    try:
        other = reference.image_vector(normalised(bands[0]))
    finally:
        reference.quick_gelu = False
    assert np.abs(other - expected).max() > 1e-3, "the activation is not to be missed"


ONE, *OTHERS = real_tiles() or [None]


@pytest.mark.parametrize(
    "path",
    [ONE, *(pytest.param(other, marks=pytest.mark.slow) for other in OTHERS)],
    ids=lambda path: path.stem if path else "none",
)
def test_vectors_of_real_tiles_are_those_of_clips_formulas(
    encoder: ClipEncoder, reference: Reference, path: Path | None
) -> None:
    if path is None:
        pytest.skip("the real tiles of shared/data/msclip are not here")
    bands = read_real(path)
    expected = reference.image_vector(normalised(bands[0]))
    np.testing.assert_allclose(encoder.encode_images(bands)[0], expected, atol=1e-5)


def test_vectors_of_texts_are_those_of_clips_formulas(
    encoder: ClipEncoder, reference: Reference
) -> None:
    vectors = encoder.encode_texts(TEXTS)
    for vector, tokens in zip(vectors, tokenize(TEXTS).tolist(), strict=True):
        expected = reference.text_vector(tokens[: int(np.argmax(tokens)) + 1])
        np.testing.assert_allclose(vector, expected, atol=1e-5)


def test_patch_features_of_ten_channels_are_the_papers(
    encoder: ClipEncoder, reference: Reference
) -> None:
    bands = ten_bands(1, seed=1)
    vectors, patches = encoder.encode_with_patches(bands)
    assert patches.shape == (1, 14, 14, 512)
    expected = reference.patch_features(normalised(bands[0]))
    np.testing.assert_allclose(patches[0], expected, atol=1e-4)
    np.testing.assert_allclose(vectors, encoder.encode_images(bands), atol=1e-5)


def test_every_band_counts_by_its_place(narrow: str, tmp_path: Path) -> None:
    record = replace(RECORDS[NAME], architecture=narrow)
    encoder = load_as(record, save_ms_clip(narrow, tmp_path / "model.pt"))
    bands = np.repeat(ten_bands(1), 12, axis=0)
    for k in range(10):
        bands[k, ..., k] //= 2
    bands[10] = bands[10][..., ::-1]
    vectors = encoder.encode_images(bands)
    assert (np.abs(vectors[:11] - vectors[11]).max(axis=1) > 1e-3).all()


def test_other_pixels_are_refused_with_the_bands_it_wants(encoder: ClipEncoder) -> None:
    wrong: list[npt.NDArray[Any]] = [
        tiles(1),
        ten_bands(1).astype(np.float32),
        ten_bands(1)[..., :9],
        ten_bands(1).astype(np.int16),
    ]
    for pixels in wrong:
        for method in (encoder.encode_images, encoder.patch_features, encoder.encode_with_patches):
            with pytest.raises(InputError, match=r"uint16 .*\(n, 224, 224, 10\).*B02, .*, B12"):
                method(pixels)


def test_heatmaps_take_the_bands(encoder: ClipEncoder) -> None:
    bands = ten_bands(1)[0]
    heat = heatmap(encoder, bands, "airport", background=("forest", "sea", "a city"))
    assert heat.values.shape == (224, 224)
    assert heat.grid.shape == (14, 14)
    with pytest.raises(InputError, match=r"Tiles are uint16 \(n, 224, 224, 10\); these are uint8"):
        heatmap(encoder, tiles(1)[0], "airport")


def test_nothing_in_gives_nothing_out(encoder: ClipEncoder) -> None:
    assert encoder.encode_images(ten_bands(1)[:0]).shape == (0, 512)
    assert encoder.patch_features(ten_bands(1)[:0]).shape == (0, 14, 14, 512)


@pytest.fixture(scope="module")
def saved(narrow: str) -> dict[str, torch.Tensor]:
    return lightning_state(random_state(narrow, channels=10))


def test_the_clip_in_the_lightning_module_is_read_and_nothing_else(
    saved: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    path = tmp_path / "model.pt"
    for whole in (saved, {"state_dict": saved, "epoch": 3}):
        torch.save(whole, path)
        state = read_checkpoint(path)
        assert set(state) == {k.removeprefix(BASE) for k in saved if k.startswith(BASE)}
        for key, value in state.items():
            torch.testing.assert_close(value, saved[BASE + key], rtol=0, atol=0)


def test_copies_with_memory_of_their_own_may_be_equal(
    saved: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    torch.save({key: value.clone() for key, value in saved.items()}, tmp_path / "model.pt")
    assert len(read_checkpoint(tmp_path / "model.pt")) * 3 + 1 == len(saved)


@pytest.mark.parametrize(
    "key", ["image_encoder.model.visual.conv1.weight", "text_encoder.model.ln_final.bias"]
)
@pytest.mark.parametrize(
    "change",
    [lambda v: v + 1e-6, lambda v: v.double(), lambda v: v[:-1]],
    ids=["value", "type", "shape"],
)
def test_a_copy_that_differs_is_refused(
    saved: dict[str, torch.Tensor], tmp_path: Path, key: str, change: Any
) -> None:
    torch.save(saved | {key: change(saved[key])}, tmp_path / "model.pt")
    with pytest.raises(ModelError, match=rf"{key} differs from clip_base_model\.model\."):
        read_checkpoint(tmp_path / "model.pt")


@pytest.mark.parametrize("extra", ["image_encoder.model.visual.extra", "image_projection.weight"])
def test_what_is_in_no_part_of_it_does_not_fit(file: Path, tmp_path: Path, extra: str) -> None:
    state = torch.load(file, weights_only=True)
    torch.save(state | {extra: torch.zeros(2)}, tmp_path / "model.pt")
    with pytest.raises(ModelError, match=f"unexpected 1: {extra}"):
        ClipEncoder.load(NAME, weights=tmp_path / "model.pt", device="cpu")


def test_a_part_that_is_missing_is_named(file: Path, tmp_path: Path) -> None:
    state = torch.load(file, weights_only=True)
    kept = {key: value for key, value in state.items() if not key.endswith("visual.proj")}
    torch.save(kept, tmp_path / "model.pt")
    with pytest.raises(ModelError, match=r"missing 1: visual\.proj"):
        ClipEncoder.load(NAME, weights=tmp_path / "model.pt", device="cpu")


def test_it_and_models_of_three_channels_are_told_apart(
    file: Path, vit_b_32: Path, tmp_path: Path
) -> None:
    looks = "looks like ViT-B-16 with 10 channels"
    with pytest.raises(ModelError, match=looks):
        ClipEncoder.load("remoteclip-vit-b-32", weights=file, device="cpu")
    with pytest.raises(ModelError, match=looks):
        ClipEncoder.load(f"ViT-B-16:{file}", device="cpu")
    with pytest.raises(ModelError, match=r"looks like ViT-B-32\. "):
        ClipEncoder.load(NAME, weights=vit_b_32, device="cpu")


def test_the_file_alone_is_known_by_its_name_or_by_its_shapes(file: Path, tmp_path: Path) -> None:
    assert name_of(file) == NAME
    mine = tmp_path / "mine.pt"
    mine.symlink_to(file)
    encoder = ClipEncoder.load(mine, device="cpu")
    assert encoder.name == name_of(mine)
    assert encoder.name.startswith("ViT-B-16@")
    assert encoder.bands == BANDS


def test_shapes_that_no_architecture_has_are_described(saved: dict[str, torch.Tensor]) -> None:
    state = {k.removeprefix(BASE): v for k, v in saved.items() if k.startswith(BASE)}
    state["visual.conv1.weight"] = torch.zeros(100, 7, 9, 9)
    assert looks_like(state) == (
        "a vision transformer of 2 layers of width 100 with patches of 9 px and 7 channels"
    )
