"""keenkite build: index an area, or say what that would take."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from keenkite.build import BuildRequest, Target, plan_build
from keenkite.build import build as run_build
from keenkite.build.request import MAX_CLOUD
from keenkite.catalog import open_catalog
from keenkite.cli.opening import area_of, check_name, load
from keenkite.cli.output import ProgressLine, plan_text, print_answer, report_text
from keenkite.encoder import name_of
from keenkite.errors import InputError
from keenkite.index import TileIndex
from keenkite.index.collections import Collection, choose, collections, name_for, place_of
from keenkite.settings import DEFAULT_MODEL

DONE, INCOMPLETE = 0, 1


@dataclass(frozen=True, kw_only=True)
class _Goal:
    """A collection to build into, and the model to do it with."""

    model: str
    location: str
    there: bool
    """Whether the collection exists."""


def run(arguments: argparse.Namespace) -> int:
    """Index an area, or say what that would take."""
    area = area_of(arguments)
    assert area is not None, "the parser requires one"
    request = BuildRequest(
        area=area,
        start=arguments.start,
        end=arguments.end,
        region=arguments.region,
        max_cloud=MAX_CLOUD if arguments.max_cloud is None else arguments.max_cloud,
        choose=arguments.choose,
        spans=arguments.span and tuple(arguments.span),
    )
    catalog = open_catalog(arguments.catalog, arguments.stac_collection)
    goals = _goals(arguments)
    with ExitStack() as opened:

        def index_of(goal: _Goal, *, with_encoder: bool) -> TileIndex:
            encoder = encoders[goal.model] if with_encoder else None
            index = TileIndex.open(goal.location, encoder=encoder, api_key=arguments.api_key)
            return opened.enter_context(index)

        if arguments.dry_run:
            indexes = [index_of(goal, with_encoder=False) if goal.there else None for goal in goals]
            plan = plan_build(request, catalog=catalog, indexes=indexes)
            print_answer(arguments, plan.to_json(), plan_text(plan))
            return DONE
        encoders = {goal.model: load(arguments, goal.model, arguments.weights) for goal in goals}
        targets = [
            Target(index=index_of(goal, with_encoder=True), encoder=encoders[goal.model])
            for goal in goals
        ]
        report = run_build(request, targets, catalog=catalog, progress=ProgressLine())
    print_answer(arguments, report.to_json(), report_text(report))
    return INCOMPLETE if report.failed else DONE
