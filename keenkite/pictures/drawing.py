"""What pictures are drawn with: colours, one line of text, a legend, a bar of scale, a ring."""

from __future__ import annotations

import math
from bisect import bisect_right
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Rgb = NDArray[np.uint8]
Colour = tuple[int, int, int]

PAPER: Colour = (255, 255, 255)
INK: Colour = (24, 28, 34)
QUIET: Colour = (104, 112, 122)
VACANT: Colour = (232, 234, 237)

CREDIT_HEIGHT = 20
"""Pixels that whose data it is takes at the bottom of a picture."""

_INFERNO = (
    (0, 0, 4), (31, 12, 72), (85, 15, 109), (136, 34, 106), (186, 54, 85),
    (227, 89, 51), (249, 140, 10), (249, 201, 50), (252, 255, 164),
)  # fmt: skip
# matplotlib's "inferno" (CC0) at nine places: its lightness only rises, so the order of the
# values survives every colour vision and a grey printer.
LUT: Rgb = np.stack(
    [np.interp(np.linspace(0, 8, 256), range(9), band) for band in zip(*_INFERNO, strict=True)], -1
).astype(np.uint8)
"""(256, 3) RGB of the values 0-1."""


def blend(base: NDArray[np.float32], values: NDArray[np.float32]) -> Rgb:
    """Colours over a picture: none where the value is 0; never so much that it is hidden."""
    grey = base @ np.array([0.299, 0.587, 0.114], np.float32)
    dim = 0.85 * (0.4 * base + 0.6 * grey[..., None])
    colour = LUT[np.rint(values * 255).astype(np.uint8)].astype(np.float32)
    cover = 0.72 * (1 - (1 - values[..., None]) ** 2)
    return np.asarray(np.clip(dim * (1 - cover) + colour * cover, 0, 255), np.uint8)


def hatch(picture: Rgb, hidden: NDArray[np.bool_]) -> Rgb:
    """A picture with its hidden pixels grey under slanting lines: no value, rather than none high.

    Args:
        picture: (height, width, 3).
        hidden: (height, width).
    """
    rows, cols = np.indices(hidden.shape)
    line = (rows + cols) % 8 < 2
    grey = np.where(line, 150, 196).astype(np.float32)[..., None]
    # What hides the ground can still be told.
    drawn = np.where(hidden[..., None], 0.75 * grey + 0.25 * picture, picture)
    return np.asarray(drawn, np.uint8)


def legend(page: Image.Image, *, x: int, y: int, width: int, size: int) -> None:
    """The bar of colours from 0 to 1, drawn as the values look over a grey ground."""
    pen = ImageDraw.Draw(page)
    write(pen, (x, y), "0", size, QUIET)
    write(pen, (x + width, y), "1", size, QUIET, anchor="ra")
    left, right = x + size, x + width - size
    values = np.broadcast_to(
        np.linspace(0, 1, right - left, dtype=np.float32), (size, right - left)
    )
    ground = np.full((*values.shape, 3), 110, np.float32)
    page.paste(Image.fromarray(blend(ground, values)), (left, y + 2))


def ground_bar(
    pen: ImageDraw.ImageDraw, at: tuple[int, int], *, span: float, width: int, size: int
) -> None:
    """A bar of a round length, for the lower left of a picture.

    Args:
        pen: Draws on the picture.
        at: (x, y) of the bar's lower left corner.
        span: Width of the picture on the ground, metres.
        width: The same in pixels.
        size: Of its text.
    """
    x, y = at
    metres = round_length(span / 4)
    right = x + round(metres / span * width)
    thick = max(2, size // 5)
    pen.rectangle((x - 1, y - thick - 1, right + 1, y + 1), fill=INK)
    pen.rectangle((x, y - thick, right, y), fill=PAPER)
    text = f"{metres:g} m" if metres < 1000 else f"{metres / 1000:g} km"
    pen.text((x, y - thick - 4), text, PAPER, font(size), "ls", stroke_width=2, stroke_fill=INK)


def round_length(most: float) -> float:
    """The longest of 1, 2, 2.5 and 5 times a power of ten that is no longer than `most`, metres."""
    power = 10.0 ** math.floor(math.log10(most))
    return max(part * power for part in (1, 2, 2.5, 5) if part * power <= most)


def credit(pen: ImageDraw.ImageDraw, at: tuple[int, int], text: str, *, room: int) -> None:
    """Whose data a picture shows: small and quiet, but never cut, however small the room.

    Takes `CREDIT_HEIGHT` pixels below `at`.
    """
    size = next((size for size in (11, 10, 9, 8, 7) if length(text, size) <= room), 6)
    pen.text(at, text, QUIET, font(size), "la")


def ring(picture: Image.Image, row: float, col: float, *, radius: int) -> None:
    """A white ring with a dark edge; drawn four times as large, for a smooth line."""
    fine, side = 4, 2 * radius + 4
    stamp = Image.new("RGBA", (side * fine, side * fine))
    pen = ImageDraw.Draw(stamp)
    for edge, colour in ((1.25, INK), (0.0, PAPER)):
        reach, inner = (radius + edge) * fine, (radius - 1.75 - edge) * fine
        box = (side * fine / 2 - reach, side * fine / 2 + reach)
        pen.ellipse((box[0], box[0], box[1], box[1]), outline=colour, width=round(reach - inner))
    stamp = stamp.resize((side, side), Image.Resampling.BOX)
    picture.paste(stamp, (round(col - side / 2), round(row - side / 2)), stamp)


@lru_cache
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own, so that pictures look alike everywhere."""
    return ImageFont.load_default(size)


def length(text: str, size: int) -> float:
    """Of one line, pixels."""
    return font(size).getlength(text)


def write(
    pen: ImageDraw.ImageDraw,
    at: tuple[float, float],
    text: str,
    size: int,
    colour: Colour,
    *,
    anchor: str = "la",
    room: int | None = None,
) -> None:
    """One line of text, its end cut where it is longer than the room."""
    text = " ".join(text[:300].split())
    if room is not None and length(text, size) > room:
        lengths = [int(length(text[:n] + "…", size)) for n in range(len(text))]
        text = text[: bisect_right(lengths, room - 1) - 1].rstrip() + "…"
    pen.text(at, text, colour, font(size), anchor)
