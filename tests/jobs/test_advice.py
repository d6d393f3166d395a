"""Whether to curate: advised before a run and after it, by two embeddings, first on the page."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession

from jobs import curate, embed_pool, plan_run, report_curation
from jobs.advice.judge import vectors_of
from jobs.config.errors import InputError
from jobs.config.loading import parse_config
from jobs.config.model import RunConfig
from jobs.runs.opening import open_run
from jobs.tables.lake import Lake
from tests.pools import zipf_mixture

pytestmark = pytest.mark.whole

N_POINTS = 1500
Configure = Callable[..., RunConfig]


@pytest.fixture(scope="module")
def configured(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Configure:
    """Write Zipf concepts in one embedding, and noise in another, which misses for some rows."""
    folder = tmp_path_factory.mktemp("advice")
    X = zipf_mixture(0, n_points=N_POINTS, n_concepts=40, n_features=16)[0]
    noise = np.random.default_rng(1).standard_normal((len(X), 5))
    other = [None if i % 10 == 0 else row.tolist() for i, row in enumerate(noise)]
    columns = {"id": range(len(X)), "vector": X.tolist(), "same": X.tolist(), "other": other}
    schema = "id long, vector array<float>, same array<float>, other array<double>"
    frame = spark.createDataFrame(pd.DataFrame(columns), schema)
    frame.write.format("delta").save(f"{folder}/pool")

    def configure(*overrides: str) -> RunConfig:
        plain = {
            "input": {"table": f"{folder}/pool", "embedding": "vector"},
            "output": {"root": f"{folder}/lake"},
            "cluster": {"levels": [120, 40], "resampling": {"rounds": 1}},
            "samples": [{"name": "s", "target_size": 150}],
        }
        return parse_config(plain, overrides)

    return configure


def test_a_plan_answers_once_the_pool_is_embedded(
    spark: SparkSession, configured: Configure, tmp_path: Path
) -> None:
    config = configured(f"output.root={tmp_path}", "report.judge=other")
    assert plan_run.run(spark, config).advice == ()
    embed_pool.run(spark, config)
    before = Lake(spark, config.output).read("runs").count()
    plan = plan_run.run(spark, config)
    (found,) = plan.advice
    assert found.action == "uniform"  # by the second embedding, which is noise
    assert "In other, which the tree never saw, they lie " in found.why
    assert f"advice for s: draw uniformly. {found.why}" in str(plan).splitlines()
    assert json.loads(json.dumps(plan.as_dict()))["plan"]["advice"][0]["action"] == "uniform"
    assert Lake(spark, config.output).read("runs").count() == before
    mix = "{name: mix, target_size: 150, blend: {s: .5, pool: .5}}"
    both = f"samples=[{mix}, {{name: s, target_size: 150}}]"
    waiting, found = plan_run.run(spark, configured(f"output.root={tmp_path}", both)).advice
    assert (waiting.action, found.action) == ("unjudged", "curate")
    assert "(blend)" in str(waiting)


def test_a_report_answers_in_its_first_lines(spark: SparkSession, configured: Configure) -> None:
    summary = curate.run(spark, configured("report.judge=same"))
    run = open_run(spark, configured("report.judge=same"))
    (found,) = report_curation.advice(run)
    assert found.action == "curate"
    assert report_curation.headlines(run)[1] == f"advice for {found}"
    assert plan_run.run(spark, configured("report.judge=same")).advice == [found]
    report = run.read(report_curation.STAGE, report_curation.REPORT).toPandas()
    advised = report[report["section"] == "recommendation"]
    assert advised[["sample", "key", "value"]].to_numpy().tolist() == [["s", "curate", 1.0]]
    own, same = (
        report[(report["section"] == section) & report["key"].isna()].set_index("metric")["value"]
        for section in ("coverage", "judge_coverage")
    )
    assert same["n_missing"] == 0
    assert own["coverage_gap"].tolist() == same["coverage_gap"].tolist()
    page = report_curation.page_of(run).decode()
    assert page.index('class="advice curate"><strong>Curate.') < page.index("<nav")
    assert str(summary)


def test_a_judge_that_is_no_column_of_vectors_is_refused_before_any_work(
    spark: SparkSession, configured: Configure, tmp_path: Path
) -> None:
    root = f"output.root={tmp_path}/lake"
    with pytest.raises(InputError, match=r"report\.judge='others' .*'other'"):
        curate.run(spark, configured(root, "report.judge=others"))
    with pytest.raises(InputError, match=r"report\.judge='id' is bigint; want an array"):
        curate.run(spark, configured(root, "report.judge=id"))
    assert not (tmp_path / "lake").exists()


def test_vectors_of_another_length_are_missing(spark: SparkSession) -> None:
    rows = [
        (1, [3.0, 4.0]),
        (2, [0.0, 2.0]),
        (3, [1.0]),
        (4, None),
        (5, [0.0, 0.0]),
        (6, [1.0, None]),
    ]
    rows += [(7, [float("inf"), 1.0]), (8, [1.0, 0.0]), (8, [0.0, 1.0])]
    table = spark.createDataFrame(rows, "id long, value array<double>").toArrow()
    found = vectors_of(table, 8, normalize=True)
    assert found.ids.to_pylist() == [1, 2]
    assert (found.X * found.unit).tolist() == [[pytest.approx(0.6), pytest.approx(0.8)], [0.0, 1.0]]
    assert found.n_missing == 6
    assert (found.of(table.slice(1, 3)) * found.unit).tolist() == [[0.0, 1.0]]
    with pytest.raises(InputError, match=r"report\.judge .* no vector"):
        vectors_of(table.slice(3, 2), 2, normalize=True)


def test_binary_vectors_are_little_endian_float32(spark: SparkSession) -> None:
    rows = [(i, np.array([i, 1.0], "<f4").tobytes()) for i in range(3)] + [(9, b"abc")]
    table = spark.createDataFrame(rows, "id long, value binary").toArrow()
    found = vectors_of(table, 4, normalize=False)
    assert (found.X * found.unit).tolist() == [[0.0, 1.0], [1.0, 1.0], [2.0, 1.0]]
    assert found.n_missing == 1
    torn = spark.createDataFrame([(1, b"abc"), (2, b"abc")], "id long, value binary").toArrow()
    with pytest.raises(InputError, match=r"report\.judge .* no vector"):
        vectors_of(torn, 2, normalize=False)
