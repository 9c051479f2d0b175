"""keenkite-mcp: start the server. Flags win over KEENKITE_* variables."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import fields
from typing import get_type_hints

from keenkite import __version__
from keenkite.errors import KeenkiteError
from keenkite.settings import parse, read_environment

from .settings import ServerSettings, flag

_ALIASES = {"data": ("--index",)}


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until the client goes, or Ctrl-C; returns the exit code."""
    try:
        settings = settings_of(argv)
        from .transport import serve

        serve(settings)
    except KeenkiteError as error:
        print(f"keenkite-mcp: {error}", file=sys.stderr)  # noqa: T201
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def settings_of(argv: Sequence[str] | None = None) -> ServerSettings:
    """The settings of a command line and the environment.

    Raises:
        InputError: they cannot be used.
    """
    given = vars(_parser().parse_args(argv))
    return read_environment(
        ServerSettings,
        **{
            name: parse(ServerSettings, name, str(value))
            for name, value in given.items()
            if value is not None
        },
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="keenkite-mcp",
        description="Serve satellite image search to LLM clients over MCP.",
        epilog="Each flag is also a variable, such as KEENKITE_READ_ONLY=1; flags win.",
    )
    parser.add_argument("--version", action="version", version=f"keenkite-mcp {__version__}")
    kinds = get_type_hints(ServerSettings)
    for option in fields(ServerSettings):
        if "help" not in option.metadata:
            continue
        names = [flag(option.name), *_ALIASES.get(option.name, ())]
        shown = option.default
        text = option.metadata["help"]
        if kinds[option.name] is bool:
            parser.add_argument(*names, action="store_true", default=None, help=text)
            continue
        if shown not in (None, ()):
            text = f"{text} (default {shown})"
        parser.add_argument(*names, help=text.replace("%", "%%"))
    return parser


if __name__ == "__main__":
    sys.exit(main())
