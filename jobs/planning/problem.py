"""What is to be planned, and a plan's figures for each part."""

from dataclasses import dataclass

from jobs.clustering.sizes import is_local
from jobs.config.model import RunConfig
from jobs.config.resolving import needs_tuning, resolved
from jobs.sections.samples import CoverageConfig
from jobs.tuning.families import LIKELY_TOP, families

_ORDERED_BYTES = 80.0  # of a sample's row, while the driver finds the order of all (measured)


@dataclass(frozen=True)
class Part:
    """One line of a plan; bytes and seconds are estimates.

    Attributes
    ----------
    level : level of ``cluster_levels``; None for other parts
    solver : ``spark`` or ``local``
    blocks : blocks that each pass covers, or else the tasks' inputs
    n_passes : over the part's inputs, fractions counted
    flops : FLOPs spent on distances
    shipped, shuffled : bytes sent to the executors; bytes moved between tasks
    worker, driver, jvm : peak bytes: the largest Python worker, the driver's Python process, the
        driver's JVM
    gathered : bytes that the tasks of one pass send to the driver
    """

    stage: str
    part: str
    level: int | None
    solver: str
    blocks: int
    n_passes: float
    flops: float
    shipped: float
    shuffled: float
    worker: float
    driver: float
    jvm: float
    seconds: float
    gathered: float = 0.0


@dataclass(frozen=True)
class Problem:
    """What is to be curated.

    Attributes
    ----------
    n_points : rows of the pool, or points if they are embedded already
    n_features : length of the vectors
    config : resolved; before tuning, with the kind of tree that tuning is likely to choose
    is_tuned : whether tuning is part of the run
    notes : what is odd about the pool
    row_seconds : what a costly embedder takes for a row on one core
    model_bytes : size of the model that the driver and each worker load; 0 if none, or unknown
    """

    n_points: int
    n_features: int
    config: RunConfig
    is_tuned: bool = False
    notes: tuple[str, ...] = ()
    row_seconds: float = 0.0
    model_bytes: int = 0

    @property
    def n_bytes(self) -> int:
        """The size of the points' vectors."""
        return 4 * self.n_points * self.n_features

    @property
    def is_local(self) -> bool:
        """Whether level 1 is solved in the driver's memory."""
        return is_local(self.config.cluster, self.n_bytes)

    @property
    def ordered_bytes(self) -> float:
        """The memory in which the driver orders the largest sample's rows, as far as it is known.

        Of a coverage, those of the fewest rows that may reach it, and of as many beyond them.
        """
        n_leaves, rows = min(self.config.cluster.levels[0], self.n_points), [0.0]
        for sample in self.config.samples:
            if sample.is_told_in_rows:
                rows.append(min(sample.rows_of(self.n_points), self.n_points * sample.replicas))
            elif isinstance(sample.target_size, CoverageConfig):
                rows.append(2.0 * float(sample.target_size.coverage) * n_leaves)
        return _ORDERED_BYTES * max(rows)

    def inputs_of(self, level: int) -> int:
        """Return the number of inputs of a level: points, or nodes of the level below."""
        return self.n_points if level == 1 else self.config.cluster.levels[level - 2]


def problem_for(
    n_points: int, n_features: int, config: RunConfig, row_seconds: float = 0.0
) -> Problem:
    """Describe what is to be curated, with likely levels if they are left to tuning."""
    if not needs_tuning(config):
        return Problem(n_points, n_features, config, row_seconds=row_seconds)
    family = families(config.cluster)[0]
    likely = family.config(config.cluster, family.levels(n_points, LIKELY_TOP))
    rounds = [likely.rounds_at(t) for t in range(1, len(likely.levels) + 1)]
    config = resolved(config, likely.levels, rounds, 0.0, 0.0)
    return Problem(n_points, n_features, config, is_tuned=True, row_seconds=row_seconds)
