"""What an embedder learns before it embeds: a fit on a sample, or the given vectors' length."""

from typing import Any, NamedTuple

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from threadpoolctl import threadpool_limits

from jobs.config.errors import ConfigError, InputError
from jobs.config.model import RunConfig
from jobs.embedding.chosen import Chosen
from jobs.pool.columns import nothing_in
from udfs.embed import make_reduce
from udfs.embedders.contract import EmbedderError
from udfs.embedders.encodings import DTYPES, FLOAT32, is_float32, likely, n_bytes
from udfs.embedders.specs import ROW_SECONDS, Arrays

_LOOKED_AT = 1000  # binary vectors examined for their encoding


class Learned(NamedTuple):
    """What an embedder has learned.

    Attributes
    ----------
    row_seconds : what it took to embed a row on one core; 0 unless the embedder is costly
    """

    arrays: Arrays
    row_seconds: float = 0.0


def learned(rows: DataFrame, embedder: Chosen, config: RunConfig) -> Learned:
    """Fit an embedder on the contents with the smallest id hashes, or measure given vectors.

    Raises
    ------
    InputError
        If there is nothing to learn from.
    ConfigError
        If the user's code fails.
    """
    spec, seed, model = embedder.spec, config.seed, config.embed.model
    if spec.fit is None:
        encoding = _encoding(rows, embedder, config)
        n_features = _common_length(rows, embedder, encoding)
        return Learned({"n_features": np.array(n_features), "encoding": np.array(encoding)})
    sample = _sample(rows, embedder, seed)
    if not sample:
        raise nothing_in(rows, f"{embedder.key}={embedder.column!r}")
    try:
        with threadpool_limits(1):
            arrays = dict(spec.fit(sample, embedder.options, seed))
    except EmbedderError as error:
        raise ConfigError(f"embed.model={model!r}: {error}") from error
    except ValueError as error:
        raise InputError(f"embed.model={model} cannot be fitted: {error}") from error

    return Learned(arrays, float(arrays.pop(ROW_SECONDS, 0.0)))


def ahead(rows: DataFrame, embedder: Chosen, config: RunConfig) -> tuple[int, float]:
    """Return the length of the vectors, or an upper bound, and the seconds a row, from a few rows.

    Raises
    ------
    InputError, ConfigError
        See ``learned``.
    """
    spec = embedder.spec
    if spec.n_expected is not None:
        return spec.n_expected(embedder.options), 0.0
    if spec.fit is not None:
        found = learned(rows, embedder, config)
        return spec.n_features(found.arrays), found.row_seconds
    return _first(_lengths(rows, _encoding(rows, embedder, config)), rows, embedder), 0.0


def _encoding(rows: DataFrame, embedder: Chosen, config: RunConfig) -> str:
    """Return the encoding of binary vectors: the declared one, or float32 if they look like it.

    Raises
    ------
    InputError
        If none is declared, and a few vectors do not look like float32.
    """
    declared = config.input.embedding_type
    if declared is not None or not _is_binary(rows):
        return declared or FLOAT32
    given = rows.where(F.octet_length("value") > 0).select("value").limit(_LOOKED_AT)
    contents = [bytes(row.value) for row in given.collect()]
    if not contents or is_float32(contents):
        return FLOAT32
    kinds = likely(contents)
    like = f"they look like {' or '.join(kinds)}" if kinds else "nor like another type of numbers"
    raise InputError(
        f"{embedder.key}={embedder.column!r} is binary, and its bytes do not look like float32, "
        f"little-endian; {like}: set input.embedding_type to what they are, {', '.join(DTYPES)}"
    )


def _is_binary(rows: DataFrame) -> bool:
    return rows.schema["value"].dataType.typeName() == "binary"


def _common_length(rows: DataFrame, embedder: Chosen, encoding: str) -> int:
    """Return the length that most vectors have; ties go to the longer."""
    counts = _lengths(rows, encoding).groupBy("n").count()
    return _first(counts.orderBy(F.desc("count"), F.desc("n")), rows, embedder)


def _lengths(rows: DataFrame, encoding: str) -> DataFrame:
    size = n_bytes(encoding)
    length = F.octet_length("value") / size if _is_binary(rows) else F.size("value")
    given = rows.where(F.col("value").isNotNull())
    return given.select(length.cast("int").alias("n")).where("n > 0")


def _first(lengths: DataFrame, rows: DataFrame, embedder: Chosen) -> int:
    found = lengths.limit(1).collect()
    if not found:
        raise nothing_in(rows, f"{embedder.key}={embedder.column!r}")
    return int(found[0].n)


def _sample(rows: DataFrame, embedder: Chosen, seed: int) -> list[Any]:
    """Collect what the fit needs of the contents with the smallest id hashes."""
    spec, n_rows = embedder.spec, embedder.spec.n_fitted(embedder.options)
    there = rows.where(F.col("value").isNotNull() & F.col("id").isNotNull())
    of_id = F.xxhash64("id", F.lit("embed.fit"), F.lit(seed))
    if spec.reduce is None:
        ranked = there.orderBy(of_id, "id").limit(n_rows)
        return [row.value for row in ranked.select("value").collect()]
    # the rows are known without reading contents, except for rows without content
    most = n_rows + n_rows // 10
    smallest = rows.select(of_id.alias("hash")).orderBy("hash").limit(most)
    hashes = [row.hash for row in smallest.collect()]
    reduce = make_reduce(spec.reduce, embedder.options)
    reduced = there.select(of_id.alias("hash"), "id", reduce("value").alias("value"))
    found = reduced.where(F.col("hash") <= hashes[-1]).collect() if hashes else []
    if len(found) < n_rows and len(hashes) == most:  # many rows have no content
        found = reduced.orderBy("hash", "id").limit(n_rows).collect()
    found.sort(key=lambda row: (row.hash, row.id))
    return [row.value for row in found[:n_rows]]
