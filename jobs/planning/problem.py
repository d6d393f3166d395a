"""What is to be planned, and what a plan says of each of its parts."""

from dataclasses import dataclass

from jobs.clustering.sizes import is_local
from jobs.lake.config import RunConfig


@dataclass(frozen=True)
class Part:
    """One line of a plan; bytes and seconds are estimates.

    Attributes
    ----------
    level : of ``cluster_levels``; None elsewhere
    solver : ``spark`` or ``local``
    blocks : that each pass goes over, or tasks' inputs otherwise
    n_passes : over the part's inputs, fractions counted
    flops : of distances
    shipped, shuffled : bytes to the executors; bytes that change places between tasks
    worker, driver, jvm : bytes at their highest: the largest Python worker, the driver's Python
        process, the JVM beside it
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


@dataclass(frozen=True)
class Problem:
    """What is to be curated.

    Attributes
    ----------
    n_points : rows of the pool, or points where they are embedded already
    n_features : length of the vectors
    """

    n_points: int
    n_features: int
    config: RunConfig

    @property
    def n_bytes(self) -> int:
        """The points' vectors."""
        return 4 * self.n_points * self.n_features

    @property
    def is_local(self) -> bool:
        """Whether level 1 is solved in the driver's memory."""
        return is_local(self.config.cluster, self.n_bytes)
