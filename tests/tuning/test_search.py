"""The search: which trial wins among equals, by hand, and small pools whose right tree is known."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from jobs.sections.cluster import ClusterConfig
from jobs.sections.samples import SampleConfig
from jobs.sections.share import Powers
from jobs.tune_tree import _rows
from jobs.tuning.search import Choice, Problem, distinct_of, search
from jobs.tuning.shares import SHARES, shares_at, shares_of, split
from jobs.tuning.trials import SampledTree, Trial, chosen_of
from tests.pools import grouped_mixture
from udfs.kernels.exact.grid import to_grid
from udfs.kernels.judging.measures import kl_to_uniform

N_CONCEPTS = 60


def trial(levels: list[int], leaves: float, relative: Any, n_clusterings: int = 1) -> Trial:
    """Make a trial of trees that have only their sizes."""
    tree: Any = SimpleNamespace(levels=[SimpleNamespace(centroids=np.empty(k)) for k in levels])
    scores = np.atleast_2d(np.array(relative, np.float64))
    return Trial(
        (tree,) * len(scores), len(levels), Powers(leaves), scores, None, 0.0, n_clusterings
    )


# --- by hand --------------------------------------------------------------------------------------


def test_every_trial_has_a_row_of_its_own() -> None:
    resampled, plain = trial([9, 3], 0.5, [0.8]), trial([9, 3], 0.5, [0.9])
    resampled.trees[0].rounds, plain.trees[0].rounds = 3, 0
    other = trial([9], 0, [0.95])
    choice = Choice(ClusterConfig(), resampled, [resampled, plain, other], 3)
    scores = {row.key: row.value for row in _rows(choice) if row.metric == "relative_coverage"}
    assert scores == {
        "9/3 · 0.5 of leaves · 3 rounds": 0.8,
        "9/3 · 0.5 of leaves · 0 rounds": 0.9,
        "9 · 0 of leaves": 0.95,
    }


def test_the_error_of_a_lead_counts_clusterings_of_the_same_points_once() -> None:
    best = trial([9], 0, [1.0, 1.0, 1.0, 1.0])
    other = trial([9], 0, [1.0, 1.2, 1.0, 1.2])
    assert other.score == pytest.approx(1.1)
    assert other.error_of_lead(best) == pytest.approx(0.1 / 2)  # deviation .1 over 4 nodes
    twice = trial([9], 0, [1.0, 1.2, 1.0, 1.2], n_clusterings=2)
    assert twice.error_of_lead(best) == pytest.approx(0.1 / 2**0.5)
    assert best.error_of_lead(best) == 0
    assert replace(other, unseen=0.25).error_of_lead(best) == pytest.approx(0.1 / 4)


def test_trees_of_other_seeds_add_their_own_spread() -> None:
    best = trial([9], 0, [[1.0, 1.0], [1.0, 1.0]])
    other = trial([9], 0, [[1.0, 1.0], [1.2, 1.2]])  # nodes agree, trees do not
    assert other.error_of_lead(best) == pytest.approx(0.1 / 2**0.5)


def two(nodes: Any, communities: float, kl: float = 0.5) -> Trial:
    """Make a trial that was judged in both views."""
    tried = trial([100, 50], 0.5, np.atleast_2d(nodes))
    return replace(tried, communities=communities, kl=kl)


def test_a_score_weighs_what_nodes_and_what_communities_gain() -> None:
    even = np.full(400, 0.80)
    best = two(even, 0.72)
    assert best.score == pytest.approx(0.8 * 0.9**0.5)
    # 2% more over nodes is worth 5% less over communities, but not .2% less
    assert chosen_of([best, traded := two(even + 0.016, 0.684)]) is traded
    assert chosen_of([best, two(even + 0.016, 0.7186)]) is best


def test_among_trials_within_the_noise_an_uneven_one_is_not_taken() -> None:
    even = np.full(400, 0.80)
    best, more_even = two(even, 0.70, kl=0.3), two(even, 0.706, kl=0.2)
    as_even, far = two(even, 0.704, kl=0.24), two(even, 0.75, kl=0.1)
    assert chosen_of([best, more_even, far]) is more_even
    assert chosen_of([best, more_even, as_even, far]) is as_even
    # evenness is worth no more than the noise of either view
    traded = two(even + 0.016, 0.68, kl=0.1)
    assert chosen_of([two(even, 0.69, kl=0.9), traded]) is not traded
    # noisy trials count as equal, however far apart their means
    noisy = two(even + 0.03 + np.tile([1.0, -1.0], 200), 0.70, kl=0.2)
    assert chosen_of([best, noisy]) is noisy


def test_scores_within_a_tenth_of_the_noise_are_the_same_and_the_simplest_wins() -> None:
    even = np.full(400, 0.80)
    best, same = two(even, 0.70), replace(two(even, 0.701), share=Powers(0.25))
    other = replace(two(even, 0.703), share=Powers())
    assert chosen_of([best, same, other]) is same


def test_the_simplest_wins_where_no_view_tells_trials_apart() -> None:
    even = np.full(400, 0.80)
    best = trial([100, 50], 0.5, even)
    equal_shares = trial([100, 50], 0.0, even)
    smaller_top = trial([100, 50, 25], 0.0, even)
    assert chosen_of([best, equal_shares]) is equal_shares
    assert chosen_of([best, equal_shares, smaller_top]) is smaller_top


# --- pools whose right tree is known --------------------------------------------------------------


@pytest.fixture(scope="module")
def pool() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Draw 60 unrelated concepts of Zipf sizes, 5000 points."""
    X, concepts = grouped_mixture(3, n_points=5000, n_groups=N_CONCEPTS, per_group=1, n_features=16)
    return to_grid(X, 2.0**-16), concepts


