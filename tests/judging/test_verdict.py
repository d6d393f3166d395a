"""The verdict by hand: nodes and communities together."""

import pytest

from jobs.judging.verdict import Gap, Verdict


@pytest.mark.parametrize(
    ("mean", "error", "side"),
    [
        (-0.10, 0.02, "better"),
        (-0.10, 0.06, "same"),  # within two errors
        (-0.004, 0.0, "same"),  # too little to matter
        (0.004, 0.0, "worse"),
        (0.05, 0.03, "same"),
    ],
)
def test_a_gap_counts_beyond_two_errors(mean: float, error: float, side: str) -> None:
    assert Gap(mean, error).side == side


BETTER, SAME, WORSE = Gap(-0.1, 0.01), Gap(0.0, 0.01), Gap(0.1, 0.01)


def test_gaps_are_weighed_by_their_geometric_mean() -> None:
    both = Verdict(Gap(-0.1, 0.03), Gap(0.6, 0.04)).weighed
    assert both.mean == pytest.approx((0.9 * 1.6) ** 0.5 - 1)
    assert both.error == pytest.approx(0.05 / 2)
    assert Verdict(BETTER, None).weighed == BETTER


@pytest.mark.parametrize(
    ("nodes", "communities", "state"),
    [
        (BETTER, None, "better"),
        (WORSE, None, "worse"),
        (BETTER, BETTER, "better"),
        (BETTER, SAME, "same"),  # better only where both say so
        (BETTER, WORSE, "mixed"),
        (WORSE, BETTER, "mixed"),
        (BETTER, Gap(0.4, 0.01), "worse"),  # what is lost outweighs what is gained
        (Gap(-0.4, 0.01), WORSE, "mixed"),
        (SAME, WORSE, "worse"),  # as a flat top under a few broad concepts
        (SAME, SAME, "same"),
    ],
)
def test_a_verdict_weighs_both_views(nodes: Gap, communities: Gap | None, state: str) -> None:
    assert Verdict(nodes, communities).state == state
