"""keenkite build: index an area, or say what that would take."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from keenkite.build import BuildRequest, Target, plan_build
from keenkite.build import build as build_all
from keenkite.build.request import MAX_CLOUD
from keenkite.catalog import Catalog, open_catalog
from keenkite.cli.opening import area_of, check_name, load, model_of
from keenkite.cli.output import ProgressLine, plan_text, print_answer, report_text
from keenkite.encoder import name_of
from keenkite.errors import InputError
from keenkite.index import TileIndex
from keenkite.index.collections import Collection, choose, collections, name_for, place_of
from keenkite.settings import DEFAULT_MODEL

DONE, INCOMPLETE = 0, 1


@dataclass(frozen=True, kw_only=True)
class Goal:
    """A collection to build into, and the model to do it with."""

    name: str
    """Of the encoder."""
    model: str
    weights: Path | None
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
        spans=tuple(arguments.span) if arguments.span else None,
    )
    catalog = open_catalog(
        arguments.catalog, arguments.stac_collection, allow_s3=arguments.allow_s3
    )
    goals = goals_of(arguments)
    if arguments.dry_run:
        return _plan(arguments, request, catalog, goals=goals)
    return _build(arguments, request, catalog, goals=goals)


def _plan(
    arguments: argparse.Namespace,
    request: BuildRequest,
    catalog: Catalog,
    *,
    goals: Sequence[Goal],
) -> int:
    with ExitStack() as opened:
        indexes = [
            opened.enter_context(
                TileIndex.open(goal.location, encoder=None, api_key=arguments.api_key)
            )
            if goal.there
            else None
            for goal in goals
        ]
        plan = plan_build(request, catalog=catalog, indexes=indexes)
    print_answer(arguments, plan.to_json(), plan_text(plan))
    return DONE


def _build(
    arguments: argparse.Namespace,
    request: BuildRequest,
    catalog: Catalog,
    *,
    goals: Sequence[Goal],
) -> int:
    # All models before the first collection is made: one that cannot be had leaves none behind.
    encoders = [load(arguments, goal.model, goal.weights) for goal in goals]
    with ExitStack() as opened:
        targets = [
            Target(
                index=opened.enter_context(
                    TileIndex.open(goal.location, encoder=encoder, api_key=arguments.api_key)
                ),
                encoder=encoder,
            )
            for goal, encoder in zip(goals, encoders, strict=True)
        ]
        report = build_all(request, targets, catalog=catalog, progress=ProgressLine())
    print_answer(arguments, report.to_dict(), report_text(report))
    return INCOMPLETE if report.failed else DONE


def goals_of(arguments: argparse.Namespace) -> list[Goal]:
    """The collections to build into; names are compared here, before anything is fetched.

    Raises:
        InputError: there is no such model, or the words do not go together.
        EncoderMismatchError: a collection was made with another encoder.
    """
    there = collections(arguments.data, api_key=arguments.api_key)
    wanted = arguments.model or [arguments.settings_model]
    if wanted == [None]:
        return [_own_goal(arguments, there)]
    for flag in ("collection", "weights"):
        if len(wanted) > 1 and getattr(arguments, flag) is not None:
            raise InputError(
                f"--{flag} goes with one model, and {len(wanted)} are named: build them one by one."
            )
    goals = [_goal(arguments, model, there) for model in wanted]
    if len({goal.name for goal in goals}) < len(goals):
        raise InputError(f"A model is named twice among {', '.join(wanted)}.")
    return goals


def _own_goal(arguments: argparse.Namespace, there: Sequence[Collection]) -> Goal:
    """Where no model is named: the collection with its own, or a new one with the usual one."""
    if not there or (arguments.collection and arguments.collection not in _names(there)):
        return _goal(arguments, DEFAULT_MODEL, there)
    found = choose(arguments.data, arguments.collection, api_key=arguments.api_key)
    own = _encoder_of(arguments, found)
    model, weights = model_of(own, arguments.weights)
    return Goal(name=own, model=model, weights=weights, location=found.location, there=True)


def _goal(arguments: argparse.Namespace, model: str, there: Sequence[Collection]) -> Goal:
    name = name_of(model, arguments.weights)
    wanted = arguments.collection or name_for(name)
    found = next((each for each in there if each.name == wanted), None)
    if found is None and arguments.collection is None:
        # A collection under another name, or a folder that is one itself.
        same = [each for each in there if each.encoder == name]
        found = same[0] if len(same) == 1 else None
    if found is not None:
        check_name(name, _encoder_of(arguments, found), found.location)
    return Goal(
        name=name,
        model=model,
        weights=arguments.weights,
        location=found.location if found else place_of(arguments.data, wanted),
        there=found is not None,
    )


def _encoder_of(arguments: argparse.Namespace, found: Collection) -> str:
    if found.encoder is None or found.problem is not None:  # opening it says why, by class
        TileIndex.open(found.location, encoder=None, api_key=arguments.api_key).close()
    return found.encoder or ""


def _names(there: Sequence[Collection]) -> set[str]:
    return {each.name for each in there}
