"""Random numbers by hashing: a point's draw depends on its key and the seed, never on layout.

STYLE asks for ``rng: np.random.Generator`` in kernels. Here every draw is a function of
(seed, keys) instead: a generator's stream would depend on the order in which blocks are visited,
and its values may change between NumPy versions (NEP 19).
"""

import numpy as np
from numpy.typing import NDArray

# SplitMix64: Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (2014).
_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_MASK = 2**64 - 1


def _mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's output function, a bijection of the 64-bit integers."""
    x = (x ^ (x >> np.uint64(30))) * _MIX_1
    x = (x ^ (x >> np.uint64(27))) * _MIX_2
    return x ^ (x >> np.uint64(31))


def hash_keys(seed: int, keys: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Hash integer keys under a seed.

    Parameters
    ----------
    seed : any Python int; its low 64 bits count
    keys : (n,) int64

    Returns
    -------
    hashes : (n,) uint64
    """
    state = _mix(np.array([seed & _MASK], dtype=np.uint64) + _GAMMA)
    return _mix((keys.astype(np.uint64) + np.uint64(1)) * _GAMMA ^ state)


def uniform(seed: int, keys: NDArray[np.int64]) -> NDArray[np.float64]:
    """Uniform draws in the open interval (0, 1), one per key : (n,) float64."""
    bits = hash_keys(seed, keys) >> np.uint64(12)
    return (bits.astype(np.float64) + 0.5) * 2.0**-52


def derive_seed(seed: int, *path: int) -> int:
    """Return the seed of a sub-task, such as (level, round), its own stream."""
    for step in path:
        seed = int(hash_keys(seed, np.array([step], dtype=np.int64))[0])
    return seed
