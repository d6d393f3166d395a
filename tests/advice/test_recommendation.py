"""What to do about a sample: by hand, and on pools made with a tail and without one."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from jobs.advice.outlook import untried
from jobs.advice.recommendation import recommendation_rows, recommendations
from jobs.judging.recommendation import Evidence, Skew
from jobs.judging.scatter import Scatter
from jobs.judging.verdict import Gap, Verdict
from jobs.reporting.coverage_rows import Judges, coverage_rows
from jobs.reporting.rows import Row
from jobs.sections.cluster import ClusterConfig
from jobs.sections.samples import SampleConfig
from jobs.tuning.search import Problem, search
from jobs.tuning.trials import SampledTree
from tests.pools import Pool, zipf_mixture
from udfs.kernels.exact.grid import grid_unit, to_grid
from udfs.kernels.exact.hashing import derive_seed, hash_keys

BETTER, SAME, WORSE = Gap(-0.1, 0.01), Gap(-0.004, 0.01), Gap(0.05, 0.01)
CALM = Scatter(0.02, 0.02, 0.01)
SKEWED, EVEN = Skew(50, 135, 0.9), Skew(299, 300, 0.002)


@pytest.mark.parametrize(
    ("evidence", "action"),
    [
        (Evidence(Verdict(BETTER, BETTER), {}, SKEWED, CALM), "curate"),
        (Evidence(Verdict(BETTER, None), {}, None, CALM), "curate"),
        (Evidence(Verdict(SAME, BETTER), {}, SKEWED, CALM), "uniform"),
        # one view may lose if the other gains much more
        (Evidence(Verdict(BETTER, WORSE), {}, SKEWED, CALM), "uniform"),
        (Evidence(Verdict(Gap(-0.21, 0.01), Gap(0.03, 0.01)), {}, SKEWED, CALM), "curate"),
        (Evidence(Verdict(WORSE, WORSE), {}, SKEWED, CALM), "uniform"),
        # better beyond chance, but by no more than any stratified draw of a pool without a tail
        (Evidence(Verdict(Gap(-0.02, 0.003), Gap(-0.01, 0.003)), {}, EVEN, CALM), "uniform"),
        (Evidence(Verdict(Gap(-0.02, 0.003), None), {}, None, CALM), "uniform"),
        (Evidence(Verdict(Gap(-0.02, 0.003), Gap(-0.01, 0.003)), {}, SKEWED, CALM), "curate"),
        (Evidence(Verdict(BETTER, BETTER), {}, EVEN, CALM), "curate"),
        # no claim beyond any judge
        (Evidence(Verdict(BETTER, BETTER), {"j": Verdict(SAME, BETTER)}, SKEWED, CALM), "uniform"),
        (Evidence(Verdict(BETTER, BETTER), {"j": Verdict(BETTER, None)}, SKEWED, CALM), "curate"),
        (Evidence(Verdict(BETTER, BETTER), {}, SKEWED, CALM, silent="j"), "uniform"),
        (Evidence(Verdict(BETTER, BETTER), {}, SKEWED, Scatter(0.3, 0.02, 0.01)), "guard"),
        (Evidence(Verdict(WORSE, WORSE), {}, SKEWED, Scatter(0.3, 0.02, 0.01)), "guard"),
        (Evidence(Verdict(BETTER, BETTER), {}, SKEWED, Scatter(None, None, None)), "curate"),
    ],
)
def test_what_to_do(evidence: Evidence, action: str) -> None:
    assert evidence.action == action


def report_of(figures: dict[tuple[str | None, str, str], float | tuple[float, float]]) -> list[Row]:
    rows = []
    for (sample, section, metric), value in figures.items():
        pair = value if isinstance(value, tuple) else (value, None)
        rows.append(Row(sample, section, None, None, None, metric, *pair))
    return rows


def test_it_says_why_in_figures() -> None:
    pool = {("communities", k): v for k, v in zip(
        ("effective_communities", "n_communities", "kl_uniform"), (54.2, 135.0, 0.92), strict=True
    )}  # fmt: skip
    figures = {(None, *key): value for key, value in pool.items()}
    for section, gap in (("coverage", -0.116), ("communities", -0.193), ("judge_coverage", 0.03)):
        figures |= {
            ("s", section, "coverage_gap"): gap,
            ("s", section, "coverage_gap_error"): 0.01,
        }
    figures["s", "scatter", "share_above"] = (0.4, 0.02)
    figures["s", "scatter", "share_error"] = 0.01
    rows = report_of(figures)
    (found,) = recommendations(
        pd.DataFrame(rows, columns=Row._fields), ["s", "unmeasured"], "other", {}
    )
    assert found.action == "guard"
    assert str(found) == (
        "s: guard the pool first, then curate. 40% of the sample and 2% of the pool are scatter, "
        "points far from all others, which balance multiplies: turn them away with "
        "outliers.method: knn. The pool is skewed: its 135 communities are as evenly filled as "
        "54.2 equal ones. Averaged over regions, points lie 11.6% (± 1%) closer to this sample "
        "than to a uniform one, averaged over communities 19.3% (± 1%) closer to it. In other, "
        "which the tree never saw, they lie 3% (± 1%) farther from this sample than from a "
        "uniform one."
    )
    assert recommendation_rows(rows, ["s"], "other", {}) == [
        Row("s", "recommendation", None, "guard", None, "is_recommended", 1.0)
    ]


def test_a_judge_without_vectors_is_said_to_be_silent() -> None:
    gap = {("s", "coverage", f"coverage_gap{end}"): -0.1 for end in ("", "_error")}
    rows = pd.DataFrame(report_of({**gap}), columns=Row._fields)
    (found,) = recommendations(rows, ["s"], "other", {})
    assert found.action == "uniform"
    assert "In other, which the tree never saw, too few rows have a vector to judge it." in str(
        found
    )


def test_a_sample_that_follows_seeds_is_not_told_to_be_uniform() -> None:
    figures: dict[tuple[str | None, str, str], float | tuple[float, float]] = {
        ("s", "coverage", "coverage_gap"): 0.3,
        ("s", "coverage", "coverage_gap_error"): 0.01,
    }
    rows = pd.DataFrame(report_of(figures), columns=Row._fields)
    (plain,) = recommendations(rows, ["s"], None, {})
    (found,) = recommendations(rows, ["s"], None, {"s": "seeds"})
    (bound,) = recommendations(rows, ["s"], None, {"s": "constraints"})
    assert (plain.action, found.action, bound.action) == ("uniform", "seeds", "constraints")
    assert str(found).endswith(
        "It is to be like its seeds, not to cover the pool: the figures say what that costs."
    )
    assert str(bound).startswith("s: judge it by its constraints. ")


@pytest.mark.parametrize(
    ("given", "keys"),
    [
        ({"blend": {"pool": 1.0}}, "blend"),
        ({"like": "seeds"}, "like"),
        ({"weight": {"by": "quality"}, "must_include": {"table": "gold"}}, "must_include, weight"),
        ({"strategy": "diverse", "per_node": {"max": 3}}, "strategy, per_node"),
    ],
)
def test_a_sample_that_more_than_the_tree_decides_waits_for_its_report(
    given: dict[str, Any], keys: str
) -> None:
    found = untried(SampleConfig.model_validate({"name": "s", "target_size": 9} | given))
    assert str(found) == (
        f"s: wait for its report. More than the tree decides what it holds ({keys}), and that is "
        "not judged beforehand: the report judges it."
    )


def test_a_sample_that_the_tree_alone_draws_is_tried_beforehand() -> None:
    given = {"name": "s", "target_size": 9, "replicas": 2, "share": {"points": 0.5}}
    assert untried(SampleConfig.model_validate(given)) is None


def even(seed: int) -> Pool:
    """Draw 200 concepts of 30 points each."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.repeat(np.arange(200), 30))
    return rng.standard_normal((200, 32))[y] + 0.7 * rng.standard_normal((len(y), 32)), y


