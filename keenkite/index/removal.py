"""Taking tiles and labels away, so that being ended in the middle loses no work unseen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from keenkite.index.backend import Backend, Found
from keenkite.index.completion import FIELDS, Completion, Sight
from keenkite.index.filters import Condition, OneOf, Only
from keenkite.index.kept import Kept


class Removal:
    """From one index."""

    def __init__(self, backend: Backend, kept: Kept, completion: Completion) -> None:
        self._backend, self._kept, self._completion = backend, kept, completion

    def tiles(self, conditions: Sequence[Condition]) -> int:
        """All that meet the conditions; how many they were. Records that count on them go first."""
        number, seen = 0, set[Sight]()
        for block in self._blocks(conditions):
            self._completion.forget_sights(_sights(block) - seen)
            seen |= _sights(block)
            self._backend.delete([found.id for found in block])
            self._note(block, len(block))
            number += len(block)
        return number

    def region(self, name: str) -> int:
        """A label, and the tiles that have no other; how many these were.

        Records of other regions stay: they count on tiles that have their label, and those stay.
        """
        self._completion.forget_region(name)
        alone, number, seen = Only(key="regions", value=name), 0, set[Sight]()
        for block in self._blocks([alone]):
            # Those that name no region count on all tiles of their scene.
            self._completion.forget_sights(_sights(block) - seen, name)
            seen |= _sights(block)
            # Asked again by the engine: a build may have given one another label just now.
            self._backend.delete([found.id for found in block], [alone])
            self._note(block, len(block))
            number += len(block)
        for block in self._blocks([OneOf(key="regions", values=(name,))]):
            self._backend.label([found.id for found in block], add=None, remove=name)
            self._note(block, 0)
        return number

    def label(self, ids: Sequence[str], name: str) -> int:
        """A label of some points; how many had it. Tiles without any stay."""
        found = self._backend.retrieve(ids, with_vectors=False)
        self._completion.forget_sights(_sights(found), name)
        self._kept.changed(0, [name])
        return self._backend.label(ids, add=None, remove=name)

    def _blocks(self, conditions: Sequence[Condition]) -> Iterator[list[Found]]:
        return self._backend.scroll(conditions, fields=FIELDS, with_vectors=False)

    def _note(self, block: Sequence[Found], gone: int) -> None:
        self._kept.changed(gone, {name for found in block for name in found.payload["regions"]})


def _sights(found: Sequence[Found]) -> set[Sight]:
    return {Sight.of(point.payload) for point in found}
