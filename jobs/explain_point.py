"""Explain one id of the pool: its path through the finished run, and why each sample has it or not.

Reads    embeddings, rejects, nodes, assignments, allocations, samples
Writes   nothing
Method   each stage of the recipe adds what it did with the id, until one turns it away
Run      evenlake explain ID --config conf/quickstart.yaml
"""

import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Annotated

import typer

from jobs.cli.command import execute
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
from jobs.pool.ids import parse_id, shown
from jobs.runs.explanation import Explanation, Place
from jobs.runs.run import Run
from jobs.tables.shared import REJECTS

PointArgument = Annotated[
    str,
    typer.Argument(metavar="ID", help="An id of the pool, binary in hex; after -- if needed."),
]


def explain(this: Run, *, point: str) -> Explanation:
    """Follow one id through the tables.

    Raises
    ------
    InputError
        If the text is not an id of the pool's type.
    ConfigError
        If a stage that the id has reached has not finished for this config and input.
    """
    first, *later = (stage for stage in this.recipe.on(this.written) if stage.explain is not None)
    this.require_finished(first)
    id_ = parse_id(point, this.lake.read(REJECTS).schema["id"].dataType)
    found = Explanation(
        id=shown(id_),
        pool=this.pool.name,
        version=this.pool.fingerprint,
        model=this.written.embed.model,
    )
    for stage in (first, *later):
        if not found.is_over and stage.explain is not None:
            this.require_finished(stage)
            found = stage.explain(this, id_, found)
    for side in this.recipe.beside(this.written):
        if not found.is_over and side.explain is not None and this.has_finished(side):
            found = side.explain(this, id_, found)
    if found.is_over:
        places = [Place(s.name, [], why_not=str(found.gate)) for s in this.config.samples]
        found = replace(found, samples=places)
    return found


def id_last(arguments: Sequence[str]) -> list[str]:
    """Put options first and the id after ``--``, so that it may start with a dash.

    The id is whatever follows a given ``--``, or else the first argument that is not an option.
    """
    valued = ("--config", "-c", "--result", "--log-format")
    flags = ("--help", "--quiet", "-q", "--verbose", "-v")
    options: list[str] = []
    others: list[str] = []
    left = iter(arguments)
    for argument in left:
        if argument == "--":
            others = [*left, *others]
        elif argument in valued:
            options += [argument, *islice(left, 1)]
        elif argument in flags or argument.startswith(tuple(f"{name}=" for name in valued)):
            options.append(argument)
        else:
            others.append(argument)
    return [*options, "--", *others]


def main(argv: Sequence[str] | None = None) -> int:
    """Explain one id of the pool."""
    app = typer.Typer(add_completion=False)

    @app.command("explain", help=(__doc__ or "").splitlines()[0], context_settings=PASS_ON)
    def command(
        context: typer.Context,
        point: PointArgument,
        config: ConfigOption,
        result: ResultOption = None,
        verbose: VerboseOption = False,
        quiet: QuietOption = False,
        log_format: LogFormatOption = LogFormat.text,
    ) -> None:
        job, logs = partial(explain, point=point), LogStyle(log_format, quiet)
        options = Options(config, context.args, result, is_verbose=verbose, logs=logs)
        raise typer.Exit(execute(job, options))

    return exit_code(app, id_last(sys.argv[1:] if argv is None else argv), name="explain")


if __name__ == "__main__":
    sys.exit(main())