def noise(seed: int) -> Pool:
    """Draw points of one concept."""
    X = np.random.default_rng(seed).standard_normal((6000, 32))
    return X, np.zeros(len(X), np.int64)


def zipf(seed: int) -> Pool:
    """Draw Zipf concepts."""
    return zipf_mixture(seed, n_points=6000, n_concepts=100, n_features=32)


@pytest.mark.parametrize("made", [pytest.param(1), pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("make", "action"), [(even, "uniform"), (noise, "uniform"), (zipf, "curate")]
)
def test_pools_with_and_without_a_tail(make: Callable[[int], Pool], action: str, made: int) -> None:
    X = make(made)[0]
    X = to_grid(X / np.linalg.norm(X, axis=1, keepdims=True), grid_unit(1.0))
    size, cluster = len(X) // 10, ClusterConfig(levels="auto")
    choice = search(Problem(X, len(X), (size,), cluster, made, 2))
    tree = SampledTree(X, choice.cluster, seed=made, n_threads=2)
    drawn = tree.draw(len(choice.cluster.levels), size, choice.share)

    def hashed(salt: int, n: int) -> np.ndarray:
        return X[np.argsort(hash_keys(derive_seed(7, salt), np.arange(len(X))))[:n]]

    judges = Judges(
        [hashed(i, 5000) for i in range(3)], [hashed(9 + i, size) for i in range(3)], 3, 1.0
    )
    rows = pd.DataFrame(coverage_rows({"s": X[drawn]}, judges), columns=Row._fields)
    (found,) = recommendations(rows, ["s"], None, {})
    assert found.action == action, found


def test_more_scatter_than_the_gate_may_turn_away_names_the_limit() -> None:
    figures = {("s", "scatter", "share_above"): (0.26, 0.11), ("s", "scatter", "share_error"): 0.01}
    figures |= {
        ("s", "coverage", "coverage_gap"): -0.1,
        ("s", "coverage", "coverage_gap_error"): 0.01,
    }
    rows = pd.DataFrame(report_of(figures), columns=Row._fields)
    (found,) = recommendations(rows, ["s"], None, {})
    assert (
        "turn them away with outliers.method: knn and hygiene.max_reject_fraction above 11%"
    ) in str(found)
    assert "which balance multiplies" in str(found)
    (led,) = recommendations(rows, ["s"], None, {"s": "seeds"})
    assert "points far from all others: turn them away" in str(led)
