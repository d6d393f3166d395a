"""Learnability on noisy digits (arXiv 2312.05328): what a criterion finds and what it teaches."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession
from sklearn.metrics import roc_auc_score

from jobs import balance_sample, cluster_levels, embed_pool, find_duplicates, score_learnability
from jobs.config.loading import parse_config
from jobs.runs.opening import open_run
from tests.quality.noisy_digits import NoisyDigits, noisy_digits

pytestmark = pytest.mark.whole

CRITERIA = ("hard", "easy_reference", "learnability")


def scores(spark: SparkSession, folder: Path, pool: NoisyDigits) -> pd.DataFrame:
    """Score the pool by the stage, every criterion beside a uniform draw; in the pool's order."""
    ids = pa.array(np.arange(len(pool.pool)))
    vectors = pa.array(list(pool.X[pool.pool].astype(np.float32)))
    folder.mkdir()
    pq.write_table(pa.table({"id": ids, "vector": vectors}), folder / "pool.parquet")
    for name, losses in {"online": pool.online, "reference": pool.reference}.items():
        pq.write_table(pa.table({"id": ids, "loss": losses}), folder / f"{name}.parquet")
    plain = {
        "input": {"table": f"{folder}/pool.parquet", "embedding": "vector"},
        "output": {"root": f"{folder}/lake"},
        "cluster": {"levels": [40, 10], "resampling": {"rounds": 0}},
        "samples": [{"name": "s", "target_size": 100, "share": {"leaves": 0.0}}],
        "learnability": {
            "source": "pool",
            "online": {"table": f"{folder}/online.parquet"},
            "reference": {"table": f"{folder}/reference.parquet"},
            "criterion": "uniform",
            "keep": 0.25,
        },
    }
    run = open_run(spark, parse_config(plain, ()))
    for stage in (embed_pool, find_duplicates, cluster_levels, balance_sample):
        run.do(stage.STAGE)
    score_learnability.score(run)
    rows = run.read(score_learnability.STAGE, score_learnability.LEARNABILITY).toPandas()
    return rows.rename(columns={"key": "uniform"}).sort_values("id", ignore_index=True)


@pytest.mark.parametrize("split", [0, 1, 2])
def test_learnability_finds_what_is_new_and_right(
    spark: SparkSession, tmp_path: Path, split: int
) -> None:
    pool = noisy_digits(split)
    found = scores(spark, tmp_path / "run", pool)
    assert len(found) == len(pool.pool)
    auc = {name: roc_auc_score(pool.is_target, found[name]) for name in CRITERIA}
    assert auc["learnability"] > max(auc["hard"], auc["easy_reference"]) + 0.15
    n_top = len(found) // 4
    top = {name: np.argsort(-found[name].to_numpy())[:n_top] for name in (*CRITERIA, "uniform")}
    drawn = np.flatnonzero(found["is_selected"])
    assert abs(len(drawn) - n_top) <= 1
    assert set(drawn[: len(drawn)]) >= set(top["uniform"])  # the stage drew by the same keys
    noise = {name: pool.is_wrong[rows].mean() for name, rows in top.items()}
    assert noise["learnability"] < noise["uniform"] < noise["hard"]
    accuracy = {name: pool.accuracy_with(rows) for name, rows in top.items()}
    assert accuracy["learnability"] > accuracy["uniform"] > accuracy["hard"]
