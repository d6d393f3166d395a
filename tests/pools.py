"""Pools with planted concepts, for the tests and the benchmarks."""

import numpy as np
from numpy.typing import NDArray

Pool = tuple[NDArray[np.float32], NDArray[np.int64]]  # vectors (n, d), concepts (n,)

_ROWS_AT_ONCE = 50_000  # so that a pool takes twice its own memory to make, not five times


def zipf_mixture(
    seed: int, *, n_points: int = 20_000, n_concepts: int = 200, n_features: int = 256
) -> Pool:
    """Draw concepts of Zipf sizes around standard normal centres, noise .7, unit norm."""
    rng = np.random.default_rng(seed)
    share = 1 / np.arange(1, n_concepts + 1)
    sizes = np.maximum(5, np.floor(n_points * share / share.sum())).astype(int)
    concepts = np.repeat(np.arange(n_concepts), sizes)[:n_points]
    centres = rng.standard_normal((n_concepts, n_features))
    X = centres[concepts] + 0.7 * rng.standard_normal((len(concepts), n_features))
    return _shuffled(X, concepts, rng)


def grouped_mixture(
    seed: int,
    *,
    n_points: int = 200_000,
    n_groups: int = 100,
    per_group: int = 10,
    n_features: int = 256,
) -> Pool:
    """Draw concepts in groups: centre = .8 group + .6 own, unit norm; noise .5 in all."""
    rng = np.random.default_rng(seed)
    n_concepts = n_groups * per_group
    share = 1 / (1 + rng.permutation(n_concepts))
    concepts = rng.choice(n_concepts, size=n_points, p=share / share.sum())
    groups = rng.standard_normal((n_groups, n_features))
    own = rng.standard_normal((n_concepts, n_features))
    centres = 0.8 * np.repeat(groups, per_group, axis=0) + 0.6 * own
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    X = rng.standard_normal((n_points, n_features), dtype=np.float32)
    X *= np.float32(0.5 / np.sqrt(n_features))
    for start in range(0, n_points, _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        X[rows] += centres[concepts[rows]].astype(np.float32)
    return _shuffled(X, concepts, rng)


def scattered_mixture(
    seed: int,
    *,
    n_points: int = 54_000,
    n_concepts: int = 300,
    n_thin: int = 1200,
    n_dense: int = 4800,
    n_features: int = 128,
) -> Pool:
    """Draw unrelated Zipf concepts, and scatter (concept -1): thin all over, dense in a cone."""
    rng = np.random.default_rng(seed)
    share = 1 / (1 + rng.permutation(n_concepts))
    concepts = rng.choice(n_concepts, size=n_points, p=share / share.sum())
    centres = _unit(rng.standard_normal((n_concepts, n_features)))
    noise = rng.standard_normal((n_points, n_features)) / np.sqrt(n_features)
    thin = rng.standard_normal((n_thin, n_features))
    axis = _unit(rng.standard_normal((1, n_features)))
    dense = axis + rng.standard_normal((n_dense, n_features)) / np.sqrt(n_features)
    X = np.concatenate([centres[concepts] + 0.5 * noise, thin, dense])
    return _shuffled(X, np.r_[concepts, np.full(n_thin + n_dense, -1)], rng)


def scattered_over(pool: Pool, seed: int, *, share: float) -> Pool:
    """Add scatter (concept -1), uniform over the sphere, as a share of all points."""
    X, concepts = pool
    rng = np.random.default_rng((seed, 1))
    n_scattered = round(share * len(X) / (1 - share))
    scatter = rng.standard_normal((n_scattered, X.shape[1]), dtype=np.float32)
    return _shuffled(np.concatenate([X, scatter]), np.r_[concepts, np.full(n_scattered, -1)], rng)


def _unit(X: NDArray[np.floating]) -> NDArray[np.floating]:
    return np.asarray(X / np.linalg.norm(X, axis=1, keepdims=True))


def _shuffled(
    X: NDArray[np.floating], concepts: NDArray[np.int64], rng: np.random.Generator
) -> Pool:
    order = rng.permutation(len(X))
    for start in range(0, len(X), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        X[rows] /= np.linalg.norm(X[rows], axis=1, keepdims=True)
    return X[order].astype(np.float32, copy=False), concepts[order]
