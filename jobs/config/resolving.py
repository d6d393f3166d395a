"""Resolving a config: ``auto`` is replaced by what tuning chose."""

from collections.abc import Sequence

from jobs.config.model import RunConfig


def needs_tuning(config: RunConfig) -> bool:
    """Return whether levels, or a sample's share of leaves, are left to ``auto``."""
    return not config.cluster.levels or any(s.share.leaves == "auto" for s in config.samples)


def resolved(
    config: RunConfig, levels: Sequence[int], rounds: Sequence[int], leaves: float
) -> RunConfig:
    """Return the config with every ``auto`` of levels and shares replaced by the choice.

    Parameters
    ----------
    levels, rounds : nodes and resampling rounds per level, leaves first; ignored if the config
        gives its levels
    leaves : share of leaves
    """
    samples = [
        s.model_copy(update={"share": s.share.model_copy(update={"leaves": leaves})})
        if s.share.leaves == "auto"
        else s
        for s in config.samples
    ]
    cluster = config.cluster
    if not cluster.levels:
        resampling = cluster.resampling.model_copy(update={"rounds": [*rounds]})
        cluster = cluster.model_copy(update={"levels": [*levels], "resampling": resampling})
    return config.model_copy(update={"cluster": cluster, "samples": samples})
