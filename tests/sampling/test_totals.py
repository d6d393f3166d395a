"""The size of a sample that is told as a total: the largest that its constraints allow."""

import pytest

from jobs.config.errors import ConfigError, TooFewRowsError
from jobs.sampling.shares import Share
from jobs.sampling.totals import _possible


def plan_between(least: int, most: int) -> dict[int, Share]:
    """Make plans of the sizes that constraints allow."""

    class Plans(dict[int, Share]):
        def __missing__(self, size: int) -> Share:
            if size < least:
                raise TooFewRowsError(f"{size} are too few")
            if size > most:
                raise ConfigError(f"{size} are too many")
            return Share(size, [])  # type: ignore[arg-type]  # the size stands for the sample

    return Plans()


@pytest.mark.parametrize("size", [900, 1000, 1141, 5000])
def test_the_largest_size_that_constraints_allow_is_found(size: int) -> None:
    plans = plan_between(600, 1000)
    assert _possible(plans.__getitem__, size).sample == min(size, 1000)


def test_where_no_size_is_possible_the_first_reason_is_given() -> None:
    with pytest.raises(ConfigError, match="50 are too few"):
        _possible(plan_between(600, 1000).__getitem__, 50)
