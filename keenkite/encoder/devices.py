"""Where a model runs, and in which numbers."""

from typing import TYPE_CHECKING, Literal

from keenkite.errors import InputError

if TYPE_CHECKING:
    import torch

Precision = Literal["auto", "fp32", "fp16", "bf16"]

_KINDS = {"cpu", "cuda", "mps"}


def choose_device(device: str, precision: Precision) -> "tuple[torch.device, torch.dtype]":
    """What was asked for, if this machine has it; "auto" is the fastest it has.

    Args:
        device: "auto" (CUDA, else Apple's MPS, else the CPU), "cpu", "cuda", "cuda:1", "mps".
        precision: "auto" is fp16 on CUDA and MPS; on the CPU bf16 where it has instructions for
            it, and fp32 otherwise.

    Raises:
        InputError: There is no such device or precision.
    """
    import torch

    has_mps = torch.backends.mps.is_available()
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "mps" if has_mps else "cpu"
    try:
        place = torch.device(device)
    except RuntimeError:
        place = torch.device("meta")
    if place.type not in _KINDS:
        raise InputError(f"There is no device {device!r}. Name auto, cpu, cuda, cuda:1 or mps.")
    found = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(has_mps)}[place.type]
    if (place.index or 0) >= found:
        raise InputError(
            f"The device {device!r} is not available: torch sees {found} of type {place.type}. "
            f"Use 'auto', or install a torch build for it."
        )
    if precision == "auto":
        precision = "fp16" if place.type != "cpu" else "bf16" if _cpu_computes_bf16() else "fp32"
    dtypes = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
    if precision not in dtypes:
        raise InputError(f"There is no precision {precision!r}. Name auto, fp32, fp16 or bf16.")
    return place, dtypes[precision]


def _cpu_computes_bf16() -> bool:
    """Whether the CPU has instructions for bf16; without them it is slower than fp32."""
    import torch

    # Not public, and not in every torch from 2.4 on: without the answer fp32 is right anyway.
    questions = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    return any(getattr(torch.cpu, question, lambda: False)() for question in questions)
