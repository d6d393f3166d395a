# Databricks notebook source
# MAGIC %md
# MAGIC # Evenlake: from a long-tailed pool to a balanced sample
# MAGIC Load a config, run it, look at the result. In a Databricks Git folder this runs as is;
# MAGIC elsewhere `python notebooks/01_quickstart.py` does the same.

# COMMAND ----------

import os
import sys

root = os.path.abspath(os.environ.get("EVENLAKE_HOME", os.getcwd()))
sys.path.insert(0, root if os.path.isdir(os.path.join(root, "jobs")) else os.path.dirname(root))

from jobs import curate, write_example
from jobs.config.loading import load_config
from jobs.spark.session import get_session

# COMMAND ----------

config = load_config(
    os.environ.get("EVENLAKE_CONFIG", os.path.join(sys.path[0], "conf", "quickstart.yaml")),
    os.environ.get("EVENLAKE_OVERRIDES", "").split(),
)
spark, _ = get_session(config.spark)

# COMMAND ----------

# The example pool; skip this cell if you have your own.
write_example.run(spark, config)

# COMMAND ----------

summary = curate.run(spark, config)
print(summary)

# COMMAND ----------

sample = spark.read.format("delta").load(summary.samples["balanced"])
sample.orderBy("leaf_id", "rank").show(10, truncate=False)
