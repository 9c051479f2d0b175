"""Tiles and texts to vectors of one space: open_clip's models behind one protocol."""

from keenkite.encoder.clip import TILE, ClipEncoder, Encoder, Rgb, Vectors, encode_tokens

__all__ = ["TILE", "ClipEncoder", "Encoder", "Rgb", "Vectors", "encode_tokens"]
