"""Resolving a config: ``auto`` is replaced by what tuning chose."""

from collections.abc import Sequence

from jobs.config.model import RunConfig


def needs_tuning(config: RunConfig) -> bool:
    """Return whether levels, or a sample's share, are left to ``auto``."""
    return not config.cluster.levels or any(s.share.is_open for s in config.samples)


def resolved(
    config: RunConfig,
    levels: Sequence[int],
    rounds: Sequence[int],
    leaves: float,
    points: float,
) -> RunConfig:
    """Return the config with every ``auto`` of levels and shares replaced by the choice.

    Parameters
    ----------
    levels, rounds : nodes and resampling rounds per level, leaves first; ignored if the config
        gives its levels
    leaves, points : the powers of ``samples.share``
    """
    samples = [
        s.model_copy(update={"share": s.share.resolved(leaves, points)}) for s in config.samples
    ]
    cluster = config.cluster
    if not cluster.levels:
        resampling = cluster.resampling.model_copy(update={"rounds": [*rounds]})
        cluster = cluster.model_copy(update={"levels": [*levels], "resampling": resampling})
    return config.model_copy(update={"cluster": cluster, "samples": samples})
