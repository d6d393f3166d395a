"""A pool and an output that are tables of a catalog: the same run, under names instead of paths."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from jobs import curate, verify_run
from jobs.config.loading import parse_config
from jobs.config.model import RunConfig, as_dict
from jobs.runs.opening import open_run
from tests.jobs.determinism import SORTED_BY
from tests.jobs.tiny import TARGET_SIZE, config_of

pytestmark = pytest.mark.whole

SCHEMA = "curated_by_name"
POOL = f"spark_catalog.`{SCHEMA}`.pool"


@pytest.fixture(scope="module")
def schema(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("catalog")
    spark.sql(f"CREATE SCHEMA `{SCHEMA}` LOCATION '{folder}/schema'")
    yield SCHEMA
    spark.sql(f"DROP SCHEMA `{SCHEMA}` CASCADE")


@pytest.fixture(scope="module")
def config(spark: SparkSession, curated: Path, schema: str) -> RunConfig:
    """Copy the curated folder's pool into the catalog; name it, and a schema for the output."""
    rows = spark.read.format("delta").option("versionAsOf", 0).load(f"{curated}/pool")
    rows.repartition(3).write.format("delta").saveAsTable(POOL)
    plain = as_dict(config_of(curated))
    plain["input"] |= {"table": POOL}
    plain["output"] = {"catalog": "spark_catalog", "schema": schema, "table_prefix": "my_"}
    return parse_config(plain)


@pytest.fixture(scope="module")
def summary(spark: SparkSession, config: RunConfig) -> curate.RunSummary:
    return curate.run(spark, config)


def rows_of(spark: SparkSession, config: RunConfig, table: str) -> pa.Table:
    rows = open_run(spark, config).lake.read(table).drop("stage_key", "tree_key").toArrow()
    return rows.sort_by([(column, "ascending") for column in SORTED_BY[table]]).combine_chunks()


def test_a_run_by_names_gives_the_rows_of_one_by_paths(
    spark: SparkSession, curated: Path, config: RunConfig, summary: curate.RunSummary
) -> None:
    assert summary.reused == []
    for table in SORTED_BY:
        by_name = rows_of(spark, config, table)
        assert by_name.equals(rows_of(spark, config_of(curated), table))
        assert len(by_name) > 0


def test_the_published_sample_is_a_table_of_the_schema(
    spark: SparkSession, summary: curate.RunSummary
) -> None:
    name = f"`spark_catalog`.`{SCHEMA}`.`my_sample_s`"
    assert summary.samples == {"s": name}
    assert spark.table(name).count() == TARGET_SIZE


def test_the_page_comes_out_of_the_catalog(
    spark: SparkSession, config: RunConfig, summary: curate.RunSummary
) -> None:
    page = curate.page(spark, config)
    assert "<!DOCTYPE html>" in page
    assert summary.run_id in page
    assert summary.report_path.startswith(f"`spark_catalog`.`{SCHEMA}`.`my_artifacts` (name = ")


def test_the_same_command_reuses_every_stage_and_verify_agrees(
    spark: SparkSession, config: RunConfig, summary: curate.RunSummary
) -> None:
    again = curate.run(spark, config)
    assert again.reused == [stage for stage in summary.metrics if stage != "plan_run"]
    checked = verify_run.run(spark, config, summary.run_id)  # raises if a table differs
    assert {"nodes", "assignments", "samples"} <= {check.table for check in checked.checks}
