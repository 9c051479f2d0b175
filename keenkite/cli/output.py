"""What the command line shows people: tables, reports, a line of progress."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from keenkite.cloud import percent
from keenkite.retrieval.headline import headline, remarks, rest

if TYPE_CHECKING:
    from keenkite.build import Plan, Progress, Report
    from keenkite.retrieval.result import Hit, Met, Result


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
    facts = plan.to_json()
    spans = ", ".join(f"{span:g}" for span in facts["spans"])
    models = f"{facts['models']} model{'' if facts['models'] == 1 else 's'}"
    lines = [
        f"{len(facts['scenes'])} scenes to do, {plan.tiles:,} tiles; {facts['done']} scenes done",
        f"tiles of {spans} m, for {models}; about {size_text(plan.disk_bytes)} of disk",
    ]
    for work in plan.todo:
        cloud = work.scene.cloud
        shown = "cloud not known" if cloud is None else f"{percent(round(cloud, 3))} cloud"
        lines += [f"  {scene}  {shown}" for scene in work.scene.scene_ids]
    lines += [f"  {name}  too small: {size}" for name, size in facts["too_small"].items()]
    return "\n".join(lines)


def report_text(report: Report) -> str:
    """What a build did. Scripts go by its words: scenes done, tiles kept, failed."""
    dropped = ", ".join(f"{count:,} for {why}" for why, count in report.dropped.items() if count)
    edges = f", and {report.edges:,} flush with the edges of crops" if report.edges else ""
    lines = [
        f"{len(report.scenes)} scenes done, {len(report.skipped)} were done before, "
        f"{len(report.failed)} failed",
        f"{report.kept - report.edges:,} tiles kept{edges}; dropped: {dropped or 'none'}",
        "seconds: " + ", ".join(f"{stage} {took:.1f}" for stage, took in report.seconds.items()),
        f"pixels kept: {size_text(report.bytes_kept)}",
    ]
    if report.uncovered is not None:
        lines.insert(2, str(report.uncovered))
    if report.labelled:
        lines.insert(2, f"{report.labelled:,} tiles of earlier builds got the region's name too")
    lines += report.notes
    lines += [f"failed: {reason}" for reason in report.failed.values()]
    return "\n".join(lines)


def hits_table(result: Result, marks: Sequence[str] = ()) -> str:
    """An answer: its verdict, then a line for each hit, with its mark where there are some."""
    lines = [headline(result), *remarks(result)]
    if result.hits:
        lines.append(
            f"{'':>2}  {'conf':>5}  {'cloud':>5}  {'lon':>9}  {'lat':>8}  {'date':<10}  tile"
        )
    for number, hit in enumerate(result.hits):
        lines.append(_hit_line(hit) + (f"  {marks[number]}" if marks else ""))
        if hit.parts:
            parts = ", ".join(f"{name} {value:.2f}" for name, value in hit.parts.items())
            lines.append(f"    score {hit.score:.2f}: {parts}")
    return "\n".join([*lines, *rest(result)])


def _hit_line(hit: Hit) -> str:
    tile = hit.tile
    cloud = "?" if tile.cloud is None else percent(round(tile.cloud, 2))
    # Of several conditions each has its own confidence, beside their product.
    mets = [f"  {_met_text(met)}" for met in hit.conditions if len(hit.conditions) > 1]
    return (
        f"{hit.rank:>2}  {hit.confidence:5.2f}  {cloud:>5}  {tile.lon:9.4f}  {tile.lat:8.4f}  "
        f"{tile.datetime:%Y-%m-%d}  {tile.id}{''.join(mets)}"
    )


def _met_text(met: Met) -> str:
    """How a condition is met: "sea within 3 km 0.97, nearest 1.2 ± 0.8 km"."""
    where = "" if met.km is None else f", {met.named} {met.km:.1f} ± {met.km_error:.1f} km"
    return f"{met.words} {met.factor:.2f}{where}"


def size_text(count: int) -> str:
    """Bytes, for people."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def print_answer(arguments: argparse.Namespace, answer: dict[str, Any], text: str) -> None:
    """The answer on stdout: as JSON for programs, as text for people."""
    print(json.dumps(answer) if arguments.json else text)
