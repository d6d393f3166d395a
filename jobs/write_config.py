"""Write a first config, commented, for the pool that is found at a place.

Reads    the first rows of the pool, without Spark
Writes   one YAML file
Run      evenlake init /lake/documents.parquet
"""

import shlex
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from jobs.cli.options import exit_code
from jobs.config.errors import ConfigError, CurationError
from jobs.config.examples import example, examples, modules_of
from jobs.starting.choosing import Modality, choose
from jobs.starting.found import Found
from jobs.starting.looking import look
from jobs.starting.writing import config_text

DEFAULT = "evenlake.yaml"
_STARTERS = {"text": "texts.jsonl", "images": "images.parquet", "vectors": "vectors.parquet"}
_WANTED = "FILL IN: a path, a URI or a table's name"


def first_config(pool: str | None, modality: Modality | None, config: str) -> tuple[str, str]:
    """Return a config for a pool, or a starter without one, and what it is for.

    Raises
    ------
    ConfigError
        If there is no pool, or the flag does not fit it.
    """
    if pool is None:
        kind = modality or "text"
        table = f"data/{_STARTERS[kind]}"
        found = Found(table, "a starter; fill in where your pool is", wanted=_WANTED)
    else:
        found = look(pool)
    choice = choose(found, modality)
    root = _root(found.table)
    return config_text(found, choice, root=root, path=config), found.shown


def _root(table: str) -> str:
    """Return a folder in the working folder, named after the pool; beside the pool if within it."""
    name = Path(table.rstrip("/")).expanduser().resolve().name.split(".")[0] or "pool"
    root, pool = Path(f"{name}-lake"), Path(table).expanduser().resolve()
    if pool.is_dir() and root.resolve().is_relative_to(pool):
        return str(pool.with_name(f"{name}-lake"))
    return str(root)


def write(path: Path, text: str, *, is_forced: bool) -> None:
    """Write a config; overwrite an existing file only if forced.

    Raises
    ------
    ConfigError
    """
    try:
        with path.open("w" if is_forced else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise ConfigError(
            f"{path} is there already; name another file with --config, or replace it with --force"
        ) from error
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}") from error


def main(argv: Sequence[str] | None = None) -> int:
    """Write a first config."""
    app = typer.Typer(add_completion=False)

    @app.command(
        "init", help="Write a commented config for the pool at a path, or without one a starter."
    )
    def command(
        pool: Annotated[str | None, typer.Argument(help="Path or table name of the pool.")] = None,
        text: Annotated[bool, typer.Option("--text", help="Curate its texts.")] = False,
        images: Annotated[bool, typer.Option("--images", help="Curate its images.")] = False,
        vectors: Annotated[bool, typer.Option("--vectors", help="Curate its vectors.")] = False,
        example_name: Annotated[
            str | None,
            typer.Option("--example", help=f"Write an example instead: {', '.join(examples())}."),
        ] = None,
        config: Annotated[str, typer.Option("--config", "-c", help="File to write.")] = DEFAULT,
        force: Annotated[bool, typer.Option("--force", help="Replace a file.")] = False,
    ) -> None:
        flags: dict[Modality, bool] = {"text": text, "images": images, "vectors": vectors}
        asked = [modality for modality, is_asked in flags.items() if is_asked]
        try:
            if len(asked) > 1:
                raise ConfigError(f"--{' --'.join(asked)}: want one of them")
            path, modules = Path(config).expanduser(), dict[str, str]()
            if example_name is not None:
                content, what = example(example_name), f"the example {example_name}"
                modules = modules_of(example_name)
            else:
                content, what = first_config(pool, next(iter(asked), None), config)
            write(path, content, is_forced=force)
            for name, source in modules.items():
                write(path.with_name(name), source, is_forced=force)
                what += f", and {name} beside it"
        except CurationError as error:
            _say(f"config: {error}", is_error=True)
            raise typer.Exit(error.exit_code) from error
        _say(f"{config}: {what}")
        if find_spec("pyspark") is None:
            _say("Spark is missing here:  pip install 'evenlake[local]'")
        _say(f"next:  evenlake curate --config {shlex.quote(config)}")

    return exit_code(app, argv, name="init")


def _say(line: str, *, is_error: bool = False) -> None:
    (sys.stderr if is_error else sys.stdout).write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main())
