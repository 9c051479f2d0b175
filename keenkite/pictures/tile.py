"""Pictures of one tile: as it is, and with its heatmap over it.

Every map in a picture has the same colours for the same values, which is what makes two of them
comparable.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from keenkite.errors import InputError
from keenkite.pictures import drawing
from keenkite.pictures.drawing import INK, PAPER, QUIET, Rgb

if TYPE_CHECKING:
    from keenkite.retrieval.heatmap import Heatmap
    from keenkite.sensors import Sensor
    from keenkite.tiling import Tile


def tile_image(rgb: Rgb, *, scale: int = 2) -> Image.Image:
    """A tile as a picture.

    Args:
        rgb: uint8 (height, width, 3).
        scale: Enlargement, 1-8; smooth, for the pixels of a sensor are no squares in nature.
    """
    _check_rgb(rgb)
    if not 1 <= scale <= 8:
        raise InputError(f"A picture is enlarged 1 to 8 times, not {scale}.")
    picture = Image.fromarray(np.ascontiguousarray(rgb))
    return picture.resize((rgb.shape[1] * scale, rgb.shape[0] * scale), Image.Resampling.LANCZOS)


def overlay(
    rgb: Rgb,
    heat: Heatmap,
    tile: Tile,
    *,
    sensor: Sensor,
    text: str | None = None,
    scale: int = 2,
) -> Image.Image:
    """A tile with its heatmap over it, a bar of its scale, a legend, and whose data it is.

    Args:
        rgb: uint8 (height, width, 3).
        heat: Of the same tile.
        tile: Says how wide it is and when it was seen.
        sensor: Whose imagery it is: the picture carries its attribution.
        text: What the legend says was looked for; the heatmap's own text by default.
        scale: Enlargement, 1-8.
    """
    picture = heated(rgb, heat, scale)
    size = round(9.5 + 1.5 * min(scale, 4))
    width, pad = picture.width, size // 2 + 2
    below = picture.height + 3 * size + 3 * pad
    page = Image.new("RGB", (width, below + drawing.CREDIT_HEIGHT), PAPER)
    page.paste(picture)
    pen = ImageDraw.Draw(page)
    drawing.ground_bar(pen, (pad, picture.height - pad), span=tile.span, width=width, size=size)
    y = picture.height + pad
    number = f"maximum {heat.strength:.2f}"
    room = width - 3 * pad - drawing.length(number, size)
    drawing.write(pen, (pad, y), heat.text if text is None else text, size, INK, room=int(room))
    drawing.write(pen, (width - pad, y), number, size, QUIET, anchor="ra")
    drawing.legend(page, x=pad, y=y + size + pad, width=width - 2 * pad, size=size)
    drawing.credit(pen, (pad, below), credit_of([tile], sensor), room=width - 2 * pad)
    return page


def heated(rgb: Rgb, heat: Heatmap, scale: int) -> Image.Image:
    """The tile, dimmed and greyed, under the colours of its map; a ring round the maximum."""
    base = np.asarray(tile_image(rgb, scale=scale), np.float32)
    if heat.values.shape != rgb.shape[:2]:
        raise InputError(
            f"The heatmap is {heat.values.shape} and the tile {rgb.shape[:2]}: "
            f"they are not of the same tile."
        )
    big = Image.fromarray(heat.values).resize(
        (base.shape[1], base.shape[0]), Image.Resampling.BICUBIC
    )
    picture = Image.fromarray(drawing.blend(base, np.clip(np.asarray(big), 0, 1)))
    if heat.found:
        row, col = ((position + 0.5) * scale for position in heat.peak)
        drawing.ring(picture, row, col, radius=5 + 2 * scale)
    return picture


def credit_of(tiles: Sequence[Tile], sensor: Sensor) -> str:
    """Whose data some tiles are, with the years they are of."""
    return sensor.credit(tuple(sorted({tile.datetime.year for tile in tiles})))


def _check_rgb(rgb: Rgb) -> None:
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3:
        raise InputError(
            f"A tile's picture is uint8 (height, width, 3), not {rgb.dtype} {rgb.shape}."
        )
