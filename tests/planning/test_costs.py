"""The planner's arithmetic: a level by hand, monotonicity, and what the stages really do."""

import sys
import tracemalloc
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.config.loading import parse_config
from jobs.negatives import cutting
from jobs.planning import costs, level_parts, passes, plan
from jobs.planning.calibration import calibrate
from jobs.planning.machine import (
    CALL_SECONDS,
    DRIVER_BASE,
    EVENT_SECONDS,
    FETCHED_COPIES,
    GIB,
    JOB_SECONDS,
    WORKER_BASE,
    WRITE_SECONDS,
    Machine,
    Speed,
    assumed_speed,
)
from jobs.planning.plan import Plan
from jobs.planning.problem import Part, Problem
from jobs.recipe import RECIPE
from jobs.reporting import coverage_rows
from jobs.sampling.counts import all_points
from jobs.sampling.planned import plan_sample
from jobs.sampling.reach import rows_for_coverage
from jobs.sections.samples import SampleConfig
from jobs.sections.synthesis import SynthesisConfig
from jobs.tuning import problem as tuning_problem
from udfs.blocks import from_bytes, to_bytes
from udfs.kernels.cells.coarse import SAMPLE_PER_CELL, fit_cells
from udfs.kernels.exact.nearest import Centroids
from udfs.kernels.kmeans.start import GRAM_CANDIDATES, OVERSAMPLING, _Distances
from udfs.kernels.passes.sources import blocks_of
from udfs.kernels.passes.steps.members import ClosestMembers
from udfs.kernels.sampling.allocation import TreeLevel

MACHINE = Machine(n_slots=2, n_threads=2, heap=4 * GIB, speed=Speed(1e-6, 1e-8), host=23 * GIB)


def problem(n: int, levels: list[int], d: int = 256, **cluster: Any) -> Problem:
    config = parse_config(
        {
            "input": {"table": "data/pool", "embedding": "vector"},
            "output": {"root": "data/lake"},
            "cluster": {"levels": levels, **cluster},
            "samples": [{"name": "s", "target_size": 10, "share": {"leaves": 0.0}}],
        }
    )
    return Problem(n, d, config)


def estimate(tried: Problem, machine: Machine) -> list[Part]:
    return costs.estimate(tried, machine, RECIPE.on(tried.config))


def near(n: int, d: int = 256) -> Part:
    """Return the search for near copies in a plan."""
    tried = problem(n, [10], d=d)
    dedup = tried.config.dedup.model_copy(update={"threshold": 0.95})
    config = tried.config.model_copy(update={"dedup": dedup})
    return part(estimate(replace(tried, config=config), MACHINE), "near copies")


def test_near_copies_by_hand_and_where_they_are_searched() -> None:
    small, large = near(100_000), near(1_000_000)
    # to 195 cells, and in each half the pairs of 1282 points, half as many again as cells differ
    pairs = 100_000 * 195 + 1.5 * 195 * (250_000 / 195) ** 2 / 2
    assert small.flops == pytest.approx(2 * 256 * pairs)
    assert (small.shuffled, small.worker) == (0, WORKER_BASE)
    assert large.shuffled == 2.5 * 4 * 256 * 1_000_000  # cells of a point
    assert large.flops / 1e6**2 < 0.2 * 2 * 256  # far from all pairs
    without = estimate(problem(1000, [10]), MACHINE)
    assert [p.part for p in without if p.stage == "find_duplicates"] == ["exact copies"]


def test_divide_and_contrast_passes_moments_once_for_all_clusters() -> None:
    def found(**contrast: Any) -> Part:
        given = {"source": "pool", "views": {"noise": 0.5}, "student": {"rows": 1000}} | contrast
        plain = problem(100_000, [10]).config.model_dump(by_alias=True)
        config = parse_config(plain | {"contrast": given})
        tried = Problem(100_000, 256, config)
        return part(costs.estimate(tried, MACHINE, RECIPE.beside(config)), "contrast")

    # three passes; a student and two controls of 64 units, 40 epochs
    moments, learned = 3 * 2 * 256**2 * 100_000, 3 * 6 * 256 * 64 * 40 * 1000
    assert found().flops == pytest.approx(moments + learned)
    assert found(n_clusters=10).flops == found().flops
    assert found(n_clusters=10).worker - found().worker == 2 * 16 * 256**2 * 5
    assert found(rounds=2).flops == pytest.approx(moments * 5 / 3 + learned * 4 / 3)


