"""Another table's rows, embedded as the pool's were."""

from functools import partial
from typing import Any

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.config.errors import InputError
from jobs.embedding.chosen import chosen
from jobs.embedding.gating import gate_rows
from jobs.embedding.learning import learned
from jobs.points.surviving import size_of
from jobs.runs.stage import Stage
from jobs.runs.work import Work
from jobs.spark.shipping import ship_archive, ship_code
from jobs.tables.shared import ARTIFACTS
from udfs.blocks import from_bytes
from udfs.embed import make_loader


def embedded_alike(this: Work, stage: Stage[Any], rows: DataFrame, name: str) -> DataFrame:
    """Embed rows by what a finished stage has learned from the pool.

    Parameters
    ----------
    stage : that embedded the pool
    rows : id, value, metadata; as ``pool_columns`` returns them
    name : of the table, for messages

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
    if spec.archive is not None:
        ship_code(this.spark, spec.archive)
    if spec.pack is not None:
        ship_archive(this.spark, spec.pack())
    if spec.fit is None:
        found = spec.n_features(arrays)
        if found != n_features:
            raise InputError(
                f"{name} has vectors of length {found}, the pool's have {n_features}; want vectors "
                "of the same model"
            )
        return gate_rows(rows, partial(spec.make, arrays), config.embed)
    stored = this.lake.read(ARTIFACTS, this.run.key(stage))
    (kept,) = stored.where(F.col("name") == f"{spec.name}.npz").select("content").collect()
    content = bytes(kept.content)
    if spec.n_features(from_bytes(content)) != n_features:
        raise AssertionError(f"{spec.name}.npz is not the pool's")
    shipped = this.ship(np.frombuffer(content, np.uint8))
    return gate_rows(rows, make_loader(spec.make, shipped), config.embed)
