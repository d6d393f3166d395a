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
_LEAST_TESTED = 5  # points of a label; rarer labels are not tested


@dataclass(frozen=True)
class Labelled:
    """Points with labels : ids, X (n, d), y (n,)."""

    ids: list[object]
    X: NDArray[np.float32]
    y: NDArray[np.str_]

    def but(self, others: set[object]) -> "Labelled":
        """Return the points whose ids are not among others."""
        kept = [i for i, id_ in enumerate(self.ids) if id_ not in others]
        return Labelled([self.ids[i] for i in kept], self.X[kept], self.y[kept])

    def first(self, n: int) -> "Labelled":
        """Return the first n points."""
        return Labelled(self.ids[:n], self.X[:n], self.y[:n])


def probe_rows(
    samples: Mapping[str, Labelled], controls: Sequence[Labelled], pool: Labelled
) -> list[Row]:
    """Return the accuracy of a linear classifier trained on each sample's points.

    Every label counts the same. The control is the mean over uniform draws of the sample's size;
    the gap's standard error is that of the test points.

    Parameters
    ----------
    controls : uniform draws; if some have fewer labels than a sample, no more of it is used
    pool : a hash sample to test on; what was trained on is left out
    """
    rows = []
    for name, sample in samples.items():
        n_trained = min(len(one.ids) for one in (sample, *controls))
        sample, *draws = (one.first(n_trained) for one in (sample, *controls))
        tested = pool.but({id_ for one in (sample, *draws) for id_ in one.ids})
        labels, counts = np.unique(tested.y, return_counts=True)
        labels = labels[counts >= _LEAST_TESTED]
        if len(labels) < 2 or any(len(np.unique(one.y)) < 2 for one in (sample, *draws)):
            continue
        mine = _is_right(sample, tested)
        theirs = np.mean([_is_right(draw, tested) for draw in draws], axis=0)
        of_label = [tested.y == label for label in labels]
        value, control = (np.mean([x[at].mean() for at in of_label]) for x in (mine, theirs))
        variances = [(mine - theirs)[at].var(ddof=1) / at.sum() for at in of_label]
        error = np.sqrt(np.sum(variances)) / len(labels)
        rows.append(Row(name, "labels", None, None, None, "probe_accuracy", value, control))
        gap = {"probe_gap": value - control, "probe_gap_error": error}
        rows += figure_rows("labels", name, {key: float(x) for key, x in gap.items()})
    return rows


def _is_right(train: Labelled, test: Labelled) -> NDArray[np.float64]:
    """Return whether a probe names the label of each point to test : (n,) 0 or 1."""
    with warnings.catch_warnings():
        # few points in many dimensions: the penalty decides
        warnings.filterwarnings("ignore", category=LinAlgWarning)
        warnings.filterwarnings("ignore", "Singular matrix")
        predicted = RidgeClassifier().fit(train.X, train.y).predict(test.X)
    return np.asarray(predicted == test.y, dtype=np.float64)
