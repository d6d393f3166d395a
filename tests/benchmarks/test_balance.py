"""The bench's balance: concepts that are clusters come out even, whatever else the rival found."""

import numpy as np
import pytest

from tests.benchmarks.balance import N_PICKS, sampled_kl, uniform_kl

N_CONCEPTS = 100


def pool(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return orthogonal centres, and the points' concepts, of sizes from 50 to 1040."""
    sizes = N_PICKS // N_CONCEPTS + 10 * np.arange(N_CONCEPTS)
    concepts = np.random.default_rng(seed).permutation(np.repeat(np.arange(N_CONCEPTS), sizes))
    return np.eye(N_CONCEPTS, 128), concepts


def test_clusters_that_are_the_concepts_are_drawn_evenly(seed: int) -> None:
    centres, concepts = pool(seed)
    assert sampled_kl(centres, concepts, concepts) == pytest.approx(0, abs=1e-12)
    assert uniform_kl(concepts) > 0.1


def test_clusters_without_points_change_nothing(seed: int) -> None:
    centres, concepts = pool(seed)
    merged = concepts // 2
    with_empty = np.repeat(centres, 2, axis=0)
    found = sampled_kl(centres, merged, concepts)
    assert found > 0
    assert sampled_kl(with_empty, 2 * merged + 1, concepts) == found


def test_upper_levels_even_out_concepts_that_have_more_clusters_than_others(seed: int) -> None:
    centres, concepts = pool(seed)
    rng = np.random.default_rng(seed)
    n_clusters = np.where(np.arange(N_CONCEPTS) < N_CONCEPTS // 2, 1, 3)
    first = np.cumsum(n_clusters) - n_clusters
    labels = first[concepts] + rng.integers(0, n_clusters[concepts])
    C = np.repeat(centres, n_clusters, axis=0)
    C = 0.9 * C + 0.01 * rng.standard_normal(C.shape)
    share = n_clusters / n_clusters.sum()
    flat = float((share * np.log(share * N_CONCEPTS)).sum())
    assert sampled_kl(C, labels, concepts) < flat / 10
