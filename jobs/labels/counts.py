"""Labels: how often each occurs in the pool and in samples, and those of a few points."""

from collections.abc import Mapping, Sequence
from functools import reduce

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.labels.points import LabelCounts
from jobs.labels.probe import Labelled
from jobs.points.hash_sample import vectors_of


def label_counts(
    described: DataFrame, drawn: DataFrame, controls: Mapping[str, pa.Table]
) -> tuple[LabelCounts, dict[str, LabelCounts], dict[str, LabelCounts]]:
    """Count labels in the pool, its samples and their uniform controls, in one pass.

    Parameters
    ----------
    described : id, label
    drawn : sample, id
    controls : sample -> rows with an id

    Returns
    -------
    pool, samples, controls : counts by label, those of the last two by sample
    """
    sets = [drawn.select("id", F.concat(F.lit("sample:"), "sample").alias("set"))]
    for name, table in controls.items():
        ids = described.sparkSession.createDataFrame(table.select(["id"]))
        sets.append(ids.withColumn("set", F.lit(f"control:{name}")))
    members = reduce(DataFrame.unionByName, sets).join(described, on="id", how="inner")
    pool = described.withColumn("set", F.lit("pool"))
    counted = pool.unionByName(members).groupBy("set", "label").count().collect()
    counts: dict[str, dict[str, int]] = {}
    for row in counted:
        counts.setdefault(row.set, {})[row.label] = row["count"]

    def of(kind: str) -> dict[str, LabelCounts]:
        return {name: counts.get(f"{kind}:{name}", {}) for name in controls}

    return counts.get("pool", {}), of("sample"), of("control")


def labelled(described: DataFrame, tables: Sequence[pa.Table], unit: float) -> list[Labelled]:
    """Return the points on the driver that have labels, looked up in one pass.

    Parameters
    ----------
    described : id, label; of the points that have one
    tables : id, embedding
    unit : grid unit
    """
    ids = pa.concat_tables([table.select(["id"]) for table in tables])
    few = F.broadcast(described.sparkSession.createDataFrame(ids).distinct())
    rows = described.join(few, on="id", how="leftsemi").toArrow().to_pydict()
    label_of = dict(zip(rows["id"], rows["label"], strict=True))
    found = []
    for table in tables:
        table = table.filter(pa.array([id_ in label_of for id_ in table["id"].to_pylist()], "bool"))
        mine = table["id"].to_pylist()
        y = np.array([label_of[id_] for id_ in mine], dtype=np.str_)
        found.append(Labelled(mine, vectors_of(table, unit), y))
    return found
