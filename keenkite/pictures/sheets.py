"""Sheets of tiles: an answer at a glance.

    contact_sheet(result, images, title="airport", sensor=index.sensor).save("answer.png")

Sheets are sized for a chat: two tiles beside each other fill a message, and the text in them can
still be read when the client shrinks them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw

from keenkite.cloud import cloud_text
from keenkite.errors import InputError
from keenkite.pictures import drawing
from keenkite.pictures.drawing import INK, PAPER, QUIET, VACANT, Rgb
from keenkite.pictures.tile import advice, credit_of, heated, numbers, tile_image
from keenkite.tiling import TILE

if TYPE_CHECKING:
    from keenkite.retrieval.heatmap import Heatmap
    from keenkite.retrieval.result import Result
    from keenkite.sensors import Sensor
    from keenkite.tiling import Tile

MAX_TILES = 100
"""On one sheet: more cannot be read, and the picture would not fit into a chat."""

_MARGIN, _GAP = 20, 16
_SHEET_WIDTH = 1000  # pixels; chat clients show about this much
_HEADER = 84


@dataclass(frozen=True, kw_only=True)
class _Card:
    """One tile of a sheet."""

    tile: Tile
    rgb: Rgb | None
    heat: Heatmap | None
    left: str
    right: str


def contact_sheet(
    result: Result,
    images: Sequence[Rgb | None],
    *,
    title: str,
    sensor: Sensor,
    heats: Sequence[Heatmap] | None = None,
) -> Image.Image:
    """An answer at a glance: each hit's tile, rank, score, place, date and cloud.

    Args:
        result: What `search` answered.
        images: One uint8 (224, 224, 3) for each hit, in their order; None where the pixels
            cannot be had.
        title: The first line.
        sensor: Whose imagery it is: the sheet carries its attribution.
        heats: One heatmap for each hit, drawn beside its tile.

    Raises:
        InputError: the numbers of hits, images and heatmaps differ, or there are more than 100.
    """
    hits = result.hits
    _check_lengths(len(hits), images, heats)
    cards = [
        _Card(
            tile=hit.tile,
            rgb=rgb,
            heat=heats[n] if heats else None,
            left=f"{hit.rank}",
            right=f"score {hit.score:.3f} · confidence {hit.confidence:.2f}"
            + (f" · map {heats[n].strength:.2f}" if heats else ""),
        )
        for n, (hit, rgb) in enumerate(zip(hits, images, strict=True))
    ]
    subtitle = _count(len(hits)) if hits else "nothing found"
    return _sheet(cards, (title, subtitle), sensor, with_heat=heats is not None)


def tile_sheet(
    tiles: Sequence[Tile],
    images: Sequence[Rgb | None],
    *,
    title: str,
    sensor: Sensor,
    heats: Sequence[Heatmap] | None = None,
) -> Image.Image:
    """Some tiles, each with its id, place, date and cloud: `contact_sheet` without a search."""
    _check_lengths(len(tiles), images, heats)
    cards = [
        _Card(
            tile=tile,
            rgb=rgb,
            heat=heats[n] if heats else None,
            left=tile.id,
            right=numbers(heats[n]) if heats else "",
        )
        for n, (tile, rgb) in enumerate(zip(tiles, images, strict=True))
    ]
    return _sheet(cards, (title, _count(len(tiles))), sensor, with_heat=heats is not None)


def place(lon: float, lat: float) -> str:
    """Where, for people: "35.123° N 139.456° E", to 100 m."""
    return f"{abs(lat):.3f}° {'N' if lat >= 0 else 'S'} {abs(lon):.3f}° {'E' if lon >= 0 else 'W'}"


def _sheet(
    cards: Sequence[_Card], header: tuple[str, str], sensor: Sensor, *, with_heat: bool
) -> Image.Image:
    """A header of two lines, the cards in rows, and whose imagery it is."""
    card_width = 2 * TILE + 4 if with_heat else TILE
    row_height = TILE + 63 + _GAP
    fit = (_SHEET_WIDTH - 2 * _MARGIN + _GAP) // (card_width + _GAP)
    columns = max(min(fit, len(cards)), 1)
    # A single tile still leaves room for the header.
    width = max(2 * _MARGIN + columns * (card_width + _GAP) - _GAP, 2 * TILE + 2 * _MARGIN)
    below = _HEADER + -(-len(cards) // columns) * row_height
    page = Image.new("RGB", (width, below + drawing.CREDIT_HEIGHT), PAPER)
    _draw_header(page, *header, with_legend=with_heat and width > 700)
    spans = {card.tile.span for card in cards}
    for n, card in enumerate(cards):
        row, column = divmod(n, columns)
        at = _MARGIN + column * (card_width + _GAP), _HEADER + row * row_height
        _draw_card(page, card, at, width=card_width, with_span=len(spans) > 1)
    if cards:
        credit = credit_of([card.tile for card in cards], sensor)
        pen = ImageDraw.Draw(page)
        drawing.credit(pen, (_MARGIN, below), credit, room=width - 2 * _MARGIN)
    return page


def _draw_header(page: Image.Image, title: str, subtitle: str, *, with_legend: bool) -> None:
    pen = ImageDraw.Draw(page)
    room = page.width - 2 * _MARGIN - (190 if with_legend else 0)
    drawing.write(pen, (_MARGIN, 18), title, 24, INK, room=room)
    drawing.write(pen, (_MARGIN, 50), subtitle, 13, QUIET, room=room)
    if with_legend:
        right = page.width - _MARGIN
        drawing.write(pen, (right, 22), "how much like the text", 12, QUIET, anchor="ra")
        drawing.legend(page, x=right - 180, y=48, width=180, size=12)


def _draw_card(
    page: Image.Image, card: _Card, at: tuple[int, int], *, width: int, with_span: bool
) -> None:
    (x, y), side, tile = at, TILE, card.tile
    pen = ImageDraw.Draw(page)
    if card.rgb is None:
        pen.rectangle((x, y, x + width - 1, y + side - 1), fill=VACANT)
        pen.text((x + width / 2, y + side / 2), "no pixels kept", QUIET, drawing.font(13), "mm")
    else:
        page.paste(tile_image(card.rgb, scale=1), (x, y))
        if card.heat is not None:
            page.paste(heated(card.rgb, card.heat, 1), (x + side + 4, y))
    right = drawing.length(card.right, 12)
    drawing.write(pen, (x, y + side + 6), card.left, 14, INK, room=int(width - right - 8))
    drawing.write(pen, (x + width, y + side + 8), card.right, 12, INK, anchor="ra")
    when = f"{tile.datetime:%Y-%m-%d}"
    if with_span:
        when = f"{tile.span / 1000:.3g} km · {when}"
    drawing.write(pen, (x, y + side + 26), place(tile.lon, tile.lat), 12, QUIET)
    drawing.write(pen, (x + width, y + side + 26), when, 12, QUIET, anchor="ra")
    drawing.write(pen, (x, y + side + 43), cloud_text(tile.cloud), 12, QUIET)
    if card.heat is not None:
        drawing.write(pen, (x + width, y + side + 43), advice(card.heat), 12, INK, anchor="ra")


def _count(number: int) -> str:
    return f"{number} tile{'' if number == 1 else 's'}"


def _check_lengths(
    number: int, images: Sequence[Rgb | None], heats: Sequence[Heatmap] | None
) -> None:
    if number > MAX_TILES:
        raise InputError(f"A sheet holds {MAX_TILES} tiles at most, not {number}.")
    if len(images) != number or (heats is not None and len(heats) != number):
        raise InputError(
            f"{number} tiles need as many images, not {len(images)}"
            + ("." if heats is None else f", and as many heatmaps, not {len(heats)}.")
        )
