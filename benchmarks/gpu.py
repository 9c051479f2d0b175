"""Encoding on a CUDA device: fp16, growing batches, open_clip's bare forward beside ours.

    python benchmarks/gpu.py [--models remoteclip-vit-b-32 llama3-ms-clip-base] [--batches 64 256]

Random weights (time does not depend on them), no network. "ours" starts with tiles in ordinary
memory and ends with unit vectors there; "bare" is the model alone, on a batch that lies
on the device already. Prints that there is no CUDA device, and exits with 0, where there is none.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from keenkite.encoder import ClipEncoder, Pixels
from keenkite.encoder.records import RECORDS, ModelRecord
from keenkite.encoder.weights import bare_model

CUDA = torch.device("cuda")
USUAL = ["remoteclip-vit-b-32", "remoteclip-vit-l-14", "llama3-ms-clip-base"]


def rate(way: Callable[[], object], count: int, *, rounds: int = 5) -> float:
    """Images per second, the median of rounds after one that does not count."""
    way()
    taken = []
    for _ in range(rounds):
        torch.cuda.synchronize()
        begin = time.perf_counter()
        way()
        torch.cuda.synchronize()
        taken.append(time.perf_counter() - begin)
    return count / statistics.median(taken)


def tiles(record: ModelRecord, n: int) -> Pixels:
    """Noise as the model sees tiles: bytes, or reflectance × 10,000."""
    top, kind = (256, np.uint8) if record.bands is None else (10_000, np.uint16)
    return np.random.default_rng(0).integers(0, top, (n, 224, 224, record.channels), kind)


def benchmark(name: str, batches: list[int]) -> None:
    torch.manual_seed(0)
    record = RECORDS[name]
    bare = bare_model(record).eval()
    some = tiles(record, 32)
    wide = ClipEncoder(record, bare, device=CUDA, dtype=torch.float32).encode_images(some)
    encoder = ClipEncoder(record, bare, device=CUDA, dtype=torch.float16)  # the same model, cast
    cosine = (encoder.encode_images(some) * wide).sum(axis=1).min()
    print(f"{name}: fp16 against fp32, lowest cosine {cosine:.5f}")
    print(f"  {'batch':>6} {'ours':>10} {'with patches':>13} {'bare':>10} {'ours/bare':>10}")
    for batch in batches:
        shown = tiles(record, batch)
        x = torch.randn(batch, record.channels, 224, 224, device=CUDA, dtype=torch.float16)

        def forward(x: torch.Tensor = x) -> None:
            with torch.inference_mode():
                bare.encode_image(x, normalize=True)  # type: ignore[operator]

        ours = rate(lambda shown=shown: encoder.encode_images(shown), batch)
        patches = rate(lambda shown=shown: encoder.encode_with_patches(shown), batch)
        alone = rate(forward, batch)
        print(
            f"  {batch:>6} {ours:>8.0f}/s {patches:>11.0f}/s {alone:>8.0f}/s {ours / alone:>10.2f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--models", nargs="+", choices=RECORDS, default=USUAL)
    parser.add_argument("--batches", nargs="+", type=int, default=[64, 256, 1024])
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        print("no CUDA device")
        return
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}")
    for name in arguments.models:
        benchmark(name, arguments.batches)


if __name__ == "__main__":
    main()
