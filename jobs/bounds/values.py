"""Quotas of a column's values: the fewest and the most rows of each at some size of the sample."""

import math
from bisect import bisect_left

import numpy as np
from numpy.typing import NDArray

from jobs.config.errors import ConfigError
from jobs.sections.samples import QuotasConfig
from udfs.kernels.sampling.quotas import divide_quotas, rounded

_NO_REST = 1e-9  # shares that sum to 1, but for roundings
_SCANNED = 5_000  # sizes


def bounds_of_values(given: QuotasConfig, size: int) -> list[tuple[int, int | None]]:
    """Return the fewest and the most rows of each value in a sample; None for no limit."""
    of_shares = rows_of_shares(given, size)
    bounds: list[tuple[int, int | None]] = []
    for value, quota in given.values.items():
        exact = of_shares.get(value, quota.count)
        bounds.append((quota.min or 0, quota.max) if exact is None else (exact, exact))
    return bounds


def rows_of_shares(given: QuotasConfig, size: int) -> dict[str, int]:
    """Return the rows of each value whose quota is a share of the sample.

    Each share is rounded, unless the rows would then be too many, or too few for shares that sum to
    1: they are divided then.
    """
    shares = {v: quota.share for v, quota in given.values.items() if quota.share is not None}
    rows, rest = {v: round(s * size) for v, s in shares.items()}, 1 - math.fsum(shares.values())
    n_left = size - sum(rows.values())
    if n_left == 0 or (n_left > 0 and rest > _NO_REST) or rest < -_NO_REST:
        return rows
    named = {v: s for v, s in shares.items() if s > 0}
    weights = [*named.values()] + [rest] * (rest > _NO_REST)
    zeros = np.zeros(len(weights), np.int64)
    room = np.full(len(weights), size)
    divided = divide_quotas(
        np.array([size]), zeros, rounded(np.array(weights)), room, zeros.astype(np.uint64)
    )
    return rows | dict(zip(named, divided.tolist(), strict=False))


def largest_size(given: QuotasConfig, most: NDArray[np.int64], size: int) -> int:
    """Return the largest size, up to the given one, that there are rows enough for; 0 if none.

    Parameters
    ----------
    most : (n_values + 1,) rows of each value, and of all others, without quotas
    """

    def is_too_large(n_rows: int) -> bool:
        bounds = bounds_of_values(given, n_rows)
        room = [int(m) if high is None else min(int(m), high)
                for m, (_, high) in zip(most, bounds, strict=False)]  # fmt: skip
        lacks = any(low > m for m, (low, _) in zip(most, bounds, strict=False))
        return lacks or sum(room) + int(most[-1]) < n_rows

    largest = min(size, _bound(given, most))
    nearby = max(-1, largest - _SCANNED)  # rounded shares fit some sizes, and not smaller ones
    for n_rows in range(largest, nearby, -1):
        if not is_too_large(n_rows):
            return n_rows
    return max(0, bisect_left(range(nearby + 1), True, key=is_too_large) - 1)


def _bound(given: QuotasConfig, most: NDArray[np.int64]) -> int:
    """Return a size that no sample can exceed: at it shares are as large as rows of their values.

    Parameters
    ----------
    most : (n_values + 1,) rows of each value, and of all others, without quotas
    """
    bound, others, total = math.inf, float(most[-1]), 0.0
    for n_rows, quota in zip(most, given.values.values(), strict=False):
        if quota.share is None:
            limits = [limit for limit in (quota.count, quota.max) if limit is not None]
            others += min(int(n_rows), *limits) if limits else int(n_rows)
        elif quota.share > 0:
            bound, total = min(bound, (int(n_rows) + 1) / quota.share), total + quota.share
    if total < 1 - _NO_REST:  # what is left is of other values
        bound = min(bound, (others + len(given.values)) / (1 - total))
    return int(bound)


def within_quotas(
    name: str,
    given: QuotasConfig,
    least: NDArray[np.int64],
    most: NDArray[np.int64],
    size: int,
    fits: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the fewest and the most rows of each value with a quota, and of all others.

    Parameters
    ----------
    name : of the sample, for messages
    least, most : (n_values + 1,) rows without quotas
    fits : the largest size that there are rows enough for

    Raises
    ------
    ConfigError
        If a value has too few points, or too many that must be included.
    """
    least, most = least.copy(), most.copy()
    for i, (value, (low, high)) in enumerate(
        zip(given.values, bounds_of_values(given, size), strict=True)
    ):
        at = f"samples.{name}.quotas.values.{value}"
        if low > most[i]:
            is_share = given.values[value].share is not None
            want = f"a target_size of {fits} or less" if is_share else f"at most {most[i]}"
            raise ConfigError(
                f"{at}: {low:,} rows are wanted, and {most[i]:,} of that value can be drawn; want "
                f"{want}, or raise replicas"
            )
        if high is not None and high < least[i]:
            raise ConfigError(
                f"{at}: at most {high:,} rows are wanted, and {least[i]:,} of that value must be "
                f"included; want {least[i]} or more"
            )
        least[i] = max(least[i], low)
        most[i] = most[i] if high is None else min(most[i], high)
    return least, most
