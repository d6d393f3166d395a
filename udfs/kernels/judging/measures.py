"""How balanced counts are: entropy, effective number, KL to uniform, Lorenz curve."""

import math

import numpy as np
from numpy.typing import NDArray


def exact_mean(values: NDArray[np.float64]) -> float:
    """Return the mean by an exact sum, as NumPy's sums differ between CPUs : (n,)."""
    return math.fsum(values) / len(values)


def entropy(counts: NDArray[np.integer]) -> float:
    """Return the Shannon entropy of counts (n,), in nats; 0 for no counts at all."""
    total = counts.sum()
    p = counts[counts > 0] / total if total else np.ones(1)
    return float(-(p * np.log(p)).sum())


def effective_number(counts: NDArray[np.integer]) -> float:
    """Return exp(entropy) of counts (n,): how many equal classes are as diverse (Hill, order 1)."""
    return float(np.exp(entropy(counts)))


def kl_to_uniform(counts: NDArray[np.integer]) -> float:
    """Return KL(counts || uniform) in nats : (n,); classes with no count are in the uniform."""
    return float(np.log(len(counts)) - entropy(counts)) if counts.sum() else float("nan")


def lorenz_curve(
    counts: NDArray[np.integer], n_steps: int = 100
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the share of all points held by the smallest share x of the classes.

    Returns
    -------
    x, cumulative_share : (n_steps + 1,) float64, both from 0 to 1
    """
    ordered = np.r_[0.0, np.cumsum(np.sort(counts), dtype=np.float64)]
    x = np.linspace(0, 1, n_steps + 1)
    return x, np.interp(x, np.linspace(0, 1, len(ordered)), ordered / max(ordered[-1], 1))
