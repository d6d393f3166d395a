"""The traps that a config walks into, each with the key to change."""

from collections.abc import Iterator

from jobs.clustering.sizes import CELL_BYTES, FEW_PER_CELL, fitting_cells, max_cell_rows
from jobs.planning.passes import cells_of
from jobs.planning.problem import Problem
from jobs.sections.cluster import ClusterConfig
from jobs.sections.samples import SampleConfig
from udfs.kernels.kmeans.resampling import closest_points

MAX_CHILDREN = 20  # mean, per node: the paper's largest step (10M leaves to 500k)
# 1000 unrelated concepts: KL 1.7 with levels 4000/500/100, as bad as none, and .03 with 4000/1000.
# Texts: 270 effective nodes with 3000/300/50, 486 with a uniform sample, 617 with 2000/200.
FEW_AT_TOP = 200
POINTS_PER_TOP_NODE = 100  # a pool with fewer has no room for a top of FEW_AT_TOP
FEW_PER_LEAF = 5  # points
LARGE_SHARE = 0.5  # share of the pool in one sample


def warnings(problem: Problem) -> list[str]:
    """Return the traps, each with the key to change."""
    if problem.is_tuned:  # a tuned tree needs no advice
        return [*problem.notes, *_samples(problem)]
    tree = [*_levels(problem), *_leaves(problem), *_resampling(problem)]
    return [*problem.notes, *tree, *_samples(problem)]


