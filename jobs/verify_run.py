"""Verify a run: recompute rows and digests of its tables, and compare them with the ledger's.

Reads    runs, and every table that the run's finished stages wrote, all rounds beside it too
Writes   nothing
Method   order-free hashes of whole tables; ``Lake.describe``
Run      evenlake verify RUN_ID --config conf/quickstart.yaml
"""

import sys
from collections.abc import Sequence
from typing import Annotated

import typer
from pyspark.sql import SparkSession

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
from jobs.past.checking import Verification, verify
from jobs.past.history import read_history
from jobs.recipe import RECIPE
from jobs.tables.lake import Lake

_HELP = """Recompute the rows and digests of a run's tables, and compare them with the ledger.

Exit code 0: all agree; 1: some differ, named on the last line.
"""


def run(spark: SparkSession, config: RunConfig, run_id: str) -> Verification:
    """Check every table of the run's finished stages.

    Raises
    ------
    ConfigError
        If there is no such run, or no ledger.
    """
    lake = Lake(spark, config.output)
    history = read_history(lake, RECIPE)
    return verify(lake, history, history.find(run_id))


Words = Annotated[list[str], typer.Argument(metavar="RUN_ID [key.sub=value ...]")]


def main(argv: Sequence[str] | None = None) -> int:
    """Verify a run."""
    app = typer.Typer(add_completion=False)

    @app.command("verify", help=_HELP, context_settings=PASS_ON)
    def command(
        config: ConfigOption,
        words: Words,
        verbose: VerboseOption = False,
        quiet: QuietOption = False,
        log_format: LogFormatOption = LogFormat.text,
    ) -> None:
        run_ids, overrides = names_and_overrides(words)
        logs = LogStyle(log_format, quiet)

        def work(spark: SparkSession, loaded: RunConfig) -> None:
            found = run(spark, loaded, run_ids[0])
            sys.stdout.write(f"{found}\n")
            found.require()

        if len(run_ids) != 1:
            message = f"verify {' '.join(run_ids)}: want one RUN_ID; evenlake runs lists them"
            raise typer.Exit(fail(ConfigError(message), logs))
        raise typer.Exit(execute_on_lake(work, config, overrides, is_verbose=verbose, logs=logs))

    return exit_code(app, argv, name="verify")


if __name__ == "__main__":
    sys.exit(main())
