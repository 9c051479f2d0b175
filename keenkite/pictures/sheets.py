"""Pictures of tiles, heatmaps and answers, and the same for a map.

    overlay(rgb, heat, text="airport").save("airport.png")
    contact_sheet(result, images, title="airport").save("answer.png")
    write_geotiff(Path("airport.tif"), heat, tile)

Pictures are sized for a chat: two tiles beside each other fill a message, and the text in them
can still be read when the client shrinks them. Every map in a picture has the same colours for
the same values, which is what makes two of them comparable.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from PIL import Image, ImageDraw
from shapely.geometry import mapping
from shapely.geometry.polygon import orient

from keenkite.encoder import TILE
from keenkite.errors import InputError, StorageError
from keenkite.pictures import drawing
from keenkite.pictures.drawing import INK, PAPER, QUIET, VACANT, Rgb
from keenkite.scene import PIXEL

if TYPE_CHECKING:
    from keenkite.retrieval.heatmap import Heatmap
    from keenkite.retrieval.search import Result
    from keenkite.tiling import Tile

MAX_TILES = 100
"""On one sheet: more cannot be read, and the picture would not fit into a chat."""

_MARGIN, _GAP = 20, 16
_SHEET_WIDTH = 1000  # pixels; chat clients show about this much


# --- one tile ---------------------------------------------------------------------------------


def tile_image(rgb: Rgb, *, scale: int = 2) -> Image.Image:
    """A tile as a picture.

    Args:
        rgb: uint8 (height, width, 3).
        scale: Enlargement, 1-8; smooth, for pixels of 10 m are no squares in nature.
    """
    _check_rgb(rgb)
    if not 1 <= scale <= 8:
        raise InputError(f"A picture is enlarged 1 to 8 times, not {scale}.")
    picture = Image.fromarray(np.ascontiguousarray(rgb))
    return picture.resize((rgb.shape[1] * scale, rgb.shape[0] * scale), Image.Resampling.LANCZOS)


def overlay(rgb: Rgb, heat: Heatmap, *, text: str | None = None, scale: int = 2) -> Image.Image:
    """A tile with its heatmap over it, a bar of 500 m, and a legend below.

    Args:
        rgb: uint8 (height, width, 3).
        heat: Of the same tile.
        text: What the legend says was looked for; the heatmap's own text by default.
        scale: Enlargement, 1-8.
    """
    picture = _heated(rgb, heat, scale)
    size = round(9.5 + 1.5 * min(scale, 4))
    width, pad = picture.width, size // 2 + 2
    page = Image.new("RGB", (width, picture.height + 3 * size + 3 * pad), PAPER)
    page.paste(picture)
    pen = ImageDraw.Draw(page)
    drawing.ground_bar(pen, x=pad, y=picture.height - pad, scale=scale, size=size)
    y = picture.height + pad
    number = f"maximum {heat.strength:.2f}"
    room = width - 3 * pad - drawing.length(number, size)
    drawing.write(pen, (pad, y), heat.text if text is None else text, size, INK, room=int(room))
    drawing.write(pen, (width - pad, y), number, size, QUIET, anchor="ra")
    drawing.legend(page, x=pad, y=y + size + pad, width=width - 2 * pad, size=size)
    return page


def _heated(rgb: Rgb, heat: Heatmap, scale: int) -> Image.Image:
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


# --- sheets -----------------------------------------------------------------------------------


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
    heats: Sequence[Heatmap] | None = None,
) -> Image.Image:
    """An answer at a glance: each hit's tile, rank, score, place and date.

    Args:
        result: What `search` answered.
        images: One uint8 (224, 224, 3) for each hit, in their order; None where the pixels
            cannot be had.
        title: The first line.
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
            right=f"score {hit.score:.3f}" + _confidence(hit.confidence),
        )
        for n, (hit, rgb) in enumerate(zip(hits, images, strict=True))
    ]
    return _sheet(cards, title, _subtitle(result), with_heat=heats is not None)


def tile_sheet(
    tiles: Sequence[Tile],
    images: Sequence[Rgb | None],
    *,
    title: str,
    heats: Sequence[Heatmap] | None = None,
) -> Image.Image:
    """Some tiles, each with its id, place and date: `contact_sheet` without a search."""
    _check_lengths(len(tiles), images, heats)
    cards = [
        _Card(
            tile=tile,
            rgb=rgb,
            heat=heats[n] if heats else None,
            left=tile.id,
            right=f"maximum {heats[n].strength:.2f}" if heats else "",
        )
        for n, (tile, rgb) in enumerate(zip(tiles, images, strict=True))
    ]
    count = f"{len(tiles)} tile{'' if len(tiles) == 1 else 's'}"
    return _sheet(cards, title, count, with_heat=heats is not None)


