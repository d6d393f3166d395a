"""The points that a sample may hold: which of them it must, in which strata, and by what weight."""

import logging

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from jobs.config.errors import ConfigError
from jobs.config.secrets import without_secrets
from jobs.pool.beside import column_of, opened
from jobs.pool.joining import require_same_ids
from jobs.sections.samples import IdsConfig, QuotasConfig, SampleConfig, TotalConfig
from jobs.spark.errors import SPARK_ERRORS, reason
from jobs.spark.naming import quote
from jobs.spark.repeatable import require_repeatable

log = logging.getLogger(__name__)

_PICKED = {"must_include": "is_included", "must_exclude": "is_excluded"}


def same_candidates(sample: SampleConfig) -> str:
    """Return a name for what decides a sample's candidates, and their ranks."""
    named = {"strategy", "must_include", "must_exclude", "weight", *sample.retrieved}
    quotas = sample.quotas and [sample.quotas.by, *sample.quotas.values]
    of = getattr(sample.target_size, "of", None)
    return f"{sample.model_dump_json(include=named)} {quotas} {of}"


def anyone(assignments: DataFrame) -> DataFrame:
    """Return all points, in one stratum."""
    return assignments.withColumn("stratum", F.lit(0))


def candidates(
    assignments: DataFrame,
    described: DataFrame,
    sample: SampleConfig,
    keepers: DataFrame | None = None,
) -> DataFrame:
    """Return the points that a sample may hold.

    Parameters
    ----------
    assignments : id, leaf_id, sq_distance
    described : id, and the metadata by name; of the surviving points, if the
        sample names tables of ids
    keepers : id, keeper_id; of the copies that were turned away

    Returns
    -------
    points : id, leaf_id, sq_distance; stratum INT, the place of the point's value among the quotas,
        or one more; is_included BOOLEAN, weight DOUBLE and size DOUBLE where the sample needs them

    Raises
    ------
    ConfigError
        If a filter is not a condition.
    """
    told = {"stratum": _stratum(sample.quotas)}
    for key, name in _PICKED.items():
        if isinstance(given := getattr(sample, key), IdsConfig):
            flagged = _ids_in(described, f"samples.{sample.name}.{key}", given, keepers)
            flag = f"_evenlake_{name}"
            described = described.join(flagged.withColumn(flag, F.lit(True)), on="id", how="left")
            told[name] = F.coalesce(F.col(flag), F.lit(False))
        elif given is not None:
            told[name] = _filter(described, sample, key)
    if sample.weight is not None:
        value = number_in(sample.weight.by)
        power = F.pow(value, F.lit(sample.weight.strength))
        told["weight"] = F.when((value > 0) & (power > 0), power)  # a power may be too small
    if isinstance(sample.target_size, TotalConfig):
        told["size"] = number_in(sample.target_size.of)
    mine = described.select("id", *(column.alias(name) for name, column in told.items()))
    points = assignments.join(mine, on="id", how="inner")
    if sample.must_exclude is not None:
        if sample.must_include is not None:
            _tell_lost(sample, points.where("is_included AND is_excluded"))
        points = points.where("NOT is_excluded").drop("is_excluded")
    return points


def _tell_lost(sample: SampleConfig, both: DataFrame) -> None:
    """Warn of points that must be included, and excluded too."""
    if n := both.count():
        told = f"samples.{sample.name}: {n} rows of must_include"
        log.warning("%s are left out by must_exclude", told)


def _stratum(quotas: QuotasConfig | None) -> Column:
    """Return the place of a point's value among those that have quotas; all others come last."""
    if quotas is None:
        return F.lit(0)
    # a map, as a chain of conditions for thousands of values would be too deep for Spark
    places = F.create_map(*(F.lit(x) for i, value in enumerate(quotas.values) for x in (value, i)))
    place = F.try_element_at(places, F.col(quote(quotas.by)))
    return F.coalesce(place, F.lit(len(quotas.values))).cast("int")


def number_in(name: str) -> Column:
    """Return a column's values as numbers; null where there is none."""
    value = F.col(quote(name)).try_cast("double")
    return F.when(~F.isnan(value) & (F.abs(value) < float("inf")), value)


def _ids_in(
    described: DataFrame, key: str, given: IdsConfig, keepers: DataFrame | None
) -> DataFrame:
    """Return the points that a table's ids mean; report those that are none, or copies of others.

    A copy means the point that stays for it: that is where its content is.
    """
    pool = opened(described.sparkSession, key, given, id=given.id, content=given.id)
    try:
        ids = (
            pool.rows.select(column_of(pool.rows, given.id).alias("id"))
            .where("id IS NOT NULL")
            .distinct()
        )
    except SPARK_ERRORS as error:
        raise ConfigError(
            f"{key}.id={given.id!r} is no column or expression over "
            f"{without_secrets(given.table)}, which has "
            f"{pool.rows.columns}: {reason(error)}"
        ) from error
    require_same_ids(key, described, ids)
    if keepers is not None:
        meant = ids.join(keepers, on="id", how="left")
        if n := meant.where("keeper_id IS NOT NULL").count():
            log.warning(
                "%s: %d ids of %s are copies of others: the points that stay for them are meant",
                key, n, without_secrets(given.table),
            )  # fmt: skip
        ids = meant.select(F.coalesce("keeper_id", "id").alias("id")).distinct()
    if n := ids.join(described, on="id", how="left_anti").count():
        log.warning(
            "%s: %d ids of %s are no points of the tree", key, n, without_secrets(given.table)
        )
    return ids


def _filter(described: DataFrame, sample: SampleConfig, key: str) -> Column:
    """Return a filter as a column; rows that it does not decide are not meant."""
    text, at = getattr(sample, key), f"samples.{sample.name}.{key}"
    try:
        kind = described.select(F.expr(text).alias("is_meant")).schema["is_meant"].dataType
    except SPARK_ERRORS as error:
        raise ConfigError(
            f"{at}={text!r} is no filter over the id and the metadata, {described.columns}: "
            f"{reason(error)}; add missing columns to input.metadata"
        ) from error
    if kind.typeName() != "boolean":
        raise ConfigError(
            f"{at}={text!r} is {kind.simpleString()}; want a filter, true or false for each row"
        )
    require_repeatable(described.where(F.expr(text)), at)
    return F.coalesce(F.expr(text), F.lit(False))
