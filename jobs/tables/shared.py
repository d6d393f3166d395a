"""Tables that several stages write into."""

import hashlib

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.tables.table import GENERATION, Table

REJECTS = Table("rejects", f"id {{id}}, stage STRING, reason STRING, detail STRING, {GENERATION}")
REPORT = Table(
    "report",
    "run_id STRING, sample STRING, section STRING, level INT, key STRING, x DOUBLE, "
    "metric STRING, value DOUBLE, control DOUBLE",
    not_content=("run_id",),
)
ARTIFACTS = Table("artifacts", "name STRING, media_type STRING, sha256 STRING, content BINARY")


def artifact(name: str, media_type: str, content: bytes) -> pa.Table:
    """Return one row of ``artifacts``."""
    digest = hashlib.sha256(content).hexdigest()
    columns = {"name": name, "media_type": media_type, "sha256": digest, "content": content}
    return pa.table({column: [value] for column, value in columns.items()})


def rejects_shown(rejects: DataFrame) -> DataFrame:
    """Return rejects to look at : id, beside_id, reason, detail; see ``Stage.shows``."""
    return rejects.select(
        "id", F.expr("if(false, id, null)").alias("beside_id"), "reason", "detail"
    )
