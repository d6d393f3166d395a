"""Hashing: uniformity, independence of order, values that never change."""

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from udfs.kernels.exact.hashing import derive_seed, hash_keys, uniform, xxhash64_on


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
    # every stored tree and sample depends on these
    assert hash_keys(0, np.array([0, 1, -1])).tolist() == PINNED
    assert derive_seed(42, 1, 2) == PINNED_SEED
    assert len({derive_seed(42, t, m) for t in range(50) for m in range(50)}) == 2500


PINNED = [258863698125685209, 13867563454281172139, 5197578548964807871]
PINNED_SEED = 10625875210640699915


# --- as Spark hashes ------------------------------------------------------------------------------


def test_hashing_on_from_nothing_is_the_reference() -> None:
    # xxhash's own test vectors: for no bytes, with this seed and 0
    seeds = np.array([0, 2654435761], np.int64)
    expected = np.array([0xEF46DB3751D8E999, 0xAC75FDA2929B17EF], np.uint64)
    assert np.array_equal(xxhash64_on(seeds, "").view(np.uint64), expected)


def test_hashing_on_is_what_spark_does(spark: SparkSession, seed: int) -> None:
    rng = np.random.default_rng(seed)
    salts = ["", "é猫", *(rng.bytes(int(n)).hex()[:n] for n in rng.integers(1, 32, 10)), "x" * 31]
    bits = rng.integers(1, 64, len(salts))
    seeds = [int(rng.integers(-(2**n), 2**n)) for n in bits]
    edges = [0, -1, 2**31 - 1, 2**31, -(2**31), -(2**31) - 1, 2**63 - 1, -(2**63)]
    pairs = [*zip(salts, seeds, strict=True), *(("salt", edge) for edge in edges)]
    ids = pa.table({"id": [rng.bytes(int(n)).hex() for n in rng.integers(0, 40, 200)]})
    hashed = [F.xxhash64("id", F.lit(salt), F.lit(n)).alias(f"{i}")
              for i, (salt, n) in enumerate(pairs)]  # fmt: skip
    found = spark.createDataFrame(ids).select(F.xxhash64("id").alias("id"), *hashed).toArrow()
    hashes = found["id"].to_numpy()
    for i, (salt, n) in enumerate(pairs):
        assert np.array_equal(xxhash64_on(hashes, salt, n), found[f"{i}"].to_numpy()), (salt, n)


def test_a_long_text_is_refused() -> None:
    with pytest.raises(ValueError, match="content of 32 bytes; want fewer than 32"):
        xxhash64_on(np.zeros(1, np.int64), "x" * 32)
