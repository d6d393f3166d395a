"""Shares to choose from: how the quotas of a tree's nodes follow their leaves and their points."""

from collections.abc import Iterator, Sequence
from itertools import product

from jobs.sections.samples import SampleConfig
from jobs.sections.share import Powers, ShareConfig

LEAVES = (0.0, 0.25, 0.5, 0.75, 1.0)  # values of share.leaves; at 1 only the leaves matter
# Values of share.points, between equal shares and a uniform sample, tried where equal shares do not
# cover communities better than it does: there its nodes may not be the concepts.
POINTS = (0.25, 0.5, 0.75)
SHARES = (*(Powers(leaves=x) for x in LEAVES), *(Powers(points=x) for x in POINTS))
COARSE_SHARES = (Powers(), Powers(leaves=0.5), Powers(points=0.5))  # tried first


def shares_of(samples: Sequence[SampleConfig]) -> list[Powers]:
    """Return the shares to choose from: for samples that leave theirs open, if there are any."""
    given = [sample.share for sample in samples]
    opens = [share for share in given if share.is_open]
    return [*dict.fromkeys(share for each in opens or given for share in _within(each))]


def _within(share: ShareConfig) -> Iterator[Powers]:
    """Yield the shares that a config allows."""
    if share.leaves == share.points == "auto":
        yield from SHARES
        return
    leaves = LEAVES if share.leaves == "auto" else (share.leaves,)
    points = (0.0, *POINTS) if share.points == "auto" else (share.points,)
    yield from map(Powers._make, product(leaves, points))


def split(shares: Sequence[Powers]) -> tuple[list[Powers], list[Powers]]:
    """Return those to try first, without points if there are any, and the others."""
    first = [share for share in shares if not share.points] or [*shares]
    return first, [share for share in shares if share not in first]


def shares_at(depth: int, shares: Sequence[Powers]) -> list[Powers]:
    """Return those that give different samples of a tree, and more than its leaves alone would."""
    if depth == 1:
        return [Powers(points=points) for points in dict.fromkeys(s.points for s in shares)]
    return [share for share in shares if share.leaves < 1] or [*shares]
