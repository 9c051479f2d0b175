"""From a catalogue's scenes to an index: what to do (`plan`), one scene of it (`scene`), all (`run`)."""

from keenkite.build.request import BuildRequest

__all__ = ["BuildRequest"]
