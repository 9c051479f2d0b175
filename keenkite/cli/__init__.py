"""The command line: one verb, one call. Data goes to stdout, progress and errors to stderr.

Exit codes: 0 done; 1 failed, or incomplete (a build that left out scenes it could not read);
2 refused before work (the command line, or what it names, cannot be used); 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

from keenkite.cli.arguments import parser
from keenkite.errors import (
    EncoderMismatchError,
    IndexFormatError,
    InputError,
    KeenkiteError,
)
from keenkite.settings import Settings

DONE, FAILED, REFUSED = 0, 1, 2
INTERRUPTED = 130

_REFUSALS = (InputError, IndexFormatError, EncoderMismatchError)
"""Errors that say what was asked for, and are raised before any work starts."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line; returns its exit code."""
    try:
        arguments = parser(Settings.from_environment()).parse_args(argv)
        # The verbs load numpy, torch and the index, and are loaded themselves only when one runs.
        verb = import_module(f"keenkite.cli.{arguments.module}")
        code: int = verb.run(arguments)
        return code
    except KeenkiteError as error:
        print(f"keenkite: {error}", file=sys.stderr)
        return REFUSED if isinstance(error, _REFUSALS) else FAILED
    except KeyboardInterrupt:
        print("keenkite: stopped; what was done is kept, run it again to go on", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output has gone, as `head` does
        sys.stderr.close()
        return FAILED
