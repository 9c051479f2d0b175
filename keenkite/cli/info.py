"""keenkite info: say what a data folder holds, collection by collection."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from keenkite.cli.output import print_answer, size_text
from keenkite.errors import KeenkiteError, NoIndexError
from keenkite.index import Region, TileIndex
from keenkite.index.collections import Collection, choose, collections
from keenkite.pixels import PixelArchive
from keenkite.retrieval.calibration import Calibration

DONE, UNUSABLE = 0, 1


def run(arguments: argparse.Namespace) -> int:
    """Say what a data folder holds; a damaged collection does not hide the others."""
    if arguments.collection:
        found = [choose(arguments.data, arguments.collection, api_key=arguments.api_key)]
    else:
        found = collections(arguments.data, api_key=arguments.api_key)
    if not found:
        raise NoIndexError(
            f"There is no collection in {arguments.data} yet: build one with keenkite build, or "
            "name another place with --data."
        )
    facts = [facts_of(collection, arguments.api_key) for collection in found]
    pixels = sum(map(size_of, {folder for each in found if (folder := _pixels(each)) is not None}))
    answer = {"data": str(arguments.data), "collections": facts, "pixel_bytes": pixels}
    lines = [_text(each) for each in facts]
    if pixels:
        lines.append(f"pixels kept: {size_text(pixels)}")
    print_answer(arguments, answer, "\n".join(lines))
    return UNUSABLE if all(each["problem"] for each in facts) else DONE


def facts_of(collection: Collection, api_key: str | None) -> dict[str, Any]:
    """What a collection is and holds, as JSON values; what is wrong with it under "problem"."""
    facts: dict[str, Any] = {
        "name": collection.name,
        "location": str(collection.location),
        "model": collection.encoder,
        "dim": collection.dim,
        "bands": None if collection.bands is None else list(collection.bands),
        "sensor": getattr(collection.sensor, "name", collection.sensor),
        "spans": list(collection.spans or ()),
        "calibration": None,
        "tiles": None,
        "regions": [],
        "disk_bytes": None,
        "problem": collection.problem,
    }
    if collection.problem is None:
        try:
            with TileIndex.open(collection.location, encoder=None, api_key=api_key) as index:
                facts["calibration"] = calibration_of(index)
                facts["tiles"] = index.count()
                facts["regions"] = [region.to_json() for region in index.regions()]
                facts["disk_bytes"] = None if index.folder is None else size_of(index.folder)
        except KeenkiteError as error:
            facts["problem"] = str(error)
    return facts


def calibration_of(index: TileIndex) -> str:
    """Whose calibration searches go by: "own" of the collection, "model", or "default"."""
    if index.calibration() is not None:
        return "own"
    return "model" if Calibration.of(index.encoder_name).measured else "default"


def size_of(folder: Path) -> int:
    """Bytes that a folder takes on the disk, without the pixels and the jobs that may be in it."""
    beside = {"pixels", "jobs", "collections"}
    files = (
        path
        for path in folder.rglob("*")
        if path.relative_to(folder).parts[0] not in beside and path.is_file()
    )
    # Sparse files of the vector engine take less than they are long.
    return sum(getattr(path.stat(), "st_blocks", 0) * 512 or path.stat().st_size for path in files)


def _pixels(collection: Collection) -> Path | None:
    if "://" in str(collection.location):
        return None
    archive = PixelArchive.beside(Path(collection.location))
    return archive.folder if archive is not None and archive.folder.is_dir() else None


def _text(facts: dict[str, Any]) -> str:
    if facts["problem"]:
        return f"{facts['name']}: cannot be used: {facts['problem']}"
    spans = ", ".join(f"{span:g}" for span in facts["spans"])
    disk = "" if facts["disk_bytes"] is None else f", {size_text(facts['disk_bytes'])}"
    head = (
        f"{facts['name']}: {facts['tiles']:,} tiles by {facts['model']} ({facts['dim']} numbers "
        f"each) of {facts['sensor']}, {spans} m wide{disk}"
    )
    if facts["calibration"] == "own":
        head += ", with a calibration of its own"
    regions = [_region_text(Region.from_json(region)) for region in facts["regions"]]
    return "\n".join([head, *regions])


def _region_text(region: Region) -> str:
    bounds = " ".join(f"{edge:.4f}" for edge in region.bounds)
    return (
        f"  {region.name}: {region.tiles:,} tiles of {region.scenes} scenes, "
        f"{region.start} to {region.end}, within {bounds}"
    )
