"""Tables that several stages write into."""

from jobs.tables.table import GENERATION, Table

REJECTS = Table("rejects", f"id {{id}}, stage STRING, reason STRING, detail STRING, {GENERATION}")
REPORT = Table(
    "report",
    "run_id STRING, sample STRING, section STRING, level INT, key STRING, x DOUBLE, "
    "metric STRING, value DOUBLE, control DOUBLE",
    not_content=("run_id",),
)
ARTIFACTS = Table("artifacts", "name STRING, media_type STRING, sha256 STRING, content BINARY")
