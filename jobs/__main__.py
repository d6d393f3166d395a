"""The command line: ``evenlake COMMAND --config FILE [key=value ...]``, or ``python -m jobs``."""

import importlib
import sys
from collections.abc import Callable, Sequence
from typing import Annotated

import typer

from jobs.cli.options import Options, Whole, parse_options
from jobs.config.version import code_version

# Command -> its job module and summary; the stages' own commands are added to these.
# Modules are imported when their command is called.
COMMANDS = {
    "init": ("write_config", "Write a commented config for the pool that is found at a path."),
    "curate": ("curate", "Curate a pool: every stage, then publish the samples."),
    "demo": ("run_demo", "Write the example pool and curate it: a balanced sample, a report."),
    "plan": ("plan_run", "Estimate what a run will take, and whether it fits, before it runs."),
    "explain": ("explain_point", "Explain one id: its path through the run, and why it was drawn."),
    "export": ("export_files", "Export a sample, a selection or batches for trainers."),
    "doctor": (
        "check_environment",
        "Check Python, Java, Spark, Delta, memory, disk and the config.",
    ),
    "diff": ("diff_runs", "Compare two runs: configs, inputs, samples, figures."),
    "runs": ("list_runs", "List the runs of a root, show one, or clean up after them."),
    "verify": ("verify_run", "Check a run's tables against the ledger: rows and digests."),
    "synthesis": (
        "run_synthesis",
        "Synthetic data for what the lake has little of: plan, captions, images, check.",
    ),
    "example-data": ("write_example", "Write the example pool that conf/quickstart.yaml reads."),
}
_WITH_OPTIONS_OF_RUNS = ("curate", "plan")


def build_app(*, has_stages: bool = True) -> typer.Typer:
    """Return the command-line application; every command passes its arguments to its job."""
    app = typer.Typer(
        help="Turn a long-tailed lake table into a balanced training set, without labels.",
        epilog=None if has_stages else "Each stage is a command too, listed where pyspark is.",
        no_args_is_help=True,
        add_completion=False,
    )
    app.callback()(_top)
    commands = COMMANDS | (_stages() if has_stages else {})
    for name, (module, summary) in commands.items():
        app.command(name, help=summary, cls=Whole)(_bound(name, module, summary))
    return app


def _show_version(is_asked: bool) -> None:
    if is_asked:
        print(f"evenlake {code_version()}")
        raise typer.Exit


VersionOption = Annotated[
    bool, typer.Option("--version", is_eager=True, callback=_show_version, help="Show the version.")
]


def _top(version: VersionOption = False) -> None:
    """Take the options that come before any command."""


def _stages() -> dict[str, tuple[str, str]]:
    """Return the commands of the recipe's stages that are not steps of another command."""
    from jobs.recipe import RECIPE

    named = [stage for stage in RECIPE.stages if " " not in (stage.command or " ")]
    return {str(stage.command): (stage.name, stage.summary) for stage in named}


def _bound(name: str, module: str, summary: str) -> Callable[[typer.Context], None]:
    def command(context: typer.Context) -> None:
        try:
            job = importlib.import_module(f"jobs.{module}")
        except ModuleNotFoundError as error:
            _require_missing_spark(error)
            if name not in _WITH_OPTIONS_OF_RUNS:
                raise typer.Exit(_say_what_is_missing()) from error
            refuse = _say_what_is_missing  # does not stop those who only ask for help
            raise typer.Exit(
                parse_options(refuse, context.args, name=name, summary=summary)
            ) from error
        raise typer.Exit(job.main(context.args))

    return command


def _require_missing_spark(error: ModuleNotFoundError) -> None:
    if (error.name or "").partition(".")[0] not in ("pyspark", "py4j"):
        raise error


def _say_what_is_missing(options: Options | None = None) -> int:
    print("error: pyspark is not installed; pip install 'evenlake[local]'", file=sys.stderr)
    return 1


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code."""
    words = sys.argv[1:] if argv is None else list(argv)
    # the doctor has to run even if what the stages need is missing
    has_stages = not words or words[0] not in (*COMMANDS, "--version")
    try:
        app = build_app(has_stages=has_stages)
    except ModuleNotFoundError as error:
        _require_missing_spark(error)
        if words and not words[0].startswith("-"):  # may be the command of a stage
            return _say_what_is_missing()
        app = build_app(has_stages=False)
    try:
        app(words, prog_name="evenlake")
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


if __name__ == "__main__":
    sys.exit(main())
