"""JSON as catalogues really hold it, and the values in it: numbers, times, texts, or None."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypeAlias

JSONObject: TypeAlias = Mapping[str, Any]

_DIGITS = 400
"""Whole numbers longer than this are beyond any float; Python refuses those of 4,300 digits."""


class ItemError(ValueError):
    """An item cannot be used; says why. The catalog logs it and goes on with the others."""


def parse_json(content: bytes) -> Any:
    """A JSON document, with or without a byte order mark, in UTF-8, UTF-16 or UTF-32.

    Bytes that are no UTF-8, as in a title in Latin-1, are replaced: one item of a thousand must not
    make the others unreadable. Neither must a number that no float can hold: it becomes infinite.

    Raises:
        ValueError: it is not JSON.
        RecursionError: it is nested too deep.
    """
    try:
        return json.loads(content, parse_int=_whole)
    except UnicodeDecodeError:
        return json.loads(content.decode("utf-8-sig", "replace"), parse_int=_whole)


def _whole(digits: str) -> int | float:
    return int(digits) if len(digits) < _DIGITS else math.copysign(math.inf, float(digits[:2]))


def as_object(value: object, name: str) -> JSONObject:
    """A JSON object; ItemError says that the item has none of this name."""
    if not isinstance(value, Mapping):
        raise ItemError(f"it has no {name}")
    return value


def as_number(value: object) -> float | None:
    """A finite number, or None. JSON may hold integers that no float can."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def as_numbers(value: object) -> list[float] | None:
    """A list of finite numbers, or None."""
    if not isinstance(value, list):
        return None
    numbers = [number for number in map(as_number, value) if number is not None]
    return numbers if len(numbers) == len(value) else None


def as_time(value: object) -> datetime | None:
    """An RFC 3339 time, in UTC; one without a zone is taken as UTC."""
    if not isinstance(value, str):
        return None
    try:
        time = datetime.fromisoformat(value.strip())
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def as_text(value: object) -> str | None:
    """A text that can be written anywhere, not empty, or None.

    Half a surrogate pair is allowed in JSON, and no file, log or index takes it.
    """
    if not isinstance(value, str) or not value:
        return None
    try:
        value.encode()
    except UnicodeEncodeError:
        return None
    return value


def objects(value: object) -> list[JSONObject]:
    """The objects of a list; of anything else, none."""
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []
