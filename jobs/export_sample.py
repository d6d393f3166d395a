"""Export a sample with the pool's columns, in a form that trainers read.

Reads    samples, assignments, embeddings: content_hash, for splits; the pool, at the pinned version
Writes   DIR: numbered files or a table, of the sample's columns and the pool's; in folders of their
         names, if there are splits; _index.json, the last file, without which it is unfinished
Run      evenlake export DIR --sample balanced --format webdataset --config my.yaml
"""

import logging
from collections.abc import Sequence
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import BinaryType, StringType

from jobs import balance_sample, cluster_levels
from jobs.config.errors import ConfigError, InputError
from jobs.config.model import RunConfig
from jobs.exporting.bands import banded, parts_of
from jobs.exporting.cutting import by_hash, by_number, numbered
from jobs.exporting.folder import Folder
from jobs.exporting.formats import FORMATS, Rows
from jobs.exporting.sample_index import SampleIndex
from jobs.exporting.slots import SLOT, joined, row_bytes
from jobs.exporting.splitting import with_splits
from jobs.exporting.wanted_sample import OWN, ExportedSample, WantedSample
from jobs.past.changed_input import changed_since
from jobs.points.surviving import surviving
from jobs.pool.columns import columns_of, named_columns
from jobs.reading.settings import settings_pinned
from jobs.runs.opening import open_run
from jobs.runs.run import Run
from udfs.shards.tars import TEXT

log = logging.getLogger(__name__)


def export_sample(this: Run, folder: str, wanted: WantedSample) -> ExportedSample:
    """Export a sample to a folder, or find that the same export exists.

    Raises
    ------
    ConfigError
        If something else is in the folder, or the sample is not one of the config's or has not been
        drawn yet.
    InputError
        If the pool has no such column, or one that cannot be exported.
    """
    form = FORMATS[wanted.format]
    _require_sample(this, wanted.sample)
    with this.queries(), settings_pinned(this.spark):
        columns = _columns(this, wanted)
        endings = _endings(columns, wanted, this.written.input.content)
        source = wanted.source() | {
            "columns": columns.columns[1:],
            "stage_keys": [this.key(balance_sample.STAGE)],
            "pool": this.pool.name,
            "version": this.pool.fingerprint,
            "seed": this.config.seed,
        }
        target = Folder(this.spark, folder, SampleIndex, "|".join(wanted.splits) or form.own)
        with target.claimed(source) as found:
            if found is not None:
                return ExportedSample(target.path, found, is_new=False)
            rows = _rows(this, wanted, columns, endings)
            log.info("sample=%s format=%s files=%d", wanted.sample, wanted.format, rows.n_files)
            files = form.write(target, rows)
            this.pool.require_unchanged()
    index = SampleIndex(
        n_rows=rows.n_rows,
        columns=rows.frame.drop(SLOT).columns,
        splits={part.name: part.n_rows for part in rows.parts if part.name is not None},
        files=files,
        source=source,
    )
    target.finish(index)
    return ExportedSample(target.path, index, is_new=True)


def _require_sample(this: Run, name: str) -> None:
    names = [sample.name for sample in this.written.samples]
    if name not in names:
        raise ConfigError(f"--sample {name}: want one of the config's samples: {', '.join(names)}")
    try:
        this.require_finished(balance_sample.STAGE)
    except ConfigError as error:
        if (said := changed_since(this)) is not None:
            raise InputError(f"--sample {name}: {said}") from error
        raise


# --- what is written ------------------------------------------------------------------------------


def _rows(
    this: Run, wanted: WantedSample, columns: DataFrame, endings: dict[str, str | None]
) -> Rows:
    """Return the sample's rows with the pool's columns, in numbered files."""
    seed = this.config.seed
    drawn = _drawn(this, wanted.sample)
    size = row_bytes(drawn, columns, seed) + 2048 * len(endings)  # a member's header and padding
    placed, n_rows = _placed(this, wanted, drawn)
    names: Sequence[str | None] = [*wanted.splits] or [None]
    parts = parts_of(names, n_rows, row_bytes=size, file_bytes=wanted.file_mb * 2**20)
    n_files = sum(part.n_files for part in parts)
    frame = joined(banded(placed, parts), columns, n_files=n_files, place=["position"])
    key, _ = by_hash("id", "replica", seed=seed)
    return Rows(frame, (key, "position"), parts, endings)


