"""Losses that a user's training job left: tables of an id and a number, pinned to a version."""

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.config.errors import ConfigError, InputError
from jobs.config.learnability import LossesConfig
from jobs.config.model import InputConfig, RunConfig
from jobs.pool.inputs import Pool, open_pool
from jobs.spark.errors import SPARK_ERRORS, reason

_SIDES = ("online", "reference")


def losses_pinned(spark: SparkSession, config: RunConfig) -> RunConfig:
    """Return the config with the fingerprints of the losses that are there now.

    Raises
    ------
    InputError
        If they cannot be read as described.
    ConfigError
        If the config names another fingerprint.
    """
    given = config.learnability
    if given.source is None:
        return config
    found = {side: _pinned(spark, side, getattr(given, side)) for side in _SIDES}
    return config.model_copy(update={"learnability": given.model_copy(update=found)})


def _pinned(spark: SparkSession, side: str, losses: LossesConfig) -> LossesConfig:
    fingerprint = _opened(spark, losses).fingerprint
    if losses.fingerprint not in (None, fingerprint):
        raise ConfigError(
            f"learnability.{side}.fingerprint={losses.fingerprint!r}, but {losses.table} is "
            f"{fingerprint!r} now; null takes whatever is there"
        )
    return losses.model_copy(update={"fingerprint": fingerprint})


def read_losses(spark: SparkSession, side: str, losses: LossesConfig) -> DataFrame:
    """Return a row for each id : id, loss (double), n_losses.

    Raises
    ------
    InputError
        If an expression cannot be computed.
    """
    rows = _opened(spark, losses).rows
    try:
        named = rows.select(
            F.expr(losses.id).alias("id"), F.expr(losses.loss).cast("double").alias("loss")
        )
    except SPARK_ERRORS as error:
        raise InputError(
            f"learnability.{side}: id={losses.id!r}, loss={losses.loss!r} are no columns or "
            f"expressions over {losses.table}, which has {rows.columns}: {reason(error)}"
        ) from error
    grouped = named.where(F.col("id").isNotNull()).groupBy("id")
    return grouped.agg(F.max("loss").alias("loss"), F.count("*").alias("n_losses"))


def _opened(spark: SparkSession, losses: LossesConfig) -> Pool:
    shared = {name: getattr(losses, name) for name in ("table", "format", "options", "where")}
    given = shared | {"version": losses.version, "id": losses.id, "content": losses.loss}
    return open_pool(spark, InputConfig.model_validate(given))
