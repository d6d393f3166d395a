"""The points of the pool that are nearest to seeds: retrieval, exact, by cosine."""

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from jobs.config.errors import InputError
from jobs.runs.work import Work
from udfs.near import DirectionReader
from udfs.retrieval import RETRIEVED_SCHEMA, make_retrieve

MOST_SEEDS = 20_000  # every point is compared with each of them


def vectors_of(name: str, seeds: DataFrame, read: DirectionReader) -> NDArray[np.float32]:
    """Bring the directions of seeds to the driver : (n_seeds, n_features), on the grid.

    Parameters
    ----------
    name : name of the seeds, for messages
    seeds : embedding

    Raises
    ------
    InputError
        If there are too many.
    """
    found = seeds.select("embedding").limit(MOST_SEEDS + 1).toArrow()
    if len(found) > MOST_SEEDS:
        raise InputError(
            f"{name} has more than {MOST_SEEDS} rows, each of which every point would be compared "
            "with; thin them by where, or leave nearest out: nodes take any number of seeds"
        )
    return np.concatenate([read(batch) for batch in found.to_batches()])


def nearest_points(
    this: Work, seeds: NDArray[np.float32], points: DataFrame, k: int, read: DirectionReader
) -> DataFrame:
    """Return the k nearest points of every seed, each point once : id.

    All points are compared with all seeds, so that no cell or leaf hides any; ties go to the
    lowest id.

    Parameters
    ----------
    seeds : (n_seeds, n_features), what ``vectors_of`` returned
    points : id, embedding
    """
    schema = RETRIEVED_SCHEMA.format(id=points.schema["id"].dataType.simpleString())
    retrieve = make_retrieve(read, this.ship(seeds), k)
    found = points.select("id", "embedding").mapInArrow(retrieve, schema)
    by_seed = Window.partitionBy("seed").orderBy("sq_distance", "id")
    ranked = found.withColumn("rank", F.row_number().over(by_seed))
    return ranked.where(F.col("rank") <= k).select("id").distinct()
