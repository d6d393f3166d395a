"""The linear probe: what a sample teaches a simple model, beside uniform samples of its size."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgWarning
from sklearn.linear_model import RidgeClassifier

from jobs.reporting.rows import Row, figure_rows

TRAINED_ROWS = 5_000  # the most rows of a sample
CONTROLS = ("report.control", "report.control.2", "report.control.3")  # salts of the uniform draws
N_FOLDS = 5  # parts of the tested points; a probe never learns from the part that it is tested on
_LEAST_TESTED = 5  # points of a label; rarer labels are not tested


@dataclass(frozen=True)
class Labelled:
    """Points with labels : ids, X (n, d), y (n,)."""

    ids: list[object]
    X: NDArray[np.float32]
    y: NDArray[np.str_]

    def at(self, kept: Sequence[int] | NDArray[np.int64]) -> "Labelled":
        """Return the points at certain positions."""
        return Labelled([self.ids[i] for i in kept], self.X[kept], self.y[kept])

    def but(self, others: set[object]) -> "Labelled":
        """Return the points whose ids are not among others."""
        return self.at([i for i, id_ in enumerate(self.ids) if id_ not in others])

    def first(self, n: int) -> "Labelled":
        """Return the first n points."""
        return Labelled(self.ids[:n], self.X[:n], self.y[:n])


def probe_rows(
    samples: Mapping[str, Labelled], controls: Sequence[Labelled], pool: Labelled
) -> list[Row]:
    """Return the accuracy of a linear classifier trained on each sample's points.

    Every label counts the same. The control is the mean over uniform draws of the sample's size;
    the gap's standard error is that of the test points. The pool's points are tested in folds,
    each by probes trained without it. So points that a sample took are tested too: of a rare
    label it takes most, and the few that it leaves would say little about what it teaches.

    Parameters
    ----------
    controls : uniform draws; if some have fewer labels than a sample, no more of it is used
    pool : a hash sample to test on, in the order of its hashes
    """
    labels, counts = np.unique(pool.y, return_counts=True)
    labels = labels[counts >= _LEAST_TESTED]
    if len(labels) < 2:
        return []
    tested = pool.at(np.flatnonzero(np.isin(pool.y, labels)))
    rows = []
    for name, sample in samples.items():
        n_trained = min(len(one.ids) for one in (sample, *controls))
        right = _right_by_folds([one.first(n_trained) for one in (sample, *controls)], tested)
        if right is None:
            continue
        mine, theirs = right[0], right[1:].mean(axis=0)
        of_label = [tested.y == label for label in labels]
        value, control = (np.mean([x[at].mean() for at in of_label]) for x in (mine, theirs))
        variances = [(mine - theirs)[at].var(ddof=1) / at.sum() for at in of_label]
        error = np.sqrt(np.sum(variances)) / len(labels)
        rows.append(Row(name, "labels", None, None, None, "probe_accuracy", value, control))
        gap = {"probe_gap": value - control, "probe_gap_error": error}
        rows += figure_rows("labels", name, {key: float(x) for key, x in gap.items()})
    return rows


def _right_by_folds(sets: Sequence[Labelled], tested: Labelled) -> NDArray[np.float64] | None:
    """Return whether probes trained on each set name the labels, fold by fold : (n_sets, n) 0 or 1.

    Every label is spread evenly over the folds. None if a set has fewer than two labels to learn.
    """
    right = np.empty((len(sets), len(tested.ids)))
    by_label = np.argsort(tested.y, kind="stable")
    for held_out in (by_label[i::N_FOLDS] for i in range(N_FOLDS)):
        fold = tested.at(held_out)
        rest = [one.but(set(fold.ids)) for one in sets]
        n_trained = min(len(one.ids) for one in rest)
        trained = [one.first(n_trained) for one in rest]
        if any(len(np.unique(one.y)) < 2 for one in trained):
            return None
        right[:, held_out] = [_is_right(one, fold) for one in trained]
    return right


def _is_right(train: Labelled, test: Labelled) -> NDArray[np.float64]:
    """Return whether a probe names the label of each point to test : (n,) 0 or 1."""
    with warnings.catch_warnings():
        # few points in many dimensions: the penalty decides
        warnings.filterwarnings("ignore", category=LinAlgWarning)
        warnings.filterwarnings("ignore", "Singular matrix")
        predicted = RidgeClassifier().fit(train.X, train.y).predict(test.X)
    return np.asarray(predicted == test.y, dtype=np.float64)
