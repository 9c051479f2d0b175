"""Taking tiles and labels away, so that being ended in the middle loses no work unseen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from keenkite.index.backend import Backend, Found
from keenkite.index.completion import Completion
from keenkite.index.filters import Condition, OneOf, Only
from keenkite.index.kept import Kept


class Removal:
    """From one index."""

    def __init__(self, backend: Backend, kept: Kept, completion: Completion) -> None:
        self._backend, self._kept, self._completion = backend, kept, completion

    def tiles(self, conditions: Sequence[Condition]) -> int:
        """All that meet the conditions; how many they were. Records of their scenes go first."""
        number, seen = 0, set[str]()
        for block in self._blocks(conditions):
            scenes = _scenes(block) - seen
            if scenes:
                self._completion.forget_scenes(scenes)
            seen |= scenes
            self._backend.delete([found.id for found in block])
            self._note(block)
            number += len(block)
        return number

    def region(self, name: str) -> int:
        """A label, and the tiles that have no other; how many these were.

        Records of other regions stay: they count on tiles that have their label, and those stay.
        Those that name no region count on all tiles of their scene.
        """
        self._completion.forget_region(name)
        alone, number, seen = Only(key="regions", value=name), 0, set[str]()
        for block in self._blocks([alone]):
            scenes = _scenes(block) - seen
            if scenes:
                self._completion.forget_scenes(scenes, name)
            seen |= scenes
            # Asked again by the engine: a build may have given one another label just now.
            self._backend.delete([found.id for found in block], [alone])
            self._note(block)
            number += len(block)
        for block in self._blocks([OneOf(key="regions", values=(name,))]):
            self._backend.label([found.id for found in block], add=None, remove=name)
            self._note(block, changed=0)
        return number

    def label(self, ids: Sequence[str], name: str) -> int:
        """A label of some points; how many had it. Tiles without any stay."""
        scenes = _scenes(self._backend.retrieve(ids, with_vectors=False))
        if scenes:
            self._completion.forget_scenes(scenes, name)
        self._kept.changed(0, [name])
        return self._backend.label(ids, add=None, remove=name)

    def _blocks(self, conditions: Sequence[Condition]) -> Iterator[list[Found]]:
        return self._backend.scroll(conditions, fields=("scene_ids", "regions"), with_vectors=False)

    def _note(self, block: Sequence[Found], changed: int | None = None) -> None:
        regions = {name for found in block for name in found.payload["regions"]}
        self._kept.changed(len(block) if changed is None else changed, regions)


def _scenes(found: Sequence[Found]) -> set[str]:
    return {scene for point in found for scene in point.payload["scene_ids"]}
