"""What the command line shows people: tables, reports, a line of progress."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keenkite.build import Plan
    from keenkite.build.progress import Progress, Report
    from keenkite.retrieval.search import Result


class ProgressLine:
    """A line on stderr that says how far a build is; rewritten on a terminal."""

    def __init__(self) -> None:
        """Show nothing yet."""
        self._shown = 0.0

    def __call__(self, progress: Progress) -> None:
        """Show it, at most twice a second (every ten seconds into a file)."""
        left = progress.seconds_left
        self.show(
            f"{progress.tiles_done:,} of {progress.tiles:,} tiles, "
            f"scene {min(progress.scenes_done + 1, progress.scenes)} of {progress.scenes}, "
            f"{progress.rate:.0f} tiles/s" + (f", {left:.0f} s left" if left is not None else ""),
            last=progress.tiles_done == progress.tiles and progress.scenes_done == progress.scenes,
        )

    def show(self, text: str, *, last: bool) -> None:
        """Show a text now, if the last one has stood for long enough or this is the end."""
        live = sys.stderr.isatty()
        now = time.monotonic()
        if not last and now - self._shown < (0.5 if live else 10):
            return
        self._shown = now
        end = "" if live and not last else "\n"
        print(f"\r{text:<78}" if live else text, end=end, file=sys.stderr, flush=True)

    @classmethod
    def of_counts(cls, noun: str) -> Callable[[int, int], None]:
        """A callback for work that counts (done, in all)."""
        line = cls()
        return lambda done, total: line.show(f"{done:,} of {total:,} {noun}", last=done == total)


def plan_text(plan: Plan) -> str:
    """What a build would do."""
    todo = plan.todo
    lines = [
        f"{len(todo)} scenes to do, {plan.tiles:,} tiles; {len(plan.works) - len(todo)} scenes done"
    ]
    lines += [f"  {work.scene.id}  {work.scene.cloud:.0f} % cloud" for work in todo]
    return "\n".join(lines)


def report_text(report: Report) -> str:
    """What a build did."""
    dropped = ", ".join(f"{count:,} for {why}" for why, count in report.dropped.items() if count)
    lines = [
        f"{len(report.scenes)} scenes done, {len(report.skipped)} were done before, "
        f"{len(report.failed)} failed",
        f"{report.kept:,} tiles kept; dropped: {dropped or 'none'}",
        "seconds: " + ", ".join(f"{stage} {took:.1f}" for stage, took in report.seconds.items()),
        f"pixels kept: {report.bytes_kept / 1e6:.1f} MB",
    ]
    lines += [f"failed: {reason}" for reason in report.failed.values()]
    return "\n".join(lines)


def hits_table(result: Result) -> str:
    """An answer: its verdict, then a line for each hit."""
    if not result.hits:
        return f"nothing found: {result.reason}"
    lines = [
        f"verdict: {result.verdict}",
        f"{'':>2}  {'conf':>5}  {'score':>6}  {'lon':>9}  {'lat':>8}  {'date':<10}  tile",
    ]
    for hit in result.hits:
        tile = hit.tile
        near = "".join(
            f"  {neighbour.text} {neighbour.distance_km:.1f} km" for neighbour in hit.neighbours
        )
        lines.append(
            f"{hit.rank:>2}  {hit.confidence:5.2f}  {hit.score:6.2f}  {tile.lon:9.4f}  "
            f"{tile.lat:8.4f}  {tile.datetime:%Y-%m-%d}  {tile.id}{near}"
        )
        if hit.parts:
            parts = ", ".join(f"{name} {value:.2f}" for name, value in hit.parts.items())
            lines.append(f"    {parts}")
    return "\n".join(lines)
