"""Publish the samples of a run: replace every ``sample_<name>``, each in one commit.

Reads    samples, assignments
Writes   sample_<name>: what trainers read, always the last good run
"""

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs import balance_sample, cluster_levels
from jobs.config.errors import ConfigError, CurationError
from jobs.runs.run import Run
from jobs.tables.publishing import last_metadata, publish

log = logging.getLogger(__name__)

_FRESH = timedelta(seconds=60)  # how long what was read about published samples is current
_COLUMNS = ("id", "leaf_id", "path", "replica", "rank", "position", "pool_weight")

Marks = dict[str, dict[str, Any]]  # sample -> its table's last metadata


def require_publishable(this: Run) -> Marks:
    """Refuse to overwrite another config's published sample, or a table that is not a sample.

    Returns
    -------
    marks : the metadata of every sample published now

    Raises
    ------
    ConfigError
        Unless the run was told to replace such samples.
    """
    mine, known = this.recipe.lineage(this.written), this.recipe.lineages(this.written)
    marks: Marks = {}
    for sample in this.config.samples:
        table = f"sample_{sample.name}"
        if not this.lake.exists(table):
            continue
        marks[sample.name] = last_metadata(this.lake, table)
        if this.replaces_samples:
            continue
        owner = marks[sample.name].get("lineage")
        if owner is None:
            raise ConfigError(
                f"{table} is there and no published sample; name this sample otherwise, or say "
                "--replace-sample"
            )
        if owner not in known:
            raise ConfigError(
                f"{table} was published by another config (lineage {owner}, this one is {mine}); "
                "name this sample otherwise, or say --replace-sample"
            )
    return marks


def publish_samples(this: Run, marks: Marks | None = None) -> list[str]:
    """Replace every ``sample_<name>`` with this run's sample.

    The sample of a run that began later stays: a driver that stalled for hours must not bring back
    yesterday's.

    Parameters
    ----------
    marks : what ``require_publishable`` found when the run began; looked up again after a minute

    Returns
    -------
    passed_over : the samples that were not replaced

    Raises
    ------
    ConfigError
        If another config has published a sample of that name meanwhile.
    CurationError
        If any of the run's finished stages was cleaned meanwhile.
    """
    if marks is None or datetime.now(UTC) - this.opened_at > _FRESH:
        marks = require_publishable(this)
    mark = _mark(this)
    began = int(this.opened_at.timestamp() * 1e6)
    same = [s for s in this.config.samples if marks.get(s.name) == mark and not this.is_refresh]
    if len(same) < len(this.config.samples):
        require_kept(this)
    passed_over = []
    for sample in this.config.samples:
        table = f"sample_{sample.name}"
        if sample in same:
            # an earlier run published the same content; a run begun between the two is now too late
            publish(this.lake, table, None, mark, version=began)
            continue
        with this.queries():
            is_mine = publish(this.lake, table, _rows(this, sample.name), mark, version=began)
        if not is_mine and last_metadata(this.lake, table) != mark:
            log.warning("sample=%s not replaced: a run that began later published it", sample.name)
            passed_over.append(sample.name)
    return passed_over


def _mark(this: Run) -> dict[str, Any]:
    """Return the metadata that this run's samples are published with."""
    return {
        "lineage": this.recipe.lineage(this.written),
        "run_id": this.run_id,
        "stage_key": this.key(balance_sample.STAGE),
    }


def _rows(this: Run, name: str) -> DataFrame:
    drawn = this.read(balance_sample.STAGE, balance_sample.SAMPLES)
    paths = this.read(cluster_levels.STAGE, cluster_levels.ASSIGNMENTS).select("id", "path")
    mine = drawn.where(F.col("sample") == name).join(paths, on="id", how="inner")
    return mine.select(*_COLUMNS)


def require_kept(this: Run) -> None:
    """Make sure that none of the run's stages was cleaned; call it before publishing.

    Raises
    ------
    CurationError
    """
    done = {stage: key for stage, key in this.keys.items() if stage in this.metrics}
    this.ledger.read(list(done.values()))
    gone = [stage for stage, key in done.items() if this.ledger.finished(key) is None]
    if gone:
        raise CurationError(
            f"{', '.join(gone)}: cleaned while the run was under way (evenlake runs clean); "
            "nothing is published: run the same command again"
        )
