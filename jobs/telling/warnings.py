"""Warnings of a sample that covers too little, with what to change in its config."""

from collections.abc import Sequence

from jobs.judging.verdict import Verdict
from jobs.reporting.cells import CellOf
from jobs.reporting.numbers import human
from jobs.sections.kinds import LedBy
from jobs.sections.samples import SampleConfig


def worse_than_uniform(
    sample: SampleConfig, verdict: Verdict, *, given: Sequence[int], levels: Sequence[int]
) -> str:
    """Return a warning that a sample covers less than a uniform one, with what to change.

    Parameters
    ----------
    given : the levels in the config; empty if they are left to ``auto``
    levels : the levels of the tree
    """
    cause = f"levels {'/'.join(map(str, levels))} do not fit the data"
    if sample.beside_tree:
        cause, fix = _beside_tree(sample)
    elif given:
        fix = "leave cluster.levels and share to auto; evenlake tune says what they will be"
    else:
        fix = "embed with a model that tells its concepts apart, or draw with share.points: 1"
    gap, where = verdict.nodes, ""
    if verdict.communities is not None and verdict.communities.mean > gap.mean:
        gap = verdict.communities
        where = " averaged over communities, so that a few broad concepts may fill the sample"
    return (
        f"{sample.name} covers the pool worse than a uniform sample of its size: coverage distance "
        f"{gap.mean:+.1%} ± {gap.error:.1%}{where}; {cause}: {fix}"
    )


def beside_tree_said(sample: SampleConfig, led_by: LedBy | None) -> str | None:
    """Return what else than the tree may keep a sample from covering the pool, as a sentence.

    None if the tree alone draws it.

    Parameters
    ----------
    led_by : what decides what it holds, or what its parts hold
    """
    if not sample.beside_tree:
        return None
    if led_by == "seeds":
        return "It is to be like its seeds, not to cover the pool."
    cause, fix = _beside_tree(sample)
    return f"{cause[0].upper()}{cause[1:]}: {fix}."


def _beside_tree(sample: SampleConfig) -> tuple[str, str]:
    """Return what else than the tree decides what a sample holds, and what to change."""
    if sample.blend is not None:
        parts = f"it holds what its parts give it ({', '.join(sample.blend)})"
        return parts, "give larger shares of it to those that cover the pool better"
    keys = sample.beside_tree
    them = "it" if len(keys) == 1 else "them"
    fix = f"loosen or drop {them} if the sample is to cover the pool"
    if sample.seeds and sample.on_worse_than_uniform == "fail":
        fix += ", or set on_worse_than_uniform: warn"
    return f"more than the tree decides what it holds ({', '.join(keys)})", fix


def few_for_top(name: str, size: int, n_top: int) -> str:
    """Return a warning that a sample is too small to reach every node of the top."""
    return (
        f"{name} has {size} rows for the {n_top} nodes of the top level: at least {n_top - size} "
        f"get none, so that shares cannot balance them; set target_size to {2 * n_top} or more, "
        "or leave cluster.levels to auto"
    )


def unjudged_said(cell: CellOf, name: str, judge: str | None) -> str | None:
    """Return how many rows of a sample the second embedding has no vector for; None if it has all.

    Parameters
    ----------
    judge : its column
    """
    names = ("n_rows", "n_without_vector", "n_compared")
    n_rows, n_without, n_compared = (cell("judge_coverage", name, None, each) for each in names)
    if not n_without.value and not n_without.control:
        return None
    return (
        f"{human(n_without.value)} of {human(n_rows.value)} rows of {name} looked at have no "
        f"vector in report.judge={judge!r}, and of as many uniform ones "
        f"{human(n_without.control)}: {human(n_compared.value)} of each are compared there"
    )
