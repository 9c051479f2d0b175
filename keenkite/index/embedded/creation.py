"""A new shard: how its vectors are kept, and what of its payloads is indexed."""

from __future__ import annotations

from pathlib import Path

import qdrant_edge as engine

from keenkite.index import backend as policy
from keenkite.index.backend import VECTOR, Tuning
from keenkite.index.embedded.filters import INDEX_PARAMETERS
from keenkite.index.payload import INDEXES


def create_shard(path: Path, *, dim: int, tuning: Tuning) -> engine.EdgeShard:
    """Make one in an empty folder, and leave it open.

    The vectors are cold, on the disk, and their int8 codes pinned in memory: a third of the memory
    of a million vectors, and the recall that rescoring gives back.
    """
    vectors = engine.EdgeVectorParams(
        size=dim,
        distance=engine.Distance.Dot,
        memory=engine.Memory.Cold,
        quantization_config=engine.ScalarQuantizationConfig(
            type=engine.ScalarType.Int8, quantile=policy.QUANTILE, memory=engine.Memory.Pinned
        ),
    )
    config = engine.EdgeConfig(
        vectors={VECTOR: vectors},
        hnsw_config=engine.HnswIndexConfig(
            m=policy.HNSW_M,
            ef_construct=policy.HNSW_EF_CONSTRUCT,
            full_scan_threshold=tuning.full_scan_kb,
        ),
        optimizers=engine.EdgeOptimizersConfig(
            indexing_threshold=max(tuning.index_from * dim * 4 // 1024, 1)
        ),
    )
    shard = engine.EdgeShard.create(str(path), config)
    # Before the first point, and without links of their own in the graph: with them it takes hours.
    for field, kind in INDEXES.items():
        parameters = INDEX_PARAMETERS[kind](enable_hnsw=False)
        shard.update(engine.UpdateOperation.create_field_index(field, parameters))
    return shard
