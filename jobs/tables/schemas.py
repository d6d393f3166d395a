"""What columns the tables have, in which order and of which types."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

# Columns after stage_key, in order; {id} is the pool's own id type.
TABLES = {
    "embeddings": "id {id}, column STRING, content_hash BINARY, generation INT, op STRING, "
    "embedding ARRAY<FLOAT>",
    "metadata": "id {id}, metadata MAP<STRING,STRING>, generation INT, op STRING",
    "rejects": "id {id}, stage STRING, reason STRING, detail STRING, generation INT, op STRING",
    "blocks": "block_id INT, n_rows INT, vectors BINARY",
    "nodes": "level INT, node_id BIGINT, parent_id BIGINT, n_children BIGINT, n_leaves BIGINT, "
    "n_points BIGINT, inertia DOUBLE, radius FLOAT, generation INT, op STRING, "
    "centroid ARRAY<FLOAT>",
    "routing": "level INT, cell_id INT, leaf_ids ARRAY<BIGINT>, centroid ARRAY<FLOAT>",
    "iterations": "level INT, round INT, iteration INT, algorithm STRING, solver STRING, "
    "n_rows BIGINT, inertia DOUBLE, moved DOUBLE, n_empty BIGINT, seconds DOUBLE",
    "assignments": "id {id}, leaf_id BIGINT, path ARRAY<BIGINT>, sq_distance DOUBLE, "
    "generation INT, op STRING",
    "allocations": "sample STRING, level INT, node_id BIGINT, capacity BIGINT, quota BIGINT",
    "samples": "tree_key STRING, sample STRING, id {id}, leaf_id BIGINT, replica INT, rank INT, "
    "pool_weight DOUBLE, reason STRING, generation INT, op STRING",
    "runs": "run_id STRING, stage STRING, event STRING, at TIMESTAMP, attempt INT, "
    "config STRING, inputs MAP<STRING,STRING>, metrics MAP<STRING,DOUBLE>, notes STRING, "
    "digests MAP<STRING,STRING>, code_version STRING",
    "report": "run_id STRING, sample STRING, section STRING, level INT, key STRING, x DOUBLE, "
    "metric STRING, value DOUBLE, control DOUBLE",
    "leases": "holder STRING, epoch BIGINT, expires TIMESTAMP",
    "checkpoints": "incarnation INT, sequence BIGINT, depth INT, part INT, content BINARY",
    "artifacts": "name STRING, media_type STRING, sha256 STRING, content BINARY",
}
# What stands in these columns unless the stage says otherwise: a first run is all upserts.
_FIRST_RUN = {"generation": lambda: F.lit(0), "op": lambda: F.lit("upsert")}
# Not hashed: the input's version or the clock decides; packed vectors follow from the embeddings.
NOT_CONTENT = ("tree_key", "seconds", "run_id", "vectors")


def shaped(table: str, rows: DataFrame, stage_key: str | None) -> DataFrame:
    """Put the columns in the table's order and types."""
    ddl = TABLES[table]
    if "{id}" in ddl:
        ddl = ddl.replace("{id}", rows.schema["id"].dataType.simpleString())
    key = F.col("stage_key") if stage_key is None else F.lit(stage_key)
    columns = [key.alias("stage_key")]
    for column in ddl.split(", "):
        name, kind = column.split(" ", 1)
        value = F.col(name) if name in rows.columns else _FIRST_RUN[name]()
        columns.append(value.cast(kind).alias(name))
    return rows.select(*columns)


def properties(rows: DataFrame) -> dict[str, str]:
    """Return the properties of a table made for these rows: statistics of simple columns alone."""
    indexed = sum(f.dataType.typeName() not in ("array", "map", "binary") for f in rows.schema)
    return {"delta.dataSkippingNumIndexedCols": str(indexed)}
