"""Pictures of one tile: as it is, and with its heatmap over it.

Every map in a picture has the same colours for the same values, which is what makes two of them
comparable.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from keenkite.cloud import cloud_text
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
    """A tile with its heatmap over it, a bar of its scale, what map and search say, a legend, when
    it was seen and under what cloud, and whose data it is. Where no ground is seen it is hatched.

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
    below = picture.height + 4 * size + 4 * pad
    page = Image.new("RGB", (width, below + drawing.CREDIT_HEIGHT), PAPER)
    page.paste(picture)
    pen = ImageDraw.Draw(page)
    drawing.ground_bar(pen, (pad, picture.height - pad), span=tile.span, width=width, size=size)
    y = picture.height + pad
    named, seen = heat.text if text is None else text, f"{tile.datetime:%Y-%m-%d}"
    _line(pen, y, (named, numbers(heat)), width=width, size=size)
    _line(pen, y + size + pad, (f"{seen} · {cloud_text(tile.cloud)}", advice(heat)),
          width=width, size=size)  # fmt: skip
    drawing.legend(page, x=pad, y=y + 2 * (size + pad), width=width - 2 * pad, size=size)
    drawing.credit(pen, (pad, below), credit_of([tile], sensor), room=width - 2 * pad)
    return page


def numbers(heat: Heatmap) -> str:
    """The map's strength beside the search's confidence, 0-1 both: "map 0.82 · search 0.64"."""
    if heat.seen == 0:
        return "all hidden"
    search = "" if heat.confidence is None else f" · search {heat.confidence:.2f}"
    return f"map {heat.strength:.2f}{search}"


def advice(heat: Heatmap) -> str:
    """Which of the two to go by, in so few words that they fit under a picture; mostly none."""
    return "" if heat.believed is None else f"believe the {heat.believed}"


def _line(
    pen: ImageDraw.ImageDraw, y: int, texts: tuple[str, str], *, width: int, size: int
) -> None:
    """A text from the left edge, cut where its room ends, and one that ends at the right."""
    (left, right), pad = texts, size // 2 + 2
    room = width - 3 * pad - drawing.length(right, size)
    drawing.write(pen, (pad, y), left, size, INK, room=int(room))
    drawing.write(pen, (width - pad, y), right, size, QUIET, anchor="ra")


def heated(rgb: Rgb, heat: Heatmap, scale: int) -> Image.Image:
    """The tile, dimmed and greyed, under the colours of its map; a ring round the find.

    Where no ground is seen it is hatched.
    """
    base = np.asarray(tile_image(rgb, scale=scale), np.float32)
    if heat.values.shape != rgb.shape[:2]:
        raise InputError(
            f"The heatmap is {heat.values.shape} and the tile {rgb.shape[:2]}: "
            f"they are not of the same tile."
        )
    big = Image.fromarray(heat.values).resize(
        (base.shape[1], base.shape[0]), Image.Resampling.BICUBIC
    )
    drawn = drawing.blend(base, np.clip(np.asarray(big), 0, 1))
    if heat.hidden is not None:
        drawn = drawing.hatch(drawn, heat.hidden.repeat(scale, 0).repeat(scale, 1))
    picture = Image.fromarray(drawn)
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
