"""Headline: what an answer says before its hits and after them, wherever it is shown as text."""

from __future__ import annotations

from keenkite.retrieval.result import CAUTIOUS, Result, cut_of

NOT_MEASURED = (
    "not calibrated: this model's confidence was never measured, and is taken as that of others; "
    f"strong begins at {CAUTIOUS:g}"
)


def headline(result: Result) -> str:
    """The whole and its parts: "verdict: weak (airport: strong; sea within 3 km: weak)"."""
    line = f"verdict: {result.verdict}"
    if len(result.conditions) < 2:
        return line
    parts = (f"{condition.words}: {condition.verdict}" for condition in result.conditions)
    return f"{line} ({'; '.join(parts)})"


def remarks(result: Result) -> list[str]:
    """What to know about the verdict, a line each: why, of each text by itself, and notes."""
    lines = [f"{result.reason[:1].upper()}{result.reason[1:]}"] if result.reason else []
    if len(result.verdicts) > 1 or set(result.verdicts.values()) - {result.verdict}:
        alone = (
            f"{' '.join(text.split())}: {verdict}" for text, verdict in result.verdicts.items()
        )
        lines.append(f"each text by itself: {'; '.join(alone)}")
    lines += [f"note: {note}" for note in result.notes]
    return lines if result.calibrated else [*lines, NOT_MEASURED]


def rest(result: Result) -> list[str]:
    """What was cut: "31 more below 0.15"; nothing where nothing was."""
    if not result.below:
        return []
    return [f"{result.below} more below {cut_of(result.query):g}; a min_confidence of 0 shows them"]