@pytest.mark.parametrize(
    ("synthesis", "seconds"),
    [
        ({"captioner": "grammar"}, 1200 * 2e-5),
        ({"captioner": "openai:m"}, 1200 / 4),  # at once
        ({"captioner": "openai:m", "calls": {"seconds": 0.5, "at_once": 2}}, 1200 * 0.5 / 2),
        ({"captioner": "openai:m", "calls": {"per_minute": 60, "at_once": 99}}, 1200),
        ({"captioner": "python:my_captioner:make"}, 1200),
    ],
)
def test_captions_are_priced_by_their_calls(synthesis: dict[str, Any], seconds: float) -> None:
    base = problem(1000, [10]).config
    given = SynthesisConfig(concepts="tree", n_captions=1000, **synthesis)
    tried = Problem(1000, 256, base.model_copy(update={"synthesis": given}))
    parts = costs.estimate(tried, MACHINE, RECIPE.beside(tried.config))
    named = {each.stage: each for each in parts}
    assert named["write_captions"].part == "1200 prompts"  # a sixth of them asked for again
    fixed = 3 * WRITE_SECONDS + 2 * EVENT_SECONDS
    assert named["write_captions"].seconds == pytest.approx(seconds + fixed)
    assert "plan_synthesis" in named


def make_plan(tried: Problem, machine: Machine) -> Plan:
    return plan.make_plan(tried, machine, RECIPE.on(tried.config))


def part(parts: list[Part], name: str, level: int | None = None) -> Part:
    (found,) = [p for p in parts if (p.part, p.level) == (name, level)]
    return found


def test_a_flat_level_by_hand() -> None:
    plain = {"resampling": {"rounds": 0}, "algorithm": "lloyd", "max_iter": 4}
    parts = estimate(problem(1000, [10], d=3, **plain), MACHINE)
    # k-means||: 5 rounds and a count, one distance to each of 20 candidates
    begun = part(parts, "start", 1)
    assert (begun.n_passes, begun.flops) == (6, 2 * 3 * 1000 * 20)
    # 4 of Lloyd, 1 to describe the clusters
    iterated = part(parts, "iterations", 1)
    assert (iterated.n_passes, iterated.flops) == (5, 5 * 2 * 3 * 1000 * 10)
    assert iterated.blocks == 4  # of 312 rows
    assert iterated.seconds == pytest.approx(
        5 * (1000 * 1e-6 + 10_000 * 1e-8) / 2 + 5 * CALL_SECONDS
    )
    assert (iterated.shipped, iterated.shuffled, iterated.worker) == (0, 0, 0)


def test_a_flat_level_on_spark_ships_its_centroids_in_every_pass() -> None:
    plain = {"resampling": {"rounds": 0}, "algorithm": "lloyd", "max_iter": 4, "solver": "spark"}
    iterated = part(estimate(problem(1000, [10], d=3, **plain), MACHINE), "iterations", 1)
    assert iterated.shipped == 5 * 10 * 3 * 4
    assert iterated.seconds > 5 * JOB_SECONDS
    assert iterated.worker > 0


@pytest.mark.parametrize("n", [10**7, 3 * 10**8])
@pytest.mark.parametrize(("slots", "n_sums"), [(2, 2), (26, 26), (27, 1), (64, 1)])
def test_the_driver_gathers_the_sums_of_every_slot_or_once_where_they_are_large(
    n: int, slots: int, n_sums: int
) -> None:
    k, d = 5000, 256  # 10 MB of sums per task, 256 MiB at most
    cluster = replace(MACHINE, n_slots=slots, is_local=False)
    iterated = part(estimate(problem(n, [k], solver="spark"), cluster), "iterations", 1)
    tree = level_parts.TREE_BYTES * d * k
    assert iterated.driver == DRIVER_BASE + tree + n_sums * 16 * d * k


