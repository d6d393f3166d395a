"""Passes over the views of all points: moments of clusters, and what the teachers teach."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import DataFrame

from jobs.runs.work import Work
from udfs.blocks import from_bytes
from udfs.contrast import (
    MOMENTS_SCHEMA,
    TAUGHT_SCHEMA,
    Division,
    Teaching,
    make_moments,
    make_teach,
    make_total,
    packed_division,
    packed_experts,
)
from udfs.kernels.contrast.encoders import Codes, Encoder
from udfs.kernels.contrast.moments import Moments


def moments_of(
    this: Work,
    rows: DataFrame,
    n_features: int,
    n_clusters: int,
    division: Division | None = None,
) -> list[Moments]:
    """Return the moments of every cluster, in one pass over all points.

    Parameters
    ----------
    rows : a, b; and label, the cluster, if there is no division
    """
    shipped = None if division is None else this.ship(packed_division(division))
    parts = rows.mapInArrow(make_moments(n_features, n_clusters, shipped), MOMENTS_SCHEMA)
    if n_clusters > 1:  # each cluster's parts are added up on an executor with room for them
        parts = parts.repartition(n_clusters, "cluster")
    summed = parts.coalesce(n_clusters).mapInArrow(make_total(), MOMENTS_SCHEMA).toArrow()
    found = {row["cluster"]: Moments.of(from_bytes(row["payload"])) for row in summed.to_pylist()}
    return [found[k] for k in range(n_clusters)]


def taught_rows(
    this: Work,
    rows: DataFrame,
    division: Division,
    experts: Sequence[Encoder],
    merged: NDArray[np.int64],
    left: Codes,
) -> DataFrame:
    """Return what the base and the experts teach about every point : TAUGHT_SCHEMA.

    Parameters
    ----------
    rows : id, a, b; and label if the division has no centroids
    merged, left : see ``Teaching``
    """
    of = Teaching(
        this.ship(packed_division(division)), this.ship(packed_experts(experts)), merged, left
    )
    schema = TAUGHT_SCHEMA.format(id=rows.schema["id"].dataType.simpleString())
    return rows.mapInArrow(make_teach(of), schema)
