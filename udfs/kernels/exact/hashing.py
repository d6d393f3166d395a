"""Random numbers by hashing: a point's draw depends on its key and the seed, never on layout.

Every draw is a function of (seed, keys), not of an ``rng: np.random.Generator``: a generator's
stream would depend on the order in which blocks are visited, and its values may change between
NumPy versions (NEP 19).
"""

import numpy as np
from numpy.typing import NDArray

# SplitMix64: Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (2014).
_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_MASK = 2**64 - 1


def _mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return SplitMix64's output function of each, a bijection of the 64-bit integers."""
    x = (x ^ (x >> np.uint64(30))) * _MIX_1
    x = (x ^ (x >> np.uint64(27))) * _MIX_2
    return x ^ (x >> np.uint64(31))


def hash_keys(seed: int, keys: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Hash integer keys under a seed.

    Parameters
    ----------
    seed : any Python int; only the low 64 bits count
    keys : (n,) int64

    Returns
    -------
    hashes : (n,) uint64
    """
    state = _mix(np.array([seed & _MASK], dtype=np.uint64) + _GAMMA)
    return _mix((keys.astype(np.uint64) + np.uint64(1)) * _GAMMA ^ state)


def uniform(seed: int, keys: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return uniform draws in the open interval (0, 1), one per key : (n,) float64."""
    bits = hash_keys(seed, keys) >> np.uint64(12)
    return (bits.astype(np.float64) + 0.5) * 2.0**-52


def derive_seed(seed: int, *path: int) -> int:
    """Return the seed of a sub-task, such as (level, round): a stream of its own."""
    for step in path:
        seed = int(hash_keys(seed, np.array([step], dtype=np.int64))[0])
    return seed


# XXH64: Yann Collet, https://github.com/Cyan4973/xxHash, doc/xxhash_spec.md; its primes.
_P1 = np.uint64(0x9E3779B185EBCA87)
_P2 = np.uint64(0xC2B2AE3D27D4EB4F)
_P3 = np.uint64(0x165667B19E3779F9)
_P4 = np.uint64(0x85EBCA77C2B2AE63)
_P5 = np.uint64(0x27D4EB2F165667C5)
_SHORT = 32  # bytes; XXH64 treats longer inputs differently
_SPARK_SEED = np.uint64(42)


def xxhash64_on(hashes: NDArray[np.int64], *values: str | int) -> NDArray[np.int64]:
    """Extend rows' hashes, as Spark's ``xxhash64(row, *values)`` extends ``xxhash64(row)``.

    Parameters
    ----------
    hashes : (n,) int64
    values : the same for all rows; strings of fewer than 32 bytes, and integers, of 32 bits if
        they fit, like Spark's literals

    Returns
    -------
    hashes : (n,) int64
    """
    state = hashes.view(np.uint64)
    for value in values:
        if isinstance(value, int) and -(2**31) <= value < 2**31:
            content = value.to_bytes(4, "little", signed=True)
        elif isinstance(value, int):
            content = value.to_bytes(8, "little", signed=True)
        else:
            content = value.encode()
        state = _xxh64(content, state)
    return state.view(np.int64)


def _xxh64(content: bytes, seeds: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return the XXH64 of a short content under many seeds : (n,)."""
    if len(content) >= _SHORT:
        raise ValueError(f"content of {len(content)} bytes; want fewer than {_SHORT}")
    h = seeds + _P5 + np.uint64(len(content))
    at = 0
    while len(content) - at >= 8:
        h = _with_word(h, np.frombuffer(content, "<u8", 1, at))
        at += 8
    if len(content) - at >= 4:
        word = np.frombuffer(content, "<u4", 1, at).astype(np.uint64)
        h = _rotated(h ^ (word * _P1), 23) * _P2 + _P3
        at += 4
    for byte in content[at:]:
        h = _rotated(h ^ (np.array([byte], np.uint64) * _P5), 11) * _P1
    return _avalanche(h)


def xxhash64_of(contents: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Hash contents of fewer than 32 bytes, as Spark's ``xxhash64`` does : (n, n_words) -> (n,)."""
    h = np.full(len(contents), _SPARK_SEED + _P5 + np.uint64(8 * contents.shape[1]))
    for words in contents.T:
        h = _with_word(h, words)
    return _avalanche(h).view(np.int64)


def _with_word(h: NDArray[np.uint64], word: NDArray[np.uint64]) -> NDArray[np.uint64]:
    return _rotated(h ^ (_rotated(word * _P2, 31) * _P1), 27) * _P1 + _P4


def _avalanche(h: NDArray[np.uint64]) -> NDArray[np.uint64]:
    h = (h ^ (h >> np.uint64(33))) * _P2
    h = (h ^ (h >> np.uint64(29))) * _P3
    return h ^ (h >> np.uint64(32))


def _rotated(x: NDArray[np.uint64], n_bits: int) -> NDArray[np.uint64]:
    return (x << np.uint64(n_bits)) | (x >> np.uint64(64 - n_bits))
