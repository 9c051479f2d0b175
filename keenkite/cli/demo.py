"""keenkite demo: draw a world, index it, ask it things; shown on this terminal."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from keenkite.build import Progress, Report
from keenkite.cli.output import ProgressLine, hits_table, report_text
from keenkite.demo.tour import tour
from keenkite.retrieval.result import Result


def run(arguments: argparse.Namespace) -> int:
    """Draw a world, index it, ask it things."""
    terminal = Terminal()
    tour(arguments.folder, terminal, seed=arguments.seed)
    terminal.step(f"done; {arguments.folder} can be deleted. Ask it more:")
    print(f'  keenkite search "harbour" --data {arguments.folder / "index"}')
    return 0


class Terminal:
    """The tour's screen: steps and progress on stderr, answers on stdout."""

    def __init__(self) -> None:
        """Start the clock."""
        self._begin = time.perf_counter()
        self._line = ProgressLine()

    def step(self, text: str) -> None:
        """What is done next, and when it began."""
        seconds = time.perf_counter() - self._begin
        print(f"[{seconds:5.1f} s] {text}", file=sys.stderr, flush=True)

    def progress(self, progress: Progress) -> None:
        """How far the build is."""
        self._line(progress)

    def report(self, report: Report) -> None:
        """What the build did."""
        print(report_text(report), file=sys.stderr)

    def answer(self, title: str, result: Result, marks: Sequence[str], picture: Path) -> None:
        """An answer, its hits marked."""
        print(f"== {title}\n{hits_table(result, marks)}\n   picture: {picture}\n")
