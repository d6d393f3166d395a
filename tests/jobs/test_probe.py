"""The linear probe: by hand, what it leaves out, and that a balanced sample teaches rare labels."""

import numpy as np
import pytest

from jobs.labels import probe
from jobs.labels.probe import Labelled, probe_rows


def pool_of(rng: np.random.Generator, shares: list[float], n: int, first: int = 0) -> Labelled:
    """Draw labelled points around one centre a label, far enough for a linear model."""
    y = rng.choice(len(shares), size=n, p=shares)
    centres = 2.5 * np.eye(len(shares), 8)
    X = (centres[y] + rng.standard_normal((n, 8))).astype(np.float32)
    return Labelled(list(range(first, first + n)), X, np.array([f"label {k}" for k in y]))


def figures(samples: dict[str, Labelled], controls: list[Labelled], pool: Labelled) -> dict:
    rows = probe_rows(samples, controls, pool)
    return {(row.sample, row.metric): (row.value, row.control) for row in rows}


def test_a_balanced_sample_teaches_rare_labels() -> None:
    rng = np.random.default_rng(0)
    skewed, even = [0.9, 0.05, 0.03, 0.02], [0.25] * 4
    controls = [pool_of(rng, skewed, 80, 1000 * i) for i in range(1, 4)]
    found = figures(
        {"even": pool_of(rng, even, 80, 9000)}, controls, pool_of(rng, skewed, 5000, 10_000)
    )
    (value, control), (gap, _) = found["even", "probe_accuracy"], found["even", "probe_gap"]
    assert gap == pytest.approx(value - control)
    assert gap > 5 * found["even", "probe_gap_error"][0]


def test_a_uniform_sample_is_like_its_controls() -> None:
    rng = np.random.default_rng(1)
    shares = [0.5, 0.3, 0.2]
    draws = [pool_of(rng, shares, 400, 1000 * i) for i in range(4)]
    found = figures({"s": draws[0]}, draws[1:], pool_of(rng, shares, 5000, 10_000))
    assert abs(found["s", "probe_gap"][0]) < 3 * found["s", "probe_gap_error"][0]


def test_nothing_is_tested_that_was_trained_on(monkeypatch: pytest.MonkeyPatch) -> None:
    tested = []

    def watched(train: Labelled, test: Labelled) -> np.ndarray:
        assert not set(train.ids) & set(test.ids)
        tested.append(test)
        return np.ones(len(test.ids))

    monkeypatch.setattr(probe, "_is_right", watched)
    pool = pool_of(np.random.default_rng(2), [0.7, 0.25, 0.05], 200)
    found = figures({"s": pool.first(100)}, [pool.at(range(100, 200))], pool)
    assert found["s", "probe_gap"][0] == 0
    assert sorted(id_ for one in tested[::2] for id_ in one.ids) == pool.ids  # each point once
    for one in tested:  # of every label a fifth in every fold
        for label in np.unique(pool.y):
            assert abs((one.y == label).sum() - (pool.y == label).mean() * 40) < 1.5


def test_a_sample_of_every_point_is_like_a_control_of_every_point() -> None:
    pool = pool_of(np.random.default_rng(4), [0.5, 0.5], 50)
    found = figures({"s": pool}, [pool, pool], pool)
    assert found["s", "probe_gap"][0] == 0
    assert found["s", "probe_accuracy"][0] > 0.8


def test_points_of_a_rare_label_that_the_sample_took_are_tested() -> None:
    rng = np.random.default_rng(5)
    pool = pool_of(rng, [0.6, 0.38, 0.02], 500)
    rare = np.flatnonzero(pool.y == "label 2")
    without = pool.at(np.flatnonzero(pool.y != "label 2"))
    with_rare = pool.at([*rare, *np.flatnonzero(pool.y != "label 2")[: 60 - len(rare)]])
    found = figures({"s": with_rare}, [without.first(60)], pool)
    value, control = found["s", "probe_accuracy"]
    assert control < 2 / 3 < value


def test_one_label_alone_teaches_nothing() -> None:
    rng = np.random.default_rng(3)
    pool = pool_of(rng, [0.5, 0.5], 500, 1000)
    one = pool_of(rng, [1.0, 0.0], 50)
    assert probe_rows({"s": one}, [pool.first(50)], pool) == []


def test_labels_of_few_points_each_are_not_tested() -> None:
    pool = pool_of(np.random.default_rng(6), [0.5, 0.5], 8)
    assert probe_rows({"s": pool}, [pool], pool) == []
    unlabelled = pool.first(0)
    assert probe_rows({"s": unlabelled}, [unlabelled], unlabelled) == []
    many = pool_of(np.random.default_rng(6), [0.5, 0.5], 80)
    assert probe_rows({"s": unlabelled}, [many], many) == []
