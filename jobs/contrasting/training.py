"""Encoders of clusters by the user's own trainer: one task for each cluster, the largest first."""

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import DataFrame

from jobs.clustering.sizes import bins_of
from jobs.clustering.spark_points import keys_of_partitions
from jobs.config.errors import ConfigError
from jobs.embedding.code import source_of
from jobs.runs.work import Work
from jobs.sections.contrast import TrainerConfig
from jobs.spark.shipping import ship_code
from udfs.blocks import from_bytes
from udfs.contrast import Division
from udfs.kernels.contrast.encoders import Encoder
from udfs.trainers import BINNED_SCHEMA, TRAINED_SCHEMA, Sent, make_send, make_train

KEY = "contrast.trainer"
_MARGIN = 6.0  # standard deviations of a binomial count: too few once in a billion


def encoders_by(
    this: Work,
    trainer: TrainerConfig,
    rows: DataFrame,
    n_points: NDArray[np.int64],
    division: Division | None = None,
    merged: NDArray[np.int64] | None = None,
) -> list[Encoder]:
    """Train an encoder for each cluster.

    Parameters
    ----------
    rows : id, a, b, draw; and label, the cluster, if there is no division
    n_points : (n_clusters,) of those that are left
    merged : the cluster that each of the division's has become; itself by default

    Raises
    ------
    ConfigError
        If codes of two clusters differ in length.
    """
    source = source_of(trainer.model, f"{KEY}.model")
    if source.archive is not None:
        ship_code(this.spark, source.archive)
    n_bins = len(n_points)
    bins = keys_of_partitions(this.spark, n_bins)[bins_of(n_points, n_bins)]
    given = np.arange(n_bins) if merged is None else merged
    sent = Sent(division, given, bins, _cuts(n_points, trainer.rows))
    id_ = rows.schema["id"].dataType.simpleString()
    binned = rows.mapInArrow(make_send(sent), BINNED_SCHEMA.format(id=id_))
    train = make_train(source.code(trainer.model_options), trainer.rows, this.config.seed)
    made = binned.repartition(n_bins, "bin").mapInArrow(train, TRAINED_SCHEMA).toArrow()
    found = {row["cluster"]: Encoder.of(from_bytes(row["payload"])) for row in made.to_pylist()}
    lengths = sorted({each.layers[-1].weights.shape[1] for each in found.values()})
    if len(lengths) > 1:
        raise ConfigError(
            f"{KEY}.model={trainer.model!r} gave codes of lengths {lengths}; want one length for "
            "all clusters"
        )
    largest = found[int(np.argmax(n_points))]  # stands in for a random cluster without points
    return [found.get(k, largest) for k in range(n_bins)]


def _cuts(n_points: NDArray[np.int64], n_rows: int) -> NDArray[np.int64]:
    """Return the draw above which a cluster's points are not needed, except once in a billion."""
    shares = (n_rows + _MARGIN * n_rows**0.5 + _MARGIN) / np.maximum(1, n_points)
    below = [int(-(2**63) + share * 2.0**64) if share < 1 else 2**63 - 1 for share in shares]
    return np.array(below, np.int64)
