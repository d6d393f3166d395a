"""The command line: ``evenlake COMMAND --config FILE [key=value ...]``, or ``python -m jobs``."""

import importlib
import sys
from collections.abc import Callable, Sequence
from typing import Any

import typer
from typer.core import TyperCommand

# Command -> its job module and summary; the stages' own commands are added to these.
# Modules are imported when their command is called.
COMMANDS = {
    "curate": ("curate", "Curate a pool: every stage, then publish the samples."),
    "demo": ("run_demo", "Write the example pool and curate it: a balanced sample, a report."),
    "plan": ("plan_run", "Estimate what a run will take, and whether it fits, before it runs."),
    "explain": ("explain_point", "Explain one id: its path through the run, and why it was drawn."),
    "doctor": (
        "check_environment",
        "Check Python, Java, Spark, Delta, memory, disk and the config.",
    ),
    "runs": ("list_runs", "List the runs of a root, show one, or clean up after them."),
    "verify": ("verify_run", "Check a run's tables against the ledger: rows and digests."),
    "example-data": ("write_example", "Write the example pool that conf/quickstart.yaml reads."),
}


class _Whole(TyperCommand):
    """A command that leaves its whole line, ``--help`` and ``--`` included, to its job to parse."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Pass the line on unparsed."""
        ctx.args = list(args)
        return list(args)


def build_app(*, has_stages: bool = True) -> typer.Typer:
    """Return the command-line application; every command passes its arguments to its job."""
    app = typer.Typer(
        help="Turn a long-tailed lake table into a balanced training set, without labels.",
        no_args_is_help=True,
        add_completion=False,
    )
    commands = COMMANDS | (_stages() if has_stages else {})
    for name, (module, summary) in commands.items():
        app.command(name, help=summary, cls=_Whole)(_bound(module))
    return app


def _stages() -> dict[str, tuple[str, str]]:
    """Return the commands of the recipe's stages."""
    from jobs.recipe import RECIPE

    named = [stage for stage in RECIPE.stages if stage.command is not None]
    return {str(stage.command): (stage.name, stage.summary) for stage in named}


def _bound(module: str) -> Callable[[typer.Context], None]:
    def command(context: typer.Context) -> None:
        job = importlib.import_module(f"jobs.{module}")
        raise typer.Exit(job.main(context.args))

    return command


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code."""
    words = sys.argv[1:] if argv is None else list(argv)
    # the doctor has to run even if what the stages need is missing
    app = build_app(has_stages=not words or words[0] not in COMMANDS)
    try:
        app(words, prog_name="evenlake")
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


if __name__ == "__main__":
    sys.exit(main())
