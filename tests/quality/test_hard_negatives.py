"""Batches from a walk through a tree of the digits are harder than uniform ones."""

import pytest

from tests.quality.hard_negatives import TEMPERATURES, UNIFORM, Figures, measured

METHODS_UNIFORM = 0.047  # mean cosine of uniform batches in METHODS, section 4


def named(found: dict[str, Figures], figure: str) -> list[float]:
    """Return a figure by temperature."""
    return [found[f"tree, temperature {t:g}"][figure] for t in TEMPERATURES]


@pytest.fixture(scope="module", params=range(3))
def found(request: pytest.FixtureRequest) -> dict[str, Figures]:
    return measured(request.param)


def test_negatives_are_three_times_as_close_as_uniform_ones(found: dict[str, Figures]) -> None:
    """Seen from the mean of all, those of a uniform batch are about 0: METHODS has .047."""
    for tree in ("tree", "five clusters"):
        hard = found[f"{tree}, temperature 0"]["mean cosine"]
        uniform = found[f"tree, temperature {UNIFORM:g}"]["mean cosine"]
        assert hard > 3 * max(uniform, METHODS_UNIFORM)
    losses = named(found, "InfoNCE")
    assert losses[0] > losses[-1] + 0.4  # nats


@pytest.mark.parametrize("figure", ["mean cosine", "InfoNCE", "pairs of one label"])
def test_temperature_takes_hardness_away(found: dict[str, Figures], figure: str) -> None:
    by_temperature = named(found, figure)
    assert by_temperature == sorted(by_temperature, reverse=True)


@pytest.mark.slow
def test_negatives_are_closer_on_every_of_twelve_seeds() -> None:
    for seed in range(12):
        by_temperature = named(measured(seed), "mean cosine")
        assert by_temperature[0] > 3 * max(by_temperature[-1], METHODS_UNIFORM)
