"""The one rule for cloud, wherever somebody states it: up to 1 a fraction, above it per cent."""

from __future__ import annotations

import math
import re

from keenkite.errors import InputError


def cloud_fraction(value: float | str, name: str = "max_cloud") -> float:
    """What a person, a script or a client means by an amount of cloud, as a fraction 0-1.

    A number up to 1 is a fraction and one above it per cent: 0.2, 20 and "20%" are the same. A text
    with a per cent sign is per cent whatever its size: "1%" is one per cent, and 1 is all of it.

    Args:
        value: A number, or a text that holds one, with or without "%".
        name: What messages call it.

    Raises:
        InputError: It is no number, or not from 0 to 100 per cent.
    """
    number = _number(value)
    if number is None or not 0 <= number <= 1:
        raise InputError(
            f"{name} is {value!r}: write a fraction from 0 to 1 (0.2), or per cent "
            'above 1 and up to 100 (20, "20%")'
        )
    return number


def percent(fraction: float) -> str:
    """The same said back: "20 %"."""
    return f"{100 * fraction:.4g} %"


def cloud_text(fraction: float | None) -> str:
    """A tile's cloud, in the one form that is used for it: "cloud 20 %"."""
    return "cloud unknown" if fraction is None else f"cloud {percent(fraction)}"


def _number(value: object) -> float | None:
    if isinstance(value, str):
        match = re.fullmatch(r"\s*([0-9.eE+-]+)\s*(%?)\s*", value)
        try:
            number = float(match[1]) if match else math.nan
        except ValueError:
            return None
        if match and match[2]:
            return number / 100
    elif isinstance(value, bool) or not isinstance(value, int | float):
        return None
    else:
        number = float(value)
    return number if number <= 1 else number / 100
