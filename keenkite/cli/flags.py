"""What several verbs are told alike: areas, collections, models; and what the words mean."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from keenkite.cloud import cloud_fraction
from keenkite.errors import InputError
from keenkite.settings import Settings


def add_area(command: argparse.ArgumentParser, *, required: bool) -> None:
    """Ground, in one of three ways."""
    area = command.add_mutually_exclusive_group(required=required)
    area.add_argument(
        "--bbox",
        type=float,
        nargs=4,
        metavar=("WEST", "SOUTH", "EAST", "NORTH"),
        help="degrees; longitude comes first",
    )
    area.add_argument(
        "--around", type=float, nargs=3, metavar=("LON", "LAT", "KM"), help="a circle"
    )
    area.add_argument("--area", type=Path, metavar="FILE", help="GeoJSON polygon")


def add_days(command: argparse.ArgumentParser, *, required: bool) -> None:
    """A first and a last day."""
    command.add_argument(
        "--start", type=day, required=required, metavar="DATE", help="first day, as 2024-04-01"
    )
    command.add_argument(
        "--end", type=day, required=required, metavar="DATE", help="last day, included"
    )


def add_cloud(command: argparse.ArgumentParser, what: str) -> None:
    """The one rule for cloud."""
    command.add_argument(
        "--max-cloud",
        type=cloud,
        metavar="CLOUD",
        help=f"{what}: 20, 0.2 and 20%% are the same",
    )


def add_spans(command: argparse.ArgumentParser, what: str) -> None:
    """Widths of tiles; and the word for them that is gone."""
    command.add_argument(
        "--span",
        type=float,
        action="append",
        metavar="METRES",
        help=f"{what}; may be repeated",
    )
    command.add_argument("--stride", nargs="?", action=_Gone, help=argparse.SUPPRESS)


def add_data(command: argparse.ArgumentParser, settings: Settings) -> None:
    """Where the collections are, and which is meant."""
    command.add_argument(
        "--data",
        "--index",
        default=settings.data,
        metavar="DATA",
        help=f"data folder, or Qdrant URL (default {_shown(settings.data)}); --index is the same",
    )
    command.add_argument(
        "--collection",
        default=settings.collection,
        metavar="NAME",
        help="which of its collections; needed only where there are several",
    )
    command.set_defaults(api_key=settings.qdrant_api_key)
    add_json(command)


def add_json(command: argparse.ArgumentParser) -> None:
    """The answer for programs."""
    command.add_argument("--json", action="store_true", help="machine-readable answer on stdout")


def add_catalog(command: argparse.ArgumentParser, settings: Settings, what: str) -> None:
    """Where scenes are looked up."""
    command.add_argument(
        "--catalog",
        default=settings.catalog,
        metavar="CATALOG",
        help=f"{what}: STAC API or folder of items (default {_shown(settings.catalog)})",
    )
    command.add_argument(
        "--stac-collection",
        type=commas,
        default=settings.stac_collection,
        metavar="NAMES",
        help="the STAC collections to look in, with commas, the better first",
    )
    command.add_argument(
        "--allow-s3",
        action="store_true",
        default=settings.allow_s3,
        help="read s3:// hrefs of items, with the credentials that GDAL finds here",
    )


def add_model(
    command: argparse.ArgumentParser, settings: Settings, *, default: str, many: bool = False
) -> None:
    """Which model; `default` says in words what is taken where none is named."""
    more = "; may be repeated" if many else ""
    command.add_argument(
        "--model",
        action="append" if many else "store",
        metavar="MODEL",
        help=f"name, open_clip tag or checkpoint{more} "
        f"(default {_shown(settings.model or default)})",
    )
    command.add_argument(
        "--weights",
        type=Path,
        default=settings.weights,
        metavar="FILE",
        help="a checkpoint to use in place of the download",
    )
    command.add_argument(
        "--device",
        default=settings.device,
        metavar="DEVICE",
        help=f"auto, cpu, cuda or mps (default {settings.device})",
    )
    # Not as a default: argparse would append to it.
    command.set_defaults(settings_model=settings.model)


def day(text: str) -> date:
    """2024-04-01."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a day; write year-month-day, such as 2024-04-01"
        ) from None


def cloud(text: str) -> float:
    """An amount of cloud, as a fraction."""
    try:
        return cloud_fraction(text, "it")
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def cover(text: str) -> tuple[str, tuple[float, float]]:
    """water=0.1:1."""
    name, _, limits = text.partition("=")
    low, _, high = limits.partition(":")
    try:
        return name, (float(low), float(high or "1"))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a cover; write name=low:high, such as water=0.1:1"
        ) from None


def commas(text: str) -> tuple[str, ...]:
    """one,two."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _shown(text: str) -> str:
    """As argparse's help texts want it."""
    return text.replace("%", "%%")


class _Gone(argparse.Action):
    """--stride, refused with the new form."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,  # noqa: ARG002
        values: str | Sequence[Any] | None,  # noqa: ARG002
        option_string: str | None = None,
    ) -> None:
        parser.error(
            f"{option_string} is gone: tiles lie half a width apart. Say how wide they are, in "
            "metres, with --span: 2240, half or double of it; repeat it for several."
        )
