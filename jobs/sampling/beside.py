"""Tables beside the pool that samples name: pinned to their content."""

from collections.abc import Mapping

from pyspark.sql import SparkSession

from jobs.config.model import RunConfig
from jobs.pool.beside import opened, pinned


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
            key, id_ = f"samples.{sample.name}.{name}", getattr(table, "id", None) or "id"
            found[name] = pinned(key, table, opened(spark, key, table, id=id_, content=id_))
        samples.append(sample.model_copy(update=found))
    return config.model_copy(update={"samples": samples})


def samples_identity(config: RunConfig) -> Mapping[str, str]:
    """Return what identifies those tables' rows, in addition to the config."""
    return {
        f"samples.{sample.name}.{key}": table.fingerprint
        for sample in config.samples
        for key, table in sample.tables.items()
        if table.fingerprint is not None
    }
