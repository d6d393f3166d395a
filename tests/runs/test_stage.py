"""Keys and lineages: what a config change repeats, and which lineage owns a published sample."""

import pytest

from jobs.recipe import RECIPE
from jobs.runs.stage import Recipe
from tests.jobs.tiny import CLUSTER, DEDUP, EMBED, GIVEN, SAMPLE, TUNE
from tests.past.recorded_runs import AUTO, config_of
from tests.runs.world import stage

POOL = "pool@0"


@pytest.mark.parametrize(
    ("override", "kept"),
    {
        "seed=0": GIVEN,
        "cluster.solver=spark": GIVEN,
        "cluster.checkpoint_interval=60": GIVEN,
        "spark.driver_memory=2g": GIVEN,
        "retention.days=7": GIVEN,
        "input.options.password=rotated": GIVEN,
        "report.label=label": (EMBED, DEDUP, CLUSTER, SAMPLE),
        "samples.0.target_size=12": (EMBED, DEDUP, CLUSTER),
        "samples.0.share.leaves=1": (EMBED, DEDUP, CLUSTER),
        "cluster.levels=[7,3]": (EMBED, DEDUP),
        "cluster.resampling.rounds=2": (EMBED, DEDUP),
        "seed=1": (),
        "embed.normalize=false": (),
        "input.where=label='a'": (),
        "input.options.mergeSchema='true'": (),
    }.items(),
)
def test_a_change_repeats_the_stages_that_read_it_and_those_after(
    override: str, kept: tuple[str, ...]
) -> None:
    before, after = (RECIPE.keys(config_of(*given), POOL) for given in ((), (override,)))
    assert tuple(name for name in GIVEN if after[name] == before[name]) == kept


def test_another_version_of_the_pool_repeats_everything() -> None:
    before, after = (RECIPE.keys(config_of(), pool) for pool in (POOL, "pool@1"))
    assert not set(before.values()) & set(after.values())


def test_a_stage_that_is_off_is_no_part_of_a_run() -> None:
    given, auto = config_of(), config_of(*AUTO)
    assert tuple(s.name for s in RECIPE.on(given)) == GIVEN
    assert TUNE in [s.name for s in RECIPE.on(auto)]
    more = RECIPE.with_stages(stage("later", is_on=lambda _: False))
    assert more.run_id(given, POOL) == RECIPE.run_id(given, POOL)
    assert more.run_id(auto, POOL) == RECIPE.run_id(auto, POOL)


def test_what_was_chosen_has_the_keys_that_it_has_when_written() -> None:
    figures = {"share_leaves": 0.0, "level_1": 8.0, "rounds_1": 1.0, "level_2": 3.0}
    figures |= {"rounds_2": 1.0, "n_sampled": 1.0, "n_tried": 1.0}
    figures |= {"relative_coverage": 1.0, "best_relative_coverage": 1.0}
    auto = config_of(*AUTO)
    resolved = RECIPE.resolved(auto, {TUNE: figures})
    assert resolved.cluster.levels == [8, 3]
    chosen = RECIPE.keys(auto, POOL, resolved=resolved)
    again = RECIPE.keys(resolved, POOL)
    assert {name: chosen[name] for name in GIVEN} == {name: again[name] for name in GIVEN}
    assert chosen[TUNE] == RECIPE.keys(auto, POOL)[TUNE]


def test_a_default_that_has_changed_loses_nobody_a_published_sample() -> None:
    now, before = config_of(), config_of("dedup.exact=false")
    assert RECIPE.lineage(now) != RECIPE.lineage(before)
    assert RECIPE.lineages(now) == {RECIPE.lineage(now), RECIPE.lineage(before)}
    assert RECIPE.lineages(before) == {RECIPE.lineage(before)}


def test_a_recipe_wants_its_stages_in_order() -> None:
    first = stage("first")
    second = stage("second", after=(first,))
    with pytest.raises(ValueError, match=r"second comes before \['first'\]"):
        Recipe((second, first))


@pytest.mark.parametrize(
    "override",
    [
        "input.version=null",
        "input.options.password=rotated",
        "samples.0.target_size=5",
        "report.label=label",
        "cluster.solver=spark",
    ],
)
def test_a_sample_stays_its_configs_own(override: str) -> None:
    assert RECIPE.lineage(config_of(override)) == RECIPE.lineage(config_of())


@pytest.mark.parametrize("override", ["seed=1", "cluster.max_iter=9", "input.where=label='a'"])
def test_another_tree_or_pool_is_another_lineage(override: str) -> None:
    assert RECIPE.lineage(config_of(override)) != RECIPE.lineage(config_of())
