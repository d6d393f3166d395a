"""Where a stage beside the run takes its rows from: the pool, or a sample."""

from jobs.config.errors import ConfigError
from jobs.runs.run import Run
from jobs.sections.kinds import POOL


def require_source(run: Run, key: str, source: str | None) -> None:
    """Refuse a source that is neither the pool nor a sample of the config.

    Parameters
    ----------
    key : the config key that names it

    Raises
    ------
    ConfigError
    """
    names = [sample.name for sample in run.written.samples]
    if source not in (POOL, *names):
        raise ConfigError(
            f"{key}={source!r}: want {POOL}, or the name of a sample: {', '.join(names)}"
        )
