"""Coverage of the samples and of uniform draws, on independent nodes and communities.

Every clustering has its own hash sample of the pool, its own seed and its own uniform draw, so
their spread is the uncertainty that the verdict has to allow for.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from jobs.judging.communities import find_communities
from jobs.reporting.rows import Row, figure_rows
from jobs.spark.host import n_threads
from udfs.kernels.exact.hashing import derive_seed
from udfs.kernels.judging.coverage import (
    IndependentNodes,
    cluster_independently,
    distances_to,
    measure_communities,
    measure_coverage,
)
from udfs.kernels.judging.measures import effective_number, kl_to_uniform

N_CLUSTERINGS = 3
EVALUATED_ROWS = 10_000  # rows of the pool's hash sample for one clustering
MAX_COMPARED = 50_000  # sampled points used for coverage; a hash sample of them if there are more

Figures = dict[str, float]
Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Judges:
    """The points that samples are judged by.

    Attributes
    ----------
    evaluated : (n, d) each, the vectors of independent hash samples of the pool
    uniform : (m, d) each, the same number of independent uniform draws
    seed : seed of the clusterings
    unit : grid unit of the vectors
    """

    evaluated: Sequence[Vectors]
    uniform: Sequence[Vectors]
    seed: int
    unit: float

    @cached_property
    def panels(self) -> list["Panel"]:
        """Each hash sample's nodes and communities."""
        seeds = [derive_seed(self.seed, 1, i) for i in range(len(self.evaluated))]
        return [_panel(X, seed) for X, seed in zip(self.evaluated, seeds, strict=True)]


def wanted_samples(n_drawn: int) -> list[tuple[str, int]]:
    """Return the hash samples that judges need, as (salt, n_rows), alternating between the two."""
    return [
        pair
        for i in range(N_CLUSTERINGS)
        for pair in ((f"report.evaluated.{i}", EVALUATED_ROWS), (f"report.uniform.{i}", n_drawn))
    ]


def coverage_rows(sampled: Mapping[str, Vectors], judges: Judges, *, prefix: str = "") -> list[Row]:
    """Measure every sample and its uniform controls, over nodes and over communities.

    Parameters
    ----------
    sampled : sample -> its vectors, or a hash sample of them
    prefix : prefix of the rows' sections, for an embedding other than the run's own
    """
    with threadpool_limits(1):
        panels = judges.panels
        rows = _pool_rows(panels, prefix)
        for name, points in sampled.items():
            mine = [panel.measured(points, judges.unit) for panel in panels]
            theirs = [
                panel.measured(draw[: len(points)], judges.unit)
                for panel, draw in zip(panels, judges.uniform, strict=True)
            ]
            for section in ("coverage", "communities"):
                if all(section in found for found in mine):
                    pair = ([found[section] for found in each] for each in (mine, theirs))
                    rows += compared_rows(prefix + section, name, *pair)
    return rows


@dataclass(frozen=True)
class Panel:
    """One hash sample's nodes and communities; -1 marks points in no community."""

    nodes: IndependentNodes
    communities: NDArray[np.int64]

    @property
    def has_communities(self) -> bool:
        """Whether there are two communities at least."""
        return bool(self.communities.max(initial=0) > 0)

    def measured(self, sampled: Vectors, unit: float) -> dict[str, Figures]:
        """Measure a sample, by section."""
        points, threads = self.nodes.points, n_threads()
        distances = distances_to(points, sampled, n_threads=threads)
        found = {"coverage": measure_coverage(self.nodes, sampled, distances, n_threads=threads)}
        if self.has_communities:
            found["communities"] = measure_communities(
                points, self.communities, sampled, distances, n_threads=threads
            )
        key = "coverage_distance"
        return {
            section: measures | {key: measures[key] * unit} for section, measures in found.items()
        }


def _panel(X: Vectors, seed: int) -> Panel:
    nodes = cluster_independently(X, seed=seed, n_threads=n_threads())
    return Panel(nodes, find_communities(X, seed=seed, n_threads=n_threads()))


def _pool_rows(panels: Sequence[Panel], prefix: str) -> list[Row]:
    """Return the pool's own spread, the mean over the hash samples."""
    nodes = [np.bincount(panel.nodes.labels, minlength=panel.nodes.n_nodes) for panel in panels]
    figures = {
        "n_nodes": float(np.mean([len(counts) for counts in nodes])),
        "n_clusterings": float(len(panels)),
        "effective_nodes": float(np.mean([effective_number(counts) for counts in nodes])),
    }
    rows = figure_rows(f"{prefix}coverage", None, figures)
    if not all(panel.has_communities for panel in panels):
        return rows
    sizes = [np.bincount(panel.communities[panel.communities >= 0]) for panel in panels]
    means = {
        "n_communities": float(np.mean([len(counts) for counts in sizes])),
        "effective_communities": float(np.mean([effective_number(counts) for counts in sizes])),
        "kl_uniform": float(np.mean([kl_to_uniform(counts) for counts in sizes])),
    }
    return rows + figure_rows(f"{prefix}communities", None, means)


def compared_rows(
    section: str, name: str, mine: Sequence[Figures], theirs: Sequence[Figures]
) -> list[Row]:
    """Return the means over the clusterings, each clustering's own, and the gap with its error.

    ``coverage_gap`` is the sample's coverage distance minus the control's, relative to the control;
    ``coverage_gap_error`` is the standard error of its mean over the clusterings.
    """
    rows: list[Row] = []
    for metric in mine[0]:
        value, control = (float(np.mean([f[metric] for f in each])) for each in (mine, theirs))
        rows.append(Row(name, section, None, None, None, metric, value, control))
        rows += [
            Row(name, section, None, f"clustering {i}", None, metric, a[metric], b[metric])
            for i, (a, b) in enumerate(zip(mine, theirs, strict=True), start=1)
        ]
    key = "coverage_distance"
    gaps = [
        (a[key] - b[key]) / b[key] if b[key] else 0.0 for a, b in zip(mine, theirs, strict=True)
    ]
    error = float(np.std(gaps, ddof=1)) / math.sqrt(len(gaps)) if len(gaps) > 1 else 0.0
    gap = {"coverage_gap": float(np.mean(gaps)), "coverage_gap_error": error}
    return rows + figure_rows(section, name, gap)
