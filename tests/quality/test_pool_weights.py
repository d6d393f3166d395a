"""Weights make statistics of a balanced sample hold for the pool."""

from tests.quality.pool_weights import POOLS, measure


def test_weighted_shares_of_concepts_are_nearer_than_uniform_ones() -> None:
    for seed in range(3):
        found = measure(POOLS["separable"](seed), seed)
        assert found.weighted < found.uniform < found.unweighted
