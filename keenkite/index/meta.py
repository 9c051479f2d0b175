"""Meta: what an index says about itself, for all of its tiles."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Protocol

from keenkite.errors import EncoderMismatchError, IndexFormatError, InputError, TileIndexError
from keenkite.sensors import Sensor, find_sensor

FORMAT = "keenkite-index"
FORMAT_VERSION = 2


class Named(Protocol):
    """What an index asks of an encoder. One of other bands than a picture's has `bands` too."""

    @property
    def name(self) -> str:
        """Tells its vectors from those of other encoders."""

    @property
    def dim(self) -> int:
        """Length of a vector."""


@dataclass(frozen=True, kw_only=True)
class Meta:
    """What every tile of an index shares. Only spans are ever added."""

    encoder: str
    """Name of the encoder of the vectors."""
    dim: int
    """Length of a vector."""
    bands: tuple[str, ...] | None = None
    """What the encoder sees; None for red, green and blue as a picture."""
    sensor: str
    """Name of the kind of imagery."""
    spans: tuple[float, ...]
    """Widths of its tiles, metres, from the narrowest."""

    @classmethod
    def of(cls, encoder: Named, *, sensor: str, spans: Iterable[float]) -> Meta:
        """Of an index that is to be made."""
        return cls(
            encoder=encoder.name,
            dim=encoder.dim,
            bands=bands_of(encoder),
            sensor=sensor,
            spans=_sorted(spans),
        )

    def with_spans(self, spans: Iterable[float]) -> Meta:
        """The same with these spans too."""
        return replace(self, spans=_sorted([*self.spans, *spans]))

    def for_sensor(self, sensor: str, spans: Iterable[float]) -> Meta:
        """The same for imagery of another kind, in tiles of these widths alone."""
        return replace(self, sensor=sensor, spans=_sorted(spans))

    def to_json(self) -> dict[str, Any]:
        """As JSON values, with the name and version of the format."""
        bands = None if self.bands is None else list(self.bands)
        return {
            "format": FORMAT,
            "version": FORMAT_VERSION,
            "encoder": {"name": self.encoder, "dim": self.dim, "bands": bands},
            "sensor": self.sensor,
            "spans": list(self.spans),
        }

    @classmethod
    def from_json(cls, value: object, location: str) -> Meta:
        """What `to_json` wrote.

        Raises:
            IndexFormatError: another version wrote it.
            TileIndexError: it is damaged, or describes something else.
        """
        if not isinstance(value, dict) or value.get("format") != FORMAT:
            raise TileIndexError(f"{location} is not a keenkite index; choose another place.")
        if value.get("version") != FORMAT_VERSION:
            raise IndexFormatError(
                f"{location} has index format {value.get('version')!r}, and this keenkite reads "
                f"{FORMAT_VERSION} alone. Build it anew in another place; then this one can go."
            )
        encoder = value.get("encoder")
        encoder = encoder if isinstance(encoder, dict) else {}
        bands, spans = encoder.get("bands"), value.get("spans")
        usable = {
            "encoder": isinstance(encoder.get("name"), str),
            "dim": isinstance(encoder.get("dim"), int),
            "bands": bands is None or _all(bands, str),
            "sensor": isinstance(value.get("sensor"), str),
            "spans": _all(spans, int | float) and spans and all(0 < s < math.inf for s in spans),
        }
        for name, good in usable.items():
            if not good:
                raise TileIndexError(
                    f"{location} is damaged: its description has no usable {name!r}. "
                    "Restore it from a copy, or delete the index and build it anew."
                )
        return cls(
            encoder=encoder["name"],
            dim=encoder["dim"],
            bands=None if bands is None else tuple(bands),
            sensor=value["sensor"],
            spans=_sorted(value["spans"]),
        )


def require(
    meta: Meta, location: str, *, encoder: Named | None = None, sensor: Sensor | None = None
) -> None:
    """EncoderMismatchError where an index is of another encoder, or of another sensor."""
    if encoder is not None:
        has = (meta.encoder, meta.dim, meta.bands)
        wants = (encoder.name, encoder.dim, bands_of(encoder))
        if has != wants:
            raise EncoderMismatchError(
                f"The index {location} holds vectors of encoder {_said(*has)}, not of "
                f"{_said(*wants)}. Search it with {meta.encoder!r}, or build another collection "
                f"with {encoder.name!r}."
            )
    if sensor is not None and sensor.name != meta.sensor:
        raise EncoderMismatchError(
            f"The index {location} holds imagery of {meta.sensor!r}, not of {sensor.name!r}. "
            "Build another collection for that."
        )


def sensor_of(meta: Meta, location: str) -> Sensor:
    """The record of its sensor; IndexFormatError where this keenkite has none."""
    try:
        return find_sensor(meta.sensor)
    except InputError as error:
        raise IndexFormatError(f"{location} holds imagery of another kind. {error}") from None


def bands_of(encoder: Named) -> tuple[str, ...] | None:
    """The bands an encoder asks for; None where it wants a picture."""
    bands = getattr(encoder, "bands", None)
    return tuple(bands) if bands else None


def to_millimetres(span: float) -> float:
    """A span as ids of tiles say it."""
    return round(float(span), 3)


def _sorted(spans: Iterable[float]) -> tuple[float, ...]:
    spans = list(spans)
    for span in spans:
        if not 0 < span < math.inf:
            raise InputError(f"A span is the width of tiles in metres, above 0, not {span!r}.")
    return tuple(sorted({to_millimetres(span) for span in spans}))


def _all(values: object, kind: Any) -> bool:
    return isinstance(values, list) and all(
        isinstance(value, kind) and not isinstance(value, bool) for value in values
    )


def _said(name: str, dim: int, bands: tuple[str, ...] | None) -> str:
    of = "" if bands is None else f" from bands {', '.join(bands)}"
    return f"{name!r} ({dim} numbers{of})"
