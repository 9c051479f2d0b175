"""Units: what is read and recorded together, all products of one pass on one grid tile.

Ground counts, not names. A pass is one platform within ten minutes. Its products on a grid tile may
be two halves of a split datastrip, or one acquisition from two archives: where they overlap, the
one processed last has the pixel, and what it has no data for comes from the next.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import timedelta

import shapely

from keenkite.scene import Scene


def units(scenes: Iterable[Scene]) -> list[Scene]:
    """Scenes as units: one by itself as it is, several of a pass and a grid tile as one scene.

    Returns:
        Ordered by time, then id.
    """
    found: list[list[Scene]] = []
    for scene in sorted(scenes, key=lambda scene: (scene.datetime, scene.id)):
        for products in found:
            if same_pass(products[0], scene) and _fits(products[0], scene):
                products.append(scene)
                break
        else:
            found.append([scene])
    return [_joined(products) if len(products) > 1 else products[0] for products in found]


def same_pass(one: Scene, other: Scene) -> bool:
    """Whether two scenes of a zone were taken by one platform within some minutes."""
    reach = timedelta(minutes=one.sensor.pass_minutes)
    return (one.sensor.name, one.platform, one.epsg) == (
        other.sensor.name,
        other.platform,
        other.epsg,
    ) and abs(one.datetime - other.datetime) <= reach


def _fits(one: Scene, other: Scene) -> bool:
    """Whether the pixels of two scenes of a grid tile lie on each other."""
    shift = [(one.west - other.west) / one.metres, (one.north - other.north) / one.metres]
    return (
        one.grid_code == other.grid_code
        and one.metres == other.metres
        and all(abs(pixels - round(pixels)) < 1e-4 for pixels in shift)
    )


def _joined(products: Sequence[Scene]) -> Scene:
    first = products[0]
    west, north = min(p.west for p in products), max(p.north for p in products)
    east = max(p.footprint.bounds[2] for p in products)
    south = min(p.footprint.bounds[1] for p in products)
    clouds = [p.cloud for p in products if p.cloud is not None]
    outline = shapely.union_all([p.ground for p in products])
    return replace(
        first,
        collection=max(products, key=_processed).collection,
        west=west,
        north=north,
        width=round((east - west) / first.metres),
        height=round((north - south) / first.metres),
        cloud=max(clouds) if clouds else None,
        assets={},
        outline=outline if outline.area > 0 else None,
        confirmed=all(p.confirmed for p in products),
        products=tuple(sorted(products, key=_processed, reverse=True)),
    )


def _processed(scene: Scene) -> tuple[bool, float, str]:
    """The later the better; what does not say comes last."""
    moment = scene.processed
    return moment is not None, moment.timestamp() if moment else 0.0, scene.id
