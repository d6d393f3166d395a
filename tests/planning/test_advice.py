"""Each trap and each limit is named, with the key to change; a sound plan has neither."""

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.config.loading import parse_config
from jobs.planning import plan
from jobs.planning.machine import GIB, Machine, assumed_speed
from jobs.planning.plan import Plan
from jobs.planning.problem import Problem
from jobs.recipe import RECIPE

MACHINE = Machine(n_slots=2, n_threads=2, heap=4 * GIB, speed=assumed_speed(256), host=23 * GIB)


def problem(n: int, d: int, levels: list[int], *overrides: str, **cluster: Any) -> Problem:
    plain = {
        "input": {"table": "data/pool", "embedding": "vector"},
        "output": {"root": "data/lake"},
        "cluster": {"levels": levels, **cluster},
        "samples": [{"name": "s", "target_size": 100, "share": {"leaves": 0.0}}],
    }
    return Problem(n, d, parse_config(plain, overrides))


def make_plan(tried: Problem, machine: Machine) -> Plan:
    return plan.make_plan(tried, machine, RECIPE.on(tried.config))


def test_a_sound_plan_warns_of_nothing_and_fits() -> None:
    plan = make_plan(problem(20_000, 256, [1000, 200]), MACHINE)
    assert (plan.warnings, plan.refusals) == ([], [])


def blended(target_size: int, leaves: int = 0) -> Problem:
    """Return a plan of a sample, and of a blend of that size."""
    plain = f"{{name: s, target_size: 100, share: {{leaves: {leaves}}}}}"
    blend = f"{{name: mix, target_size: {target_size}, blend: {{s: .5, pool: .5}}}}"
    levels = [1000, 100] if leaves else [1000, 200]
    return problem(20_000, 256, levels, f"samples=[{plain}, {blend}]")


WARNED = {  # -> how the warning starts
    "children": (
        problem(1_000_000, 256, [5000, 200]),
        "cluster.levels[1]=200 gives its nodes 25 children in the mean, more than 20: ",
    ),
    "top": (
        problem(100_000, 256, [1000, 100]),
        "cluster.levels[1]=100 is a small top: ",
    ),
    "leaves": (
        problem(4000, 256, [1000, 200]),
        "cluster.levels[0]=1000 leaves 4.0 points per leaf of a pool of 4000, fewer than 5: ",
    ),
    "cells by rows": (
        problem(1_000_000, 256, [2000], split=40, max_cell_rows=20_000, resampling={"rounds": 0}),
        "cluster.split=40 makes 40 cells of 25000 points in the mean; those over 20000 "
        "(cluster.max_cell_rows) are divided again, on what a sample shows of them: set "
        "cluster.split to 100",
    ),
    "cells by bytes": (
        problem(40_000_000, 256, [10_000], resampling={"rounds": 0}),
        "cluster.split=auto makes 100 cells of 400000 points in the mean; those over 262144 "
        "(the 256 MiB of a cell) are divided again",
    ),
    "fewer leaves than cells": (
        problem(1_000_000, 256, [200], max_cell_rows=2000, split=100, resampling={"rounds": 0}),
        "cluster.levels[0]=200 leaves can have no more cells than that, of 5000 points in the "
        "mean, and a cell holds at most 2000 (cluster.max_cell_rows): unless most points are "
        "copies, the run will stop there; set cluster.split to 1000, and raise "
        "cluster.levels[0]=200 to 2000 or more",
    ),
    "cells without leaves": (
        problem(1_000_000, 256, [1000], split=900, resampling={"rounds": 0}),
        "cluster.split=900 leaves 1.1 of cluster.levels[0]=1000 leaves to a cell",
    ),
    "resampling of a split level": (
        problem(200_000, 256, [10_000], resampling={"rounds": 3}),
        "cluster.resampling.rounds=3 is skipped at level 1, which is split into 100 cells; set "
        "cluster.split: off to have it",
    ),
    "resampling to single points": (
        problem(200_000, 256, [1000, 600], resampling={"rounds": [0, 5]}),
        "cluster.resampling keeps 1.7 points per cluster at level 2, fewer than 2: clusters are "
        "refitted to single points; raise cluster.resampling.points, or lower "
        "cluster.levels[1]=600 to 500 or less",
    ),
    "a large sample": (
        problem(20_000, 256, [1000, 200], "samples.0.target_size=15000"),
        "samples.0.target_size=15000 is 75% of the pool, so that balancing has little room; lower "
        "it to 10000 or less",
    ),
    "a sample beyond the pool": (
        problem(20_000, 256, [1000, 200], "samples.0.target_size=30000"),
        "samples.0.target_size=30000 exceeds the 20000 rows that there are: the sample is the "
        "whole pool; lower it, or raise samples.0.replicas",
    ),
    "a bounded sample beyond the pool": (
        problem(
            20_000, 256, [1000, 200], "samples.0.target_size=30000", "samples.0.must_include=x"
        ),
        "samples.0.target_size=30000 exceeds the 20000 rows that there are: the sample is all that "
        "its constraints leave",
    ),
    "a large blend": (
        blended(15_000),
        "samples.1.target_size=15000 is 75% of the pool, so that it is much like the pool, "
        "whatever it is blended of; lower it to 10000 or less",
    ),
    "a blend beyond the pool": (
        blended(30_000),
        "samples.1.target_size=30000 exceeds the 20000 points that there are, and a blend takes "
        "none twice: it will be refused; lower it to 20000 or less",
    ),
}


