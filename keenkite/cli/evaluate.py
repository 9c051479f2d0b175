"""keenkite eval: measure a model on labelled images."""

from __future__ import annotations

import argparse

from keenkite.cli.opening import load
from keenkite.cli.output import ProgressLine, print_answer
from keenkite.evaluation.evaluate import evaluate
from keenkite.settings import DEFAULT_MODEL


def run(arguments: argparse.Namespace) -> int:
    """Measure a model on labelled images."""
    encoder = None
    if arguments.source.suffix != ".npz":
        model = arguments.model or arguments.settings_model or DEFAULT_MODEL
        encoder = load(arguments, model, arguments.weights)
    evaluation = evaluate(
        arguments.source,
        encoder,
        fit=arguments.fit,
        cache=arguments.cache,
        progress=ProgressLine.of_counts("images"),
        searching=ProgressLine.of_counts("rounds of searches"),
    )
    print_answer(arguments, evaluation.to_json(), str(evaluation))
    return 0
