"""Search: a query -> tiles, best first, each piece of ground once.

One way: recall (what the index is asked) -> judge (by each condition of the query; what a score
means is in `scoring`) -> keep (each piece of ground once) -> answer (verdicts, and why).
"""

from __future__ import annotations

from collections.abc import Sequence

from keenkite.encoder import Encoder
from keenkite.index import TileIndex
from keenkite.retrieval.answer import answer, nothing
from keenkite.retrieval.calibration import Calibration
from keenkite.retrieval.concepts import BACKGROUND
from keenkite.retrieval.conditions import Conditions
from keenkite.retrieval.examples import Examples
from keenkite.retrieval.keep import Keep
from keenkite.retrieval.query import Query
from keenkite.retrieval.readings import Readings
from keenkite.retrieval.recall import recall
from keenkite.retrieval.result import Hit, Result
from keenkite.retrieval.scoring import Scorer


def search(
    index: TileIndex,
    encoder: Encoder,
    query: Query,
    *,
    background: Sequence[str] = BACKGROUND,
    explain: bool = False,
) -> Result:
    """The tiles that show best what the query asks for.

    Args:
        index: of vectors of this encoder.
        encoder: for the query's texts.
        query: what to look for.
        background: what tiles may show instead; concepts that mean nearly the same as a text of
            the query are left out for it.
        explain: give the parts of each score.

    Raises:
        EncoderMismatchError: the index was made with another encoder.
        InputError: an example is not in the index, or a text cannot be read.
        TileIndexError: the index cannot be read.
    """
    index.require(encoder)
    readings = Readings.of(query, encoder)
    statistics = index.statistics()
    if statistics.n == 0:
        reason = f"the index {index.location} holds no tiles yet; build it first"
        return nothing(query, readings, reason)
    calibration = Calibration.of_index(index)
    scorer = Scorer(encoder, statistics, background, calibration=calibration)
    examples = Examples.of(query, index)
    conditions = Conditions.of(query, readings, index=index, scorer=scorer, examples=examples)
    keep, hits = Keep(query, examples), list[Hit]()
    for candidates in recall(index, query, conditions):
        judgement = conditions.judge(candidates)
        for i in keep.of(judgement):
            parts = conditions.parts(judgement, i) if explain else None
            hits.append(judgement.hit(i, rank=query.skip + len(hits) + 1, parts=parts))
        if keep.full:
            break
    return answer(index, query, readings, conditions, hits)
