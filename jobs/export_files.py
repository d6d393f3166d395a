"""Export a sample, a selection or batches as files that trainers read.

For a sample, see ``jobs.export_sample``. For a selection, or for batches:

Reads    learnability (the drawn rows), batches or hard_negative_batches; the pool's columns, at the
         pinned version
Writes   DIR: part-*.parquet of batch_id, position, id and the columns, in this order; _index.json,
         the last file, without which an export is unfinished
Run      evenlake export DIR --of learnability --batch-size 256 --columns text --config my.yaml
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial, reduce
from typing import Annotated, Any

import typer
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs import mine_negatives, score_learnability, select_batches
from jobs.cli.command import Job, execute, fail
from jobs.cli.log_style import LogFormat, LogStyle
from jobs.cli.options import (
    PASS_ON,
    ConfigOption,
    LogFormatOption,
    Options,
    QuietOption,
    ResultOption,
    VerboseOption,
    exit_code,
)
from jobs.config.errors import ConfigError, InputError
from jobs.config.model import RunConfig
from jobs.export_sample import export_sample
from jobs.exporting.cutting import Round, cut_into_batches, renumbered, rounds_of
from jobs.exporting.folder import Folder
from jobs.exporting.formats import FORMATS
from jobs.exporting.slots import row_bytes
from jobs.exporting.wanted import Exported, Wanted, parse_rounds
from jobs.exporting.wanted_sample import WantedSample, parse_endings, parse_splits
from jobs.exporting.writing import Layout, write_files
from jobs.pool.columns import named_columns
from jobs.runs.opening import open_run
from jobs.runs.run import Run
from jobs.runs.stage import Stage
from jobs.tables.table import Table
from jobs.training.index import BATCH, POSITION, Index

# --- where rows come from: for each table, cut rows and the keys behind them ----------------------

Cut = tuple[DataFrame, list[str]]  # round, batch, position, id; stage keys


def _learnability(this: Run, wanted: Wanted) -> Cut:
    """Cut the drawn rows of every round into batches."""
    if wanted.batch_size is None:
        raise ConfigError(
            "--of learnability: what is drawn is not cut into batches yet; want --batch-size N"
        )
    drawn, keys = _drawn(this)
    return cut_into_batches(drawn, batch_size=wanted.batch_size, seed=this.config.seed), keys


def _drawn(this: Run) -> Cut:
    """Return the rows that were drawn : round, id."""
    _require(this, score_learnability.STAGE, "learnability.source")
    found = score_learnability.selections(this)
    rows = [each.rows.select(F.lit(each.round).alias("round"), "id") for each in found]
    return reduce(DataFrame.unionByName, rows), [each.name for each in found]


def _ready(stage: Stage[Any], table: Table, key: str) -> Callable[[Run, Wanted], Cut]:
    """Return the function that renumbers a stage's batches; an epoch is a round."""

    def cut(this: Run, wanted: Wanted) -> Cut:
        if wanted.batch_size is not None:
            raise ConfigError(
                f"--of {wanted.of} --batch-size {wanted.batch_size}: batches are exported as they "
                "were selected; leave --batch-size out"
            )
        mine = this.recipe.named(stage.name) or stage
        _require(this, mine, key)
        rows = this.read(mine, table).withColumnRenamed("epoch", "round")
        return renumbered(rows.select("round", "batch_id", "position", "id")), [this.key(mine)]

    return cut


SOURCES: dict[str, Callable[[Run, Wanted], Cut]] = {
    "learnability": _learnability,
    "batches": _ready(select_batches.STAGE, select_batches.BATCHES, "batches.learner"),
    "negatives": _ready(
        mine_negatives.STAGE, mine_negatives.HARD_NEGATIVE_BATCHES, "contrast.source"
    ),
}


def _require(this: Run, stage: Stage[Any], key: str) -> None:
    """Refuse a stage that is off, as its key of the config is null, or that has not finished."""
    if not this.is_on(stage):
        raise ConfigError(
            f"{key} is null, so the config does not turn {stage.name} on and there is nothing to "
            f"export; want the config that evenlake {stage.command} ran with"
        )
    this.require_finished(stage)


# --- the export -----------------------------------------------------------------------------------


def export(this: Run, folder: str, wanted: Wanted) -> Exported:
    """Export to a folder, or find that the same export exists.

    Raises
    ------
    ConfigError
        If something else is in the folder, or what is wanted has not been made yet.
    InputError
        If nothing was selected, or the pool has no such column.
    """
    if wanted.of not in SOURCES:
        raise ConfigError(f"--of {wanted.of}: want one of {', '.join(SOURCES)}")
    cut, keys = SOURCES[wanted.of](this, wanted)
    columns = None
    if wanted.columns:
        columns = named_columns(this.pool, this.written.input, wanted.columns)
    target = Folder(this.spark, folder, Index)
    with this.queries():
        cut, rounds = _those(cut, wanted)
        source = asdict(wanted) | {
            "columns": list(wanted.columns),
            "rounds": [one.round for one in rounds],
            "stage_keys": keys,
            "pool": this.pool.name,
            "version": this.pool.fingerprint,
            "seed": this.config.seed,
        }
        with target.claimed(source) as found:
            if found is not None:
                return Exported(target.path, found, is_new=False)
            size = row_bytes(cut.drop("round"), columns, this.config.seed)
            layout = Layout.of(rounds, row_bytes=size, file_bytes=wanted.file_mb * 2**20)
            files = write_files(target, cut, columns, layout)
            this.pool.require_unchanged()
    index = Index(
        n_batches=sum(one.n_batches for one in rounds),
        n_rows=sum(one.n_rows for one in rounds),
        columns=[BATCH, POSITION, "id", *wanted.columns],
        files=files,
        rounds=[one._asdict() for one in rounds],
        source=source,
    )
    target.finish(index)
    return Exported(target.path, index, is_new=True)


