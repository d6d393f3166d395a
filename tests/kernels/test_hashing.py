"""Hashing: uniformity, independence of order, values that never change."""

import numpy as np

from udfs.kernels.hashing import derive_seed, hash_keys, uniform


def test_draws_are_uniform_and_belong_to_their_keys() -> None:
    keys = np.arange(100_000)
    u = uniform(7, keys)
    assert 0 < u.min() and u.max() < 1
    counts = np.histogram(u, bins=50, range=(0, 1))[0]
    assert ((counts - 2000) ** 2 / 2000).sum() < 100  # chi-square, 49 degrees: p = 2e-5
    order = np.random.default_rng(0).permutation(keys)
    assert np.array_equal(uniform(7, order), u[order])


def test_seeds_and_neighbouring_keys_are_unrelated() -> None:
    keys = np.arange(20_000)
    a, b = uniform(1, keys), uniform(2, keys)
    assert abs(np.corrcoef(a, b)[0, 1]) < 0.03
    assert abs(np.corrcoef(a[1:], a[:-1])[0, 1]) < 0.03


def test_hashes_are_fixed_forever() -> None:
    # every stored tree and sample rests on these
    assert hash_keys(0, np.array([0, 1, -1])).tolist() == PINNED
    assert derive_seed(42, 1, 2) == PINNED_SEED
    assert len({derive_seed(42, t, m) for t in range(50) for m in range(50)}) == 2500


PINNED = [258863698125685209, 13867563454281172139, 5197578548964807871]
PINNED_SEED = 10625875210640699915
