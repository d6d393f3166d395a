"""Why one point is in a sample, or is not."""

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from operator import or_

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from jobs.runs.explanation import Node, Place
from jobs.sections.samples import IdsConfig, Picked, SampleConfig


def with_quotas(allocations: DataFrame, path: Sequence[Node], names: Sequence[str]) -> list[Node]:
    """Return a point's nodes with the quotas that they have in some samples."""
    is_on_path = reduce(
        or_, ((F.col("level") == n.level) & (F.col("node_id") == n.node_id) for n in path)
    )
    rows = allocations.where(is_on_path).select("level", "sample", "quota")
    quotas = {(row.level, row.sample): row.quota for row in rows.collect()}
    return [replace(n, quotas={name: quotas[n.level, name] for name in names}) for n in path]


def placed(sample: SampleConfig, drawn: Sequence[Row], rank: int | None, quota: int) -> Place:
    """Return a point's place in a sample, or why it has none.

    Parameters
    ----------
    drawn : its rows in the sample: replica, position, reason; the first replica first
    rank : rank in its leaf; None if the sample may not hold it, or has no ranks
    quota : quota of its leaf
    """
    if not drawn:
        return Place(sample.name, [], rank, _why_not(sample, rank, quota))
    first = drawn[0]
    replicas = [row.replica for row in drawn]
    return Place(sample.name, replicas, rank, position=first.position, part=first.reason)


def _why_not(sample: SampleConfig, rank: int | None, quota: int) -> str:
    if sample.blend is not None:
        return f"not among the rows that it takes of {', '.join(sample.blend)}"
    if sample.retrieved:
        return f"not drawn of the points that {' and '.join(sample.retrieved)} leaves"
    if rank is None:
        return f"must_exclude: {_said(sample.must_exclude)}"
    among = " among the rows of its value" if sample.quotas else ""
    return f"rank {rank}{among}, its leaf's quota is {quota}"


def _said(picked: Picked) -> str:
    return str(picked.table if isinstance(picked, IdsConfig) else picked)
