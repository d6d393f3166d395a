# Databricks notebook source
# MAGIC %md
# MAGIC # Evenlake: from a long-tailed pool to a balanced sample
# MAGIC Load a config, run it, look at the result. In a Databricks Git folder this runs as is, once
# MAGIC `CATALOG` and `SCHEMA` are yours; elsewhere `python notebooks/01_quickstart.py` does it
# MAGIC in local folders, or on the server that `SPARK_REMOTE` names.

# COMMAND ----------

# MAGIC %pip install --quiet "pydantic>=2.7,<3" plotly filelock threadpoolctl
# MAGIC %pip install --quiet "graspologic-native>=1.3,<1.4"

# COMMAND ----------

# MAGIC %restart_python

# COMMAND ----------

CATALOG, SCHEMA = "main", "evenlake"  # on Databricks: where you may create a schema and tables

# COMMAND ----------

import os
import sys

root = os.path.abspath(os.environ.get("EVENLAKE_HOME", os.getcwd()))
sys.path.insert(0, root if os.path.isdir(os.path.join(root, "jobs")) else os.path.dirname(root))

from jobs import curate, write_example
from jobs.config.loading import load_config
from jobs.spark.session import get_session
from jobs.tables.lake import Lake

# COMMAND ----------

by_name = [
    f"input.table={CATALOG}.{SCHEMA}.digits",
    "input.format=null",
    "output.root=null",
    f"output.catalog={CATALOG}",
    f"output.schema={SCHEMA}",
]
default = by_name if "DATABRICKS_RUNTIME_VERSION" in os.environ else []
config = load_config(
    os.environ.get("EVENLAKE_CONFIG", os.path.join(sys.path[0], "conf", "quickstart.yaml")),
    os.environ.get("EVENLAKE_OVERRIDES", "").split() or default,
)
spark, _ = get_session(config.spark)

# COMMAND ----------

# The example pool; skip this cell if you have your own.
if config.output.root is None:
    spark.sql(f"CREATE SCHEMA IF NOT EXISTS {config.output.catalog}.{config.output.schema_}")
write_example.run(spark, config)

# COMMAND ----------

summary = curate.run(spark, config)
print(summary)

# COMMAND ----------

sample = Lake(spark, config.output).read("sample_balanced")
sample.orderBy("leaf_id", "rank").show(10, truncate=False)

# COMMAND ----------

# The report: every measure beside its uniform control.
if "displayHTML" in globals():
    displayHTML(curate.page(spark, config))
