"""What dividing is worth: hardness of negatives, and what students' codes tell about labels.

Every figure stands beside two controls: without any division, and with a random one.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jobs.labels.points import knn_accuracy
from jobs.reporting.rows import Row
from jobs.spark.frames import as_table
from udfs.contrast import Views
from udfs.kernels.contrast.encoders import Encoder, as_floats
from udfs.kernels.contrast.hardness import Hardness, hardness
from udfs.kernels.exact.hashing import derive_seed

SECTION = "contrast"
REPORT_SCHEMA = "metric string, beside string, value double, control double"
N_SHOTS, N_TRIALS = 5, 10  # labelled points to learn from, per label; draws of them
MEASURED_ROWS = 5_000


class Partitions(NamedTuple):
    """Clusters of a sample's points : (n,) each; all one, at random, and found."""

    base_only: NDArray[np.integer]
    random_partition: NDArray[np.integer]
    divided: NDArray[np.integer]


def hardness_figures(
    views: Views, base: Encoder, parts: Partitions, *, seed: int
) -> dict[str, dict[str, float]]:
    """Measure negatives of the same cluster, by the base's codes of both views.

    Returns
    -------
    figures : metric -> partition -> value
    """
    n = min(len(views.a), MEASURED_ROWS)
    left, right = (as_floats(base(2 * view[:n])) for view in views)
    found: dict[str, Hardness] = {}
    for i, (name, labels) in enumerate(parts._asdict().items()):
        rng = np.random.default_rng(derive_seed(seed, i))
        found[name] = hardness(left, right, labels[:n], rng=rng)
    return {
        f"negative_{metric}": {name: getattr(each, metric) for name, each in found.items()}
        for metric in Hardness._fields
    }


def label_figures(
    views: Views, students: Mapping[str, Encoder], y: NDArray[np.str_], *, seed: int
) -> dict[str, dict[str, float]]:
    """Measure how well codes follow labels: by neighbours, and by a few points of each label.

    Parameters
    ----------
    students : the students and the base, by name
    y : (n,) labels; empty where there is none
    """
    known = np.flatnonzero(y != "")
    y = y[known]
    codes = {
        name: as_floats(each(views.points)).astype(np.float32)[known]
        for name, each in students.items()
    }
    rng = np.random.default_rng(seed)
    trials = [few_shots(y, rng=rng) for _ in range(N_TRIALS)]
    return {
        "knn_accuracy": {name: knn_accuracy(X, y) for name, X in codes.items()},
        "few_shot_accuracy": {name: few_shot_accuracy(X, y, trials) for name, X in codes.items()},
    }


def few_shots(y: NDArray[np.str_], *, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Draw N_SHOTS points of each label that has twice as many : (n,)."""
    is_drawn = np.zeros(len(y), np.bool_)
    for label in np.unique(y):
        mine = np.flatnonzero(y == label)
        if len(mine) >= 2 * N_SHOTS:
            is_drawn[rng.choice(mine, N_SHOTS, replace=False)] = True
    return is_drawn


def few_shot_accuracy(
    X: NDArray[np.float32], y: NDArray[np.str_], trials: list[NDArray[np.bool_]]
) -> float:
    """Return the mean accuracy, on the rest of their labels, of the drawn points' centroids."""
    found = []
    for is_drawn in trials:
        labels = np.unique(y[is_drawn])
        if len(labels) < 2:
            return float("nan")
        tested = ~is_drawn & np.isin(y, labels)
        centroids = np.stack([X[is_drawn & (y == label)].mean(axis=0) for label in labels])
        sq_norms = (centroids**2).sum(axis=1) / 2
        predicted = labels[np.argmax(X[tested] @ centroids.T - sq_norms, axis=1)]
        found.append(float((predicted == y[tested]).mean()))
    return float(np.mean(found))


def report_of(figures: Mapping[str, Mapping[str, float]]) -> pa.Table:
    """Return figures as columns of ``contrast_report``: each beside both controls."""
    rows = [
        (metric, control, values["divided"], values[control])
        for metric, values in figures.items()
        for control in values
        if control != "divided"
    ]
    return as_table(rows, REPORT_SCHEMA)


def rows_of(source: str, report: pa.Table, merges: NDArray[np.int64], n_rounds: int) -> list[Row]:
    """Return rows of ``report``, keyed by round: figures, and (n_merges, 3) merged clusters."""
    told: list[tuple[str, float, float | None]] = [
        (f"{row['metric']}, beside {row['beside']}", row["value"], row["control"])
        for row in report.to_pylist()
    ]
    told += [
        (f"points of cluster {k}, merged into {to}", float(n), None) for k, n, to in merges if n
    ]
    return [Row(source, SECTION, None, str(n_rounds), None, *each) for each in told]
