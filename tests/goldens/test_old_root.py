"""Room to grow: an older root stays valid when a stage, a key and a column are added."""

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from jobs import cluster_levels, curate, embed_pool
from jobs.config.identity import as_before
from jobs.config.loading import parse_config
from jobs.config.model import RunConfig
from jobs.past.checking import verify
from jobs.past.history import read_history
from jobs.recipe import RECIPE
from jobs.runs.opening import open_run
from jobs.runs.outcomes import Outcome
from jobs.runs.stage import Recipe, Stage
from jobs.runs.work import Work
from jobs.sections.cluster import ClusterConfig
from jobs.sections.kinds import CountsFrom
from jobs.tables.lake import Lake
from jobs.tables.table import Table

pytestmark = pytest.mark.whole

POOL = "old_pool"  # a table's name, so that the root does not depend on its location
ROOT = Path(__file__).parent / "old_root.tar.gz"
PLAIN: dict[str, Any] = {
    "input": {"table": POOL, "embedding": "vector", "metadata": ["label"]},
    "cluster": {"levels": [8, 3], "resampling": {"rounds": 1}},
    "samples": [{"name": "s", "target_size": 20, "share": {"leaves": 0.0}}],
}


@pytest.fixture
def config(spark: SparkSession, tmp_path: Path) -> Iterator[RunConfig]:
    """Unpack the root and its pool, and return the config that made them."""
    with tarfile.open(ROOT) as archive:
        archive.extractall(tmp_path, filter="data")
    spark.sql(f"CREATE TABLE {POOL} USING DELTA LOCATION '{tmp_path}/pool'")
    yield parse_config({**PLAIN, "output": {"root": f"{tmp_path}/lake"}})
    spark.sql(f"DROP TABLE {POOL}")


# --- what a later version may add -----------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Counted(Outcome):
    n_points: int


COUNTS = Table("counts", "n_points BIGINT")


def _count(this: Work) -> Counted:
    n_points = this.run.outcome(embed_pool.STAGE).n_points
    this.write(COUNTS, pa.table({"n_points": [n_points]}))
    return Counted(n_points=n_points)


COUNT = Stage(
    name="count_points",
    version=1,
    after=(embed_pool.STAGE,),
    reads=("seed",),
    tables=(COUNTS,),
    outcome=Counted,
    work=_count,
)


class WiderCluster(ClusterConfig):
    patience: Annotated[int, CountsFrom(3)] = 3


class WiderConfig(RunConfig):
    cluster: WiderCluster = WiderCluster()


WIDER_NODES = replace(
    cluster_levels.NODES,
    ddl=cluster_levels.NODES.ddl.replace(", inertia", ", depth INT DEFAULT 7, inertia"),
)


def wider(recipe: Recipe) -> Recipe:
    """Return the recipe with another column in ``nodes``."""
    stages: dict[str, Stage[Any]] = {}
    for stage in recipe.stages:
        tables = tuple(WIDER_NODES if t.name == "nodes" else t for t in stage.tables)
        after = tuple(stages[s.name] for s in stage.after)
        stages[stage.name] = replace(stage, tables=tables, after=after)
    return Recipe(tuple(stages.values()))


# --- and what stays -------------------------------------------------------------------------------


def test_a_root_of_an_older_version_is_reused_where_the_algorithm_is_the_same(
    spark: SparkSession, config: RunConfig
) -> None:
    summary = curate.run(spark, config)
    assert summary.reused == ["embed_pool"]  # trees have changed since: version 6 of cluster_levels
    again = curate.run(spark, config)
    assert again.reused == [s.name for s in RECIPE.on(config)]
    lake = Lake(spark, config.output)
    assert lake.read("sample_s").count() == 20
    history = read_history(lake, RECIPE)
    new, old = history.runs
    assert {new.state, old.state} == {"finished"}
    assert history.is_superseded(old)  # although its config has a key that no longer exists
    for run in (old, new):
        verify(lake, history, run).require()


def test_a_new_stage_leaves_old_runs_finished_and_reuses_their_stages(
    spark: SparkSession, config: RunConfig
) -> None:
    grown = RECIPE.with_stages(COUNT)
    config = as_before(config)
    lake = Lake(spark, config.output)
    (old,) = read_history(lake, grown).runs
    assert old.state == "finished"
    run = open_run(spark, config, recipe=grown)
    assert run.has_finished(embed_pool.STAGE)
    assert run.do(COUNT).n_points == 59
    again = open_run(spark, config, recipe=grown)
    assert again.has_finished(COUNT)
    assert lake.read(COUNTS).count() == 1


def test_a_new_key_at_its_neutral_value_changes_no_stage_key_and_no_lineage(
    spark: SparkSession, config: RunConfig
) -> None:
    plain = config.model_dump(mode="json", by_alias=True)
    same = WiderConfig.model_validate(plain)
    assert RECIPE.keys(same, "f") == RECIPE.keys(config, "f")
    assert RECIPE.lineage(same) == RECIPE.lineage(config)
    assert open_run(spark, same).has_finished(embed_pool.STAGE)
    plain["cluster"]["patience"] = 4
    other = WiderConfig.model_validate(plain)
    assert RECIPE.keys(other, "f")["cluster_levels"] != RECIPE.keys(config, "f")["cluster_levels"]


def test_a_new_column_reads_as_its_default_and_old_digests_stay_true(
    spark: SparkSession, config: RunConfig
) -> None:
    recipe, lake = wider(RECIPE), Lake(spark, config.output)
    (old,) = read_history(lake, recipe).runs
    key = old.stages["cluster_levels"].stage_key
    assert {row.depth for row in lake.read(WIDER_NODES, key).collect()} == {7}
    # another tree's rows bring the column into the table
    rows = lake.read(cluster_levels.NODES, key)
    lake.write(WIDER_NODES, rows.selectExpr("*", "level AS depth"), "0123456789abcdef")
    assert "depth" in lake.read("nodes").columns
    assert {row.depth for row in lake.read(WIDER_NODES, key).collect()} == {7}
    written = {row.depth for row in lake.read(WIDER_NODES, "0123456789abcdef").collect()}
    assert written == {1, 2}
    for version in (RECIPE, recipe):
        history = read_history(lake, version)
        verify(lake, history, history.runs[0]).require()
