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
    from collections.abc import Mapping, Sequence

    from keenkite.retrieval.query import Kind
    from keenkite.retrieval.result import Hit, Result
    from keenkite.tiling import Tile

ONLY_DETAILED = ("score", "bounds", "regions", "scene_ids")
"""What of a hit is left out of a concise answer, beside near and exclude where none was asked."""

MET_ONLY_DETAILED = ("tile_id", "tile_confidence")
"""Likewise of what is near it; and where nothing is named."""

Verdict = Literal["strong", "weak", "none"]


class MetOut(BaseModel):
    """What a hit has of `near` or `exclude`: `confidence` that it is seen in reach, and the place
    that is nearest, or surest where none convinces."""

    text: str
    within_km: float | None
    confidence: float
    named: Literal["nearest", "surest"] | None
    km: float | None
    km_error: float | None
    lon: float | None
    lat: float | None
    tile_id: str | None = None
    tile_confidence: float | None = None


class HitOut(BaseModel):
    """One tile, as the core writes a hit; `confidence` is the product of its `factors`."""

    rank: int
    tile_id: str
    lon: float
    lat: float
    datetime: str
    confidence: float
    factors: dict[str, float]
    cloud: float | None
    cover: dict[str, float | None]
    span: float
    near: list[MetOut] = []
    exclude: list[MetOut] = []
    score: float | None = None
    bounds: list[float] | None = None
    regions: list[str] | None = None
    scene_ids: list[str] | None = None
    scene_url: str | None = None


class ConditionOut(BaseModel):
    """One thing that was asked, as the first hit meets it."""

    kind: str
    text: str | None
    within_km: float | None
    verdict: Verdict


class HitsOut(BaseModel):
    """A page of an answer."""

    collection: str
    verdict: Verdict
    """Of the whole."""
    verdicts: dict[str, Verdict]
    """Of each text by itself."""
    conditions: list[ConditionOut]
    calibrated: bool
    reason: str | None = None
    notes: list[str]
    hits: list[HitOut]
    below: int
    """Hits that follow, and were cut for too low a confidence."""
    next_cursor: str | None = None


def plain(answer: BaseModel) -> dict[str, Any]:
    """A structure for the wire; what was not said is left out."""
    return answer.model_dump(mode="json", exclude_unset=True)


def hit_out(hit: Hit, *, detailed: bool, catalog: str) -> HitOut:
    """A hit of the core's search."""
    facts = hit.to_json()
    for kind in ("near", "exclude"):
        facts[kind] = [_met_facts(met, detailed=detailed) for met in facts[kind]]
    if not detailed:
        unasked = [kind for kind in ("near", "exclude") if not facts[kind]]
        facts = _without(facts, [*ONLY_DETAILED, *unasked])
    elif url := scene_url(catalog, hit.tile):
        facts["scene_url"] = url
    return HitOut(**facts)


def _met_facts(met: dict[str, Any], *, detailed: bool) -> dict[str, Any]:
    return met if detailed and met["tile_id"] else _without(met, MET_ONLY_DETAILED)


def hits_out(
    result: Result, hits: Sequence[HitOut], *, collection: str, next_cursor: str | None
) -> HitsOut:
    """A page of an answer of the core's search; what there is not is left out."""
    facts = _without(result.to_json(), ("text", "hits"))
    said = {"reason": facts.pop("reason"), "next_cursor": next_cursor}
    more = {name: fact for name, fact in said.items() if fact is not None}
    return HitsOut(collection=collection, hits=list(hits), **facts, **more)


def _without(facts: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if name not in names}


def scene_url(catalog: str, tile: Tile) -> str | None:
    """The STAC item a tile was cut from, the first of several; None for catalogs that are folders
    of this host."""
    if not catalog.lower().startswith(("http://", "https://")):
        return None
    parts = urlsplit(catalog)
    host = parts.netloc.rpartition("@")[2]  # never a password
    path = f"{parts.path.rstrip('/')}/collections/{quote(tile.collection)}/items/"
    return f"{parts.scheme}://{host}{path}{quote(tile.scene_ids[0])}"


def hits_text(answer: HitsOut, result: Result, about: str) -> str:
    """A page of hits, a line each; the result says what comes before and after them."""
    from keenkite.retrieval.headline import headline, remarks, rest

    head = f"{headline(result)}, for {about} in collection {answer.collection}"
    spans = sorted({hit.span for hit in answer.hits})
    if spans:
        head += f"; tiles {_spans_text(spans)} wide, cover where not 0"
    lines = [head, *remarks(result)]
    lines += [_hit_line(hit, with_span=len(spans) > 1) for hit in answer.hits]
    if answer.next_cursor:
        lines.append(f"More: same arguments with cursor {answer.next_cursor}")
    return "\n".join([*lines, *rest(result)])


def _spans_text(spans: list[float]) -> str:
    return " and ".join(f"{span:g} m" for span in spans)


def _hit_line(hit: HitOut, *, with_span: bool) -> str:
    cover = "".join(
        f", {kind} {'unknown' if share is None else f'{share:g}'}"
        for kind, share in hit.cover.items()
        if share != 0
    )
    own, *_ = hit.factors.items()
    several = len(hit.factors) > 1
    line = (
        f"{hit.rank}. {hit.tile_id} at lon {hit.lon}, lat {hit.lat}, {hit.datetime}, confidence "
        f"{hit.confidence:g}{' ({} {:g})'.format(*own) if several else ''}, "
        f"{cloud_text(hit.cloud)}{cover}"
    )
    line += f", {hit.span:g} m wide" if with_span else ""
    line += "".join(f"; {_met_text(met, 'near', hit.factors)}" for met in hit.near)
    line += "".join(f"; {_met_text(met, 'exclude', hit.factors)}" for met in hit.exclude)
    if hit.bounds is not None:
        line += f"; score {hit.score:g}; bounds {', '.join(map(str, hit.bounds))}"
        line += f"; regions {', '.join(hit.regions or []) or 'none'}"
        line += f"; scenes {', '.join(hit.scene_ids or [])}"
    return line + (f" {hit.scene_url}" if hit.scene_url else "")


def _met_text(met: MetOut, kind: Kind, factors: Mapping[str, float]) -> str:
    """ "sea within 3 km 0.97, nearest 1.2 ± 0.8 km at lon 139.8, lat 35.5", "without houses 0.98
    (seen 0.02)"."""
    from keenkite.retrieval.query import Asked

    words = Asked(kind=kind, text=met.text, within_km=met.within_km).words
    text = f"{words} {factors[words]:g}"
    if kind == "exclude":
        text += f" (seen {met.confidence:g})"
    if met.km is not None:
        text += f", {met.named} {met.km} ± {met.km_error} km at lon {met.lon}, lat {met.lat}"
    if met.tile_id is not None:
        text += f" in {met.tile_id}, confidence {met.tile_confidence:g}"
    return text
