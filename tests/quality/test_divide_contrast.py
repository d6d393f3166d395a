"""Divide and Contrast: harder negatives, and a student above both controls where it should be."""

import numpy as np
import pytest

from tests.quality.divide_contrast import Divided, concepts, digits

pytestmark = pytest.mark.whole


@pytest.mark.parametrize("turn", range(3))
def test_negatives_of_a_points_own_cluster_are_harder(turn: int) -> None:
    found = Divided(digits(turn), turn).hardness()
    anywhere, own = found["anywhere"], found["own cluster"]
    assert own.cosine > 3 * anywhere.cosine and own.cosine > anywhere.cosine + 0.2
    assert own.info_nce > anywhere.info_nce + 0.4


@pytest.mark.parametrize("turn", range(3))
def test_experts_of_unlike_concepts_teach_more_than_the_base_or_random_experts(turn: int) -> None:
    found = Divided(concepts(turn), turn).students()
    controls = [found[name] for name in ("base", "base only", "random partition")]
    assert found["divided"] > max(controls) + 0.03


def test_on_digits_dividing_gains_little_or_loses() -> None:
    """An honest negative: no student of 16 components is better than the base it learned from."""
    found = [Divided(digits(seed), seed, 16).students() for seed in range(3)]
    gained = np.mean([each["divided"] - each["base"] for each in found])
    assert gained < 0.01
