"""BuildRequest: what somebody asks to be built; the same for the command line, server and jobs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any, Literal, TypeAlias

from keenkite.area import Area
from keenkite.cloud import cloud_fraction
from keenkite.errors import InputError

Choice: TypeAlias = Literal["every-date", "least-cloudy"]

CHOICES: tuple[Choice, ...] = ("every-date", "least-cloudy")

MAX_CLOUD = 0.2
"""Of a scene, where nothing is said."""


@dataclass(frozen=True, kw_only=True)
class BuildRequest:
    """Some ground on some days, under a name. Refused here when it cannot be meant."""

    area: Area
    """Every tile whose middle (the square of half a span round its centre) meets it."""
    start: date
    """First day, UTC."""
    end: date
    """Last day, UTC, included."""
    region: str = "default"
    """A label that its tiles get, to find them by later."""
    max_cloud: float | str = MAX_CLOUD
    """Scenes with more cloud are left out; see `cloud_fraction` for how it may be written. Kept as
    a fraction 0-1."""
    choose: Choice = "every-date"
    """Every scene, or the fewest and clearest that cover the area."""
    spans: tuple[float, ...] | None = None
    """Widths of tiles, metres; None for those that the collection has."""

    def __post_init__(self) -> None:
        if self.start > self.end:
            raise InputError(f"start {self.start} is after end {self.end}: swap them")
        if not isinstance(self.region, str) or not self.region.strip() or len(self.region) > 100:
            raise InputError("a region needs a name of 1 to 100 characters")
        if self.choose not in CHOICES:
            raise InputError(f"choose is one of {', '.join(CHOICES)}, not {self.choose!r}")
        object.__setattr__(self, "max_cloud", cloud_fraction(self.max_cloud))
        if self.spans is not None:
            if not self.spans:
                raise InputError("spans is empty: name one width of tiles in metres at least")
            object.__setattr__(self, "spans", tuple(sorted(set(self.spans))))

    def to_json(self) -> dict[str, Any]:
        """The same as JSON values."""
        area = {"circle": self.area.circle} if self.area.circle else self.area.to_geojson()
        days = {"start": self.start.isoformat(), "end": self.end.isoformat()}
        rest = {name: getattr(self, name) for name in ("region", "max_cloud", "choose")}
        spans = None if self.spans is None else list(self.spans)
        return {**rest, **days, "area": area, "spans": spans}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> BuildRequest:
        """The inverse of `to_json`."""
        circle = value["area"].get("circle")
        area = Area.around(*circle) if circle else Area.from_geojson(value["area"])
        days = {name: date.fromisoformat(value[name]) for name in ("start", "end")}
        spans = value.get("spans")
        return cls(**{**value, **days, "area": area, "spans": spans and tuple(spans)})
