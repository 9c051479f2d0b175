"""The only place that reads the environment (KEENKITE_*)."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

EARTH_SEARCH = "https://earth-search.aws.element84.com/v1"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a command uses when it is not told otherwise."""

    index: str = "keenkite-data"
    """A folder, or the URL of a Qdrant server."""
    catalog: str = EARTH_SEARCH
    """The URL of a STAC API, or a folder of STAC items."""
    model: str = "remoteclip-vit-b-32"
    """Name, open_clip tag or checkpoint path of the encoder; see `keenkite.encoder`."""
    weights: Path | None = None
    """A checkpoint file to use in place of the download."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:N or mps."""
    qdrant_api_key: str | None = None
    """Sent to a Qdrant server; never printed."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Settings":
        """Each field from KEENKITE_<NAME>, where it is set and not empty."""
        given = {
            field.name: environment[f"KEENKITE_{field.name.upper()}"]
            for field in fields(cls)
            if environment.get(f"KEENKITE_{field.name.upper()}")
        }
        weights = given.pop("weights", None)
        return cls(weights=Path(weights) if weights else None, **given)

    def __repr__(self) -> str:
        """Without the secret."""
        return f"Settings(index={self.index!r}, catalog={self.catalog!r}, model={self.model!r})"
