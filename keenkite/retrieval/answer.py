"""Answer: hits become a result, with verdicts and what they rest on."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from keenkite.cloud import percent
from keenkite.index import Filters, TileIndex
from keenkite.retrieval.candidates import HIDDEN
from keenkite.retrieval.conditions import Conditions
from keenkite.retrieval.query import Query
from keenkite.retrieval.readings import Readings
from keenkite.retrieval.result import (
    WEAK,
    ConditionVerdict,
    Hit,
    Met,
    Result,
    cut_of,
    verdict_of,
)

FLAT, FIRST = 0.1, 10
"""First hits whose confidences differ by no more than this say that nothing stands out; so many of
them, whatever the limit."""

MANY_CLOUDY = 0.25
"""Part of the ground's tiles under cloud from which an answer speaks of it."""

SAMPLE = 256
"""Tiles that this is measured on."""


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
    """The answer of so many hits, best first, those that the query skips among them."""
    calibrated = conditions.calibrated
    verdicts = {
        text: verdict_of(best, calibrated=calibrated, doubtful=readings.doubtful(text))
        for text, best in conditions.alone(query).items()
    }
    if not hits:
        empty = nothing(query, readings, _why_empty(index, query))
        return replace(empty, verdicts=verdicts, calibrated=calibrated)
    cut = cut_of(query)
    page = hits[query.skip :]
    # The first hit of an answer is shown whatever it is worth; that of a further page is not.
    shown = [h for h in page if h.confidence >= cut or h.rank == 1]
    verdict = verdict_of(hits[0].confidence, calibrated=calibrated, doubtful=readings.any_doubtful)
    reason = _why_none(index, query, hits, readings) if verdict == "none" else None
    if not shown:
        reason = f"all further hits are below {cut:g}" if page else "there are no more hits"
    return Result(
        query=query,
        hits=tuple(shown),
        verdict=verdict,
        verdicts=verdicts,
        conditions=tuple(_condition(met, calibrated, readings) for met in hits[0].conditions),
        below=len(page) - len(shown),
        reason=reason,
        notes=readings.notes,
        calibrated=calibrated,
    )


def _condition(met: Met, calibrated: bool, readings: Readings) -> ConditionVerdict:
    doubtful = met.text is not None and readings.doubtful(met.text)
    verdict = verdict_of(met.factor, calibrated=calibrated, doubtful=doubtful)
    return ConditionVerdict(kind=met.kind, text=met.text, within_km=met.within_km, verdict=verdict)


def _why_none(index: TileIndex, query: Query, hits: Sequence[Hit], readings: Readings) -> str:
    """What it rests on that nothing was recognised."""
    best = hits[0]
    reasons = [f"Not recognised here: the best tile has a confidence of {best.confidence:.2f}"]
    if len(best.conditions) > 1:
        main, worst = best.conditions[0], min(best.conditions, key=lambda met: met.factor)
        if worst is not main and main.factor >= WEAK:
            reasons.append(
                f"{main.words!r} alone has {main.factor:.2f} there; what it fails by is "
                f"{worst.words!r}"
            )
    if readings.unknown:
        reasons.append(f"the model was never taught {' nor '.join(map(repr, readings.unknown))}")
    spread = np.ptp([hit.confidence for hit in hits[:FIRST]])
    if len(hits) > 2 and spread <= FLAT:
        reasons.append("nothing stands out among the hits")
    cloudy = _cloudy(index, query.filters)
    if cloudy >= MANY_CLOUDY:
        reasons.append(f"{percent(round(cloudy, 2))} of the tiles are cloudy")
    text = "; ".join(reasons)
    return f"{text}. {readings.wordings}" if readings.wordings else f"{text}."


def _cloudy(index: TileIndex, filters: Filters) -> float:
    """The part of the ground's tiles that hides more than half, 0-1; of a sample where there are
    many, since counting takes longer than the search."""
    if filters.max_cloud is not None:
        return 0.0
    tiles = itertools.islice(index.scroll(filters, size=SAMPLE), SAMPLE)
    cloudy = [tile.cloud > HIDDEN for tile in tiles if tile.cloud is not None]
    return float(np.mean(cloudy)) if cloudy else 0.0


def _why_empty(index: TileIndex, query: Query) -> str:
    """Why no tile is a hit."""
    total, filters = index.count(), query.filters
    if index.count(filters):
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
