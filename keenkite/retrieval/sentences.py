"""Sentences: what a text says beside the one thing that a model can look for.

Models of CLIP's kind read a text as a bag of what it names: "airport without clouds" is nearer to
clouds than "airport" is. So what people write is taken apart here, to be told, not to be obeyed.

What is one thing though it holds such a word: a name of `ONE_THING` ("oil and gas field"); words
joined of which all but one name no thing ("red and white tower", "large, round tank"); numbers
with a slash ("24/7"). "of" and "for" join nothing: "port of entry" is one thing. What the model's
vocabulary has as it stands ("sea or lake") is looked up before a text gets here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias

from keenkite.retrieval.requests import SIZES, without_article

Part: TypeAlias = Literal["thing", "unwanted", "beside"]

ONE_THING = (
    "above ground", "arts and crafts", "at grade", "bait and tackle", "bed and breakfast",
    "below ground", "black and white", "cut and fill", "drive in", "drive through",
    "hub and spoke", "in ground", "in use", "kiss and ride", "near infrared", "near shore",
    "no entry", "no fly zone", "no man's land", "no parking", "oil and gas", "on ramp",
    "park and ride", "roll on roll off", "sand and gravel", "search and rescue", "slash and burn",
)  # fmt: skip
"""Set phrases that name one thing, or a quality of it."""

_QUALITIES = SIZES | frozenset({
    "abandoned", "black", "blue", "brown", "busy", "circular", "clean", "colorful", "colourful",
    "dark", "dense", "dirty", "disused", "dry", "empty", "flat", "flooded", "full", "gray",
    "green", "grey", "light", "modern", "new", "old", "orange", "oval", "pink", "purple",
    "rectangular", "red", "round", "rural", "sparse", "square", "straight", "urban", "wet",
    "white", "yellow",
})  # fmt: skip
"""Words that name no thing by themselves, so that "and" between them makes no two."""

_KM = r"\d+(?:\.\d+)?\s*(?:km|kilomet(?:re|er)s?|m|met(?:re|er)s?|miles?)"

# A hyphen beside a word makes it part of a name: "by-pass", "no-fly zone", "Newcastle-upon-Tyne".
_JOINTS = re.compile(
    rf"""
    (?P<unwanted>
        (?<![\w-]) (?: (?:but\s+)?(?:not|no|without|excluding|lacking|minus|neither|nor|never)
            | except(?:\s+for)? | (?:other|rather)\s+than | instead\s+of | free\s+of
            | (?:away|far)\s+from | (?:is|are|do|does)n['’]t
        ) (?![\w.-]) (?:\s+(?:any|have|an?|the|with|near|in)(?![\w-]))*
        | (?<![\w-])w/o(?!\w)
        | (?:^|(?<=\s)) [-!] (?=\w)
    )
    | (?P<beside>
        (?<![\w-]) (?: (?:(?:with)?in\s+(?:about\s+)?)?{_KM}\s+(?:of|from|off|to|away\s+from)
            | (?:very\s+)?near(?:by|\s+to)? | (?:next|close|adjacent)\s+to | besides? | bordering
            | in\s+front\s+of | on\s+top\s+of | surrounded\s+by | overlooking | facing
            | (?:at|on|along)\s+the\s+(?:bank|coast|edge|end|foot|mouth|shore|side)s?\s+of
            | (?:to\s+the\s+)?(?:north|south|east|west)\s+of
            | above | across | along(?:side)?(?!\s+with) | amid | among | around | at | behind
            | below | beneath | between | beyond | by | in | inside | on | opposite | outside | over
            | through | within
        ) (?![\w-]) (?:\s+(?:an?|the)(?![\w-]))?
    )
    | (?P<choice> (?<![\w-])(?:or|vs\.?|versus)(?![\w-]) | (?<!\d)\s*/\s*(?!\d) | \s*\|\s* )
    | (?P<also>
        (?<![\w-]) (?: and(?:\s+also)? | as\s+well\s+as | (?:along|together)\s+with | but
            | containing | having | including | plus | with
        ) (?![\w-])
        | [,、，](?!\d) | ; | (?<!\b\w)&(?!\w\b) | \s[-–—+]\s
    )
    """,
    re.IGNORECASE | re.VERBOSE,
)
_PRESENT = frozenset({"but", "with", "having", "including", "containing"})
"""After these comes what is there, whatever stood before; after "and" what stood before goes on."""


@dataclass(frozen=True, kw_only=True)
class Sentence:
    """What a text says, in its parts; each is a concept by itself."""

    things: tuple[str, ...]
    """What it says is there, "airport"; more than one where it names several."""
    unwanted: tuple[tuple[str, str], ...]
    """The word that says what is not there, and what: ("without", "clouds")."""
    beside: tuple[tuple[str, str], ...]
    """The relation in which it says the things stand, and to what: ("near", "sea")."""
    choice: bool
    """Things are joined by "or"."""

    @property
    def parts(self) -> tuple[str, ...]:
        """All that it names."""
        return tuple(filter(None, (*self.things, *(w for _, w in self.unwanted + self.beside))))

    @property
    def simple(self) -> bool:
        """Whether it names one thing at the most, and says no more of it."""
        return len(self.things) <= 1 and not self.unwanted and not self.beside


_ONE_THING = re.compile(
    rf"(?<![\w-])(?:{'|'.join(ONE_THING).replace(' ', '[ -]')})(?![\w-])", re.IGNORECASE
)
_Piece: TypeAlias = tuple[Part, str, str]
"""What is said of a thing, the word that says so, and the thing."""


def parse(text: str) -> Sentence:
    """Take a text apart at the words that join, negate and relate."""
    hidden = _ONE_THING.sub(lambda match: match.group().replace(" ", "_"), text)
    joints = list(_JOINTS.finditer(hidden))
    ends = [*(joint.start() for joint in joints), len(hidden)]
    pieces: list[_Piece] = [("thing", "", _part(hidden[: ends[0]]))]
    for joint, end in zip(joints, ends[1:], strict=True):
        kind, word = _said(joint, pieces[-1])
        pieces.append((kind, word, _part(hidden[joint.end() : end])))
    things = [thing for kind, _, thing in pieces if kind == "thing" and thing]
    named = [thing for thing in things if not _QUALITIES.issuperset(thing.casefold().split())]
    return Sentence(
        things=tuple(named or things[:1]),
        unwanted=tuple(piece[1:] for piece in pieces if piece[0] == "unwanted"),
        beside=tuple(piece[1:] for piece in pieces if piece[0] == "beside"),
        choice=any(joint.lastgroup == "choice" for joint in joints),
    )


def _said(joint: re.Match[str], before: _Piece) -> tuple[Part, str]:
    """What a joint says of the thing after it, which "and" does not change."""
    kind, word, thing = before
    said = re.sub(r"(?i)(?<=\w)\s+(?:an?|the)$", "", joint.group().strip())
    if joint.lastgroup == "unwanted":
        return "unwanted", said
    if joint.lastgroup == "beside":
        far = kind == "unwanted" and not thing  # "not next to"
        return ("unwanted", f"{word} {said}") if far else ("beside", said)
    return ("thing", "") if said.lower() in _PRESENT else (kind, word)


def _part(text: str) -> str:
    """One concept out of a sentence."""
    return without_article(text.replace("_", " ").strip(" .,;:!?()[]{}"))
