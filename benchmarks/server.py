"""A warm search over stdio on the demo index, and the server's own part of it.

    python benchmarks/server.py [--folder demo] [--searches 100]

The demo is made where it is missing (`keenkite demo --folder demo`). Medians over texts that the
model has not seen. "Own" is all that is neither model nor Qdrant: transport, checks, ranking,
texts and structure of the answer; it is what a round trip takes, less what the same searches spend
in the encoder and the index in this process. Other work on the machine stretches all of it.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters

from keenkite import ClipEncoder, Query, TileIndex, search
from keenkite.index.collections import choose, collections

MODEL = "keenkite-tiny"
THINGS = ("airport", "golf course", "dam", "sports ground", "station", "harbour", "solar farm")
LOOKS = ("large", "small", "old", "new", "long", "round", "bright", "dark", "two", "busy",
         "empty", "wide", "narrow", "green", "grey", "white")  # fmt: skip


def texts(number: int) -> list[str]:
    """Different texts: the encoder remembers those it has seen."""
    pairs = [f"a {look} {thing}" for look in LOOKS for thing in THINGS]
    return (pairs * (number // len(pairs) + 1))[:number]


class Clock:
    """Adds up the time spent in some methods of an object."""

    def __init__(self, target: Any, *names: str) -> None:
        self.seconds = 0.0
        self._inside = False
        for name in names:
            setattr(target, name, self._timed(getattr(target, name)))

    def _timed(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            if self._inside:  # one method may call another
                return call(*args, **kwargs)
            self._inside = True
            begin = time.perf_counter()
            try:
                return call(*args, **kwargs)
            finally:
                self.seconds += time.perf_counter() - begin
                self._inside = False

        return timed


def in_this_process(folder: Path, wanted: list[str]) -> tuple[float, float]:
    """Median seconds of a search in the encoder and in the index."""
    encoder = ClipEncoder.load(MODEL)
    with TileIndex.open(choose(folder / "index").location, encoder=encoder) as index:
        search(index, encoder, Query(text="warm"))
        model = Clock(encoder, "encode_texts")
        qdrant = Clock(index, "nearest", "count", "get", "vectors", "statistics", "regions")
        in_model, in_index = [], []
        for text in wanted:
            model.seconds = qdrant.seconds = 0.0
            search(index, encoder, Query(text=text))
            in_model.append(model.seconds)
            in_index.append(qdrant.seconds)
    return statistics.median(in_model), statistics.median(in_index)


async def over_stdio(folder: Path, wanted: list[str]) -> tuple[float, float, list[float]]:
    """Seconds until the tools are listed and until the first answer; each search's seconds."""
    server = StdioServerParameters(
        command=sys.executable,
        args=["-m", "keenkite_server", "--data", str(folder / "index"), "--read-only"],
    )  # fmt: skip
    begin = time.perf_counter()
    async with Client(server) as client:
        await client.list_tools()
        listed = time.perf_counter() - begin
        while (await client.call_tool("search_tiles", {"text": "warm"})).is_error:
            await anyio.sleep(0.1)
        first = time.perf_counter() - begin
        taken = []
        for text in wanted:
            start = time.perf_counter()
            result = await client.call_tool("search_tiles", {"text": text})
            taken.append(time.perf_counter() - start)
            assert not result.is_error
    return listed, first, taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("demo"), help="of `keenkite demo`")
    parser.add_argument("--searches", type=int, default=100)
    arguments = parser.parse_args()
    if not collections(arguments.folder / "index"):
        from keenkite.demo.tour import SIZE_KM, index_world
        from keenkite.demo.world import draw_world

        world = draw_world(2024, size_km=SIZE_KM)
        index_world(world, arguments.folder, ClipEncoder.load(MODEL))[0].close()
    wanted = texts(arguments.searches)
    model, qdrant = in_this_process(arguments.folder, wanted)
    listed, first, taken = anyio.run(over_stdio, arguments.folder, wanted)
    median = statistics.median(taken)
    tenth = statistics.quantiles(taken, n=10)[-1]
    print(f"server: tools listed after {listed:.2f} s, first answer after {first:.2f} s")
    print(f"warm search over stdio: median {median * 1e3:.1f} ms, 90 % within {tenth * 1e3:.1f} ms")
    print(f"  in the model {model * 1e3:.1f} ms, in Qdrant {qdrant * 1e3:.1f} ms, "
          f"own {(median - model - qdrant) * 1e3:.1f} ms")  # fmt: skip


if __name__ == "__main__":
    main()
