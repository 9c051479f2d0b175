"""English: whether a text is written in it, for models that have read captions in no other."""

from __future__ import annotations

import gzip
import re
import unicodedata
from collections.abc import Iterator
from functools import cache
from importlib.resources import files

OTHERS = frozenset({
    "aan", "al", "au", "aux", "avec", "bei", "cerca", "con", "dans", "das", "de", "degli",
    "del", "della", "delle", "dem", "den", "der", "des", "di", "dos", "du", "ein", "eine",
    "einem", "einen", "einer", "el", "em", "en", "entre", "et", "fuera", "gli", "het", "il",
    "im", "junto", "la", "las", "le", "les", "lo", "los", "mit", "na", "nahe", "neben", "nel",
    "nella", "och", "og", "ohne", "ou", "para", "por", "proche", "près", "sans", "senza",
    "sobre", "sur", "uma", "un", "una", "und", "une", "uno", "vers", "vicino", "von", "vor",
    "zu", "zum", "zur",
})  # fmt: skip
"""Small words of French, Spanish, Portuguese, Italian, German, Dutch and the north. None of them
is a word that an English text about the ground would hold by itself."""


@cache
def english_words() -> frozenset[str]:
    """About 80,000 words without accents, lower case, no names; read on first use (20 ms)."""
    packed = files("keenkite.retrieval").joinpath("data", "english-words.txt.gz").read_bytes()
    _, _, words = gzip.decompress(packed).decode("ascii").partition("\n\n")  # after its heading
    return frozenset(words.split())


def words_in(text: str) -> list[str]:
    """Its words, as written: "open-pit" and "footballField" are two each, "bird's" is one."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)
    return re.findall(r"[^\W\d_]+(?:['’][^\W\d_]+)*", apart)


def script_of(text: str) -> str | None:
    """The script of its first letter that is not Latin, "Cyrillic"; None: all are Latin."""
    for letter in filter(str.isalpha, unicodedata.normalize("NFKC", text)):
        script = unicodedata.name(letter, "unknown").partition(" ")[0]
        if script not in ("LATIN", "MODIFIER", "FEMININE", "MASCULINE"):
            return _SCRIPTS.get(script, script.capitalize())
    return None


_SCRIPTS = {"CJK": "Chinese or Japanese", "HIRAGANA": "Japanese", "KATAKANA": "Japanese"}


def is_english(word: str) -> bool:
    """Whether a word is in the list, or two words of it written as one: "scrubland"."""
    bare = _bare(word)
    if len(bare) < 2 or bare in english_words():
        return True
    # Halves of three letters and of four, at the least; no word is longer than 40.
    return len(bare) <= 40 and any(
        bare[:i] in english_words() and bare[i:] in english_words() for i in range(3, len(bare) - 3)
    )


def strange_words(text: str) -> list[str]:
    """Its words that are not English: names, slips, other languages; each once, as written."""
    return list(dict.fromkeys(word for word in words_in(text) if not is_english(word)))


def foreign_words(text: str) -> list[str]:
    """Its words that tell of another language; none where they can be parts of a name.

    A small word of another language tells, unless it and English words stand in the name of a
    place ("Rio de Janeiro harbour", "Big Sur coast") or it is an abbreviation ("UN base"); so does
    an accent on a word that is not English without it, with the same exception ("São Paulo port").
    """
    words = words_in(text)
    if text.isupper():
        words = [word.lower() for word in words]
    # The language's own small words are no evidence of English: "la" and "lo" are in the list.
    english = any(is_english(w) and w.lower() not in OTHERS and not _accented(w) for w in words)
    return list(dict.fromkeys(_foreign(words, english=english)))


def _foreign(words: list[str], *, english: bool) -> Iterator[str]:
    for i, word in enumerate(words):
        if word.lower() in OTHERS:
            following = words[i + 1 : i + 2]
            capital = (word[0].isupper() and i > 0) or any(w[0].isupper() for w in following)
            if not word.isupper() and not (english and capital):
                yield word
        elif _accented(word) and not is_english(word) and not (english and word[0].isupper()):
            yield word


def _accented(word: str) -> bool:
    return not word.replace("’", "'").isascii()


def _bare(word: str) -> str:
    """In lower case, without accents and without an ending 's."""
    plain = unicodedata.normalize("NFKD", word.casefold())
    letters = "".join(c for c in plain if not unicodedata.combining(c)).replace("’", "'")
    return letters.removesuffix("'s").replace("'", "")