@pytest.mark.parametrize("trap", WARNED)
def test_a_trap_is_named_with_its_key(trap: str) -> None:
    tried, expected = WARNED[trap]
    (warning,) = make_plan(tried, MACHINE).warnings
    assert warning.startswith(expected)


def test_shares_that_do_not_trust_the_top_need_no_large_one() -> None:
    for share in ("leaves=1", "points=1"):
        shared = problem(100_000, 256, [1000, 100], f"samples.0.share.{share}")
        assert make_plan(shared, MACHINE).warnings == []
    assert make_plan(blended(100, leaves=1), MACHINE).warnings == []  # a blend has no share


def test_advice_about_a_blend_that_is_followed_is_accepted() -> None:
    for size in (30_000, 15_000):
        (warning,) = make_plan(blended(size), MACHINE).warnings
        assert "replicas" not in warning
        followed = int(re.findall(r"lower it to (\d+)", warning)[0])
        assert make_plan(blended(followed), MACHINE).refusals == []


def test_a_heap_that_would_fill_the_host_is_a_warning() -> None:
    large = problem(40_000_000, 256, [1000, 200])
    (warning,) = make_plan(large, replace(MACHINE, heap=30 * GIB)).warnings
    assert warning.startswith("the host has 23.00 GiB, and all processes may come to hold 40")
    assert "lower spark.driver_memory, now 30.00 GiB" in warning


def test_workers_that_a_container_has_no_room_for_are_a_warning() -> None:
    split = problem(10**8, 256, [10_000], resampling={"rounds": 0}, split=800)
    on_cluster = replace(NOT_LOCAL, n_workers=4, overhead=0.4 * GIB)
    plan = make_plan(split, on_cluster)
    (warning,) = plan.warnings
    assert warning == (  # per worker: three copies of two mean cells, and an idle one's memory
        "cluster_levels cells, level 1: the Python workers of an executor (4) may come to hold "
        "3.54 GiB, and its container has 0.40 GiB beside the heap: set "
        "spark.executor.memoryOverhead to 4g"
    )
    assert plan.refusals == []
    assert make_plan(split, replace(on_cluster, overhead=4.0 * GIB)).warnings == []


