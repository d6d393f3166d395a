"""Open a run: pin the pool's version, and check that the root belongs to it."""

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from jobs.config.errors import ConfigError
from jobs.config.model import RunConfig
from jobs.embedding.chosen import chosen, pinned
from jobs.ledger.events import RUNS, Event
from jobs.pool.columns import judge_columns, pool_columns
from jobs.pool.inputs import Pool, open_pool, with_pointed
from jobs.runs.progress import Progress
from jobs.runs.run import Run
from jobs.runs.stage import Recipe
from jobs.spark.naming import without_parents
from jobs.spark.own_code import ship_own_code
from jobs.tables.lake import Lake

_FIRST_TABLE = "rejects"  # the first table with ids that a run writes


def open_run(
    spark: SparkSession,
    config: RunConfig,
    *,
    recipe: Recipe | None = None,
    progress: Progress | None = None,
    is_refresh: bool = False,
    replaces_samples: bool = False,
    waits: bool = True,
) -> Run:
    """Pin the pool's version, compute the stage keys, and read the ledger's events for them.

    Parameters
    ----------
    recipe : the full recipe by default, even if only one of its stages will run

    Raises
    ------
    InputError
        If the pool does not exist, or its columns do not match the config.
    ConfigError
        If the root already holds another pool, or ids of another type, or the user's own embedder
        cannot be loaded.
    """
    if recipe is None:
        from jobs.recipe import RECIPE

        recipe = RECIPE
    ship_own_code(spark)
    config = _with_versions(spark, config, recipe)
    lake = Lake(spark, config.output)
    pool, id_type = _pool(spark, config)
    run = Run(
        spark, recipe, config, config, lake, pool, progress or Progress(),
        is_refresh, replaces_samples, waits,
    )  # fmt: skip
    events = run.ledger.open(set(run.keys.values()))
    _refuse_other_pool(run, events)
    _refuse_other_ids(lake, id_type, config.input.id)
    if not is_refresh:
        run.resolve()
    return run


def _with_versions(spark: SparkSession, config: RunConfig, recipe: Recipe) -> RunConfig:
    """Return the config with the versions of the embedder and of all that stages read besides."""
    config = pinned(config)
    for stage in recipe.stages:
        if stage.pins is not None and stage.is_on(config):
            config = stage.pins(spark, config)
    return config


def _pool(spark: SparkSession, config: RunConfig) -> tuple[Pool, str]:
    """Return the pool, pinned to its version, and the type of its ids."""
    pool = open_pool(spark, config.input)
    spec = chosen(config).spec
    columns = pool_columns(pool, config.input, spec.reads)
    if (judge := config.report.judge) is not None:
        judge_columns(pool, config.input, judge)
    if spec.opens_paths and columns.schema["value"].dataType.typeName() == "string":
        pool = with_pointed(pool, columns, config.input)
    return pool, columns.schema["id"].dataType.simpleString()


def reopened(run: Run, config: RunConfig) -> Run:
    """Open a run of another config as one was opened."""
    return open_run(
        run.spark,
        config,
        recipe=run.recipe,
        progress=run.progress,
        is_refresh=run.is_refresh,
        replaces_samples=run.replaces_samples,
        waits=run.waits,
    )


def _refuse_other_pool(run: Run, events: list[Event] | None) -> None:
    if events is None:
        written = run.lake.read(RUNS).where(F.col("event") == "finished")
        pools = written.select(F.map_keys("inputs").alias("pools")).distinct()
        known = {name for row in pools.collect() for name in row.pools}
    else:  # a run that has only failed does not bind the root
        known = {name for e in events if e.event == "finished" for name in e.inputs}
    if known and run.pool.name not in set(map(without_parents, known)):
        raise ConfigError(
            f"output holds the pool {sorted(known)[0]!r}, this config reads {run.pool.name!r}; "
            "one root holds one pool: choose another output.root"
        )


def _refuse_other_ids(lake: Lake, id_type: str, expression: str) -> None:
    if not lake.exists(_FIRST_TABLE):
        return
    known = lake.read(_FIRST_TABLE).schema["id"].dataType.simpleString()
    if known != id_type:
        raise ConfigError(
            f"output holds ids of type {known}, input.id={expression!r} is {id_type}; one root "
            "holds one type: cast input.id, or choose another output.root"
        )
