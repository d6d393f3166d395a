"""Synthetic data for what the lake has little of: a plan, captions, images, a check of them.

Reads    what the last run left
Writes   each step its own tables, see its job
Run      evenlake synthesis captions --config my.yaml
"""

import importlib
import importlib.util
import sys
from collections.abc import Callable, Sequence

import typer

from jobs.cli.command import fail
from jobs.cli.options import Whole, exit_code
from jobs.config.errors import ConfigError

# Step -> its job, and what it does; each does those before it if they are not done.
STEPS = {
    "plan": ("plan_synthesis", "Choose concepts, their quotas and prompts; no model."),
    "captions": ("write_captions", "Write and check captions until every quota is met."),
    "images": ("render_images", "Make images of the captions."),
    "check": ("check_synthesis", "Embed the images and see where in the tree they land."),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one step."""
    summary = (__doc__ or "").splitlines()[0]
    app = typer.Typer(help=summary, no_args_is_help=True, add_completion=False)
    for name, (module, what) in STEPS.items():
        app.command(name, help=what, cls=Whole)(_bound(name, module))
    return exit_code(app, argv, name="synthesis")


def _bound(name: str, module: str) -> Callable[[typer.Context], None]:
    def command(context: typer.Context) -> None:
        if importlib.util.find_spec(f"jobs.{module}") is None:
            raise typer.Exit(fail(ConfigError(f"synthesis {name}: not built yet")))
        raise typer.Exit(importlib.import_module(f"jobs.{module}").main(context.args))

    return command


if __name__ == "__main__":
    sys.exit(main())
