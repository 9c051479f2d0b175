"""Train keenkite-tiny: ``python -m keenkite.demo.training.train --eurosat FOLDER``, from a clone.

What it learns from: tiles of drawn worlds (seeds from TRAINING_SEEDS, which no shipped or tested
world uses) and mosaics of real EuroSAT chips. The loss is a sigmoid for every pair of picture and
phrase (as in SigLIP), once for the whole tile and once for each 16 px patch through the ClearCLIP
path of the last block, so that the heatmaps are trained and not only a by-product.

Three cycles, each on worlds of its own: first windows of 112 px (a quarter of the patches, so five
times as many a second), then tiles of 224 px as the model will see them; then such tiles again,
from the average of the first cycle's weights; then both once more from those of the second. A fixed
seed and fixed steps: two runs on the same machine and the same versions differ only by the rounding
of threads. A run that was stopped goes on from what it left in its folder.
"""

import argparse
import itertools
import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from safetensors.torch import load_file, save_file

from keenkite.demo.training.eurosat import Chips, load_chips
from keenkite.demo.training.loss import GRID, loss_of
from keenkite.demo.training.samples import Batch, Source, batches, chip_sample, world_sample
from keenkite.demo.training.vocabulary import ABSENT, PHRASES, TEMPLATES, strange_words
from keenkite.demo.world import World, draw_world

CONFIG: dict[str, Any] = {
    "embed_dim": 128,
    "vision_cfg": {
        "image_size": 224, "layers": 6, "width": 128, "head_width": 32, "patch_size": 16,
    },
    "text_cfg": {
        "context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2,
    },
}  # fmt: skip
"""open_clip's own form of a model; kept small so that it fits into the package."""


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A stretch of training."""

    size: int
    """Side of the windows, px."""
    count: int
    """Windows in a batch."""
    steps: int
    rate: float
    """Learning rate; the phases of a cycle share one fade to zero."""


TRAINING_SEEDS = range(1_000_000, 1_001_000)
"""No world that is shipped, tested or measured has one of these."""

CYCLES = (
    (
        Phase(size=112, count=64, steps=1500, rate=1.5e-3),
        Phase(size=224, count=32, steps=600, rate=2e-3),
    ),
    (Phase(size=224, count=32, steps=900, rate=1e-3),),
    (
        Phase(size=112, count=64, steps=700, rate=1.2e-3),
        Phase(size=224, count=32, steps=500, rate=1e-3),
    ),
)

NOWHERE = 32
"""Texts in each step that name nothing that is in the pictures."""

VOCABULARY_HEAD = "# What keenkite-tiny was taught to name: one thing a line, in all its wordings."

MODEL_FOLDER = Path(__file__).parents[2] / "encoder" / "tiny"


def say(rng: np.random.Generator, strange: Sequence[str] = ()) -> list[str]:
    """One way to say each label, in the order of LABELS, then what is in none of the pictures.

    Each is bare or in a template. Of what is not there, half are of ABSENT, the others one or two
    of the `strange` words.
    """
    said = [str(rng.choice(ways)) for ways in PHRASES.values()]
    said += [str(text) for text in rng.choice(ABSENT, NOWHERE // 2, replace=False)]
    if strange:
        said += [
            " ".join(rng.choice(strange, rng.integers(1, 3))) for _ in range(NOWHERE - NOWHERE // 2)
        ]
    return [
        str(rng.choice(TEMPLATES)).format(text) if rng.random() < 0.7 else text for text in said
    ]


def _fade(done: float) -> float:
    """Cosine from 1 to 0."""
    return 0.5 * (1 + math.cos(math.pi * done))


def train(
    stream: Callable[[Phase, int], Iterator[Batch]],
    *,
    seed: int,
    phases: Sequence[Phase],
    checkpoint: Path,
    start: Mapping[str, torch.Tensor] | None = None,
    save_every: int = 100,
) -> open_clip.CLIP:
    """Train for one cycle, or on from the checkpoint of a run that was stopped in it.

    Args:
        stream: Batches of a phase, given the step of the cycle it begins at.
        seed: Of the weights, the phrases and the windows' places.
        phases: In order.
        start: The weights to start from; random ones by default.
        checkpoint: Read where it exists, written every `save_every` steps.

    Returns:
        The moving average of the weights.
    """
    torch.manual_seed(seed)
    model = open_clip.CLIP(**CONFIG, init_logit_scale=math.log(10), init_logit_bias=-2.0).train()
    if start is not None:
        model.load_state_dict(start)
    run = _Run(model, total=sum(phase.steps for phase in phases))
    if checkpoint.exists():
        run.resume(torch.load(checkpoint, weights_only=True))
    end = 0
    for phase in phases:
        end += phase.steps
        if run.step >= end:
            continue
        for batch in itertools.islice(stream(phase, run.step), end - run.step):
            run.learn(batch, phase, seed)
            if run.step % save_every == 0:
                torch.save(run.state(), checkpoint)
    trained: open_clip.CLIP = run.average.module
    return trained.eval()


class _Run:
    """The model, its optimizer and its moving average, step by step."""

    def __init__(self, model: open_clip.CLIP, *, total: int) -> None:
        self.step, self._total = 0, total
        self._tokenize = open_clip.get_tokenizer("ViT-B-32")
        self._strange = strange_words(self._tokenize.encoder)
        matrices = [p for p in model.parameters() if p.dim() >= 2]
        others = [p for p in model.parameters() if p.dim() < 2]
        self._model = model
        self._optimizer = torch.optim.AdamW(
            [{"params": matrices, "weight_decay": 0.05}, {"params": others, "weight_decay": 0.0}],
            betas=(0.9, 0.98),
        )
        self.average = torch.optim.swa_utils.AveragedModel(
            model,
            multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.995),  # type: ignore[no-untyped-call]
        )
        self._parts = {"model": model, "optimizer": self._optimizer, "average": self.average}
        self._begin, self._first = time.monotonic(), 0

    def state(self) -> dict[str, Any]:
        """What `resume` goes on from."""
        return {"step": self.step} | {n: part.state_dict() for n, part in self._parts.items()}

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go on from a stopped run."""
        self.step = self._first = state["step"]
        for name, part in self._parts.items():
            part.load_state_dict(state[name])

    def learn(self, batch: Batch, phase: Phase, seed: int) -> None:
        """One step."""
        rng = np.random.default_rng([seed, self.step])
        for group in self._optimizer.param_groups:
            warm = min(1.0, (self.step + 1) / 100)
            group["lr"] = phase.rate * warm * _fade(self.step / self._total)
        row, column = rng.integers(0, GRID - phase.size // 16 + 1, 2)
        tokens = self._tokenize(say(rng, self._strange))
        loss = loss_of(self._model, batch, tokens, (int(row), int(column)))
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self._model.parameters(), 1.0)
        self._optimizer.step()
        self.average.update_parameters(self._model)
        self.step += 1
        if self.step % 20 == 0:
            self._report(loss.item())

    def _report(self, loss: float) -> None:
        spent = (time.monotonic() - self._begin) / 60
        more = spent / (self.step - self._first) * (self._total - self.step)
        print(
            f"step {self.step} of {self._total}, loss {loss:.3f}, {spent:.1f} minutes, "
            f"about {more:.0f} left",
            file=sys.stderr,
            flush=True,
        )


