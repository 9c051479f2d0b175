"""What every tile of a collection shares, and the format it is stored in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from keenkite.errors import IndexFormatError, InputError, TileIndexError
from keenkite.sensors import Sensor, find_sensor

FORMAT = "keenkite-index"
FORMAT_VERSION = 2


@dataclass(frozen=True, kw_only=True)
class Meta:
    """What a collection holds. Only its spans ever change."""

    encoder: str
    """Name of the encoder of the vectors."""
    dim: int
    """Length of a vector."""
    sensor: str
    """Name of the kind of imagery."""
    spans: tuple[float, ...]
    """Widths of its tiles, metres, ascending."""
    bands: tuple[str, ...] | None = None
    """Bands that the encoder sees; None for red, green and blue."""

    def to_json(self) -> dict[str, Any]:
        """As JSON values, with the name and version of the format."""
        return {
            "format": FORMAT,
            "version": FORMAT_VERSION,
            "encoder": self.encoder,
            "dim": self.dim,
            "bands": None if self.bands is None else list(self.bands),
            "sensor": self.sensor,
            "spans": list(self.spans),
        }

    @classmethod
    def from_json(cls, value: object, location: str) -> Meta:
        """The inverse of `to_json`.

        Raises:
            IndexFormatError: it is of another version of the format.
            TileIndexError: it is something else, or damaged.
        """
        if not isinstance(value, dict) or value.get("format") != FORMAT:
            raise TileIndexError(f"{location} is not a keenkite index; choose another place.")
        if value.get("version") != FORMAT_VERSION:
            raise IndexFormatError(
                f"{location} has index format {value.get('version')!r}, and this keenkite reads "
                f"{FORMAT_VERSION}: tiles have other ids and pixels another layout. Build its area "
                "anew in another data folder; the old one can then be deleted."
            )
        try:
            return cls(
                encoder=_text(value["encoder"]),
                dim=int(value["dim"]),
                bands=None if value["bands"] is None else tuple(map(_text, value["bands"])),
                sensor=_text(value["sensor"]),
                spans=tuple(value["spans"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise TileIndexError(
                f"{location} is damaged: its description has no usable {error}. "
                "Restore it from a copy, or delete the index and build it anew."
            ) from error

    def kind(self, location: str) -> Sensor:
        """The record of its sensor; TileIndexError where this keenkite does not know it."""
        try:
            return find_sensor(self.sensor)
        except InputError as error:
            raise TileIndexError(f"{location} holds imagery of another kind: {error}") from None


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"text ({value!r:.40})")
    return value
