"""Compare two runs of a root: what they were asked, what they share, how their samples differ.

Reads    runs, samples, report
Writes   nothing, but a page beside the reports, if the root is on this machine
Run      evenlake diff RUN_A RUN_B --config conf/quickstart.yaml
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import typer
from pyspark.sql import SparkSession

from jobs.cli.command import execute_on_lake, fail, names_and_overrides
from jobs.cli.log_style import LogFormat, LogStyle
from jobs.cli.options import (
    PASS_ON,
    ConfigOption,
    LogFormatOption,
    OpenOption,
    QuietOption,
    VerboseOption,
    exit_code,
)
from jobs.cli.pages import open_page
from jobs.config.errors import ConfigError
from jobs.config.model import RunConfig
from jobs.past.comparing import Comparison, compare
from jobs.past.diff_page import render_diff
from jobs.past.history import read_history
from jobs.recipe import RECIPE
from jobs.reporting.exported import write_whole
from jobs.tables.lake import PAGES, Lake

_HELP = """Compare two runs: what differs in their inputs and configs, which stages hold the same
rows, how many points their samples share, and the figures of their reports.

RUN_A and RUN_B are ids, or the beginnings of ids; "evenlake runs" lists them.
"""


@dataclass(frozen=True)
class Compared:
    """Two runs compared; as text, what differs, and where the page is.

    Attributes
    ----------
    report_path : path of the page; empty if the root is not on this machine
    """

    comparison: Comparison
    report_path: str

    def __str__(self) -> str:
        """Return the lines."""
        page = f"\npage: {self.report_path}" if self.report_path else ""
        return f"{self.comparison}{page}"


def run(spark: SparkSession, config: RunConfig, before: str, after: str) -> Compared:
    """Compare two runs, and write the comparison as a page.

    Parameters
    ----------
    before, after : run ids, or their beginnings

    Raises
    ------
    ConfigError
        If there is no such run, or no ledger.
    """
    lake = Lake(spark, config.output)
    history = read_history(lake, RECIPE)
    found = compare(lake, history, history.find(before), history.find(after))
    if lake.local_folder is None:
        return Compared(found, "")
    path = lake.local_folder / PAGES / f"diff-{found.runs[0]}-{found.runs[1]}.html"
    write_whole(path, render_diff(found).encode())
    return Compared(found, str(path))


Words = Annotated[list[str], typer.Argument(metavar="RUN_A RUN_B [key.sub=value ...]")]


def main(argv: Sequence[str] | None = None) -> int:
    """Compare two runs."""
    app = typer.Typer(add_completion=False)

    @app.command("diff", help=_HELP, context_settings=PASS_ON)
    def command(
        config: ConfigOption,
        words: Words,
        verbose: VerboseOption = False,
        quiet: QuietOption = False,
        log_format: LogFormatOption = LogFormat.text,
        open: OpenOption = False,
    ) -> None:
        run_ids, overrides = names_and_overrides(words)
        logs = LogStyle(log_format, quiet)

        def work(spark: SparkSession, loaded: RunConfig) -> Compared:
            found = run(spark, loaded, *run_ids)
            if open:
                open_page(found)
            return found

        if len(run_ids) != 2:
            message = f"diff {' '.join(run_ids)}: want RUN_A RUN_B; evenlake runs lists them"
            raise typer.Exit(fail(ConfigError(message), logs))
        raise typer.Exit(execute_on_lake(work, config, overrides, is_verbose=verbose, logs=logs))

    return exit_code(app, argv, name="diff")


if __name__ == "__main__":
    sys.exit(main())
