"""Models that several files test, made once: random weights in the format of RemoteCLIP's files."""

from pathlib import Path

import pytest
from checkpoints import save_random

from keenkite import ClipEncoder


@pytest.fixture(scope="session")
def vit_b_32(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("vit_b_32")
    return save_random("ViT-B-32-quickgelu", folder / "RemoteCLIP-ViT-B-32.pt")


@pytest.fixture(scope="session")
def vit_l_14(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("vit_l_14")
    return save_random("ViT-L-14-quickgelu", folder / "RemoteCLIP-ViT-L-14.pt")


@pytest.fixture(scope="session")
def remoteclip_b_32(vit_b_32: Path) -> ClipEncoder:
    return ClipEncoder.load("remoteclip-vit-b-32", weights=vit_b_32, device="cpu", precision="fp32")


@pytest.fixture(scope="session")
def remoteclip_l_14(vit_l_14: Path) -> ClipEncoder:
    return ClipEncoder.load("remoteclip-vit-l-14", weights=vit_l_14, device="cpu", precision="fp32")
