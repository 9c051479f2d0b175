"""What encoding costs: heatmaps beside vectors, short texts, bf16, and open_clip's bare model.

    python benchmarks/encode.py [--model remoteclip-vit-b-32] [--rounds 7] [--batch 8] [--threads N]

A record's model with random weights on the CPU (no network; time does not depend on them). All
ways run in turn in every round, on the same images and texts; each ratio is the median over
rounds of the ratio within a round, so that a machine with other work to do still compares alike.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import platform
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import open_clip
import torch
from numpy.typing import NDArray

from keenkite.encoder import ClipEncoder
from keenkite.encoder.devices import choose_device
from keenkite.encoder.records import RECORDS, ModelRecord
from keenkite.encoder.weights import bare_model

TEXTS = 16
"""In a batch of texts; none longer than ten tokens with its start and its end."""
WORDS = ("airport", "golf", "dam", "port", "forest", "river", "city", "road", "lake", "field")


def make_encoder(record: ModelRecord, model: torch.nn.Module, dtype: torch.dtype) -> ClipEncoder:
    return ClipEncoder(record, model, device=torch.device("cpu"), dtype=dtype)


def seconds(way: Callable[[], object]) -> float:
    begin = time.perf_counter()
    way()
    return time.perf_counter() - begin


def measure(ways: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each way in each round, after one that does not count."""
    for way in ways.values():
        way()
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            taken[name].append(seconds(way))
    return taken


def ratio(taken: dict[str, list[float]], above: str, below: str) -> float:
    return statistics.median(a / b for a, b in zip(taken[above], taken[below], strict=True))


def cosine(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """The lowest over rows of unit vectors."""
    return float((a * b).sum(axis=1).min())


def verdict(what: str, value: float, *, most: float | None = None, least: float = 0.0) -> None:
    wanted = f"at most {most:.2f}" if most is not None else f"at least {least}"
    met = value <= most if most is not None else value >= least
    print(f"  {what:<58} {value:8.4f}   ({wanted}: {'met' if met else 'NOT MET'})")


def images(record: ModelRecord, rounds: int, batch: int) -> None:
    model: Any = bare_model(record).eval()
    encoder = make_encoder(record, model, torch.float32)
    top, kind = (256, np.uint8) if record.bands is None else (10_000, np.uint16)
    rgb = np.random.default_rng(0).integers(0, top, (batch, 224, 224, record.channels), kind)
    x = torch.randn(batch, record.channels, 224, 224)

    def forward() -> None:
        with torch.inference_mode():
            model.encode_image(x, normalize=True)

    ways: dict[str, Callable[[], object]] = {
        "open_clip, bare forward": forward,
        "encode_images": lambda: encoder.encode_images(rgb),
        "encode_with_patches": lambda: encoder.encode_with_patches(rgb),
    }
    auto = choose_device("cpu", "auto")[1]
    if auto is torch.bfloat16:
        narrow = make_encoder(record, copy.deepcopy(model), torch.bfloat16)
        ways["encode_images, bf16"] = lambda: narrow.encode_images(rgb)
    taken = measure(ways, rounds)
    print(f"images, batch of {batch}")
    for name, times in taken.items():
        print(f"  {name:<30} {batch / statistics.median(times):8.1f} tiles/s")
    verdict(
        "vectors and patches / vectors alone",
        ratio(taken, "encode_with_patches", "encode_images"),
        most=1.25,
    )
    print(
        f"  {'encode_images / bare forward':<58} "
        f"{ratio(taken, 'encode_images', 'open_clip, bare forward'):8.4f}"
    )
    if auto is torch.bfloat16:
        print(
            f"  {'bf16 / fp32, time':<58} "
            f"{ratio(taken, 'encode_images, bf16', 'encode_images'):8.4f}"
        )
        verdict(
            "bf16 against fp32, lowest cosine",
            cosine(narrow.encode_images(rgb), encoder.encode_images(rgb)),
            least=0.999,
        )
    else:
        print("  bf16: this processor has no instructions for it, and fp32 is used")


def texts(record: ModelRecord, rounds: int) -> None:
    model: Any = bare_model(record).eval()
    encoder = make_encoder(record, model, torch.float32)
    tokenize = open_clip.get_tokenizer("ViT-B-32-quickgelu")
    fresh = (" ".join(words) for words in itertools.permutations(WORDS, 6))  # none comes twice

    def theirs(batch: list[str]) -> NDArray[np.float32]:
        with torch.inference_mode():
            vectors: NDArray[np.float32] = model.encode_text(
                tokenize(batch), normalize=True
            ).numpy()
        return vectors

    for count in (1, TEXTS):

        def draw(count: int = count) -> list[str]:
            return list(itertools.islice(fresh, count))

        taken = measure(
            {
                "open_clip's encode_text": lambda draw=draw: theirs(draw()),
                "encode_texts": lambda draw=draw: encoder.encode_texts(draw()),
            },
            rounds,
        )
        print(f"texts of eight tokens, {count} at once, none seen before")
        for name, times in taken.items():
            print(f"  {name:<30} {1000 * statistics.median(times) / count:8.1f} ms a text")
        verdict(
            "encode_texts / open_clip's encode_text",
            ratio(taken, "encode_texts", "open_clip's encode_text"),
            most=1 / 3,
        )
    batch = [" ".join(WORDS[:n]) for n in range(1, 9)]
    difference = float(np.abs(encoder.encode_texts(batch) - theirs(batch)).max())
    met = "met" if difference <= 1e-5 else "NOT MET"
    print(
        f"  {'largest difference, 3 to 10 tokens':<58} {difference:8.1e}   (at most 1e-05: {met})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", choices=RECORDS, default="remoteclip-vit-b-32")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument(
        "--threads", type=int, default=torch.get_num_threads(), help="1 on a machine at work"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    record = RECORDS[arguments.model]
    print(
        f"{record.name} ({record.architecture}), random weights, {platform.machine()}, "
        f"{torch.get_num_threads()} threads, torch {torch.__version__}"
    )
    torch.manual_seed(0)
    images(record, arguments.rounds, arguments.batch)
    texts(record, arguments.rounds)


if __name__ == "__main__":
    main()
