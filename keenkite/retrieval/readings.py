"""Readings: how all texts of a query are read; see `words` for one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from keenkite.encoder import Encoder
from keenkite.retrieval.query import Query
from keenkite.retrieval.words import Reading, read_text


@dataclass(frozen=True, kw_only=True)
class Readings:
    """The texts of one query, as they were asked -> how they were read."""

    texts: Mapping[str, Reading]

    @classmethod
    def of(cls, query: Query, encoder: Encoder) -> Readings:
        """Read every text once."""
        asked = dict.fromkeys(each.text for each in query.conditions if each.text is not None)
        return cls(texts={text: read_text(text, encoder) for text in asked})

    def concept(self, text: str) -> str:
        """What is encoded for a text."""
        return self.texts[text].concept

    def doubtful(self, text: str) -> bool:
        """Whether no confidence can be trusted with a text."""
        return self.texts[text].doubtful

    @property
    def any_doubtful(self) -> bool:
        """Whether one of them is."""
        return any(reading.doubtful for reading in self.texts.values())

    @property
    def unknown(self) -> list[str]:
        """Texts that the model was never taught."""
        return [text for text, reading in self.texts.items() if reading.known is False]

    @property
    def notes(self) -> tuple[str, ...]:
        """What to know about them, each once."""
        told = [note for reading in self.texts.values() for note in reading.notes]
        return tuple(dict.fromkeys(told))

    @property
    def wordings(self) -> str | None:
        """Other words to try, as a sentence; None where there are none."""
        others = [other for reading in self.texts.values() for other in reading.suggestions]
        named = ", ".join(map(repr, dict.fromkeys(others)))
        return f"Other words to try: {named}." if named else None
