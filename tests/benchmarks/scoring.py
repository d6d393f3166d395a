"""Inertia and balance, computed for every rival alike from its centroids and labels."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.balance import sampled_kl, uniform_kl
from tests.benchmarks.tasks import Files

SUBSAMPLE = 20_000  # points whose nearest centroid is looked up, if all would take too long
_MOST_FLOPS = 2e12  # of such a look-up: half a minute
_ROWS_AT_ONCE = 10_000
_SCORES_AT_ONCE = 1 << 24  # float64 scores: 128 MiB
_SEED = 0


def score(files: Files, folder: Path) -> dict[str, float]:
    """Return the mean squared distance per point, in float64, and the balance of a sample.

    Returns
    -------
    inertia : to the centroid that the rival assigned each point to; all points
    nearest_inertia : to the nearest of its centroids
    n_nearest : the points that ``nearest_inertia`` is the mean of: all, or a fixed subsample
    kl : of a balanced sample to uniform over the planted concepts
    uniform_kl : the same for a uniform sample
    """
    X = np.load(files.vectors, mmap_mode="r")
    C = np.load(folder / "centroids.npy").astype(np.float64)
    labels = np.load(folder / "labels.npy")
    concepts = np.load(files.concepts)
    if labels.min() < 0:
        raise ValueError(f"{(labels < 0).sum()} of {len(labels)} points were left without a label")
    chosen = np.arange(len(X))
    if 2.0 * len(X) * C.size > _MOST_FLOPS:
        chosen = np.sort(np.random.default_rng(_SEED).choice(len(X), SUBSAMPLE, replace=False))
    return {
        "inertia": _assigned(X, C, labels) / len(X),
        "nearest_inertia": _nearest(X, C, chosen) / len(chosen),
        "n_nearest": len(chosen),
        "kl": sampled_kl(C, labels, concepts),
        "uniform_kl": uniform_kl(concepts),
    }


def _assigned(X: NDArray[np.float32], C: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    total = 0.0
    for start in range(0, len(X), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        apart = X[rows] - C[labels[rows]]
        total += float(np.einsum("ij,ij->", apart, apart))
    return total


def _nearest(X: NDArray[np.float32], C: NDArray[np.float64], chosen: NDArray[np.int64]) -> float:
    half_sq_norms = 0.5 * np.einsum("ij,ij->i", C, C)
    n_rows = max(1, _SCORES_AT_ONCE // len(C))
    total = 0.0
    for start in range(0, len(chosen), n_rows):
        rows = X[chosen[start : start + n_rows]].astype(np.float64)
        labels = (rows @ C.T - half_sq_norms).argmax(axis=1)
        apart = rows - C[labels]
        total += float(np.einsum("ij,ij->", apart, apart))
    return total
