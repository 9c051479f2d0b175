"""Which collection is meant: of those that there are, by the client's word, else the operator's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from keenkite.errors import EncoderMismatchError, InputError, NoIndexError, TileIndexError

from .models import Source

if TYPE_CHECKING:
    from keenkite.index.collections import Collection

NO_INDEX = "Nothing is indexed yet. Call build_index with a region name, an area and two dates."


@dataclass(frozen=True, kw_only=True)
class Site:
    """The collection that a build goes into: it is there, or the build makes it."""

    name: str
    model: str
    """Name of its encoder."""
    new: bool


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What there is to choose from."""

    there: Sequence[Collection]
    """Damaged ones too."""
    preferred: str | None
    """Name of the collection that the operator names."""
    source: Source
    """Knows the model that the operator names."""

    def to_read(self, name: str | None) -> Collection:
        """The collection of this name; without one the operator's, or the only one.

        Raises:
            NoIndexError: there is none yet.
            InputError: there is none of this name, or there are several and none is named.
            TileIndexError: it is damaged.
            EncoderMismatchError: the operator names it, and a model that it was not made with.
        """
        name = name or self.preferred
        found = self._usual() if name is None else self._of_name(name)
        if found is None:
            if self.there:
                raise InputError(f"There is no collection {name!r}. There are: {self._names()}.")
            raise NoIndexError(NO_INDEX)
        return self._checked(found)

    def to_build(self, name: str | None, fresh: str) -> Site:
        """Where a build goes; `fresh` is what a new collection would be called.

        Raises:
            InputError: there is none of this name, or there are several and none is named.
            TileIndexError, EncoderMismatchError: see `to_read`.
        """
        name = name or self.preferred
        if name is not None:
            found = self._of_name(name)
        elif self.source.named is not None:
            found = self._of_model(self.there)  # what the operator names is what is built with
        else:
            found = self._usual()
        if found is not None:
            found = self._checked(found)
            assert found.encoder is not None, "one that can be used says it"
            return Site(name=found.name, model=found.encoder, new=False)
        if name not in (None, fresh):
            known = self._names() or "none yet; leave it out"
            raise InputError(f"There is no collection {name!r}. There are: {known}.")
        return Site(name=fresh, model=self.source.usual, new=True)

    def _usual(self) -> Collection | None:
        """The one that is meant where nobody names one; None where there is none at all."""
        usable = [each for each in self.there if each.problem is None] or self.there
        if len(usable) < 2:
            return usable[0] if usable else None
        found = None if self.source.named is None else self._of_model(usable)
        if found is None:
            raise InputError(f"There are several collections: {self._names()}. Name one of them.")
        return found

    def _of_name(self, name: str) -> Collection | None:
        return next((each for each in self.there if each.name == name), None)

    def _of_model(self, there: Sequence[Collection]) -> Collection | None:
        """The collection of the operator's model; None where there is none."""
        found = [each for each in there if each.encoder == self.source.named]
        if len(found) > 1:
            names = ", ".join(each.name for each in found)
            raise InputError(f"Several collections are of one model: {names}. Name one of them.")
        return found[0] if found else None

    def _checked(self, found: Collection) -> Collection:
        if found.problem is not None:
            raise TileIndexError(f"The collection {found.name} cannot be used. {found.problem}")
        if found.name == self.preferred and self.source.named not in (None, found.encoder):
            raise EncoderMismatchError(
                f"The collection {found.name} was made with the model {found.encoder}, and this "
                f"server is told to use {self.source.named}. Its operator must start it without "
                "--model, or with another --collection."
            )
        return found

    def _names(self) -> str:
        return ", ".join(each.name for each in self.there)
