"""Outcomes: what a stage found is restored from the figures in the ledger."""

from dataclasses import dataclass

import pytest

from jobs.balance_sample import Drawn
from jobs.check_synthesis import Checked
from jobs.cluster_levels import Clustered
from jobs.contrasting.page import Contrasted
from jobs.embed_pool import Embedded
from jobs.find_duplicates import Deduplicated
from jobs.gate_outliers import Gated
from jobs.mine_negatives import Mined
from jobs.plan_synthesis import Planned
from jobs.recipe import RECIPE
from jobs.render_images import Rendered
from jobs.report_curation import Measured
from jobs.runs.outcomes import Outcome, per, unkept
from jobs.score_learnability import Scored
from jobs.select_batches import Selected
from jobs.tune_tree import Tuned
from jobs.write_captions import Captioned

CLUSTERED = Clustered(n_nodes=(8, 3), n_empty=(0, 1), n_blocks=2, grid_unit=2.0**-24, inertia=1.5)
OUTCOMES = [
    Embedded(n_pool=9, n_rejected=2, n_points=7, n_features=4, largest_norm=1.25),
    Deduplicated(n_turned_away=2, n_near=1),
    Gated(n_turned_away=3, median=0.5, mad=0.125),
    Tuned(
        levels=(300, 150), rounds=(3, 0), share_leaves=0.25, n_sampled=90, n_tried=12,
        relative_coverage=0.75, best_relative_coverage=0.5,
    ),
    Tuned(
        levels=(), rounds=(), share_leaves=0.25, n_sampled=90, n_tried=12,
        relative_coverage=0.75, best_relative_coverage=0.5,
    ),
    CLUSTERED,
    Drawn(sizes={"s": 20, "rows": 0, "n_points": 3}),
    Measured(
        n_rows=7,
        headlines={
            "s.coverage.coverage_gap": -0.25,
            "s.labels.kl_uniform": 0.5,
            "s.labels.kl_uniform.control": float("inf"),
            "s.communities.coverage_gap": -0.1,
        },
    ),
    Scored(
        n_scored=9,
        n_selected=4,
        n_rejected=2,
        mean_learnability=0.5,
        mean_selected=1.25,
        worth={"agreement": 0.5, "gain_error": 0.1},
        gflop={},
        rejects={"no_loss": 2},
        age=1,
    ),
    Selected(
        n_pairs=90, n_rejected=2, n_batches=3, n_drawn=24, n_left=10, joint_learnability=2.5,
        uniform_control=-0.5, independent_control=1.25, learner_temperature=9.5, learner_bias=-7.0,
        reference_temperature=10.5, reference_bias=-8.0, rank_agreement=0.75,
    ),
    Contrasted(
        n_points=57, n_rejected=3, n_clusters=3, n_merged=0, n_sampled=57,
        worth={"knn_accuracy.divided": 0.75, "knn_accuracy.base_only": 0.5},
    ),
    Mined(
        n_points=90, n_whole=11, n_smaller=1, n_left=0, level=2, n_nodes=3,
        hardness={"mean_cosine": 0.5, "mean_cosine.control": -0.125},
    ),
    Planned(n_concepts=5, n_prompts=90, n_missing=1, smallest=0, largest=40),
    Captioned(
        n_captions=88, n_asked=120, n_rounds=10, n_short=2, evenness=0.75, first_evenness=0.5,
        quota_evenness=1.0,
    ),
    Rendered(n_captions=12, n_images=45, n_failed=3, n_short=2, n_batches=1),
    Checked(
        n_images=45, n_rejected=1, share_landed=0.75, chance=0.125, n_homeless=2, entropy=0.75,
        entropy_before=0.5, n_joined=9,
    ),
]  # fmt: skip


def test_figures_by_hand() -> None:
    figures = CLUSTERED.figures()
    assert figures == {
        "n_nodes_1": 8.0, "n_nodes_2": 3.0, "n_empty_1": 0.0, "n_empty_2": 1.0,
        "n_blocks": 2.0, "grid_unit": 2.0**-24, "inertia": 1.5,
    }  # fmt: skip
    assert all(type(value) is float for value in figures.values())


def test_every_stage_has_an_outcome_here() -> None:
    assert {type(outcome) for outcome in OUTCOMES} == {stage.outcome for stage in RECIPE.stages}


@pytest.mark.parametrize("outcome", OUTCOMES, ids=repr)
def test_an_outcome_comes_back_from_the_ledgers_figures(outcome: Outcome) -> None:
    kept = outcome.figures() | {"seconds": 2.5, "n_rows.samples": 9.0}  # as a run adds them
    assert type(outcome).of(kept) == outcome


def test_ten_levels_come_back_in_their_order() -> None:
    n_nodes = tuple(range(20, 8, -1))
    many = Clustered(n_nodes=n_nodes, n_empty=n_nodes, n_blocks=1, grid_unit=1.0, inertia=0.0)
    assert Clustered.of(dict(sorted(many.figures().items()))).n_nodes == n_nodes


@dataclass(frozen=True, kw_only=True)
class Grown(Outcome):
    """An outcome that has gained a field."""

    n: int
    by_name: dict[str, float] = per("{}.share", "[a-z]+")
    added: float = 0.5
    said: tuple[str, ...] = unkept(())


def test_a_ledger_of_before_a_field_gives_its_default() -> None:
    assert Grown.of({"n": 3.0, "a.share": 0.25}) == Grown(n=3, by_name={"a": 0.25}, added=0.5)


def test_what_is_not_kept_is_no_figure() -> None:
    assert Grown(n=1, by_name={}, said=("told",)).figures() == {"n": 1.0, "added": 0.5}


def test_a_figure_that_is_missing_is_an_error() -> None:
    with pytest.raises(KeyError):
        Grown.of({"added": 1.0})
