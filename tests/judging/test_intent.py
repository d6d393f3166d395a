"""What the page says a sample is meant to be is true for that sample."""

from typing import Any

import pytest

from jobs.judging.intent import how_drawn, how_even, what_prefixes_are
from jobs.sections.samples import SampleConfig

QUOTA = {"by": "kind", "values": {"a": {"share": 0.5}}}


def sample_of(**given: Any) -> SampleConfig:
    return SampleConfig.model_validate({"name": "s", "target_size": 9} | given)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"share": {"leaves": 0.0}},
            "Each node is to give as many rows as the others of its parent, as far as its points "
            "allow.",
        ),
        (
            {"share": {"leaves": 0.5, "points": 0.25}, "must_exclude": "x"},
            "The more leaves and points below a node, the more rows it is to give, as far as its "
            "points and constraints allow.",
        ),
        (
            {"share": {"leaves": 0.0, "points": 1.0}},
            "Each node is to give rows in proportion to its points, as in a uniform sample, as far "
            "as its points allow.",
        ),
        (
            {"blend": {"a": 0.5, "pool": 0.5}},
            "A blend takes the rows of its parts: they decide how even it is over these nodes.",
        ),
        (
            {"like": "seeds"},
            "Seeds decide which of these nodes give more: the sample is not meant to be even.",
        ),
        (
            {"like": {"table": "seeds", "nearest": 9}},
            "The sample may hold only points nearest to its seeds: a node with few of them gives "
            "few rows.",
        ),
        (
            {"unlike": {"table": "seeds", "nearest": 9}},
            "The sample may hold only points not among the nearest to its seeds: a node with few "
            "of them gives few rows.",
        ),
    ],
)
def test_how_even_a_sample_is_meant_to_be(given: dict[str, Any], said: str) -> None:
    assert how_even(sample_of(**given)) == said


@pytest.mark.parametrize(
    ("given", "start"),
    [
        ({}, "each prefix is the sample of its size"),
        ({"like": "seeds", "per_node": {"max": 3}}, "each prefix is the sample of its size"),
        ({"quotas": QUOTA}, "each prefix is the sample of its size"),
        ({"quotas": QUOTA, "per_node": {"max": 3}}, "its quotas are those of the whole sample"),
        (
            {"quotas": {"by": "kind", "values": {"a": {"count": 3}}}},
            "its quotas are those of the whole sample",
        ),
        ({"blend": {"pool": 1.0}}, "each prefix of a blend holds its parts in the same shares"),
    ],
)
def test_what_the_prefixes_of_a_sample_are(given: dict[str, Any], start: str) -> None:
    assert what_prefixes_are(sample_of(**given)).startswith(start)


def test_a_weighted_draw_is_not_called_random_alone() -> None:
    assert how_drawn(sample_of(weight={"by": "quality"})) == "random · weighted by quality"
