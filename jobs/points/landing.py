"""Where other rows land, embedded as the pool's points were: routed down the finished tree."""

from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.runs.work import Work
from jobs.tables.levels import by_level, leaf_paths
from udfs.assign import ASSIGN_SCHEMA, make_assign, shipped_leaves
from udfs.kernels.exact.grid import GRID_BITS, to_grid
from udfs.points import PointReader


def within_grid(gated: DataFrame, unit: float) -> DataFrame:
    """Turn away vectors longer than any of the pool's grid: they have no place on it."""
    most = unit * 2.0**GRID_BITS
    is_longer = F.col("reason").isNull() & (F.col("norm") > most)
    detail = F.format_string(f"norm %.3g, the tree's grid ends at {most:.3g}", "norm")
    return gated.withColumns(
        {
            "detail": F.when(is_longer, detail).otherwise(F.col("detail")),
            "reason": F.when(is_longer, "norm_too_large").otherwise(F.col("reason")),
        }
    )


def routed(
    this: Work, points: DataFrame, nodes: pa.Table, cells: DataFrame | None, reader: PointReader
) -> DataFrame:
    """Route points down the tree, as the pool's own were : ASSIGN_SCHEMA.

    Parameters
    ----------
    points : id, embedding
    nodes : level, node_id, parent_id, centroid
    cells : rows of ``routing``, if level 1 is split
    """
    unit = reader.unit
    leaves = nodes.filter(pa.compute.field("level") == 1).sort_by("node_id")
    parents = [level["parent_id"] for level in by_level(nodes.drop_columns("centroid"))]
    shipped = None
    if cells is not None and len(found := cells.where("level = 1").toArrow()):
        found = found.sort_by("cell_id")
        sizes = pa.compute.list_value_length(found["leaf_ids"]).to_numpy()
        starts = np.append(0, np.cumsum(sizes)).astype(np.int64)
        shipped = (this.ship(_matrix(found["centroid"], reader)), starts)
    begin = partial(shipped_leaves, this.ship(_matrix(leaves["centroid"], reader)), shipped)
    assign = make_assign(reader, begin, this.ship(leaf_paths(parents)))
    schema = ASSIGN_SCHEMA.format(id=points.schema["id"].dataType.simpleString())
    labelled = points.select("id", "embedding").mapInArrow(assign, schema)
    return labelled.withColumn("sq_distance", F.col("sq_distance") * F.lit(unit**2))


def _matrix(vectors: pa.ChunkedArray, reader: PointReader) -> NDArray[np.float32]:
    """Return vectors on the grid : (n, n_features) float32."""
    values = pa.compute.list_flatten(vectors).to_numpy()
    return to_grid(values.reshape(-1, reader.n_features), reader.unit)
