"""Warnings of samples that cover too little: what they name, and that a config accepts it."""

from typing import Any

import pandas as pd
import pytest

from jobs.config.loading import parse_config
from jobs.config.model import RunConfig, as_dict
from jobs.config.resolving import resolved
from jobs.judging.verdict import Gap, Verdict
from jobs.reporting.context import Reported, page_context
from jobs.reporting.rows import Row
from jobs.telling.warnings import beside_tree_said, worse_than_uniform

WORSE = Verdict(Gap(0.2, 0.01), None)
PARTS = [{"name": "plain", "target_size": 90}, {"name": "odd", "target_size": 90, "like": "seeds"}]


def config_of(**sample: Any) -> RunConfig:
    last = {"name": "s", "target_size": 20} | sample
    return parse_config(
        {
            "input": {"table": "pool", "embedding": "vector", "metadata": ["quality"]},
            "output": {"root": "lake"},
            "samples": [*PARTS, last],
        }
    )


def warned(**sample: Any) -> str:
    """Return what is said after the figures."""
    said = worse_than_uniform(config_of(**sample).samples[-1], WORSE, given=[9, 3], levels=[9, 3])
    start = "s covers the pool worse than a uniform sample of its size: coverage distance "
    assert said.startswith(f"{start}+20.0% ± 1.0%; ")
    return said.removeprefix(f"{start}+20.0% ± 1.0%; ")


def test_levels_are_named_where_the_tree_alone_draws() -> None:
    assert warned().startswith("levels 9/3 do not fit the data: leave cluster.levels and share")
    assert beside_tree_said(config_of().samples[-1], None) is None


@pytest.mark.parametrize(
    ("sample", "said"),
    [
        (
            {"blend": {"plain": 0.5, "pool": 0.5}},
            "it holds what its parts give it (plain, pool): give larger shares of it to those "
            "that cover the pool better",
        ),
        (
            {"weight": {"by": "quality"}},
            "more than the tree decides what it holds (weight): loosen or drop it if the sample "
            "is to cover the pool",
        ),
        (
            {"strategy": "closest"},
            "more than the tree decides what it holds (strategy): loosen or drop it if the sample "
            "is to cover the pool",
        ),
        (
            {"like": "seeds", "must_exclude": "id = 'a'", "on_worse_than_uniform": "fail"},
            "more than the tree decides what it holds (must_exclude, like): loosen or drop them "
            "if the sample is to cover the pool, or set on_worse_than_uniform: warn",
        ),
    ],
)
def test_what_else_decides_is_named_and_no_level_or_share(
    sample: dict[str, Any], said: str
) -> None:
    assert warned(**sample) == said
    own = beside_tree_said(config_of(**sample).samples[-1], None)
    assert own == f"{said[0].upper()}{said[1:]}."


def noted(config: RunConfig, sizes: dict[str, int], *rows: Row) -> list[str]:
    """Return the page's warnings."""
    places: dict[str, str] = dict.fromkeys(sizes, "there")
    run = Reported("run", config, config, {}, {}, places, sizes, 1000, "0")
    return page_context(run, pd.DataFrame(rows, columns=Row._fields)).notes


@pytest.mark.parametrize("sample", [{"blend": {"plain": 1.0}}, {"like": "seeds"}, {}])
def test_what_more_than_the_tree_draws_need_not_reach_every_top_node(
    sample: dict[str, Any],
) -> None:
    given = parse_config(as_dict(config_of(**sample)), ["cluster.levels=[90,30]"])
    notes = noted(resolved(given, [], [], 0.0, 0.0), {"plain": 90, "odd": 90, "s": 20})
    few = "s has 20 rows for the 30 nodes of the top level: at least 10 get none"
    assert [note.split(",")[0] for note in notes] == ([] if sample else [few])


def test_rows_that_the_second_embedding_lacks_are_counted() -> None:
    given = parse_config(as_dict(config_of()), ["report.judge=other"])
    config = resolved(given, [9, 3], [0, 0], 0.0, 0.0)
    found = {"n_rows": (20.0, None), "n_without_vector": (3.0, 2.0), "n_compared": (17.0, None)}
    rows = [
        Row("s", "judge_coverage", None, None, None, metric, *pair)
        for metric, pair in found.items()
    ]
    sizes = {"plain": 90, "odd": 90, "s": 20}
    assert noted(config, sizes, *rows) == [
        "3 of 20 rows of s looked at have no vector in report.judge='other', and of as many "
        "uniform ones 2: 17 of each are compared there"
    ]
    assert noted(config, sizes) == []


def test_what_leaves_a_sample_too_few_rows_is_named() -> None:
    given = parse_config(as_dict(config_of(like="seeds", must_exclude="id = 'a'")))
    config = resolved(given, [9, 3], [0, 0], 0.0, 0.0)
    (note,) = noted(config, {"plain": 90, "odd": 90, "s": 15})
    assert "s has 15 rows, not 20: no more is left by must_exclude and like; lower" in note


@pytest.mark.parametrize("sample", [{"like": "seeds"}, {"blend": {"odd": 0.5, "pool": 0.5}}])
def test_a_sample_that_is_led_by_seeds_is_not_told_to_cover(sample: dict[str, Any]) -> None:
    config = config_of(**sample)
    said = beside_tree_said(config.samples[-1], config.led["s"])
    assert said == "It is to be like its seeds, not to cover the pool."