@pytest.mark.parametrize(("k", "kept"), [(4096, 8 * 8192**2), (4097, 0)])
def test_the_distances_between_candidates_are_planned_where_they_are_kept(
    k: int, kept: int
) -> None:
    n, d = 10_000_000, 256
    begun = part(estimate(problem(n, [k], solver="spark"), MACHINE), "start", 1)
    sums = MACHINE.n_slots * 16 * d * k
    assert begun.driver == DRIVER_BASE + level_parts.TREE_BYTES * d * k + sums + kept
    X = np.arange(2 * k, dtype=np.float32)[:, None]
    held = _Distances(X, total_weight=1.0)._everything
    assert kept == (0 if held is None else held.nbytes)


def test_a_resampling_round_is_a_pass_over_all_and_a_fit_of_the_kept() -> None:
    kept = passes.KEPT * 0.5  # auto keeps half the mean cluster
    rounds = {"resampling": {"rounds": 3}, "algorithm": "lloyd"}
    parts = estimate(problem(1000, [10], **rounds), MACHINE)
    assert part(parts, "closest", 1).n_passes == 3
    resampled = part(parts, "resampling", 1)
    assert resampled.n_passes == pytest.approx(3 * kept * (6 + passes.LLOYD_RESAMPLED))


@pytest.mark.parametrize(("points", "sent"), [("auto", 10**8), (30, 64 * 5000 * 30)])
def test_the_closest_members_of_every_task_come_to_the_driver(points: Any, sent: int) -> None:
    n, k, d, slots = 10**8, 5000, 256, 64
    cluster = replace(MACHINE, n_slots=slots, is_local=False)
    resampled = problem(n, [k], solver="spark", resampling={"rounds": 1, "points": points})
    closest = part(estimate(resampled, cluster), "closest", 1)
    assert closest.gathered == 20 * sent  # label, distance, position
    assert closest.driver == DRIVER_BASE + level_parts.TREE_BYTES * d * k + 95 * sent
    sums = level_parts.FLAT_BYTES * d * k
    assert closest.worker == WORKER_BASE + sums + 95 * n / slots