def _sheet(cards: Sequence[_Card], title: str, subtitle: str, *, with_heat: bool) -> Image.Image:
    side = TILE
    card_width = 2 * side + 4 if with_heat else side
    card_height = side + 46
    fit = (_SHEET_WIDTH - 2 * _MARGIN + _GAP) // (card_width + _GAP)
    columns = max(min(fit, len(cards)), 1)
    rows = -(-len(cards) // columns)
    # A single tile still leaves room for the header.
    width = max(2 * _MARGIN + columns * (card_width + _GAP) - _GAP, 2 * side + 2 * _MARGIN)
    header = 84
    page = Image.new("RGB", (width, header + rows * (card_height + _GAP)), PAPER)
    pen = ImageDraw.Draw(page)
    legend = 190 if with_heat and width > 700 else 0
    room = width - 2 * _MARGIN - legend
    drawing.write(pen, (_MARGIN, 18), title, 24, INK, room=room)
    drawing.write(pen, (_MARGIN, 50), subtitle, 13, QUIET, room=room)
    if legend:
        drawing.write(pen, (width - _MARGIN, 22), "how much like the text", 12, QUIET, anchor="ra")
        drawing.legend(page, x=width - _MARGIN - 180, y=48, width=180, size=12)
    for n, card in enumerate(cards):
        x = _MARGIN + (n % columns) * (card_width + _GAP)
        y = header + (n // columns) * (card_height + _GAP)
        _draw_card(page, card, x, y, card_width)
    return page


def _draw_card(page: Image.Image, card: _Card, x: int, y: int, width: int) -> None:
    side = TILE
    pen = ImageDraw.Draw(page)
    if card.rgb is None:
        pen.rectangle((x, y, x + width - 1, y + side - 1), fill=VACANT)
        pen.text((x + width / 2, y + side / 2), "no pixels kept", QUIET, drawing.font(13), "mm")
    else:
        page.paste(tile_image(card.rgb, scale=1), (x, y))
        if card.heat is not None:
            page.paste(_heated(card.rgb, card.heat, 1), (x + side + 4, y))
    right = drawing.length(card.right, 12)
    drawing.write(pen, (x, y + side + 6), card.left, 14, INK, room=int(width - right - 8))
    drawing.write(pen, (x + width, y + side + 8), card.right, 12, INK, anchor="ra")
    tile = card.tile
    drawing.write(pen, (x, y + side + 26), place(tile.lon, tile.lat), 12, QUIET)
    drawing.write(
        pen, (x + width, y + side + 26), f"{tile.datetime:%Y-%m-%d}", 12, QUIET, anchor="ra"
    )


def place(lon: float, lat: float) -> str:
    """Where, for people: "35.123° N 139.456° E", to 100 m."""
    return f"{abs(lat):.3f}° {'N' if lat >= 0 else 'S'} {abs(lon):.3f}° {'E' if lon >= 0 else 'W'}"


def _confidence(value: float | None) -> str:
    return "" if value is None else f" · confidence {value:.2f}"


def _subtitle(result: Result) -> str:
    number = len(result.hits)
    return f"{number} tile{'' if number == 1 else 's'}" if number else "nothing found"


# --- for a map --------------------------------------------------------------------------------


def hits_geojson(result: Result) -> dict[str, Any]:
    """An answer as a lon/lat FeatureCollection (RFC 7946): each hit's square of ground.

    A tile that reaches across the antimeridian is two polygons, as the RFC asks.
    """
    return {
        "type": "FeatureCollection",
        "features": [
            {
                "type": "Feature",
                "id": hit.tile.id,
                "geometry": _ground(hit.tile),
                "properties": hit.to_dict(),
            }
            for hit in result.hits
        ],
    }


def _ground(tile: Tile) -> dict[str, Any]:
    """A tile's square as a GeoJSON geometry."""
    # The corners' longitudes go on beyond ±180 where the square does: shift that part back.
    square = shapely.Polygon(tile.corners)
    parts = [
        shapely.transform(part, lambda at, turn=turn: at - (turn, 0))
        for turn in (-360, 0, 360)
        if (part := square.intersection(shapely.box(turn - 180, -90, turn + 180, 90))).area > 0
    ]
    # 1e-6 degrees are a tenth of a metre; the RFC wants outer rings counter-clockwise.
    parts = [orient(shapely.transform(part, lambda at: at.round(6))) for part in parts]
    shape = parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts)
    geometry: dict[str, Any] = mapping(shape)
    return geometry


def write_geotiff(path: Path, heat: Heatmap, tile: Tile) -> None:
    """A heatmap as a GeoTIFF in the tile's UTM zone: one band, float32, 0-1, 10 m.

    Raises:
        StorageError: the file cannot be written.
    """
    import rasterio
    from rasterio.errors import RasterioError

    try:
        with rasterio.open(
            path,
            "w",
            driver="GTiff",
            height=heat.values.shape[0],
            width=heat.values.shape[1],
            count=1,
            dtype="float32",
            crs=f"EPSG:{tile.epsg}",
            transform=rasterio.Affine(PIXEL, 0, tile.west, 0, -PIXEL, tile.north),
            compress="DEFLATE",
            predictor=3,
        ) as file:
            file.write(heat.values, 1)
            file.set_band_description(1, f"like {heat.text!r}, 0-1")
            file.update_tags(text=heat.text, tile=tile.id)
    except (OSError, RasterioError) as error:
        raise StorageError(
            f"The heatmap of {tile.id} cannot be written to {path}: {error}. "
            f"Name a file in a folder that exists and has room."
        ) from error


# --- files and text ---------------------------------------------------------------------------


def to_png(image: Image.Image, *, max_bytes: int = 500_000) -> bytes:
    """A picture as PNG of at most some bytes: in all colours, else in 256, else smaller.

    Raises:
        InputError: not even a picture of 64 pixels fits.
    """
    while True:
        # MEDIANCUT keeps the colours of a map apart, where the faster FASTOCTREE shows bands.
        few = image.quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
        for candidate in (image, few):
            buffer = io.BytesIO()
            candidate.save(buffer, "PNG", optimize=True)
            if buffer.tell() <= max_bytes:
                return buffer.getvalue()
        width, height = round(image.width * 0.85), round(image.height * 0.85)
        if min(width, height) < 64:
            raise InputError(f"No picture fits into {max_bytes:,} bytes; allow more.")
        image = image.resize((width, height), Image.Resampling.LANCZOS)


def _check_rgb(rgb: Rgb) -> None:
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3:
        raise InputError(
            f"A tile's picture is uint8 (height, width, 3), not {rgb.dtype} {rgb.shape}."
        )


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
