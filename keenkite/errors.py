"""Every error keenkite raises on purpose.

KeenkiteError
├── InputError            what the caller passed cannot be used (area, dates, text, settings)
├── CatalogError          the STAC API or folder cannot be reached, refuses, or answers nonsense
├── SceneError            one scene's pixels cannot be read; the others can still be built
├── ModelError            weights cannot be had, or are not what their record says
├── TileIndexError        the index cannot be opened, read or written
│   ├── NoIndexError      there is none at this place yet
│   ├── IndexFormatError  it was made by another version, in a format this one does not read
│   ├── IndexBusyError    another process holds it for longer than we may wait
│   └── EncoderMismatchError   it was made with another encoder, or for another sensor
└── StorageError          the disk is full or a folder cannot be written

Each message says what is wrong, which item it is about, and what to do next.
"""


class KeenkiteError(Exception):
    """The root: catch this to catch everything keenkite raises on purpose."""


class InputError(KeenkiteError):
    """What the caller passed cannot be used. Raised before any work starts."""


class CatalogError(KeenkiteError):
    """The STAC API or folder cannot be reached, refuses, or answers nonsense."""


class SceneError(KeenkiteError):
    """One scene's pixels cannot be read; the other scenes of a build are not touched."""


class ModelError(KeenkiteError):
    """Model weights cannot be had, or are not what their record says."""


class TileIndexError(KeenkiteError):
    """The index cannot be opened, read or written."""


class NoIndexError(TileIndexError):
    """There is no index at this place yet: build one, or name another place."""


class IndexFormatError(TileIndexError):
    """The index is of a format that this version does not read: build it anew."""


class IndexBusyError(TileIndexError):
    """Another process holds the index for longer than we may wait."""


class EncoderMismatchError(TileIndexError):
    """The index was made with another encoder, or for another sensor."""


class StorageError(KeenkiteError):
    """The disk is full, or a folder cannot be written."""
