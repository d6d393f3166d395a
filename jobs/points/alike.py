"""Another table's rows, read and embedded as the pool's were."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.config.errors import InputError
from jobs.config.model import InputConfig, RunConfig
from jobs.embedding.chosen import chosen, ship_embedder
from jobs.embedding.gating import gate_rows
from jobs.embedding.learning import learned
from jobs.points.surviving import size_of
from jobs.pool.beside import named_as, opened
from jobs.pool.columns import pool_columns
from jobs.pool.inputs import Pool, with_pointed
from jobs.runs.stage import Stage
from jobs.runs.work import Work
from jobs.sections.kinds import TableConfig
from jobs.tables.shared import ARTIFACTS
from udfs.blocks import from_bytes
from udfs.embed import make_loader


def read_alike(
    this: Work,
    key: str,
    table: TableConfig,
    *,
    id_: str,
    content: str | None,
    metadata: Sequence[str] = (),
) -> DataFrame:
    """Return another table's rows as ``pool_columns`` returns the pool's: id, value, metadata.

    Parameters
    ----------
    key : the config key that names the table
    content : the column that the embedder reads; the pool's if it is None

    Raises
    ------
    InputError
        If the table cannot be read, or lacks a column.
    """
    return opened_alike(this.spark, this.config, key, table, id_, content, metadata)[1]


def opened_alike(
    spark: SparkSession,
    config: RunConfig,
    key: str,
    table: TableConfig,
    id_: str,
    content: str | None,
    metadata: Sequence[str] = (),
) -> tuple[Pool, DataFrame]:
    """Open another table as the pool was: the table, and its rows as ``pool_columns`` has them.

    What its content points at, if it is paths, belongs to the table's version.

    Parameters and errors as in ``read_alike``.
    """
    spec = chosen(config).spec
    reads = spec.reads
    column = content or getattr(config.input, reads)
    pool = opened(spark, key, table, id=id_, content=column)
    given = InputConfig.model_validate(
        {"table": str(table.table), "id": id_, reads: column, "metadata": [*metadata]}
        | {"embedding_type": config.input.embedding_type, "base": config.input.base}
    )
    with named_as(key):
        rows = pool_columns(pool, given, reads)
        if spec.opens_paths and rows.schema["value"].dataType.typeName() == "string":
            pool = with_pointed(pool, rows, given)
            rows = pool_columns(pool, given, reads)
        return pool, rows


def embedded_alike(this: Work, stage: Stage[Any], rows: DataFrame, name: str) -> DataFrame:
    """Embed rows with what a finished stage has learned from the pool.

    Parameters
    ----------
    stage : the stage that embedded the pool
    rows : id, value, metadata; as ``pool_columns`` returns them
    name : the table's name, for messages

    Returns
    -------
    gated : see ``gate_rows``

    Raises
    ------
    InputError
        If the vectors are given, and are not as long as the pool's.
    """
    config, n_features = this.config, size_of(this.run).n_features
    embedder = chosen(config)
    spec = embedder.spec
    own = spec.fit is None or spec.pack is not None
    arrays = learned(rows, embedder, config).arrays if own else {}
    ship_embedder(this.spark, spec)
    if spec.fit is None:
        found = spec.n_features(arrays)
        if found != n_features:
            raise InputError(
                f"{name} has vectors of length {found}, the pool's have {n_features}; want vectors "
                "of the same model"
            )
        return gate_rows(rows, partial(spec.make, arrays), config.embed)
    content = _artifact(this, stage, f"{spec.name}.npz")
    if spec.n_features(from_bytes(content)) != n_features:
        raise AssertionError(f"{spec.name}.npz is not the pool's")
    shipped = this.ship(np.frombuffer(content, np.uint8))
    return gate_rows(rows, make_loader(spec.make, shipped), config.embed)


def _artifact(this: Work, stage: Stage[Any], name: str) -> bytes:
    """Return what a finished stage has learned, as it is stored."""
    stored = this.lake.read(ARTIFACTS, this.run.key(stage))
    (kept,) = stored.where(F.col("name") == name).select("content").collect()
    return bytes(kept.content)