def _those(cut: DataFrame, wanted: Wanted) -> tuple[DataFrame, list[Round]]:
    """Return the rows of the wanted rounds."""
    if wanted.rounds is not None:
        cut = cut.where(F.col("round").isin(*wanted.rounds))
    rounds = rounds_of(cut)
    missing = set(wanted.rounds or ()) - {one.round for one in rounds}
    if not rounds or missing:
        asked = f"--rounds {','.join(map(str, wanted.rounds or ()))}: " if missing else ""
        raise InputError(f"{asked}{wanted.of} has no selected row{' there' if missing else ''}")
    return cut, rounds


def run(spark: SparkSession, config: RunConfig, folder: str, **wanted: Any) -> Exported:
    """Export on a config; see ``export`` and ``Wanted``."""
    return export(open_run(spark, config), folder, Wanted(**wanted))


# --- the command ----------------------------------------------------------------------------------

FolderArgument = Annotated[
    str, typer.Argument(metavar="DIR", help="Where to: a path or URI; before key=value.")
]
OfOption = Annotated[
    str | None, typer.Option("--of", help="Rows of: learnability, batches, negatives.")
]
SampleOption = Annotated[str | None, typer.Option("--sample", help="A sample of the config.")]
ColumnsOption = Annotated[
    str | None, typer.Option("--columns", help="Columns of the pool: a,b; of a sample all, if not.")
]
SizeOption = Annotated[
    int | None, typer.Option("--batch-size", help="Rows of a batch, for learnability.")
]
RoundsOption = Annotated[
    str | None, typer.Option("--rounds", help="Rounds to export, such as 0,1; all by default.")
]
FormatOption = Annotated[
    str | None, typer.Option("--format", help=f"Of a sample: {', '.join(FORMATS)}.")
]
OrderOption = Annotated[
    str | None,
    typer.Option("--order", help="Of a sample: position (its first files are balanced), shuffle."),
]
SplitOption = Annotated[
    str | None, typer.Option("--split", help="Of a sample: train=.98,val=.02; copies together.")
]
ExtensionOption = Annotated[
    str | None,
    typer.Option("--extension", help="Columns as files in a tar: image=jpg,caption=txt."),
]
FileOption = Annotated[float, typer.Option("--file-mb", help="Files are about this large.")]


def _job(
    folder: str,
    of: str | None,
    sample: str | None,
    columns: str | None,
    file_mb: float,
    of_batches: Mapping[str, Any],
    of_samples: Mapping[str, str | None],
) -> Job:
    """Return the job that options ask for.

    Raises
    ------
    ConfigError
    """
    if (of is None) == (sample is None):
        raise ConfigError("want one of --of, for selected rows and batches, and --sample")
    others, whose = (of_batches, "--of") if sample is not None else (of_samples, "--sample")
    if strange := [name for name, value in others.items() if value is not None]:
        raise ConfigError(f"{', '.join(strange)}: an option of {whose}; leave it out")
    names = None if columns is None else tuple(n.strip() for n in columns.split(",") if n.strip())
    if sample is None:
        wanted = Wanted(
            of=str(of),
            columns=names or (),
            batch_size=of_batches["--batch-size"],
            rounds=parse_rounds(of_batches["--rounds"]),
            file_mb=file_mb,
        )
        return partial(export, folder=folder, wanted=wanted)
    of_sample = WantedSample(
        sample=sample,
        columns=names,
        format=of_samples["--format"] or "parquet",
        order=of_samples["--order"] or "position",
        splits=parse_splits(of_samples["--split"]),
        endings=parse_endings(of_samples["--extension"]),
        file_mb=file_mb,
    )
    return partial(export_sample, folder=folder, wanted=of_sample)


def main(argv: Sequence[str] | None = None) -> int:
    """Export a sample, a selection or batches."""
    app = typer.Typer(add_completion=False)

    @app.command("export", help=(__doc__ or "").splitlines()[0], context_settings=PASS_ON)
    def command(
        context: typer.Context,
        folder: FolderArgument,
        config: ConfigOption,
        of: OfOption = None,
        sample: SampleOption = None,
        columns: ColumnsOption = None,
        batch_size: SizeOption = None,
        rounds: RoundsOption = None,
        format_: FormatOption = None,
        order: OrderOption = None,
        split: SplitOption = None,
        extension: ExtensionOption = None,
        file_mb: FileOption = 256,
        result: ResultOption = None,
        verbose: VerboseOption = False,
        quiet: QuietOption = False,
        log_format: LogFormatOption = LogFormat.text,
    ) -> None:
        logs = LogStyle(log_format, quiet)
        of_batches = {"--batch-size": batch_size, "--rounds": rounds}
        of_samples = {
            "--format": format_, "--order": order, "--split": split, "--extension": extension
        }  # fmt: skip
        try:
            job = _job(folder, of, sample, columns, file_mb, of_batches, of_samples)
        except ConfigError as error:
            raise typer.Exit(fail(error, logs)) from error
        options = Options(config, context.args, result, is_verbose=verbose, logs=logs)
        raise typer.Exit(execute(job, options))

    return exit_code(app, argv, name="export")


if __name__ == "__main__":
    sys.exit(main())
