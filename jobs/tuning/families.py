"""Families of trees: a ladder of levels from the leaves up; every prefix of it is a tree.

Level 1 follows the pool's size: LEAF_POINTS to a leaf. The levels above it follow the concepts in
the data, so their sizes carry over unchanged from a hash sample to the whole pool: the search finds
the size of the top, and the levels between it and the leaves are filled in.
"""

from dataclasses import dataclass

from jobs.sections.cluster import ClusterConfig

MIN_SAMPLED = 20_000  # points of the hash sample; with fewer, a thousand concepts look like noise
SAMPLED_NUMBERS = 5_000_000  # in the hash sample: short vectors allow more points in the same time
LEAF_POINTS = 20  # points per leaf of a large pool
FEW_LEAVES = 2000  # below this many leaves, smaller leaves pay off,
FEW_LEAF_POINTS = 5  # down to this many points each
MAX_LEAVES = 100_000  # bounds the driver's memory
RATIOS = (2, 4, 10)  # nodes of a level per node of the level above
ROUNDS = (3, 0)  # resampling rounds; on the planted pools 10 cost three times as much for no gain
MAX_UPPER = 5000  # the most nodes in a filled-in level above the leaves
LIKELY_TOP = 1000  # nodes, to plan with before the top is known
MIN_TOP = 5  # nodes; a smaller top leaves its quotas no choice
MIN_STEP = 1.25  # nodes per node of the level above; a smaller step is not worth a level


@dataclass(frozen=True)
class Family:
    """Trees that differ only in their top and their share.

    Attributes
    ----------
    ratio : nodes of a level per node of the level above
    rounds : resampling rounds at every level that is not split
    """

    ratio: int
    rounds: int

    def ladder(self, n_points: int) -> list[int]:
        """Return nodes per level, leaves first, down to the smallest top."""
        sizes = [n_leaves(n_points)]
        while (smaller := round(sizes[-1] / self.ratio)) >= MIN_TOP:
            sizes.append(smaller)
        return sizes

    def levels(self, n_points: int, top: int) -> list[int]:
        """Return nodes per level, leaves first, for the tree with this top over ``n_points``."""
        leaves = n_leaves(n_points)
        uppers = [max(1, top)]
        while (larger := uppers[-1] * self.ratio) <= MAX_UPPER:
            uppers.append(larger)
        return [leaves, *(k for k in reversed(uppers) if k * MIN_STEP <= leaves)]

    def config(self, base: ClusterConfig, levels: list[int]) -> ClusterConfig:
        """Return the config resolved to one tree."""
        resolved = base.model_copy(update={"levels": levels})
        rounds = [0 if resolved.cells_at(t) else self.rounds for t in range(1, len(levels) + 1)]
        resampling = base.resampling.model_copy(update={"rounds": rounds})
        return resolved.model_copy(update={"resampling": resampling})


def n_leaves(n_points: int) -> int:
    """Return the number of nodes at level 1, for points with duplicates counted once."""
    few = min(FEW_LEAVES, n_points // FEW_LEAF_POINTS)
    return max(1, few, min(MAX_LEAVES, n_points // LEAF_POINTS))


def n_sampled(n_points: int, n_features: int) -> int:
    """Return the size of the hash sample that trees are tried on."""
    return min(n_points, max(MIN_SAMPLED, SAMPLED_NUMBERS // n_features))


def families(base: ClusterConfig) -> list[Family]:
    """Return all families, simplest first; resampling is varied if the config leaves it open."""
    given = base.resampling.rounds
    return [
        Family(ratio, rounds)
        for rounds in ((given,) if isinstance(given, int) else ROUNDS)
        for ratio in RATIOS
    ]
