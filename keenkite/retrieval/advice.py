"""Advice: what is odd about a text, in one sentence each, with what to write instead.

The names in it, text, near, exclude, area, max_cloud, are those of a query in Python, of the
command line's flags and of the tools alike.
"""

from __future__ import annotations

from collections.abc import Sequence

from keenkite.retrieval.sentences import Sentence

NO_WORDS = "The text holds no words: say in a few English words what is to be seen."

NUMBERS = "Numbers are not read from words: count the answers."


def listed(parts: Sequence[str], last: str = "and") -> str:
    """Parts of a text as a list: "'airport', 'harbour' and 'dam'"."""
    names = [repr(p if len(p) <= 40 else f"{p[:39]}…") for p in dict.fromkeys(parts)]
    return f" {last} ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def of_sentence(sentence: Sentence) -> list[str]:
    """What is not understood within a text."""
    notes, ask = [], "say in text what is to be seen"
    if sentence.things:
        ask = f"ask for text {listed(sentence.things[:1])}"
    if len(sentence.things) > 1:
        advice = (
            "ask for each in a search of its own"
            if sentence.choice
            else f"{ask}, and put {listed(sentence.things[1:])} into near, or ask "
            f"for each in a search of its own"
        )
        notes.append(
            f"A text is read as one thing, and this one names {listed(sentence.things)}: {advice}."
        )
    if sentence.unwanted:
        word, names = sentence.unwanted[0][0], [name for _, name in sentence.unwanted if name]
        cloud = any(name.casefold().startswith("cloud") for name in names)
        notes.append(
            f"{word!r} is not understood within a text: {ask}, and put "
            f"{listed(names) if names else 'what must not be there'} into exclude"
            f"{' (cloud into max_cloud)' if cloud else ''}."
        )
    if sentence.beside:
        word, names = sentence.beside[0][0], [name for _, name in sentence.beside if name]
        notes.append(
            f"{word!r} is not understood within a text: {ask}, and put "
            f"{listed(names) if names else 'what is to be by it'} into near, or into area if it "
            f"is a place."
        )
    return notes


def read_as(concept: str) -> str:
    """What was looked for, where that is not what was written."""
    return f"Read as {listed([concept])}: write just that."


def cut(kept: str) -> str:
    """A text that is longer than the model reads."""
    end = " ".join(kept.split()[-3:])
    return f"The model reads no further than {end[-40:]!r}: ask in fewer words."


def sizes(words: Sequence[str]) -> str:
    """Words of size, which a model that was taught a few things cannot tell."""
    return f"Sizes are not read from words, {listed(words)} neither: compare the areas found."


def not_taught(parts: Sequence[str], model: str, suggestions: Sequence[str]) -> str:
    """What a model has never met."""
    such = f"ask for {listed(suggestions, 'or')}" if suggestions else "ask for something else"
    return f"{model} was never taught {listed(parts)}: {such}, or use another model."


def not_english(words: Sequence[str]) -> str:
    """Words that may be names or slips."""
    return (
        f"Not among the English words keenkite knows: {listed(words)}; check the spelling, ask in "
        f"English, and put the name of a place into area."
    )


def other_language(words: Sequence[str], model: str) -> str:
    """Words of another language, in Latin letters."""
    return (
        f"{listed(words)} reads like another language, and {model} reads English: ask in English, "
        f"and put the name of a place into area."
    )


def other_script(script: str, model: str) -> str:
    """Letters that are not Latin."""
    return f"The text is in {script} letters, and {model} reads English: ask in English."
