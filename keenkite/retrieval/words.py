"""Words: how a text of a query is read, before anything is encoded.

A model takes any text and answers with a vector, however little it understood. So a text is read
here first: made one plain concept where that can be done safely (quotes, blanks, "find all", the
other number), and whatever else is odd about it is told, with what to write in its place.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass

from keenkite.encoder import Encoder, room_of, vocabulary_of
from keenkite.encoder.clip import MAX_TEXT
from keenkite.errors import InputError
from keenkite.retrieval import advice
from keenkite.retrieval.concepts import TEMPLATES
from keenkite.retrieval.english import foreign_words, script_of, strange_words, words_in
from keenkite.retrieval.lexicon import Lexicon
from keenkite.retrieval.requests import (
    SIZES,
    without_article,
    without_count,
    without_request,
    without_sizes,
)
from keenkite.retrieval.sentences import parse


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How a text was read: what is encoded, and what was odd about it."""

    text: str
    """As it was asked."""
    concept: str
    """What is to be encoded: never empty, and short enough for every caption of `TEMPLATES`."""
    known: bool | None
    """Whether the model knows such words. None: that cannot be told, and speaks against nothing."""
    notes: tuple[str, ...] = ()
    """What is odd, each in one sentence with what to do about it."""
    doubtful: bool = False
    """The model's answer may be to something else than was asked: it is never to be `strong`."""
    suggestions: tuple[str, ...] = ()
    """Up to three other wordings that the model knows."""


def read_text(text: str, encoder: Encoder) -> Reading:
    """How a text of a query is read for a model: its `text`, or one of `near` or `exclude`.

    Nothing is encoded. A model with a `vocabulary` is asked in its own wordings, and knows no
    others. For any other the text stays as it is but for quotes, blanks, outer punctuation, and
    what only asks ("find all"): it may be a table that knows its names to the letter.

    Raises:
        InputError: It is blank, or longer than 10,000 characters.
    """
    plain = _plain(text)
    uncounted = without_request(plain)
    asked = without_count(uncounted)
    vocabulary, room = vocabulary_of(encoder), room_of(encoder)
    if vocabulary is not None:
        found = _by_vocabulary(asked, Lexicon(vocabulary), encoder.name)
    else:
        found = _by_english(asked, encoder.name, literal=room is None)
    concept = _cut(found.concept, room)
    notes = [] if found.doubtful or _same(text, found.concept) else [advice.read_as(concept)]
    notes += [advice.NUMBERS] if asked != uncounted else []
    notes += found.notes
    notes += [] if concept == found.concept else [advice.cut(concept)]
    return Reading(
        text=text,
        concept=concept,
        known=found.known,
        notes=tuple(notes),
        doubtful=found.doubtful or concept != found.concept,
        suggestions=found.suggestions,
    )


@dataclass(frozen=True, kw_only=True)
class _Found:
    """What can be said of a text without its tokens; the fields are those of `Reading`."""

    concept: str
    known: bool | None
    notes: tuple[str, ...] = ()
    doubtful: bool = False
    suggestions: tuple[str, ...] = ()


def _by_vocabulary(asked: str, lexicon: Lexicon, model: str) -> _Found:
    """For a model that was taught a few things."""
    if way := _wording(asked, lexicon):
        dropped = [] if lexicon.wording(without_article(asked)) else _sizes(asked)
        notes: tuple[str, ...] = (advice.sizes(dropped),) if dropped else ()
        return _Found(concept=way, known=True, notes=notes, suggestions=lexicon.suggestions(way))
    if found := _not_english(asked, model):
        return _Found(concept=asked, known=False, notes=found.notes, doubtful=True)
    sentence = parse(asked)
    parts = (asked,) if sentence.simple else sentence.parts
    strange = tuple(part for part in parts if _wording(part, lexicon) is None)
    notes = tuple(advice.of_sentence(sentence))
    if not strange:
        return _Found(concept=asked, known=True, notes=notes, doubtful=True)
    suggestions = lexicon.suggestions(strange[0])
    notes += (advice.not_taught(strange, model, suggestions),)
    return _Found(concept=asked, known=False, notes=notes, doubtful=True, suggestions=suggestions)


