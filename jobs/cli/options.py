"""The options that runs share, parsed without Spark, so that ``--help`` needs none."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from jobs.cli.log_style import PLAIN, LogFormat, LogStyle


class IfRunning(StrEnum):
    """What to do while another process is working on the same stage."""

    wait = "wait"
    fail = "fail"


ConfigOption = Annotated[
    str, typer.Option("--config", "-c", help="YAML file; a path, or a name shipped by --files.")
]
ResultOption = Annotated[
    Path | None, typer.Option("--result", help="Write run_id, status and tables here, as JSON.")
]
RefreshOption = Annotated[bool, typer.Option("--full-refresh", help="Do finished stages again.")]
IfRunningOption = Annotated[
    IfRunning,
    typer.Option("--if-running", help="If another process does the same: wait for its result."),
]
VerboseOption = Annotated[
    bool, typer.Option("--verbose", "-v", help="Show the output of Spark and its package resolver.")
]
QuietOption = Annotated[
    bool, typer.Option("--quiet", "-q", help="No progress: only warnings, errors and the result.")
]
LogFormatOption = Annotated[
    LogFormat, typer.Option("--log-format", help="Write log lines on stderr as text or as JSON.")
]
OpenOption = Annotated[
    bool, typer.Option("--open", help="Open the page in a browser: of curate, report and diff.")
]
ReplaceOption = Annotated[
    bool, typer.Option("--replace-sample", help="Take over sample tables of another config.")
]


@dataclass(frozen=True)
class Options:
    """The command line, apart from what goes into the config."""

    config: str
    overrides: Sequence[str] = ()
    result: Path | None = None
    is_refresh: bool = False
    replaces_samples: bool = False
    if_running: IfRunning = IfRunning.wait
    is_verbose: bool = False
    logs: LogStyle = PLAIN
    opens_page: bool = False


def parse_options(
    do: Callable[[Options], int], argv: Sequence[str] | None, *, name: str, summary: str
) -> int:
    """Parse a run's command line and do what it asks; return the exit code."""
    app = typer.Typer(add_completion=False)

    @app.command(name, help=summary, context_settings=PASS_ON)
    def command(
        context: typer.Context,
        config: ConfigOption,
        result: ResultOption = None,
        full_refresh: RefreshOption = False,
        replace_sample: ReplaceOption = False,
        if_running: IfRunningOption = IfRunning.wait,
        verbose: VerboseOption = False,
        quiet: QuietOption = False,
        log_format: LogFormatOption = LogFormat.text,
        open: OpenOption = False,
    ) -> None:
        options = Options(
            config, context.args, result, full_refresh, replace_sample, if_running, verbose,
            LogStyle(log_format, quiet), open,
        )  # fmt: skip
        raise typer.Exit(do(options))

    return exit_code(app, argv, name=name)


def exit_code(app: typer.Typer, argv: Sequence[str] | None, *, name: str) -> int:
    """Let a job's application parse its command line and execute it; return the exit code."""
    try:
        app(list(argv) if argv is not None else None, prog_name=f"evenlake {name}")
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


class Whole(TyperCommand):
    """A command that leaves its whole line, ``--help`` and ``--`` included, to its job to parse."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Pass the line on unparsed."""
        ctx.args = list(args)
        return list(args)


# key.sub=value and --key.sub=value arrive as arguments unknown to typer
PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True}