class _Stream(torch.utils.data.IterableDataset[Batch]):
    """The batches of one phase, made in a worker process beside the training."""

    def __init__(self, sources: Sequence[Source], seed: Sequence[int], phase: Phase) -> None:
        self._sources, self._seed, self._phase = sources, seed, phase

    def __iter__(self) -> Iterator[Batch]:
        rng = np.random.default_rng(self._seed)
        return batches(self._sources, rng, size=self._phase.size, count=self._phase.count)


def draw_training_world(number: int) -> World:
    """A small world with two of every thing; every other one as seen on another date."""
    world = draw_world(TRAINING_SEEDS[number], size_km=(18, 18), per_concept=2)
    if number % 2:
        world = replace(world, reflectance=world.observe(1 + number % 4))
    return world


def export(state: Mapping[str, torch.Tensor], folder: Path) -> None:
    """Write what `ClipEncoder` loads: the weights (FP16), the configuration, the vocabulary."""
    halves = {name: value.half().contiguous() for name, value in state.items()}
    del halves["logit_bias"]  # of the loss; a vector does not depend on it
    save_file(halves, folder / "keenkite-tiny.safetensors")
    (folder / "keenkite-tiny.json").write_text(json.dumps(CONFIG, indent=2) + "\n")
    lines = [", ".join(dict.fromkeys(ways)) for ways in PHRASES.values()]
    (folder / "keenkite-tiny.txt").write_text("\n".join((VOCABULARY_HEAD, *lines)) + "\n")


def main() -> None:
    """Draw, train, write."""
    parser = argparse.ArgumentParser(
        prog="python -m keenkite.demo.training.train", description=__doc__
    )
    parser.add_argument("--eurosat", type=Path, help="EuroSAT's RGB folder or zip; optional")
    parser.add_argument("--out", type=Path, default=MODEL_FOLDER)
    parser.add_argument("--worlds", type=int, default=48)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--scale", type=float, default=1.0, help="fewer or more steps")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    chips = load_chips(arguments.eurosat)[0] if arguments.eurosat else None
    state: dict[str, torch.Tensor] | None = None
    for number, cycle in enumerate(CYCLES):
        done = arguments.out / f"cycle-{number}.safetensors"
        if not done.exists():
            stream = _stream(number, arguments.worlds, chips, arguments.seed)
            phases = [replace(p, steps=max(1, round(p.steps * arguments.scale))) for p in cycle]
            checkpoint = arguments.out / f"cycle-{number}.pt"
            model = train(
                stream, seed=arguments.seed, phases=phases, checkpoint=checkpoint, start=state
            )
            save_file(model.state_dict(), done)
            checkpoint.unlink(missing_ok=True)
        state = load_file(done)
    assert state is not None  # there are cycles
    export(state, arguments.out)
    for number in range(len(CYCLES)):
        (arguments.out / f"cycle-{number}.safetensors").unlink()


def _stream(
    cycle: int, count: int, chips: Chips | None, seed: int
) -> Callable[[Phase, int], Iterator[Batch]]:
    """The batches of a cycle, from worlds that no other cycle has."""
    print(f"cycle {cycle + 1} of {len(CYCLES)}: drawing {count} worlds", file=sys.stderr)
    with ProcessPoolExecutor() as pool:
        worlds = list(pool.map(draw_training_world, range(cycle * count, (cycle + 1) * count)))
    sources: list[Source] = [
        lambda rng, size: world_sample(worlds[rng.integers(len(worlds))], rng, size)
    ] * 3
    if chips is not None:
        sources.append(lambda rng, size: chip_sample(chips, rng, size))

    def stream(phase: Phase, step: int) -> Iterator[Batch]:
        data = _Stream(sources, [seed, cycle, step], phase)
        return iter(torch.utils.data.DataLoader(data, batch_size=None, num_workers=1))

    return stream


if __name__ == "__main__":
    main()
