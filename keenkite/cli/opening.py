"""What the verbs open: a collection of the data folder, and the encoder that fits it."""

from __future__ import annotations

import argparse
from pathlib import Path

from keenkite.area import Area
from keenkite.encoder import ClipEncoder, Encoder, name_of
from keenkite.errors import EncoderMismatchError, InputError
from keenkite.geojson import read_geojson
from keenkite.index import TileIndex
from keenkite.index.collections import choose


def open_index(arguments: argparse.Namespace) -> TileIndex:
    """The collection that is meant, as it is.

    Raises:
        NoIndexError: there is none.
        InputError: there are several, and none or another is named.
    """
    found = choose(arguments.data, arguments.collection, api_key=arguments.api_key)
    return TileIndex.open(found.location, encoder=None, api_key=arguments.api_key)


def encoder_of(arguments: argparse.Namespace, own: str) -> Encoder:
    """The encoder for a collection's questions; a wrong one is told before anything is fetched.

    Args:
        arguments: Of the command line; without a model, the collection's own is taken.
        own: Name of the encoder that the collection was made with.

    Raises:
        EncoderMismatchError: another one is named.
        InputError: the collection's is a checkpoint, and no file is named.
        ModelError: its weights cannot be had.
    """
    model, weights = arguments.model or arguments.settings_model, arguments.weights
    if model is None:
        model, weights = model_of(own, weights)
    check_name(name_of(model, weights), own, arguments.collection or arguments.data)
    return load(arguments, model, weights)


def check_name(named: str, own: str, place: str) -> None:
    """Raise EncoderMismatchError where a collection was made with another encoder."""
    if named != own:
        raise EncoderMismatchError(
            f"The collection in {place} was made with {own}, and {named} is named: their vectors "
            f"cannot be compared. Leave --model out (and KEENKITE_MODEL) to use {own}, or build "
            f"with --model {named}, which makes a collection of its own."
        )


def load(arguments: argparse.Namespace, model: str, weights: Path | None) -> Encoder:
    """A model, on the device that was asked for."""
    return ClipEncoder.load(model, device=arguments.device, weights=weights)


def model_of(own: str, weights: Path | None) -> tuple[str, Path | None]:
    """What loads the encoder that a collection was made with: (model, weights).

    Raises:
        InputError: it is a checkpoint, and no file is named.
    """
    architecture, checkpoint, _ = own.partition("@")
    if not checkpoint:
        return own, weights
    if weights is None:
        raise InputError(
            f"The collection was made with a checkpoint of your own, {own}: name its file with "
            f"--weights FILE, or with --model {architecture}:FILE."
        )
    return f"{architecture}:{weights}", None


def area_of(arguments: argparse.Namespace) -> Area | None:
    """The ground that is meant, if any.

    Raises:
        InputError: it cannot be meant, or its file cannot be read.
    """
    if arguments.bbox:
        return Area.from_bbox(*arguments.bbox)
    if arguments.around:
        return Area.around(*arguments.around)
    if arguments.area:
        return Area.from_geojson(read_geojson(arguments.area))
    return None


def check_folder(path: Path | None) -> None:
    """Refuse a file that cannot be written for want of its folder, before any work.

    Raises:
        InputError: there is no such folder.
    """
    if path is not None and not path.absolute().parent.is_dir():
        raise InputError(f"{path} cannot be written: there is no folder {path.parent}. Make it.")
