"""What a stage beside the run builds on: the pool or a sample, and a level of the tree."""

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
    if source == POOL and POOL in names:
        raise ConfigError(
            f"{key}={POOL!r} is all points, but a sample has that name too; name it otherwise"
        )
    if source not in (POOL, *names):
        raise ConfigError(
            f"{key}={source!r}: want {POOL}, or the name of a sample: {', '.join(names)}"
        )


def require_level(run: Run, key: str, level: int | None, instead: str = "null") -> None:
    """Refuse a level that the run's tree does not have, if its levels are known.

    Parameters
    ----------
    key : the config key that names it
    instead : what may stand in place of a level, for the message

    Raises
    ------
    ConfigError
    """
    run.resolve()  # a refresh of a stage beside the run takes the tree as it is
    n_levels = len(run.config.cluster.levels)
    if level is not None and 0 < n_levels < level:
        raise ConfigError(
            f"{key}={level}, but the tree has {n_levels} levels; want one of them, or {instead}"
        )
