"""List the runs of a root, show one in full, or remove the rows that nobody needs any more.

Reads    runs; the published samples' history
Writes   nothing; ``clean`` deletes rows of whole stage keys, records that in runs (cleaned), and
         deletes the files that no table refers to any more
Method   a stage key goes if its attempts broke off, or if only superseded runs use it
Run      evenlake runs --config conf/quickstart.yaml
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from pyspark.sql import SparkSession
from rich.console import Console

from jobs.cli.command import execute_on_lake, fail, names_and_overrides
from jobs.cli.log_style import LogFormat, LogStyle
from jobs.cli.options import (
    PASS_ON,
    ConfigOption,
    LogFormatOption,
    QuietOption,
    VerboseOption,
    exit_code,
)
from jobs.config.errors import ConfigError
from jobs.config.model import RunConfig
from jobs.past.cleaning import Leftover, find_leftovers, remove
from jobs.past.history import read_history
from jobs.past.listing import RunList, describe_run
from jobs.past.tidying import tidy
from jobs.recipe import RECIPE
from jobs.tables.lake import Lake

_HELP = """List the runs of a root, the newest first.

"list" lists them; "show RUN_ID" shows one: every event, config, input, keys, figures, digests.

"clean" removes the rows of stages that failed or broke off, and of runs that a later run of the
same lineage superseded. Published samples, and whatever a kept run uses, stay; the same curate
command rebuilds the rest. Files that no table has referred to for that long go too (VACUUM),
unless a run is under way or --keep-files is given.
"""


@dataclass(frozen=True)
class Cleaning:
    """What was removed, or would be; as text, one line per stage key, then the sum per table."""

    leftovers: list[Leftover]
    is_dry_run: bool
    files: str | None = None  # what happened to files

    def __str__(self) -> str:
        """Return the lines."""
        n_rows: dict[str, int] = {}
        for leftover in self.leftovers:
            for table, n in leftover.n_rows.items() if not leftover.may_be_running else ():
                n_rows[table] = n_rows.get(table, 0) + n
        total = " ".join(f"{table}={n}" for table, n in n_rows.items()) or "nothing"
        verb = "would remove" if self.is_dry_run else "removed"
        files = [self.files] if self.files else []
        return "\n".join([*map(str, self.leftovers), *files, f"{verb}: {total}"])


def run(spark: SparkSession, config: RunConfig) -> RunList:
    """List the runs.

    Raises
    ------
    ConfigError
        If there is no ledger.
    """
    return RunList(read_history(Lake(spark, config.output), RECIPE))


def show(spark: SparkSession, config: RunConfig, run_id: str) -> str:
    """Return one run in full.

    Raises
    ------
    ConfigError
        If there is no such run, or no ledger.
    """
    history = read_history(Lake(spark, config.output), RECIPE)
    return describe_run(history, history.find(run_id))


def clean(
    spark: SparkSession,
    config: RunConfig,
    *,
    older_than_days: int | None = None,
    is_dry_run: bool = False,
    is_forced: bool = False,
    keeps_files: bool = False,
) -> Cleaning:
    """Remove the rows of broken attempts, and of runs superseded longer ago than the retention.

    Parameters
    ----------
    older_than_days : ``retention.days`` if None
    is_forced : whether to remove what may still be running, too
    keeps_files : keep the files of removed and replaced rows, for Delta's time travel
    """
    lake, now = Lake(spark, config.output), datetime.now(UTC)
    days = config.retention.days if older_than_days is None else older_than_days
    history, older_than = read_history(lake, RECIPE), timedelta(days=days)
    found = find_leftovers(lake, history, older_than=older_than, now=now)
    if is_forced:
        found = [replace(leftover, may_be_running=False) for leftover in found]
    if is_dry_run:
        return Cleaning(found, is_dry_run)
    removed = remove(lake, [leftover for leftover in found if not leftover.may_be_running])
    found = [left for left in found if left.may_be_running] + removed
    files = None if keeps_files else tidy(lake, RECIPE, older_than=older_than, is_forced=is_forced)
    return Cleaning(found, is_dry_run, files)


Words = Annotated[
    list[str] | None, typer.Argument(metavar="[list | show RUN_ID | clean] [key.sub=value ...]")
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="clean: list what would go, change nothing.")
]
Days = Annotated[
    int | None,
    typer.Option("--older-than-days", min=0, help="clean: use this instead of retention.days."),
]
Force = Annotated[
    bool,
    typer.Option("--force", help="clean: also remove what may still be running."),
]
KeepFiles = Annotated[
    bool, typer.Option("--keep-files", help="clean: keep files of removed rows, for time travel.")
]


def main(argv: Sequence[str] | None = None) -> int:
    """List, show or clean."""
    app = typer.Typer(add_completion=False)

    @app.command("runs", help=_HELP, context_settings=PASS_ON)
    def command(
        config: ConfigOption,
        words: Words = None,
        dry_run: DryRun = False,
        older_than_days: Days = None,
        force: Force = False,
        keep_files: KeepFiles = False,
        verbose: VerboseOption = False,
        quiet: QuietOption = False,
        log_format: LogFormatOption = LogFormat.text,
    ) -> None:
        logs = LogStyle(log_format, quiet)

        def work(spark: SparkSession, loaded: RunConfig) -> object:
            if action == "show":
                return show(spark, loaded, *run_ids)
            if action == "clean":
                return clean(
                    spark,
                    loaded,
                    older_than_days=older_than_days,
                    is_dry_run=dry_run,
                    is_forced=force,
                    keeps_files=keep_files,
                )
            return _fitting(run(spark, loaded))

        try:
            action, run_ids, overrides = _asked(words or [])
        except ConfigError as error:
            raise typer.Exit(fail(error, logs)) from error
        raise typer.Exit(execute_on_lake(work, config, overrides, is_verbose=verbose, logs=logs))

    return exit_code(app, argv, name="runs")


def _asked(words: Sequence[str]) -> tuple[str, list[str], list[str]]:
    """Return the action, the run ids and the overrides."""
    names, overrides = names_and_overrides(words)
    action, *rest = names or ["list"]
    if action not in ("list", "show", "clean") or len(rest) != (action == "show"):
        raise ConfigError(f"runs {' '.join([action, *rest])}: want list, show RUN_ID or clean")
    return action, rest, overrides


def _fitting(runs: RunList) -> RunList | None:
    """Print a table on a terminal; elsewhere return the lines to print."""
    console = Console()
    if not console.is_terminal:
        return runs
    console.print(runs.table())
    return None


if __name__ == "__main__":
    sys.exit(main())