def choose(points: NDArray[np.float32], n_threads: int = 2, **cluster: Any) -> Choice:
    config = ClusterConfig.model_validate(cluster)
    return search(Problem(points, len(points), (300, 600), config, 1, n_threads))


def test_the_chosen_tree_balances_concepts_that_it_was_never_told(
    pool: tuple[NDArray[np.float32], NDArray[np.int64]],
) -> None:
    points, concepts = pool
    choice = choose(points)
    assert choice.chosen.score < 0.95
    assert choice.chosen in choice.trials
    assert choice.n_tried > len(choice.trials)
    tree = SampledTree(points, choice.cluster, seed=7, n_threads=2)
    drawn = tree.draw(len(choice.cluster.levels), 600, choice.share)
    assert len(drawn) == 600
    kl, control = (
        kl_to_uniform(np.bincount(concepts[rows], minlength=N_CONCEPTS))
        for rows in (drawn, np.arange(600))
    )
    assert kl <= 0.1 < 0.5 < control
    by_points = tree.draw(1, 600, Powers(points=1.0))  # shares as large as the leaves
    expected = np.bincount(tree.leaf) * 600 / len(points)
    found = np.bincount(tree.leaf[by_points], minlength=len(expected))
    assert np.abs(found - expected).max() <= 1
    # copies of small leaves' points take the place of points of large ones
    assert len(tree.draw(1, len(points), Powers(), replicas=2)) < len(points)


def test_the_choice_depends_on_no_thread(
    pool: tuple[NDArray[np.float32], NDArray[np.int64]],
) -> None:
    one, two = (choose(pool[0][:2500], n_threads) for n_threads in (1, 2))
    assert one.cluster == two.cluster
    assert [(t.levels, t.share, t.score) for t in one.trials] == [
        (t.levels, t.share, t.score) for t in two.trials
    ]


def test_given_levels_that_do_not_fit_get_the_share_that_heals_them_best() -> None:
    X, _ = grouped_mixture(3, n_points=4000, n_groups=150, per_group=1, n_features=64)
    misfit = {"levels": [400, 40, 6], "resampling": {"rounds": 1}}
    choice = choose(to_grid(X, 2.0**-16), **misfit)
    assert choice.cluster.levels == [400, 40, 6]
    scores = {t.share: t.score for t in choice.trials}
    assert {*scores} == {share for share in SHARES if not share.points}
    assert choice.share != Powers()
    assert scores[choice.share] < scores[Powers()] - 0.05


