"""Which config keys count: each either shapes rows or is known not to."""

from collections.abc import Iterator
from typing import Annotated, Any, get_args

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from jobs.config.identity import identity, picked
from jobs.config.loading import parse_config
from jobs.config.model import RunConfig
from jobs.recipe import RECIPE
from jobs.sections.cluster import ClusterConfig
from jobs.sections.kinds import HOW, CountsFrom
from tests.jobs.bad_configs import BASE

SHAPE_NO_ROW = ("output", "retention", "spark")  # where rows go and stay, and what computes them
NOT_BUILT = ("update",)  # it has only one value
HOW_NOT_WHAT = {  # -> an override
    "cluster.solver": "cluster.solver=spark",
    "cluster.checkpoint_interval": "cluster.checkpoint_interval=7",
    "learnability.rounds": "learnability.rounds=4",
    "synthesis.calls.at_once": "synthesis.calls.at_once=9",
    "synthesis.calls.per_minute": "synthesis.calls.per_minute=60",
    "synthesis.calls.retries": "synthesis.calls.retries=0",
    "synthesis.calls.timeout": "synthesis.calls.timeout=5",
    "synthesis.calls.save_every": "synthesis.calls.save_every=1",
    "synthesis.calls.seconds": "synthesis.calls.seconds=3",
    "synthesis.on_shortfall": "synthesis.on_shortfall=fail",
    "samples.on_worse_than_uniform": "samples.0.on_worse_than_uniform=fail",
}