def test_a_model_that_workers_have_no_room_for_is_a_warning() -> None:
    plain = problem(20_000, 256, [1000, 200])
    with_model = replace(plain, model_bytes=2 * GIB)
    part = make_plan(with_model, MACHINE).parts[0]
    before = make_plan(plain, MACHINE).parts[0]
    assert (part.worker - before.worker, part.driver - before.driver) == (2 * GIB, 2 * GIB)
    on_cluster = replace(NOT_LOCAL, n_workers=4, overhead=8.0 * GIB)
    told = {
        on_cluster: "embed_pool embed: the Python workers of an executor (4) may come to hold "
        "8.68 GiB, and its container has 8.00 GiB beside the heap: set "
        "spark.executor.memoryOverhead to 10g",
        NOT_LOCAL: "embed_pool embed: a Python worker would hold 2.17 GiB with the model, want at "
        "most 1.50 GiB; give workers more memory, by spark.executor.pyspark.memory",
        replace(MACHINE, host=7 * GIB): "the host has 7.00 GiB, and all processes may come to "
        "hold 7.81 GiB: lower spark.driver_memory, now 4.00 GiB, or spark.master to fewer slots",
    }
    for machine, warning in told.items():
        plan = make_plan(with_model, machine)
        assert (plan.warnings, plan.refusals) == ([warning], [])
        assert make_plan(plain, machine).warnings == []
    for machine in (
        MACHINE,
        replace(on_cluster, overhead=9.0 * GIB),
        replace(NOT_LOCAL, worker_limit=3 * GIB),
    ):
        assert make_plan(with_model, machine).warnings == []


NOT_LOCAL = replace(MACHINE, is_local=False, heap=64 * GIB, n_slots=64)
REFUSED = {  # -> machine, start and end of the message
    "a flat level that workers cannot hold": (
        problem(10**7, 1024, [60_000], split="off"),
        NOT_LOCAL,
        "cluster_levels start, level 1: a Python worker would hold 2.00 GiB, want at most "
        "1.50 GiB; ",
        "set cluster.split: auto, or lower cluster.levels[0]=60000 to 43581 or less",
    ),
    "more points than cells have room for": (
        problem(10**9, 1024, [10_000]),
        NOT_LOCAL,
        "cluster.levels[0]=10000 makes at most 10000 cells, of at most 65536 points each (the 256 "
        "MiB of a cell), and there are 1000000000; ",
        "raise cluster.levels[0] to 15259 or more, or set cluster.split: off",
    ),
    "more nodes than cells have room for": (
        problem(10**6, 16, [200_000, 30_000], max_cell_rows=6),
        MACHINE,
        "cluster.levels[1]=30000 makes at most 30000 cells, of at most 6 points each "
        "(cluster.max_cell_rows), and there are 200000; ",
        "raise cluster.levels[1] to 33334 or more, or set cluster.split: off",
    ),
    "leaves that workers cannot hold": (
        problem(10**8, 1024, [1_000_000]),
        NOT_LOCAL,
        "cluster_levels assign: a Python worker would hold 4.00 GiB, want at most 1.50 GiB; ",
        "lower cluster.levels[0]=1000000 to 347250 or less",
    ),
    "a tree that the driver's host cannot hold": (
        problem(10**8, 1024, [1_000_000]),
        replace(NOT_LOCAL, worker_limit=8 * GIB),
        "cluster_levels start, level 1: the host would hold 25.62 GiB, 24.72 GiB of it in the "
        "driver's Python, and has 23.00 GiB; ",
        "lower cluster.levels[0]=1000000 to about 885673",
    ),
    "a cell that a small worker cannot hold": (
        problem(2_000_000, 256, [6000], split=10),
        replace(MACHINE, worker_limit=0.6 * GIB, n_slots=16),
        "cluster_levels cells, level 1: a Python worker would hold 0.92 GiB, want at most "
        "0.60 GiB; ",
        "lower cluster.max_cell_rows=2000000 to 150295 or less",
    ),
    "a sample for cells that the host cannot hold": (
        problem(10**9, 256, [200_000], split=100_000),
        NOT_LOCAL,
        "cluster_levels start, level 1: the host would hold ",
        "and has 23.00 GiB; lower cluster.split, now 100000 cells",
    ),
    "closest members that the driver's host cannot hold": (
        problem(3 * 10**8, 256, [5000]),
        replace(NOT_LOCAL, host=16 * GIB),
        "cluster_levels closest, level 1: the host would hold 27.",
        "has 16.00 GiB; set cluster.resampling.rounds: 0",
    ),
    "closest members that workers cannot hold": (
        problem(2 * 10**9, 32, [5000]),
        NOT_LOCAL,
        "cluster_levels closest, level 1: a Python worker would hold 2.94 GiB, want at most 1.50 ",
        "GiB; set cluster.resampling.rounds: 0",
    ),
    "results beyond what Spark takes": (
        problem(3 * 10**8, 256, [5000]),
        replace(NOT_LOCAL, host=None, max_result=1.0 * GIB),
        "cluster_levels closest, level 1: the tasks of a pass would send 5.59 GiB to the driver, "
        "spark.driver.maxResultSize is 1.00 GiB; ",
        "set it to 7g, or to 0 for no limit",
    ),
    "a heap too small for the tree": (
        problem(10**6, 256, [100_000], resampling={"rounds": 0}),
        replace(MACHINE, heap=0.5 * GIB),
        "the driver's JVM would hold 0.59 GiB of centroids, spark.driver.memory is 0.50 GiB; ",
        "raise spark.driver_memory to 1g, or lower cluster.levels[0]=100000 to about 69905",
    ),
    "a pool that the host cannot hold": (
        problem(20_000_000, 256, [1000], solver="local"),
        MACHINE,
        "cluster_levels resampling, level 1: the host would hold ",
        "and has 23.00 GiB; set cluster.solver: spark",
    ),
}


