"""Settling a config: what it leaves to ``auto`` becomes what tuning chose.

The choice is kept as the figures of ``tune_tree`` in the ledger: ``level_1``, ``level_2``, ...,
``rounds_1``, ... where levels were sought, and ``share_leaves``.
"""

from collections.abc import Mapping

from jobs.lake.config import ClusterConfig, RunConfig


def needs_tuning(config: RunConfig) -> bool:
    """Tell whether levels, or a sample's share of leaves, are left to ``auto``."""
    return not config.cluster.levels or any(s.share.leaves == "auto" for s in config.samples)


def figures_of(cluster: ClusterConfig, leaves: float, *, is_given: bool) -> dict[str, float]:
    """Give a choice as figures."""
    figures = {"share_leaves": leaves}
    for t, k in enumerate([] if is_given else cluster.levels, start=1):
        figures |= {f"level_{t}": float(k), f"rounds_{t}": float(cluster.rounds_at(t))}
    return figures


def settled(config: RunConfig, figures: Mapping[str, float]) -> RunConfig:
    """Give the config with every ``auto`` of levels and shares replaced by the choice."""
    share = {"leaves": figures["share_leaves"]}
    samples = [
        s.model_copy(update={"share": s.share.model_copy(update=share)})
        if s.share.leaves == "auto"
        else s
        for s in config.samples
    ]
    cluster = config.cluster
    if not cluster.levels:
        n_levels = sum(name.startswith("level_") for name in figures)
        levels, rounds = (
            [int(figures[f"{name}_{t}"]) for t in range(1, n_levels + 1)]
            for name in ("level", "rounds")
        )
        resampling = cluster.resampling.model_copy(update={"rounds": rounds})
        cluster = cluster.model_copy(update={"levels": levels, "resampling": resampling})
    return config.model_copy(update={"cluster": cluster, "samples": samples})
