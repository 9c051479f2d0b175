"""Answer: hits become a result, with verdicts and what they rest on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from keenkite.cloud import percent
from keenkite.index import Filters, TileIndex
from keenkite.retrieval.conditions import Conditions
from keenkite.retrieval.query import Asked, Query
from keenkite.retrieval.readings import Readings
from keenkite.retrieval.result import (
    CUT,
    WEAK,
    ConditionVerdict,
    Hit,
    Result,
    Verdict,
    verdict_of,
)

FLAT = 0.1
"""Hits whose confidences differ by no more than this say that nothing stands out."""

MANY_CLOUDY = 0.25
"""Part of the ground's tiles under cloud from which an answer speaks of it."""


def nothing(query: Query, readings: Readings, reason: str) -> Result:
    """The answer without a hit."""
    return Result(
        query=query, hits=(), verdict="none", reason=reason, notes=readings.notes,
        verdicts=dict.fromkeys(readings.texts, "none"),
    )  # fmt: skip


def answer(
    index: TileIndex,
    query: Query,
    readings: Readings,
    conditions: Conditions,
    hits: Sequence[Hit],
) -> Result:
    """The answer of so many hits, best first."""
    if not hits:
        return nothing(query, readings, _why_empty(index, query))
    calibrated = conditions.calibrated
    cut = CUT if query.min_confidence is None else query.min_confidence
    # The first hit of an answer is shown whatever it is worth; that of a further page is not.
    shown = [h for h in hits if h.confidence >= cut or h.rank == 1]
    verdicts = {
        text: verdict_of(best, calibrated=calibrated, doubtful=readings.doubtful(text))
        for text, best in conditions.alone(query).items()
    }
    verdict = verdict_of(hits[0].confidence, calibrated=calibrated, doubtful=readings.any_doubtful)
    return Result(
        query=query,
        hits=tuple(shown),
        verdict=verdict,
        verdicts=verdicts,
        conditions=tuple(
            _condition(asked, met.confidence, calibrated, readings)
            for asked, met in zip(query.conditions, hits[0].conditions, strict=True)
        ),
        below=len(hits) - len(shown),
        reason=_why_none(index, query, hits, readings) if verdict == "none" else None,
        notes=readings.notes,
        calibrated=calibrated,
    )


def _condition(asked: Asked, seen: float, calibrated: bool, readings: Readings) -> ConditionVerdict:
    doubtful = asked.text is not None and readings.doubtful(asked.text)
    met = 1 - seen if asked.unwanted else seen
    verdict: Verdict = verdict_of(met, calibrated=calibrated, doubtful=doubtful)
    return ConditionVerdict(
        kind=asked.kind, text=asked.text, within_km=asked.within_km, verdict=verdict
    )


def _why_none(index: TileIndex, query: Query, hits: Sequence[Hit], readings: Readings) -> str:
    """What it rests on that nothing was recognised."""
    best = hits[0]
    reasons = [f"Not recognised here: the best tile has a confidence of {best.confidence:.2f}"]
    if len(best.conditions) > 1:
        worst = min(best.conditions, key=lambda m: 1 - m.confidence if m.unwanted else m.confidence)
        if worst.kind != "text" and best.conditions[0].confidence >= WEAK:
            reasons.append(
                f"{best.conditions[0].text!r} alone has {best.conditions[0].confidence:.2f} there; "
                f"what it fails by is {worst.name!r}"
            )
    if readings.unknown:
        reasons.append(f"the model was never taught {' nor '.join(map(repr, readings.unknown))}")
    spread = np.ptp([hit.confidence for hit in hits])
    if len(hits) > 2 and spread <= FLAT:
        reasons.append("nothing stands out among the hits")
    filters = query.filters
    total = index.count(filters)
    clear = index.count(_with_cloud(filters))
    known = total - clear
    if total and known / total >= MANY_CLOUDY and filters.max_cloud is None:
        reasons.append(f"{percent(round(known / total, 2))} of the tiles are cloudy")
    text = "; ".join(reasons)
    return f"{text}. {readings.wordings}" if readings.wordings else f"{text}."


def _with_cloud(filters: Filters) -> Filters:
    from dataclasses import replace

    return replace(filters, max_cloud=0.5)


def _why_empty(index: TileIndex, query: Query) -> str:
    """Why no tile is a hit."""
    total, filters = index.count(), query.filters
    if index.count(filters):
        if query.skip:
            return "there are no more hits"
        if query.strict:
            return "no tile meets all of near and exclude; without strict, the closest are shown"
        return "all tiles that pass the filters are of the examples' own ground"
    alone = {
        "the area": Filters(area=filters.area),
        "the dates": Filters(start=filters.start, end=filters.end),
        "max_cloud": Filters(max_cloud=filters.max_cloud),
        **{f"cover {kind}": Filters(cover={kind: part}) for kind, part in filters.cover.items()},
        "the regions": Filters(regions=filters.regions),
        "the scenes": Filters(scenes=filters.scenes),
        "the spans": Filters(spans=filters.spans),
        "the cells": Filters(cells=filters.cells),
        "the tile ids": Filters(tile_ids=filters.tile_ids),
    }
    to_blame = [name for name, each in alone.items() if each and index.count(each) == 0]
    if to_blame:
        return f"no tile of {total:,} passes {' nor '.join(to_blame)}"
    return f"each filter lets some of {total:,} tiles through, but no tile passes all of them"
