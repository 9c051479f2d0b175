"""What tools answer about tiles: the structure that clients can compute with, and its text.

A text has every fact of its structure, because some clients show their model only one of the two.
Builds, regions and collections are in `stock`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote, urlsplit

from pydantic import BaseModel

from keenkite.cloud import cloud_text

if TYPE_CHECKING:
    from keenkite.retrieval.result import Hit
    from keenkite.tiling import Tile

ONLY_DETAILED = ("bounds", "regions", "scene_ids")
"""What of a hit is left out of a concise answer; so are the ids of the tiles that `near` and
`exclude` name, whose places are told."""


class MetOut(BaseModel):
    """How a hit meets `near` or `exclude`, and where the concept is.

    `confidence`: that it is in the tile, or within the distance. Then the neighbour.
    """

    text: str
    within_km: float | None
    confidence: float
    named: Literal["nearest", "surest"] | None
    km: float | None
    km_error: float | None
    tile_confidence: float | None
    lon: float | None
    lat: float | None
    tile_id: str | None = None


class HitOut(BaseModel):
    """One tile, as the core writes a hit."""

    rank: int
    tile_id: str
    lon: float
    lat: float
    datetime: str
    confidence: float
    score: float
    cloud: float | None
    cover: dict[str, float | None]
    span: float
    near: list[MetOut]
    exclude: list[MetOut]
    bounds: list[float] | None = None
    regions: list[str] | None = None
    scene_ids: list[str] | None = None
    scene_url: str | None = None


class HitsOut(BaseModel):
    """A page of an answer."""

    collection: str
    verdict: Literal["strong", "weak", "none"]
    reason: str | None = None
    hits: list[HitOut]
    next_cursor: str | None = None


def plain(answer: BaseModel) -> dict[str, Any]:
    """A structure for the wire; what was not said is left out."""
    return answer.model_dump(mode="json", exclude_unset=True)


def hit_out(hit: Hit, *, detailed: bool, catalog: str) -> HitOut:
    """A hit of the core's search."""
    facts = hit.to_json()
    for met in (*facts["near"], *facts["exclude"]):
        if not detailed or met["tile_id"] is None:
            del met["tile_id"]
    if not detailed:
        facts = {name: value for name, value in facts.items() if name not in ONLY_DETAILED}
    elif url := scene_url(catalog, hit.tile):
        facts["scene_url"] = url
    return HitOut(**facts)


def scene_url(catalog: str, tile: Tile) -> str | None:
    """The STAC item a tile was cut from, the first of several; None for catalogs that are folders
    of this host."""
    if not catalog.lower().startswith(("http://", "https://")):
        return None
    parts = urlsplit(catalog)
    host = parts.netloc.rpartition("@")[2]  # never a password
    path = f"{parts.path.rstrip('/')}/collections/{quote(tile.collection)}/items/"
    return f"{parts.scheme}://{host}{path}{quote(tile.scene_ids[0])}"


def hits_text(answer: HitsOut, about: str) -> str:
    """A page of hits, a line each."""
    where = f"for {about} in collection {answer.collection}"
    if not answer.hits:
        return f"verdict: none. {answer.reason or 'Nothing found'} ({where})."
    spans = sorted({hit.span for hit in answer.hits})
    head = f"verdict: {answer.verdict}, {where}; tiles {_spans_text(spans)} wide, cover where not 0"
    lines = [f"{head}. {answer.reason}" if answer.reason else head]
    lines += [_hit_line(hit, with_span=len(spans) > 1) for hit in answer.hits]
    if answer.next_cursor:
        lines.append(f"More: same arguments with cursor {answer.next_cursor}")
    return "\n".join(lines)


def _spans_text(spans: list[float]) -> str:
    return " and ".join(f"{span:g} m" for span in spans)


def _hit_line(hit: HitOut, *, with_span: bool) -> str:
    cover = "".join(
        f", {kind} {'unknown' if share is None else f'{share:g}'}"
        for kind, share in hit.cover.items()
        if share != 0
    )
    line = (
        f"{hit.rank}. {hit.tile_id} at lon {hit.lon}, lat {hit.lat}, {hit.datetime}, "
        f"score {hit.score:g}, confidence {hit.confidence:g}, {cloud_text(hit.cloud)}{cover}"
    )
    line += f", {hit.span:g} m wide" if with_span else ""
    line += "".join(f"; near {_met_text(met)}" for met in hit.near)
    line += "".join(f"; without {_met_text(met)}" for met in hit.exclude)
    if hit.bounds is not None:
        line += f"; bounds {', '.join(map(str, hit.bounds))}"
        line += f"; regions {', '.join(hit.regions or []) or 'none'}"
        line += f"; scenes {', '.join(hit.scene_ids or [])}"
    return line + (f" {hit.scene_url}" if hit.scene_url else "")


def _met_text(met: MetOut) -> str:
    text = repr(met.text)
    if met.within_km is not None:
        text += f" within {met.within_km:g} km"
    text += f": confidence {met.confidence:g}"
    if met.named is None:
        return text
    text += f", {met.named} {met.km} km away (± {met.km_error}) at lon {met.lon}, lat {met.lat}"
    text += f" in {met.tile_id}" if met.tile_id else ""
    return f"{text}, its confidence {met.tile_confidence:g}"
