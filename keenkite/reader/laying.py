"""How the pixels of a file lie on those of a scene: by georeference, the nearest pixel counts.

One rule for all files: pixel i of the scene, counted from its edge, shows the pixel of the file
that its middle lies in. For files on the scene's own grid that is the same pixel; a coarser one is
repeated, wherever it begins; what lies outside a file is no data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyproj import Transformer
from pyproj.exceptions import ProjError
from rasterio.crs import CRS
from rasterio.errors import CRSError, RasterioError

from keenkite.reader.sources import FileError
from keenkite.scene import Grid, Scene

NOISE = 1e-3
"""Metres: what differs by less is the same place, written with other digits."""


@dataclass(frozen=True, kw_only=True)
class Axis:
    """Rows or columns of a file as a scene sees them."""

    count: int
    """Of the file's."""
    step: float
    """Of the file's, for one of the scene's: 0.5 where its pixels are twice as wide."""
    shift: float
    """Of the file's, from its edge to the scene's."""

    def places(self, first: int, count: int) -> NDArray[np.intp]:
        """Which of the file's each of some of the scene's shows; may lie outside the file."""
        middles = (np.arange(first, first + count) + 0.5) * self.step + self.shift
        places: NDArray[np.intp] = np.floor(middles).astype(np.intp)
        return places


@dataclass(frozen=True, kw_only=True)
class Laying:
    """Both axes."""

    rows: Axis
    cols: Axis

    @property
    def coarseness(self) -> float:
        """Pixels of the scene along the side of one of the file's: 2 for 20 m on 10 m."""
        return round(1 / min(self.rows.step, self.cols.step), 6)


def lay(file: Any, scene: Scene, *, on_grid: bool) -> Laying:
    """Where a file's pixels lie on a scene's.

    Args:
        file: The dataset.
        scene: Says the grid. It also stands in for a file that says nothing of where it is, which
            some JPEG 2000 files do not, if that has the scene's proportions.
        on_grid: Whether the file's pixels must be the scene's, or a whole number of them each way.

    Raises:
        FileError: It cannot be laid.
    """
    if file.crs is None and file.transform.is_identity:
        return _by_size(file, scene)
    if not same_crs(file.crs, scene.epsg):
        raise FileError(f"is in {crs_name(file.crs)}, its scene in EPSG:{scene.epsg}")
    width, height = _pixel(file)
    west, north, metres = file.transform.c, file.transform.f, scene.metres
    # Where middles lie on edges of the file's pixels, they are in the later one, noise or not.
    down, right = north - scene.north + NOISE, scene.west - west + NOISE
    laying = Laying(
        rows=Axis(count=file.height, step=metres / height, shift=down / height),
        cols=Axis(count=file.width, step=metres / width, shift=right / width),
    )
    if on_grid and not (
        _on_grid(width, scene.west - west, file.width, metres)
        and _on_grid(height, north - scene.north, file.height, metres)
    ):
        raise FileError(
            f"has the grid {tuple(file.transform)[:6]}, whose pixels are not those of the scene, "
            f"{metres:g} m wide from ({scene.west:.3f}, {scene.north:.3f}), nor whole groups of "
            "them: resample it to the scene's grid"
        )
    if not (_meet(laying.rows, scene.height) and _meet(laying.cols, scene.width)):
        raise FileError(
            f"lies elsewhere: its pixels begin at ({west:.3f}, {north:.3f}) and do not overlap "
            f"with its scene's, which begin at ({scene.west:.3f}, {scene.north:.3f})"
        )
    return laying


def grid(file: Any) -> Grid:
    """A file's own grid.

    Raises:
        FileError: It is not one of square pixels with north up in a UTM zone.
    """
    if file.crs is None:
        raise FileError("does not say where it is: it has no coordinate system")
    width, height = _pixel(file)
    if abs(width - height) * max(file.width, file.height) > NOISE:
        raise FileError(f"has pixels of {width:g} by {height:g} m, where square ones belong")
    epsg = _zone(file)
    if epsg is None:
        raise FileError(
            f"is in {crs_name(file.crs)}, not in a UTM zone of WGS 84 (EPSG:326xx or 327xx): "
            "reproject it first"
        )
    return Grid(
        epsg=epsg,
        west=_plain(file.transform.c),
        north=_plain(file.transform.f),
        metres=_plain(width),
        width=file.width,
        height=file.height,
    )


