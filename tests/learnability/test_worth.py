"""What scores are worth: sure where references agree, noise where they do not."""

from dataclasses import replace

import numpy as np
import pytest

from jobs.learnability.worth import Compute, Scored, advice, compute_of, said_of, worth_of
from jobs.sections.learnability import GflopConfig, LearnabilityConfig

SCORED = Scored(
    n_scored=4, n_selected=4, n_rejected=0, mean_learnability=1.0, mean_selected=1.0,
    worth={"agreement": 0.5, "noise": 0.2, "gain": 2.0, "gain_error": 0.1}, gflop={}, rejects={},
)  # fmt: skip


def test_references_that_agree_share_all_draws() -> None:
    online, reference = np.arange(10.0), np.zeros(10)
    reference[9] = 20.0  # the hardest row is noise to both
    worth = worth_of(online, reference, reference, keep=0.2)
    assert (worth.agreement, worth.noise) == (pytest.approx(1.0), 0.0)
    # rows 8 and 7 are drawn first: 7.5 on average, of (0 + ... + 8 + 9 - 20) / 10
    assert worth.gain == pytest.approx(7.5 - 2.5)
    assert worth.is_sure


def test_draws_by_noise_gain_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.standard_normal((2, 20_000))
    worth = worth_of(np.zeros(20_000), a, b, keep=0.3)
    assert abs(worth.agreement) < 0.03
    assert worth.noise == pytest.approx(1.0, abs=0.05)
    assert not worth.is_sure
    assert advice(worth, "learnability").endswith("within its error, so draw by criterion: uniform")
    assert "so draw by" not in advice(worth, "uniform")


def test_keeping_all_rows_is_judged_on_half() -> None:
    worth = worth_of(np.arange(4.0), np.zeros(4), np.zeros(4), keep=1.0)
    assert (worth.gain, worth.noise) == (pytest.approx(1.0), 0.0)


def test_compute_counts_the_references_scoring_once() -> None:
    cost = GflopConfig(score=1.0, train=30.0)
    assert compute_of(cost, 0, 100, 50) == Compute(score=200.0, train=1500.0, uniform=3000.0)
    later = compute_of(cost, 1, 100, 50)
    assert later.score == 100.0
    assert later.saving == pytest.approx(1 - 1600 / 3000)
    assert compute_of(GflopConfig(), 0, 100, 50).saving is None


def test_where_every_row_is_drawn_no_advice_is_given_on_scores() -> None:
    said = said_of(LearnabilityConfig(keep=1.0), SCORED)
    assert [line for line in said if line.startswith("scores:")] == [
        "scores: every row is drawn (keep: 1), so they choose nothing; want a smaller "
        "learnability.keep, or train on all rows without scoring them"
    ]
    some = said_of(LearnabilityConfig(), replace(SCORED, n_selected=2))
    assert not any("choose nothing" in line for line in some)
    assert any("two references share" in line for line in some)


def test_old_losses_are_told_with_the_round_that_they_are_of() -> None:
    later = said_of(LearnabilityConfig(round=1), replace(SCORED, age=2), later=2)
    assert [line for line in later if line.startswith("losses: the same as in round 1, before")]
    assert not any(line.startswith("losses:") for line in said_of(LearnabilityConfig(), SCORED))
