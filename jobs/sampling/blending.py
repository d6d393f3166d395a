"""Blends: samples made of the first rows of other samples, in given shares."""

from bisect import bisect_left
from collections.abc import Sequence
from functools import partial, reduce
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute
from numpy.typing import NDArray
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from jobs.config.errors import ConfigError
from jobs.runs.work import Work
from jobs.sampling.drawing import DRAWN
from jobs.sampling.shares import allocations_of
from jobs.sections.kinds import POOL
from jobs.sections.samples import SampleConfig
from jobs.sections.share import ShareConfig
from udfs.kernels.sampling.allocation import TreeLevel, pool_weights
from udfs.kernels.sampling.quotas import divide_quotas, units_below

UNIFORM = f".{POOL}"  # name of the uniform draw from the pool whose rows blends take


def uniform_draws(samples: Sequence[SampleConfig], n_points: int) -> list[SampleConfig]:
    """Return the draw from the pool that blends ask for, if any: as many rows as the largest blend.

    Rows that other parts already hold are passed over; there are at most as many as the blend has.
    """
    wanted = [s.rows_of(n_points) for s in samples if s.blend is not None and POOL in s.blend]
    if not wanted:
        return []
    uniform = ShareConfig(leaves=0.0, points=1.0)
    return [SampleConfig.model_construct(name=UNIFORM, target_size=max(wanted), share=uniform)]


def with_blends(
    this: Work,
    blends: Sequence[SampleConfig],
    drawn: DataFrame,
    allocations: pa.Table,
    levels: Sequence[TreeLevel],
) -> tuple[DataFrame, pa.Table]:
    """Return the rows and allocations of samples, and those of blends of them.

    Parameters
    ----------
    drawn : of ``draw_points``; allocations : of ``allocations_of``; those of ``uniform_draws`` go
    levels : the tree's levels, leaves first

    Raises
    ------
    ConfigError
        If a part of a blend has too few rows.
    """
    n_points = int(levels[-1].n_points.sum())
    kept = this.persisted(drawn)  # every blend reads it several times
    found = [_blended(blend, kept, blend.rows_of(n_points), levels) for blend in blends]
    union = partial(DataFrame.unionByName, allowMissingColumns=True)
    rows = reduce(union, (rows for rows, _ in found), kept.where(F.col("sample") != UNIFORM))
    own = allocations.filter(pa.compute.field("sample") != UNIFORM)
    return rows, pa.concat_tables([own, *(allocated for _, allocated in found)])


def _blended(
    sample: SampleConfig, drawn: DataFrame, n_rows: int, levels: Sequence[TreeLevel]
) -> tuple[DataFrame, pa.Table]:
    """Return the rows of a blend and its allocations.

    A row's reason is the part that it comes from. Its pool_weight is that of all the blend's rows
    in its leaf: whatever the parts, a leaf's rows together stand for its points.
    """
    blend, n_leaves = _Blend(sample, drawn), len(levels[0].parents)
    rows = blend.rows(n_rows)
    counts = _counted(rows, len(blend.names), n_leaves)
    blend.require_full(counts.sum(axis=1), n_rows)
    quotas = [counts.sum(axis=0)]
    for below, level in pairwise(levels):
        quotas.append(units_below(quotas[-1], below.parents, len(level.parents)))
    weights = pa.table(
        {"leaf_id": np.arange(n_leaves), "pool_weight": pool_weights(levels, quotas)}
    )
    weighted = rows.join(drawn.sparkSession.createDataFrame(weights), on="leaf_id", how="inner")
    allocations = allocations_of(sample.name, [level.n_points for level in levels], quotas)
    return weighted.select(*DRAWN, "reason"), allocations


class _Blend:
    """What a blend takes of its parts.

    Attributes
    ----------
    names : names of the samples that its parts come from
    """

    def __init__(self, sample: SampleConfig, drawn: DataFrame) -> None:
        self._sample, self._drawn = sample, drawn
        self._parts = sample.blend or {}
        self._shares = np.array([*self._parts.values()])
        self.names = [UNIFORM if name == POOL else name for name in self._parts]

    def sizes(self, n_rows: int) -> NDArray[np.int64]:
        """Return how many of some rows are of each part : (n_parts,)."""
        zeros = np.zeros(len(self.names), np.int64)
        most, order = np.full_like(zeros, n_rows), np.arange(len(zeros), dtype=np.uint64)
        return divide_quotas(np.array([n_rows]), zeros, self._shares, most, order)

    def rows(self, n_rows: int) -> DataFrame:
        """Return its rows, fewer if a part is too small.

        Part by part, each takes the first points of its sample that those before it have not taken.
        Then all are put in the order of their turns, so that every prefix holds the shares.
        """
        by_position = Window.partitionBy("sample").orderBy("position")
        parts: list[DataFrame] = []
        for i, (name, n) in enumerate(zip(self.names, self.sizes(n_rows).tolist(), strict=True)):
            mine = self._drawn.where((F.col("sample") == name) & (F.col("replica") == 0))
            for other in parts:
                mine = mine.join(other.select("id"), on="id", how="left_anti")
            mine = mine.withColumn("turn", F.row_number().over(by_position) - 1)
            parts.append(mine.where(F.col("turn") < n).withColumn("part", F.lit(i)))
        share, called = (F.array(*map(F.lit, of)) for of in (self._shares.tolist(), self._parts))
        # as in ``kernels.sampling.quotas``: unit u of a part has priority share / (2u + 1)
        priority = F.get(share, "part") / (2.0 * F.col("turn") + 1)
        in_turns = Window.partitionBy("sample").orderBy(priority.desc(), "part")
        return (
            reduce(DataFrame.unionByName, parts)
            .drop("pool_weight")
            .withColumn("sample", F.lit(self._sample.name))
            .withColumn("position", F.row_number().over(in_turns).cast("bigint") - 1)
            .withColumn("reason", F.get(called, "part"))
        )

    def require_full(self, found: NDArray[np.int64], n_rows: int) -> None:
        """Refuse a size for which a part has too few rows.

        Parameters
        ----------
        found : (n_parts,) the rows that there are
        """
        wanted = self.sizes(n_rows)
        if (found == wanted).all():
            return
        i = int(np.flatnonzero(found < wanted)[0])
        # with fewer rows, every part takes fewer and leaves more to the parts after it
        most = bisect_left(range(1, n_rows), True, key=self._is_short)
        part = [*self._parts][i]
        raise ConfigError(
            f"samples.{self._sample.name}: target_size is {n_rows:,} rows, of which {wanted[i]:,} "
            f"are to be of {part}, and it has {found[i]:,} that no part before it takes; want "
            f"{most} or fewer, a larger sample there, or a smaller share of it"
        )

    def _is_short(self, n_rows: int) -> bool:
        return self.rows(n_rows).count() < n_rows


def _counted(rows: DataFrame, n_parts: int, n_leaves: int) -> NDArray[np.int64]:
    """Count a blend's rows : (n_parts, n_leaves) int64."""
    found = rows.groupBy("part", "leaf_id").count().toArrow()
    counts = np.zeros((n_parts, n_leaves), np.int64)
    counts[found["part"].to_numpy(), found["leaf_id"].to_numpy()] = found["count"].to_numpy()
    return counts
