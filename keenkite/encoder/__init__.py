"""Tiles and texts to vectors of one space: open_clip's models behind one protocol."""

from keenkite.encoder.clip import ClipEncoder
from keenkite.encoder.names import name_of
from keenkite.encoder.protocol import (
    Encoder,
    Pixels,
    Rgb,
    Vectors,
    bands_of,
    patches_trained,
    room_of,
    vocabulary_of,
)
from keenkite.encoder.tokens import encode_tokens

__all__ = [
    "ClipEncoder",
    "Encoder",
    "Pixels",
    "Rgb",
    "Vectors",
    "bands_of",
    "encode_tokens",
    "name_of",
    "patches_trained",
    "room_of",
    "vocabulary_of",
]
