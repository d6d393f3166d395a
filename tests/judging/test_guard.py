"""The verdict on a pool of a few broad classes, which fill many leaves, and many narrow ones."""

import numpy as np
import pytest
from numpy.typing import NDArray

from jobs.judging.verdict import Gap, Verdict
from jobs.reporting.coverage_rows import Judges, coverage_rows
from jobs.sections.cluster import ClusterConfig
from jobs.sections.share import Powers
from jobs.telling.warnings import few_for_top
from jobs.tuning.trials import SampledTree
from udfs.kernels.exact.grid import grid_unit, to_grid
from udfs.kernels.exact.hashing import derive_seed, hash_keys
from udfs.kernels.judging.measures import kl_to_uniform

N_BROAD, N_NARROW = 8, 150
N_PICKS = 700


@pytest.fixture(scope="module")
def pool() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Draw 8 classes of 1000 points, three times as wide as the 150 of 60 points."""
    rng = np.random.default_rng(0)
    sizes, widths = [1000] * N_BROAD + [60] * N_NARROW, [1.6] * N_BROAD + [0.5] * N_NARROW
    y = np.repeat(np.arange(len(sizes)), sizes)
    centres = rng.standard_normal((len(sizes), 64))
    X = centres[y] + np.take(widths, y)[:, None] * rng.standard_normal((len(y), 64))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    return to_grid(X.astype(np.float32), grid_unit(1.0)), y


def _hashed(n: int, salt: int, n_rows: int) -> NDArray[np.int64]:
    return np.argsort(hash_keys(derive_seed(7, salt), np.arange(n)))[:n_rows]


def _judged(X: NDArray[np.float32], drawn: NDArray[np.int64]) -> Verdict:
    evaluated = [X[_hashed(len(X), i, 10_000)] for i in range(3)]
    uniform = [X[_hashed(len(X), 10 + i, len(drawn))] for i in range(3)]
    rows = coverage_rows({"s": X[drawn]}, Judges(evaluated, uniform, 3, 1.0))
    found = {(r.section, r.metric): r.value for r in rows if r.sample == "s" and r.key is None}
    nodes, communities = (
        Gap(found[section, "coverage_gap"], found[section, "coverage_gap_error"])
        for section in ("coverage", "communities")
    )
    return Verdict(nodes, communities)


def test_a_flat_top_that_broad_classes_fill_is_worse_though_it_reaches_every_region(
    pool: tuple[NDArray[np.float32], NDArray[np.int64]],
) -> None:
    X, y = pool
    config = ClusterConfig.model_validate({"levels": [2000, 1000], "split": "off", "tol": 1e-3})
    drawn = SampledTree(X, config, seed=1, n_threads=2).draw(2, N_PICKS, Powers())
    labels, control = (
        kl_to_uniform(np.bincount(y[rows], minlength=N_BROAD + N_NARROW))
        for rows in (drawn, _hashed(len(X), 99, N_PICKS))
    )
    assert labels > control + 1
    verdict = _judged(X, drawn)
    assert verdict.nodes.side != "worse"
    assert verdict.communities is not None
    assert verdict.communities.mean > 0.1
    assert verdict.state == "worse"
    # another uniform draw is like uniform
    assert _judged(X, _hashed(len(X), 98, N_PICKS)).state == "same"


def test_a_sample_with_fewer_rows_than_top_nodes_is_told_what_would_balance() -> None:
    said = few_for_top("s", 700, 1000)
    assert "700 rows for the 1000 nodes of the top level: at least 300 get none" in said
    assert "target_size to 2000" in said
