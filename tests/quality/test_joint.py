"""Joint selection beside independent draws, on pairs of which the learner sees groups only."""

import numpy as np
import pytest

from tests.quality.joint import Picked, picks

JEST, FILTERED = "joint, 16 chunks", "joint, 16 chunks, prefilter .3"


@pytest.fixture(scope="module")
def found() -> list[dict[str, Picked]]:
    return [picks(seed) for seed in range(3)]


def learned(of: dict[str, Picked]) -> dict[str, float]:
    return {name: picked.learnability for name, picked in of.items()}


def test_a_batch_drawn_as_a_whole_teaches_more_than_the_best_pairs(
    found: list[dict[str, Picked]],
) -> None:
    for each in map(learned, found):
        independent = max(value for name, value in each.items() if name.startswith("independent"))
        assert each[JEST] > independent > each["uniform"]
        assert each[FILTERED] > independent
        # a batch is no sum of batches
        assert each["joint, five batches of 51 merged"] < 0.6 * each[JEST]


def test_sixteen_chunks_are_as_good_as_one_pair_at_a_time(found: list[dict[str, Picked]]) -> None:
    means = {name: np.mean([learned(each)[name] for each in found]) for name in found[0]}
    assert means["joint, 1 chunks"] <= means["joint, 4 chunks"] <= means[JEST]
    assert means[JEST] == pytest.approx(means["joint, 256 chunks"], rel=0.15)


def test_the_prefilter_takes_what_is_mismatched(found: list[dict[str, Picked]]) -> None:
    for each in found:
        assert each[FILTERED].mismatched < 0.01
        assert each[JEST].mismatched > 0.1  # without it they are drawn like others
        assert each["hard only"].mismatched > 0.6  # what is hard is what is wrong