def _by_english(asked: str, model: str, *, literal: bool) -> _Found:
    """For a model that learnt from captions in English; literal: or for a table of vectors.

    A word that is not in the list of English ones may be a name or a term of art, and speaks
    against nothing while others stand beside it. A text of no others is taken for another
    language, but not for a table, which would not have it if it did not know it.
    """
    asked = asked if literal else without_article(asked)
    if found := _not_english(asked, model):
        return found
    sentence = parse(asked)
    words = " ".join(sentence.parts)
    if sentence.simple and not words:  # "and"
        return _Found(concept=asked, known=None, notes=(advice.NO_WORDS,), doubtful=True)
    strange = strange_words(words)
    nothing_read = not literal and len(strange) == len(set(words_in(words)))
    notes = advice.of_sentence(sentence)
    if strange:
        notes.append(advice.not_english(strange))
    return _Found(
        concept=asked,
        known=None if strange else True,
        notes=tuple(notes),
        doubtful=nothing_read or not sentence.simple,
    )


def _not_english(asked: str, model: str) -> _Found | None:
    """A text of no words, in another script, or in another language; None: of none of these."""
    if not words_in(asked):
        known = None if any(map(str.isalnum, asked)) else False
        return _Found(concept=asked, known=known, notes=(advice.NO_WORDS,), doubtful=True)
    if script := script_of(asked):
        known = None if any(letter.isascii() for letter in "".join(words_in(asked))) else False
        notes = (advice.other_script(script, model),)
        return _Found(concept=asked, known=known, notes=notes, doubtful=True)
    if foreign := foreign_words(asked):
        notes = (advice.other_language(foreign, model),)
        return _Found(concept=asked, known=None, notes=notes, doubtful=True)
    return None


def _wording(text: str, lexicon: Lexicon) -> str | None:
    """What the vocabulary calls a text: as it stands, or without its article and sizes."""
    ways = map(lexicon.wording, (text, without_article(text), without_article(without_sizes(text))))
    return next(filter(None, ways), None)


def _sizes(text: str) -> list[str]:
    return [word for word in text.split() if word.casefold() in SIZES]


def _cut(concept: str, room: Callable[[str], int] | None) -> str:
    """A concept's first words, as many as every caption has room for; letters of a long one."""

    def too_long(text: str) -> bool:
        captions = (caption.replace("{}", text) for caption in TEMPLATES)
        return room is not None and any(room(caption) < 0 for caption in captions)

    def longest(ends: list[int]) -> int:
        n = bisect_left(ends, True, key=lambda end: too_long(concept[:end]))
        return ends[n - 1] if n else 0

    if not too_long(concept):
        return concept
    end = longest([match.end() for match in re.finditer(r"\S+", concept)])
    return concept[: end or longest(list(range(1, len(concept)))) or 1]


_QUOTES = re.compile("[\"“”„‟«»‹›「」『』〝〞＂`]|(?<!\\w)['‘’‚‛]|['‘’‛](?!\\w)")
_OUTSIDE = " .,;:!?…·•*_#~=|<>/\\¡¿。、！？，；：–—"
_BULLET = re.compile(r"^-+(?!\w)")
_BRACKETS = re.compile(r"^[(\[{]([^()\[\]{}]*)[)\]}]$")


def _plain(text: str) -> str:
    """A text without quotes, surplus blanks and outer punctuation; as it is if that is all."""
    if len(text) > MAX_TEXT:
        raise InputError(
            f"The text has {len(text):,} characters, more than {MAX_TEXT:,}. Describe what to look "
            f"for in a few words."
        )
    joined = " ".join(unicodedata.normalize("NFC", text).translate(_UNSEEN).split())
    if not joined:
        raise InputError("The text is empty. Say what to look for in a few words.")
    bare = re.sub(r"\s+(?=[,;.!?])", "", " ".join(_QUOTES.sub(" ", joined).split()))
    for _ in range(2):  # around brackets, then within
        bare = _BRACKETS.sub(r"\1", _BULLET.sub("", bare.strip(_OUTSIDE)).strip(_OUTSIDE))
    return bare if any(map(str.isalnum, bare)) else joined


_UNSEEN = dict.fromkeys(map(ord, "\u00ad\u200b\u200e\u200f\u2060\ufeff"))
"""Characters of no width."""


def _same(text: str, concept: str) -> bool:
    """Whether a concept is what was written, but for case, blanks, an article and a full stop."""
    written = " ".join(text.split()).casefold()
    plain = (written, written.rstrip(".?!"))
    return without_article(concept.casefold()) in map(without_article, plain)
