"""Requests: a text without what only asks for it: "show me all golf courses" -> "golf courses"."""

from __future__ import annotations

import re

SIZES = frozenset({
    "big", "biggest", "enormous", "giant", "gigantic", "huge", "large", "larger", "largest",
    "little", "long", "longest", "massive", "medium", "mini", "narrow", "short", "small",
    "smaller", "smallest", "tall", "tiny", "vast", "wide",
})  # fmt: skip
"""Words that say how large a thing is."""

_QUANTITY = r"(?:all(?: (?:of )?the)?|any|each|every|some|(?:a (?:lot|couple|few)|lots) of|the)\s+"
_POLITE = (
    r"(?:(?:can|could|would) you |please |i(?:'d| would) like to |i want to |help me |let me |to )*"
)
_VERB = (
    r"(?:(?:find|locate|detect|identify|spot|search for|search|look for|give me|get me)(?: me)?"
    rf"|(?:show|list|count|see)(?: (?:me|us)|(?= {_QUANTITY}))"
    r"|where(?:'s| is| are| can i (?:find|see))?|what(?:'s| is| are)|which are"
    r"|(?:is|are) there|do you see|how many|i(?:'m| am) looking for|looking for|i (?:want|need))"
)
_ASKED = re.compile(rf"^{_POLITE}{_VERB}\s+(?:{_QUANTITY})*", re.I)
_PICTURE = re.compile(
    r"^(?:(?:an?|the)\s+)?(?:(?:satellite|aerial|overhead|drone|sentinel[- ]?2)\s+)*"
    r"(?:images?|imagery|photos?|photographs?|pictures?|views?)\s+(?:of|with|showing)\s+",
    re.I,
)
_END = re.compile(
    r",?\s+(?:please|(?:are|is)(?: there| located)?|(?:seen )?from (?:above|space|the air)"
    r"|on (?:the|this) map"
    r"|(?:with)?in (?:this|the) (?:area|box|image|picture|region|place|tile)|here|there)$",
    re.I,
)
_COUNT = re.compile(
    r"^(?:\d{1,4}|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|many|several|multiple"
    r"|numerous|a? ?few|(?:a couple|dozens|hundreds|lots|a lot) of|(?:at least|more than) \w+)\s+"
    r"(?=.*[^\W\d_](?<!s)s$)",
    re.I,
)
_ARTICLE = re.compile(r"^(?:an?|the|all|any|each|every|some)\s+(?=\w\w)", re.I)


def without_request(text: str) -> str:
    """A text without the words that ask for it; as it is where nothing else would be left.

    A request is never the name of a thing, so this holds for every model: the verbs and questions
    of English with their "all", "any" and "the"; "a satellite image of"; "from above".
    """
    ended = _END.sub("", text)
    begun = _PICTURE.sub("", _ASKED.sub("", ended))
    if begun in (ended, text):
        return begun or text
    return without_article(without_request(begun)) or text


def without_count(text: str) -> str:
    """Without a number of things before a plural: "three airports", but not "3 Gorges dam"."""
    return _COUNT.sub("", text) or text


def without_article(text: str) -> str:
    """Without "a", "the", "all" and their like at its beginning."""
    return _ARTICLE.sub("", text) or text


def without_sizes(text: str) -> str:
    """Without words of size: "a large airport" -> "a airport"; "" where it has no others."""
    return " ".join(word for word in text.split() if word.casefold() not in SIZES)