def keys_of(model: type[BaseModel], above: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Yield every key of a config by its dotted path; paths go through lists."""
    for name, field in model.model_fields.items():
        path = above + (field.alias or name)
        kinds = [field.annotation, *get_args(field.annotation)]
        sections = [k for k in kinds if isinstance(k, type) and issubclass(k, BaseModel)]
        if not sections:
            yield path, field
        for section in sections:
            yield from keys_of(section, f"{path}.")


def is_below(path: str, *sections: str) -> bool:
    return any(f"{path}.".startswith(f"{section}.") for section in sections)


def keys(config: RunConfig) -> dict[str, str]:
    return RECIPE.keys(config, "input@0")


def test_every_key_is_read_by_a_stage_or_known_to_shape_no_row() -> None:
    read = {path for stage in RECIPE.stages for path in stage.reads}
    unread = [
        path
        for path, field in keys_of(RunConfig)
        if HOW not in field.metadata and not is_below(path, *read)
    ]
    assert all(is_below(path, *SHAPE_NO_ROW, *NOT_BUILT) for path in unread), unread
    assert {path.split(".")[0] for path in unread} == {*SHAPE_NO_ROW, *NOT_BUILT}


def test_every_path_that_a_stage_reads_is_a_key_or_a_section() -> None:
    known = [path for path, _ in keys_of(RunConfig)]
    for stage in RECIPE.stages:
        for read in stage.reads:
            assert any(is_below(path, read) for path in known), f"{stage}: {read}"


def test_keys_that_say_how_are_marked() -> None:
    # the code's version enters the stage key separately: Stage.also_reads
    how = {path for path, f in keys_of(RunConfig) if HOW in f.metadata}
    of_samples = ("must_include", "must_exclude", "node_rules", "like", "unlike")
    tables = ("dedup.against", *(f"samples.{key}" for key in of_samples))
    assert how == {*HOW_NOT_WHAT, "embed.version", *(f"{key}.fingerprint" for key in tables)}


@pytest.mark.parametrize("override", [*HOW_NOT_WHAT.values(), "output.lease_seconds=9"])
def test_how_it_is_done_changes_no_key(override: str) -> None:
    assert keys(parse_config(BASE, [override])) == keys(parse_config(BASE))


def test_what_is_done_changes_the_keys_from_its_stage_on() -> None:
    before, after = keys(parse_config(BASE)), keys(parse_config(BASE, ["cluster.tol=0.5"]))
    changed = [name for name in before if before[name] != after[name]]
    assert changed == ["tune_tree", "cluster_levels", "balance_sample", "report_curation"]


# --- keys that were added later -------------------------------------------------------------------


class LaterCluster(ClusterConfig):
    """The cluster section as a later version might have it."""

    power: Annotated[int, CountsFrom(3)] = 3
    turns: Annotated[int, CountsFrom(0)] = 5  # another default than the code had before it


class Later(RunConfig):
    """The config as a later version might have it."""

    cluster: LaterCluster = LaterCluster()


def later(**cluster: Any) -> Later:
    return Later.model_validate(BASE | {"cluster": BASE["cluster"] | cluster})


def test_a_later_key_at_the_value_of_before_changes_nothing() -> None:
    before = parse_config(BASE)
    assert identity(later(turns=0)) == identity(before)
    assert keys(later(power=3, turns=0)) == keys(before)
    assert RECIPE.lineage(later(turns=0)) == RECIPE.lineage(before)
    assert RECIPE.run_id(later(turns=0), "input@0") == RECIPE.run_id(before, "input@0")


@pytest.mark.parametrize("cluster", [{"power": 4, "turns": 0}, {}])
def test_a_later_key_counts_from_any_other_value_on(cluster: dict[str, int]) -> None:
    assert keys(later(**cluster))["cluster_levels"] != keys(parse_config(BASE))["cluster_levels"]
    assert keys(later(**cluster))["embed_pool"] == keys(parse_config(BASE))["embed_pool"]


# --- picking --------------------------------------------------------------------------------------

PLAIN = {
    "seed": 1,
    "cluster": {"levels": [8, 3], "tol": 0.5},
    "samples": [
        {"name": "s", "target_size": 5, "share": {"leaves": 0, "points": 1}},
        {"name": "t", "target_size": 7, "share": {"leaves": 1, "points": 0}},
    ],
}


@pytest.mark.parametrize(
    ("paths", "found"),
    [
        (["seed", "cluster.tol"], {"seed": 1, "cluster": {"tol": 0.5}}),
        (["cluster.tol", "cluster"], {"cluster": PLAIN["cluster"]}),
        (["samples.target_size"], {"samples": [{"target_size": 5}, {"target_size": 7}]}),
        (
            ["samples.name", "samples.share.leaves"],
            {
                "samples": [
                    {"name": "s", "share": {"leaves": 0}},
                    {"name": "t", "share": {"leaves": 1}},
                ]
            },
        ),
        (["nothing", "cluster.nothing"], {"cluster": {}}),
    ],
)
def test_parts_are_picked_by_paths_that_go_through_lists(paths: list[str], found: Any) -> None:
    assert picked(PLAIN, paths) == found


def test_picking_leaves_the_config_as_it_was() -> None:
    plain = {"samples": [{"name": "s", "share": {"leaves": 0}}]}
    picked(plain, ["samples.share", "samples.name", "samples.share.leaves"])
    assert plain == {"samples": [{"name": "s", "share": {"leaves": 0}}]}


def test_the_order_of_a_blends_parts_and_of_quotas_counts() -> None:
    def of(**sample: Any) -> str:
        samples = [{"name": n, "target_size": 9, "share": {"leaves": 0.0}} for n in "ab"]
        mine = {"name": "s", "target_size": 5, "share": {"leaves": 0.0}} | sample
        given = {**BASE, "samples": [*samples, mine]}
        given["input"] = {**BASE["input"], "metadata": ["label"]}
        return keys(parse_config(given))["balance_sample"]

    parts = {"b": 0.4, "a": 0.6}
    assert of(blend=parts) != of(blend=dict(sorted(parts.items())))
    values = {"x": {"min": 1}, "w": {"max": 3}}
    by = {"by": "label"}
    other = {"x": {"min": 1}, "y": {"max": 3}}
    in_order = dict(sorted(values.items()))
    assert of(quotas=by | {"values": values}) != of(quotas=by | {"values": in_order})
    assert of(quotas=by | {"values": other}) == of(quotas=by | {"values": {**other}})


def test_rotated_credentials_of_a_samples_table_change_no_key() -> None:
    def of(password: str, path: str = "/lake/ids") -> str:
        table = {"table": path, "options": {"password": password}}
        mine = {"name": "s", "target_size": 5, "share": {"leaves": 0.0}, "must_exclude": table}
        return keys(parse_config({**BASE, "samples": [mine]}))["balance_sample"]

    assert of("a") == of("b") != of("a", "/lake/others")


def test_the_limit_of_outliers_counts_for_the_report_where_the_gate_is_off() -> None:
    def of(**outliers: Any) -> str:
        return keys(parse_config({**BASE, "outliers": outliers}))["report_curation"]

    assert of() == of(max_score=6.0) != of(max_score=2.0)


def test_the_length_of_a_models_answers_counts() -> None:
    def of(n: int) -> str:
        synthesis = {
            "concepts": "tree",
            "n_captions": 9,
            "captioner": "python:m.n:make",
            "captioner_options": {"max_new_tokens": n},
        }
        return str(identity(parse_config({**BASE, "synthesis": synthesis}))["synthesis"])

    assert of(32) != of(64)