def _drawn(this: Run, name: str) -> DataFrame:
    """Return the rows of a sample : OWN."""
    drawn = this.read(balance_sample.STAGE, balance_sample.SAMPLES)
    paths = this.read(cluster_levels.STAGE, cluster_levels.ASSIGNMENTS).select("id", "path")
    mine = drawn.where(F.col("sample") == name)
    return mine.join(paths, on="id", how="inner").select(*OWN)


def _placed(this: Run, wanted: WantedSample, drawn: DataFrame) -> tuple[DataFrame, list[int]]:
    """Number the rows of every split in the order that is wanted : OWN, split, place.

    Returns
    -------
    placed, n_rows of each split
    """
    n, seed = this.outcome(balance_sample.STAGE).sizes[wanted.sample], this.config.seed
    if not wanted.splits:
        rows, n_rows = drawn.withColumn("split", F.lit(0)), [n]
        if wanted.order == "position":
            return rows.withColumn("place", F.col("position")), n_rows
    else:
        # where copies are turned away, each point is its own group
        groups = surviving(this, "id", "content_hash")
        rows, n_rows = with_splits(drawn, groups, [*wanted.splits.values()], seed=seed)
    for name, n_mine in zip(wanted.splits, n_rows, strict=False):
        if not n_mine:
            raise InputError(
                f"--split: {name} gets none of the {n} rows of {wanted.sample}; want a larger share"
            )
    order = by_number("position", n)
    if wanted.order == "shuffle":
        order = by_hash("id", "replica", seed=seed)
    return numbered(rows, "split", order, ["position"]), n_rows


# --- the pool's columns ---------------------------------------------------------------------------


def _columns(this: Run, wanted: WantedSample) -> DataFrame:
    """Return the wanted columns of the pool, and its id.

    Of all columns, those that are called as one of the sample's are named ``pool_NAME``.

    Raises
    ------
    ConfigError
        If one is called as a column of the sample is, and is not its id.
    """
    every = wanted.columns is None
    names = wanted.columns or (columns_of(this.pool) if every else ())
    names = tuple(name for name in names if not _is_id(this, name))
    renamed = {n: f"pool_{n}" for n in names if every and n.lower() in OWN}
    lower = [renamed.get(name, name).lower() for name in names]
    for i, name in enumerate(lower):
        if name in OWN or name in lower[:i]:
            raise ConfigError(
                f"--columns: {names[i]} is there already; {', '.join(OWN)} are always exported: "
                "name the pool's other columns, each once, whatever their case, or give a view of "
                "it as input.table, in which it has another name"
            )
    return named_columns(this.pool, this.written.input, names, renamed)


def _is_id(this: Run, name: str) -> bool:
    """Return whether a column of the pool is the id, under the same name."""
    return name.lower() == "id" == this.written.input.id.lower()


def _endings(
    columns: DataFrame, wanted: WantedSample, content: str | None
) -> dict[str, str | None]:
    """Return the columns that become files of their own in a tar, and their endings.

    These hold bytes (the ending follows from the first ones), the curated texts, or what the user
    names.

    Raises
    ------
    ConfigError
        If the user names a column that is not exported, or is neither text nor bytes.
    """
    if wanted.format != "webdataset":
        return {}
    kinds = {field.name: field.dataType for field in columns.schema if field.name != "id"}
    for name, ending in wanted.endings.items():
        if not isinstance(kinds.get(name), StringType | BinaryType):
            able = [n for n, kind in kinds.items() if isinstance(kind, StringType | BinaryType)]
            raise ConfigError(
                f"--extension {name}={ending}: want an exported column of text or bytes: "
                f"{', '.join(able) or 'none here'}"
            )
    found: dict[str, str | None] = {}
    for name, kind in kinds.items():
        if name in wanted.endings:
            found[name] = wanted.endings[name]
        elif isinstance(kind, BinaryType):
            found[name] = None
        elif isinstance(kind, StringType) and name == content:
            found[name] = TEXT
    return found


def run(spark: SparkSession, config: RunConfig, folder: str, **wanted: Any) -> ExportedSample:
    """Export a sample of a config; see ``export_sample`` and ``WantedSample``."""
    return export_sample(open_run(spark, config), folder, WantedSample(**wanted))
