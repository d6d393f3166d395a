"""The figures that the README states, over all their seeds."""

from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import SparkSession

from tests.pools import zipf_mixture
from tests.quality.digits import digits_balance
from tests.quality.mixture import config_for, curate_planted, write_pool

SEEDS = range(10)


@pytest.mark.timeout(280)
def test_digits_are_twice_as_balanced_as_a_uniform_sample(
    spark: SparkSession, tmp_path: Path
) -> None:
    curated, uniform = digits_balance(spark, 0, tmp_path)
    assert curated < uniform / 2


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_digits_over_five_seeds(spark: SparkSession, tmp_path: Path) -> None:
    for seed in range(5):
        curated, uniform = digits_balance(spark, seed, tmp_path / str(seed))
        assert curated < uniform / 2


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_zipf_mixture_over_ten_seeds(spark: SparkSession, tmp_path: Path) -> None:
    cluster = {"levels": [1000, 200], "resampling": {"rounds": 10, "points": [10, 3]}}
    found = []
    for seed in SEEDS:
        folder = tmp_path / str(seed)
        write_pool(zipf_mixture(seed), folder / "pool.parquet")
        config = config_for(folder / "pool.parquet", folder / "lake", 1000, cluster, seed)
        found.append(curate_planted(spark, config)[1])
    kl, present = (np.array([f[name] for f in found]) for name in ("kl", "n_present"))
    assert kl.mean() <= 0.030 and kl.max() <= 0.040, kl
    assert present.mean() >= 198 and present.min() >= 195, present
