"""What tools answer: the structure that clients can compute with, and its text.

A text has every fact of its structure, because some clients show their model only one of the two.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote, urlsplit

from pydantic import BaseModel

if TYPE_CHECKING:
    from keenkite.index import Region
    from keenkite.retrieval.search import Hit
    from keenkite.tiling import Tile

    from .jobs import Job


class NeighbourOut(BaseModel):
    """Where the concept of a `near` is."""

    text: str
    km: float
    confidence: float
    tile_id: str


class HitOut(BaseModel):
    """One tile."""

    rank: int
    tile_id: str
    lon: float
    lat: float
    date: str
    score: float
    confidence: float
    cover: dict[str, float]
    near: list[NeighbourOut] | None = None
    cloud: float | None = None
    bounds: list[float] | None = None
    region: str | None = None
    scene: str | None = None
    scene_url: str | None = None


class HitsOut(BaseModel):
    """A page of an answer."""

    verdict: Literal["strong", "weak", "none"]
    reason: str | None = None
    hits: list[HitOut]
    next_cursor: str | None = None


class JobOut(BaseModel):
    """One build."""

    job_id: str
    region: str
    state: Literal["queued", "running", "interrupted", "done", "failed", "cancelled"]
    tiles: int
    tiles_done: int
    scenes: int
    scenes_done: int
    seconds_left: int | None = None
    kept: int | None = None
    dropped: dict[str, int] | None = None
    failed_scenes: list[str] | None = None
    message: str | None = None


class BuildOut(BaseModel):
    """A build that was begun, or what it would be."""

    dry_run: bool
    scenes: int
    tiles: int
    done_before: int
    megabytes: int
    minutes: float
    job: JobOut | None = None


class JobsOut(BaseModel):
    """Builds, the newest first."""

    jobs: list[JobOut]


class RegionOut(BaseModel):
    """What the index has of a region."""

    region: str
    bounds: list[float]
    start: str
    end: str
    tiles: int
    scenes: int


class IndexOut(BaseModel):
    """What the index has."""

    model: str | None = None
    tiles: int
    regions: list[RegionOut]
    builds: list[JobOut]


def plain(answer: BaseModel) -> dict[str, Any]:
    """A structure for the wire; what does not apply is left out."""
    return answer.model_dump(mode="json", exclude_none=True)


# --- hits -------------------------------------------------------------------------------------


def hit_out(hit: Hit, *, detailed: bool, catalog: str) -> HitOut:
    """A hit of the core's search."""
    tile = hit.tile
    more: dict[str, Any] = {}
    if detailed:
        more = {
            "cloud": round(tile.cloud, 2),
            "bounds": [round(edge, 5) for edge in tile.bounds],
            "region": tile.region,
            "scene": tile.scene_id,
            "scene_url": scene_url(catalog, tile),
        }
    return HitOut(
        rank=hit.rank,
        tile_id=tile.id,
        lon=round(tile.lon, 4),
        lat=round(tile.lat, 4),
        date=f"{tile.datetime:%Y-%m-%d}",
        score=round(hit.score, 3),
        confidence=round(hit.confidence, 2),
        cover={
            kind: round(share, 2)
            for kind in ("water", "vegetation", "bare", "snow")
            if (share := getattr(tile, kind)) >= 0.01
        },
        near=[
            NeighbourOut(
                text=other.text,
                km=round(other.distance_km, 1),
                confidence=round(other.confidence, 2),
                tile_id=other.tile.id,
            )
            for other in hit.neighbours
        ]
        or None,
        **more,
    )


def scene_url(catalog: str, tile: Tile) -> str | None:
    """The STAC item a tile was cut from; None for catalogs that are folders of this host."""
    if not catalog.lower().startswith(("http://", "https://")):
        return None
    parts = urlsplit(catalog)
    host = parts.netloc.rpartition("@")[2]  # never a password
    path = f"{parts.path.rstrip('/')}/collections/{quote(tile.collection)}/items/"
    return f"{parts.scheme}://{host}{path}{quote(tile.scene_id)}"


def hits_text(answer: HitsOut, about: str) -> str:
    """A page of hits, a line each."""
    if not answer.hits:
        return f"verdict: none. {answer.reason or 'Nothing found'} (for {about})."
    head = f"verdict: {answer.verdict}, for {about}"
    lines = [f"{head}. {answer.reason}" if answer.reason else head]
    lines += [_hit_line(hit) for hit in answer.hits]
    if answer.next_cursor:
        lines.append(f"More: same arguments with cursor {answer.next_cursor}")
    return "\n".join(lines)


def _hit_line(hit: HitOut) -> str:
    cover = "".join(f", {kind} {share:g}" for kind, share in hit.cover.items())
    line = (
        f"{hit.rank}. {hit.tile_id} at lon {hit.lon:g}, lat {hit.lat:g}, {hit.date}, "
        f"score {hit.score:g}, confidence {hit.confidence:g}{cover}"
    )
    for other in hit.near or []:
        line += f"; {other.text!r} {other.km:g} km away in {other.tile_id}"
        line += f" (confidence {other.confidence:g})"
    if hit.scene:
        bounds = ", ".join(f"{edge:g}" for edge in hit.bounds or [])
        line += f"; cloud {hit.cloud:g}, bounds {bounds}, region {hit.region}, scene {hit.scene}"
    return line + (f" {hit.scene_url}" if hit.scene_url else "")


# --- builds and regions -----------------------------------------------------------------------


def job_out(job: Job) -> JobOut:
    """A job's record, for clients."""
    rate = job.tiles_done / job.seconds if job.seconds and job.tiles_done else None
    running = job.state == "running"
    return JobOut(
        job_id=job.id,
        region=job.request.region,
        state=job.state,
        tiles=job.tiles,
        tiles_done=job.tiles_done,
        scenes=job.scenes,
        scenes_done=job.scenes_done,
        seconds_left=round((job.tiles - job.tiles_done) / rate) if running and rate else None,
        kept=job.kept if job.finished else None,
        dropped=job.dropped or None,
        failed_scenes=list(job.failed_scenes)[:20] or None,
        message=job.message,
    )


def job_text(job: JobOut) -> str:
    """A job in one line."""
    line = (
        f"{job.job_id}, region {job.region}: {job.state}, {job.tiles_done:,} of {job.tiles:,} "
        f"tiles, {job.scenes_done} of {job.scenes} scenes"
    )
    if job.seconds_left is not None:
        line += f", about {job.seconds_left} s left"
    if job.kept is not None:
        line += f", {job.kept:,} tiles kept"
    for why, number in (job.dropped or {}).items():
        line += f", {number:,} dropped for {why}"
    if job.failed_scenes:
        line += f", scenes that could not be read: {', '.join(job.failed_scenes)}"
    return line + (f". {job.message}" if job.message else "")


def region_out(region: Region) -> RegionOut:
    """A region of the core's index."""
    return RegionOut(
        region=region.name,
        bounds=[round(edge, 4) for edge in region.bounds],
        start=region.start.isoformat(),
        end=region.end.isoformat(),
        tiles=region.tiles,
        scenes=region.scenes,
    )


def region_text(region: RegionOut) -> str:
    """A region in one line."""
    west, south, east, north = region.bounds
    return (
        f"{region.region}: west {west:g}, south {south:g}, east {east:g}, north {north:g}; "
        f"{region.start} to {region.end}; {region.tiles:,} tiles of {region.scenes} scenes"
    )
