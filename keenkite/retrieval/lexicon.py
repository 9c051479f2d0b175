"""Lexicon: the vocabulary of a model that was taught a few things only, to be looked up in."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches

SUGGESTED = 3
"""Other wordings that are named at the most."""

_LIKE = 0.8
"""How alike (difflib's ratio) a slip of the keys is to what was meant."""


class Lexicon:
    """What a model was taught to name, found whatever the case, the hyphens and the number."""

    def __init__(self, vocabulary: Collection[str]) -> None:
        """Of wordings; as a mapping, each with the other wordings of the same thing."""
        self._ways = {way.casefold(): way for way in vocabulary}
        self._others = vocabulary if isinstance(vocabulary, Mapping) else {}
        self._exact = {_letters(way): way for way in vocabulary}
        self._numbers: dict[str, str] = {}
        for way in vocabulary:
            for form in _forms(way):
                self._numbers.setdefault(form, way)

    def __len__(self) -> int:
        return len(self._ways)

    def wording(self, text: str) -> str | None:
        """The wording of the vocabulary that a text is; the other number where it lacks this."""
        letters = _letters(text)
        if not letters:
            return None
        if letters in self._exact:
            return self._exact[letters]
        found = (self._numbers[form] for form in _forms(text) if form in self._numbers)
        return next(found, None)

    def suggestions(self, text: str) -> tuple[str, ...]:
        """Up to three other wordings: of the same thing, or what may have been meant."""
        own = self.wording(text)
        found = self._others.get(own, ()) if own is not None else self._alike(text.casefold())
        chosen: dict[str, str] = {}
        taken = set() if own is None else set(_forms(own))
        for way in found:
            if taken.isdisjoint(_forms(way)):  # "dam" and "dams" are one suggestion
                chosen[way] = way
                taken.update(_forms(way))
        return tuple(chosen)[:SUGGESTED]

    def _alike(self, text: str) -> Iterator[str]:
        """Wordings that are a part of the text, those that it is a part of, then likely slips."""
        words = set(text.replace("-", " ").split())
        parts = [set(way.split()) for way in self._ways]
        within = [way for way, part in zip(self._ways, parts, strict=True) if part <= words]
        yield from (self._ways[way] for way in sorted(within, key=len, reverse=True))
        if words:
            yield from (w for w, part in zip(self._ways.values(), parts, strict=True)
                        if words <= part)  # fmt: skip
        yield from (self._ways[way] for way in get_close_matches(text, self._ways, cutoff=_LIKE))


def _letters(text: str) -> str:
    """What is left to compare by: "golf-course" is "Golf course"."""
    return "".join(letter for letter in text.casefold() if letter.isalnum())


def _forms(text: str) -> list[str]:
    """A text as it stands, and what it may be the plural of."""
    word = _letters(text)
    forms = [word]
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        forms.append(word[:-1])
        if word.endswith(("ses", "xes", "zes", "ches", "shes")):
            forms.append(word[:-2])
        if word.endswith("ies"):
            forms.append(f"{word[:-3]}y")
    return forms
