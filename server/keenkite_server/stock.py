"""What tools answer about what there is, and what is being made: collections, regions, builds.

Structure and text, as in `answers`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel

from keenkite.cloud import percent

if TYPE_CHECKING:
    from keenkite.index import Region

    from .jobs import Job


class JobOut(BaseModel):
    """One build."""

    job_id: str
    collection: str
    region: str
    state: Literal["queued", "running", "interrupted", "done", "failed", "cancelled"]
    tiles: int
    tiles_done: int
    scenes: int
    scenes_done: int
    seconds_left: int | None = None
    kept: int | None = None
    labelled: int | None = None
    dropped: dict[str, int] | None = None
    failed_scenes: list[str] | None = None
    message: str | None = None


class BuildOut(BaseModel):
    """A build that was begun, or what it would be."""

    dry_run: bool
    collection: str
    max_cloud: float
    scenes: int
    tiles: int
    model: str | None = None
    done_before: int | None = None
    megabytes: int | None = None
    disk_megabytes: int | None = None
    minutes: float | None = None
    job: JobOut | None = None


class JobsOut(BaseModel):
    """Builds, the newest first."""

    jobs: list[JobOut]


class RegionOut(BaseModel):
    """What a collection has of a region."""

    region: str
    bounds: list[float]
    start: str
    end: str
    tiles: int
    scenes: int


class CollectionOut(BaseModel):
    """One collection: what it holds, or why it cannot be used."""

    collection: str
    model: str | None = None
    sensor: str | None = None
    spans: list[float] | None = None
    tiles: int | None = None
    regions: list[RegionOut] | None = None
    more_regions: int | None = None
    problem: str | None = None


class StockOut(BaseModel):
    """All that can be searched."""

    collections: list[CollectionOut]
    builds: list[JobOut]


def job_out(job: Job) -> JobOut:
    """A job's record, for clients."""
    rate = job.tiles_done / job.seconds if job.seconds and job.tiles_done else None
    running = job.state == "running"
    found = {
        "seconds_left": round((job.tiles - job.tiles_done) / rate) if running and rate else None,
        "kept": job.kept if job.finished else None,
        "labelled": job.labelled or None,
        "dropped": job.dropped or None,
        "failed_scenes": list(job.failed_scenes)[:20] or None,
        "message": job.message,
    }
    return JobOut(
        job_id=job.id,
        collection=job.collection,
        region=job.request.region,
        state=job.state,
        tiles=job.tiles,
        tiles_done=job.tiles_done,
        scenes=job.scenes,
        scenes_done=job.scenes_done,
        **{name: value for name, value in found.items() if value is not None},  # type: ignore[arg-type]
    )


def job_text(job: JobOut) -> str:
    """A job in one line."""
    line = (
        f"{job.job_id}, region {job.region} of collection {job.collection}: {job.state}, "
        f"{job.tiles_done:,} of {job.tiles:,} tiles, {job.scenes_done} of {job.scenes} scenes"
    )
    if job.seconds_left is not None:
        line += f", about {job.seconds_left} s left"
    if job.kept is not None:
        line += f", {job.kept:,} tiles kept"
    if job.labelled is not None:
        line += f", {job.labelled:,} tiles that were there got the region's name"
    for why, number in (job.dropped or {}).items():
        line += f", {number:,} dropped for {why}"
    if job.failed_scenes:
        line += f", scenes that could not be read: {', '.join(job.failed_scenes)}"
    return line + (f". {job.message}" if job.message else "")


def build_text(build: BuildOut) -> str:
    """How large a build is, and what it goes into."""
    text = (
        f"{build.scenes} scenes of at most {percent(build.max_cloud)} cloud, {build.tiles:,} tiles"
    )
    if build.megabytes:
        text += f", about {build.megabytes:,} MB to download"
    if build.disk_megabytes is not None:
        text += f", about {build.disk_megabytes:,} MB on the disk"
    if build.minutes is not None:
        text += f", about {build.minutes:g} minutes"
    text += f"; into collection {build.collection}"
    text += f" of model {build.model}" if build.model else ""
    return text + (f"; {build.done_before} scenes are done" if build.done_before else "")


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
        f"{region.region}: west {west}, south {south}, east {east}, north {north}; "
        f"{region.start} to {region.end}; {region.tiles:,} tiles of {region.scenes} scenes"
    )


def collection_text(collection: CollectionOut) -> list[str]:
    """A collection and its regions, a line each."""
    if collection.problem is not None:
        return [f"Collection {collection.collection} cannot be used: {collection.problem}"]
    spans = " and ".join(f"{span:g}" for span in collection.spans or [])
    head = (
        f"Collection {collection.collection}: {collection.tiles or 0:,} tiles, {spans} m wide, "
        f"of {collection.sensor}, model {collection.model}. Regions:"
    )
    lines = [head, *(region_text(region) for region in collection.regions or [])]
    if collection.more_regions:
        lines.append(f"and {collection.more_regions} more regions")
    return lines
