"""Quotas by largest remainders: exact shares of a total, in whole numbers."""

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from udfs.kernels.sampling.quotas import rounded

_WEIGHT_BITS = 60  # of the largest weight, once weights are integers


def apportioned(total: int, shares: Sequence[int | Fraction]) -> list[int]:
    """Divide a total in proportion to exact shares; ties go to the first.

    Units that are left over once all are rounded down go to the largest remainders.

    Parameters
    ----------
    shares : not negative, not all 0

    Returns
    -------
    quotas : they sum to the total
    """
    whole = sum(shares)
    quotas = [int(total * share // whole) for share in shares]
    by_remainder = sorted(range(len(shares)), key=lambda i: (-(total * shares[i] % whole), i))
    for i in by_remainder[: total - sum(quotas)]:
        quotas[i] += 1
    return quotas


def largest_remainders(total: int, weights: NDArray[np.float64]) -> NDArray[np.int64]:
    """Divide a total in proportion to weights; equal weights get quotas that differ by at most 1.

    Parameters
    ----------
    weights : (n,) float64, finite and not negative, one of them positive; ties go to the lowest
        index. They count in parts of 2^-60 of the largest

    Returns
    -------
    quotas : (n,) int64, they sum to the total
    """
    top = math.frexp(float(weights.max()))[1]
    units = [int(math.ldexp(float(w), _WEIGHT_BITS - top)) for w in weights]  # integers of any size
    return np.array(apportioned(total, units), dtype=np.int64)


def scarcity_weights(n_points: NDArray[np.int64], power: float) -> NDArray[np.float64]:
    """Return (1 + n)^-power, rounded so that every CPU agrees : (n,) float64, at most 1."""
    return rounded((1.0 + n_points.astype(np.float64)) ** -power)
