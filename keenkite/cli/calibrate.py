"""keenkite calibrate: set a collection's confidence right by known places, or go back."""

from __future__ import annotations

import argparse

from keenkite.cli.opening import encoder_of, open_index
from keenkite.cli.output import ProgressLine, print_answer
from keenkite.errors import InputError
from keenkite.evaluation.calibrate import calibrate
from keenkite.evaluation.sites import Sites
from keenkite.geojson import read_geojson


def run(arguments: argparse.Namespace) -> int:
    """Set a collection's confidence right by known places, or go back."""
    if arguments.reset:
        return _reset(arguments)
    truth = read_geojson(arguments.truth)
    with open_index(arguments) as index:
        sites = Sites.of(index, truth)  # before the model, which may have to be fetched
        done = calibrate(
            index,
            encoder_of(arguments, index.encoder_name),
            sites,
            dry_run=arguments.dry_run,
            progress=ProgressLine.of_counts("places"),
        )
    print_answer(arguments, done.to_json(), str(done))
    return 0


def _reset(arguments: argparse.Namespace) -> int:
    if arguments.dry_run:
        raise InputError("--dry-run goes with --truth: leave one of --reset and --dry-run out.")
    with open_index(arguments) as index:
        had = index.calibration() is not None
        index.calibrate(None)
        name = index.encoder_name
    text = f"confidence is that of {name} again" if had else f"it was that of {name} already"
    print_answer(arguments, {"model": name, "reset": had}, text)
    return 0
