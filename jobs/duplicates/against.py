"""Evaluation sets: points that are in them, or nearly so, are turned away as contaminated."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame, SparkSession
from threadpoolctl import threadpool_limits

from jobs.config.errors import InputError
from jobs.config.model import RunConfig
from jobs.config.secrets import without_secrets
from jobs.points.alike import embedded_alike, opened_alike, read_alike
from jobs.pool.beside import pinned
from jobs.pool.ids import shown
from jobs.runs.stage import Stage
from jobs.runs.work import Work
from jobs.sections.dedup import AgainstConfig
from jobs.spark.host import n_threads
from udfs.contamination import HASH_BYTES, MATCHED_SCHEMA, SAME, make_match
from udfs.near import DirectionReader
from udfs.points import OnBatches

CONTAMINATED = "contaminated"  # the reason given in rejects
MOST_KNOWN = 200_000  # rows of all evaluation sets: every point is compared with each of them
_AT_ONCE = 8192  # points compared at once


# --- pinned ---------------------------------------------------------------------------------------


def against_pinned(spark: SparkSession, config: RunConfig) -> RunConfig:
    """Return the config with the current fingerprints of the evaluation sets.

    Raises
    ------
    InputError
        If one cannot be read as described.
    ConfigError
        If the config names another fingerprint.
    """
    tables = []
    for i, table in enumerate(config.dedup.against):
        key = f"dedup.against.{i}"
        id_ = table.id or config.input.id
        pool, _ = opened_alike(spark, config, key, table, id_, table.content)
        tables.append(pinned(key, table, pool))
    dedup = config.dedup.model_copy(update={"against": tables})
    return config.model_copy(update={"dedup": dedup})


def against_identity(config: RunConfig) -> Mapping[str, str]:
    """Return what identifies the evaluation sets' rows, in addition to the config."""
    tables = enumerate(config.dedup.against)
    return {f"against.{i}": t.fingerprint for i, t in tables if t.fingerprint is not None}


# --- compared -------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Known:
    """The rows of all evaluation sets that could be embedded, in order of set and content.

    Attributes
    ----------
    names : (n_known,), each row's id and set, for messages
    hashes : (n_known, HASH_BYTES) uint8, of their contents
    X : (n_known, n_features) float32, on the grid
    """

    names: list[str]
    hashes: NDArray[np.uint8]
    X: NDArray[np.float32]


def known_rows(this: Work, embedded_by: Stage[Any], read: DirectionReader) -> Known:
    """Embed the evaluation sets as the pool was.

    Raises
    ------
    InputError
        If one cannot be read or embedded, or if they have too many rows.
    """
    parts = [_known(this, embedded_by, i, table, read) for i, table in _sets(this)]
    if (n := sum(len(part.names) for part in parts)) > MOST_KNOWN:
        raise InputError(
            f"dedup.against: the tables have {n} rows, want at most {MOST_KNOWN}; leave some out, "
            "or thin them by where"
        )
    return Known(
        [name for part in parts for name in part.names],
        np.concatenate([part.hashes for part in parts]),
        np.concatenate([part.X for part in parts]),
    )


def _sets(this: Work) -> list[tuple[int, AgainstConfig]]:
    return [*enumerate(this.config.dedup.against)]


def _known(
    this: Work, embedded_by: Stage[Any], i: int, table: AgainstConfig, read: DirectionReader
) -> Known:
    key, id_ = f"dedup.against.{i}", table.id or this.config.input.id
    rows = read_alike(this, key, table, id_=id_, content=table.content)
    gated = embedded_alike(this, embedded_by, rows, f"{key}={table.table!r}")
    fit = gated.where("reason IS NULL").select("id", "content_hash", "embedding")
    found = fit.limit(MOST_KNOWN + 1).toArrow()
    if not len(found):
        raise InputError(
            f"{key}={table.table!r} has no row that can be embedded; check its content, or leave "
            "it out"
        )
    found = found.sort_by([("content_hash", "ascending"), ("id", "ascending")])
    of = without_secrets(table.table)
    return Known(
        [f"{shown(id_)!r} of {of}" for id_ in found["id"].to_pylist()],
        np.frombuffer(b"".join(found["content_hash"].to_pylist()), np.uint8).reshape(
            -1, HASH_BYTES
        ),
        np.concatenate([read(batch) for batch in found.to_batches()]),
    )


def contaminated_in(
    points: pa.Table, known: Known, read: DirectionReader, threshold: float
) -> pa.Table:
    """Return the points in memory that are in evaluation sets : id, reason, detail.

    Parameters
    ----------
    points : id, content_hash, embedding
    """
    match = make_match(read, lambda: known.hashes, lambda: known.X, threshold)
    some = points.to_batches(max_chunksize=_AT_ONCE)
    with threadpool_limits(1), ThreadPoolExecutor(n := n_threads()) as threads:
        parts = threads.map(lambda i: _matched(match, some[i::n]), range(n))
        found = [batch for part in parts for batch in part]
    return _as_rejects(pa.Table.from_batches(found), known)


def _matched(match: OnBatches, batches: list[pa.RecordBatch]) -> list[pa.RecordBatch]:
    return [*match(iter(batches))]


def contaminated_among(
    this: Work, points: DataFrame, known: Known, read: DirectionReader, threshold: float
) -> pa.Table:
    """Return the points in a DataFrame that are in evaluation sets, as ``contaminated_in`` does."""
    loads = (this.ship(known.hashes).get, this.ship(known.X).get)
    schema = MATCHED_SCHEMA.format(id=points.schema["id"].dataType.simpleString())
    rows = points.select("id", "content_hash", "embedding")
    return _as_rejects(
        rows.mapInArrow(make_match(read, *loads, threshold), schema).toArrow(), known
    )


def _as_rejects(matched: pa.Table, known: Known) -> pa.Table:
    """Return what each point was found to be : columns of MATCHED_SCHEMA -> id, reason, detail."""
    details = [
        f"the content of {known.names[i]}"
        if cosine == SAME
        else f"cosine similarity {cosine:.4f} to {known.names[i]}"
        for i, cosine in zip(
            matched["known"].to_pylist(), matched["cosine_similarity"].to_pylist(), strict=True
        )
    ]
    reasons = pa.array([CONTAMINATED] * len(matched), pa.string())
    return pa.table(
        {"id": matched["id"], "reason": reasons, "detail": pa.array(details, pa.string())}
    )