def test_closest_members_take_as_much_memory_as_is_planned() -> None:
    n, k, n_tasks = 100_000, 10, 4
    rng = np.random.default_rng(0)
    step = ClosestMembers(Centroids(np.zeros((k, 1), np.float32)), n // (2 * k))
    share = {"labels": rng.integers(0, k, n // n_tasks, np.int32), "sq_dist": rng.random(n // 4)}
    rows = [to_bytes(share | {"positions": np.arange(task, n, n_tasks)}) for task in range(n_tasks)]
    sent = sum(map(len, rows))
    assert sent == pytest.approx(level_parts.MEMBER_BYTES * n, rel=0.05)
    tracemalloc.start()
    step.merge([from_bytes(row) for row in rows])
    held = sent + tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert held == pytest.approx(level_parts.MEMBER_HELD * n, rel=0.2)


@pytest.mark.parametrize("size", [400_000, 0.4, {"coverage": 1.0}])
def test_the_rows_of_a_sample_take_as_much_memory_as_is_planned(size: Any) -> None:
    k, n_tops, per_leaf = 100_000, 100, 10
    levels = [
        TreeLevel(np.arange(k) % n_tops, np.ones(k, int), np.full(k, per_leaf)),
        TreeLevel(
            np.zeros(n_tops, int), np.full(n_tops, k // n_tops), np.full(n_tops, 10 * k // n_tops)
        ),
    ]
    tried = problem(per_leaf * k, [k, n_tops])
    share = {"leaves": 0.0}
    sample = SampleConfig.model_validate({"name": "s", "target_size": size, "share": share})
    tried = replace(tried, config=tried.config.model_copy(update={"samples": [sample]}))
    plan = partial(plan_sample, sample, levels, all_points(levels), seed=0)
    tracemalloc.start()
    n_rows = sample.rows_of(tried.n_points)
    if isinstance(size, dict):
        n_rows = rows_for_coverage(sample, k, n_rows, plan)
    plan(n_rows).of_leaves()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 0.3 * tried.ordered_bytes < peak < 1.2 * tried.ordered_bytes
    (drawn,) = (part for part in estimate(tried, MACHINE) if part.part == "draw")
    assert drawn.driver == DRIVER_BASE + tried.ordered_bytes


@pytest.mark.parametrize(("n", "solver"), [(100_000, "local"), (1_000_000, "spark")])
def test_a_small_resampling_round_is_solved_on_the_driver(n: int, solver: str) -> None:
    parts = estimate(problem(n, [1000], solver="spark", split="off"), MACHINE)
    assert part(parts, "iterations", 1).solver == part(parts, "closest", 1).solver == "spark"
    assert part(parts, "resampling", 1).solver == solver


def test_a_split_level_routes_every_point_once() -> None:
    cells = part(estimate(problem(200_000, [10_000], solver="spark"), MACHINE), "cells", 1)
    n, d, n_cells = 200_000, 256, 100
    assert cells.shuffled == 4 * n * d
    # routed by 100 cells; inside, 200 candidates and 8 passes over 100 clusters
    assert cells.flops == 2 * d * n * (n_cells + 200 + (passes.LLOYD + 1) * 100)
    assert cells.flops < 2 * d * n * 10_000  # one flat pass costs more


def test_cells_that_hold_too_much_are_planned_as_they_are_divided() -> None:
    n, d, k, limit = 10**8, 256, 100_000, 2**28 // (4 * 256)
    assert passes.cells_of(n // 10, 1, d, problem(n, [k]).config.cluster) == 316  # the root of k
    n_cells = 1.5 * n / limit  # in parts of two thirds of the limit each
    assert passes.cells_of(n, 1, d, problem(n, [k]).config.cluster) == n_cells > 316
    parts = estimate(problem(n, [k], solver="spark"), replace(MACHINE, n_slots=64))
    cells, assign = part(parts, "cells", 1), part(parts, "assign")
    per_point = n_cells + (2 + passes.LLOYD + 1) * k / n_cells
    assert cells.flops == pytest.approx(2 * d * n * per_point)
    assert assign.flops == pytest.approx(2 * d * n * (n_cells + k / n_cells))
    assert cells.worker == WORKER_BASE + level_parts.BIN_COPIES * 4 * d * limit


@pytest.mark.parametrize(("k", "limit"), [(200, 3000), (1000, 1000), (400, 10**6)])
def test_about_as_many_cells_are_planned_as_are_found(k: int, limit: int) -> None:
    X = np.random.default_rng(0).integers(-1000, 1000, (20_000, 4)).astype(np.float32)
    config = problem(len(X), [k], d=4, max_cell_rows=limit, split=14).config.cluster
    cells = fit_cells(blocks_of(X), k, config.cells_at(1), max_rows=limit, seed=0)
    assert len(cells.centroids) == pytest.approx(passes.cells_of(len(X), 1, 4, config), rel=0.4)


def test_cells_are_fitted_on_a_sample_that_the_driver_holds() -> None:
    n, d, k, split = 10_000_000, 256, 10_000, 2000
    begun = part(estimate(problem(n, [k], split=split, solver="spark"), MACHINE), "start", 1)
    sample = SAMPLE_PER_CELL * split * (4 * d + 8)  # vectors and hashes
    fitting = MACHINE.n_threads * split * d * level_parts.FLAT_BYTES + 8 * (2 * split) ** 2
    assert begun.driver == (
        DRIVER_BASE + level_parts.TREE_BYTES * d * k + FETCHED_COPIES * sample + fitting
    )
    assert (begun.gathered, begun.shipped, begun.worker) == (sample, 0, 0)


def test_minibatches_are_counted_by_their_share_of_the_points() -> None:
    n, k, d = 100_000, 1000, 256
    parts = estimate(problem(n, [k, 200], algorithm="minibatch"), MACHINE)
    # mini-batches of a quarter and of all, 4 iterations each; then 4 of Lloyd, and 1 to describe
    # the clusters
    n_passes = 4 / 4 + 4 + 4 + 1
    iterated = part(parts, "iterations", 1)
    assert iterated.flops == pytest.approx(2 * d * n * n_passes * k)
    slow = iterated.seconds - n * n_passes * 1e-6 / 2 - (4 + 4 + 4 + 1) * CALL_SECONDS
    assert slow == pytest.approx(n * 1e-8 / 2 * k * n_passes)


# --- properties -----------------------------------------------------------------------------------

TREES = st.sampled_from([[50], [1000, 100], [6000], [10_000, 1000, 100]])
SOLVERS = st.sampled_from(["auto", "spark", "local"])


@given(
    n=st.integers(20_000, 10**8),
    more=st.integers(1, 10**8),
    levels=TREES,
    solver=SOLVERS,
    algorithm=st.sampled_from(["auto", "lloyd"]),
)
def test_more_points_never_cost_less(
    n: int, more: int, levels: list[int], solver: str, algorithm: str
) -> None:
    few, many = (
        make_plan(problem(m, levels, solver=solver, algorithm=algorithm), MACHINE)
        for m in (n, n + more)
    )
    assert many.figures["shuffled"] >= few.figures["shuffled"]
    if algorithm == "lloyd":  # from some size on, mini-batches save distances
        assert many.figures["flops"] >= few.figures["flops"]
    if [p.solver for p in few.parts] == [p.solver for p in many.parts]:
        assert many.seconds >= few.seconds
        assert all(many.peak(p) >= few.peak(p) for p in ("driver", "jvm"))


@given(k=st.integers(1, 5000), more=st.integers(1, 100_000), solver=SOLVERS)
def test_more_clusters_never_take_less_memory(k: int, more: int, solver: str) -> None:
    plain = {"solver": solver, "split": "off", "resampling": {"rounds": 0}}
    few, many = (make_plan(problem(500_000, [m], **plain), MACHINE) for m in (k, k + more))
    for process in ("worker", "jvm"):
        assert many.peak(process) >= few.peak(process)
    limit = GRAM_CANDIDATES / OVERSAMPLING  # beyond it, no distances between candidates are kept
    if (k <= limit) == (k + more <= limit):
        assert many.peak("driver") >= few.peak("driver")


@given(n=st.integers(1000, 10**8), slots=st.integers(1, 500), levels=TREES)
def test_more_slots_never_take_longer(n: int, slots: int, levels: list[int]) -> None:
    n = max(n, levels[0])
    few, many = (
        make_plan(problem(n, levels), replace(MACHINE, n_slots=m)) for m in (slots, slots + 1)
    )
    assert many.seconds <= few.seconds


# --- the product's own sizes ----------------------------------------------------------------------


def test_the_planner_knows_the_sizes_that_the_report_decides_by() -> None:
    assert costs.EVALUATED_ROWS == coverage_rows.EVALUATED_ROWS
    assert costs.MAX_COMPARED == coverage_rows.MAX_COMPARED
    assert costs.N_CLUSTERINGS == coverage_rows.N_CLUSTERINGS
    assert costs.GUARDED_ROWS == cutting.RUN_ROWS
    assert costs.n_sampled is tuning_problem.n_sampled


@pytest.mark.parametrize("n_rows", [31_200, 99_999, 100_000])
def test_minibatches_are_planned_where_the_solver_takes_them(n_rows: int) -> None:
    config = problem(n_rows, [1000]).config.cluster
    is_lloyd = passes.iterate(n_rows, 1000, config) == passes.full(n_rows, 1000, passes.LLOYD)
    assert is_lloyd == (n_rows < 100_000)


def test_the_calibration_is_short_and_finds_a_speed() -> None:
    measured, assumed = calibrate(32, 1), assumed_speed(32)
    assert measured.is_measured and not assumed.is_measured
    assert sys.float_info.epsilon < measured.pair_seconds < 1e3 * assumed.pair_seconds
    assert 0 < measured.row_seconds < 1e3 * assumed.row_seconds
