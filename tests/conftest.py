"""Models that several files test, made once: random weights in the formats of published files.

torch is imported by the fixtures: tests of other things need not wait for it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from keenkite import ClipEncoder


@pytest.fixture(scope="session")
def vit_b_32(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint in the format of RemoteCLIP's."""
    from tests.support.checkpoints import save_random

    folder = tmp_path_factory.mktemp("vit_b_32")
    return save_random("ViT-B-32-quickgelu", folder / "RemoteCLIP-ViT-B-32.pt")


@pytest.fixture(scope="session")
def vit_l_14(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.support.checkpoints import save_random

    folder = tmp_path_factory.mktemp("vit_l_14")
    return save_random("ViT-L-14-quickgelu", folder / "RemoteCLIP-ViT-L-14.pt")


@pytest.fixture(scope="session")
def remoteclip_b_32(vit_b_32: Path) -> ClipEncoder:
    from keenkite import ClipEncoder

    return ClipEncoder.load("remoteclip-vit-b-32", weights=vit_b_32, device="cpu", precision="fp32")


@pytest.fixture(scope="session")
def remoteclip_l_14(vit_l_14: Path) -> ClipEncoder:
    from keenkite import ClipEncoder

    return ClipEncoder.load("remoteclip-vit-l-14", weights=vit_l_14, device="cpu", precision="fp32")


@pytest.fixture(scope="session")
def small_clip_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two narrow layers in each tower, under the name small-ViT-B-32."""
    from tests.support.checkpoints import register, save_random

    folder = tmp_path_factory.mktemp("small")
    name = register(
        folder,
        "small-ViT-B-32",
        "ViT-B-32-quickgelu",
        vision={"layers": 2, "width": 256},
        text={"layers": 2, "width": 128, "heads": 2},
    )
    return save_random(name, folder / "small.pt")


@pytest.fixture
def small_clip(small_clip_file: Path) -> ClipEncoder:
    """Made anew for every test, so nothing is remembered."""
    from keenkite import ClipEncoder

    return ClipEncoder.load(f"small-ViT-B-32:{small_clip_file}", device="cpu", precision="fp32")


@pytest.fixture(scope="session")
def small_clip_theirs(small_clip_file: Path) -> Any:
    """open_clip's own model of the same file."""
    from tests.support.checkpoints import open_clip_model

    return open_clip_model("small-ViT-B-32", small_clip_file)
