"""The command line: one verb, one call. Data goes to stdout, progress and errors to stderr.

Exit codes: 0 done, 1 an error (the message says what to do), 2 a command line that cannot be
used, 3 a build that left out scenes it could not read, 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from keenkite.cli.arguments import parser
from keenkite.errors import KeenkiteError
from keenkite.settings import Settings

ERROR = 1
INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line; returns its exit code."""
    arguments = parser(Settings.from_environment()).parse_args(argv)
    try:
        # The verbs load numpy, torch and the index, and are loaded themselves only when one runs.
        from keenkite.cli import verbs

        code: int = getattr(verbs, arguments.verb)(arguments)
        return code
    except KeenkiteError as error:
        print(f"keenkite: {error}", file=sys.stderr)
        return ERROR
    except KeyboardInterrupt:
        print("keenkite: stopped; what was done is kept, run it again to go on", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output has gone, as `head` does
        sys.stderr.close()
        return ERROR