def broad_and_narrow(seed: int) -> NDArray[np.float32]:
    """Draw twelve concepts of equal sizes, each broader than the one before."""
    rng = np.random.default_rng(seed)
    centers, concepts = rng.standard_normal((12, 16)), rng.integers(0, 12, 3000)
    spread = np.geomspace(0.05, 1.5, 12)[concepts, None]
    return to_grid(centers[concepts] + spread * rng.standard_normal((3000, 16)), 2.0**-16)


def test_shares_of_points_are_tried_where_equal_shares_help_no_community() -> None:
    points, config = broad_and_narrow(0), ClusterConfig()
    equal, any_ = (
        search(Problem(points, len(points), (300,), config, 1, 2, shares)).chosen
        for shares in (split(SHARES)[0], SHARES)
    )
    assert equal.communities > 0.99  # no better than a uniform sample's
    assert any_.share.points > 0
    assert any_.communities < 0.9 * equal.communities
    assert any_.score < equal.score


def test_shares_of_points_are_not_tried_where_equal_shares_do(
    pool: tuple[NDArray[np.float32], NDArray[np.int64]],
) -> None:
    choice = choose(pool[0][:2500])
    assert choice.chosen.communities < 0.9
    assert not any(trial.share.points for trial in choice.trials)


def given(**share: Any) -> SampleConfig:
    return SampleConfig.model_validate({"name": "s", "target_size": 9, "share": share})


def test_shares_to_choose_from_are_those_that_samples_leave_open() -> None:
    assert shares_of([given()]) == [*SHARES]
    assert shares_of([given(points=0.5), given(leaves=0.0)]) == [
        Powers(leaves, 0.5) for leaves in (0.0, 0.25, 0.5, 0.75, 1.0)
    ]
    assert shares_of([given(leaves=0.3, points="auto")]) == [
        Powers(0.3, points) for points in (0.0, 0.25, 0.5, 0.75)
    ]
    assert shares_of([given(leaves=1.0), given(leaves=0.2)]) == [Powers(1.0), Powers(0.2)]


def test_a_flat_tree_and_equal_leaves_are_not_judged_twice() -> None:
    assert shares_at(1, SHARES) == [Powers(points=points) for points in (0.0, 0.25, 0.5, 0.75)]
    assert Powers(1.0) not in shares_at(2, SHARES)
    assert shares_at(2, [Powers(1.0)]) == [Powers(1.0)]


@pytest.mark.parametrize(
    ("n_distinct", "repeats"), [(250, 4000), (1000, 1000), (10_000, 100), (1_000_000, 1)]
)
def test_the_distinct_points_of_a_pool_are_told_from_a_sample(
    n_distinct: int, repeats: int
) -> None:
    rng = np.random.default_rng(n_distinct)
    sample = rng.choice(n_distinct * repeats, 20_000, replace=False) // repeats
    n_seen = np.unique(sample, return_counts=True)[1]
    assert distinct_of(n_distinct * repeats, n_seen) == pytest.approx(n_distinct, rel=0.05)


def test_a_tree_has_no_more_leaves_than_a_pool_of_many_copies_has_points_apart() -> None:
    X = to_grid(np.random.default_rng(0).standard_normal((250, 8)).astype(np.float32), 2.0**-20)
    sample = X[np.random.default_rng(1).integers(0, 250, 2_000)]
    levels = search(Problem(sample, 30_000, (10_000,), ClusterConfig(), 1, 2)).cluster.levels
    assert max(levels) <= 250


def test_copies_of_few_points_are_one_level_of_as_many_nodes() -> None:
    points = np.repeat(np.arange(12, dtype=np.float32).reshape(4, 3) * 100, 50, axis=0)
    choice = choose(points)
    assert choice.cluster.levels[0] <= 4
