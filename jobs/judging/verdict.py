"""Whether a sample is better than a uniform one: what nodes and communities say together."""

import math
from collections.abc import Mapping
from typing import Literal, NamedTuple

MAX_ERRORS = 2.0  # standard errors allowed for chance
EQUIVALENCE_MARGIN = 0.005  # coverage within 0.5 % of the control counts as equal

Side = Literal["better", "same", "worse"]


class Gap(NamedTuple):
    """A sample's coverage distance minus a uniform one's, relative to it; negative is better.

    Attributes
    ----------
    error : standard error of the mean over independent hash samples
    """

    mean: float
    error: float

    @property
    def side(self) -> Side:
        """Whether the sample covers better or worse by more than chance explains."""
        if self.mean > MAX_ERRORS * self.error:
            return "worse"
        is_better = -self.mean > max(EQUIVALENCE_MARGIN, MAX_ERRORS * self.error)
        return "better" if is_better else "same"


class Verdict(NamedTuple):
    """What the views say about a sample; communities are None where the pool has none."""

    nodes: Gap
    communities: Gap | None

    @property
    def weighed(self) -> Gap:
        """The gap of the geometric mean, by which trees are chosen."""
        if self.communities is None:
            return self.nodes
        mean = math.sqrt((1 + self.nodes.mean) * (1 + self.communities.mean)) - 1
        return Gap(mean, math.hypot(self.nodes.error, self.communities.error) / 2)

    @property
    def state(self) -> Literal["better", "same", "worse", "mixed"]:
        """Better if all views say so; worse if one does and no other outweighs it."""
        sides = {gap.side for gap in (self.nodes, self.communities) if gap is not None}
        if "worse" not in sides:
            return "better" if sides == {"better"} else "same"
        is_outweighed = "better" in sides and self.weighed.side != "worse"
        return "mixed" if is_outweighed else "worse"


def verdict_kept(measures: Mapping[str, float], sample: str) -> Verdict:
    """Return what the kept measures say about a sample."""

    def gap(section: str) -> Gap:
        mean, error = (f"{sample}.{section}.coverage_gap{end}" for end in ("", "_error"))
        return Gap(measures[mean], measures[error])

    has_communities = f"{sample}.communities.coverage_gap" in measures
    return Verdict(gap("coverage"), gap("communities") if has_communities else None)
