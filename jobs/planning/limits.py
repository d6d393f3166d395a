"""What cannot fit: what is needed, what is available, and which key to change."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from jobs.planning.advice import cell_limit
from jobs.planning.level_parts import BIN_COPIES, sums_bytes, tree_bytes
from jobs.planning.machine import EXECUTOR_OUTSIDE, GIB, JVM_BASE, WORKER_BASE, Machine
from jobs.planning.problem import Part, Problem
from jobs.sections.cluster import FLAT_CLUSTERS, ClusterConfig

_HEAP_BASE = 0.3 * GIB  # Spark and Delta themselves
_EMBEDS = "embed_pool"
_HEAP_COPIES = 3  # copies of the tree in the JVM: broadcast, as rows to write, and in flight


def refusals(problem: Problem, parts: Sequence[Part], machine: Machine) -> list[str]:
    """Return what cannot fit; empty if everything does.

    A model may be mapped from its files, or be on a GPU: for that there are warnings.
    """
    model = problem.model_bytes
    parts = [
        replace(part, worker=part.worker - model, driver=part.driver - model)
        if part.stage == _EMBEDS
        else part
        for part in parts
    ]
    found = (
        _worker(problem, parts, machine),
        _heap(problem, machine),
        _host(problem, parts, machine),
        _results(parts, machine),
    )
    return [*_cells(problem), *(refusal for refusal in found if refusal)]


def _cells(problem: Problem) -> Iterator[str]:
    """Yield a refusal if the cells cannot hold the points: each cell needs its own cluster."""
    cluster = problem.config.cluster
    limit, key = cell_limit(cluster, problem.n_features)
    for t, k in enumerate(cluster.levels, start=1):
        n_rows = problem.inputs_of(t)
        if cluster.cells_at(t) and k * limit < n_rows:
            yield (
                f"cluster.levels[{t - 1}]={k} makes at most {k} cells, of at most {limit} points "
                f"each ({key}), and there are {n_rows}; raise cluster.levels[{t - 1}] to "
                f"{-(-n_rows // limit)} or more, or set cluster.split: off"
            )


def _worker(problem: Problem, parts: Sequence[Part], machine: Machine) -> str | None:
    part = next((part for part in parts if part.worker > machine.worker_limit), None)
    if part is None:
        return None
    found = (
        f"{_place(part)}: a Python worker would hold {_gib(part.worker)}, want at most "
        f"{_gib(machine.worker_limit)}; "
    )
    if part.part == "pack":
        return found + "give workers more memory, by spark.executor.pyspark.memory"
    if part.part in ("closest", "resampling"):
        return found + "set cluster.resampling.rounds: 0"
    cluster, t = problem.config.cluster, part.level or 1
    if part.part == "cells":
        room = machine.worker_limit - WORKER_BASE
        fits = max(1, int(room / (BIN_COPIES * 4 * problem.n_features)))
        return found + f"lower cluster.max_cell_rows={cluster.max_cell_rows} to {fits} or less"
    return found + _fewer_nodes(cluster, machine, t, held=part.worker - WORKER_BASE)


def _fewer_nodes(cluster: ClusterConfig, machine: Machine, t: int, *, held: float) -> str:
    """Return how many nodes a worker has room for, given the bytes it would hold for all."""
    k, room = cluster.levels[t - 1], max(0.0, machine.worker_limit - WORKER_BASE)
    lower = f"lower cluster.levels[{t - 1}]={k} to {int(k * room / held)} or less"
    if cluster.cells_at(t) or t > 1:
        return lower
    cells = "auto" if k > FLAT_CLUSTERS else round(k**0.5)
    return f"set cluster.split: {cells}, or {lower}"


def _heap(problem: Problem, machine: Machine) -> str | None:
    """Refuse a tree that the driver's JVM cannot hold."""
    cluster = problem.config.cluster
    per_node = 4.0 * problem.n_features * _HEAP_COPIES
    gathered = 0.0
    if not problem.is_local and not cluster.cells_at(1):
        gathered = 2 * sums_bytes(cluster.levels[0], problem.n_features, machine.n_slots)
    wanted = _HEAP_BASE + per_node * sum(cluster.levels) + gathered
    if wanted <= machine.heap:
        return None
    fits = int((machine.heap - _HEAP_BASE) / ((wanted - _HEAP_BASE) / sum(cluster.levels)))
    return (
        f"the driver's JVM would hold {_gib(wanted)} of centroids, spark.driver.memory is "
        f"{_gib(machine.heap)}; raise spark.driver_memory to {math.ceil(wanted / GIB)}g, or lower "
        f"cluster.levels[0]={cluster.levels[0]} to about {max(1, fits)}"
    )


