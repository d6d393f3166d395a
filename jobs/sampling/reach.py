"""A sample whose size depends on the tree: the fewest rows that reach a share of the leaves."""

import contextlib
import math
from bisect import bisect_left
from collections.abc import Callable
from fractions import Fraction

import numpy as np

from jobs.config.errors import ConfigError, TooFewRowsError
from jobs.sampling.shares import Share, Stratum
from jobs.sections.samples import CoverageConfig, SampleConfig


def rows_for_coverage(
    sample: SampleConfig, n_leaves: int, most: int, plan: Callable[[int], Share]
) -> int:
    """Return the fewest rows that reach the wanted share of the leaves, and meet all minima.

    See ``admitted``.

    Parameters
    ----------
    n_leaves : leaves that hold points
    most : the largest possible number of rows
    plan : returns what the sample of some size takes of every node

    Raises
    ------
    ConfigError
        If the constraints leave too few leaves.
    """
    if not isinstance(sample.target_size, CoverageConfig):
        raise TypeError(f"samples.{sample.name}.target_size={sample.target_size!r} is no coverage")
    whole = plan(most)
    most = whole.size  # less than asked for where there are bounds
    (stratum,) = whole.strata
    n_reached = np.count_nonzero(stratum.quotas[0])
    wanted = math.ceil(Fraction(str(sample.target_size.coverage)) * n_leaves)
    if n_reached < wanted:
        raise ConfigError(
            f"samples.{sample.name}.target_size.coverage={sample.target_size.coverage:g} of "
            f"{n_leaves:,} leaves are {wanted:,}, and its constraints leave {n_reached:,}; want "
            f"at most {1000 * n_reached // n_leaves / 1000:g}, or relax them"
        )
    # the order of rows takes memory for each, so it is found for a sample of about the size only
    stratum = _reaching(plan, wanted, whole)
    quotas = stratum.quotas[0][stratum.quotas[0] > 0]
    firsts = stratum.positions[np.cumsum(quotas) - quotas]
    n_rows = int(np.sort(firsts)[wanted - 1]) + 1
    if not _is_too_few(plan, n_rows):
        return n_rows
    demanded = bisect_left(range(n_rows, most), True, key=lambda n: not _is_too_few(plan, n))
    return n_rows + demanded


def _reaching(plan: Callable[[int], Share], wanted: int, whole: Share) -> Stratum:
    """Return a sample that reaches so many leaves, at most twice as large as need be."""
    size = wanted
    while size < whole.size:
        with contextlib.suppress(TooFewRowsError):
            (stratum,) = plan(size).strata
            if np.count_nonzero(stratum.quotas[0]) >= wanted:
                return stratum
        size *= 2
    (stratum,) = whole.strata
    return stratum


def _is_too_few(plan: Callable[[int], Share], n_rows: int) -> bool:
    """Return whether the constraints demand more rows."""
    try:
        plan(n_rows)
    except TooFewRowsError:
        return True
    return False
