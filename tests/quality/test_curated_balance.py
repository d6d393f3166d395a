"""The figures quoted in the README, over all their seeds."""

from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import SparkSession

from jobs import curate
from jobs.config.errors import GuardError
from tests.pools import grouped_mixture, zipf_mixture
from tests.quality.digits import digits_figures
from tests.quality.mixture import config_for, curate_planted, write_pool

pytestmark = pytest.mark.whole

SEEDS = range(10)


@pytest.mark.timeout(280)
def test_digits_are_twice_as_balanced_as_a_uniform_sample(
    spark: SparkSession, tmp_path: Path
) -> None:
    found = digits_figures(spark, 0, tmp_path)
    assert found.kl < found.kl_of_uniform / 2
    assert found.probe > found.probe_of_uniform


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_digits_over_ten_seeds(spark: SparkSession, tmp_path: Path) -> None:
    found = [digits_figures(spark, seed, tmp_path / str(seed)) for seed in SEEDS]
    assert all(one.kl < 0.7 * one.kl_of_uniform for one in found)
    assert np.mean([one.kl for one in found]) < np.mean([one.kl_of_uniform for one in found]) / 2
    assert sum(one.probe > one.probe_of_uniform for one in found) >= 9


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


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_guard_tells_levels_that_do_not_fit_from_those_that_tuning_finds(
    spark: SparkSession, tmp_path: Path
) -> None:
    pool = grouped_mixture(0, n_points=60_000, n_groups=1000, per_group=1, n_features=128)
    write_pool(pool, tmp_path / "pool.parquet")
    misfit = {"levels": [4000, 500, 100]}
    given = config_for(tmp_path / "pool.parquet", tmp_path / "lake", 10_000, misfit)
    held = given.samples[0].model_copy(update={"on_worse_than_uniform": "fail"})
    with pytest.raises(GuardError, match=r"levels 4000/500/100 do not fit the data"):
        curate.run(spark, given.model_copy(update={"samples": [held]}))

    auto = config_for(tmp_path / "pool.parquet", tmp_path / "lake", 10_000, {}, share="auto")
    figures = curate.run(spark, auto).metrics["report_curation"]
    assert figures["balanced.labels.kl_uniform"] <= 0.1
    assert figures["balanced.coverage.coverage_gap"] < -0.3