def _host(problem: Problem, parts: Sequence[Part], machine: Machine) -> str | None:
    """Refuse a part that the driver's host cannot hold, however little heap the JVM uses."""
    if machine.host is None:
        return None
    largest = max(parts, key=lambda part: _held(part, machine))
    wanted = _held(largest, machine) + JVM_BASE
    if wanted <= machine.host:
        return None
    fix = "lower spark.master to fewer slots"
    if (tree := tree_bytes(problem)) > machine.host / 2:
        k = problem.config.cluster.levels[0]
        fits = max(1, int(k * (1 - (wanted - machine.host) / tree)))
        fix = f"lower cluster.levels[0]={k} to about {fits}"
    elif largest.driver > machine.host / 2 or largest.part == "closest":  # fewer slots won't help
        fix = _lighter(largest, problem.config.cluster)
    return (
        f"{_place(largest)}: the host would hold {_gib(wanted)}, "
        f"{_gib(largest.driver)} of it in the driver's Python, and has {_gib(machine.host)}; {fix}"
    )


def _lighter(part: Part, cluster: ClusterConfig) -> str:
    """Return a setting that makes a part hold less in the driver."""
    if part.solver == "local":
        return "set cluster.solver: spark"
    if part.part in ("closest", "resampling"):
        return "set cluster.resampling.rounds: 0"
    if part.part == "start" and (n_cells := cluster.cells_at(part.level or 1)):
        return f"lower cluster.split, now {n_cells} cells"
    return "lower cluster.levels[0]"


def _results(parts: Sequence[Part], machine: Machine) -> str | None:
    """Refuse results so large that Spark would abort the job."""
    largest = max(parts, key=lambda part: part.gathered)
    if largest.gathered <= machine.max_result:
        return None
    return (
        f"{_place(largest)}: the tasks of a pass would send {_gib(largest.gathered)} to the "
        f"driver, spark.driver.maxResultSize is {_gib(machine.max_result)}; set it to "
        f"{math.ceil(1.1 * largest.gathered / GIB)}g, or to 0 for no limit"
    )


def tight_heap(parts: Sequence[Part], machine: Machine) -> list[str]:
    """Warn of a heap that, once full, leaves the host too little memory."""
    if machine.host is None:
        return []
    wanted = max(_held(part, machine) + part.jvm for part in parts)
    if wanted <= machine.host:
        return []
    return [
        f"the host has {_gib(machine.host)}, and all processes may come to hold {_gib(wanted)}: "
        f"lower spark.driver_memory, now {_gib(machine.heap)}, or spark.master to fewer slots"
    ]


def tight_containers(parts: Sequence[Part], machine: Machine) -> list[str]:
    """Warn of Python workers that a cluster manager may kill, as some do."""
    largest = max(parts, key=lambda part: part.worker)
    wanted = machine.n_workers * largest.worker
    if machine.overhead is None or wanted <= machine.overhead:
        return []
    return [
        f"{_place(largest)}: the Python workers of an executor ({machine.n_workers}) may come to "
        f"hold {_gib(wanted)}, and its container has {_gib(machine.overhead)} beside the heap: set "
        f"spark.executor.memoryOverhead to {math.ceil((wanted + EXECUTOR_OUTSIDE) / GIB)}g"
    ]


def tight_workers(parts: Sequence[Part], machine: Machine) -> list[str]:
    """Warn of Python workers with less memory than a model takes, where no container is known."""
    if machine.is_local or machine.overhead is not None:
        return []
    return [
        f"{_place(part)}: a Python worker would hold {_gib(part.worker)} with the model, want at "
        f"most {_gib(machine.worker_limit)}; give workers more memory, by "
        "spark.executor.pyspark.memory"
        for part in parts
        if part.stage == _EMBEDS and part.worker > machine.worker_limit
    ]


def _held(part: Part, machine: Machine) -> float:
    """Return the bytes that a part holds on the driver's host outside the JVM."""
    return part.driver + (machine.n_slots * part.worker if machine.is_local else 0.0)


def _place(part: Part) -> str:
    return f"{part.stage} {part.part}" + (f", level {part.level}" if part.level else "")


def _gib(n_bytes: float) -> str:
    return f"{n_bytes / GIB:.2f} GiB"
