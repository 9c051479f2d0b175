"""Whether a constant is still in a scene's digital numbers: pixels first, then what items say.

Items are often wrong about it: real ones of sentinel-2-l2a say that the offset is applied and give
it again, others say that it is not where it is. See `OffsetRule`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window as FileWindow

from keenkite.errors import SceneError
from keenkite.reader.bands import Band
from keenkite.scene import Window
from keenkite.sensors import OffsetRule

logger = logging.getLogger(__name__)

PATCH = 256
"""Rows and columns of a patch that is looked at."""
RIM = 4
"""Pixels this near to no data are left out: resampling mixes both."""
PATCHES = (3, 4, 7)
"""Patches each way, spread over what is looked at; the later ones while there is little data."""
ENOUGH = 100_000
"""Valid pixels, so that half a per cent of them are 500."""
CERTAIN_SHARE = 0.05
"""More dark pixels than this are no noise round reflectance 0, whatever the item says."""
NOISE_BELOW = 0.8
"""Noise round reflectance 0 stays mostly above this part of the amount: reflectance -0.02."""


def offset_of(band: Band, rule: OffsetRule, window: Window) -> int:
    """What to take off a scene's digital numbers; a guess or a contradiction is logged.

    Full-resolution pixels are looked at, in patches spread over the window; where these do not
    tell, over the whole scene too, unless all products of its collection are known to be alike.

    Args:
        band: Of the rule's dark band, open.
        rule: Of the scene's sensor.
        window: What is to be read.
    """
    claim = _claim(band, rule)
    sample = _sample(band, window)
    known = claim.amount == rule.amount and band.scene.collection in rule.always
    if not (known or _is_off(sample, rule, claim)):
        sample = np.concatenate([sample, _sample(band, None, but=window)])
    amount, doubt = _judge(sample, rule, claim)
    if doubt:
        logger.warning("scene %s: %s", band.scene.id, doubt)
    return amount


def _judge(sample: NDArray[Any], rule: OffsetRule, claim: _Claim) -> tuple[int, str]:
    """(what to take off, what is doubtful about it)."""
    if not len(sample):
        return rule.amount if claim.amount is None else claim.amount, ""
    share = float(np.mean(sample < rule.amount))
    below = f"{100 * share:.1f} % of its {rule.dark_band} is below that"
    if _is_off(sample, rule, claim):
        doubt = f"by its {claim.why} {rule.amount} must be taken off its numbers, but {below}"
        return 0, f"{doubt}: it is off already" if claim.amount else ""
    if claim.amount is None:
        return rule.amount, (
            f"nothing says whether {rule.amount} must be taken off its numbers, and its pixels are "
            "all too bright to tell: it is taken off, which is a guess. Its item should have "
            "s2:processing_baseline, or raster:bands with scale and offset"
        )
    if claim.amount == 0:
        return 0, (
            f"by its {claim.why} nothing must be taken off its numbers, but hardly any of its "
            f"{rule.dark_band} is below {rule.amount}: it is very bright, or its item is wrong"
        )
    doubt = f"by its {claim.why} {rule.amount} is taken off its numbers, though {below}"
    return rule.amount, doubt if share > rule.dark_share else ""


@dataclass(frozen=True, kw_only=True)
class _Claim:
    """What item and file say is to be taken off."""

    amount: int | None
    """None where they do not say."""
    why: str
    """Which of their facts says so."""


def _claim(band: Band, rule: OffsetRule) -> _Claim:
    """The fact that goes first: a flag, a stated 0, the baseline, the collection, the rest.

    That an offset is stated means least: real items repeat it where it is off already.
    """
    scene = band.scene
    scale, added = band.stated
    stated = {}
    if scene.raster_offset is not None:
        stated["raster:bands"] = -scene.raster_offset
    if scale and (scale, added) != (1, 0):
        stated["file's own scale and offset"] = -added / scale
    if scene.boa_offset_applied:
        return _Claim(amount=0, why="boa_offset_applied")
    for why, amount in stated.items():
        if abs(amount) < 1:
            return _Claim(amount=0, why=why)
    if (version := _number(scene.baseline)) is not None:
        amount = rule.amount if version >= rule.from_baseline else 0
        return _Claim(amount=amount, why=f"processing baseline {scene.baseline}")
    if scene.collection in rule.always:
        return _Claim(amount=rule.amount, why=f"collection {scene.collection}")
    for why, amount in stated.items():
        if abs(amount - rule.amount) < 1:
            return _Claim(amount=rule.amount, why=why)
    return _Claim(amount=None, why="")


def _number(baseline: str | None) -> float | None:
    try:
        return float(baseline or "")
    except ValueError:
        return None


def _is_off(sample: NDArray[Any], rule: OffsetRule, claim: _Claim) -> bool:
    """Whether pixels show that the offset is off.

    Blue is dark on nearly all ground, so without the offset many are below it. With it some may
    be: where reflectance comes out below 0, as over water and in shadow, though by little. These
    are not taken for proof against an item that says the offset is there.
    """
    dark = sample[sample < rule.amount]
    if len(dark) <= rule.dark_share * len(sample):
        return False
    if not claim.amount or len(dark) > CERTAIN_SHARE * len(sample):
        return True
    return float(np.median(dark)) < NOISE_BELOW * rule.amount


def _sample(band: Band, window: Window | None, *, but: Window | None = None) -> NDArray[Any]:
    """Valid pixels away from no data, 1-D, of patches spread over a window or the whole file.

    None of them if that is what another window has.
    """
    extent = band.extent(window)
    found: list[NDArray[Any]] = [np.empty(0, np.uint16)]
    if extent is None or (but is not None and extent == band.extent(but)):
        return found[0]
    seen: set[tuple[int, int]] = set()
    for each_way in PATCHES:
        for place in _patches(extent, band.block, each_way):
            if (place.col_off, place.row_off) not in seen:
                seen.add((place.col_off, place.row_off))
                try:
                    numbers, empty = band.look(place)
                except SceneError:  # the reading itself will come to it, and say so
                    return np.concatenate(found)
                found.append(numbers[_away(empty)])
        if sum(map(len, found)) >= ENOUGH:
            break
    return np.concatenate(found)


def _patches(extent: FileWindow, block: tuple[int, int], each_way: int) -> Iterator[FileWindow]:
    """Patches in the middles of equal parts of an extent, each within one block where it fits."""

    def begin(first: int, count: int, size: int, part: int) -> tuple[int, int]:
        middle = first + int(count * (part + 0.5) / each_way)
        low = max(first, middle // size * size if size >= PATCH else 0)
        high = min(first + count, (middle // size + 1) * size if size >= PATCH else first + count)
        at = max(low, min(middle - PATCH // 2, high - PATCH))
        return at, min(PATCH, high - at)

    for down in range(each_way):
        row, rows = begin(extent.row_off, extent.height, block[0], down)
        for across in range(each_way):
            col, cols = begin(extent.col_off, extent.width, block[1], across)
            yield FileWindow(col, row, cols, rows)


def _away(empty: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels that hold data and are further than `RIM` from any that does not."""
    if not empty.any():
        return ~empty
    near = empty.copy()
    for axis in (0, 1):
        wide = near.copy()
        for step in range(1, RIM + 1):
            ahead, behind = np.s_[step:], np.s_[:-step]
            one, other = (ahead, behind) if axis == 0 else (np.s_[:, step:], np.s_[:, :-step])
            wide[one] |= near[other]
            wide[other] |= near[one]
        near = wide
    return ~near
