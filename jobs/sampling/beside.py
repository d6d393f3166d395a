"""Tables beside the pool that samples name: pinned to their content."""

from collections.abc import Mapping

from pyspark.sql import SparkSession

from jobs.config.model import RunConfig
from jobs.points.alike import opened_alike
from jobs.pool.beside import opened, pinned
from jobs.pool.inputs import Pool
from jobs.sections.likeness import LikeConfig
from jobs.sections.node_rules import NodeRulesTable
from jobs.sections.samples import IdsConfig, SampleConfig


def samples_pinned(spark: SparkSession, config: RunConfig) -> RunConfig:
    """Return the config with the current fingerprints of the samples' tables.

    Raises
    ------
    InputError
        If one cannot be read as described.
    ConfigError
        If the config names another fingerprint.
    """
    samples = []
    for sample in config.samples:
        found = {}
        for name, table in sample.tables.items():
            key = f"samples.{sample.name}.{name}"
            found[name] = pinned(key, table, _opened(spark, config, key, table))
        samples.append(sample.model_copy(update=found))
    return config.model_copy(update={"samples": samples})


def _opened(
    spark: SparkSession,
    config: RunConfig,
    key: str,
    table: IdsConfig | NodeRulesTable | LikeConfig,
) -> Pool:
    if isinstance(table, LikeConfig):
        id_ = table.id or config.input.id
        return opened_alike(spark, config, key, table, id_, table.content)[0]
    id_ = getattr(table, "id", None) or "id"
    return opened(spark, key, table, id=id_, content=id_)


def samples_identity(config: RunConfig) -> Mapping[str, str]:
    """Return what identifies those tables' rows, and orders of keys, beside the config."""
    # ids of copies were not points; now they mean the points that stay for them
    means = " of points that stay" if config.dedup.is_on else ""
    orders = {f"samples.{s.name}.order": " ".join(o) for s in config.samples if (o := _order(s))}
    return orders | {
        f"samples.{sample.name}.{key}": table.fingerprint
        + (means if isinstance(table, IdsConfig) else "")
        for sample in config.samples
        for key, table in sample.tables.items()
        if table.fingerprint is not None
    }


def _order(sample: SampleConfig) -> list[str]:
    """Return the order of a blend's parts, or of quotas, if it is not the alphabet's.

    It decides which rows a sample has, and a stage key knows no order of keys.
    """
    given = [*(sample.blend or ()), *(sample.quotas.values if sample.quotas else ())]
    return [] if given == sorted(given) else given
