# Databricks notebook source
# MAGIC %md
# MAGIC # Evenlake: what to train on next
# MAGIC A small network learns digits whose classes are of unequal size, a quarter of the labels
# MAGIC wrong: once on rows drawn by learnability, once on rows drawn uniformly. It trains between
# MAGIC the rounds of draws; at the end its accuracy by update, and by compute, scoring included.
# MAGIC Run it in the same way as the first notebook: in a Git folder of Databricks, or as a script.

# COMMAND ----------

# MAGIC %pip install --quiet "pydantic>=2.7,<3" plotly filelock threadpoolctl
# MAGIC %pip install --quiet "graspologic-native>=1.3,<1.4"

# COMMAND ----------

# MAGIC %restart_python

# COMMAND ----------

CATALOG, SCHEMA = "main", "evenlake"  # on Databricks: where you may create a schema and tables
ROUNDS = 4

# COMMAND ----------

import os
import sys
import warnings

root = os.path.abspath(os.environ.get("EVENLAKE_HOME", os.getcwd()))
sys.path.insert(0, root if os.path.isdir(os.path.join(root, "jobs")) else os.path.dirname(root))

import numpy as np
import pandas as pd
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier

from jobs import curate, score_learnability
from jobs.config.loading import load_config
from jobs.reporting.rows import REPORT_COLUMNS
from jobs.reporting.side_page import Chart, SidePage, render_side_page
from jobs.spark.session import get_session

warnings.filterwarnings("ignore", module="sklearn")  # a small network has not converged yet

# COMMAND ----------

names = [
    *(f"{key}={CATALOG}.{SCHEMA}.{table}" for key, table in (
        ("input.table", "train_pool"), ("learnability.online.table", "train_losses"),
        ("learnability.reference.table", "train_reference"),
    )),
    "output.root=null", f"output.catalog={CATALOG}", f"output.schema={SCHEMA}",
]  # fmt: skip
default = names if "DATABRICKS_RUNTIME_VERSION" in os.environ else []
config = load_config(
    os.path.join(sys.path[0], "conf", "examples", "train-next.yaml"),
    os.environ.get("EVENLAKE_OVERRIDES", "").split() or default,
)
spark, _ = get_session(config.spark)
if config.output.root is None:
    spark.sql(f"CREATE SCHEMA IF NOT EXISTS {config.output.catalog}.{config.output.schema_}")


def write(rows, table):
    """Write a pandas frame as a Delta table, by path or by name."""
    writer = spark.createDataFrame(rows).write.format("delta").mode("overwrite")
    if config.output.root is None:
        writer.saveAsTable(table)
    else:
        writer.save(os.path.abspath(table))


# COMMAND ----------

# The pool: classes from 110 images down to 8; a quarter of the labels is wrong.
digits, rng = load_digits(), np.random.default_rng(0)
X, y = digits.data / 16, digits.target
test, clean, rest = np.split(rng.permutation(len(X)), [400, 700])
sizes = (110 * 0.75 ** np.arange(10)).astype(int)
mine = np.concatenate([rest[y[rest] == c][:n] for c, n in zip(rng.permutation(10), sizes)])
is_wrong = rng.random(len(mine)) < 0.25
labels = np.where(is_wrong, (y[mine] + rng.integers(1, 10, len(mine))) % 10, y[mine])
pool = pd.DataFrame({"id": np.arange(len(mine)), "label": labels.astype(str)})
pool["pixels"] = list(X[mine])
write(pool, config.input.table)


def network():
    """Return a small network that has learned nothing."""
    made = MLPClassifier((64,), solver="sgd", learning_rate_init=0.05, random_state=0)
    return made.partial_fit(np.zeros((1, 64)), [0], classes=range(10))


def losses(model):
    """Return the model's loss on every row of the pool."""
    p = model.predict_proba(X[mine])[np.arange(len(mine)), labels]
    return pd.DataFrame({"id": pool["id"], "loss": -np.log(np.maximum(p, 1e-7))})


# The reference: the same network, trained on 300 clean images.
reference = network()
for _ in range(100):
    for batch in np.array_split(rng.permutation(clean), 9):
        reference.partial_fit(X[batch], y[batch])
write(losses(reference), config.learnability.reference.table)
write(losses(network()), config.learnability.online.table)

# COMMAND ----------

print(curate.run(spark, config))

# COMMAND ----------


def accuracies(criterion):
    """Train on what the criterion draws; return the accuracy after every update."""
    learner, reached = network(), []

    def train(selection):
        ids = np.array(selection.ids().to_pylist())
        for batch in np.array_split(ids, max(1, len(ids) // 32)):
            learner.partial_fit(X[mine][batch], labels[batch])
            is_right = learner.predict(X[test]) == y[test]
            reached.append(np.mean([is_right[y[test] == c].mean() for c in range(10)]))
        write(losses(learner), config.learnability.online.table)
        return {}  # the losses are where they were

    drawn = config.learnability.model_copy(update={"criterion": criterion, "rounds": ROUNDS})
    write(losses(learner), config.learnability.online.table)
    found = score_learnability.run(spark, config.model_copy(update={"learnability": drawn}), train)
    return np.array(reached), found


learned, found = accuracies("learnability")
uniform, _ = accuracies("uniform")

# COMMAND ----------

# Accuracy by update and by compute: what uniform draws reach with the same, scoring paid for.
cost = config.learnability.gflop
updates = np.arange(1, 1 + min(len(learned), len(uniform)))
per_update = 32 * cost.train
gflop = updates * (per_update + 64 * cost.score) + len(pool) * cost.score
afforded = np.interp(gflop, updates * per_update, uniform[: len(updates)])
rows = [(None, "learning", None, str(n), None, "accuracy", a, b)
        for n, a, b in zip(updates, learned, uniform)]  # fmt: skip
rows += [(None, "learning", None, str(updates[-1]), float(x), "accuracy_by_gflop", a, b)
         for x, a, b in zip(gflop, learned, afforded)]  # fmt: skip
both = ("by learnability", "uniformly")
page = render_side_page(
    SidePage(
        title="Learnability on long-tailed digits",
        intro="Balanced accuracy of a small network that trains on what is drawn.",
        pool=config.input.table, run_id="", created="",
        said=[f"after {n} updates: {learned[n - 1]:.3f} by learnability, {uniform[n - 1]:.3f} "
              "uniformly" for n in (updates[len(updates) // 2], updates[-1])],
        charts=[Chart("accuracy", "Accuracy by update", "key", "updates", both),
                  Chart("accuracy_by_gflop", "Accuracy by compute, scoring included", "x",
                          "GFLOP", both)],
        tables={}, config_yaml="", columns="update",
    ),
    pd.DataFrame(rows, columns=[*REPORT_COLUMNS]),
)  # fmt: skip
print(f"accuracy after {updates[-1]} updates: {learned[-1]:.3f} by learnability, "
      f"{uniform[-1]:.3f} uniformly")  # fmt: skip
if "displayHTML" in globals():
    displayHTML(page)
elif config.output.root is not None:
    place = os.path.join(config.output.root, "reports", "learning-curve.html")
    with open(place, "w", encoding="utf-8") as file:
        file.write(page)
    print(f"page: {place}")
