"""A sample whose size is a total, such as tokens: the longest prefix that does not exceed it."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.config.errors import ConfigError, TooFewRowsError
from jobs.sampling.candidates import number_in
from jobs.sampling.counts import Counts, exact_size
from jobs.sampling.shares import Share
from jobs.sections.samples import SampleConfig, TotalConfig

_MARGIN = 1.25  # over the expected number of rows, so that the first try mostly suffices
_LEAST = 16  # rows drawn per try


def rows_for_total(
    sample: SampleConfig,
    points: DataFrame,
    counts: Counts,
    plan: Callable[[int], Share],
    draw: Callable[[Sequence[Share]], DataFrame],
) -> int:
    """Return the largest number of rows whose sizes sum to at most the wanted total.

    Parameters
    ----------
    points : id, size
    plan : returns what the sample of some size takes of every node
    draw : returns samples : id, position

    Raises
    ------
    ConfigError
        If points have no size, not even one row fits, or the constraints allow no size.
    """
    wanted, at = _total(sample), f"samples.{sample.name}.target_size"
    n_points = int(counts.n_points.sum())
    _require_sizes(f"{at}.of={wanted.of!r}", counts, n_points)
    most = n_points * sample.replicas
    if counts.total_size * sample.replicas <= wanted.total:
        return _possible(plan, most).size
    n_rows, is_cut = int(_MARGIN * wanted.total * n_points / counts.total_size) + _LEAST, False
    while True:
        try:
            share = _possible(plan, min(n_rows, most))
        except TooFewRowsError:  # rows that must be in the sample are smaller than most
            if is_cut or n_rows >= most:
                raise
            n_rows *= 2
            continue
        sums = _running_sums(draw([share]), points)
        fits = int(np.searchsorted(sums, wanted.total, side="right"))
        if fits == 0:
            raise ConfigError(
                f"{at}.total={wanted.total:g} is less than the first row's {wanted.of}, "
                f"{sums[0]:g}; want more"
            )
        if fits == len(sums):
            if is_cut or share.size < n_rows:
                return fits
            n_rows *= 2
        elif sample.quotas is None:
            return fits
        else:  # quotas depend on the size, so what fits is drawn once more
            n_rows, is_cut = fits, True


def _require_sizes(at: str, counts: Counts, n_points: int) -> None:
    if counts.n_without_size:
        raise ConfigError(
            f"{at}: {counts.n_without_size:,} of {n_points:,} points have no number >= 0 there; "
            "exclude them with must_exclude, or fill the column"
        )


def _possible(plan: Callable[[int], Share], size: int) -> Share:
    """Return the share of some size, or of the largest below it that the constraints allow.

    Raises
    ------
    ConfigError
        If they allow none.
    """
    try:
        return plan(size)
    except ConfigError:
        found, too_large = None, size
        smallest = 0
        while too_large - smallest > 1:
            middle = (smallest + too_large) // 2
            try:
                found, smallest = plan(middle), middle
            except TooFewRowsError:
                smallest = middle
            except ConfigError:
                too_large = middle
        if found is None:
            raise
        return found


def _running_sums(drawn: DataFrame, points: DataFrame) -> NDArray[np.float64]:
    """Return the sums of the sizes of a sample's first 1, 2, ... rows."""
    rows = drawn.select("id", "position").join(points.select("id", "size"), on="id", how="inner")
    sizes = rows.select("position", "size").toArrow().sort_by("position")["size"]
    return np.cumsum(sizes.to_numpy())


def expected_rows(sample: SampleConfig, described: DataFrame, n_points: int) -> int:
    """Estimate how many rows a sample will have whose size is a total.

    Parameters
    ----------
    described : id, and the metadata by name

    Raises
    ------
    ConfigError
        If no point has a size.
    """
    wanted = _total(sample)
    size = exact_size(number_in(wanted.of))
    ((total, n_sizes),) = described.agg(F.sum(size), F.count(size)).collect()
    mean = float(total) / n_sizes if n_sizes and total is not None else None
    if not mean or mean < 0:
        raise ConfigError(
            f"samples.{sample.name}.target_size.of={wanted.of!r}: the mean over the pool is "
            f"{mean}; want numbers above 0"
        )
    mean = float(f"{mean:.2g}")  # a tree is not grown anew for every few rows that the pool gains
    return max(1, min(n_points, int(wanted.total / mean)))


def _total(sample: SampleConfig) -> TotalConfig:
    if not isinstance(sample.target_size, TotalConfig):
        raise TypeError(f"samples.{sample.name}.target_size={sample.target_size!r} is no total")
    return sample.target_size
