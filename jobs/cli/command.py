"""What every job's ``main`` does: read the config, get a session, run, and report the outcome."""

import json
import logging
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import typer
from pyspark.sql import SparkSession

from jobs.cli.log_style import PLAIN, LogFormat, LogStyle
from jobs.cli.logs import say_last, set_up_logging
from jobs.cli.options import (
    PASS_ON,
    ConfigOption,
    IfRunning,
    LogFormatOption,
    Options,
    QuietOption,
    VerboseOption,
    exit_code,
    parse_options,
)
from jobs.cli.pages import open_page, require_page
from jobs.config.errors import ConfigError, CurationError
from jobs.config.loading import load_config
from jobs.config.model import RunConfig
from jobs.config.secrets import without_secrets
from jobs.runs.opening import open_run
from jobs.runs.progress import Progress
from jobs.runs.run import Run
from jobs.runs.stage import Stage
from jobs.spark import launch
from jobs.spark.errors import reason
from jobs.spark.session import get_session
from jobs.spark.troubles import trouble_of

log = logging.getLogger(__name__)


@runtime_checkable
class Detailed(Protocol):
    """An outcome that adds details to ``--result``."""

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""


Job = Callable[[Run], object]  # returns what is printed, or None


def stage_main(stage: Stage[Any], argv: Sequence[str] | None) -> int:
    """Run one stage from the command line, after those before it: every stage's ``main``."""

    def job(this: Run) -> object:
        this.do(stage)
        return this.metrics[stage.name]

    return job_main(job, argv, name=stage.command or stage.name, summary=stage.summary)


def job_main(
    job: Job,
    argv: Sequence[str] | None,
    *,
    name: str,
    summary: str | None = None,
    has_page: bool = False,
) -> int:
    """Parse a job's command line and execute it.

    Parameters
    ----------
    has_page : whether its outcome is ``Paged``

    Returns
    -------
    exit_code : 0 done, 1 failed, 2 bad config or input, 3 a guard refused
    """
    doc = summary or (sys.modules[job.__module__].__doc__ or name).splitlines()[0]

    def do(options: Options) -> int:
        try:
            if options.opens_page:
                require_page(name, has_page=has_page)
        except ConfigError as error:
            return fail(error, options.logs)
        return execute(job, options)

    return parse_options(do, argv, name=name, summary=doc)


def lake_main(
    work: Callable[[SparkSession, RunConfig], object],
    argv: Sequence[str] | None,
    *,
    name: str,
    summary: str,
    config: str,
) -> int:
    """Parse the command line of a command that needs a config but no run, and execute it.

    Parameters
    ----------
    config : the config to read by default
    """
    app, default = typer.Typer(add_completion=False), config

    @app.command(name, help=summary, context_settings=PASS_ON)
    def command(
        context: typer.Context,
        config: ConfigOption = default,
        verbose: VerboseOption = False,
        quiet: QuietOption = False,
        log_format: LogFormatOption = LogFormat.text,
    ) -> None:
        logs = LogStyle(log_format, quiet)
        raise typer.Exit(execute_on_lake(work, config, context.args, is_verbose=verbose, logs=logs))

    return exit_code(app, argv, name=name)


def execute(job: Job, options: Options) -> int:
    """Run a job in a session; report the outcome on the last line and in ``--result``."""
    this: Run | None = None

    def work(spark: SparkSession, config: RunConfig) -> None:
        nonlocal this
        this = open_run(
            spark,
            config,
            progress=Progress(is_live=options.logs.is_live),
            is_refresh=options.is_refresh,
            replaces_samples=options.replaces_samples,
            waits=options.if_running is IfRunning.wait,
        )
        outcome = job(this)
        _print(outcome)
        _write_result(options.result, this, "ok", outcome)
        if options.opens_page:
            open_page(outcome)

    try:  # so that an earlier run's result is not mistaken for this one's
        _write_result(options.result, None, "running")
    except OSError as error:
        say_last(f"config: --result {options.result}: {error.strerror}", options.logs)
        return ConfigError.exit_code
    return execute_on_lake(
        work,
        options.config,
        options.overrides,
        on_failure=lambda message: _write_result(options.result, this, message),
        is_verbose=options.is_verbose,
        logs=options.logs,
    )


def execute_on_lake(
    work: Callable[[SparkSession, RunConfig], object],
    config: str,
    overrides: Sequence[str],
    *,
    on_failure: Callable[[str], None] = lambda message: None,
    is_verbose: bool = False,
    logs: LogStyle = PLAIN,
) -> int:
    """Run a command's work in a session, with or without a pool; print what it returns.

    Parameters
    ----------
    on_failure : receives the message of the last line
    """
    set_up_logging(logs)
    spark, is_ours = None, False
    try:
        loaded = load_config(config, overrides)
        spark, is_ours = get_session(loaded.spark, is_verbose=is_verbose)
        _print(work(spark, loaded))
        return 0
    except Exception as error:
        code = fail(error, logs)
        on_failure(without_secrets(_message(trouble_of(error) or error)))
        return code
    finally:
        if spark is not None and is_ours:
            spark.stop()


def _print(outcome: object) -> None:
    if outcome is not None:
        sys.stdout.write(f"{outcome}\n")


def names_and_overrides(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Separate the names on a command line from the ``key.sub=value`` overrides."""
    overrides = [word for word in words if "=" in word or word.startswith("-")]
    return [word for word in words if word not in overrides], overrides


def fail(error: Exception, logs: LogStyle = PLAIN) -> int:
    """Print an error on the last line of stderr, log its stack, and return the exit code."""
    stack = without_secrets("".join(traceback.format_exception(error)))
    if not isinstance(error, CurationError) and (said := launch.said_so_far()):
        log.error("the JVM said:\n%s", without_secrets(said))
    log.log(logging.DEBUG if isinstance(error, CurationError) else logging.ERROR, stack)
    error = trouble_of(error) or error
    kind = "config" if isinstance(error, ConfigError) else "error"
    say_last(f"{kind}: {without_secrets(_message(error))}", logs)
    return error.exit_code if isinstance(error, CurationError) else 1


def _message(error: Exception) -> str:
    """Return the full message of an error of ours; for any other, its type and first line."""
    if isinstance(error, CurationError):
        return str(error)
    return f"{type(error).__name__}: {reason(error)}"


def _write_result(path: Path | None, this: Run | None, status: str, outcome: object = None) -> None:
    if path is None:
        return
    result: dict[str, Any] = {"status": status}
    if this is not None:
        names = [f"sample_{sample.name}" for sample in this.config.samples]
        result |= {
            "run_id": this.run_id,
            "stage_keys": this.keys,
            "reused": this.reused,
            "inputs": {this.pool.name: this.pool.fingerprint},
            "tables": {t: this.lake.shown(t) for t in ("nodes", "assignments", "samples", *names)},
        }
    if isinstance(outcome, Detailed):
        result |= outcome.as_dict()
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