def same_crs(crs: CRS | None, epsg: int) -> bool:
    """Whether coordinates in a system mean the same as in a UTM zone, however that is written.

    By what it does, since codes are often lost: a system is the same if nowhere in the zone's
    neighbourhood a point moves by a millimetre. Datums that PROJ holds to be the same as WGS 84
    (ETRS89, NAD83) pass; the truth differs by a metre or two.
    """
    zone = CRS.from_epsg(epsg)
    if crs is None or crs == zone:
        return crs is not None
    south = 10_000_000 if epsg // 100 == 327 else 0
    xs = [x for x in (170_000.0, 500_000.0, 830_000.0) for _ in range(3)]
    ys = [abs(south - y) for y in (100_000.0, 4_000_000.0, 8_000_000.0)] * 3
    moved = _moved(crs, f"EPSG:{epsg}", xs, ys)
    return moved is not None and bool(np.allclose(moved, [xs, ys], rtol=0, atol=NOISE))


def crs_name(crs: CRS | None) -> str:
    """What messages call it."""
    if crs is None:
        return "no coordinate system"
    code = crs.to_authority()
    if code is not None:
        return ":".join(code)
    match = str(crs.to_wkt()).split('"')
    return f"another coordinate system ({match[1]})" if len(match) > 1 else "an unknown one"


def _pixel(file: Any) -> tuple[float, float]:
    """(width, height) of a pixel in the units of its coordinates."""
    a, b, _, d, e, _ = tuple(file.transform)[:6]
    if file.transform.is_identity:
        raise FileError("does not say where it is: it has no georeference")
    # A turn that moves the far corner by less than the noise is none.
    if max(abs(b) * file.height, abs(d) * file.width) > NOISE:
        raise FileError(f"is rotated or sheared (its grid is {tuple(file.transform)[:6]})")
    if a <= 0 or e >= 0:
        raise FileError(f"does not lie north up (its grid is {tuple(file.transform)[:6]})")
    return float(a), float(-e)


def _by_size(file: Any, scene: Scene) -> Laying:
    if file.gcps[0]:
        raise FileError("is placed by control points, not by a grid: warp it to the scene's")
    factor = max(round(scene.width / file.width), 1)
    covered = (file.width * factor, file.height * factor)
    if any(
        abs(has - wants) >= factor
        for has, wants in zip(covered, (scene.width, scene.height), strict=True)
    ):
        raise FileError(
            f"does not say where it is, and its {file.width}×{file.height} pixels do not cover the "
            f"{scene.width}×{scene.height} of its scene"
        )
    return Laying(
        rows=Axis(count=file.height, step=1 / factor, shift=0.0),
        cols=Axis(count=file.width, step=1 / factor, shift=0.0),
    )


def _on_grid(size: float, offset: float, count: int, metres: float) -> bool:
    """Whether pixels lie between pixels of the scene, up to noise; that of sizes adds up."""
    factor = round(size / metres)
    drift = abs(size - factor * metres) * count
    off = abs(offset - round(offset / metres) * metres)
    return factor >= 1 and off < NOISE and drift < 10 * NOISE


def _meet(axis: Axis, count: int) -> bool:
    first, last = axis.places(0, 1)[0], axis.places(count - 1, 1)[0]
    return bool(last >= 0 and first < axis.count)


def _zone(file: Any) -> int | None:
    """The UTM zone of a file."""
    code = file.crs.to_epsg()
    if code is not None and code // 100 in (326, 327) and 1 <= code % 100 <= 60:
        return int(code)
    a, _, west, _, e, north = tuple(file.transform)[:6]
    x, y = west + a * file.width / 2, north + e * file.height / 2
    place = _moved(file.crs, "EPSG:4326", [x], [y])
    if place is None:
        return None
    lon, lat = place[0][0], place[1][0]
    here = int((lon + 180) // 6)
    # A scene may lie beyond the edges of its zone, and on the other side of the equator.
    near = [(here + step) % 60 + 1 for step in (0, -1, 1)]
    halves = (32600, 32700) if lat >= 0 else (32700, 32600)
    codes = [half + zone for half in halves for zone in near]
    return next((code for code in codes if same_crs(file.crs, code)), None)


def _moved(
    crs: CRS, other: str, xs: list[float], ys: list[float]
) -> tuple[list[float], list[float]] | None:
    """Points of one system in another; None where that cannot be said."""
    try:
        transformer = Transformer.from_crs(crs.to_wkt(), other, always_xy=True)
        x, y = transformer.transform(xs, ys)
    except (ProjError, RasterioError, CRSError):
        return None
    return (x, y) if np.isfinite([x, y]).all() else None


def _plain(metres: float) -> float:
    """Without the noise."""
    return float(round(metres)) if abs(metres - round(metres)) < NOISE else float(metres)
