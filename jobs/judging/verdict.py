"""Whether a sample is better than a uniform one: what nodes and communities say together."""

from typing import Literal, NamedTuple

MAX_ERRORS = 2.0  # standard errors allowed for chance
AS_CLOSE = 0.005  # coverage within 0.5 % of the control counts as equal

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
        is_better = -self.mean > max(AS_CLOSE, MAX_ERRORS * self.error)
        return "better" if is_better else "same"


class Verdict(NamedTuple):
    """What the views say of a sample; communities are None where the pool has none."""

    nodes: Gap
    communities: Gap | None

    @property
    def state(self) -> Literal["better", "same", "worse", "mixed"]:
        """Better if all views say so; worse if one does and none says better; mixed if both."""
        sides = {gap.side for gap in (self.nodes, self.communities) if gap is not None}
        if sides == {"better"}:
            return "better"
        if "worse" in sides:
            return "mixed" if "better" in sides else "worse"
        return "same"
