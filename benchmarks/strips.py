"""Strips against a window per tile, on a drawn scene of full size: speed, memory, equal pixels.

    python benchmarks/strips.py

Each way runs in processes of its own, three times in turn; the median counts.

window   each tile is a window of each file, read by rasterio; two threads with half of the tiles
read     `read_strips` alone: RGB and classes of the same tiles, not cut
strips   `read_strips` and `TileCutter`
kept     the same, and the pixels are kept by `PixelArchive`
bound    the blocks of the four files decoded by plain rasterio in a thread each, and nothing else
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.windows import Window as FileWindow
from scene import full_scene

from keenkite.pixels import PixelArchive
from keenkite.reader import read_strips, scaling
from keenkite.scene import Scene
from keenkite.tiling import Lattice, TileCutter
from keenkite.tiling.cutter import Cut
from keenkite.tiling.window import pixels_of, upper_left, window_of

ROUNDS = 3
CHECKED = 97
"""Every so many-th tile is compared."""
LATTICE = Lattice()
COLOURS = ("red", "green", "blue")


def corners_of(scene: Scene) -> NDArray[np.float64]:
    return LATTICE.cells(scene.epsg, scene.footprint, scene.footprint) * LATTICE.pitch


def tiles_by_strips(scene: Scene, keep: PixelArchive | None = None) -> Iterator[Cut]:
    corners = corners_of(scene)
    window = window_of(scene, corners, LATTICE.span)
    cutter = TileCutter(scene, corners, LATTICE.span, regions=("benchmark",))
    if keep is None:
        for strip in read_strips(scene, window):
            yield from cutter.cut(strip)
        return
    with keep.writer(scene, window) as writer:
        for strip in read_strips(scene, window):
            writer.write(strip)
            yield from cutter.cut(strip)


def tiles_by_windows(
    scene: Scene, tops: NDArray[np.int64], lefts: NDArray[np.int64]
) -> Iterator[NDArray[np.uint8]]:
    """(224, 224, 3) of each place, with SCL read as well."""
    scale, size = scaling(1000, scene.sensor.brightest), pixels_of(scene, LATTICE.span)
    files = {key: rasterio.open(path) for key, path in scene.assets.items()}
    for top, left in zip(tops.tolist(), lefts.tolist(), strict=True):
        tile = np.empty((size, size, 3), np.uint8)
        place = FileWindow(left, top, size, size)
        for band, key in enumerate(COLOURS):
            tile[..., band] = scale[files[key].read(1, window=place)]
        half = FileWindow(left // 2, top // 2, size // 2, size // 2)
        classes = files["scl"].read(1, window=half)
        classes.repeat(2, axis=0).repeat(2, axis=1)
        yield tile
    for file in files.values():
        file.close()


def window_way(scene: Scene) -> dict[str, Any]:
    tops, lefts = upper_left(scene, corners_of(scene))
    half = len(tops) // 2

    def run(part: slice) -> int:
        return sum(1 for _ in tiles_by_windows(scene, tops[part], lefts[part]))

    with ThreadPoolExecutor(2) as threads:
        return {"tiles": sum(threads.map(run, (slice(0, half), slice(half, None))))}


def read_way(scene: Scene) -> dict[str, Any]:
    corners = corners_of(scene)
    for _ in read_strips(scene, window_of(scene, corners, LATTICE.span)):
        pass
    return {"tiles": len(corners)}


def strips_way(scene: Scene) -> dict[str, Any]:
    return {"tiles": sum(len(cut.tiles) for cut in tiles_by_strips(scene))}


def kept_way(scene: Scene) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        archive = PixelArchive(Path(folder))
        tiles = sum(len(cut.tiles) for cut in tiles_by_strips(scene, archive))
        size = archive.size(scene, window_of(scene, corners_of(scene), LATTICE.span))
    return {"tiles": tiles, "megabytes": size / 1e6}


def bound_way(scene: Scene) -> dict[str, Any]:
    def decode(path: str) -> None:
        with rasterio.open(path) as file:
            height = file.block_shapes[0][0]
            for row in range(0, file.height, height):
                rows = min(height, file.height - row)
                file.read(1, window=FileWindow(0, row, file.width, rows))

    with rasterio.Env(GDAL_CACHEMAX=64_000_000), ThreadPoolExecutor(4) as threads:
        list(threads.map(decode, scene.assets.values()))
    return {"tiles": len(corners_of(scene))}


def check_way(scene: Scene) -> dict[str, Any]:
    number = compared = 0
    for cut in tiles_by_strips(scene):
        for tile, mine in zip(cut.tiles, cut.rgb, strict=True):
            number += 1
            if number % CHECKED == 1:
                top = np.array([round((scene.north - tile.north) / 10)])
                left = np.array([round((tile.west - scene.west) / 10)])
                (theirs,) = tiles_by_windows(scene, top, left)
                if not np.array_equal(mine, theirs):
                    raise SystemExit(f"tile {tile.id} differs")
                compared += 1
    return {"tiles": number, "compared": compared}


WAYS: dict[str, Callable[[Scene], dict[str, Any]]] = {
    "window": window_way,
    "read": read_way,
    "strips": strips_way,
    "kept": kept_way,
    "bound": bound_way,
}


def peak_megabytes() -> float:
    """Of this process; unlike ru_maxrss it leaves out what its parent held when it was started."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise SystemExit("needs Linux")


def measure(way: str) -> dict[str, Any]:
    """One run in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, "--way", way], check=True, capture_output=True, text=True
    )
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--way", choices=[*WAYS, "check"], help="run one way, print JSON")
    way = parser.parse_args().way
    if way:
        scene = full_scene()
        begin, used = time.perf_counter(), time.process_time()
        result = (WAYS | {"check": check_way})[way](scene)
        result["seconds"] = time.perf_counter() - begin
        result["cpu"] = time.process_time() - used
        result["peak"] = peak_megabytes()
        print(json.dumps(result))
        return
    subprocess.run([sys.executable, str(Path(__file__).with_name("scene.py"))], check=True)
    load = os.getloadavg()[0]
    print(f"{os.cpu_count()} cores, load {load:.1f} before, GDAL {rasterio.__gdal_version__}\n")
    runs: dict[str, list[dict[str, Any]]] = {way: [] for way in WAYS}
    for _ in range(ROUNDS):
        for way, results in runs.items():
            results.append(measure(way))
    rate, work = {}, {}
    print("way        tiles/s    seconds   CPU seconds   peak MB")
    for way, results in runs.items():
        seconds, cpu = (
            statistics.median(result[key] for result in results) for key in ("seconds", "cpu")
        )
        rate[way], work[way] = results[0]["tiles"] / seconds, cpu
        peak = max(result["peak"] for result in results)
        print(f"{way:8} {rate[way]:9,.0f} {seconds:10.2f} {cpu:13.2f} {peak:9.0f}")
    compared = measure("check")["compared"]
    print("\nOn a busy machine CPU seconds say more than tiles/s.")
    for one, other in (("strips", "window"), ("strips", "bound"), ("read", "bound")):
        print(
            f"{one} / {other}: {rate[one] / rate[other]:.2f} by tiles/s, "
            f"{work[other] / work[one]:.2f} by CPU seconds"
        )
    print(
        f"kept: {runs['kept'][0]['megabytes']:.0f} MB on disk for {runs['kept'][0]['tiles']} tiles"
    )
    print(f"pixels equal on {compared} of {runs['strips'][0]['tiles']} tiles")


if __name__ == "__main__":
    main()