@pytest.mark.parametrize("k", [10_000, 20_000, 100_000])
def test_cells_are_warned_of_once_and_the_advice_ends_it(k: int) -> None:
    (warning,) = about_cells(problem(10**9, 256, [k], resampling={"rounds": 0}))
    split, *leaves = map(int, re.findall(r" to (\d+)", warning))
    assert (split, leaves) == (7630, [15_260] if k == 10_000 else [])
    followed = problem(10**9, 256, leaves or [k], split=split, resampling={"rounds": 0})
    assert about_cells(followed) == []
    if k == 10_000:  # half of the advice would not do, nor would auto
        half = problem(10**9, 256, [k], split=split, resampling={"rounds": 0})
        assert about_cells(half)[0].endswith(
            "leaves 1.3 of cluster.levels[0]=10000 leaves to a cell, so that cells are the "
            "clusters; set cluster.split to 7630, and raise cluster.levels[0]=10000 to 15260 or "
            "more"
        )


@given(
    n=st.integers(10_000, 10**8),
    k=st.integers(2, 20_000),
    split=st.one_of(st.just("auto"), st.integers(2, 5000)),
    limit=st.integers(50, 10**6),
)
def test_advice_on_cells_that_is_followed_is_not_given_again(
    n: int, k: int, split: Any, limit: int
) -> None:
    def advised(k: int, split: Any) -> list[str]:
        return about_cells(problem(n, 256, [min(n, k)], split=split, max_cell_rows=limit))

    for advice in advised(k, split):
        fix = advice.rpartition("set cluster.split")[2]
        numbers = [int(number) for number in re.findall(r" to (\d+)", fix)]
        split, *leaves = numbers or ["auto"]
        assert advised([k, *leaves][-1], split) == []


def about_cells(planned: Problem) -> list[str]:
    return [w for w in make_plan(planned, NOT_LOCAL).warnings if w.startswith("cluster.split=")]


def test_cells_without_leaves_are_not_left_to_auto_where_its_cells_are_too_large() -> None:
    planned = problem(10**9, 256, [15_300], split=10_000, resampling={"rounds": 0})
    assert about_cells(planned)[0].endswith("cells are the clusters; set cluster.split to 7630")


@pytest.mark.parametrize("limit", REFUSED)
def test_what_cannot_fit_is_refused_with_what_would(limit: str) -> None:
    tried, machine, start, end = REFUSED[limit]
    refusal = make_plan(tried, machine).refusals[0]
    assert refusal.startswith(start)
    assert refusal.endswith(end)


def test_points_are_not_refused_while_every_cell_has_room_for_a_cluster() -> None:
    k, limit = 10_000, 65_536  # of 1024 float32, in 256 MiB
    for n, is_refused in ((k * limit, False), (k * limit + 1, True)):
        refusals = make_plan(problem(n, 1024, [k]), NOT_LOCAL).refusals
        assert any("there are" in refusal for refusal in refusals) == is_refused