def _levels(problem: Problem) -> Iterator[str]:
    levels = problem.config.cluster.levels
    for i in range(1, len(levels)):
        children = levels[i - 1] / levels[i]
        if children > MAX_CHILDREN:
            yield (
                f"cluster.levels[{i}]={levels[i]} gives its nodes {children:.0f} children in the "
                f"mean, more than {MAX_CHILDREN}: unrelated concepts share a node, and equal "
                f"shares starve them; raise cluster.levels[{i}] to "
                f"{-(-levels[i - 1] // MAX_CHILDREN)} or more, or put a level between"
            )
    drawn = (s.share.powers for s in problem.config.samples if s.blend is None)
    trusts_top = any(share.leaves < 1 and share.points < 1 for share in drawn)
    wanted = min(FEW_AT_TOP, problem.n_points // POINTS_PER_TOP_NODE)
    if len(levels) > 1 and levels[-1] < wanted and trusts_top:
        i = len(levels) - 1
        yield (
            f"cluster.levels[{i}]={levels[i]} is a small top: with more concepts than that which "
            "are unrelated, the sample may be worse than a uniform one; unless they fall into "
            f"about {levels[i]} groups, drop the level, raise it to {wanted} or more, or leave "
            "cluster.levels to auto"
        )


def _leaves(problem: Problem) -> Iterator[str]:
    cluster, n = problem.config.cluster, problem.n_points
    k = cluster.levels[0]
    if n / k < FEW_PER_LEAF:
        yield (
            f"cluster.levels[0]={k} leaves {n / k:.1f} points per leaf of a pool of {n}, fewer "
            f"than {FEW_PER_LEAF}: leaves follow noise; lower cluster.levels[0] to "
            f"{max(1, n // FEW_PER_LEAF)} or less"
        )
    yield from _cells(problem)


def _cells(problem: Problem) -> Iterator[str]:
    """Warn of cells that are too large to be solved at once, or too many for their leaves."""
    cluster, n = problem.config.cluster, problem.n_points
    k, n_cells = cluster.levels[0], cluster.cells_at(1)
    if n_cells == 0:
        return
    rows, key = cell_limit(cluster, problem.n_features)
    fitting, n_leaves = fitting_cells(n, rows)
    fix = f"set cluster.split to {fitting}"
    if k < n_leaves:
        fix += f", and raise cluster.levels[0]={k} to {n_leaves} or more"
    if k * rows < n:  # a cell needs a leaf
        yield (
            f"cluster.levels[0]={k} leaves can have no more cells than that, of {n / k:.0f} points "
            f"in the mean, and a cell holds at most {rows} ({key}): unless most points are copies, "
            f"the run will stop there; {fix}"
        )
    elif n / n_cells > rows:
        yield (
            f"cluster.split={cluster.split} makes {n_cells} cells of {n / n_cells:.0f} points in "
            f"the mean; those over {rows} ({key}) are divided again, on what a sample shows of "
            f"them: {fix}"
        )
    elif _leaves_per_cell(problem, cluster) < FEW_PER_CELL:
        auto = cluster.model_copy(update={"split": "auto"})
        is_enough = n <= rows * (auto.cells_at(1) or n)
        if is_enough and _leaves_per_cell(problem, auto) >= FEW_PER_CELL:
            fix = "set cluster.split: auto"
        yield (
            f"cluster.split={cluster.split} leaves {_leaves_per_cell(problem, cluster):.1f} of "
            f"cluster.levels[0]={k} leaves to a cell, so that cells are the clusters; {fix}"
        )


def _leaves_per_cell(problem: Problem, cluster: ClusterConfig) -> float:
    """Return the mean number of level 1's leaves per cell; all of them if it is not split."""
    n_cells = cells_of(problem.n_points, 1, problem.n_features, cluster)
    return cluster.levels[0] / (n_cells or 1)


def cell_limit(cluster: ClusterConfig, n_features: int) -> tuple[int, str]:
    """Return the number of points that one cell may hold, and what sets that limit."""
    limit = max_cell_rows(cluster, n_features)
    is_given = limit == cluster.max_cell_rows
    return limit, "cluster.max_cell_rows" if is_given else f"the {CELL_BYTES >> 20} MiB of a cell"


def _resampling(problem: Problem) -> Iterator[str]:
    cluster = problem.config.cluster
    for t, k in enumerate(cluster.levels, start=1):
        if not cluster.rounds_at(t):
            continue
        n_rows = problem.inputs_of(t)
        kept = min(closest_points(cluster.points_at(t), n_rows, k), n_rows / k)
        if cluster.cells_at(t):
            yield (
                f"cluster.resampling.rounds={cluster.rounds_at(t)} is skipped at level {t}, which "
                f"is split into {cluster.cells_at(t)} cells; set cluster.split: off to have it"
            )
        elif kept < 2:
            yield (
                f"cluster.resampling keeps {kept:.2g} points per cluster at level {t}, fewer than "
                f"2: clusters are refitted to single points; raise cluster.resampling.points, or "
                f"lower cluster.levels[{t - 1}]={k} to {n_rows // 2} or less"
            )


def _samples(problem: Problem) -> Iterator[str]:
    for i, sample in enumerate(problem.config.samples):
        capacity = problem.n_points * sample.replicas
        if not sample.is_told_in_rows:
            continue
        wanted = sample.rows_of(problem.n_points)
        share = wanted / capacity
        size = f"samples.{i}.target_size={wanted}"
        if share > 1 and sample.blend is not None:
            yield (
                f"{size} exceeds the {capacity} points that there are, and a blend takes none "
                f"twice: it will be refused; lower it to {capacity} or less"
            )
        elif share > 1:
            whole = "all that its constraints leave" if sample.is_constrained else "the whole pool"
            yield (
                f"{size} exceeds the {capacity} rows that there are: the sample is {whole}; lower "
                f"it, or raise samples.{i}.replicas"
            )
        elif share > LARGE_SHARE:
            yield (
                f"{size} is {share:.0%} of the pool, so that {_room(sample)}; lower it to "
                f"{int(LARGE_SHARE * capacity)} or less"
            )


def _room(sample: SampleConfig) -> str:
    """Return what little room does to a sample that takes most of the pool."""
    if sample.blend is not None:
        return "it is much like the pool, whatever it is blended of"
    return "balancing has little room"
